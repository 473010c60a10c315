//! Finding what another node has missed, and what we have.
//!
//! ```text
//! A: digest differs        A → B  Have, one for each range of key hashes
//! B: compare               B → A  Record for each that A lacks or has older, Want for what B lacks
//! A: by_hashes             A → B  Record for each that is wanted
//! ```
//!
//! What another node says in a summary is not believed beyond that exchange, and no summary calls forth more than
//! [`NEWER_RECORDS_MAX`] records and [`WANT_KEYS_MAX`] wishes.

use crate::Registry;
use crate::limits::NEWER_RECORDS_MAX;
use std::collections::{BTreeMap, BTreeSet};
use wire::Record;
use wire::control::{HAVE_ENTRIES_MAX, HaveEntry, Message, WANT_KEYS_MAX};

/// What a summary of another node calls for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Records that the other node lacks or has older, at most [`NEWER_RECORDS_MAX`].
    pub newer: Vec<Record>,
    /// Hashes of keys that the other node has newer than we, at most [`WANT_KEYS_MAX`].
    pub wanted: Vec<u64>,
}

impl Registry {
    /// Summaries of everything: [`Message::Have`] for ranges that cover all key hashes without a gap.
    #[must_use]
    pub fn summaries(&self) -> Vec<Message> {
        let entries: Vec<HaveEntry> = self
            .in_range(0, u64::MAX)
            .map(|(key, record)| HaveEntry { key, sequence: record.body().sequence })
            .collect();
        let mut summaries = Vec::new();
        let mut from = 0;
        let mut chunks = entries.chunks(HAVE_ENTRIES_MAX).peekable();
        while let Some(chunk) = chunks.next() {
            // The last range goes to the end, and only the last can have the highest hash in it.
            let to = if chunks.peek().is_none() { u64::MAX } else { chunk[chunk.len() - 1].key };
            summaries.push(Message::Have { from, to, entries: chunk.to_vec() });
            from = to.wrapping_add(1);
        }
        if summaries.is_empty() {
            summaries.push(Message::Have { from: 0, to: u64::MAX, entries: Vec::new() });
        }
        summaries
    }

    /// Compares another node's summary with what is here.
    ///
    /// No summary does harm: one that nobody sends who keeps to the protocol (bounds the wrong way round, too many
    /// entries) calls for nothing, entries outside the bounds do not count, of two for one key the newer does.
    #[must_use]
    pub fn compare(&self, from: u64, to: u64, entries: &[HaveEntry]) -> Difference {
        if from > to || entries.len() > HAVE_ENTRIES_MAX {
            return Difference::default();
        }
        let mut theirs = BTreeMap::new();
        for entry in entries.iter().filter(|entry| (from..=to).contains(&entry.key)) {
            let sequence = theirs.entry(entry.key).or_insert(entry.sequence);
            *sequence = entry.sequence.max(*sequence);
        }
        let newer = self
            .in_range(from, to)
            .filter(|(hash, record)| theirs.get(hash).is_none_or(|theirs| *theirs < record.body().sequence))
            .map(|(_, record)| record.clone())
            .take(NEWER_RECORDS_MAX)
            .collect();
        let wanted = theirs
            .into_iter()
            .filter(|(hash, sequence)| !self.has_seen(*hash, *sequence))
            .map(|(hash, _)| hash)
            .take(WANT_KEYS_MAX)
            .collect();
        Difference { newer, wanted }
    }

    /// The records that a [`Message::Want`] asks for, each once, as far as they are here and as one message may ask.
    #[must_use]
    pub fn by_hashes(&self, keys: &[u64]) -> Vec<&Record> {
        let keys: BTreeSet<u64> = keys.iter().take(WANT_KEYS_MAX).copied().collect();
        keys.into_iter().filter_map(|hash| self.by_hash(hash)).collect()
    }
}
