//! The paths to one peer: which one is primary, whether it lives, and what to probe next.
//!
//! ```text
//! no path ──handshake──▶ alive ──probe unanswered──▶ suspect ──three unanswered──▶ lost (no path)
//!                          ▲                            │
//!                          └──── any answer, from any candidate: that path is primary ◀────┘
//! ```
//!
//! A probe may only promote a path: hearing an authenticated datagram from a new address makes us probe that
//! address, and only its answer moves the primary path there (a copied datagram proves nothing of where its maker is).

use crate::candidates::{Candidates, Source};
use crate::limits::{
    PROBE_ACTIVE_INTERVAL, PROBE_IDLE_INTERVAL, PROBE_TIMEOUT, PROBE_TRIES, PROBES_MAX, ROAM_PROBE_INTERVAL,
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

/// The paths to one peer.
#[derive(Debug)]
pub struct Paths {
    /// Where the peer may be dialled.
    pub candidates: Candidates,
    primary: Option<Primary>,
    probes: VecDeque<Probe>,
    roam_probe: Option<(SocketAddr, Instant)>,
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
            roam_probe: None,
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
        let told_lately = self
            .roam_probe
            .is_some_and(|(to, at)| to == remote && now.saturating_duration_since(at) < ROAM_PROBE_INTERVAL);
        if self.primary() != Some(remote) && !told_lately {
            self.roam_probe = Some((remote, now));
            self.queue.push_back(remote);
        }
    }

    /// An authenticated answer to a probe came from this address; `None` when it answers no probe of ours.
    pub fn handle_pong(&mut self, token: u64, remote: SocketAddr, now: Instant) -> Option<Pong> {
        let position = self.probes.iter().position(|probe| probe.token == token && probe.remote == remote)?;
        let probe = self.probes.remove(position)?;
        let round_trip = now.saturating_duration_since(probe.sent);
        let promoted = self.primary() != Some(remote);
        self.promote(remote, Some(round_trip), now);
        Some(Pong { round_trip, promoted })
    }

    /// Our own addresses or routes changed: probe the primary path at once, so that the peer learns where we are.
    pub fn handle_local_change(&mut self, now: Instant) {
        if let Some(primary) = &mut self.primary {
            primary.liveness = Liveness::Suspect { unanswered: 0, next: now };
        }
    }

    /// There is no session any more.
    pub fn handle_close(&mut self) {
        self.primary = None;
        self.probes.clear();
        self.queue.clear();
        self.roam_probe = None;
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
        let Some(primary) = &mut self.primary else { return Output::Wait(None, WaitReason::NextProbe) };
        match primary.liveness {
            Liveness::Alive { next } if now < next => Output::Wait(Some(next), WaitReason::NextProbe),
            Liveness::Suspect { next, .. } if now < next => Output::Wait(Some(next), WaitReason::ProbeAnswer),
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
