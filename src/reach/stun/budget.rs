//! How many strangers are answered in a second, altogether and in one neighbourhood.
//!
//! A fixed table of counters, cleared every second: nothing is kept for strangers, and neighbourhoods whose counters
//! coincide only get fewer answers.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::reach::limits::{STUN_ANSWERS_PER_PREFIX, STUN_ANSWERS_PER_SECOND, STUN_COUNTERS};

const SECOND: Duration = Duration::from_secs(1);

/// What is left of this second.
#[derive(Debug)]
pub struct Budget {
    /// Answers given in this second, by the hash of the neighbourhood.
    given: Box<[u8; STUN_COUNTERS]>,
    given_in_all: u16,
    since: Instant,
    /// Seeded for each process, so that nobody can choose whom he shares a counter with.
    hash: RandomState,
}

impl Budget {
    /// A full budget.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { given: Box::new([0; STUN_COUNTERS]), given_in_all: 0, since: now, hash: RandomState::new() }
    }

    /// Takes one answer to `ip` from the budget; false when there is none left for it in this second.
    pub fn take(&mut self, ip: IpAddr, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= SECOND {
            self.given.fill(0);
            self.given_in_all = 0;
            self.since = now;
        }
        let counter = usize::try_from(self.hash.hash_one(neighbourhood(ip)) % STUN_COUNTERS as u64)
            .expect("less than the table is long");
        if self.given_in_all >= STUN_ANSWERS_PER_SECOND || self.given[counter] >= STUN_ANSWERS_PER_PREFIX {
            return false;
        }
        self.given_in_all += 1;
        self.given[counter] += 1;
        true
    }
}

/// The /24 or /56 of an address: what one customer or one corner of a carrier has, and one attacker can send from.
fn neighbourhood(ip: IpAddr) -> [u8; 8] {
    let mut prefix = [0; 8];
    match ip.to_canonical() {
        IpAddr::V4(ip) => prefix[..3].copy_from_slice(&ip.octets()[..3]),
        IpAddr::V6(ip) => {
            prefix[..7].copy_from_slice(&ip.octets()[..7]);
            prefix[7] = 6;
        }
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &mut Budget, ip: &str, times: usize, now: Instant) -> usize {
        (0..times).filter(|_| budget.take(ip.parse().unwrap(), now)).count()
    }

    #[test]
    fn a_neighbourhood_has_its_share_of_each_second() {
        for (one, neighbour) in [
            ("192.0.2.1", "192.0.2.254"),
            ("2001:db8::1", "2001:db8:0:ff::2"),
            ("192.0.2.1", "::ffff:192.0.2.9"),
        ] {
            let start = Instant::now();
            let mut budget = Budget::new(start);
            assert_eq!(taken(&mut budget, one, 100, start), usize::from(STUN_ANSWERS_PER_PREFIX), "{one}");
            assert_eq!(taken(&mut budget, neighbour, 100, start), 0, "{neighbour}");
            let later = start + SECOND;
            assert_eq!(taken(&mut budget, neighbour, 100, later), usize::from(STUN_ANSWERS_PER_PREFIX));
        }
    }

    #[test]
    fn another_neighbourhood_has_its_own_share() {
        let pairs = [("192.0.2.1", "192.0.3.1"), ("2001:db8::1", "2001:db8:0:100::1")];
        for (one, other) in pairs {
            let start = Instant::now();
            // Two of 1024 counters coincide now and then, three times in a row never.
            let apart = (0..3).any(|_| {
                let mut budget = Budget::new(start);
                let _ = taken(&mut budget, one, 100, start);
                taken(&mut budget, other, 1, start) == 1
            });
            assert!(apart, "{one} and {other}");
        }
    }

    #[test]
    fn all_together_get_no_more_than_the_total() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let sum: usize = (0..=255).map(|n| taken(&mut budget, &format!("198.51.{n}.1"), 10, start)).sum();
        assert_eq!(sum, usize::from(STUN_ANSWERS_PER_SECOND));
        assert_eq!(taken(&mut budget, "203.0.113.1", 1, start + SECOND / 2), 0);
        assert_eq!(taken(&mut budget, "203.0.113.1", 1, start + SECOND), 1);
    }
}
