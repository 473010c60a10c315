//! The only clock reads of Hopmesh. Everything below `src/` is told the time.

use std::time::{Duration, Instant, SystemTime};

/// Monotonic time: what deadlines, leases and rekeys count by. It stands still while the machine sleeps.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall-clock time in seconds since 1970, 0 for a clock that stands before that: what credentials and invites
/// expire by. It jumps when somebody sets the clock.
#[must_use]
pub fn unix_s() -> u64 {
    since_1970().as_secs()
}

/// Wall-clock time in milliseconds since 1970, 0 for a clock that stands before that.
#[must_use]
pub fn unix_ms() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_wall_clocks_agree_and_the_monotonic_one_never_goes_back() {
        let before = now();
        let (ms, s) = (unix_ms(), unix_s());
        assert!(s >= ms / 1000 && s - ms / 1000 <= 1, "{ms} ms and {s} s");
        assert!(s > 1_700_000_000, "the machine's clock stands at {s}");
        assert!(now() >= before);
    }
}
