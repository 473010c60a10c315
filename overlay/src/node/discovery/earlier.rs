//! The DHT under earlier network secrets: where a member that was away looks for us.
//!
//! An anchor, which can be dialled without the help of others, leaves its hint in its slots under the secrets that are kept, one
//! after the other. Who was revoked can read them too: that an anchor is there, and where, is all that it learns. All
//! others are to be found under the latest secret only.

use super::Node;
use super::dht::DhtRequest;
use crate::limits::{DHT_EARLIER_PUT_PAUSE, DHT_PUT_AGAIN};
use crate::node::Output;
use std::time::Instant;
use wire::mailbox::{self, Slot};

/// Whose turn it is.
#[derive(Default)]
pub(super) struct Turn {
    /// When; at once in the beginning.
    next: Option<Instant>,
    /// Place among the earlier secrets.
    place: usize,
}

impl Node {
    pub(super) fn run_earlier(&mut self, now: Instant) {
        if self.earlier_deadline(now).is_none_or(|at| now < at) {
            return;
        }
        let count = self.members.network.secrets.all().count() - 1;
        let turn = &mut self.discovery.earlier;
        let place = turn.place % count;
        let pause = DHT_PUT_AGAIN / u32::try_from(count).unwrap_or(u32::MAX);
        *turn = Turn { next: Some(now + pause.max(DHT_EARLIER_PUT_PAUSE)), place: place + 1 };
        let Some(secret) = self.members.network.secrets.all().nth(place + 1) else { return };
        let unix_s = self.unix_s(now);
        let slot = Slot::of_hint(secret, mailbox::day(unix_s), &self.identity.node());
        let value = self.own_hint(false, now).seal(slot.seal_key(), self.random.bytes());
        let request = DhtRequest::Put { seed: *slot.seed(), value, sequence: unix_s };
        self.outputs.push_back(Output::Dht(request));
    }

    pub(super) fn earlier_deadline(&self, now: Instant) -> Option<Instant> {
        let is_found = self.reach.is_anchor && !self.discovery.dht.candidates().is_empty();
        let has_earlier = self.members.network.secrets.all().nth(1).is_some();
        (is_found && has_earlier).then(|| self.discovery.earlier.next.unwrap_or(now))
    }
}
