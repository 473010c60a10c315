//! The replay window: each counter of a session opens once (RFC 6479's ring, without a lock).
//!
//! The ring has 512 words. A word holds which turn of the ring it belongs to (upper 32 bits) and which
//! of its 32 counters were seen (lower 32 bits), so one compare-and-swap both marks a counter and
//! clears what the ring has left behind; several workers may share a session.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters this far behind the highest one seen are refused.
pub const WINDOW: u64 = 8192;
const WORDS: usize = 512;
const BITS: u64 = 32;

/// Which counters of a session were seen.
pub struct ReplayWindow {
    highest: AtomicU64,
    words: Box<[AtomicU64; WORDS]>,
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self { highest: AtomicU64::new(0), words: Box::new([const { AtomicU64::new(0) }; WORDS]) }
    }
}

impl ReplayWindow {
    /// Marks an authenticated counter as seen; false when it was seen before or is too old.
    /// Counters must be below [`crate::limits::REJECT_AFTER_COUNTER`].
    pub fn accept(&self, counter: u64) -> bool {
        let highest = self.highest.fetch_max(counter, Relaxed);
        if counter + WINDOW <= highest {
            return false;
        }
        let block = counter / BITS;
        let turn = (block / WORDS as u64) as u32;
        let bit = 1u64 << (counter % BITS);
        let word = &self.words[(block % WORDS as u64) as usize];
        let mark = |old: u64| match ((old >> 32) as u32).cmp(&turn) {
            std::cmp::Ordering::Less => Some(u64::from(turn) << 32 | bit),
            std::cmp::Ordering::Equal if old & bit == 0 => Some(old | bit),
            std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => None,
        };
        word.fetch_update(Relaxed, Relaxed, mark).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use std::collections::BTreeSet;

    #[test]
    fn each_counter_once_in_order_and_out_of_order() {
        let window = ReplayWindow::default();
        for counter in [0, 1, 5, 3, 2, 4, 100, 99] {
            assert!(window.accept(counter), "{counter}");
            assert!(!window.accept(counter), "{counter} again");
        }
    }

    #[test]
    fn the_window_is_exactly_as_wide_as_it_says() {
        let window = ReplayWindow::default();
        let top = 1_000_000;
        assert!(window.accept(top));
        assert!(window.accept(top - WINDOW + 1));
        assert!(!window.accept(top - WINDOW));
        assert!(!window.accept(0));
    }

    #[test]
    fn agrees_with_a_set_over_random_walks() {
        let mut random = Random::new([1; 32]);
        let (window, mut seen, mut highest) = (ReplayWindow::default(), BTreeSet::new(), 0u64);
        for _ in 0..200_000 {
            let step = random.u64() % 64;
            let leap = if random.u64().is_multiple_of(500) { random.u64() % 40_000 } else { step };
            let counter = (highest + leap).saturating_sub(random.u64() % 9_000);
            let fresh = counter + WINDOW > highest && seen.insert(counter);
            highest = highest.max(counter);
            assert_eq!(window.accept(counter), fresh, "{counter} with {highest} seen");
        }
    }
}
