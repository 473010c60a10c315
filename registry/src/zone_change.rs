//! What is new in a zone: the difference of two of them, for whoever watches services.
//!
//! Round trips and the order of instances are no news: they change with every probe.

use std::collections::BTreeMap;

use wire::service::Version;
use wire::{Name, NodeId};

use crate::zone::{Instance, Zone, ZoneService};

/// One change of a service name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneChange<'a> {
    /// The name.
    pub service: &'a Name,
    /// What became of it.
    pub kind: ZoneChangeKind<'a>,
}

/// What can become of a service name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneChangeKind<'a> {
    /// It has an owner, or another one.
    Owned(NodeId),
    /// It has no owner any more.
    Released,
    /// An instance came.
    Added(&'a Instance),
    /// An instance says something else of itself.
    Changed(&'a Instance),
    /// An instance went; this is what it last said.
    Removed(&'a Instance),
}

/// What has to be told to make `after` of `before`, by name: first the owner, then what went, came and changed.
#[must_use]
pub fn changes<'a>(before: &'a Zone, after: &'a Zone) -> Vec<ZoneChange<'a>> {
    let mut changes = Vec::new();
    let gone = before.services.iter().filter(|(name, _)| !after.services.contains_key(*name));
    for (service, old) in gone {
        let removed = old.instances.iter().map(ZoneChangeKind::Removed);
        let kinds = removed.chain([ZoneChangeKind::Released]);
        changes.extend(kinds.map(|kind| ZoneChange { service, kind }));
    }
    for (service, new) in &after.services {
        let kinds = service_changes(before.services.get(service), new);
        changes.extend(kinds.into_iter().map(|kind| ZoneChange { service, kind }));
    }
    // A stable sort: the order within a name stays.
    changes.sort_by_key(|change| change.service);
    changes
}

fn service_changes<'a>(old: Option<&'a ZoneService>, new: &'a ZoneService) -> Vec<ZoneChangeKind<'a>> {
    let mut kinds = Vec::new();
    if old.is_none_or(|old| old.owner != new.owner) {
        kinds.push(ZoneChangeKind::Owned(new.owner));
    }
    let (before, after) = (old.map(by_identity).unwrap_or_default(), by_identity(new));
    let gone = before.iter().filter(|(identity, _)| !after.contains_key(identity));
    kinds.extend(gone.map(|(_, instance)| ZoneChangeKind::Removed(instance)));
    for (identity, instance) in after {
        match before.get(&identity) {
            None => kinds.push(ZoneChangeKind::Added(instance)),
            Some(earlier) if !says_the_same(earlier, instance) => {
                kinds.push(ZoneChangeKind::Changed(instance));
            }
            Some(_) => {}
        }
    }
    kinds
}

/// A node publishes one instance of a name and version.
fn by_identity(service: &ZoneService) -> BTreeMap<(NodeId, Option<&Version>), &Instance> {
    service.instances.iter().map(|instance| ((instance.node, instance.version.as_ref()), instance)).collect()
}

/// Whether two states of an instance differ in nothing but the way to it.
fn says_the_same(a: &Instance, b: &Instance) -> bool {
    // Taken apart, so that a new field is not forgotten here.
    let Instance {
        node,
        node_name,
        v4,
        v6,
        version,
        protocol,
        port,
        labels,
        is_healthy,
        round_trip: _,
        ttl_s,
    } = a;
    (*node, *v4, *v6, *protocol, *port, *is_healthy, *ttl_s)
        == (b.node, b.v4, b.v6, b.protocol, b.port, b.is_healthy, b.ttl_s)
        && (node_name, version, labels) == (&b.node_name, &b.version, &b.labels)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    use wire::service::Protocol;

    use super::*;
    use crate::claim::Title;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn node(number: u8) -> NodeId {
        NodeId([number; NodeId::LENGTH])
    }

    fn instance(number: u8, version: &str) -> Instance {
        Instance {
            node: node(number),
            node_name: name(&format!("n{number}")),
            v4: Ipv4Addr::new(10, 7, 0, number),
            v6: Ipv6Addr::LOCALHOST,
            version: Some(version.parse().unwrap()),
            protocol: Protocol::Tcp,
            port: 80,
            labels: BTreeMap::new(),
            is_healthy: true,
            round_trip: None,
            ttl_s: 60,
        }
    }

    fn zone<const N: usize>(services: [(&str, u8, Vec<Instance>); N]) -> Zone {
        let service = |(text, owner, instances): (&str, u8, Vec<Instance>)| {
            (name(text), ZoneService { owner: node(owner), title: Title::Claimed, instances })
        };
        Zone { services: services.into_iter().map(service).collect(), ..Zone::empty(name("home"), node(1)) }
    }

    fn kinds<'a>(changes: &[ZoneChange<'a>]) -> Vec<ZoneChangeKind<'a>> {
        changes.iter().map(|change| change.kind).collect()
    }

    #[test]
    fn the_present_state_is_the_difference_to_an_empty_zone() {
        let empty = zone([]);
        let full = zone([("db", 2, vec![]), ("web", 1, vec![instance(2, "1"), instance(1, "1")])]);
        let first = instance(1, "1");
        let second = instance(2, "1");
        assert_eq!(
            changes(&empty, &full),
            [
                ZoneChange { service: &name("db"), kind: ZoneChangeKind::Owned(node(2)) },
                ZoneChange { service: &name("web"), kind: ZoneChangeKind::Owned(node(1)) },
                ZoneChange { service: &name("web"), kind: ZoneChangeKind::Added(&first) },
                ZoneChange { service: &name("web"), kind: ZoneChangeKind::Added(&second) },
            ]
        );
        assert_eq!(changes(&full, &full), []);
        assert_eq!(
            kinds(&changes(&full, &empty)),
            [
                ZoneChangeKind::Released,
                ZoneChangeKind::Removed(&second),
                ZoneChangeKind::Removed(&first),
                ZoneChangeKind::Released,
            ]
        );
    }

    #[test]
    fn health_is_news_and_the_way_there_is_none() {
        let before = zone([("web", 1, vec![instance(1, "1"), instance(2, "1")])]);
        let nearer = Instance { round_trip: Some(Duration::from_millis(1)), ..instance(2, "1") };
        assert_eq!(changes(&before, &zone([("web", 1, vec![nearer, instance(1, "1")])])), []);
        let sick = Instance { is_healthy: false, ..instance(2, "1") };
        let after = zone([("web", 1, vec![instance(1, "1"), sick.clone()])]);
        assert_eq!(kinds(&changes(&before, &after)), [ZoneChangeKind::Changed(&sick)]);
    }

    #[test]
    fn versions_are_instances_of_their_own_and_owners_change() {
        let before = zone([("web", 1, vec![instance(1, "1")])]);
        let after = zone([("web", 2, vec![instance(1, "2")])]);
        let (old, new) = (instance(1, "1"), instance(1, "2"));
        assert_eq!(
            kinds(&changes(&before, &after)),
            [ZoneChangeKind::Owned(node(2)), ZoneChangeKind::Removed(&old), ZoneChangeKind::Added(&new)]
        );
    }
}
