//! The paths to one peer: which one is primary, whether it lives, and what to probe next.
//!
//! ```text
//! no path ──handshake──▶ alive ──probe unanswered──▶ suspect ──three unanswered──▶ lost (no path)
//!                          ▲                            │
//!                          └──── any answer, from any candidate: that path is primary ◀────┘
//! ```
//!
//! Of paths of different rank the higher one is primary as soon as it answers: straight by UDP, over TCP, through hops.
//!
//! A probe may only promote a path: hearing an authenticated datagram from another address is a challenge. That
//! address and the primary path are probed at the same time, and the primary path moves only when the other answers and it
//! does not: a copied datagram proves nothing of where its maker is, and of two paths that work we keep the one we have.

mod challenge;
mod poll;
mod primary;

use crate::candidates::{Candidates, Source};
use crate::limits::{CHALLENGE_TIME, LOOK_ACTIVE, PROBE_ACTIVE_INTERVAL, PROBE_IDLE_INTERVAL, PROBES_MAX};
use crate::remote::{Remote, SocketId};
use challenge::Challenge;
pub use primary::Traffic;
use primary::{Liveness, Primary};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use wire::Candidate;

/// What is to be done for the paths of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Send a ping with this token to this address.
    Probe(u64, Remote),
    /// The primary path is another one now.
    Promoted(Remote),
    /// The primary path owes an answer: another one had better be made.
    Suspect,
    /// The primary path does not answer, and no other does.
    Lost,
    /// Nothing until then; never, when there is no path.
    Wait(Option<Instant>, WaitReason),
}

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// The next regular probe, or a look at whether packets flow.
    NextProbe,
    /// The answer to a probe.
    ProbeAnswer,
    /// The end of a challenge to the primary path.
    Challenge,
}

/// What an answer to a probe tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pong {
    /// Round trip of this probe.
    pub round_trip: Duration,
    /// Whether the primary path is another one now.
    pub promoted: bool,
}

#[derive(Debug, Clone, Copy)]
struct Probe {
    token: u64,
    remote: Remote,
    sent: Instant,
}

/// The paths to one peer.
#[derive(Debug)]
pub struct Paths {
    /// Where the peer may be dialled.
    pub candidates: Candidates,
    primary: Option<Primary>,
    probes: VecDeque<Probe>,
    challenge: Option<Challenge>,
    /// Who has challenged the primary path lately: each probes both sides, which may call forth the next.
    challengers: Vec<(Remote, Instant)>,
    /// Challengers that the primary path has withstood, and when: where each side prefers another of two paths that work,
    /// the probes of one challenge would call forth the next for ever.
    withstood: VecDeque<(Remote, Instant)>,
    /// The circuit that leads to the peer, in use or kept for when the primary path fails.
    circuit: Option<Remote>,
    /// The stream that may lead to it.
    stream: Option<Remote>,
    queue: VecDeque<Remote>,
    suspicion: bool,
    idle_interval: Duration,
    /// At the latest look.
    traffic: Traffic,
    /// Whether anything had flowed then, and since the latest probe.
    is_flowing: bool,
    has_flowed: bool,
    tokens: u64,
}

impl Paths {
    /// No path yet. Tokens of probes count up from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            candidates: Candidates::default(),
            primary: None,
            probes: VecDeque::new(),
            challenge: None,
            challengers: vec![],
            withstood: VecDeque::new(),
            circuit: None,
            stream: None,
            queue: VecDeque::new(),
            suspicion: false,
            idle_interval: PROBE_IDLE_INTERVAL,
            traffic: Traffic::default(),
            is_flowing: false,
            has_flowed: false,
            tokens: seed,
        }
    }

    /// The far end of the primary path.
    #[must_use]
    pub fn primary(&self) -> Option<Remote> {
        self.primary.map(|primary| primary.remote)
    }

    /// Latest measured round trip of the primary path.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.primary?.round_trip
    }

    /// Of a thousand regular probes of the primary path, how many had no answer lately.
    #[must_use]
    pub fn loss_per_mille(&self) -> Option<u16> {
        self.primary?.answers.loss_per_mille()
    }

    /// Whether the primary path is being asked whether it lives.
    #[must_use]
    pub fn is_suspected(&self) -> bool {
        self.primary.is_some_and(|primary| matches!(primary.liveness, Liveness::Suspect { .. }))
    }

    /// Whether the primary path owes an answer.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.primary
            .is_some_and(|p| matches!(p.liveness, Liveness::Suspect { unanswered, .. } if unanswered > 0))
    }

    /// Whether the primary path, and every other that was tried, owes more than one answer.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.primary
            .is_some_and(|p| matches!(p.liveness, Liveness::Suspect { unanswered, .. } if unanswered > 1))
    }

    /// The circuit that leads to the peer, if there is one.
    #[must_use]
    pub fn circuit(&self) -> Option<Remote> {
        self.circuit
    }

    /// Where to send a handshake, the primary path first.
    #[must_use]
    pub fn targets(&self) -> Vec<Remote> {
        let straight = self.candidates.targets().into_iter().map(|c| Remote::udp(c.socket_address()));
        let others = self.circuit.into_iter().chain(self.stream).chain(straight);
        let primary = self.primary();
        primary.into_iter().chain(others.filter(|other| Some(*other) != primary)).collect()
    }

    /// Takes addresses from a source; a new one is probed when the primary path does not answer.
    pub fn handle_candidates(&mut self, source: Source, candidates: &[Candidate]) {
        self.candidates.replace(source, candidates);
    }

    /// The peer has answered by this way to a probe that was not ours: it is probed, and used when that is answered too.
    pub fn handle_reached(&mut self, remote: Remote) {
        if self.primary() != Some(remote) && !self.queue.contains(&remote) {
            self.queue.push_back(remote);
        }
    }

    /// A circuit to the peer is there: it is probed, and kept.
    pub fn handle_circuit(&mut self, circuit: Remote) {
        self.circuit = Some(circuit);
        self.queue.push_back(circuit);
    }

    /// The peer has made a circuit or a stream to us, which serves us as well.
    fn note_made(&mut self, remote: Remote) {
        match remote {
            Remote::Circuit(_) => _ = self.circuit.get_or_insert(remote),
            Remote::Stream(_) => _ = self.stream.get_or_insert(remote),
            Remote::Udp { .. } => {}
        }
    }

    /// Whether this way is the primary path, or kept for when that fails.
    #[must_use]
    pub fn uses(&self, remote: Remote) -> bool {
        [self.primary(), self.circuit, self.stream].contains(&Some(remote))
    }

    /// A stream to where the peer may be is open.
    pub fn handle_stream(&mut self, stream: Remote) {
        self.stream = Some(stream);
    }

    /// How often to probe while nothing flows: the NAT before us forgets mappings that are used more seldom.
    pub fn handle_idle_interval(&mut self, interval: Duration) {
        self.idle_interval = interval;
    }

    /// The path works, but a better one may: all candidates are probed.
    pub fn handle_upgrade(&mut self) {
        self.queue.extend(self.targets());
    }

    /// A way is gone for good, a circuit or a stream; whether it was the primary path.
    pub fn handle_gone(&mut self, remote: Remote) -> bool {
        self.circuit.take_if(|circuit| *circuit == remote);
        self.stream.take_if(|stream| *stream == remote);
        self.queue.retain(|queued| *queued != remote);
        self.challenge.take_if(|challenge| challenge.remote == remote);
        self.primary.take_if(|primary| primary.remote == remote).is_some()
    }

    /// A handshake ended by way of this remote: it is the primary path, unless a better one lives; probed at once.
    pub fn handle_handshake(&mut self, remote: Remote, now: Instant) {
        self.note_made(remote);
        if self.primary.is_some_and(|primary| primary.remote.rank() > remote.rank()) && !self.is_suspect() {
            self.queue.push_back(remote);
            return;
        }
        let round_trip = self.primary.filter(|p| p.remote == remote).and_then(|p| p.round_trip);
        self.promote(remote, round_trip, now);
        self.queue.push_back(remote);
    }

    /// An authenticated answer to a probe came from this address; `None` when it answers no probe of ours.
    pub fn handle_pong(&mut self, token: u64, remote: Remote, now: Instant) -> Option<Pong> {
        let position = self.probes.iter().position(|probe| probe.token == token && probe.remote == remote)?;
        let probe = self.probes.remove(position)?;
        let round_trip = now.saturating_duration_since(probe.sent);
        let is_primary = self.primary() == Some(remote);
        let is_better = self.primary.is_none_or(|primary| remote.rank() > primary.remote.rank());
        let is_needed = is_better || self.is_suspect();
        if is_primary || is_needed {
            self.promote(remote, Some(round_trip), now);
        }
        if is_primary && let Some(primary) = &mut self.primary {
            primary.answers.note(true);
        }
        self.note_answer(remote, (is_primary, round_trip), now);
        Some(Pong { round_trip, promoted: is_needed && !is_primary })
    }

    /// Our own addresses or routes changed: probe the primary path at once, so that the peer learns where we are, and
    /// the others soon if it does not answer. Changes come in flocks: those that follow give it no more time.
    pub fn handle_local_change(&mut self, now: Instant) {
        if let Some(primary) = &mut self.primary {
            if matches!(primary.liveness, Liveness::Alive { .. }) {
                let next = now + primary.silence_timeout().min(CHALLENGE_TIME);
                primary.liveness = Liveness::Suspect { unanswered: 0, next, is_hurried: false };
            }
            self.queue.push_back(primary.remote);
        }
    }

    /// There is no session any more.
    pub fn handle_close(&mut self) {
        self.primary = None;
        self.probes.clear();
        self.queue.clear();
        self.challenge = None;
        self.suspicion = false;
    }

    fn promote(&mut self, remote: Remote, round_trip: Option<Duration>, now: Instant) {
        let last_probe = self.primary.map_or(now, |primary| primary.last_probe);
        let same = self.primary.filter(|primary| primary.remote == remote);
        if same.is_none() {
            self.withstood.clear();
        }
        let answers = same.map(|primary| primary.answers).unwrap_or_default();
        let look = if self.is_flowing { LOOK_ACTIVE } else { PROBE_ACTIVE_INTERVAL };
        let liveness = Liveness::Alive { next: now + look };
        self.primary = Some(Primary { remote, round_trip, liveness, last_probe, answers });
        // What a spare socket reached is of no use to the main one.
        if let Remote::Udp { socket: SocketId::MAIN, address } = remote
            && let Some(candidate) = Candidate::new(address)
        {
            self.candidates.remember(candidate);
        }
    }

    fn probe(&mut self, remote: Remote, now: Instant) -> Output {
        self.tokens = self.tokens.wrapping_add(1);
        if self.probes.len() == PROBES_MAX {
            self.probes.pop_front();
        }
        self.probes.push_back(Probe { token: self.tokens, remote, sent: now });
        Output::Probe(self.tokens, remote)
    }
}

#[cfg(test)]
mod tests;
