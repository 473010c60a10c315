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

use crate::candidates::{Candidates, Source};
use crate::limits::{
    CHALLENGE_INTERVAL, CHALLENGE_MARGIN, CHALLENGE_RETRY, CHALLENGE_TIME, CHALLENGERS_MAX, LOOK_ACTIVE,
    LOOK_EARLY, LOOK_INTERVAL, PROBE_ACTIVE_INTERVAL, PROBE_ALL_EVERY, PROBE_IDLE_INTERVAL, PROBE_MARGIN,
    PROBE_TIMEOUT, PROBE_TIMEOUT_MIN, PROBE_TRIES, PROBES_MAX, SILENCE_MARGIN, SILENCE_TIMEOUT_MIN,
    WITHSTOOD_LIFE,
};
use crate::remote::{Remote, SocketId};
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

/// What has flowed from and to a peer: counts that grow with every packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// From it, in bytes.
    pub received: u64,
    /// To it, in bytes.
    pub sent: u64,
}

#[derive(Debug, Clone, Copy)]
struct Probe {
    token: u64,
    remote: Remote,
    sent: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Liveness {
    Alive {
        next: Instant,
    },
    /// `is_hurried`: the first probe was sent because nothing came.
    Suspect {
        unanswered: u32,
        next: Instant,
        is_hurried: bool,
    },
}

/// Answers to the latest regular probes, one bit each, the latest in the lowest; of how many.
#[derive(Debug, Clone, Copy, Default)]
struct Answers {
    bits: u64,
    count: u32,
}

impl Answers {
    fn note(&mut self, answered: bool) {
        self.bits = self.bits << 1 | u64::from(answered);
        self.count = (self.count + 1).min(u64::BITS);
    }

    fn loss_per_mille(self) -> Option<u16> {
        let mask = u64::MAX.checked_shr(u64::BITS - self.count)?;
        let lost = self.count - (self.bits & mask).count_ones();
        u16::try_from(lost * 1000 / self.count).ok()
    }
}

#[derive(Debug, Clone, Copy)]
struct Primary {
    remote: Remote,
    round_trip: Option<Duration>,
    liveness: Liveness,
    last_probe: Instant,
    answers: Answers,
}

impl Primary {
    /// How long an answer may take: what it took before and some more.
    fn timeout(&self) -> Duration {
        let usual = self.round_trip.map_or(PROBE_TIMEOUT, |round_trip| round_trip * 2 + PROBE_MARGIN);
        usual.clamp(PROBE_TIMEOUT_MIN, PROBE_TIMEOUT)
    }

    /// The same, when nothing else comes either.
    fn silence_timeout(&self) -> Duration {
        let usual = self.round_trip.map_or(PROBE_TIMEOUT, |round_trip| round_trip * 2 + SILENCE_MARGIN);
        usual.clamp(SILENCE_TIMEOUT_MIN, PROBE_TIMEOUT)
    }

    /// How long it may take to answer when it is challenged.
    fn challenge_time(&self) -> Duration {
        let usual = self.round_trip.map_or(CHALLENGE_TIME, |usual| usual * 3 / 2 + CHALLENGE_MARGIN);
        usual.min(CHALLENGE_TIME)
    }
}

/// Another address that the peer was heard from, and what came of probing it.
#[derive(Debug, Clone, Copy)]
struct Challenge {
    remote: Remote,
    since: Instant,
    /// When both were probed last.
    probed: Instant,
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

    /// An authenticated datagram came from this address.
    pub fn handle_datagram(&mut self, remote: Remote, now: Instant) {
        self.note_made(remote);
        if self.primary() == Some(remote) {
            return;
        }
        // When the peer uses a worse way than we, it has not found the better one yet, or has lost it: the answers tell.
        let is_worse = self.primary.is_some_and(|primary| primary.remote.rank() > remote.rank());
        if !is_worse && !self.is_suspect() && self.has_withstood(remote, now) {
            return;
        }
        if let Some(challenge) = &mut self.challenge
            && (challenge.remote, challenge.outcome) == (remote, Outcome::Open)
            && now < challenge.since + CHALLENGE_INTERVAL
        {
            if now >= challenge.probed + CHALLENGE_RETRY {
                challenge.probed = now;
                self.queue.extend(self.primary().into_iter().chain([remote]));
            }
            return;
        }
        self.challengers.retain(|(_, since)| now.saturating_duration_since(*since) < CHALLENGE_INTERVAL);
        let lately = self.challengers.iter().any(|(challenger, _)| *challenger == remote);
        if lately || self.challengers.len() >= CHALLENGERS_MAX {
            return;
        }
        self.challengers.push((remote, now));
        self.challenge = Some(Challenge { remote, since: now, probed: now, outcome: Outcome::Open });
        self.queue.extend(self.primary().into_iter().chain([remote]));
    }

    fn has_withstood(&self, remote: Remote, now: Instant) -> bool {
        let lately = |since: Instant| now.saturating_duration_since(since) < WITHSTOOD_LIFE;
        self.withstood.iter().any(|(challenger, since)| *challenger == remote && lately(*since))
    }

    fn note_withstood(&mut self, remote: Remote, now: Instant) {
        self.withstood.retain(|(challenger, _)| *challenger != remote);
        self.withstood.truncate(CHALLENGERS_MAX - 1);
        self.withstood.push_front((remote, now));
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
        if let Some(challenge) = &mut self.challenge
            && challenge.outcome != Outcome::Withstood
        {
            if is_primary {
                challenge.outcome = Outcome::Withstood;
                let challenger = challenge.remote;
                self.note_withstood(challenger, now);
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
            let next = now + CHALLENGE_TIME;
            primary.liveness = Liveness::Suspect { unanswered: 0, next, is_hurried: false };
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

    /// When [`Paths::poll_output`] is to be called next, which may be at once, and what for; never, when there is no path.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<(Instant, WaitReason)> {
        if self.suspicion || !self.queue.is_empty() {
            return Some((now, WaitReason::NextProbe));
        }
        let (next, reason) = match self.primary?.liveness {
            Liveness::Alive { next } => (next, WaitReason::NextProbe),
            Liveness::Suspect { next, .. } => (next, WaitReason::ProbeAnswer),
        };
        Some(self.before_challenge_ends(next, reason))
    }

    /// Whether a look that is due soon is done now, and shows that nothing flows.
    fn looks_early(&self, next: Instant, traffic: Traffic, now: Instant) -> bool {
        let is_soon = next.saturating_duration_since(now) <= LOOK_EARLY;
        is_soon && !self.has_flowed && !self.is_flowing && self.traffic == traffic
    }

    /// What is to be done now.
    pub fn poll_output(&mut self, traffic: Traffic, now: Instant) -> Output {
        if std::mem::take(&mut self.suspicion) {
            return Output::Suspect;
        }
        if let Some(remote) = self.queue.pop_front() {
            return self.probe(remote, now);
        }
        if let Some(remote) = self.judge_challenge(now) {
            return Output::Promoted(remote);
        }
        let Some(mut primary) = self.primary else { return Output::Wait(None, WaitReason::NextProbe) };
        match primary.liveness {
            Liveness::Alive { next } if now < next => {
                let is_early = self.looks_early(next, traffic, now);
                let due = primary.last_probe + self.idle_interval;
                let next = if is_early { due.min(now + LOOK_INTERVAL).max(next) } else { next };
                self.wait_for(Liveness::Alive { next }, next, WaitReason::NextProbe)
            }
            Liveness::Alive { .. } => self.look(traffic, now),
            // It was slow, no more: it has the time that it always has.
            Liveness::Suspect { unanswered: 0, is_hurried: true, .. }
                if traffic.received != self.traffic.received =>
            {
                let next = primary.last_probe + primary.timeout();
                primary.liveness = Liveness::Suspect { unanswered: 0, next, is_hurried: false };
                self.primary = Some(primary);
                self.poll_output(traffic, now)
            }
            Liveness::Suspect { next, .. } if now < next => {
                self.wait_for(primary.liveness, next, WaitReason::ProbeAnswer)
            }
            Liveness::Suspect { unanswered, .. } if unanswered >= PROBE_TRIES => {
                self.handle_close();
                Output::Lost
            }
            Liveness::Suspect { unanswered, .. } => {
                self.miss(unanswered, now);
                self.poll_output(traffic, now)
            }
        }
    }

    /// Looks what has flowed since the look before: a path that owes something is probed.
    fn look(&mut self, traffic: Traffic, now: Instant) -> Output {
        let Some(mut primary) = self.primary else { return Output::Wait(None, WaitReason::NextProbe) };
        let before = std::mem::replace(&mut self.traffic, traffic);
        let (receives, sends) = (traffic.received != before.received, traffic.sent != before.sent);
        let flowed = std::mem::replace(&mut self.is_flowing, receives || sends);
        self.has_flowed |= self.is_flowing;
        let is_silent = flowed && sends && !receives;
        let idle_due = primary.last_probe + self.idle_interval;
        // What has stopped to flow may have been stopped.
        let active_due = primary.last_probe + PROBE_ACTIVE_INTERVAL;
        if is_silent || now >= idle_due || (self.has_flowed && now >= active_due) {
            self.has_flowed = false;
            primary.last_probe = now;
            let timeout = if is_silent { primary.silence_timeout() } else { primary.timeout() };
            primary.liveness =
                Liveness::Suspect { unanswered: 0, next: now + timeout, is_hurried: is_silent };
            self.primary = Some(primary);
            return self.probe(primary.remote, now);
        }
        let next = match (self.is_flowing, self.has_flowed) {
            (true, _) => now + LOOK_ACTIVE,
            (false, true) => active_due,
            (false, false) => now + LOOK_INTERVAL,
        };
        let next = next.min(idle_due);
        self.wait_for(Liveness::Alive { next }, next, WaitReason::NextProbe)
    }

    /// The primary path owes an answer: it is asked again, and others are.
    fn miss(&mut self, unanswered: u32, now: Instant) {
        let Some(primary) = &mut self.primary else { return };
        primary.answers.note(false);
        let next = now + primary.silence_timeout() / 2;
        primary.liveness = Liveness::Suspect { unanswered: unanswered + 1, next, is_hurried: false };
        self.suspicion = unanswered == 0;
        let is_direct = primary.remote.is_direct();
        let asks_all = unanswered.is_multiple_of(PROBE_ALL_EVERY);
        // Over hops only other hops are tried: to knock at the peer's NAT unasked is what a punch takes care not to.
        let is_asked = |remote: &Remote| match remote {
            Remote::Udp { .. } => is_direct && (asks_all || self.primary() == Some(*remote)),
            Remote::Stream(_) | Remote::Circuit(_) => true,
        };
        let asked: Vec<Remote> = self.targets().into_iter().filter(is_asked).collect();
        self.queue.extend(asked);
    }

    /// The address that has won a challenge, now the primary path.
    fn judge_challenge(&mut self, now: Instant) -> Option<Remote> {
        let challenge = self.challenge?;
        let Outcome::Answered(round_trip) = challenge.outcome else { return None };
        if now < self.challenge_end(&challenge) || self.primary() == Some(challenge.remote) {
            return None;
        }
        self.challenge = None;
        self.promote(challenge.remote, Some(round_trip), now);
        Some(challenge.remote)
    }

    fn challenge_end(&self, challenge: &Challenge) -> Instant {
        challenge.since + self.primary.map_or(CHALLENGE_TIME, |primary| primary.challenge_time())
    }

    fn wait_for(&mut self, liveness: Liveness, next: Instant, reason: WaitReason) -> Output {
        if let Some(primary) = &mut self.primary {
            primary.liveness = liveness;
        }
        let (next, reason) = self.before_challenge_ends(next, reason);
        Output::Wait(Some(next), reason)
    }

    fn before_challenge_ends(&self, next: Instant, reason: WaitReason) -> (Instant, WaitReason) {
        let is_open = |challenge: &Challenge| {
            matches!(challenge.outcome, Outcome::Answered(_)) && self.primary() != Some(challenge.remote)
        };
        match self.challenge.filter(is_open).map(|challenge| self.challenge_end(&challenge)) {
            Some(end) if end < next => (end, WaitReason::Challenge),
            Some(_) | None => (next, reason),
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
