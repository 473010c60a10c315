//! What is counted of fronts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was counted, of one front since it is there or of all since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Connections, and clients that speak UDP, that were passed on.
    pub passed: u64,
    /// Those that were one too many, or had to make room.
    pub refused: u64,
    /// Those whose target could not be reached.
    pub unreached: u64,
}

/// The counters, written by one thread and read by any.
#[derive(Debug, Default)]
pub(super) struct Counters {
    passed: AtomicU64,
    refused: AtomicU64,
    unreached: AtomicU64,
}

impl Counters {
    pub(super) fn passed(&self) {
        self.passed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unreached(&self) {
        self.unreached.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counted(&self) -> Counted {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counted { passed: of(&self.passed), refused: of(&self.refused), unreached: of(&self.unreached) }
    }
}
