//! How often something is tried, and how often others may make us do something.

use crate::limits::{
    JOIN_INTERVAL, JOINS_AT_ONCE, MIX_INTERVAL, MIX_INTERVAL_MIN, MIX_RECALL_TIME, PROMOTION_PAUSE,
    PROMOTION_PAUSE_FEW, PROMOTION_PAUSE_MAX, START_DELAY,
};
use crate::random::Random;
use std::time::{Duration, Instant};

/// When the next neighbour is looked for.
#[derive(Debug)]
pub(super) struct Search {
    next: Instant,
    pause: Duration,
}

impl Search {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now + START_DELAY, pause: PROMOTION_PAUSE }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// There is a new reason to look: at once.
    pub(super) fn hasten(&mut self, now: Instant) {
        self.next = self.next.min(now);
        self.pause = PROMOTION_PAUSE;
    }

    /// Nobody was found. Several who refuse at the same time count as one.
    pub(super) fn slow_down(&mut self, has_few: bool, random: &mut Random, now: Instant) {
        if self.next <= now {
            self.next = now + random.jitter(self.pause);
            let longest = if has_few { PROMOTION_PAUSE_FEW } else { PROMOTION_PAUSE_MAX };
            self.pause = (self.pause * 2).min(longest);
        }
    }
}

/// When somebody beyond the neighbours is asked to be one: a member that the caller recalls or, when it recalls none, one
/// of the passive view.
#[derive(Debug)]
pub(super) struct Mixing {
    next: Instant,
    interval: Duration,
    /// Whether the next member that is recalled will be asked.
    is_recalling: bool,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mix {
    Recall,
    Passive,
}

impl Mixing {
    pub(super) fn new(random: &mut Random, now: Instant) -> Self {
        let interval = MIX_INTERVAL_MIN;
        Self { next: now + random.jitter(interval), interval, is_recalling: false }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn due(&mut self, random: &mut Random, now: Instant) -> Option<Mix> {
        if self.next > now {
            return None;
        }
        if self.take(random, now) {
            return Some(Mix::Passive);
        }
        self.is_recalling = true;
        self.next = now + MIX_RECALL_TIME;
        Some(Mix::Recall)
    }

    /// Somebody is there to be asked; whether it is time.
    pub(super) fn take(&mut self, random: &mut Random, now: Instant) -> bool {
        let is_time = std::mem::take(&mut self.is_recalling);
        if is_time {
            self.interval = (self.interval * 2).min(MIX_INTERVAL);
            self.next = now + random.jitter(self.interval);
        }
        is_time
    }
}

/// Joins that may be told to others: so many at once, and one in each interval.
#[derive(Debug)]
pub(super) struct Announcements {
    /// When as many as can be may go at once again.
    full_at: Instant,
}

impl Announcements {
    pub(super) fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Whether one more may go.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.max(now) + JOIN_INTERVAL;
        let may = full_at <= now + JOIN_INTERVAL * JOINS_AT_ONCE;
        if may {
            self.full_at = full_at;
        }
        may
    }
}
