//! Leases in the set: they end by themselves, and what has ended is remembered, so that it never comes back.
//!
//! Deadlines of two nodes for one lease differ by the seconds that it took from one to the other. For so long their
//! digests differ, and nothing is exchanged but a summary: who has dropped the lease has seen it, so it is neither wanted
//! nor taken again.

use super::{Merge, Place, Registry};
use std::time::{Duration, Instant};
use wire::Record;
use wire::record::Key;

/// What is remembered of a lease over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Its key.
    pub key: Key,
    /// The lowest sequence that may still be taken.
    pub floor: u64,
}

impl Registry {
    /// Ends the leases whose time has come; their keys.
    pub fn end_leases(&mut self, now: Instant) -> Vec<Key> {
        let mut ended = vec![];
        while let Some((at, hash)) = self.agenda.first().copied().filter(|(at, _)| *at <= now) {
            let place = self.places.get(&hash).expect("what is planned has a place");
            let (key, sequence, is_held) = (place.key(), place.sequence(), place.record().is_some());
            self.remove(hash);
            if is_held {
                self.add(hash, Place::ended(key.clone(), sequence, at));
                ended.push(key);
            }
        }
        ended
    }

    /// When a lease ends next, or is forgotten.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// How long ago a lease that is held here was signed; nothing for other records.
    #[must_use]
    pub fn age(&self, record: &Record, now: Instant) -> Option<Duration> {
        record.ttl()?;
        self.places.get(&record.key_hash())?.age(now)
    }

    /// What is to be remembered of all leases over a restart.
    pub fn sequences(&self) -> impl Iterator<Item = Sequence> {
        let leases = self.places.values().filter(|place| place.deadline().is_some());
        leases.map(|place| {
            // What is held may come again from others; what has ended may not.
            let floor = place.sequence().saturating_add(u64::from(place.record().is_none()));
            Sequence { key: place.key(), floor }
        })
    }

    /// Remembers what was known before a restart: nothing below a sequence is taken any more.
    pub fn remember(&mut self, sequence: Sequence, now: Instant) -> Merge {
        let Some(below) = sequence.floor.checked_sub(1) else { return Merge::Old };
        self.put(sequence.key.hash(), Place::ended(sequence.key, below, now))
    }
}

#[cfg(test)]
mod tests;
