//! Views of a zone: all services, and the answer to the question where one is.

use std::collections::BTreeMap;
use std::time::Duration;

use overlay::{Instance, Title, Zone, ZoneService};
use wire::service::{Protocol, Version};
use wire::{Name, NodeId, Part};

use super::publication::parse_version;
use super::request::{Refusal, RefusalKind, Targets};
use super::service::invalid;

/// All services, by name; our own instances with their targets.
pub(super) fn services(zone: &Zone, targets: &Targets) -> api::ServicesReply {
    let owners = names_of(zone);
    let service = |(name, service): (&Name, &ZoneService)| api::Service {
        name: name.to_string(),
        owner: owners.get(&service.owner).map_or_else(String::new, ToString::to_string),
        owner_id: service.owner.to_string(),
        instances: service.instances.iter().map(|one| with_target(zone, targets, name, one)).collect(),
        title: title(service.title).into(),
    };
    api::ServicesReply {
        services: zone.services.iter().map(service).collect(),
        parts: if zone.known == Part::NOTHING { 0 } else { 1 << zone.known.depth() },
    }
}

fn title(title: Title) -> api::Title {
    match title {
        Title::Delegated => api::Title::Delegated,
        Title::Confirmed => api::Title::Confirmed,
        Title::Claimed => api::Title::Claimed,
    }
}

/// What members are called.
pub(super) fn names_of(zone: &Zone) -> BTreeMap<NodeId, &Name> {
    zone.nodes.iter().map(|(name, node)| (node.node, name)).collect()
}

fn with_target(zone: &Zone, targets: &Targets, name: &Name, ours: &Instance) -> api::Instance {
    let target = targets.get(&(name.clone(), ours.version.clone())).filter(|_| ours.node == zone.own);
    api::Instance { to: target.map(ToString::to_string), ..instance(ours) }
}

/// An instance, as others see it.
pub(super) fn instance(instance: &Instance) -> api::Instance {
    let protocol = match instance.protocol {
        Protocol::Tcp => api::Protocol::Tcp,
        Protocol::Udp => api::Protocol::Udp,
    };
    api::Instance {
        node: instance.node_name.to_string(),
        node_id: instance.node.to_string(),
        addresses: vec![instance.v4.to_string(), instance.v6.to_string()],
        port: instance.port.into(),
        protocol: protocol.into(),
        version: instance.version.as_ref().map(ToString::to_string),
        labels: instance.labels.clone(),
        is_healthy: instance.is_healthy,
        rtt_ms: instance.round_trip.map(|round_trip| round_trip.as_secs_f64() * 1000.0),
        ttl_s: instance.ttl_s,
        to: None,
    }
}

/// A question where a service is.
#[derive(Debug)]
pub(super) struct Query {
    name: Name,
    version: Option<Version>,
    labels: BTreeMap<String, String>,
    nearest: bool,
}

impl Query {
    pub(super) fn parse(request: api::ResolveRequest) -> Result<Self, Refusal> {
        Ok(Self {
            name: request.name.parse().map_err(invalid)?,
            version: parse_version(request.version.as_deref())?,
            labels: request.labels,
            nearest: request.nearest,
        })
    }

    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    /// The healthy instances that are asked for; a refusal says which of the reasons there is for having none.
    pub(super) fn answer(&self, zone: &Zone) -> Result<api::ResolveReply, Refusal> {
        let Some(service) = zone.services.get(&self.name) else {
            let message = format!(
                "no service is called {}: `hopmesh services` lists those there are, `hopmesh publish` makes one",
                self.name
            );
            return Err(Refusal::new(RefusalKind::NotFound, message));
        };
        let mut wanted: Vec<&Instance> = service.healthy().filter(|instance| self.wants(instance)).collect();
        if wanted.is_empty() {
            return Err(Refusal::new(RefusalKind::Precondition, self.why_none(service)));
        }
        if self.nearest {
            // A stable sort: what is not measured stays behind, in its order.
            wanted.sort_by_key(|instance| instance.round_trip.unwrap_or(Duration::MAX));
        }
        let instances = wanted.into_iter().map(instance).collect();
        Ok(api::ResolveReply { name: self.name.to_string(), instances })
    }

    fn wants(&self, instance: &Instance) -> bool {
        let has = |(key, value): (&String, &String)| instance.labels.get(key) == Some(value);
        self.version.as_ref().is_none_or(|version| instance.version.as_ref() == Some(version))
            && self.labels.iter().all(has)
    }

    fn why_none(&self, service: &ZoneService) -> String {
        let name = &self.name;
        let matching = service.instances.iter().filter(|instance| self.wants(instance)).count();
        match (service.instances.len(), matching) {
            (0, _) => format!("{name} has no instance now: its name is only kept by its owner"),
            (all, 0) => format!(
                "none of the {all} instances of {name} has this version and these labels: `hopmesh services` shows what they have"
            ),
            (_, ill) => {
                format!("{name} has no healthy instance: {ill} of those asked for fail their health check")
            }
        }
    }
}
