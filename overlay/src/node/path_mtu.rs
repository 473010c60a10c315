//! How long packets may be: on the path to each peer (`nat::PathMtu`), and on the interface.
//!
//! The interface takes what the widest path to a connected peer carries; for the others the fast path cuts or refuses what is
//! too long. It grows at once, and shrinks only when all paths have been narrower for a while: programs ask it for how long their
//! packets may be, and do not like to be told another figure all the time.

use super::{Node, Output};
use crate::limits::INTERFACE_MTU_KEPT;
use crate::peer::Peer;
use nat::{Look, MTU_ASSUMED, Measured, PathMtu, Remote};
use std::net::SocketAddr;
use std::time::Instant;
use wire::NodeId;
use wire::control::Message;
use wire::datagram::{LABEL_LENGTH, OVERHEAD};

/// Bytes of IP and UDP headers around a datagram.
const IPV4_UDP: usize = 28;
const IPV6_UDP: usize = 48;

/// What the interface takes.
pub(super) struct InterfaceMtu {
    max: u16,
    current: u16,
    longest: u16,
    /// When it shrinks.
    shrinks: Option<Instant>,
}

impl InterfaceMtu {
    pub(super) fn new(max: u16) -> Self {
        let current = MTU_ASSUMED.min(max);
        Self { max, current, longest: current, shrinks: None }
    }

    pub(super) fn max(&self) -> u16 {
        self.max
    }

    /// The longest packet that any connected peer can be sent; nothing when there is none.
    pub(super) fn handle_longest(&mut self, longest: Option<u16>) {
        self.longest = longest.unwrap_or(MTU_ASSUMED).min(self.max);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.shrinks
    }

    /// What it takes from now on, if that is something else.
    fn poll(&mut self, now: Instant) -> Option<u16> {
        if self.longest >= self.current {
            self.shrinks = None;
        } else if now < *self.shrinks.get_or_insert(now + INTERFACE_MTU_KEPT) {
            return None;
        }
        self.shrinks = None;
        let before = std::mem::replace(&mut self.current, self.longest);
        (before != self.current).then_some(self.current)
    }
}

impl Node {
    /// Finds out how long a packet to a peer may be.
    pub(super) fn run_path_mtu(&mut self, node: NodeId, now: Instant) {
        let Some(look) = self.peers.get(&node).map(|peer| self.look_of(peer)) else { return };
        let probe = self.change_mtu(&node, |path_mtu| path_mtu.poll(&look, now)).flatten();
        if let (Some(probe), Some(path)) = (probe, look.path)
            && let Some(bytes) = self.seal_control(&node, &Message::measure(probe.token, probe.length.into()))
            && let Some((remote, bytes)) = self.addressed("measure", path.remote, bytes)
        {
            self.outputs.push_back(Output::TransmitWhole { remote, bytes, probe: (node, probe.token) });
        }
    }

    /// Tells a peer's search something; the workers get to know what comes of it.
    fn change_mtu<R>(&mut self, node: &NodeId, change: impl FnOnce(&mut PathMtu) -> R) -> Option<R> {
        let path_mtu = &mut self.peers.get_mut(node)?.path_mtu;
        let before = path_mtu.mtu();
        let result = change(path_mtu);
        self.tables_are_old |= before != path_mtu.mtu();
        Some(result)
    }

    fn look_of(&self, peer: &Peer) -> Look {
        let path = peer.sessions.current().and_then(|_| peer.paths.primary());
        Look {
            path: path.and_then(|remote| Some(Measured { remote, overhead: self.overhead_of(remote)? })),
            traffic: peer.shared.traffic(),
            round_trip: peer.paths.round_trip(),
            is_suspect: peer.paths.is_suspect(),
        }
    }

    /// What stands around a packet on this way. Nothing, where the way does not care how long it is.
    fn overhead_of(&self, remote: Remote) -> Option<u16> {
        let around = |address: SocketAddr| if address.is_ipv4() { IPV4_UDP } else { IPV6_UDP };
        let overhead = match remote {
            Remote::Udp { address, .. } => OVERHEAD + around(address),
            Remote::Stream(_) => return None,
            // What the other hops go by is not known: it differs by little, and is found out.
            Remote::Circuit(label) => {
                let (hop, _) = self.first_hop(label)?;
                OVERHEAD + LABEL_LENGTH + hop.address().map_or(IPV4_UDP, around)
            }
        };
        u16::try_from(overhead).ok()
    }

    /// A peer got a probe.
    pub(super) fn consume_measured(&mut self, node: NodeId, token: u64, now: Instant) {
        self.change_mtu(&node, |path_mtu| path_mtu.handle_answer(token, now));
    }

    /// The machine does not send this probe in one piece ([`Output::TransmitWhole`]).
    pub fn handle_refused(&mut self, (node, token): (NodeId, u64), now: Instant) {
        self.change_mtu(&node, |path_mtu| path_mtu.handle_refused(token, now));
    }

    /// The machine had to send packets to this remote in fragments, although they were not meant to.
    pub fn handle_too_long(&mut self, remote: Remote, now: Instant) {
        let goes_by = |peer: &Peer| match peer.paths.primary() {
            Some(Remote::Circuit(label)) => self.first_hop(label).is_some_and(|(hop, _)| hop == remote),
            primary => primary == Some(remote),
        };
        let nodes: Vec<NodeId> =
            self.peers.connected().filter(|peer| goes_by(peer)).map(|peer| peer.node).collect();
        for node in nodes {
            self.change_mtu(&node, |path_mtu| path_mtu.handle_too_long(now));
        }
    }

    pub(super) fn run_interface_mtu(&mut self, now: Instant) {
        if let Some(mtu) = self.mtu.poll(now) {
            self.outputs.push_back(Output::InterfaceMtu(mtu));
        }
    }
}
