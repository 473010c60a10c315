//! The primary path: whether it lives, how long it takes to answer, and how often it did not.

use crate::limits::{
    CHALLENGE_MARGIN, CHALLENGE_TIME, PROBE_MARGIN, PROBE_TIMEOUT, PROBE_TIMEOUT_MIN, SILENCE_MARGIN,
    SILENCE_TIMEOUT_MIN,
};
use crate::remote::Remote;
use std::time::{Duration, Instant};

/// What has flowed from and to a peer: counts that grow with every packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// From it, in bytes.
    pub received: u64,
    /// To it, in bytes.
    pub sent: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Liveness {
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
pub(super) struct Answers {
    bits: u64,
    count: u32,
}

impl Answers {
    pub(super) fn note(&mut self, answered: bool) {
        self.bits = self.bits << 1 | u64::from(answered);
        self.count = (self.count + 1).min(u64::BITS);
    }

    pub(super) fn loss_per_mille(self) -> Option<u16> {
        let mask = u64::MAX.checked_shr(u64::BITS - self.count)?;
        let lost = self.count - (self.bits & mask).count_ones();
        u16::try_from(lost * 1000 / self.count).ok()
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Primary {
    pub(super) remote: Remote,
    pub(super) round_trip: Option<Duration>,
    pub(super) liveness: Liveness,
    pub(super) last_probe: Instant,
    pub(super) answers: Answers,
}

impl Primary {
    /// How long an answer may take: what it took before and some more.
    pub(super) fn timeout(&self) -> Duration {
        let usual = self.round_trip.map_or(PROBE_TIMEOUT, |round_trip| round_trip * 2 + PROBE_MARGIN);
        usual.clamp(PROBE_TIMEOUT_MIN, PROBE_TIMEOUT)
    }

    /// The same, when nothing else comes either.
    pub(super) fn silence_timeout(&self) -> Duration {
        let usual = self.round_trip.map_or(PROBE_TIMEOUT, |round_trip| round_trip * 2 + SILENCE_MARGIN);
        usual.clamp(SILENCE_TIMEOUT_MIN, PROBE_TIMEOUT)
    }

    /// How long it may take to answer when it is challenged.
    pub(super) fn challenge_time(&self) -> Duration {
        let usual = self.round_trip.map_or(CHALLENGE_TIME, |usual| usual * 3 / 2 + CHALLENGE_MARGIN);
        usual.min(CHALLENGE_TIME)
    }
}
