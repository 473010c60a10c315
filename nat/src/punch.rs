//! One attempt at a direct path to a peer behind NATs.
//!
//! ```text
//! OpenSockets ─▶ openers, TTL 2 ─▶ probes by the strategy ─▶ CloseSockets ─▶ Over
//!                  until the start   from the start on          all but the one that won
//! ```
//!
//! It says from which socket to send a probe where, and is told which probes arrived and which were answered. What a probe
//! is made of, and that it is authentic, is the caller's business. It never sends to an address that the peer did not name
//! or send from, but for other ports of the address that it named as its own; and never more than its strategy says.

mod plan;
mod shuffle;
mod side;
mod strategy;
mod train;

#[cfg(test)]
pub(crate) use shuffle::Shuffle;
pub use side::{Side, same_nat};
pub use strategy::{Reason, Role, Rung, Strategy, strategy, strategy_on};

use crate::limits::{ANSWERED_GAP, ANSWERED_MAX, ANSWERED_PROBES, LINGER};
use crate::remote::SocketId;
use plan::Plan;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;
use train::{Train, later};

/// What an attempt is made of.
#[derive(Debug, Clone)]
pub struct PunchParams {
    /// What we told the peer of ourselves.
    pub ours: Side,
    /// What it told us.
    pub theirs: Side,
    /// Our half of what both have chosen.
    pub strategy: Strategy,
    /// The number of the first socket that may be opened for this; 256 from there on are free.
    pub first_socket: SocketId,
    /// For the order of ports.
    pub seed: u64,
    /// When both begin.
    pub start: Instant,
    /// Whether two NATs are before us, so that openers must get farther.
    pub is_double: bool,
}

/// What is to be done for an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PunchOutput {
    /// Open so many sockets on any ports, and know them by these numbers.
    OpenSockets {
        /// The number of the first.
        first: SocketId,
        /// How many.
        count: u16,
    },
    /// Send a probe.
    Probe {
        /// From this socket.
        socket: SocketId,
        /// To this address.
        address: SocketAddr,
        /// With this TTL or hop limit; the usual one without.
        ttl: Option<u8>,
    },
    /// Close so many sockets.
    CloseSockets {
        /// The number of the first.
        first: SocketId,
        /// How many.
        count: u16,
    },
    /// Nothing until then.
    Wait(Instant),
    /// Nothing any more.
    Over(PunchResult),
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PunchResult {
    /// The peer answers here; the socket stays open.
    Won {
        /// Our socket.
        socket: SocketId,
        /// The peer's address.
        address: SocketAddr,
    },
    /// It answered nowhere.
    Failed,
}

/// A source of authenticated probes, which is probed back.
#[derive(Debug)]
struct Answered {
    socket: SocketId,
    address: SocketAddr,
    sent: u32,
    due: Instant,
}

#[derive(Debug)]
enum State {
    /// Sockets are to be opened.
    Begun,
    Probing,
    Over(PunchResult),
}

/// One attempt at a direct path.
#[derive(Debug)]
pub struct Punch {
    state: State,
    trains: Vec<Train>,
    answered: Vec<Answered>,
    first_socket: SocketId,
    sockets: u16,
    closing: VecDeque<(SocketId, u16)>,
    end: Instant,
    probes: u32,
}

impl Punch {
    /// Nothing is sent before the caller asks; openers, and sockets, may be wanted before the start.
    #[must_use]
    pub fn new(params: &PunchParams) -> Self {
        let plan = Plan::new(params);
        Self {
            state: match params.strategy {
                Strategy::Hopeless(_) => State::Over(PunchResult::Failed),
                Strategy::Plain
                | Strategy::LowTtl
                | Strategy::Sequential(_)
                | Strategy::BothSequential
                | Strategy::Birthday { .. }
                | Strategy::BlockBirthday { .. } => State::Begun,
            },
            end: params.start + plan.lasts + LINGER,
            trains: plan.trains,
            answered: Vec::new(),
            first_socket: params.first_socket,
            sockets: plan.sockets,
            closing: VecDeque::new(),
            probes: 0,
        }
    }

    /// Probes sent until now, openers too.
    #[must_use]
    pub fn probes(&self) -> u32 {
        self.probes
    }

    /// A probe of the peer, known as its own, came to this socket from here. The caller answers it as any; we
    /// probe back, for our own answer may be what the peer's NAT lets through.
    pub fn handle_probe(&mut self, socket: SocketId, address: SocketAddr, now: Instant) {
        let is_known = |known: &Answered| known.socket == socket && known.address == address;
        let is_over = matches!(self.state, State::Over(_));
        if !is_over && self.answered.len() < ANSWERED_MAX && !self.answered.iter().any(is_known) {
            self.answered.push(Answered { socket, address, sent: 0, due: now });
        }
    }

    /// The peer has answered a probe from this socket to this address: the attempt has won, and closes what it does not
    /// need.
    pub fn handle_success(&mut self, socket: SocketId, address: SocketAddr, _now: Instant) {
        if !matches!(self.state, State::Over(_)) {
            self.finish(PunchResult::Won { socket, address });
        }
    }

    /// What is to be done now.
    pub fn poll_output(&mut self, now: Instant) -> PunchOutput {
        if let Some((first, count)) = self.closing.pop_front() {
            return PunchOutput::CloseSockets { first, count };
        }
        match self.state {
            State::Over(result) => return PunchOutput::Over(result),
            State::Begun => {
                self.state = State::Probing;
                if self.sockets > 0 {
                    return PunchOutput::OpenSockets { first: self.first_socket, count: self.sockets };
                }
            }
            State::Probing => {}
        }
        if now >= self.end {
            self.finish(PunchResult::Failed);
            return self.poll_output(now);
        }
        self.probe_back(now).or_else(|| self.probe(now)).unwrap_or_else(|| PunchOutput::Wait(self.next(now)))
    }

    fn probe_back(&mut self, now: Instant) -> Option<PunchOutput> {
        let is_due = |source: &&mut Answered| source.sent < ANSWERED_PROBES && source.due <= now;
        let source = self.answered.iter_mut().find(is_due)?;
        source.sent += 1;
        source.due = now + ANSWERED_GAP;
        self.probes += 1;
        Some(PunchOutput::Probe { socket: source.socket, address: source.address, ttl: None })
    }

    /// The probe that has waited longest.
    fn probe(&mut self, now: Instant) -> Option<PunchOutput> {
        let due = |train: &Train| train.due(now).filter(|due| *due <= now);
        let train =
            self.trains.iter_mut().filter(|train| due(train).is_some()).min_by_key(|train| due(train))?;
        let (socket, address, ttl) = train.next(now);
        self.probes += 1;
        Some(PunchOutput::Probe { socket, address, ttl })
    }

    fn next(&self, now: Instant) -> Instant {
        let backs =
            self.answered.iter().filter(|source| source.sent < ANSWERED_PROBES).map(|source| source.due);
        let trains = self.trains.iter().filter_map(|train| train.due(now));
        backs.chain(trains).fold(self.end, Instant::min)
    }

    fn finish(&mut self, result: PunchResult) {
        let was_begun = matches!(self.state, State::Begun);
        self.state = State::Over(result);
        if was_begun || self.sockets == 0 {
            return;
        }
        let winner = match result {
            PunchResult::Won { socket, .. } => socket.0.checked_sub(self.first_socket.0),
            PunchResult::Failed => None,
        };
        let ranges = match winner.filter(|winner| *winner < self.sockets) {
            Some(winner) => [(0, winner), (winner + 1, self.sockets - winner - 1)],
            None => [(0, self.sockets), (0, 0)],
        };
        for (before, count) in ranges.into_iter().filter(|(_, count)| *count > 0) {
            self.closing.push_back((later(self.first_socket, before), count));
        }
    }
}

#[cfg(test)]
mod tests;
