//! Changes of services, as a stream: first what is there, then the difference from each zone to the next.
//!
//! The control thread puts zones into a bounded ring and waits for nobody. A watcher takes them out at the pace at which
//! its caller reads; one that the ring has overtaken would miss changes, so it is told and ended.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use overlay::{Zone, ZoneChange, ZoneChangeKind, changes};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Interval;
use tonic::Status;
use wire::{Name, NodeId, Position};

use super::request::Watching;
use super::service::{Service, going_down};
use super::zone::{instance, names_of};

/// What a caller reads.
pub(super) type Changes = Pin<Box<dyn Stream<Item = Result<api::WatchReply, Status>> + Send>>;

/// Changes of the service `name`, or of all.
pub(super) fn stream(watching: Watching, name: Option<Name>, service: Service) -> Changes {
    let Watching { zone, zones } = watching;
    let nothing = Zone::empty(zone.network.clone(), zone.own);
    let mut said: VecDeque<_> = replies(&nothing, &zone, name.as_ref()).into();
    said.push_back(reply(api::ChangeKind::Present, String::new()));
    let again = tokio::time::interval(ASK_AGAIN);
    let watcher = Watcher { zone, zones, name, said, service, again };
    Box::pin(unfold(Some(watcher), |watcher| async {
        let mut watcher = watcher?;
        match watcher.next().await {
            Ok(change) => Some((Ok(change), Some(watcher))),
            Err(end) => Some((Err(end), None)),
        }
    }))
}

/// One caller.
struct Watcher {
    /// All changes up to this one are in `said`, or were read.
    zone: Arc<Zone>,
    zones: broadcast::Receiver<Arc<Zone>>,
    name: Option<Name>,
    /// Not read yet: at most what two zones differ in.
    said: VecDeque<api::WatchReply>,
    /// By which a name is asked for that others know, and when it is again.
    service: Service,
    again: Interval,
}

/// A name that is asked for is kept for half a minute: whoever watches it has it kept.
const ASK_AGAIN: Duration = Duration::from_secs(10);

impl Watcher {
    /// Whatever comes of it is in the zones that follow.
    async fn ask_again(&self) {
        let unknown =
            self.name.as_ref().filter(|name| !self.zone.known.covers(Position::of_name(name.as_str())));
        if let Some(name) = unknown {
            let _in_the_zones = self.service.find(name.clone()).await;
        }
    }

    async fn next(&mut self) -> Result<api::WatchReply, Status> {
        loop {
            if let Some(change) = self.said.pop_front() {
                return Ok(change);
            }
            let next = tokio::select! {
                next = self.zones.recv() => next,
                _ = self.again.tick() => {
                    self.ask_again().await;
                    continue;
                }
            };
            let next = next.map_err(|error| match error {
                RecvError::Closed => going_down(),
                RecvError::Lagged(_) => Status::resource_exhausted(
                    "changes came faster than they were read, and some are lost: watch again",
                ),
            })?;
            self.said = replies(&self.zone, &next, self.name.as_ref()).into();
            self.zone = next;
        }
    }
}

fn replies(before: &Zone, after: &Zone, name: Option<&Name>) -> Vec<api::WatchReply> {
    let owners = names_of(after);
    let wanted = |change: &ZoneChange<'_>| name.is_none_or(|name| change.service == name);
    let owned = |service, owner: NodeId| api::WatchReply {
        owner: owners.get(&owner).map_or_else(String::new, ToString::to_string),
        owner_id: owner.to_string(),
        ..reply(api::ChangeKind::Owned, service)
    };
    let of_instance =
        |kind, service, what| api::WatchReply { instance: Some(instance(what)), ..reply(kind, service) };
    changes(before, after)
        .into_iter()
        .filter(wanted)
        .map(|ZoneChange { service, kind }| {
            let service = service.to_string();
            match kind {
                ZoneChangeKind::Owned(owner) => owned(service, owner),
                ZoneChangeKind::Released => reply(api::ChangeKind::Released, service),
                ZoneChangeKind::Added(what) => of_instance(api::ChangeKind::Added, service, what),
                ZoneChangeKind::Changed(what) => of_instance(api::ChangeKind::Changed, service, what),
                ZoneChangeKind::Removed(what) => of_instance(api::ChangeKind::Removed, service, what),
            }
        })
        .collect()
}

fn reply(kind: api::ChangeKind, service: String) -> api::WatchReply {
    api::WatchReply { kind: kind.into(), service, ..api::WatchReply::default() }
}
