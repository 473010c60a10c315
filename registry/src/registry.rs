//! The set of records, and how a record is merged into it.

use crate::limits::{Quota, quota};
use crate::range::{Digests, Range};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use wire::control::HaveEntry;
use wire::record::Key;
use wire::{Kind, NodeId, Record};

/// The records that one node holds.
///
/// ```
/// let registry = registry::Registry::new();
/// assert!(registry.is_empty());
/// assert_eq!(registry.digest(), 0);
/// ```
#[derive(Debug, Clone)]
pub struct Registry {
    /// In the order of [`Key`]: kind and owner, then name.
    owners: BTreeMap<(Kind, NodeId), BTreeMap<String, Record>>,
    /// One record for one hash: two keys of one hash (whoever works 2^32 times finds such a pair among his own)
    /// share a place, or else summaries could not tell them apart and would never agree. Sharing can take an owner
    /// over its quota, but never adds a record.
    by_hash: BTreeMap<u64, Key>,
    totals: BTreeMap<Kind, usize>,
    digest: u64,
    digests: Digests,
    quota: fn(Kind) -> Quota,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// Its key was not held. Where a quota was full, the highest key of the owner or kind made room for it.
    New,
    /// It took the place of an older version.
    Replaced,
    /// It is held already.
    Same,
    /// A newer version is held.
    Old,
    /// There is no room for its key.
    Refused(RefusalReason),
}

impl Merge {
    /// Whether other nodes may not know the record yet: then it is passed on.
    #[must_use]
    pub fn is_news(self) -> bool {
        matches!(self, Self::New | Self::Replaced)
    }
}

/// Which quota was full of lower keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum RefusalReason {
    /// The owner's.
    #[error("the owner has too many records")]
    OwnerQuota,
    /// Everybody's.
    #[error("there are too many records")]
    TotalQuota,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// An empty set with the quotas of [`crate::limits`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_quota(quota)
    }

    pub(crate) fn with_quota(quota: fn(Kind) -> Quota) -> Self {
        Self {
            owners: BTreeMap::new(),
            by_hash: BTreeMap::new(),
            totals: BTreeMap::new(),
            digest: 0,
            digests: Digests::default(),
            quota,
        }
    }

    /// Merges a record. The outcome for the whole set does not depend on the order of calls.
    pub fn insert(&mut self, record: Record) -> Merge {
        let hash = record.key_hash();
        if let Some(held) = self.by_hash(hash) {
            match version(&record).cmp(&version(held)) {
                Ordering::Less => return Merge::Old,
                Ordering::Equal => return Merge::Same,
                Ordering::Greater => {}
            }
            self.remove(hash);
            self.add(hash, record);
            return Merge::Replaced;
        }
        match self.room_for(&record.key()) {
            Ok(None) => {}
            Ok(Some(displaced)) => self.remove(displaced),
            Err(reason) => return Merge::Refused(reason),
        }
        self.add(hash, record);
        Merge::New
    }

    /// The hash of the record that has to go before a new key comes in, if one has to and does.
    ///
    /// The lowest keys stay, for owner and kind alike. So a key that belongs to the final set is never displaced
    /// on the way there, and one that was displaced could not have come back.
    fn room_for(&self, key: &Key) -> Result<Option<u64>, RefusalReason> {
        let quota = (self.quota)(key.kind);
        let of_owner = self.owners.get(&(key.kind, key.owner));
        let (highest, reason) = if of_owner.is_some_and(|records| records.len() >= quota.per_owner) {
            (of_owner.and_then(BTreeMap::last_key_value), RefusalReason::OwnerQuota)
        } else if self.totals.get(&key.kind).is_some_and(|total| *total >= quota.total) {
            let all = (key.kind, NodeId([0; 32]))..=(key.kind, NodeId([0xff; 32]));
            let last_owner = self.owners.range(all).next_back();
            (last_owner.and_then(|(_, records)| records.last_key_value()), RefusalReason::TotalQuota)
        } else {
            return Ok(None);
        };
        match highest {
            Some((_, record)) if *key < record.key() => Ok(Some(record.key_hash())),
            _ => Err(reason),
        }
    }

    fn add(&mut self, hash: u64, record: Record) {
        let key = record.key();
        self.toggle(hash, &record);
        *self.totals.entry(key.kind).or_default() += 1;
        self.by_hash.insert(hash, key.clone());
        self.owners.entry((key.kind, key.owner)).or_default().insert(key.name, record);
    }

    fn remove(&mut self, hash: u64) {
        let key = self.by_hash.remove(&hash).expect("callers have just seen it there");
        let place = (key.kind, key.owner);
        let records = self.owners.get_mut(&place).expect("what has a hash has an owner");
        let record = records.remove(&key.name).expect("and a name");
        if records.is_empty() {
            self.owners.remove(&place);
        }
        *self.totals.get_mut(&key.kind).expect("was counted when it was added") -= 1;
        self.toggle(hash, &record);
    }

    /// A record came or went.
    fn toggle(&mut self, hash: u64, record: &Record) {
        let version = record.version_hash();
        self.digest ^= version;
        self.digests.toggle(hash, version);
    }

    /// Forgets the record of a key, which is to be held no more; whether there was one. As for any judgement, whoever
    /// forgets it must take it no more either, and all nodes must come to do the same, or anti-entropy never ends.
    pub fn forget(&mut self, key: &Key) -> bool {
        let hash = self.get(key).map(Record::key_hash);
        hash.map(|hash| self.remove(hash)).is_some()
    }

    /// The record of a key.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Record> {
        self.owners.get(&(key.kind, key.owner))?.get(&key.name)
    }

    /// All records in the order of their keys: by kind, owner, name.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.owners.values().flat_map(BTreeMap::values)
    }

    /// The sequence for the next record of a key: one above the highest seen, 1 for the first.
    ///
    /// That is only as good as memory is: a node that may have lost what it wrote last (a crash, a restored disk) begins
    /// above what it may have signed, or its news is taken for old. At the end of all sequences, where only
    /// the owner itself can bring its key, it stays there.
    #[must_use]
    pub fn next_sequence(&self, key: &Key) -> u64 {
        self.get(key).map_or(1, |record| record.body().sequence.saturating_add(1))
    }

    /// XOR of [`Record::version_hash`] over all records: equal where summaries are equal.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// Whether a record that another node names is here, or a newer one of its key.
    #[must_use]
    pub fn holds(&self, named: &HaveEntry) -> bool {
        self.by_hash(named.key).is_some_and(|held| held.body().sequence >= named.sequence)
    }

    /// XOR of [`Record::version_hash`] over the records in a range.
    pub(crate) fn digest_of(&self, range: Range) -> u64 {
        let computed = || {
            let records = self.in_range(range.first(), range.last());
            records.fold(0, |digest, (_, record)| digest ^ record.version_hash())
        };
        self.digests.of(range).unwrap_or_else(computed)
    }

    pub(crate) fn by_hash(&self, hash: u64) -> Option<&Record> {
        self.get(self.by_hash.get(&hash)?)
    }

    /// Records whose key hashes lie in a range, with them, ascending; none when the range is upside down.
    pub(crate) fn in_range(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, &Record)> {
        let range = (from <= to).then(|| self.by_hash.range(from..=to));
        range.into_iter().flatten().filter_map(|(hash, key)| Some((*hash, self.get(key)?)))
    }
}

/// What decides between two records of one key: the sequence, and every node alike when an owner used one twice.
fn version(record: &Record) -> (u64, &[u8]) {
    (record.body().sequence, record.bytes())
}

#[cfg(test)]
mod tests;
