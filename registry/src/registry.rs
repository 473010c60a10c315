//! The set of records, and how a record is merged into it.

mod lease;
mod place;
mod portion;
mod strata;

pub use lease::Sequence;

use crate::limits::{FULL_REPLICATION_MAX, Quota, quota};
use crate::range::Range;
use place::Place;
use portion::Portion;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use strata::Strata;
use wire::control::HaveEntry;
use wire::record::Key;
use wire::{Kind, NodeId, Part, Record, Revision};

/// The records that one node holds.
///
/// ```
/// let registry = registry::Registry::new();
/// assert!(registry.is_empty());
/// assert_eq!(registry.digest(), 0);
/// ```
#[derive(Debug, Clone)]
pub struct Registry {
    /// The hashes of all keys in their order: kind and owner, then name.
    owners: BTreeMap<(Kind, NodeId), BTreeMap<String, u64>>,
    /// One place for one hash: two keys of one hash (whoever works 2^32 times finds such a pair among his own)
    /// share it, or else summaries could not tell them apart and would never agree. Sharing can take an owner
    /// over its quota, but never adds a record.
    places: BTreeMap<u64, Place>,
    /// When something happens to a place by itself.
    agenda: BTreeSet<(Instant, u64)>,
    totals: BTreeMap<Kind, usize>,
    records: usize,
    strata: Strata,
    quota: fn(Kind) -> Quota,
    portion: Portion,
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
    /// A newer version is held, or was until it ended.
    Old,
    /// It has ended already.
    Over,
    /// It is in a part of key space that others hold. What it says may be news to them.
    Beyond,
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
    /// An empty set with the quotas of [`crate::limits`] that holds whatever there is room for.
    #[must_use]
    pub fn new() -> Self {
        Self::with_quota(quota)
    }

    /// As [`Registry::new`] for a node that holds at most so many records of the kinds that are shared out, and beyond them a part.
    #[must_use]
    pub fn of_node(own: NodeId, full_replication_max: usize) -> Self {
        Self { portion: Portion::new(own, full_replication_max), ..Self::new() }
    }

    pub(crate) fn with_quota(quota: fn(Kind) -> Quota) -> Self {
        Self {
            owners: BTreeMap::new(),
            places: BTreeMap::new(),
            agenda: BTreeSet::new(),
            totals: BTreeMap::new(),
            records: 0,
            strata: Strata::default(),
            quota,
            portion: Portion::new(NodeId([0; 32]), FULL_REPLICATION_MAX),
        }
    }

    /// Merges a record that was signed this long ago, which counts for leases only. The outcome for the whole set does
    /// not depend on the order of calls.
    pub fn insert(&mut self, record: Record, age: Duration, now: Instant) -> Merge {
        let ends = match record.ttl() {
            // Whoever says so may lie, so it is not remembered.
            Some(ttl) if age >= ttl => return Merge::Over,
            ttl => ttl.map(|ttl| now + (ttl - age)),
        };
        self.put(record.key_hash(), Place::Held { record, ends })
    }

    fn put(&mut self, hash: u64, place: Place) -> Merge {
        if !self.is_in_part(hash) && !self.portion.keeps(&place.key()) {
            return Merge::Beyond;
        }
        if let Some(known) = self.places.get(&hash) {
            if known.record().is_some_and(|held| Some(held) == place.record()) {
                return Merge::Same;
            }
            if known.outranks(&place) {
                return Merge::Old;
            }
            self.remove(hash);
            self.add(hash, place);
            return Merge::Replaced;
        }
        if !self.is_in_part(hash) && !self.portion.has_room_beside(&place.key(), self.shared_out()) {
            return Merge::Beyond;
        }
        let room = self.room_for(&place.key(), hash);
        self.portion.overflows |= self.is_full() && room != Ok(None);
        match room {
            Ok(None) => {}
            Ok(Some(displaced)) => self.remove(displaced),
            Err(reason) => return Merge::Refused(reason),
        }
        self.add(hash, place);
        Merge::New
    }

    /// Whether a new key of an owner would find room without taking it from another of its keys.
    #[must_use]
    pub fn has_room(&self, kind: Kind, owner: NodeId) -> bool {
        let quota = (self.quota)(kind);
        self.owners.get(&(kind, owner)).map_or(0, BTreeMap::len) < quota.per_owner
            && self.totals.get(&kind).is_none_or(|total| *total < quota.total)
    }

    /// The hash of the key that has to go before a new one comes in, if one has to and does.
    ///
    /// The lowest keys stay, for owner and kind alike, those of ended leases among them. So a key that belongs to the
    /// final set is never displaced on the way there, and one that was displaced could not have come back.
    fn room_for(&self, key: &Key, hash: u64) -> Result<Option<u64>, RefusalReason> {
        let quota = (self.quota)(key.kind);
        let of_owner = self.owners.get_key_value(&(key.kind, key.owner));
        let (last, reason) = if of_owner.is_some_and(|(_, names)| names.len() >= quota.per_owner) {
            (of_owner, RefusalReason::OwnerQuota)
        } else if self.totals.get(&key.kind).is_some_and(|total| *total >= quota.total) {
            (self.owners.range(all_owners(key.kind)).next_back(), RefusalReason::TotalQuota)
        } else {
            return self.room_in_part(key, hash);
        };
        let highest = last.and_then(|((_, owner), names)| Some((owner, names.last_key_value()?)));
        match highest {
            Some((owner, (name, hash))) if (&key.owner, &key.name) < (owner, name) => Ok(Some(*hash)),
            _ => Err(reason),
        }
    }

    /// Number of places of the kinds that are shared out.
    fn shared_out(&self) -> usize {
        self.totals.iter().filter(|(kind, _)| kind.is_shared_out()).map(|(_, total)| total).sum()
    }

    fn add(&mut self, hash: u64, place: Place) {
        let key = place.key();
        if let Some(record) = place.record() {
            self.toggle(hash, record);
            self.records += 1;
        }
        if let Some(at) = place.deadline() {
            self.agenda.insert((at, hash));
        }
        *self.totals.entry(key.kind).or_default() += 1;
        self.portion.count(key.kind, hash);
        self.owners.entry((key.kind, key.owner)).or_default().insert(key.name, hash);
        self.places.insert(hash, place);
    }

    fn remove(&mut self, hash: u64) {
        let place = self.places.remove(&hash).expect("callers have just seen it there");
        if let Some(record) = place.record() {
            self.toggle(hash, record);
            self.records -= 1;
        }
        if let Some(at) = place.deadline() {
            self.agenda.remove(&(at, hash));
        }
        let key = place.key();
        let owner = (key.kind, key.owner);
        let names = self.owners.get_mut(&owner).expect("what has a place has an owner");
        names.remove(&key.name);
        if names.is_empty() {
            self.owners.remove(&owner);
        }
        *self.totals.get_mut(&key.kind).expect("was counted when it was added") -= 1;
        self.portion.discount(key.kind, hash);
    }

    /// A record came or went.
    fn toggle(&mut self, hash: u64, record: &Record) {
        self.strata.toggle(record.body().kind, hash, record.version_hash());
    }

    /// Forgets the record of a key, which is to be held no more; whether there was one. As for any judgement, whoever
    /// forgets it must take it no more either, and all nodes must come to do the same, or anti-entropy never ends.
    pub fn forget(&mut self, key: &Key) -> bool {
        let hash = self.get(key).map(Record::key_hash);
        hash.map(|hash| self.remove(hash)).is_some()
    }

    /// Forgets all that an owner has of a kind, as [`Registry::forget`].
    pub fn forget_owner(&mut self, kind: Kind, owner: NodeId) {
        let hashes: Vec<u64> =
            self.owners.get(&(kind, owner)).into_iter().flat_map(BTreeMap::values).copied().collect();
        hashes.into_iter().for_each(|hash| self.remove(hash));
    }

    /// The record of a key.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Record> {
        self.place(key)?.record()
    }

    fn place(&self, key: &Key) -> Option<&Place> {
        self.places.get(self.owners.get(&(key.kind, key.owner))?.get(&key.name)?)
    }

    /// All records in the order of their keys: by kind, owner, name.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.owners.values().flat_map(BTreeMap::values).filter_map(|hash| self.by_hash(*hash))
    }

    /// All records of a kind in the order of their keys.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Record> {
        let owners = self.owners.range(all_owners(kind));
        owners.flat_map(|(_, names)| names.values()).filter_map(|hash| self.by_hash(*hash))
    }

    /// All records that an owner has of a kind.
    pub fn of_owner(&self, kind: Kind, owner: NodeId) -> impl Iterator<Item = &Record> {
        let names = self.owners.get(&(kind, owner)).into_iter().flat_map(BTreeMap::values);
        names.filter_map(|hash| self.by_hash(*hash))
    }

    /// The sequence for the next record of a key: one above the highest seen, 1 for the first.
    ///
    /// That is only as good as memory is: a node that may have lost what it wrote last (a crash, a restored disk) begins
    /// above what it may have signed, or its news is taken for old. At the end of all sequences, where only
    /// the owner itself can bring its key, it stays there.
    #[must_use]
    pub fn next_sequence(&self, key: &Key) -> u64 {
        self.place(key).map_or(1, |place| place.sequence().saturating_add(1))
    }

    /// XOR of [`Record::version_hash`] over all records: equal where summaries are equal.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.strata.digest(Revision::CURRENT)
    }

    /// The same over what everybody holds and what is in a part, of the kinds that a revision knows.
    #[must_use]
    pub fn digest_in(&self, part: Part, revision: Revision) -> u64 {
        match part {
            Part::WHOLE => self.strata.digest(revision),
            Part::NOTHING => self.digest_of(Range::EVERYBODYS, revision),
            _ => self.digest_of(Range::EVERYBODYS, revision) ^ self.digest_of(Range::of_part(part), revision),
        }
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Whether a record that is said to be of this key, with this sequence and these bytes, would change nothing.
    #[must_use]
    pub fn is_old(&self, key: &Key, sequence: u64, bytes: &[u8]) -> bool {
        self.place(key).is_some_and(|place| match place.record() {
            Some(held) => held.body().sequence > sequence || held.bytes() == bytes,
            None => place.sequence() >= sequence,
        })
    }

    /// Whether a record that another node names is here, or a newer one of its key, or was here and has ended.
    #[must_use]
    pub fn holds(&self, named: &HaveEntry) -> bool {
        self.has_seen(named.key, named.sequence)
    }

    /// What the record is about, or the ended lease, whose key has this hash.
    #[must_use]
    pub fn kind_of(&self, hash: u64) -> Option<Kind> {
        self.places.get(&hash).map(Place::kind)
    }

    /// XOR of [`Record::version_hash`] over the records in a range, of the kinds that a revision knows.
    pub(crate) fn digest_of(&self, range: Range, revision: Revision) -> u64 {
        let computed = || {
            let records = self.known_in_range(range.first(), range.last(), revision);
            records.fold(0, |digest, (_, record)| digest ^ record.version_hash())
        };
        self.strata.digest_of(range, revision).unwrap_or_else(computed)
    }

    /// As [`Registry::in_range`], of the kinds that a revision knows.
    pub(crate) fn known_in_range(
        &self,
        from: u64,
        to: u64,
        revision: Revision,
    ) -> impl Iterator<Item = (u64, &Record)> {
        self.in_range(from, to).filter(move |(_, record)| record.body().kind.revision() <= revision)
    }

    pub(crate) fn by_hash(&self, hash: u64) -> Option<&Record> {
        self.places.get(&hash)?.record()
    }

    /// Whether a version of the key with this hash is known: held, or a later one is, or it has ended.
    pub(crate) fn has_seen(&self, hash: u64, sequence: u64) -> bool {
        self.places.get(&hash).is_some_and(|place| place.sequence() >= sequence)
    }

    /// Records whose key hashes lie in a range, with them, ascending; none when the range is upside down.
    pub(crate) fn in_range(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, &Record)> {
        let range = (from <= to).then(|| self.places.range(from..=to));
        range.into_iter().flatten().filter_map(|(hash, place)| Some((*hash, place.record()?)))
    }
}

fn all_owners(kind: Kind) -> std::ops::RangeInclusive<(Kind, NodeId)> {
    (kind, NodeId([0; 32]))..=(kind, NodeId([0xff; 32]))
}

#[cfg(test)]
mod tests;
