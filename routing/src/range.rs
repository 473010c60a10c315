//! Which range a network has, and which address in it a node gets.
//!
//! Pure arithmetic: the routes of the machine and the seed come from the caller. Two networks that never
//! heard of each other should rarely choose alike, since a machine may join both: hence the seed.

use crate::Taken;
use ipnet::{IpNet, Ipv4Net};
use std::net::Ipv4Addr;

/// Routes shorter than this are catch-alls (`0.0.0.0/0`, or the two halves that a VPN sets in its place):
/// they overlap everything, and any range of ours is more specific.
const ROUTE_LENGTH_MIN: u8 = 8;

/// Second octets of 10.0.0.0/8 that other software or home routers like: cloud networks (0, 1, 128, 132), OpenVPN (8),
/// `WireGuard` how-tos (6, 7, 9, 66), offices (10, 20, 50, 100), Kubernetes and its kin (32, 42, 43, 85, 88, 96, 152,
/// 217, 233, 244), Docker Swarm (255).
const POPULAR_10: [u8; 27] = [
    0, 1, 2, 5, 6, 7, 8, 9, 10, 20, 32, 42, 43, 50, 66, 85, 88, 96, 100, 128, 132, 152, 200, 217, 233, 244,
    255,
];
/// Second octets of 172.16.0.0/12: offices (16), Docker (17 and the ones after it), Amazon's default (31).
const POPULAR_172: [u8; 7] = [16, 17, 18, 19, 20, 21, 31];
/// Third octets of 192.168.0.0/16: home routers, telephones as access points (42, 43), virtual machines (56, 122),
/// Windows connection sharing (137).
const POPULAR_192: [u8; 22] =
    [0, 1, 2, 3, 4, 8, 10, 11, 15, 20, 30, 31, 42, 43, 49, 50, 56, 86, 88, 100, 122, 137];

/// Why there is no range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Every candidate overlaps a route.
    #[error(
        "every private IPv4 range overlaps a route of this machine: set `ipv4_range` in the configuration to one that \
         you can spare"
    )]
    Exhausted,
}

/// Why there is no address, or not the wished one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The wish is not of this network.
    #[error("{address} is not in this network's range {range}: choose an address inside it")]
    OutsideRange {
        /// What was wished for.
        address: Ipv4Addr,
        /// Where addresses come from.
        range: Ipv4Net,
    },
    /// The wish is the range's own network or broadcast address.
    #[error("{address} is the network or broadcast address of {range}: choose one between them")]
    Reserved {
        /// What was wished for.
        address: Ipv4Addr,
        /// Where addresses come from.
        range: Ipv4Net,
    },
    /// The wish is another node's.
    #[error("{address} is taken: choose another address in {range}, or name none to get a free one")]
    Taken {
        /// What was wished for.
        address: Ipv4Addr,
        /// Where addresses come from.
        range: Ipv4Net,
    },
    /// Nothing is left.
    #[error("no address is free in {range}: revoke a node that is no longer needed")]
    Full {
        /// Where addresses come from.
        range: Ipv4Net,
    },
}

/// Chooses the IPv4 range of a new network: one that overlaps none of this machine's routes.
///
/// Candidates are 10.x.0.0/16, then 172.16–31.0.0/16, then 192.168.x.0/24, each in an order that `seed` settles;
/// ranges that other software or home routers like come last. Never 100.64.0.0/10, which belongs to providers and to
/// other overlays. Catch-all routes (shorter than /8) and IPv6 routes are no obstacle.
///
/// # Errors
/// [`RangeError::Exhausted`] when nothing is left.
pub fn choose_ipv4_range(routes: &[IpNet], seed: u64) -> Result<Ipv4Net, RangeError> {
    candidates(seed).into_iter().find(|range| !overlaps(routes, *range)).ok_or(RangeError::Exhausted)
}

/// Whether a range overlaps any of these routes, catch-alls aside.
fn overlaps(routes: &[IpNet], range: Ipv4Net) -> bool {
    routes.iter().any(|route| match route {
        IpNet::V4(route) if route.prefix_len() >= ROUTE_LENGTH_MIN => {
            route.contains(&range) || range.contains(route)
        }
        IpNet::V4(_) | IpNet::V6(_) => false,
    })
}

/// All ranges in the order in which they are tried.
fn candidates(seed: u64) -> Vec<Ipv4Net> {
    let mut order = Order(seed);
    let tens = order.shuffled(0..=255, |x| (Ipv4Addr::new(10, x, 0, 0), 16));
    let middle = order.shuffled(16..=31, |x| (Ipv4Addr::new(172, x, 0, 0), 16));
    let small = order.shuffled(0..=255, |x| (Ipv4Addr::new(192, 168, x, 0), 24));
    let (popular, rare): (Vec<_>, Vec<_>) =
        [tens, middle, small].concat().into_iter().partition(|range| is_popular(*range));
    [rare, popular].concat()
}

fn is_popular(range: Ipv4Net) -> bool {
    match range.addr().octets() {
        [10, x, ..] => POPULAR_10.contains(&x),
        [172, x, ..] => POPULAR_172.contains(&x),
        [_, _, x, _] => POPULAR_192.contains(&x),
    }
}

/// A seeded sequence of numbers (`SplitMix64`): spreads choices, keeps no secrets.
struct Order(u64);

impl Order {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One range per octet, in seeded order.
    fn shuffled(
        &mut self,
        octets: std::ops::RangeInclusive<u8>,
        range: impl Fn(u8) -> (Ipv4Addr, u8),
    ) -> Vec<Ipv4Net> {
        let mut keyed: Vec<_> = octets.map(|octet| (self.next(), range(octet))).collect();
        keyed.sort_unstable();
        let net =
            |(_, (address, length))| Ipv4Net::new(address, length).expect("16 and 24 are valid lengths");
        keyed.into_iter().map(net).collect()
    }
}

/// Picks a node's address in the network's range: the wished one, or the lowest that is free.
///
/// What lies in a block for guests is taken. Network and broadcast address are nobody's, except in a /31 or /32, which have none (RFC 3021).
///
/// # Errors
/// [`AddressError`], which names the range and says what to do.
pub fn allocate_ipv4(
    range: Ipv4Net,
    taken: &Taken,
    wish: Option<Ipv4Addr>,
) -> Result<Ipv4Addr, AddressError> {
    let range = range.trunc();
    let Some(address) = wish else {
        return range.hosts().find(|address| !taken.holds(address)).ok_or(AddressError::Full { range });
    };
    if !range.contains(&address) {
        return Err(AddressError::OutsideRange { address, range });
    }
    if !is_host(range, address) {
        return Err(AddressError::Reserved { address, range });
    }
    if taken.holds(&address) {
        return Err(AddressError::Taken { address, range });
    }
    Ok(address)
}

/// Whether a node can have an address of a range: neither the first nor the last one, except in a /31 or /32 (RFC 3021).
#[must_use]
pub fn is_host(range: Ipv4Net, address: Ipv4Addr) -> bool {
    let is_edge = address == range.network() || address == range.broadcast();
    range.contains(&address) && !(is_edge && range.prefix_len() < 31)
}

#[cfg(test)]
mod tests;
