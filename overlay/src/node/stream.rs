//! Streams: datagrams over TCP, for networks that let no UDP through.
//!
//! While nobody is reached by UDP, the nodes whose addresses are known are dialled by TCP as well. What comes of it is one more
//! way to the node that answers there. UDP is tried again and again, and takes over when it is answered.

use super::{Node, Output};
use crate::limits::{
    STREAM_AFTER, STREAM_DIALS_MAX, STREAM_LOOK_INTERVAL, STREAM_PORT, STREAM_PROOF_TIME, STREAM_RETRY,
    UDP_RETRY,
};
use crate::peer::Peer;
use nat::Remote;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;
use wire::NodeId;

/// When a node dials others over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialStreams {
    /// It cannot.
    Never,
    /// When nobody has answered by UDP for a while.
    WhenAlone,
    /// From the start as well: a moment ago nobody answered by UDP.
    AtOnce,
}

/// What is done about streams.
#[derive(Debug)]
pub(super) struct Dialling {
    /// Whether this machine can dial at all.
    pub(super) is_enabled: bool,
    /// Since when nobody is reached.
    alone_since: Instant,
    next_dial: Instant,
    next_udp: Instant,
    /// Where the next round of dials begins.
    turn: usize,
    /// Streams that others began, and when to look whether they serve anybody. There are few: who takes them sees to it.
    accepted: BTreeMap<u32, Instant>,
}

impl Dialling {
    pub(super) fn new(when: DialStreams, now: Instant) -> Self {
        Self {
            is_enabled: when != DialStreams::Never,
            alone_since: now,
            next_dial: if when == DialStreams::AtOnce { now } else { now + STREAM_AFTER },
            next_udp: now + UDP_RETRY,
            turn: 0,
            accepted: BTreeMap::new(),
        }
    }
}

impl Node {
    /// A stream is open; `remote` is its other end. Whoever may be there is asked for a session.
    pub fn handle_stream_opened(&mut self, number: u32, remote: SocketAddr, dialled: bool, now: Instant) {
        if !dialled {
            // Its other end will speak first.
            self.dialling.accepted.insert(number, now + STREAM_PROOF_TIME);
            return;
        }
        let stream = Remote::Stream(number);
        for peer in self.peers.values_mut().filter(|peer| peer.is_missing()) {
            let is_there =
                peer.paths.candidates.targets().iter().any(|c| c.socket_address().ip() == remote.ip());
            if is_there {
                peer.paths.handle_stream(stream);
                peer.ask_anew(now);
            }
        }
    }

    /// A stream is over.
    pub fn handle_stream_closed(&mut self, number: u32, now: Instant) {
        self.dialling.accepted.remove(&number);
        let stream = Remote::Stream(number);
        let lost: Vec<_> = self
            .peers
            .values_mut()
            .filter_map(|peer| peer.paths.handle_gone(stream).then_some(peer.node))
            .collect();
        for node in lost {
            self.tables_are_old = true;
            if let Some(peer) = self.peers.get_mut(&node) {
                peer.next_circuit = now;
                peer.ask_anew(now);
            }
            self.close_circuits_by(node, now);
            self.links_changed(now);
        }
    }

    /// A message of a joiner came by this way: it may stay open until then.
    pub(super) fn keep_stream(&mut self, remote: Remote, until: Instant) {
        if let Remote::Stream(number) = remote
            && let Some(look) = self.dialling.accepted.get_mut(&number)
        {
            *look = until.max(*look);
        }
    }

    /// Closes the streams of strangers, and those that nobody needs any more.
    fn look_at_accepted(&mut self, now: Instant) {
        let peers = &self.peers;
        let serves = |stream| peers.connected().any(|peer| peer.paths.uses(stream));
        let due = self.dialling.accepted.iter_mut().filter(|(_, look)| now >= **look);
        let mut useless = vec![];
        for (number, look) in due {
            *look = now + STREAM_LOOK_INTERVAL;
            if !serves(Remote::Stream(*number)) {
                useless.push(*number);
            }
        }
        for number in useless {
            self.outputs.push_back(Output::CloseStream(number));
            self.handle_stream_closed(number, now);
        }
    }

    pub(super) fn run_stream_timers(&mut self, now: Instant) {
        self.look_at_accepted(now);
        let is_reached = !self.peers.is_alone();
        if is_reached {
            self.dialling.alone_since = now;
            self.dialling.next_dial = now + STREAM_AFTER;
            return self.retry_udp(now);
        }
        if !self.dialling.is_enabled || self.is_revoked || now < self.dialling.next_dial {
            return;
        }
        self.dialling.next_dial = now + STREAM_RETRY;
        let mut addresses: Vec<SocketAddr> = vec![];
        for peer in self.peers.missing() {
            let told = self.stream_port_of(&peer.node);
            for candidate in peer.paths.candidates.targets() {
                let address = candidate.socket_address();
                for port in told.into_iter().chain([STREAM_PORT, address.port()]) {
                    let address = SocketAddr::new(address.ip(), port);
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
            }
        }
        let count = addresses.len();
        for i in 0..count.min(STREAM_DIALS_MAX) {
            let address = addresses[(self.dialling.turn + i) % count];
            self.outputs.push_back(Output::Dial(address));
        }
        self.dialling.turn += STREAM_DIALS_MAX;
    }

    /// Where a node takes streams, by its record or by a hint.
    fn stream_port_of(&self, node: &NodeId) -> Option<u16> {
        let told = self.topology.state(node).and_then(|state| state.stream_port);
        told.or_else(|| self.hinted_stream_port(node))
    }

    /// Peers that are reached over TCP are tried by UDP.
    fn retry_udp(&mut self, now: Instant) {
        if now < self.dialling.next_udp {
            return;
        }
        self.dialling.next_udp = now + UDP_RETRY;
        let by_stream = |peer: &&Peer| matches!(peer.paths.primary(), Some(Remote::Stream(_)));
        let nodes: Vec<NodeId> = self.peers.values().filter(by_stream).map(|peer| peer.node).collect();
        for node in nodes {
            if let Some(peer) = self.peers.get_mut(&node) {
                peer.paths.handle_upgrade();
            }
        }
    }

    pub(super) fn stream_deadline(&self) -> Option<Instant> {
        let accepted = self.dialling.accepted.values().min().copied();
        accepted.into_iter().chain(self.dialling_deadline()).min()
    }

    fn dialling_deadline(&self) -> Option<Instant> {
        if !self.peers.is_alone() {
            // Without streams there is none to be replaced.
            let may_have = self.dialling.is_enabled || !self.dialling.accepted.is_empty();
            return may_have.then_some(self.dialling.next_udp);
        }
        (self.dialling.is_enabled && !self.is_revoked && !self.peers.is_empty())
            .then_some(self.dialling.next_dial)
    }
}
