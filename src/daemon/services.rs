//! Services, for the control thread: what people and the configuration publish, how it fares, and who watches.

mod declared;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use overlay::{HealthCheck, Publication, PublishError, Sharing, Target, Zone};
use tokio::sync::broadcast;
use wire::Name;
use wire::service::Version;

use super::driver::Driver;
use super::requests::refusal;
use crate::control::{Refusal, RefusalKind, Reply, WATCHERS_MAX, Watching, ZONES_MAX};
use crate::front::{FrontError, Fronts, Reach, ReachError};
use crate::health::{Checker, Identity, Verdict};
use crate::io::clock;
use crate::metrics::Fronted;

/// What the Node does not know of services.
pub(super) struct Services {
    /// Whether what we publish is well.
    pub(super) health: Checker,
    /// What we listen to for other hosts.
    pub(super) fronts: Fronts,
    /// What the configuration declares, and is published.
    declared: BTreeSet<Identity>,
    /// What it declares and is not: it is tried again.
    failed: Vec<(config::Service, String)>,
    /// To everybody who watches.
    zones: broadcast::Sender<Arc<Zone>>,
}

impl Services {
    pub(super) fn new(interface: &str, zone: Arc<ArcSwap<Zone>>) -> Self {
        let (zones, _nobody) = broadcast::channel(ZONES_MAX);
        let reach = Reach::new(zone);
        let (health, fronts) = (Checker::new(reach.clone()), Fronts::new(interface, reach));
        Self { health, fronts, declared: BTreeSet::new(), failed: vec![], zones }
    }

    /// What is passed on, for metrics.
    pub(super) fn fronted(&self) -> Fronted {
        let (connections, clients) = self.fronts.taken();
        let fronts = self.fronts.views().count();
        Fronted { fronts, connections: connections + clients, counted: self.fronts.counted() }
    }

    /// Tells all who watch; nobody is waited for.
    pub(super) fn handle_zone(&self, zone: Arc<Zone>) {
        let _nobody = self.zones.send(zone);
    }
}

impl Driver {
    /// Publishes what a person wants.
    pub(super) fn publish(
        &mut self,
        publication: Publication,
        sharing_nodes: &[String],
    ) -> Result<Reply, Refusal> {
        self.write_failure = None;
        let (identity, port) = (identity(&publication), publication.port);
        let to = publication.target.as_ref().map(ToString::to_string);
        self.offer(publication, sharing_nodes, false)?;
        self.services.declared.remove(&identity);
        self.look_after_services();
        self.kept()?;
        let addresses = self.mesh_addresses().map(|address| SocketAddr::new(address, port));
        let (name, version) = identity;
        Ok(Reply::Published(api::PublishReply {
            name: name.to_string(),
            version: version.map(|version| version.to_string()),
            addresses: addresses.iter().map(ToString::to_string).collect(),
            to,
        }))
    }

    /// Withdraws one version of a service, or all that we publish.
    pub(super) fn unpublish(&mut self, name: &Name, version: Option<&Version>) -> Result<Reply, Refusal> {
        let is_meant = |ours: &Identity| {
            ours.0 == *name && version.is_none_or(|version| ours.1.as_ref() == Some(version))
        };
        let meant: Vec<Identity> = self.node.publications().map(identity).filter(is_meant).collect();
        if meant.is_empty() {
            let what = version.map_or_else(String::new, |version| format!(" of version {version}"));
            let message = format!(
                "this machine publishes no {name}{what}: `hopmesh services` lists what is published, and by whom"
            );
            return Err(Refusal::new(RefusalKind::NotFound, message));
        }
        self.write_failure = None;
        let mut is_declared = false;
        for ours in &meant {
            self.node.unpublish(&ours.0, ours.1.as_ref(), clock::now()).map_err(|error| no(&error))?;
            is_declared |= self.services.declared.remove(ours);
        }
        self.look_after_services();
        self.kept()?;
        Ok(Reply::Unpublished(api::UnpublishReply {
            name: name.to_string(),
            withdrawn: u32::try_from(meant.len()).unwrap_or(u32::MAX),
            is_declared,
        }))
    }

    /// Somebody who wants to be told of changes.
    pub(super) fn watch(&self) -> Result<Reply, Refusal> {
        if self.services.zones.receiver_count() >= WATCHERS_MAX {
            let message = format!("{WATCHERS_MAX} watches are open already: end one of them first");
            return Err(Refusal::new(RefusalKind::Exhausted, message));
        }
        Ok(Reply::Watching(Watching { zone: self.node.zone(), zones: self.services.zones.subscribe() }))
    }

    /// What names mean, and where we pass on what comes for ours.
    pub(super) fn services_view(&self) -> Reply {
        let targets = self.services.fronts.views().map(|front| ((front.name, front.version), front.target));
        Reply::Services(self.node.zone(), targets.collect())
    }

    /// Gives a publication to the Node, once we listen for its target, if it has one. What is to be checked counts as unhealthy until it was: a name never leads to
    /// what nobody has seen well.
    fn offer(
        &mut self,
        mut publication: Publication,
        sharing_nodes: &[String],
        is_declared: bool,
    ) -> Result<(), Refusal> {
        if let Sharing::Nodes(ids) = &mut publication.sharing {
            for node in sharing_nodes {
                ids.push(self.node.select(node).map_err(|error| refusal(&error))?.node);
            }
            ids.sort_unstable();
            ids.dedup();
        }
        let (identity, is_checked) = (identity(&publication), publication.health != HealthCheck::None);
        let is_new =
            !self.node.publications().any(|ours| (&ours.name, &ours.version) == (&identity.0, &identity.1));
        let now = clock::now();
        let addresses = self.mesh_addresses();
        let offered = match self.services.fronts.open(&publication, &addresses) {
            Err(error) => Err(cannot_pass_on(&error)),
            Ok(()) if is_declared => {
                self.node.publish_configured(publication, now).map_err(|error| no(&error))
            }
            Ok(()) => self.node.publish(publication, now).map_err(|error| no(&error)),
        };
        if offered.is_err() {
            // What was published before under that name and version still is.
            self.services.fronts.keep(self.node.publications(), &addresses);
        }
        offered?;
        if is_new || !is_checked {
            self.node.handle_health(&identity.0, identity.1.as_ref(), !is_checked, now);
        }
        self.services.health.forget(&identity);
        Ok(())
    }

    /// Carries out what a change of publications brings, and checks those that there are now.
    pub(super) fn look_after_services(&mut self) {
        self.pump();
        let addresses = self.mesh_addresses();
        self.services.fronts.keep(self.node.publications(), &addresses);
        self.services.health.keep(self.node.publications(), &addresses);
        self.judge_fronts();
    }

    /// Listens once more for what could not be passed on: whoever had the port may have gone.
    pub(super) fn open_fronts_again(&mut self) {
        if self.services.fronts.views().any(|front| front.problem.is_some()) {
            self.look_after_services();
        }
    }

    /// What is not passed on is not well, however its target is; what is, and is not checked, is well.
    fn judge_fronts(&mut self) {
        let judged = self.node.publications().filter(|ours| ours.target.is_some()).filter_map(|ours| {
            let is_open = self.services.fronts.is_open(&identity(ours));
            (!is_open || ours.health == HealthCheck::None).then(|| (identity(ours), is_open))
        });
        for ((name, version), is_well) in judged.collect::<Vec<_>>() {
            self.node.handle_health(&name, version.as_ref(), is_well, clock::now());
        }
        self.pump();
    }

    /// Tells the Node how a publication fares.
    pub(super) fn take_verdict(&mut self, verdict: &Verdict) {
        let Verdict { identity: ours @ (name, version), is_healthy } = verdict;
        let is_passed_on = self.services.fronts.is_open(ours) || self.target(ours).is_none();
        self.node.handle_health(name, version.as_ref(), *is_healthy && is_passed_on, clock::now());
        self.pump();
    }

    /// One sentence for each service of the configuration that could not be published, and for each that is not passed on to its target;
    /// of names that are others' the Node tells.
    pub(super) fn service_problems(&self) -> Vec<String> {
        let failed = self.services.failed.iter().map(|(_, problem)| problem.clone());
        let fronts = self.services.fronts.views().filter_map(|front| {
            let problem = front.problem?;
            Some(format!("Service {} is not passed on to {}: {problem}.", front.name, front.target))
        });
        failed.chain(fronts).collect()
    }

    fn target(&self, (name, version): &Identity) -> Option<&Target> {
        let mut ours = self.node.publications();
        ours.find(|ours| (&ours.name, &ours.version) == (name, version))?.target.as_ref()
    }

    fn mesh_addresses(&self) -> [IpAddr; 2] {
        let own = self.own();
        [IpAddr::V4(own.ipv4.addr()), IpAddr::V6(own.ipv6())]
    }

    /// Whether what was just done would survive a crash.
    pub(super) fn kept(&mut self) -> Result<(), Refusal> {
        match self.write_failure.take() {
            None => Ok(()),
            Some(failure) => Err(Refusal::new(
                RefusalKind::Internal,
                format!("it is done, but a restart would undo it: {failure}"),
            )),
        }
    }
}

fn identity(publication: &Publication) -> Identity {
    (publication.name.clone(), publication.version.clone())
}

fn cannot_pass_on(error: &FrontError) -> Refusal {
    let kind = match error {
        FrontError::Reach(ReachError::Node(_)) => RefusalKind::InvalidArgument,
        FrontError::Thread(_) => RefusalKind::Internal,
        FrontError::Reach(_)
        | FrontError::InUse { .. }
        | FrontError::NotPermitted { .. }
        | FrontError::TooMany
        | FrontError::Os { .. } => RefusalKind::Precondition,
    };
    Refusal::new(kind, error.to_string())
}

fn no(error: &PublishError) -> Refusal {
    let kind = match error {
        PublishError::Port | PublishError::Ttl | PublishError::Label(_) | PublishError::TooLong => {
            RefusalKind::InvalidArgument
        }
        PublishError::NotPublished(_) => RefusalKind::NotFound,
        PublishError::Revoked
        | PublishError::NodeName(_)
        | PublishError::Taken { .. }
        | PublishError::TooManyShared
        | PublishError::TooMany => RefusalKind::Precondition,
    };
    Refusal::new(kind, error.to_string())
}
