//! The zone: what names mean at this moment, seen from one node. DNS, command line and control API are views of it.
//!
//! It is a value: whoever has one may ask it without a lock while the next one is made.

use crate::claim::Title;
use crate::guests::ZoneGuest;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use wire::service::{Protocol, Version};
use wire::{Name, NodeId, Part, Position};

/// What names mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// The network, whose name ends all others.
    pub network: Name,
    /// The node that sees it so.
    pub own: NodeId,
    /// Grows with every change: the serial of the SOA record (RFC 1035 section 3.3.13).
    pub serial: u32,
    /// Members by name; of two that have one name, the one that holds it.
    pub nodes: BTreeMap<Name, ZoneNode>,
    /// Services by name, of all versions.
    pub services: BTreeMap<Name, ZoneService>,
    /// Guests by name; of one name first the one that it means, if no node and no service is called so.
    pub guests: BTreeMap<Name, Vec<ZoneGuest>>,
    /// Whose a mesh address is.
    pub addresses: BTreeMap<IpAddr, Name>,
    /// The part of key space of which all services are in it: of others it has those that were asked for.
    pub known: Part,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneNode {
    /// Its id.
    pub node: NodeId,
    /// Its mesh address.
    pub v4: Ipv4Addr,
    /// And the other one.
    pub v6: Ipv6Addr,
}

/// A service name: there while somebody owns it, with or without instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneService {
    /// Whose the name is.
    pub owner: NodeId,
    /// Why it is.
    pub title: Title,
    /// Those that may be used, and those that are not well: healthy ones first, of them the one in use, then by round trip.
    pub instances: Vec<Instance>,
}

/// One instance of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Who publishes it.
    pub node: NodeId,
    /// How that is called.
    pub node_name: Name,
    /// Its mesh addresses.
    pub v4: Ipv4Addr,
    /// And the other one.
    pub v6: Ipv6Addr,
    /// With the name, which service it is an instance of.
    pub version: Option<Version>,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it listens.
    pub port: u16,
    /// What it says of itself, for selection.
    pub labels: BTreeMap<String, String>,
    /// Whether it is well, as its publisher says.
    pub is_healthy: bool,
    /// Round trip to its node as far as it is known; to our own it is zero.
    pub round_trip: Option<Duration>,
    /// How long an answer may be kept, in seconds.
    pub ttl_s: u32,
}

impl Zone {
    /// A zone without any name.
    #[must_use]
    pub fn empty(network: Name, own: NodeId) -> Self {
        Self {
            network,
            own,
            serial: 1,
            nodes: BTreeMap::new(),
            services: BTreeMap::new(),
            guests: BTreeMap::new(),
            addresses: BTreeMap::new(),
            known: Part::WHOLE,
        }
    }
}

impl Zone {
    /// The guest that a name means by itself, or behind its host.
    #[must_use]
    pub fn guest(&self, name: &Name, host: Option<&Name>) -> Option<&ZoneGuest> {
        let mut all = self.guests.get(name)?.iter();
        match host {
            Some(host) => all.find(|guest| guest.host_name == *host),
            None if self.nodes.contains_key(name) || self.services.contains_key(name) => None,
            None => all.next(),
        }
    }

    /// Whether a service that is not in it is nowhere: else it has to be asked for.
    #[must_use]
    pub fn knows(&self, service: &Name) -> bool {
        self.services.contains_key(service)
            || self.nodes.contains_key(service)
            || self.guests.contains_key(service)
            || self.known.covers(Position::of_name(service.as_str()))
    }
}

impl ZoneService {
    /// Instances that are well, the nearest first.
    pub fn healthy(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|instance| instance.is_healthy)
    }
}
