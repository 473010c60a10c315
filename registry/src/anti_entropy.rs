//! Finding what another node has missed, and what we have.
//!
//! ```text
//! A: digest differs        A → B  Digests of the sixteen ranges of key hashes
//! B: compare_digests       B → A  for each range that differs: Digests of its parts, or Have when it holds few
//! A: compare               A → B  Record for each that B lacks or has older, Want for what A lacks
//! B: by_hashes             B → A  Record for each that is wanted
//! ```
//!
//! Two nodes compare what both hold: what everybody does, and the narrower of their parts when one is within the other. With 100,000
//! records of which one differs, that is some datagrams each way. Who holds few begins with Have. What the revision of their session
//! does not know counts for neither: who does not know it would ask for it for ever.
//!
//! What another node says is not believed beyond that exchange, and no digests call forth more than [`DIGESTS_ANSWERS_MAX`]
//! messages, no summary more than [`NEWER_RECORDS_MAX`] records and [`WANT_KEYS_MAX`] wishes. Of more the first ones go, so that
//! the next round begins behind them.

use crate::Registry;
use crate::limits::{DIGESTS_ANSWERS_MAX, NEWER_RECORDS_MAX};
use crate::range::{Range, STEP_BITS};
use std::collections::{BTreeMap, BTreeSet};
use wire::control::{DIGESTS_MAX, HAVE_ENTRIES_MAX, HaveEntry, Message, RangeDigest, WANT_KEYS_MAX};
use wire::{Part, Record, Revision};

/// What a summary of another node calls for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Records that the other node lacks or has older, at most [`NEWER_RECORDS_MAX`].
    pub newer: Vec<Record>,
    /// Hashes of keys that the other node has newer than we, at most [`WANT_KEYS_MAX`].
    pub wanted: Vec<u64>,
}

impl Registry {
    /// What goes to a node whose digest differs, of what both hold: what everybody does and this part. For each of the two it is
    /// what is here when that fits, else digests of its parts; where both hold everything they are one.
    #[must_use]
    pub fn summary(&self, common: Part, revision: Revision) -> Vec<Message> {
        let ranges = match common {
            Part::WHOLE => vec![Range::ALL],
            Part::NOTHING => vec![Range::EVERYBODYS],
            _ => vec![Range::EVERYBODYS, Range::of_part(common)],
        };
        let message = |range: Range| {
            self.have(range, revision).unwrap_or_else(|| self.digests(&range.steps(), revision))
        };
        ranges.into_iter().map(message).collect()
    }

    /// Compares another node's [`Message::Digests`] with what is here: what goes back to it.
    ///
    /// Ranges that nobody names who keeps to the protocol, and too many of them, call for nothing; nor do those beyond our part.
    #[must_use]
    pub fn compare_digests(&self, bits: u8, ranges: &[RangeDigest], revision: Revision) -> Vec<Message> {
        if ranges.len() > DIGESTS_MAX {
            return Vec::new();
        }
        let mut answers = Vec::new();
        let mut parts = Vec::new();
        let named = ranges.iter().filter_map(|named| Some((Range::new(bits, named.prefix)?, named.digest)));
        let ours = named.filter(|(range, _)| self.is_comparable(*range));
        for (range, _) in ours.filter(|(range, digest)| self.digest_of(*range, revision) != *digest) {
            if answers.len() + parts.len().div_ceil(DIGESTS_MAX) >= DIGESTS_ANSWERS_MAX {
                break;
            }
            match self.have(range, revision) {
                Some(have) => answers.push(have),
                None => parts.extend(range.parts()),
            }
        }
        let digests = parts.chunks(DIGESTS_MAX).map(|parts| self.digests(parts, revision));
        answers.into_iter().chain(digests).take(DIGESTS_ANSWERS_MAX).collect()
    }

    /// [`Message::Have`] for a range, when that many fit into one.
    fn have(&self, range: Range, revision: Revision) -> Option<Message> {
        let (from, to) = (range.first(), range.last());
        let records = self.known_in_range(from, to, revision).take(HAVE_ENTRIES_MAX + 1);
        let entries: Vec<HaveEntry> =
            records.map(|(key, record)| HaveEntry { key, sequence: record.body().sequence }).collect();
        (entries.len() <= HAVE_ENTRIES_MAX).then_some(Message::Have { from, to, entries })
    }

    /// [`Message::Digests`] for ranges of the same number of bits, of which there is one.
    fn digests(&self, parts: &[Range], revision: Revision) -> Message {
        let digest =
            |part: &Range| RangeDigest { prefix: part.prefix, digest: self.digest_of(*part, revision) };
        let bits = parts.first().map_or(STEP_BITS, |part| part.bits);
        Message::Digests { bits, ranges: parts.iter().map(digest).collect() }
    }

    /// Whether all of a range is what we hold, so that a difference is one.
    fn is_comparable(&self, range: Range) -> bool {
        let part = self.part();
        part == Part::WHOLE
            || range.is_within(Range::EVERYBODYS)
            || (part != Part::NOTHING && range.is_within(Range::of_part(part)))
    }

    /// Compares another node's summary with what is here.
    ///
    /// No summary does harm: one that nobody sends who keeps to the protocol (bounds the wrong way round, too many
    /// entries) calls for nothing, entries outside the bounds do not count, of two for one key the newer does.
    #[must_use]
    pub fn compare(&self, (from, to): (u64, u64), entries: &[HaveEntry], revision: Revision) -> Difference {
        if from > to || entries.len() > HAVE_ENTRIES_MAX {
            return Difference::default();
        }
        let mut theirs = BTreeMap::new();
        for entry in entries.iter().filter(|entry| (from..=to).contains(&entry.key)) {
            let sequence = theirs.entry(entry.key).or_insert(entry.sequence);
            *sequence = entry.sequence.max(*sequence);
        }
        let newer = self
            .known_in_range(from, to, revision)
            .filter(|(hash, _)| self.is_in_part(*hash))
            .filter(|(hash, record)| theirs.get(hash).is_none_or(|theirs| *theirs < record.body().sequence))
            .map(|(_, record)| record.clone())
            .take(NEWER_RECORDS_MAX)
            .collect();
        let wanted = theirs
            .into_iter()
            .filter(|(hash, sequence)| self.is_in_part(*hash) && !self.has_seen(*hash, *sequence))
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
