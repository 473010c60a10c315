//! What the configuration declares: published for as long as it does.

use std::collections::BTreeSet;

use overlay::{HealthCheck, Publication, Sharing, Target};
use wire::service::Protocol;

use super::{Driver, identity};
use crate::health::Identity;
use crate::io::clock;

/// The word of the configuration that shares a name with every member.
const ANY: &str = "any";

impl Driver {
    /// Publishes what the configuration declares, beside what was published before the restart. The Node does not write
    /// it, and withdraws what it no longer hears of.
    pub(in crate::daemon) fn declare(&mut self, declared: Vec<config::Service>) {
        let kept: Vec<(Identity, bool)> =
            self.node.publications().map(|ours| (identity(ours), ours.health == HealthCheck::None)).collect();
        for ((name, version), is_healthy) in kept {
            self.node.handle_health(&name, version.as_ref(), is_healthy, clock::now());
        }
        self.declare_each(declared);
    }

    /// Publishes what the configuration declares by now, and withdraws what it declares no more.
    pub(in crate::daemon) fn redeclare(&mut self, declared: Vec<config::Service>) {
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
    pub(in crate::daemon) fn declare_again(&mut self) {
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
}

/// A declaration as a publication, and the nodes that share its name.
fn publication(service: &config::Service) -> Result<(Publication, Vec<String>), String> {
    let (sharing, nodes) = match &service.with[..] {
        [] => (Sharing::Owner, vec![]),
        with if with.iter().any(|node| node == ANY) => (Sharing::Members, vec![]),
        with => (Sharing::Nodes(vec![]), with.to_vec()),
    };
    let version = service.version.as_ref().map(|version| version.parse());
    let target: Option<Target> = match &service.to {
        Some(to) => Some(to.to_string().parse().map_err(|error: overlay::TargetError| error.to_string())?),
        None => None,
    };
    let protocol = match service.protocol {
        config::Protocol::Tcp => Protocol::Tcp,
        config::Protocol::Udp => Protocol::Udp,
    };
    let publication = Publication {
        name: service.name.parse().map_err(|error: wire::NameError| error.to_string())?,
        version: version.transpose().map_err(|error: wire::service::VersionError| error.to_string())?,
        protocol,
        port: service.port,
        labels: service.labels.clone(),
        ttl_s: service.ttl_s,
        sharing,
        health: match &service.health {
            Some(health) => health.parse().map_err(|error: overlay::HealthCheckError| error.to_string())?,
            None => HealthCheck::usual(protocol, target.as_ref()),
        },
        target,
    };
    Ok((publication, nodes))
}
