//! What we have authority over: one zone and the domain it is seen in, with what is asked for often made ready.
//!
//! It is a value, made anew for each zone; nothing in here waits, reads a clock or keeps anything between questions.

mod answer;
mod meaning;
mod text;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;

use hickory_proto::rr::Name;
use overlay::{Instance, Zone};
use wire::Part;
use wire::service::Protocol;

use super::domain::Domain;

pub(super) use answer::Answer;

/// A zone that can be asked.
#[derive(Debug)]
pub(super) struct Authority {
    domain: Arc<Domain>,
    zone: Arc<Zone>,
    /// Name of our own node, which serves the zone; the domain's while nobody is called so.
    server: Name,
    /// What can be browsed (RFC 6763): instances by what they are.
    kinds: BTreeMap<Kind, Vec<Offer>>,
}

/// What DNS-SD calls a service type: `_http._tcp`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    protocol: Protocol,
    /// Without the underscore.
    name: String,
}

/// An instance that can be browsed.
#[derive(Debug)]
struct Offer {
    /// Its one label, in the case in which we tell it.
    label: String,
    service: wire::Name,
    /// Its place in the service's list.
    position: usize,
}

impl Authority {
    pub(super) fn new(domain: Arc<Domain>, zone: Arc<Zone>) -> Self {
        let own = zone.nodes.iter().find(|(_, node)| node.node == zone.own);
        let server = own.and_then(|(name, _)| below(name.as_str(), domain.apex()));
        let server = server.unwrap_or_else(|| domain.apex().clone());
        let kinds = kinds(&zone);
        Self { domain, zone, server, kinds }
    }

    /// Whether this was made of that very zone.
    pub(super) fn is_of(&self, zone: &Arc<Zone>) -> bool {
        Arc::ptr_eq(&self.zone, zone)
    }

    /// Whether a name is ours to answer, there or not.
    pub(super) fn is_ours(&self, name: &Name) -> bool {
        self.place(name).is_some()
    }

    /// Whether what is not in the zone is nowhere.
    pub(super) fn knows_all(&self) -> bool {
        self.zone.known == Part::WHOLE
    }

    fn instance(&self, offer: &Offer) -> &Instance {
        &self.zone.services[&offer.service].instances[offer.position]
    }
}

/// A name one label below another; `None` where it would be too long for DNS.
fn below(label: &str, parent: &Name) -> Option<Name> {
    parent.prepend_label(label.as_bytes()).ok()
}

/// Sorts healthy instances by what they are. Every service is of the kind that its own name says, and there over TCP
/// even without an instance; the label `type` says a second one, such as `http`.
fn kinds(zone: &Zone) -> BTreeMap<Kind, Vec<Offer>> {
    let mut kinds: BTreeMap<Kind, Vec<Offer>> = BTreeMap::new();
    for (name, service) in &zone.services {
        kinds.entry(Kind { protocol: Protocol::Tcp, name: name.to_string() }).or_default();
        for (position, instance) in service.instances.iter().enumerate() {
            let own = Kind { protocol: instance.protocol, name: name.to_string() };
            let second = instance.labels.get("type").and_then(|kind| kind.parse::<wire::Name>().ok());
            let second = second.filter(|kind| kind != name);
            let second = second.map(|kind| Kind { protocol: instance.protocol, name: kind.to_string() });
            for kind in std::iter::once(own).chain(second) {
                let offers = kinds.entry(kind).or_default();
                if instance.is_healthy {
                    offers.push(Offer {
                        label: offer_label(name, instance),
                        service: name.clone(),
                        position,
                    });
                }
            }
        }
    }
    for offers in kinds.values_mut() {
        offers.sort_by_key(|offer| {
            let round_trip = zone.services[&offer.service].instances[offer.position].round_trip;
            (round_trip.is_none(), round_trip)
        });
    }
    kinds
}

/// How an instance is called when it is browsed: `web on laptop`, or `web 2 on laptop`. Names have no spaces, so no two
/// are called the same. Where this is too long for a label it is the node's name.
fn offer_label(service: &wire::Name, instance: &Instance) -> String {
    let node = &instance.node_name;
    let label = match &instance.version {
        Some(version) => format!("{service} {version} on {node}"),
        None => format!("{service} on {node}"),
    };
    if label.len() <= LABEL_LENGTH_MAX { label } else { node.to_string() }
}

/// Longest label, in bytes (RFC 1035 section 2.3.4).
const LABEL_LENGTH_MAX: usize = 63;

#[cfg(test)]
mod tests;
