//! The paths to one peer: which one is primary, whether it lives, and what to probe next.
//!
//! ```text
//! no path ──handshake──▶ alive ──probe unanswered──▶ suspect ──three unanswered──▶ lost (no path)
//!                          ▲                            │
//!                          └──── any answer, from any candidate: that path is primary ◀────┘
//! ```
//!
//! A probe may only promote a path: hearing an authenticated datagram from another address is a challenge. That
//! address and the primary path are probed at the same time, and the primary path moves only when the other answers and it
//! does not: a copied datagram proves nothing of where its maker is, and of two paths that work we keep the one we have.

use crate::candidates::{Candidates, Source};
use crate::limits::{
    CHALLENGE_INTERVAL, CHALLENGE_TIME, PROBE_ACTIVE_INTERVAL, PROBE_IDLE_INTERVAL, PROBE_TIMEOUT,
    PROBE_TRIES, PROBES_MAX,
};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use wire::Candidate;

/// What is to be done for the paths of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Send a ping with this token to this address.
    Probe(u64, SocketAddr),
    /// The primary path is another one now.
    Promoted(SocketAddr),
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
    remote: SocketAddr,
    sent: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Liveness {
    Alive { next: Instant },
    Suspect { unanswered: u32, next: Instant },
}

#[derive(Debug, Clone, Copy)]
struct Primary {
    remote: SocketAddr,
    round_trip: Option<Duration>,
    liveness: Liveness,
    last_probe: Instant,
}

/// Another address that the peer was heard from, and what came of probing it.
#[derive(Debug, Clone, Copy)]
struct Challenge {
    remote: SocketAddr,
    since: Instant,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Neither has answered.
    Open,
    /// The challenger has answered in this time.
    Answered(Duration),
    /// The primary path has answered: it stays.
    Withstood,
}

/// The paths to one peer.
#[derive(Debug)]
pub struct Paths {
    /// Where the peer may be dialled.
    pub candidates: Candidates,
    primary: Option<Primary>,
    probes: VecDeque<Probe>,
    challenge: Option<Challenge>,
    queue: VecDeque<SocketAddr>,
    traffic: u64,
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
            queue: VecDeque::new(),
            traffic: 0,
            tokens: seed,
        }
    }

    /// The address of the primary path.
    #[must_use]
    pub fn primary(&self) -> Option<SocketAddr> {
        self.primary.map(|primary| primary.remote)
    }

    /// Latest measured round trip of the primary path.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.primary?.round_trip
    }

    /// Addresses to send a handshake to, the primary path first.
    #[must_use]
    pub fn targets(&self) -> Vec<SocketAddr> {
        let others = self.candidates.targets().into_iter().map(|c| c.socket_address());
        let primary = self.primary();
        primary.into_iter().chain(others.filter(|other| Some(*other) != primary)).collect()
    }

    /// Takes addresses from a source; a new one is probed when the primary path does not answer.
    pub fn handle_candidates(&mut self, source: Source, candidates: &[Candidate]) {
        self.candidates.replace(source, candidates);
    }

    /// A handshake ended by way of this address: it is the primary path, and probed at once.
    pub fn handle_handshake(&mut self, remote: SocketAddr, now: Instant) {
        let round_trip = self.primary.filter(|p| p.remote == remote).and_then(|p| p.round_trip);
        self.promote(remote, round_trip, now);
        self.queue.push_back(remote);
    }

    /// An authenticated datagram came from this address.
    pub fn handle_datagram(&mut self, remote: SocketAddr, now: Instant) {
        if self.primary() == Some(remote) {
            return;
        }
        let lately =
            |challenge: Challenge| now.saturating_duration_since(challenge.since) < CHALLENGE_INTERVAL;
        if self.challenge.is_some_and(|challenge| challenge.remote == remote && lately(challenge)) {
            return;
        }
        self.challenge = Some(Challenge { remote, since: now, outcome: Outcome::Open });
        self.queue.extend(self.primary().into_iter().chain([remote]));
    }

    /// An authenticated answer to a probe came from this address; `None` when it answers no probe of ours.
    pub fn handle_pong(&mut self, token: u64, remote: SocketAddr, now: Instant) -> Option<Pong> {
        let position = self.probes.iter().position(|probe| probe.token == token && probe.remote == remote)?;
        let probe = self.probes.remove(position)?;
        let round_trip = now.saturating_duration_since(probe.sent);
        let is_primary = self.primary() == Some(remote);
        let is_needed = match self.primary.map(|primary| primary.liveness) {
            None => true,
            Some(Liveness::Suspect { unanswered, .. }) => unanswered > 0,
            Some(Liveness::Alive { .. }) => false,
        };
        if is_primary || is_needed {
            self.promote(remote, Some(round_trip), now);
        }
        if let Some(challenge) = &mut self.challenge
            && challenge.outcome != Outcome::Withstood
        {
            if is_primary {
                challenge.outcome = Outcome::Withstood;
            } else if challenge.remote == remote {
                challenge.outcome = Outcome::Answered(round_trip);
            }
        }
        Some(Pong { round_trip, promoted: is_needed && !is_primary })
    }

    /// Our own addresses or routes changed: probe the primary path at once, so that the peer learns where we are, and
    /// the others soon if it does not answer.
    pub fn handle_local_change(&mut self, now: Instant) {
        if let Some(primary) = &mut self.primary {
            primary.liveness = Liveness::Suspect { unanswered: 0, next: now + CHALLENGE_TIME };
            self.queue.push_back(primary.remote);
        }
    }

    /// There is no session any more.
    pub fn handle_close(&mut self) {
        self.primary = None;
        self.probes.clear();
        self.queue.clear();
        self.challenge = None;
    }

    fn promote(&mut self, remote: SocketAddr, round_trip: Option<Duration>, now: Instant) {
        let last_probe = self.primary.map_or(now, |primary| primary.last_probe);
        let liveness = Liveness::Alive { next: now + PROBE_ACTIVE_INTERVAL };
        self.primary = Some(Primary { remote, round_trip, liveness, last_probe });
        if let Some(candidate) = Candidate::new(remote) {
            self.candidates.remember(candidate);
        }
    }

    /// What is to be done now. `traffic` is a count that grows with every packet to or from the peer.
    pub fn poll_output(&mut self, traffic: u64, now: Instant) -> Output {
        if let Some(remote) = self.queue.pop_front() {
            return self.probe(remote, now);
        }
        if let Some(remote) = self.judge_challenge(now) {
            return Output::Promoted(remote);
        }
        let Some(primary) = &mut self.primary else { return Output::Wait(None, WaitReason::NextProbe) };
        match primary.liveness {
            Liveness::Alive { next } if now < next => self.wait(next, WaitReason::NextProbe),
            Liveness::Suspect { next, .. } if now < next => self.wait(next, WaitReason::ProbeAnswer),
            Liveness::Alive { .. } => {
                let flows = std::mem::replace(&mut self.traffic, traffic) != traffic;
                let due = primary.last_probe + PROBE_IDLE_INTERVAL;
                if flows || now >= due {
                    primary.last_probe = now;
                    primary.liveness = Liveness::Suspect { unanswered: 0, next: now + PROBE_TIMEOUT };
                    let remote = primary.remote;
                    return self.probe(remote, now);
                }
                primary.liveness = Liveness::Alive { next: due.min(now + PROBE_ACTIVE_INTERVAL) };
                self.poll_output(traffic, now)
            }
            Liveness::Suspect { unanswered, .. } if unanswered >= PROBE_TRIES => {
                self.handle_close();
                Output::Lost
            }
            Liveness::Suspect { unanswered, .. } => {
                primary.liveness =
                    Liveness::Suspect { unanswered: unanswered + 1, next: now + PROBE_TIMEOUT };
                self.queue.extend(self.targets());
                self.poll_output(traffic, now)
            }
        }
    }

    /// The address that has won a challenge, now the primary path.
    fn judge_challenge(&mut self, now: Instant) -> Option<SocketAddr> {
        let challenge = self.challenge?;
        let Outcome::Answered(round_trip) = challenge.outcome else { return None };
        if now < challenge.since + CHALLENGE_TIME || self.primary() == Some(challenge.remote) {
            return None;
        }
        self.challenge = None;
        self.promote(challenge.remote, Some(round_trip), now);
        Some(challenge.remote)
    }

    fn wait(&self, next: Instant, reason: WaitReason) -> Output {
        let is_open = |challenge: &Challenge| {
            matches!(challenge.outcome, Outcome::Answered(_)) && self.primary() != Some(challenge.remote)
        };
        match self.challenge.filter(is_open).map(|challenge| challenge.since + CHALLENGE_TIME) {
            Some(end) if end < next => Output::Wait(Some(end), WaitReason::Challenge),
            Some(_) | None => Output::Wait(Some(next), reason),
        }
    }

    fn probe(&mut self, remote: SocketAddr, now: Instant) -> Output {
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
