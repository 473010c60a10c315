//! What a crowd lives in, and what it sends there.

use std::time::Duration;

/// What the network between the members is like.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// How long a message takes, at least and at most.
    pub delay: (Duration, Duration),
    /// Messages of a thousand that do not arrive.
    pub loss_per_mille: u32,
    /// How long a session takes to come about.
    pub connecting: (Duration, Duration),
    /// How long it takes to see that there is none.
    pub giving_up: (Duration, Duration),
    /// Pairs of a thousand that cannot have a session at all.
    pub blocked_per_mille: u64,
}

impl Default for Surroundings {
    /// The internet: far, lossy, behind NATs.
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            delay: (ms(5), ms(150)),
            loss_per_mille: 10,
            connecting: (ms(50), ms(2000)),
            giving_up: (ms(3000), ms(10_000)),
            blocked_per_mille: 0,
        }
    }
}

/// What has been sent, by everybody together, in bytes of UDP payload.
#[derive(Debug, Default, Clone, Copy)]
pub struct Traffic {
    /// Messages about views.
    pub views: u64,
    /// Messages about news, without the records.
    pub news: u64,
    /// Records.
    pub records: u64,
    /// How many records.
    pub record_count: u64,
    /// Handshakes.
    pub handshakes: u64,
    /// How many handshakes.
    pub handshake_count: u64,
    /// Messages for which there was no session: there must be none.
    pub without_session: u64,
}

impl Traffic {
    /// All bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.views + self.news + self.records + self.handshakes
    }
}
