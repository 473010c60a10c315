//! How the zone is made of members, claims and instances.

use super::{Holding, Services};
use crate::guests::Guests;
use crate::limits::ANSWER_TTL_S_MAX;
use crate::zone::{Instance, Zone, ZoneNode, ZoneService};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use wire::service::Version;
use wire::{Claims, Name, NodeId};

/// What the zone depends on besides services.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Name of the network.
    pub network: &'a Name,
    /// The node that looks.
    pub own: NodeId,
    /// Credentials of all members, itself included.
    pub members: &'a BTreeMap<NodeId, &'a Claims>,
    /// Guests of members.
    pub guests: &'a Guests,
    /// Round trips to other nodes, as far as they are known.
    pub round_trips: &'a BTreeMap<NodeId, Duration>,
}

/// Lets the addresses of guests mean them, as far as their names do.
fn name_guests(zone: &mut Zone) {
    let mut named = vec![];
    for guest in zone.guests.keys().filter_map(|name| zone.guest(name, None)) {
        let addresses = guest.v4.map(IpAddr::V4).into_iter().chain([IpAddr::V6(guest.v6)]);
        named.extend(addresses.map(|address| (address, guest.name.clone())));
    }
    for (address, name) in named {
        zone.addresses.entry(address).or_insert(name);
    }
}

impl Services {
    /// The zone at this moment, but for its serial.
    pub fn zone(&mut self, around: Surroundings<'_>) -> Zone {
        let mut zone = Zone::empty(around.network.clone(), around.own);
        let mut members: Vec<&Claims> = around.members.values().copied().collect();
        // Of two that have one name or address the lower serial keeps it.
        members.sort_unstable_by_key(|claims| (claims.serial, claims.node));
        for claims in members {
            let node = ZoneNode { node: claims.node, v4: claims.ipv4.addr(), v6: claims.ipv6() };
            for address in [IpAddr::V4(node.v4), IpAddr::V6(node.v6)] {
                zone.addresses.entry(address).or_insert_with(|| claims.name.clone());
            }
            zone.nodes.entry(claims.name.clone()).or_insert(node);
        }
        let credentials = |node: &NodeId| around.members.get(node).copied();
        let mut chosen = BTreeMap::new();
        for name in self.claims.keys().filter(|name| !zone.nodes.contains_key(*name)) {
            let Some(holding) = self.holding(name, credentials) else { continue };
            let mut instances = self.instances(name, holding, around);
            self.order(name, &mut instances, &mut chosen);
            let (owner, title) = (holding.holder.node, holding.holder.title());
            zone.services.insert(name.clone(), ZoneService { owner, title, instances });
        }
        self.chosen = chosen;
        zone.guests = around.guests.by_name(credentials);
        name_guests(&mut zone);
        zone
    }

    /// The zone with one service and the nodes that have to do with it, or without any; but for its serial.
    pub fn zone_of(&mut self, name: Option<&Name>, around: Surroundings<'_>) -> Zone {
        let mut zone = Zone::empty(around.network.clone(), around.own);
        for claims in around.members.values() {
            let node = ZoneNode { node: claims.node, v4: claims.ipv4.addr(), v6: claims.ipv6() };
            zone.nodes.insert(claims.name.clone(), node);
        }
        let credentials = |node: &NodeId| around.members.get(node).copied();
        let Some(name) = name else { return zone };
        let Some(holding) = self.holding(name, credentials) else { return zone };
        let (mut instances, mut chosen) = (self.instances(name, holding, around), BTreeMap::new());
        self.order(name, &mut instances, &mut chosen);
        let (owner, title) = (holding.holder.node, holding.holder.title());
        zone.services.insert(name.clone(), ZoneService { owner, title, instances });
        self.chosen.extend(chosen);
        zone
    }

    /// The instances that count, the nearest first.
    fn instances(&self, name: &Name, holding: Holding<'_>, around: Surroundings<'_>) -> Vec<Instance> {
        let offers = self.offers.get(name).into_iter().flatten();
        let instance = |((node, version), offer): (&(NodeId, Option<Version>), &super::Offer)| {
            let claims = around.members.get(node).filter(|claims| holding.admits(claims, name))?;
            let round_trip = if *node == around.own {
                Some(Duration::ZERO)
            } else {
                around.round_trips.get(node).copied()
            };
            Some(Instance {
                node: *node,
                node_name: claims.name.clone(),
                v4: claims.ipv4.addr(),
                v6: claims.ipv6(),
                version: version.clone(),
                protocol: offer.protocol,
                port: offer.port,
                labels: offer.labels.clone(),
                is_healthy: offer.is_healthy,
                round_trip,
                ttl_s: offer.ttl_s.min(ANSWER_TTL_S_MAX),
            })
        };
        let mut instances: Vec<Instance> = offers.filter_map(instance).collect();
        let far = |instance: &Instance| (instance.round_trip.is_none(), instance.round_trip);
        instances.sort_by(|a, b| {
            (!a.is_healthy, far(a), a.node, &a.version).cmp(&(!b.is_healthy, far(b), b.node, &b.version))
        });
        instances
    }

    /// Puts the instances in use before others that are well, and notes which they are: of each version the one that was
    /// in use before, or the nearest one that is known to be reached.
    fn order(
        &self,
        name: &Name,
        instances: &mut [Instance],
        chosen: &mut BTreeMap<(Name, Option<Version>), NodeId>,
    ) {
        for instance in instances.iter().filter(|instance| instance.is_healthy) {
            let service = (name.clone(), instance.version.clone());
            if self.chosen.get(&service) == Some(&instance.node) {
                chosen.insert(service, instance.node);
            } else if instance.round_trip.is_some() && !self.stays(&service, instances) {
                chosen.entry(service).or_insert(instance.node);
            }
        }
        let is_chosen = |i: &Instance| chosen.get(&(name.clone(), i.version.clone())) == Some(&i.node);
        instances.sort_by_cached_key(|instance| (!instance.is_healthy, !is_chosen(instance)));
    }

    /// Whether the instance in use of a service goes on being that.
    fn stays(&self, service: &(Name, Option<Version>), instances: &[Instance]) -> bool {
        self.chosen.get(service).is_some_and(|node| {
            instances.iter().any(|i| i.is_healthy && i.node == *node && i.version == service.1)
        })
    }
}
