//! Circuits, seen from their ends: ways through hops to a peer that we do not reach by ourselves.
//!
//! ```text
//! a ── CircuitOpen{label La, route [c, d]} ──▶ b ── CircuitOpen{Lb, [d]} ──▶ c ── CircuitOpen{Lc, []} ──▶ d
//! a ◀── CircuitOpened{La, forward Fb} ── b ◀── CircuitOpened{Lb, Fc} ── c ◀── CircuitOpened{Lc, Ld} ── d
//! ```
//!
//! Each node chooses the label by which it wants to know the circuit. The ends then do with it what they do with an
//! address: handshakes, probes and packets go by it, sealed from end to end.

use super::{Node, Output};
use crate::drops::DropReason;
use crate::forwarding::Label;
use crate::limits::{
    CIRCUIT_OPEN_TIME, CIRCUIT_OPEN_TIME_MIN, CIRCUIT_RETRY, CIRCUIT_RETRY_MAX, CIRCUIT_TRIAL,
    CIRCUITS_PER_PEER_MAX, COOKIE_LIFE, LABELS_MAX, TRIED_HOPS_MAX,
};
use crate::node::transit::Transit;
use crate::peer::{Peer, Seeking};
use crate::sent::kind_of_datagram;
use nat::{Remote, Route};
use std::time::{Duration, Instant};
use wire::NodeId;
use wire::control::{CircuitEnd, Message, ROUTE_MAX};
use wire::datagram::{LABEL_LENGTH, write_label};

/// What a label of ours stands for.
pub(super) enum Circuit {
    /// It ends here.
    End(End),
    /// We are a hop of it, in this direction.
    Transit(Transit),
}

/// A circuit that ends here.
pub(super) struct End {
    /// The other end.
    pub(super) peer: NodeId,
    /// The first hop.
    pub(super) hop: NodeId,
    /// By which the first hop knows it; nothing until it has said so.
    pub(super) forward: Option<u64>,
    /// All hops, the nearest first.
    pub(super) hops: Vec<NodeId>,
    pub(super) since: Instant,
    /// When it is late.
    pub(super) late: Instant,
}

/// What is asked of us for a circuit.
pub(super) struct Wanted {
    /// Hops after us, and the node at the end; nothing when that is us.
    pub(super) route: Vec<NodeId>,
    pub(super) origin: NodeId,
    /// Hops before us.
    pub(super) passed: Vec<NodeId>,
}

impl Wanted {
    /// Whether no node stands in it twice, neither we nor the one who asks among those to come, and it is no longer than
    /// circuits are.
    fn is_sound(&self, own: NodeId, from: NodeId) -> bool {
        let all: Vec<NodeId> = self.passed.iter().chain(&self.route).copied().chain([self.origin]).collect();
        let twice = all.iter().enumerate().any(|(i, node)| all[..i].contains(node));
        // Who asks is the last hop that was passed, or wants the circuit itself.
        let asks = self.passed.last().copied().unwrap_or(self.origin) == from;
        asks && !twice && !all.contains(&own) && self.passed.len() + self.route.len() <= ROUTE_MAX
    }
}

impl Node {
    /// Nodes that we reach without a hop, with round trips in milliseconds.
    pub(super) fn links(&self) -> Vec<(NodeId, u32)> {
        let link = |peer: &Peer| {
            let is_direct = peer.paths.primary().is_some_and(|remote| remote.is_direct());
            let round_trip = peer.paths.round_trip().unwrap_or(Duration::from_millis(50));
            is_direct.then(|| (peer.node, u32::try_from(round_trip.as_millis()).unwrap_or(u32::MAX)))
        };
        let mut links: Vec<(NodeId, u32)> = self.peers.connected().filter_map(link).collect();
        links.sort_unstable();
        links
    }

    /// Where a neighbour is reached without a hop.
    pub(super) fn straight_remote(&self, node: &NodeId) -> Option<Remote> {
        let peer = self.peers.get(node).filter(|peer| peer.is_connected())?;
        peer.paths.primary().filter(Remote::is_direct)
    }

    /// Queues a datagram that is no control message; one for a circuit goes to its first hop, behind the label.
    pub(super) fn transmit(&mut self, remote: Remote, bytes: Vec<u8>) {
        self.transmit_as(kind_of_datagram(&bytes), remote, bytes, None);
    }

    /// As [`Node::transmit`], by the name of its kind, with a limit of routers on the way.
    pub(super) fn transmit_as(
        &mut self,
        kind: &'static str,
        remote: Remote,
        bytes: Vec<u8>,
        ttl: Option<u8>,
    ) {
        // Routers on the way to a hop are none on the way to the peer.
        let ttl = ttl.filter(|_| !matches!(remote, Remote::Circuit(_)));
        if let Some((remote, bytes)) = self.addressed(kind, remote, bytes) {
            self.outputs.push_back(Output::Transmit { remote, bytes, ttl });
        }
    }

    /// Where a datagram goes first, and as what: behind the label, when that is a hop. It counts as sent.
    pub(super) fn addressed(
        &mut self,
        kind: &'static str,
        remote: Remote,
        bytes: Vec<u8>,
    ) -> Option<(Remote, Vec<u8>)> {
        let label_length = if matches!(remote, Remote::Circuit(_)) { LABEL_LENGTH } else { 0 };
        self.sent.note(kind, bytes.len() + label_length);
        let Remote::Circuit(label) = remote else { return Some((remote, bytes)) };
        let Some((hop, forward)) = self.first_hop(label) else {
            self.drops.count(DropReason::NoCircuit);
            return None;
        };
        let mut header = [0; LABEL_LENGTH];
        write_label(&mut header, forward);
        Some((hop, [&header, &bytes[..]].concat()))
    }

    /// Where the first hop of a circuit is, and by which label it knows the circuit.
    pub(super) fn first_hop(&self, label: u64) -> Option<(Remote, u64)> {
        match self.circuits.get(label)? {
            Circuit::End(End { hop, forward: Some(forward), .. }) => {
                Some((self.straight_remote(hop)?, *forward))
            }
            Circuit::End(End { forward: None, .. }) | Circuit::Transit(_) => None,
        }
    }

    /// Hops of a circuit that ends here, the nearest first.
    pub(super) fn hops_of(&self, label: u64) -> Vec<NodeId> {
        match self.circuits.get(label) {
            Some(Circuit::End(end)) => end.hops.clone(),
            Some(Circuit::Transit(_)) | None => vec![],
        }
    }

    /// Asks for a circuit to a peer that is not reached otherwise, or soon may not be, unless there is one.
    pub(super) fn seek_circuit(&mut self, node: NodeId, now: Instant) {
        self.give_up_vain_circuit(node, now);
        let Some(peer) = self.peers.get(&node) else { return };
        let is_needed = peer.is_missing() || peer.paths.is_suspect();
        if !is_needed || self.has_other_way(peer) || now < peer.next_circuit || self.is_opening(peer) {
            return;
        }
        if let Some(Remote::Circuit(label)) = peer.paths.primary() {
            // The one in use is silent: not by the same hops again.
            let hops = self.hops_of(label);
            self.topology.handle_failure(&hops, now);
            self.routes_to_nodes = None;
        }
        let route = self.route_to(&node, now);
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let doublings = peer.circuit_failures.min(6);
        peer.next_circuit = now + (CIRCUIT_RETRY * (1 << doublings)).min(CIRCUIT_RETRY_MAX);
        match route {
            Some(route) => self.open_circuit(node, route, now),
            // There is none, until links change.
            None if peer.tried_hops.is_empty() => {
                peer.next_circuit = now + CIRCUIT_RETRY_MAX;
                self.approach(&node, now);
            }
            // All were tried: from the first again.
            None => peer.tried_hops.clear(),
        }
    }

    /// A circuit by which no session comes is dead: a hop that was restarted knows nothing of it, and says nothing. Another is
    /// asked for, by other hops when there are any.
    fn give_up_vain_circuit(&mut self, node: NodeId, now: Instant) {
        let vain = self.peers.get(&node).and_then(|peer| self.vain_circuit(peer));
        let Some((label, _)) = vain.filter(|(_, at)| now >= *at) else { return };
        let hops = self.hops_of(label);
        self.topology.handle_failure(&hops, now);
        self.routes_to_nodes = None;
        self.close_circuit(label, CircuitEnd::Done, now);
    }

    /// A circuit by which no session has come yet, and when that has lasted too long.
    fn vain_circuit(&self, peer: &Peer) -> Option<(u64, Instant)> {
        match (peer.paths.circuit()?, peer.seeking) {
            (Remote::Circuit(label), Seeking::Asking { since, .. }) if !peer.is_connected() => {
                let Circuit::End(end) = self.circuits.get(label)? else { return None };
                Some((label, end.since.max(since) + CIRCUIT_TRIAL))
            }
            _ => None,
        }
    }

    /// Whether there is a circuit that may take over from a path that is silent: by another hop, and only for a moment.
    fn has_other_way(&self, peer: &Peer) -> bool {
        let first_hop = |remote: Option<Remote>| match remote {
            Some(Remote::Circuit(label)) => self.hops_of(label).first().copied(),
            Some(Remote::Udp { .. } | Remote::Stream(_)) | None => None,
        };
        let other = first_hop(peer.paths.circuit());
        other.is_some() && other != first_hop(peer.paths.primary()) && !peer.paths.is_silent()
    }

    /// When to ask for a circuit to a peer, or to give one up.
    pub(super) fn seek_deadline(&self, peer: &Peer) -> Option<Instant> {
        let is_needed = peer.is_missing() || peer.paths.is_suspect();
        let is_possible =
            is_needed && !self.has_other_way(peer) && !self.is_opening(peer) && !self.peers.is_alone();
        let seek = is_possible.then_some(peer.next_circuit);
        seek.into_iter().chain(self.vain_circuit(peer).map(|(_, at)| at)).min()
    }

    fn is_opening(&self, peer: &Peer) -> bool {
        let circuit = peer.opening.and_then(|label| self.circuits.get(label));
        matches!(circuit, Some(Circuit::End(End { forward: None, .. })))
    }

    /// Circuits that end here, by label.
    pub(super) fn ends(&self) -> impl Iterator<Item = (u64, &End)> {
        self.circuits.iter().filter_map(|(label, circuit)| match circuit {
            Circuit::End(end) => Some((label, end)),
            Circuit::Transit(_) => None,
        })
    }

    fn open_circuit(&mut self, peer: NodeId, route: Route, now: Instant) {
        let Some((hop, others)) = route.hops.split_first() else { return };
        self.make_room(&peer, now);
        // Lost messages are not sent again: a new circuit is asked for, soon where the way is short.
        let usual = Duration::from_millis(u64::from(route.cost_ms)) * 3;
        let late = now + usual.clamp(CIRCUIT_OPEN_TIME_MIN, CIRCUIT_OPEN_TIME);
        let end = End { peer, hop: *hop, forward: None, hops: route.hops.clone(), since: now, late };
        let random = self.random.u64();
        let Some(label) = self.circuits.insert(Circuit::End(end), random, LABELS_MAX) else { return };
        self.opening.insert((late, label));
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.opening = Some(label);
        }
        let route = others.iter().copied().chain([peer]).collect();
        let origin = self.identity.node();
        self.send(hop, &Message::CircuitOpen { label, route, origin, passed: vec![] }, None);
    }

    /// Closes the oldest circuits to a peer that are neither in use nor kept, so that one more is within the limit. The one that is kept
    /// may work again before the new one does: of that we do not know yet whether it comes.
    fn make_room(&mut self, peer: &NodeId, now: Instant) {
        let ends: Vec<(Instant, u64)> =
            self.ends().filter(|(_, end)| end.peer == *peer).map(|(label, end)| (end.since, label)).collect();
        let excess = (ends.len() + 1).saturating_sub(CIRCUITS_PER_PEER_MAX);
        let paths = self.peers.get(peer).map(|peer| &peer.paths);
        let is_used = |label: u64| paths.is_some_and(|paths| paths.uses(Remote::Circuit(label)));
        let mut idle: Vec<_> = ends.into_iter().filter(|(_, label)| !is_used(*label)).collect();
        idle.sort_unstable();
        for (_, label) in idle.into_iter().take(excess) {
            self.close_circuit(label, CircuitEnd::Done, now);
        }
    }

    /// A neighbour asks for a circuit to us, or through us.
    pub(super) fn consume_circuit_open(&mut self, from: NodeId, label: u64, wanted: &Wanted, now: Instant) {
        if !wanted.is_sound(self.identity.node(), from) {
            return self.drops.count(DropReason::Control);
        }
        let outcome = match wanted.route.split_first() {
            None => self.accept_circuit(from, label, wanted, now),
            Some((next, others)) => self.extend_circuit((from, label), (*next, others), wanted, now),
        };
        if let Err(reason) = outcome {
            self.send(&from, &Message::CircuitClosed { label, reason }, None);
        }
    }

    fn accept_circuit(
        &mut self,
        from: NodeId,
        label: u64,
        wanted: &Wanted,
        now: Instant,
    ) -> Result<(), CircuitEnd> {
        let Wanted { origin, passed, .. } = wanted;
        // Known by its record; who is not gets in touch with us when it is.
        if !self.peers.contains_key(origin) || passed.is_empty() {
            return Err(CircuitEnd::Refused);
        }
        self.make_room(origin, now);
        let hops = passed.iter().rev().copied().collect();
        let end = End { peer: *origin, hop: from, forward: Some(label), hops, since: now, late: now };
        let random = self.random.u64();
        let own = self.circuits.insert(Circuit::End(end), random, LABELS_MAX).ok_or(CircuitEnd::Refused)?;
        // The workers know the label before anything can come by it.
        self.publish_tables();
        self.send(&from, &Message::CircuitOpened { label, forward: own }, None);
        Ok(())
    }

    /// A neighbour says by which label it knows a circuit that we asked it for.
    pub(super) fn consume_circuit_opened(&mut self, from: NodeId, label: u64, forward: u64, now: Instant) {
        match self.circuits.get_mut(label) {
            Some(Circuit::End(end)) if end.hop == from && end.forward.is_none() => {
                end.forward = Some(forward);
                let (peer, late) = (end.peer, end.late);
                self.opening.remove(&(late, label));
                self.circuit_opened(peer, label, now);
            }
            Some(Circuit::Transit(transit)) if transit.from == from => self.transit_opened(label, forward),
            Some(_) => self.drops.count(DropReason::Control),
            None => {
                let reason = CircuitEnd::Unknown;
                self.send(&from, &Message::CircuitClosed { label: forward, reason }, None);
            }
        }
    }

    fn circuit_opened(&mut self, node: NodeId, label: u64, now: Instant) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        peer.circuit_failures = 0;
        peer.tried_hops.clear();
        peer.paths.handle_circuit(Remote::Circuit(label));
        self.tables_are_old = true;
        if peer.is_connected() {
            return;
        }
        // What was asked already is asked by this way too; else it is time to ask.
        let cookie = peer.cookie.filter(|(_, since)| now < *since + COOKIE_LIFE).map(|(cookie, _)| cookie);
        match peer.attempts.back() {
            Some(attempt) => {
                let bytes = attempt.initiation(cookie.as_ref());
                self.transmit(Remote::Circuit(label), bytes);
            }
            // Not as if for the first time: when this way leads nowhere, the addresses are tried as well.
            None => peer.hurry(now),
        }
    }

    /// A neighbour says that a circuit is not there.
    pub(super) fn consume_circuit_closed(
        &mut self,
        from: NodeId,
        label: u64,
        reason: CircuitEnd,
        now: Instant,
    ) {
        let is_its_own = match self.circuits.get(label) {
            Some(Circuit::End(end)) => end.hop == from,
            Some(Circuit::Transit(transit)) => transit.from == from,
            None => return,
        };
        if !is_its_own {
            return self.drops.count(DropReason::Control);
        }
        match self.circuits.remove(label) {
            Some(Circuit::End(end)) => {
                self.note_circuit_failure(&end, reason, now);
                self.end_is_gone(end.peer, label, now);
            }
            Some(Circuit::Transit(transit)) => self.transit_is_gone(&transit, reason),
            None => {}
        }
    }

    /// The first hop lives, for it has answered: the fault is further on, or the peer is not there.
    fn note_circuit_failure(&mut self, end: &End, reason: CircuitEnd, now: Instant) {
        if reason == CircuitEnd::Done || end.hops.is_empty() {
            return;
        }
        self.topology.handle_failure(&end.hops[1..], now);
        self.routes_to_nodes = None;
        if let Some(peer) = self.peers.get_mut(&end.peer) {
            peer.circuit_failures += 1;
            if !peer.tried_hops.contains(&end.hop) && peer.tried_hops.len() < TRIED_HOPS_MAX {
                peer.tried_hops.push(end.hop);
                peer.next_circuit = now;
            }
        }
    }

    /// Gives up a circuit that ends here.
    pub(super) fn close_circuit(&mut self, label: u64, reason: CircuitEnd, now: Instant) {
        let Some(Circuit::End(end)) = self.circuits.remove(label) else { return };
        if let Some(forward) = end.forward {
            self.send(&end.hop, &Message::CircuitClosed { label: forward, reason }, None);
        }
        self.end_is_gone(end.peer, label, now);
    }

    fn end_is_gone(&mut self, node: NodeId, label: u64, now: Instant) {
        self.tables_are_old = true;
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if peer.paths.handle_gone(Remote::Circuit(label)) {
            peer.next_circuit = now;
            peer.ask_anew(now);
        }
    }

    /// Circuits to a node that is no peer any more are over.
    pub(super) fn close_circuits_to(&mut self, node: &NodeId, now: Instant) {
        let over: Vec<u64> =
            self.ends().filter(|(_, end)| end.peer == *node).map(|(label, _)| label).collect();
        for label in over {
            self.close_circuit(label, CircuitEnd::Done, now);
        }
    }

    /// Circuits by way of a neighbour that is reached no more, or not without a hop, are over.
    pub(super) fn close_circuits_by(&mut self, neighbour: NodeId, now: Instant) {
        if self.straight_remote(&neighbour).is_some() {
            return;
        }
        self.forget_witness(&neighbour);
        let by = |(label, circuit): (u64, &Circuit)| match circuit {
            Circuit::End(end) => (end.hop == neighbour).then_some((label, true)),
            Circuit::Transit(transit) => (transit.from == neighbour).then_some((label, false)),
        };
        let over: Vec<_> = self.circuits.iter().filter_map(by).collect();
        for (label, is_end) in over {
            if is_end {
                self.close_circuit(label, CircuitEnd::Unreachable, now);
            } else if let Some(Circuit::Transit(transit)) = self.circuits.remove(label) {
                self.transit_is_gone(&transit, CircuitEnd::Unreachable);
            }
        }
    }

    /// Circuits that were asked for and did not come are given up.
    pub(super) fn run_circuit_timers(&mut self, now: Instant) {
        while let Some((_, label)) = self.opening.first().copied().filter(|(late, _)| now >= *late) {
            self.opening.pop_first();
            let hops = self.hops_of(label);
            if hops.is_empty() {
                // Closed meanwhile.
                continue;
            }
            self.topology.handle_failure(&hops, now);
            self.routes_to_nodes = None;
            self.close_circuit(label, CircuitEnd::Done, now);
        }
        self.run_transit_timers(now);
    }

    /// When a circuit that was asked for is late, or a transit is looked at.
    pub(super) fn circuit_deadline(&self) -> Option<Instant> {
        self.opening.first().map(|(late, _)| *late).into_iter().chain(self.transit_deadline()).min()
    }

    /// Whether a node may speak by a circuit: only the one at its other end.
    pub(super) fn is_end_of(&self, node: &NodeId, remote: Remote) -> bool {
        let Remote::Circuit(label) = remote else { return true };
        matches!(self.circuits.get(label), Some(Circuit::End(end)) if end.peer == *node)
    }
}

/// What workers do with a label of ours.
pub(super) fn label_of(circuit: &Circuit) -> Option<Label> {
    match circuit {
        Circuit::End(_) => Some(Label::End),
        Circuit::Transit(transit) => transit.forward().map(Label::Forward),
    }
}
