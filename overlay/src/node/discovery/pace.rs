//! Pace: when to try something again that has failed, ever later.

use crate::limits::SEEK_PAUSES;
use crate::random::Random;
use std::time::Instant;

/// The next try, and how many there were.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) next: Instant,
    tries: usize,
}

impl Pace {
    /// The first try is now.
    pub(super) fn at_once(now: Instant) -> Self {
        Self { next: now, tries: 0 }
    }

    /// The first try is after the first pause.
    pub(super) fn after_pause(now: Instant) -> Self {
        Self { next: now + SEEK_PAUSES[0], tries: 1 }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// There is a try now.
    pub(super) fn tried(&mut self, random: &mut Random, now: Instant) {
        let pause = SEEK_PAUSES[self.tries.min(SEEK_PAUSES.len() - 1)];
        self.tries += 1;
        self.next = now + random.jitter(pause);
    }
}
