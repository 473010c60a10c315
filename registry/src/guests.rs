//! The guests of all members by host: an index over the [`Registry`](crate::Registry), kept as records come and go.
//!
//! It holds what records say, whoever said it. Whether a guest counts, and has an IPv4 address, is judged when it is asked for, by
//! the credentials of that moment.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use wire::address::guest_ipv6_address;
use wire::record::{Content, Key};
use wire::{Claims, GuestKey, Kind, Name, NodeId};

/// A guest as its host's record states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// By which its host knows it.
    pub key: GuestKey,
    /// The IPv4 address that it has or wishes for.
    pub ipv4: Option<Ipv4Addr>,
}

/// A guest, as the network sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneGuest {
    /// Name of the guest.
    pub name: Name,
    /// The member that answers for it.
    pub host: NodeId,
    /// How that is called.
    pub host_name: Name,
    /// By which its host knows it.
    pub key: GuestKey,
    /// Its IPv4 mesh address, once an admin has given its host one.
    pub v4: Option<Ipv4Addr>,
    /// And the other one.
    pub v6: Ipv6Addr,
}

/// Who has which guests.
#[derive(Debug, Default)]
pub struct Guests {
    hosts: BTreeMap<NodeId, BTreeMap<Name, Guest>>,
}

impl Guests {
    /// Takes what a record says that has become the latest of its key; whether anything is different now.
    pub fn handle_record(&mut self, content: &Content) -> bool {
        match content {
            Content::Guest { host, name, key, ipv4 } => {
                let guest = Guest { key: *key, ipv4: *ipv4 };
                let guests = self.hosts.entry(*host).or_default();
                guests.insert(name.clone(), guest) != Some(guest)
            }
            Content::Withdrawn { key } => self.handle_end(key),
            Content::Member { .. }
            | Content::Revocation { .. }
            | Content::Reissue { .. }
            | Content::LinkState { .. }
            | Content::Service { .. }
            | Content::Claim { .. }
            | Content::Confirmation { .. }
            | Content::Epoch { .. }
            | Content::Policy { .. }
            | Content::Routes { .. } => false,
        }
    }

    /// Takes that the record of a key has ended; whether anything is different now.
    pub fn handle_end(&mut self, key: &Key) -> bool {
        let (Kind::Guest, Ok(name)) = (key.kind, key.name.parse::<Name>()) else { return false };
        let Some(guests) = self.hosts.get_mut(&key.owner) else { return false };
        let was_there = guests.remove(&name).is_some();
        if guests.is_empty() {
            self.hosts.remove(&key.owner);
        }
        was_there
    }

    /// Takes that a node is no member any more; whether it had guests.
    pub fn forget_host(&mut self, node: &NodeId) -> bool {
        self.hosts.remove(node).is_some()
    }

    /// The guests of all hosts.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Name, &Guest)> {
        self.hosts
            .iter()
            .flat_map(|(host, guests)| guests.iter().map(move |(name, guest)| (*host, name, guest)))
    }

    /// The guests of one host.
    pub fn of_host(&self, host: &NodeId) -> impl Iterator<Item = (&Name, &Guest)> {
        self.hosts.get(host).into_iter().flatten()
    }

    /// The hosts that have guests.
    pub fn hosts(&self) -> impl Iterator<Item = NodeId> {
        self.hosts.keys().copied()
    }

    /// Those whose hosts are members, by name; of one name that of the host whose credential began earliest comes first, as with
    /// claims to services.
    pub fn by_name<'a>(
        &self,
        credentials: impl Fn(&NodeId) -> Option<&'a Claims>,
    ) -> BTreeMap<Name, Vec<ZoneGuest>> {
        let mut hosts: Vec<&Claims> = self.hosts.keys().filter_map(credentials).collect();
        hosts.sort_unstable_by_key(|claims| (claims.not_before_s, claims.node));
        let mut all: BTreeMap<Name, Vec<ZoneGuest>> = BTreeMap::new();
        for claims in hosts {
            for (name, guest) in self.of_host(&claims.node) {
                all.entry(name.clone()).or_default().push(guest.seen(name, claims));
            }
        }
        all
    }
}

impl Guest {
    /// The guest behind the member with these credentials. Its IPv4 address counts if they say that it is the member's to give.
    #[must_use]
    pub fn seen(&self, name: &Name, host: &Claims) -> ZoneGuest {
        ZoneGuest {
            name: name.clone(),
            host: host.node,
            host_name: host.name.clone(),
            key: self.key,
            v4: self.ipv4.filter(|address| host.guest_blocks().any(|block| block.contains(address))),
            v6: guest_ipv6_address(&host.network, &host.node, &self.key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{NetworkId, NoisePublicKey, Roles};

    fn claims(id: u8, since_s: u64, prefixes: &[&str]) -> Claims {
        Claims {
            network: NetworkId([7; 16]),
            node: NodeId([id; 32]),
            noise_key: NoisePublicKey([id; 32]),
            name: format!("host{id}").parse().unwrap(),
            ipv4: "10.7.0.1/16".parse().unwrap(),
            prefixes: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
            tags: vec![],
            services: vec![],
            roles: Roles::default(),
            serial: 1,
            not_before_s: since_s,
            expires_s: since_s + 1,
        }
    }

    fn guest(host: u8, name: &str, ipv4: &str) -> Content {
        let ipv4 = Some(ipv4.parse().unwrap());
        Content::Guest { host: NodeId([host; 32]), name: name.parse().unwrap(), key: GuestKey([5; 32]), ipv4 }
    }

    #[test]
    fn a_name_means_the_guest_of_the_older_member_and_addresses_come_from_credentials() {
        let mut guests = Guests::default();
        let (old, young) = (claims(2, 10, &["10.7.9.0/28", "192.168.1.0/24"]), claims(1, 20, &[]));
        assert!(guests.handle_record(&guest(1, "phone", "10.7.9.3")));
        assert!(guests.handle_record(&guest(2, "phone", "10.7.9.3")));
        assert!(!guests.handle_record(&guest(2, "phone", "10.7.9.3")), "said before");
        assert!(guests.handle_record(&guest(2, "tablet", "192.168.1.3")));
        assert!(guests.handle_record(&guest(3, "stranger", "10.7.9.4")));
        let all = guests.by_name(|node| [&old, &young].into_iter().find(|claims| claims.node == *node));
        let phones: Vec<_> = all[&"phone".parse().unwrap()].iter().map(|g| (g.host.0[0], g.v4)).collect();
        assert_eq!(phones, [(2, Some(Ipv4Addr::new(10, 7, 9, 3))), (1, None)]);
        let tablet = &all[&"tablet".parse().unwrap()][0];
        assert_eq!(tablet.v4, None, "a routed subnet is no place for guests");
        assert_ne!(tablet.v6, guests.by_name(|_| Some(&young))[&"phone".parse().unwrap()][0].v6);
        assert_eq!(all.len(), 2, "a guest of no member is none");
    }

    #[test]
    fn who_goes_takes_its_guests_along() {
        let mut guests = Guests::default();
        guests.handle_record(&guest(1, "phone", "10.7.9.3"));
        guests.handle_record(&guest(1, "tablet", "10.7.9.4"));
        let key = wire::record::key_of_guest(NodeId([1; 32]), &"phone".parse().unwrap());
        assert!(guests.handle_record(&Content::Withdrawn { key: key.clone() }) && !guests.handle_end(&key));
        assert_eq!(guests.iter().count(), 1);
        assert!(guests.forget_host(&NodeId([1; 32])) && !guests.forget_host(&NodeId([1; 32])));
        assert_eq!((guests.iter().count(), guests.hosts().count()), (0, 0));
    }
}
