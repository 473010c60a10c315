//! Punching: from a path over hops to a direct one.
//!
//! ```text
//! relayed ──ladder says when──▶ Call ──▶ peer ──Call (answer)──▶ both probe at the same time ──▶ pong ──▶ direct
//! ```
//!
//! A call goes over the session that the hops carry, so only the peer can make us send, and only to addresses that it names
//! for itself. At most one hard attempt is under way in a node.

use super::Node;
use super::Output;
use crate::limits::{CALL_LEAD, CALL_PAUSE, CALL_TIME, PUNCH_CLOSE_DELAY, RELAYED_BEFORE_HARD};
use crate::peer::Peer;
use nat::{
    Attempt, Ladder, Punch, PunchOutput, PunchParams, PunchResult, Remote, Rung, Side, SocketId, Strategy,
};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use wire::NodeId;
use wire::control::Message;
use wire::record::CANDIDATES_MAX;

/// Sockets of hard attempts have numbers from here on.
pub(super) const PUNCH_FIRST: u16 = 64;
/// Numbers that one attempt may use.
const PUNCH_SOCKETS: u16 = 256;
/// Ranges of so many numbers.
const PUNCH_RANGES: u16 = (u16::MAX - PUNCH_FIRST) / PUNCH_SOCKETS;

/// What is done about a direct path to one peer.
#[derive(Default)]
pub(crate) struct Punching {
    pub(crate) ladder: Ladder,
    state: State,
    relayed_since: Option<(Instant, u64)>,
    /// Bytes of packets at the latest look.
    traffic: u64,
    next_call: Option<Instant>,
    /// When the two sides are looked at again: that takes more time than all else that is done for a relayed peer.
    next_look: Option<Instant>,
    /// A socket that won, and is in use.
    held: Option<SocketId>,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    /// We called.
    Called { nonce: u64, since: Instant, rung: Rung, is_hard: bool },
    /// Fresh sockets are asking; then we answer.
    Answering { nonce: u64, rung: Rung, theirs: Box<Side>, until: Instant, is_hard: bool },
    /// Both probe.
    Running(Box<Running>),
}

struct Running {
    punch: Punch,
    first_socket: SocketId,
    /// In all probes, so that every answer to one of them is known.
    token: u64,
    rung: Rung,
    strategy: Strategy,
    begun: Instant,
    next: Instant,
}

/// What a peer said in a call.
pub(super) struct Called {
    pub(super) nonce: u64,
    pub(super) is_answer: bool,
    pub(super) rung: u8,
    pub(super) side: Side,
}

impl Punching {
    /// When something is to be done next for a direct path.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        match &self.state {
            State::Running(running) => Some(running.next),
            State::Called { since, .. } => Some(*since + CALL_TIME),
            State::Answering { until, .. } => Some(*until),
            State::Idle => {
                let (since, _) = self.relayed_since?;
                let is_hard = self.ladder.is_hard();
                let hard = if is_hard { since + RELAYED_BEFORE_HARD } else { since };
                let Some(at) = self.ladder.next_try() else {
                    // Until one of the sides says something else of itself.
                    return Some(now + CALL_PAUSE);
                };
                let at = at.max(hard).max(self.next_call.unwrap_or(hard));
                // What is due and may not be yet, because of another attempt or for want of packets, is looked at again.
                Some(at.max(now + if is_hard { CALL_PAUSE } else { CALL_PAUSE / 10 }))
            }
        }
    }
}

impl Punching {
    /// Whether a hard attempt is under way, or about to be.
    fn is_hard(&self) -> bool {
        match &self.state {
            State::Running(running) => running.strategy.is_hard(),
            State::Called { is_hard, .. } | State::Answering { is_hard, .. } => *is_hard,
            State::Idle => false,
        }
    }

    /// Ranges of which there are sockets: those of an attempt, and the one that won.
    fn ranges(&self) -> impl Iterator<Item = u16> {
        let running = match &self.state {
            State::Running(running) => Some(running.first_socket),
            State::Idle | State::Called { .. } | State::Answering { .. } => None,
        };
        running.into_iter().chain(self.held).map(range_of)
    }
}

fn range_of(socket: SocketId) -> u16 {
    socket.0.saturating_sub(PUNCH_FIRST) / PUNCH_SOCKETS
}

/// The next range of which there are no sockets: who closes its own must not close another's. None when each has some.
fn free_range(last: u16, taken: &BTreeSet<u16>) -> Option<u16> {
    (1..=PUNCH_RANGES).map(|step| (last + step) % PUNCH_RANGES).find(|range| !taken.contains(range))
}

impl Node {
    /// Does what is due for a direct path to a peer.
    pub(super) fn run_punching(&mut self, node: NodeId, now: Instant) {
        self.run_punch(node, now);
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let primary = peer.paths.primary();
        let is_relayed = peer.is_connected() && primary.is_some_and(|remote| !remote.is_direct());
        if !is_relayed {
            peer.punching.relayed_since = None;
            peer.punching.next_look = None;
            if matches!(peer.punching.state, State::Called { .. } | State::Answering { .. }) {
                // There is a direct path, or no session to call by.
                peer.punching.state = State::Idle;
            }
            return self.release_held_socket(node, primary, now);
        }
        let (rx, tx) = peer.shared.bytes();
        let traffic = rx.wrapping_add(tx);
        peer.punching.relayed_since.get_or_insert((now, traffic));
        if std::mem::replace(&mut peer.punching.traffic, traffic) != traffic {
            peer.punching.ladder.handle_use();
        }
        match &peer.punching.state {
            State::Called { since, .. } if now >= *since + CALL_TIME => {
                peer.punching.state = State::Idle;
                peer.punching.next_call = Some(now + CALL_PAUSE);
            }
            State::Answering { until, .. } if now >= *until => self.answer_call(node, now),
            State::Idle if peer.punching.next_look.is_none_or(|at| now >= at) => {
                peer.punching.next_look = Some(now + CALL_PAUSE / 10);
                self.call(node, now);
            }
            State::Idle => {}
            State::Called { .. } | State::Answering { .. } | State::Running(_) => {}
        }
    }

    /// Calls the peer, when the time has come.
    fn call(&mut self, node: NodeId, now: Instant) {
        let ours = self.own_side(now);
        let theirs = self.side_of(&node);
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let punching = &mut peer.punching;
        punching.ladder.handle_sides(&ours, &theirs, now);
        let due = punching.ladder.next_try().is_some_and(|at| now >= at);
        if !due || punching.next_call.is_some_and(|at| now < at) {
            return;
        }
        let Some(step) = punching.ladder.step() else { return };
        if step.strategy.is_hard() && !self.may_punch_hard(&node, now) {
            return;
        }
        if self.needs_sample(step.strategy) && self.sample(now) {
            // Called when the fresh sockets have told.
            return;
        }
        let nonce = self.random.u64();
        if let Some(peer) = self.peers.get_mut(&node) {
            let is_hard = step.strategy.is_hard();
            peer.punching.state = State::Called { nonce, since: now, rung: step.rung, is_hard };
        }
        self.send_call(node, (nonce, false), step.rung, now);
    }

    fn send_call(&mut self, node: NodeId, (nonce, is_answer): (u64, bool), rung: Rung, now: Instant) {
        let Side { profile, candidates, public, predicted } = self.own_side(now);
        let rung = rung.number();
        let call =
            Message::Call { nonce, is_answer, rung, profile, candidates, public, last_port: predicted };
        self.send(&node, &call, None);
    }

    /// What a peer's records say of where it is, before it has called.
    fn side_of(&self, node: &NodeId) -> Side {
        let candidates = self.announced_candidates(*node);
        let profile = self.topology.state(node).map(|state| state.profile).unwrap_or_default();
        Side { profile, candidates, public: None, predicted: None }
    }

    /// Whether the strategy needs what only fresh sockets tell.
    fn needs_sample(&self, strategy: Strategy) -> bool {
        let moves = !matches!(
            self.reach.profile.mapping,
            wire::Dependence::Unknown | wire::Dependence::EndpointIndependent
        );
        moves && !matches!(strategy, Strategy::Hopeless(_))
    }

    fn may_punch_hard(&self, node: &NodeId, now: Instant) -> bool {
        let is_used = self.peers.get(node).is_some_and(|peer| {
            let (rx, tx) = peer.shared.bytes();
            peer.punching.relayed_since.is_some_and(|(since, bytes)| {
                now >= since + RELAYED_BEFORE_HARD && rx.wrapping_add(tx) != bytes
            })
        });
        is_used && !self.is_punching_hard(node)
    }

    /// Whether a hard attempt is under way with anybody else: each opens hundreds of sockets, so that one at a time is enough,
    /// whoever calls.
    fn is_punching_hard(&self, except: &NodeId) -> bool {
        self.peers.values().any(|peer| peer.node != *except && peer.punching.is_hard())
    }

    /// The peer calls, or answers our call.
    pub(super) fn consume_call(&mut self, node: NodeId, called: Called, now: Instant) {
        let Some(rung) =
            Rung::from_number(called.rung).filter(|_| called.side.candidates.len() <= CANDIDATES_MAX)
        else {
            return self.drops.count(crate::DropReason::Control);
        };
        let we_go_first = self.identity.node() < node;
        let ours = self.own_side(now);
        let is_busy = self.is_punching_hard(&node);
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let punching = &mut peer.punching;
        let mut theirs = called.side;
        theirs.candidates.retain(|candidate| !self.members.is_inside(candidate));
        match (&punching.state, called.is_answer) {
            (State::Called { nonce, rung, .. }, true) if *nonce == called.nonce => {
                let rung = *rung;
                punching.ladder.handle_sides(&ours, &theirs, now);
                self.begin_punch(node, rung, theirs, now + CALL_LEAD, now);
            }
            // Both called: the call of the one with the lower id counts.
            (State::Called { .. }, false) if we_go_first => {}
            (State::Idle | State::Called { .. }, false) => {
                punching.ladder.handle_sides(&ours, &theirs, now);
                let Some(strategy) = punching.ladder.answer(rung, now) else { return };
                let is_hard = strategy.is_hard();
                if is_hard && is_busy {
                    // It calls again later.
                    return;
                }
                let (nonce, theirs) = (called.nonce, Box::new(theirs));
                punching.state = State::Answering { nonce, rung, theirs, until: now, is_hard };
                if self.needs_sample(strategy) && self.sample(now) {
                    self.answer_later(node, now);
                }
            }
            (State::Idle | State::Called { .. } | State::Answering { .. } | State::Running(_), _) => {}
        }
    }

    fn answer_later(&mut self, node: NodeId, now: Instant) {
        let at = now + crate::limits::SAMPLE_TIME / 2;
        if let Some(peer) = self.peers.get_mut(&node)
            && let State::Answering { until, .. } = &mut peer.punching.state
        {
            *until = at;
        }
    }

    fn answer_call(&mut self, node: NodeId, now: Instant) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let State::Answering { nonce, rung, theirs, .. } = std::mem::take(&mut peer.punching.state) else {
            return;
        };
        // The answer takes half a round trip to get there; then both begin.
        let half = peer.paths.round_trip().unwrap_or(Duration::ZERO) / 2;
        self.send_call(node, (nonce, true), rung, now);
        self.begin_punch(node, rung, *theirs, now + half + CALL_LEAD, now);
    }

    fn begin_punch(&mut self, node: NodeId, rung: Rung, theirs: Side, start: Instant, now: Instant) {
        let ours = self.own_side(now);
        let strategy = nat::strategy_on(rung, &ours, &theirs);
        if strategy.is_hard() && self.is_punching_hard(&node) {
            // What the peer says of itself makes it harder than its records did.
            if let Some(peer) = self.peers.get_mut(&node) {
                peer.punching.state = State::Idle;
                peer.punching.next_call = Some(now + CALL_PAUSE);
            }
            return;
        }
        let of_peers = self.peers.values().flat_map(|peer| peer.punching.ranges());
        let taken = of_peers.chain(self.closing.iter().map(|(_, first, _)| range_of(*first))).collect();
        let Some(range) = free_range(self.punches, &taken) else { return };
        self.punches = range;
        let first_socket = SocketId(PUNCH_FIRST + range * PUNCH_SOCKETS);
        let (seed, token) = (self.random.u64(), self.random.u64());
        // Openers cost two datagrams. There are NATs that need them, cannot be told from those that do not, and do not forget
        // for half a minute that they were missing.
        let means = if strategy == Strategy::Plain { Strategy::LowTtl } else { strategy };
        let params =
            PunchParams { ours, theirs, strategy: means, first_socket, seed, start, is_double: false };
        if let Some(peer) = self.peers.get_mut(&node) {
            let punch = Punch::new(&params);
            peer.punching.state = State::Running(Box::new(Running {
                punch,
                first_socket,
                token,
                rung,
                strategy,
                begun: now,
                next: now,
            }));
        }
        self.run_punch(node, now);
    }

    /// Sends what an attempt wants sent.
    fn run_punch(&mut self, node: NodeId, now: Instant) {
        loop {
            let Some(peer) = self.peers.get_mut(&node) else { return };
            let State::Running(running) = &mut peer.punching.state else { return };
            let token = running.token;
            match running.punch.poll_output(now) {
                PunchOutput::OpenSockets { first, count } => {
                    self.outputs.push_back(Output::OpenSockets { first, count });
                }
                PunchOutput::CloseSockets { first, count } => {
                    self.closing.push_back((now + PUNCH_CLOSE_DELAY, first, count));
                }
                PunchOutput::Probe { socket, address, ttl } => {
                    let message = self.ping_to(&node, token);
                    self.send_with_ttl(&node, &message, Remote::Udp { socket, address }, ttl);
                }
                PunchOutput::Wait(at) => {
                    running.next = at;
                    return;
                }
                PunchOutput::Over(result) => return self.end_punch(node, result, now),
            }
        }
    }

    fn end_punch(&mut self, node: NodeId, result: PunchResult, now: Instant) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let State::Running(running) = std::mem::take(&mut peer.punching.state) else { return };
        let Running { punch, rung, strategy, begun, .. } = *running;
        let lasted = now.saturating_duration_since(begun);
        peer.punching
            .ladder
            .handle_over(Attempt { rung, strategy, begun, lasted, probes: punch.probes(), result }, now);
        if let PunchResult::Won { socket, .. } = result
            && socket != SocketId::MAIN
        {
            let before = peer.punching.held.replace(socket).filter(|before| *before != socket);
            self.closing.extend(before.map(|before| (now + PUNCH_CLOSE_DELAY, before, 1)));
        }
    }

    /// Closes what attempts have left open.
    pub(super) fn run_closing(&mut self, now: Instant) {
        while let Some((_, first, count)) = self.closing.pop_front_if(|(at, ..)| now >= *at) {
            self.close_unused(first, count, now);
        }
    }

    pub(super) fn closing_deadline(&self) -> Option<Instant> {
        self.closing.front().map(|(at, ..)| *at)
    }

    /// Closes sockets, but for those by which a peer is reached: its probes may have found another one than that which won,
    /// and behind one NAT they may have found one that was opened for somebody else.
    fn close_unused(&mut self, first: SocketId, count: u16, now: Instant) {
        let (mut next, end) = (first.0, first.0.saturating_add(count));
        let used = |peer: &Peer| match peer.paths.primary() {
            Some(Remote::Udp { socket, .. }) if (next..end).contains(&socket.0) => Some((socket, peer.node)),
            Some(Remote::Udp { .. } | Remote::Stream(_) | Remote::Circuit(_)) | None => None,
        };
        let used: BTreeSet<(SocketId, NodeId)> = self.peers.values().filter_map(used).collect();
        let mut unused = vec![];
        for (socket, node) in used {
            unused.push((next, socket.0));
            next = socket.0 + 1;
            if let Some(peer) = self.peers.get_mut(&node) {
                // It does not use the one that it held; perhaps another does.
                let before = peer.punching.held.replace(socket).filter(|before| *before != socket);
                self.closing.extend(before.map(|before| (now, before, 1)));
            }
        }
        unused.push((next, end));
        for (start, end) in unused.into_iter().filter(|(start, end)| start < end) {
            self.outputs.push_back(Output::CloseSockets { first: SocketId(start), count: end - start });
        }
    }

    /// A socket that an attempt won is closed when no path uses it any more.
    fn release_held_socket(&mut self, node: NodeId, primary: Option<Remote>, now: Instant) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let in_use =
            |socket: &SocketId| matches!(primary, Some(Remote::Udp { socket: used, .. }) if used == *socket);
        let is_connected = peer.is_connected();
        if let Some(first) = peer.punching.held.take_if(|held| is_connected && !in_use(held)) {
            self.close_unused(first, 1, now);
        }
    }

    /// An authenticated ping came by this way: it may be the peer's half of an attempt.
    pub(super) fn note_probe(&mut self, node: NodeId, remote: Remote, now: Instant) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if let (State::Running(running), Remote::Udp { socket, address }) = (&mut peer.punching.state, remote)
        {
            running.punch.handle_probe(socket, address, now);
            running.next = now;
        }
    }

    /// An answer to a probe of an attempt: whether it was one.
    pub(super) fn take_punched(&mut self, node: NodeId, token: u64, remote: Remote, now: Instant) -> bool {
        let Some(peer) = self.peers.get_mut(&node) else { return false };
        let (State::Running(running), Remote::Udp { socket, address }) = (&mut peer.punching.state, remote)
        else {
            return false;
        };
        if running.token != token {
            return false;
        }
        running.punch.handle_success(socket, address, now);
        running.next = now;
        peer.paths.handle_reached(remote);
        true
    }

    /// Another network, or other addresses: every attempt begins anew.
    pub(super) fn restart_punching(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.punching.ladder.handle_local_change(now);
            peer.punching.next_call = None;
            peer.punching.next_look = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_are_in_use_are_not_used_again() {
        let mut taken = BTreeSet::new();
        let mut last = 0;
        for _ in 0..PUNCH_RANGES {
            last = free_range(last, &taken).expect("some are free");
            assert!(taken.insert(last), "{last} is taken");
        }
        assert_eq!(free_range(last, &taken), None);
        taken.remove(&7);
        assert_eq!(free_range(last, &taken), Some(7));
        assert!(PUNCH_FIRST.checked_add(PUNCH_RANGES * PUNCH_SOCKETS).is_some(), "all have a number");
    }
}
