//! How many hints of members are looked at a second: in all, and from one address range.
//!
//! Who stands here has the network secret, or a copy of what somebody sent who has. Each hint costs the verification of a
//! signature, and an ask that of a signature of ours.

use crate::limits::{COUNTED_PREFIXES_MAX, HINTS_MAX, HINTS_PER_PREFIX};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

pub(super) struct Allowance {
    second: Instant,
    taken: u32,
    prefixes: BTreeMap<IpAddr, u32>,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self { second: now, taken: 0, prefixes: BTreeMap::new() }
    }

    /// Whether one more may be looked at, from this address.
    pub(super) fn take(&mut self, from: IpAddr, now: Instant) -> bool {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        let prefix = match from {
            IpAddr::V4(_) => from,
            IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        };
        let is_full = self.prefixes.len() >= COUNTED_PREFIXES_MAX && !self.prefixes.contains_key(&prefix);
        if self.taken >= HINTS_MAX || is_full {
            return false;
        }
        let count = self.prefixes.entry(prefix).or_default();
        if *count >= HINTS_PER_PREFIX {
            return false;
        }
        *count += 1;
        self.taken += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_its_share_and_all_have_theirs() {
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant to begin with")]
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        let v6 = |net: u16, host: u16| IpAddr::from([0x2001, 0xdb8, net, 0, 0, 0, 0, host]);
        for host in 0..HINTS_PER_PREFIX {
            assert!(allowance.take(v6(0, host as u16), now));
        }
        assert!(!allowance.take(v6(0, 999), now), "a /64 is one");
        for net in 1..=(HINTS_MAX - HINTS_PER_PREFIX) as u16 {
            assert!(allowance.take(v6(net, 1), now), "{net}");
        }
        assert!(!allowance.take(v6(0xffff, 1), now), "all have had theirs");
        assert!(allowance.take(v6(0, 1), now + Duration::from_secs(1)), "a new second");
    }
}
