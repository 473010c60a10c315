//! The route table: prefix → node, asked for every packet.
//!
//! Built once, then shared as part of a snapshot; a look-up takes no lock and allocates nothing.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use std::fmt;
use std::net::IpAddr;

/// Longest prefix match over IPv4 and IPv6. `T` says who has the prefix.
#[derive(Clone)]
pub struct RouteTable<T> {
    ipv4: PrefixMap<Ipv4Net, T>,
    ipv6: PrefixMap<Ipv6Net, T>,
}

impl<T: Copy> RouteTable<T> {
    /// A table without routes.
    #[must_use]
    pub fn new() -> Self {
        Self { ipv4: PrefixMap::new(), ipv6: PrefixMap::new() }
    }

    /// Adds a route and returns whom the same prefix led to before. Host bits of the prefix mean nothing.
    pub fn insert(&mut self, prefix: IpNet, to: T) -> Option<T> {
        match prefix {
            IpNet::V4(prefix) => self.ipv4.insert(prefix, to),
            IpNet::V6(prefix) => self.ipv6.insert(prefix, to),
        }
    }

    /// Whom the longest prefix that holds `address` leads to.
    ///
    /// A v4-mapped IPv6 address matches nothing, not even `::/0`: it would be IPv4 past the rules for IPv4.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Option<T> {
        match address {
            IpAddr::V4(address) => self.ipv4.get_lpm(&address.into()).map(|(_, to)| *to),
            IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => None,
            IpAddr::V6(address) => self.ipv6.get_lpm(&address.into()).map(|(_, to)| *to),
        }
    }

    /// The source check: whether a packet with this inner source may come from `peer`.
    ///
    /// Only the owner of the longest prefix may: a peer with a short prefix cannot speak for a longer one's owner.
    #[must_use]
    pub fn permits(&self, source: IpAddr, peer: T) -> bool
    where
        T: PartialEq,
    {
        self.lookup(source) == Some(peer)
    }

    /// Routes in order, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, T)> + '_ {
        let ipv4 = self.ipv4.iter().map(|(prefix, to)| (IpNet::V4(prefix), *to));
        let ipv6 = self.ipv6.iter().map(|(prefix, to)| (IpNet::V6(prefix), *to));
        ipv4.chain(ipv6)
    }

    /// Number of routes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ipv4.len() + self.ipv6.len()
    }

    /// Whether there is no route.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Copy> Default for RouteTable<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy> FromIterator<(IpNet, T)> for RouteTable<T> {
    fn from_iter<I: IntoIterator<Item = (IpNet, T)>>(routes: I) -> Self {
        let mut table = Self::new();
        for (prefix, to) in routes {
            table.insert(prefix, to);
        }
        table
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for RouteTable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;
    use std::collections::BTreeMap;
    use std::net::Ipv6Addr;

    fn table(routes: &[(&str, u32)]) -> RouteTable<u32> {
        routes.iter().map(|(prefix, to)| (prefix.parse().unwrap(), *to)).collect()
    }

    #[test]
    fn the_longest_prefix_leads() {
        let table = table(&[
            ("10.0.0.0/8", 1),
            ("10.1.0.0/16", 2),
            ("10.1.2.3/32", 3),
            ("fd00::/48", 4),
            ("fd00::5/128", 5),
        ]);
        for (address, to) in [
            ("10.2.0.1", Some(1)),
            ("10.1.2.2", Some(2)),
            ("10.1.2.3", Some(3)),
            ("11.0.0.1", None),
            ("fd00::4", Some(4)),
            ("fd00::5", Some(5)),
            ("fd00:0:1::5", None),
        ] {
            assert_eq!(table.lookup(address.parse().unwrap()), to, "{address}");
        }
    }

    #[test]
    fn inserting_again_replaces_whatever_the_host_bits_say() {
        let mut table = table(&[("10.1.0.0/16", 1)]);
        assert_eq!(table.insert("10.1.2.3/16".parse().unwrap(), 2), Some(1));
        assert_eq!(table.len(), 1);
        assert_eq!(table.iter().collect::<Vec<_>>(), [("10.1.0.0/16".parse().unwrap(), 2)]);
        assert_eq!(format!("{table:?}"), "{10.1.0.0/16: 2}");
    }

    #[test]
    fn mapped_addresses_match_nothing() {
        let table = table(&[("0.0.0.0/0", 1), ("::/0", 2), ("::ffff:0:0/96", 3), ("::ffff:10.0.0.1/128", 4)]);
        assert_eq!(table.lookup("::ffff:10.0.0.1".parse().unwrap()), None);
        assert!(!table.permits("::ffff:10.0.0.1".parse().unwrap(), 1));
        assert_eq!(table.lookup("::fffe:10.0.0.1".parse().unwrap()), Some(2));
        assert_eq!(table.lookup("10.0.0.1".parse().unwrap()), Some(1));
    }

    #[test]
    fn a_source_belongs_to_one_peer() {
        let table = table(&[("10.1.0.0/16", 1), ("10.1.2.3/32", 2)]);
        assert!(table.permits("10.1.9.9".parse().unwrap(), 1));
        assert!(table.permits("10.1.2.3".parse().unwrap(), 2));
        assert!(!table.permits("10.1.2.3".parse().unwrap(), 1), "inside its prefix, but another's");
        assert!(!table.permits("10.2.0.1".parse().unwrap(), 1), "nobody's");
    }

    #[test]
    fn agrees_with_a_naive_search() {
        let mut random = Random::new(5);
        for _ in 0..200 {
            let mut naive = BTreeMap::new();
            let mut table = RouteTable::new();
            for to in 0..random.below(40) {
                let prefix = random.prefix();
                assert_eq!(table.insert(prefix, to), naive.insert(prefix.trunc(), to));
            }
            assert_eq!(table.len(), naive.len());
            assert!(table.iter().eq(naive.iter().map(|(prefix, to)| (*prefix, *to))), "in order");
            for _ in 0..200 {
                let address = random.prefix().addr();
                let best = naive.iter().filter(|(prefix, _)| prefix.contains(&address));
                let best = best.max_by_key(|(prefix, _)| prefix.prefix_len()).map(|(_, to)| *to);
                assert_eq!(table.lookup(address), best, "{address} in {table:?}");
            }
        }
    }

    #[test]
    fn default_routes_and_single_addresses_are_routes_too() {
        let all = table(&[("0.0.0.0/0", 1), ("::/0", 2), ("255.255.255.255/32", 3)]);
        assert_eq!(all.lookup(Ipv6Addr::from(u128::MAX).into()), Some(2));
        assert_eq!(all.lookup("255.255.255.255".parse().unwrap()), Some(3));
        assert_eq!(RouteTable::<u32>::new().lookup("10.0.0.1".parse().unwrap()), None);
        assert!(RouteTable::<u32>::new().is_empty());
    }

    #[test]
    fn is_shared_between_threads() {
        fn shared<T: Send + Sync>(_: &T) {}
        shared(&table(&[]));
    }
}
