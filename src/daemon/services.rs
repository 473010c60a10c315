//! Services, for the control thread: what people and the configuration publish, how it fares, and who watches.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use overlay::{HealthCheck, Publication, PublishError, Sharing, Zone};
use tokio::sync::broadcast;
use wire::Name;
use wire::service::{Protocol, Version};

use super::driver::Driver;
use super::requests::refusal;
use crate::control::{Refusal, RefusalKind, Reply, WATCHERS_MAX, Watching, ZONES_MAX};
use crate::health::{Checker, Identity, Verdict};
use crate::io::clock;

/// The word of the configuration that shares a name with every member.
const ANY: &str = "any";

/// What the Node does not know of services.
pub(super) struct Services {
    /// Whether what we publish is well.
    pub(super) health: Checker,
    /// What the configuration declares, and is published.
    declared: BTreeSet<Identity>,
    /// What it declares and is not: it is tried again.
    failed: Vec<(config::Service, String)>,
    /// To everybody who watches.
    zones: broadcast::Sender<Arc<Zone>>,
}

impl Services {
    pub(super) fn new() -> Self {
        let (zones, _nobody) = broadcast::channel(ZONES_MAX);
        Self { health: Checker::new(), declared: BTreeSet::new(), failed: vec![], zones }
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

    /// Publishes what the configuration declares, beside what was published before the restart. The Node does not write
    /// it, and withdraws what it no longer hears of.
    pub(super) fn declare(&mut self, declared: Vec<config::Service>) {
        let kept: Vec<(Identity, bool)> =
            self.node.publications().map(|ours| (identity(ours), ours.health == HealthCheck::None)).collect();
        for ((name, version), is_healthy) in kept {
            self.node.handle_health(&name, version.as_ref(), is_healthy, clock::now());
        }
        self.declare_each(declared);
    }

    /// Publishes what the configuration declares by now, and withdraws what it declares no more.
    pub(super) fn redeclare(&mut self, declared: Vec<config::Service>) {
        let wanted: BTreeSet<Identity> = declared
            .iter()
            .filter_map(|service| publication(service).ok())
            .map(|(publication, _)| identity(&publication))
            .collect();
        let (kept, gone) = std::mem::take(&mut self.services.declared)
            .into_iter()
            .partition::<BTreeSet<_>, _>(|declared| wanted.contains(declared));
        self.services.declared = kept;
        for (name, version) in gone {
            // Somebody may have withdrawn it meanwhile.
            let _not_there = self.node.unpublish(&name, version.as_ref(), clock::now());
        }
        self.services.failed.clear();
        self.declare_each(declared);
    }

    /// Tries again what could not be published, such as what is shared with a node that nobody had told us of.
    pub(super) fn declare_again(&mut self) {
        if !self.services.failed.is_empty() {
            let failed = std::mem::take(&mut self.services.failed);
            self.declare_each(failed.into_iter().map(|(service, _)| service).collect());
        }
    }

    fn declare_each(&mut self, services: Vec<config::Service>) {
        for service in services {
            let declared = publication(&service).and_then(|(publication, nodes)| {
                let identity = identity(&publication);
                self.offer(publication, &nodes, true).map_err(|refusal| refusal.message)?;
                self.services.declared.insert(identity);
                Ok(())
            });
            if let Err(error) = declared {
                let problem =
                    format!("Service {} of the configuration is not published: {error}.", service.name);
                tracing::warn!("{problem}");
                self.services.failed.push((service, problem));
            }
        }
        self.look_after_services();
    }

    /// Gives a publication to the Node. What is to be checked counts as unhealthy until it was: a name never leads to
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
        let published = match is_declared {
            true => self.node.publish_configured(publication, now),
            false => self.node.publish(publication, now),
        };
        published.map_err(|error| no(&error))?;
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
        self.services.health.keep(self.node.publications(), &addresses);
    }

    /// Tells the Node how a publication fares.
    pub(super) fn take_verdict(&mut self, verdict: &Verdict) {
        let Verdict { identity: (name, version), is_healthy } = verdict;
        self.node.handle_health(name, version.as_ref(), *is_healthy, clock::now());
        self.pump();
    }

    /// One sentence for each service of the configuration that could not be published; of names that are others' the Node tells.
    pub(super) fn service_problems(&self) -> impl Iterator<Item = String> {
        self.services.failed.iter().map(|(_, problem)| problem.clone())
    }

    fn mesh_addresses(&self) -> [IpAddr; 2] {
        let own = self.own();
        [IpAddr::V4(own.ipv4.addr()), IpAddr::V6(own.ipv6())]
    }

    /// Whether what was just done would survive a crash.
    fn kept(&mut self) -> Result<(), Refusal> {
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

/// A declaration as a publication, and the nodes that share its name.
fn publication(service: &config::Service) -> Result<(Publication, Vec<String>), String> {
    let (sharing, nodes) = match &service.with[..] {
        [] => (Sharing::Owner, vec![]),
        with if with.iter().any(|node| node == ANY) => (Sharing::Members, vec![]),
        with => (Sharing::Nodes(vec![]), with.to_vec()),
    };
    let version = service.version.as_ref().map(|version| version.parse());
    let publication = Publication {
        name: service.name.parse().map_err(|error: wire::NameError| error.to_string())?,
        version: version.transpose().map_err(|error: wire::service::VersionError| error.to_string())?,
        protocol: match service.protocol {
            config::Protocol::Tcp => Protocol::Tcp,
            config::Protocol::Udp => Protocol::Udp,
        },
        port: service.port,
        labels: service.labels.clone(),
        ttl_s: service.ttl_s,
        sharing,
        health: service.health.parse().map_err(|error: overlay::HealthCheckError| error.to_string())?,
    };
    Ok((publication, nodes))
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
