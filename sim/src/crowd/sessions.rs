//! Who has a session with whom, in a crowd: made when one is wanted, ended when it carries nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A session that has carried nothing for this long ends; neighbours ask each other more often.
const IDLE_TIMEOUT: Duration = Duration::from_secs(180);

/// The sessions, by the numbers of both ends, and when they last carried something.
#[derive(Debug, Default)]
pub(super) struct Sessions(BTreeMap<(u32, u32), Instant>);

fn pair(a: u32, b: u32) -> (u32, u32) {
    (a.min(b), a.max(b))
}

impl Sessions {
    pub(super) fn insert(&mut self, a: u32, b: u32, now: Instant) {
        self.0.insert(pair(a, b), now);
    }

    pub(super) fn remove(&mut self, a: u32, b: u32) {
        self.0.remove(&pair(a, b));
    }

    /// Whether there is one, which is in use then.
    pub(super) fn use_one(&mut self, a: u32, b: u32, now: Instant) -> bool {
        self.0.get_mut(&pair(a, b)).map(|last| *last = now).is_some()
    }

    pub(super) fn end_idle(&mut self, now: Instant) {
        self.0.retain(|_, last| now.saturating_duration_since(*last) < IDLE_TIMEOUT);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
