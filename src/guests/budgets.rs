//! How much of a second's handshake messages each prefix has had: counters that workers share without a lock, and that nobody can
//! make more of.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use super::limits::{COUNTED_PREFIXES, PER_PREFIX_PER_SECOND};

pub(super) struct Budgets {
    counters: Box<[AtomicU32]>,
    /// Keyed by chance, so that nobody knows whose counter they share.
    hasher: RandomState,
}

impl Default for Budgets {
    fn default() -> Self {
        let counters = (0..COUNTED_PREFIXES).map(|_| AtomicU32::new(0)).collect();
        Self { counters, hasher: RandomState::new() }
    }
}

impl Budgets {
    /// Counts a message; whether its prefix may have one more.
    pub(super) fn permits(&self, ip: IpAddr) -> bool {
        let prefix = match ip {
            IpAddr::V4(v4) => v4.to_bits().into(),
            IpAddr::V6(v6) => v6.to_bits() >> 64 << 64,
        };
        let at = self.hasher.hash_one(prefix) as usize % self.counters.len();
        let counter = &self.counters[at];
        // Two workers may each let one more through; none counts so far that it begins again.
        let count = counter.load(Ordering::Relaxed);
        if count < PER_PREFIX_PER_SECOND {
            counter.store(count + 1, Ordering::Relaxed);
        }
        count < PER_PREFIX_PER_SECOND
    }

    /// A second has passed.
    pub(super) fn renew(&self) {
        self.counters.iter().for_each(|counter| counter.store(0, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_sends_much_has_no_more_until_the_next_second() {
        let budgets = Budgets::default();
        let taken = |ip: &str| (0..1000).filter(|_| budgets.permits(ip.parse().unwrap())).count();
        assert_eq!(taken("2001:db8::1"), PER_PREFIX_PER_SECOND as usize);
        assert_eq!(taken("2001:db8::2"), 0, "of the same /64");
        // Of so many others hardly any shares a counter with it, or with another.
        let others = (0..16).filter(|n| taken(&format!("198.51.100.{n}")) == PER_PREFIX_PER_SECOND as usize);
        assert!(others.count() >= 12);
        budgets.renew();
        assert_eq!(taken("2001:db8::2"), PER_PREFIX_PER_SECOND as usize);
    }
}
