//! Tables: the immutable snapshot by which workers decide without asking the Node.
//!
//! The Node publishes a new snapshot whenever a route, a session, a path or an invite changes. Look-ups
//! take a prefix or an index to a position in a vector: no hash, no lock.

use crate::forwarding::{ExitShare, Labels};
use crate::gates::Gates;
use crate::hint_gate::HintGate;
use crate::session::Session;
use ipnet::IpNet;
use nat::{Mtu, Remote};
use routing::RouteTable;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use wire::InviteId;
use wire::address::is_internet;

/// Bits of a session index that are a position in the table; the others are random, so that an index of an
/// earlier session, or a guessed one, does not fit.
const POSITION_BITS: u32 = 16;
/// Sessions that a node has at most.
pub(crate) const SESSIONS_MAX: usize = 1 << POSITION_BITS;

/// What workers and Node share about one peer.
#[derive(Debug, Default)]
pub struct PeerShared {
    /// Bytes of inner packets received.
    pub rx_bytes: AtomicU64,
    /// Bytes of inner packets sent.
    pub tx_bytes: AtomicU64,
    /// Inner packets received, each as it came in a datagram.
    pub rx_packets: AtomicU64,
    /// Inner packets sent: of a superpacket as many as were cut from it.
    pub tx_packets: AtomicU64,
    /// Set by a worker that has told the Node of a new remote address, cleared by the Node when it has looked.
    pub roam_told: AtomicBool,
}

impl PeerShared {
    /// Received and sent bytes.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.rx_bytes.load(Relaxed), self.tx_bytes.load(Relaxed))
    }

    /// Received and sent packets.
    #[must_use]
    pub fn packets(&self) -> (u64, u64) {
        (self.rx_packets.load(Relaxed), self.tx_packets.load(Relaxed))
    }

    /// The bytes, for the paths.
    pub(crate) fn traffic(&self) -> nat::Traffic {
        let (received, sent) = self.bytes();
        nat::Traffic { received, sent }
    }
}

/// What workers know of one peer.
#[derive(Debug, Clone)]
pub struct PeerRow {
    /// The session that seals; none while there is none.
    pub session: Option<Arc<Session>>,
    /// Where the peer is reached, if it is.
    pub remote: Option<Remote>,
    /// When that is a circuit: its first hop, and by which label that knows it.
    pub first_hop: Option<(Remote, u64)>,
    /// How long packets to it may be.
    pub mtu: Mtu,
    /// Counters.
    pub shared: Arc<PeerShared>,
}

/// Something for each family of the internet.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ByFamily<T> {
    /// For IPv4.
    pub v4: T,
    /// For IPv6.
    pub v6: T,
}

impl<T: Copy> ByFamily<T> {
    /// That of an address.
    pub fn of(&self, address: IpAddr) -> T {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// Which peer owns which address, and which addresses are ours.
#[derive(Debug, Default)]
pub struct Routes {
    /// Prefix to position of a peer.
    pub table: RouteTable<usize>,
    /// Our own mesh addresses.
    pub own: Vec<IpAddr>,
    /// Mesh addresses of our guests, and their positions.
    pub guests: BTreeMap<IpAddr, u32>,
    /// Subnets that we are a router for.
    pub served: Vec<IpNet>,
    /// Of a subnet the place of its routers in the next field.
    pub subnets: RouteTable<usize>,
    /// All routers of each subnet: packets go to one, and come from any.
    pub routers: Vec<Vec<usize>>,
    /// The network's own prefixes: nothing in them is of the internet, whatever addresses they are.
    pub network: Vec<IpNet>,
    /// Whether we are an exit: packets to the internet are for us, and packets from there are ours.
    pub is_exit: ByFamily<bool>,
    /// Shares of those that may use us as an exit, by position; nobody's when we are none, or have no rate.
    pub(crate) shares: Vec<Option<ExitShare>>,
    /// Position of the exit that we have chosen, for families that it offers.
    pub exit: ByFamily<Option<usize>>,
}

impl Routes {
    /// Whether an address is on our side: one of our own, in a subnet that we are a router for, or of the internet for which we
    /// are an exit.
    #[must_use]
    pub fn is_ours(&self, address: IpAddr) -> bool {
        self.own.contains(&address)
            || self.served.iter().any(|prefix| prefix.contains(&address))
            || self.is_beyond(address)
    }

    /// Whether an address is of the internet, for which we are an exit.
    #[inline]
    pub(crate) fn is_beyond(&self, address: IpAddr) -> bool {
        self.is_exit.of(address) && self.is_outside(address)
    }

    /// What the peer at a position may still send to the internet by us, and get from there; without a limit nothing.
    pub(crate) fn share(&self, peer: usize) -> Option<&ExitShare> {
        self.shares.get(peer)?.as_ref()
    }

    /// Who gets packets to an address, by position.
    #[inline]
    #[must_use]
    pub fn next(&self, destination: IpAddr) -> Option<usize> {
        let next = self.table.lookup(destination);
        next.or_else(|| self.exit.of(destination).filter(|_| self.is_outside(destination)))
    }

    /// Whether an address is of the internet, and of no subnet of the mesh.
    fn is_outside(&self, address: IpAddr) -> bool {
        is_internet(address)
            && !self.network.iter().any(|own| own.contains(&address))
            && self.table.lookup(address).is_none()
    }

    /// The source check: whether a packet with this inner source may come from the peer at a position. Of a subnet it may from
    /// every router that an admin has approved, since the way back may be another than the way there; of the internet from our exit.
    #[must_use]
    pub fn permits(&self, source: IpAddr, peer: usize) -> bool {
        match self.table.lookup(source) {
            Some(owner) if owner == peer => true,
            Some(_) => self.subnets.lookup(source).is_some_and(|place| self.routers[place].contains(&peer)),
            None => self.exit.of(source) == Some(peer) && self.is_outside(source),
        }
    }
}

/// The snapshot.
#[derive(Clone)]
pub struct Tables {
    pub(crate) routes: Arc<Routes>,
    pub(crate) peers: Vec<Option<PeerRow>>,
    pub(crate) sessions: Vec<Option<Arc<Session>>>,
    pub(crate) labels: Labels,
    pub(crate) gates: Arc<Gates>,
    pub(crate) hints: Arc<HintGate>,
    /// Invites that an enrolment may begin with, and the keys of their MACs.
    pub(crate) invites: Arc<Vec<(InviteId, [u8; 32])>>,
}

impl Tables {
    /// Our own mesh addresses.
    #[must_use]
    pub fn own_addresses(&self) -> &[IpAddr] {
        &self.routes.own
    }

    /// Our own mesh address of the same family, to report errors from.
    #[must_use]
    pub fn reporter(&self, of: IpAddr) -> Option<IpAddr> {
        self.routes.own.iter().copied().find(|own| own.is_ipv4() == of.is_ipv4())
    }

    /// The guest of ours that has a mesh address, by its position.
    #[must_use]
    pub fn guest(&self, address: &IpAddr) -> Option<u32> {
        self.routes.guests.get(address).copied()
    }

    /// Places for sessions, taken or free: as many as there ever were sessions and handshakes at the same time.
    #[must_use]
    pub fn places(&self) -> usize {
        self.sessions.len()
    }

    /// The same tables for a worker that takes an address for our own, and sends packets for another address to the peer
    /// that owns a third one: what a malicious member does. For tests of the checks at the other end.
    #[doc(hidden)]
    #[must_use]
    pub fn lying(&self, source: IpAddr, destination: IpAddr, receiver: IpAddr) -> Self {
        let mut table = self.routes.table.clone();
        if let Some(position) = table.lookup(receiver) {
            table.insert(destination.into(), position);
        }
        Self { routes: Arc::new(Routes { table, own: vec![source], ..Routes::default() }), ..self.clone() }
    }

    pub(crate) fn peer(&self, position: usize) -> Option<&PeerRow> {
        self.peers.get(position)?.as_ref()
    }

    /// Where a peer is reached without a hop.
    pub(crate) fn straight_remote(&self, position: usize) -> Option<Remote> {
        let row = self.peer(position)?;
        row.session.as_ref()?;
        row.remote.filter(Remote::is_direct)
    }

    pub(crate) fn session(&self, index: u32) -> Option<&Arc<Session>> {
        let session = self.sessions.get(position_of(index))?.as_ref()?;
        (session.local_index == index).then_some(session)
    }
}

/// Position of a session in the table.
pub(crate) fn position_of(index: u32) -> usize {
    (index & ((1 << POSITION_BITS) - 1)) as usize
}

/// A session index out of a position and randomness.
pub(crate) fn index_at(position: usize, random: u32) -> u32 {
    debug_assert!(position < SESSIONS_MAX);
    random << POSITION_BITS | position as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_in_public_addresses_is_not_the_internet() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let routes = Routes {
            network: vec!["11.7.0.0/16".parse().unwrap()],
            is_exit: ByFamily { v4: true, v6: false },
            exit: ByFamily { v4: Some(3), v6: None },
            ..Routes::default()
        };
        assert_eq!((routes.next(ip("11.8.0.1")), routes.next(ip("11.7.0.1"))), (Some(3), None));
        assert!(routes.permits(ip("11.8.0.1"), 3) && !routes.permits(ip("11.7.0.1"), 3));
        assert!(routes.is_ours(ip("11.8.0.1")) && !routes.is_ours(ip("11.7.0.1")));
        assert!(!routes.is_ours(ip("2a00::1")) && routes.next(ip("2a00::1")).is_none());
    }
}
