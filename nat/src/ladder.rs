//! The attempts to punch to one peer, one after the other: which means next, when, and what came of those before.
//!
//! It begins with what the profiles promise and climbs while that fails. It makes no attempt itself and knows nothing of
//! packets; whether a hard attempt is worth its cost now is the caller's decision.

use crate::limits::{
    ANSWER_PAUSE, ANSWER_SLACK, EASY_PAUSE, EASY_PAUSE_IN_USE, EASY_PAUSES, HARD_PAUSES, HISTORY_MAX,
};
use crate::punch::{PunchResult, Reason, Rung, Side, Strategy, strategy_on};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use wire::{Dependence, NatProfile};

/// The next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How far up we are; the call names it, so that the peer does the same.
    pub rung: Rung,
    /// What that means for these two sides.
    pub strategy: Strategy,
}

/// An attempt that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// On which rung.
    pub rung: Rung,
    /// By which means.
    pub strategy: Strategy,
    /// When it began.
    pub begun: Instant,
    /// How long it took.
    pub lasted: Duration,
    /// Probes sent.
    pub probes: u32,
    /// What came of it.
    pub result: PunchResult,
}

/// The attempts to punch to one peer.
#[derive(Debug, Default)]
pub struct Ladder {
    known: Option<Known>,
    rung: Option<Rung>,
    hard_failures: usize,
    /// Easy attempts on the last of their rungs that failed.
    easy_failures: usize,
    next_easy: Option<Instant>,
    next_hard: Option<Instant>,
    last_easy: Option<Instant>,
    last_hard: Option<Instant>,
    history: VecDeque<Attempt>,
}

/// The two sides as they were when the ladder was begun.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    ours: Fingerprint,
    theirs: Fingerprint,
    strategies: [Strategy; 4],
}

/// What makes a new beginning when it changes.
#[derive(Debug, PartialEq, Eq)]
struct Fingerprint {
    profile: NatProfile,
    addresses: Vec<SocketAddr>,
}

impl Fingerprint {
    fn new(side: &Side) -> Self {
        // Behind a NAT that gives a port to each mapping, the port is another one each time and means nothing.
        let is_steady = matches!(side.profile.mapping, Dependence::Unknown | Dependence::EndpointIndependent);
        let address = |candidate: &wire::Candidate| {
            let address = candidate.socket_address();
            if is_steady { address } else { SocketAddr::new(address.ip(), 0) }
        };
        let mut addresses: Vec<_> = side.public.iter().chain(&side.candidates).map(address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Self { profile: side.profile, addresses }
    }
}

impl Ladder {
    /// Nothing is known of the sides yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What both sides are now; when that has changed, the ladder begins anew.
    pub fn handle_sides(&mut self, ours: &Side, theirs: &Side, now: Instant) {
        let strategies = Rung::ALL.map(|rung| strategy_on(rung, ours, theirs));
        let known = Known { ours: Fingerprint::new(ours), theirs: Fingerprint::new(theirs), strategies };
        if self.known.as_ref() != Some(&known) {
            self.known = Some(known);
            self.begin(now);
        }
    }

    /// Our own network has changed.
    pub fn handle_local_change(&mut self, now: Instant) {
        self.begin(now);
    }

    /// Packets go over hops: a direct path is worth looking for again before long.
    pub fn handle_use(&mut self) {
        let soon = self.last_easy.map(|last| last + EASY_PAUSE_IN_USE);
        self.next_easy = self.next_easy.map(|next| soon.map_or(next, |soon| next.min(soon)));
    }

    /// The next attempt; `None` while nothing is known, and when there is no hope.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        let rung = self.rung?;
        Some(Step { rung, strategy: self.strategy(rung)? })
    }

    /// Why there is no attempt to come; `None` when there is one, or nothing is known.
    #[must_use]
    pub fn hopeless(&self) -> Option<Reason> {
        let Strategy::Hopeless(reason) = self.strategy(Rung::Likely)? else { return None };
        self.rung.is_none().then_some(reason)
    }

    /// Whether the next attempt is one of those of which a node makes one at a time.
    #[must_use]
    pub fn is_hard(&self) -> bool {
        self.step().is_some_and(|step| step.strategy.is_hard())
    }

    /// When the next attempt may be made; `None` when there is none.
    #[must_use]
    pub fn next_try(&self) -> Option<Instant> {
        let step = self.step()?;
        if step.strategy.is_hard() { self.next_hard } else { self.next_easy }
    }

    /// The means for an attempt that the peer calls for; `None` when it calls too often, or in vain.
    #[must_use]
    pub fn answer(&self, rung: Rung, now: Instant) -> Option<Strategy> {
        let strategy = self.strategy(rung)?;
        if matches!(strategy, Strategy::Hopeless(_)) {
            return None;
        }
        let due = if strategy.is_hard() {
            self.next_hard.and_then(|next| next.checked_sub(ANSWER_SLACK))
        } else {
            self.last_easy.map(|last| last + ANSWER_PAUSE)
        };
        due.is_none_or(|due| now >= due).then_some(strategy)
    }

    /// An attempt has ended, ours or one that the peer called for.
    pub fn handle_over(&mut self, attempt: Attempt, now: Instant) {
        if self.history.len() == HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(attempt);
        let is_hard = attempt.strategy.is_hard();
        if is_hard {
            self.last_hard = Some(now);
        } else {
            self.last_easy = Some(now);
        }
        match attempt.result {
            PunchResult::Won { .. } => self.handle_won(attempt, now),
            PunchResult::Failed => self.handle_failed(attempt, is_hard, now),
        }
    }

    /// The attempts made, oldest first; the last few.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &Attempt> {
        self.history.iter()
    }

    /// What has worked is what to do when the path is lost.
    fn handle_won(&mut self, attempt: Attempt, now: Instant) {
        self.hard_failures = 0;
        self.easy_failures = 0;
        self.next_easy = Some(now + EASY_PAUSE);
        self.next_hard = Some(self.last_hard.map_or(now, |last| last + HARD_PAUSES[0]));
        if self.strategy(attempt.rung) == Some(attempt.strategy) {
            self.rung = Some(attempt.rung);
        }
    }

    fn handle_failed(&mut self, attempt: Attempt, is_hard: bool, now: Instant) {
        if is_hard {
            let pause = HARD_PAUSES[self.hard_failures.min(HARD_PAUSES.len() - 1)];
            self.hard_failures += 1;
            self.next_hard = Some(now + pause);
        }
        // An attempt of the peer's on another rung says nothing of ours.
        if self.step().is_none_or(|step| step.strategy != attempt.strategy) {
            return;
        }
        let higher = self.higher(attempt);
        if !is_hard {
            let last = EASY_PAUSES[self.easy_failures.min(EASY_PAUSES.len() - 1)];
            self.easy_failures += usize::from(higher.is_none());
            self.next_easy = Some(now + if higher.is_some() { EASY_PAUSE } else { last });
        }
        if let Some(rung) = higher {
            self.rung = Some(rung);
            self.next_hard = self.next_hard.max(Some(now + EASY_PAUSE));
        }
    }

    /// The next rung that means something else.
    fn higher(&self, attempt: Attempt) -> Option<Rung> {
        let is_other = |strategy| strategy != attempt.strategy && !matches!(strategy, Strategy::Hopeless(_));
        let is_higher = |rung: &Rung| Some(*rung) > self.rung && self.strategy(*rung).is_some_and(is_other);
        Rung::ALL.into_iter().find(is_higher)
    }

    fn strategy(&self, rung: Rung) -> Option<Strategy> {
        self.known.as_ref().map(|known| known.strategies[usize::from(rung.number())])
    }

    /// From the first rung, at once; but what was done a moment ago is not done again because somebody's addresses
    /// change all the time.
    fn begin(&mut self, now: Instant) {
        let hopeful = |rung: &Rung| !matches!(self.strategy(*rung), None | Some(Strategy::Hopeless(_)));
        self.rung = Rung::ALL.into_iter().find(hopeful);
        self.hard_failures = 0;
        self.easy_failures = 0;
        self.next_easy = Some(self.last_easy.map_or(now, |last| now.max(last + EASY_PAUSE)));
        self.next_hard = Some(self.last_hard.map_or(now, |last| now.max(last + HARD_PAUSES[0])));
    }
}

#[cfg(test)]
mod tests;
