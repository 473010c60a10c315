//! Another configuration for a node that runs: what can be taken is taken, without the end of a session; the rest waits.

use config::{Effect, Key, Settings, changes};
use tokio::sync::mpsc;

use super::Source;
use super::driver::{Driver, exit_params, hop_params};
use super::names::Names;
use super::requests::Answer;
use super::start::advertised;
use crate::control::{Refusal, RefusalKind, Reply, Request};
use crate::dns::Ask;
use crate::io::clock;
use crate::io::netlink::Netlink;

/// The configuration, and what is needed to take another.
pub(super) struct Reload {
    /// What the node was started with.
    started: Settings,
    /// What was read last.
    current: Settings,
    source: Source,
    asks: mpsc::Sender<Ask>,
    requests: mpsc::Sender<Request>,
    /// Index of the interface.
    link: u32,
    /// Somebody wants the configuration read again; and these want to hear of it.
    asked: Option<Vec<Answer>>,
}

impl Reload {
    pub(super) fn new(
        settings: Settings,
        source: Source,
        (asks, requests): (mpsc::Sender<Ask>, mpsc::Sender<Request>),
        link: u32,
    ) -> Self {
        Self { started: settings.clone(), current: settings, source, asks, requests, link, asked: None }
    }

    /// What is written otherwise than this node was started with, and waits for its next start.
    pub(super) fn problem(&self) -> Option<String> {
        let waiting = names_of(&changes(&self.started, &self.current), Effect::AtStart);
        (!waiting.is_empty()).then(|| {
            format!(
                "The configuration has another {}: it counts when the node is started again.",
                waiting.join(", ")
            )
        })
    }
}

impl Driver {
    /// Has the configuration read again, once the control thread has nothing else to do.
    pub(super) fn ask_reload(&mut self, reply: Option<Answer>) {
        self.reload.asked.get_or_insert_default().extend(reply);
    }

    /// Reads the configuration again, if somebody wants it.
    pub(super) async fn run_reload(&mut self, netlink: &Netlink) {
        let Some(asked) = self.reload.asked.take() else { return };
        let outcome = match (self.reload.source.read)() {
            Ok(settings) => Ok(self.take_settings(settings, netlink).await),
            Err(error) => {
                let message = format!("the configuration stays as it was: {error}");
                tracing::warn!("{message}");
                Err(Refusal::new(RefusalKind::Precondition, message))
            }
        };
        for reply in asked {
            // Whoever asked may have gone: then nobody is told.
            let _gone = reply.send(outcome.clone().map(Reply::Reloaded));
        }
    }

    async fn take_settings(&mut self, settings: Settings, netlink: &Netlink) -> api::ReloadReply {
        let changed = changes(&self.reload.current, &settings);
        let has = |table| changed.iter().any(|key| key.table == table);
        (self.reload.source.set_log_level)(settings.log.level);
        let rekey_after = std::time::Duration::from_secs(settings.session.rekey_after_s);
        let (hop, exit) = (hop_params(&settings), exit_params(&settings));
        self.node.handle_settings(rekey_after, hop, exit, clock::now());
        if has("addresses") {
            self.advertised = advertised(&settings);
            self.discovery.set_seeds(settings.addresses.seeds.clone());
            self.node.handle_carriers(self.discovery.carriers(), clock::now());
            self.look_at_addresses(netlink).await;
        }
        if has("dns") {
            std::mem::take(&mut self.names).close(&self.directory).await;
            self.start_names(&settings.dns).await;
        }
        if has("metrics") {
            self.exporter.follow(settings.metrics.listen, &self.reload.requests).await;
        }
        if has("routes") {
            self.routes.accept.clone_from(&settings.routes.accept);
            self.look_at_prefixes(netlink).await;
        }
        if has("service") {
            self.redeclare(settings.service.clone());
        }
        self.pump();
        let reply = api::ReloadReply {
            applied: names_of(&changed, Effect::AtOnce),
            at_start: names_of(&changes(&self.reload.started, &settings), Effect::AtStart),
            at_joining: names_of(&changed, Effect::AtJoining),
        };
        tracing::info!(applied = ?reply.applied, at_start = ?reply.at_start, "the configuration was read again");
        self.reload.current = settings;
        reply
    }

    /// Answers names as these settings have it.
    pub(super) async fn start_names(&mut self, settings: &config::Dns) {
        let (own, zone, asks) = (self.own(), self.zone.clone(), self.reload.asks.clone());
        let link = (self.interface.as_str(), self.reload.link);
        let forwarding = self.forwarding.clone();
        let host = (&self.directory, self.exit.choice().is_some());
        self.names = Names::start(settings, (zone, asks, forwarding), &own, link, host).await;
    }
}

/// The names of those keys that have this effect, as people write them.
fn names_of(keys: &[Key], effect: Effect) -> Vec<String> {
    keys.iter().filter(|key| key.effect() == effect).map(ToString::to_string).collect()
}
