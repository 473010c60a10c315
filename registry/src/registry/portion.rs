//! Which of the records that are shared out a node holds.
//!
//! ```text
//! at most `max` of them     all
//! more                      those whose positions begin with the same bit as the node's own; with the next bit as well...
//! besides                   its own, and those about names that it keeps
//! ```
//!
//! What is given up has not ended: nothing of it is remembered, others hold it.

use super::{Place, RefusalReason, Registry};
use crate::limits::{BESIDE_MAX, DEPTH_MAX, NAMES_KEPT_MAX, WIDEN_EIGHTHS, tenths};
use crate::range::Range;
use std::collections::{BTreeMap, BTreeSet};
use wire::record::Key;
use wire::{Kind, Name, NodeId, Part, Position, Record};

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) struct Portion {
    own: NodeId,
    position: Position,
    part: Part,
    /// Most records of its part.
    max: usize,
    /// How many bits there may be.
    deepest: u8,
    /// Names of services.
    kept: BTreeSet<String>,
    /// Places in the part by kind, those of ended leases included.
    counts: BTreeMap<Kind, usize>,
    /// Whether something had to go that is not held by others instead.
    pub(super) overflows: bool,
}

impl Portion {
    pub(crate) fn new(own: NodeId, max: usize) -> Self {
        Self {
            own,
            position: Position::of_node(&own),
            part: Part::WHOLE,
            max,
            deepest: 0,
            kept: BTreeSet::new(),
            counts: BTreeMap::new(),
            overflows: false,
        }
    }

    /// Whether a record is held though it is not in the part.
    pub(crate) fn keeps(&self, key: &Key) -> bool {
        key.owner == self.own || self.kept.contains(key.service_name())
    }

    /// Whether a new record may be held though it is not in the part, of as many as there are of these kinds.
    pub(crate) fn has_room_beside(&self, key: &Key, of_these_kinds: usize) -> bool {
        key.owner == self.own || of_these_kinds - self.total() < BESIDE_MAX
    }

    pub(crate) fn count(&mut self, kind: Kind, hash: u64) {
        if self.part.covers_hash(hash) {
            *self.counts.entry(kind).or_default() += 1;
        }
    }

    pub(crate) fn discount(&mut self, kind: Kind, hash: u64) {
        if self.part.covers_hash(hash)
            && let Some(count) = self.counts.get_mut(&kind)
        {
            *count -= 1;
        }
        self.overflows &= self.total() >= self.max - self.max / 8;
    }

    fn total(&self) -> usize {
        self.counts.values().sum()
    }
}

impl Registry {
    /// The part that is held of what is shared out.
    #[must_use]
    pub fn part(&self) -> Part {
        self.portion.part
    }

    /// Where the node is in key space.
    #[must_use]
    pub fn position(&self) -> Position {
        self.portion.position
    }

    /// How much of the part there is, ended leases that are remembered included.
    #[must_use]
    pub fn in_part(&self) -> usize {
        self.portion.total()
    }

    /// Whether there is no room for more: no smaller part is allowed, and this one is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.portion.part.depth() >= self.portion.deepest && self.portion.total() >= self.portion.max
    }

    /// Whether the part is more than may be held.
    #[must_use]
    pub fn is_too_much(&self) -> bool {
        self.portion.total() > self.portion.max
    }

    /// Most that may be held of the part.
    #[must_use]
    pub fn full_replication_max(&self) -> usize {
        self.portion.max
    }

    /// What is held about a service name.
    pub fn of_name<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Record> {
        let range = Range::of_part(Part::around(Position::of_name(name.as_str()), u8::MAX));
        let records = self.in_range(range.first(), range.last()).map(|(_, record)| record);
        records.filter(move |record| record.key().service_name() == name.as_str())
    }

    /// Whether more is said than can be held here, so that others may hold something else of it.
    #[must_use]
    pub fn overflows(&self) -> bool {
        self.portion.overflows
    }

    /// Whether all that is said about a service name is held, as far as it is known.
    #[must_use]
    pub fn covers(&self, name: &Name) -> bool {
        self.part() == Part::WHOLE || self.part().covers(Position::of_name(name.as_str()))
    }

    /// Whether what is said about a service name is taken when it is heard, be it in the part or not.
    #[must_use]
    pub fn takes(&self, name: &Name) -> bool {
        self.portion.kept.contains(name.as_str()) || self.covers(name)
    }

    /// Takes what is said about a name from now on; whether there is room for one more.
    pub fn keep(&mut self, name: &Name) -> bool {
        let kept = &mut self.portion.kept;
        kept.contains(name.as_str()) || (kept.len() < NAMES_KEPT_MAX && kept.insert(name.to_string()))
    }

    /// Does so no more, unless it is in the part: what was given up.
    pub fn release(&mut self, name: &Name) -> Vec<Key> {
        if !self.portion.kept.remove(name.as_str()) || self.covers(name) {
            return vec![];
        }
        let part = Part::around(Position::of_name(name.as_str()), u8::MAX);
        self.give_up(Range::of_part(part))
    }

    /// How many bits there may be: as many as leave every half to enough others. What is allowed no more is held again.
    pub fn allow_depth(&mut self, deepest: u8) {
        self.portion.deepest = deepest.min(DEPTH_MAX);
        if self.portion.part.depth() > self.portion.deepest {
            self.widen_to(self.portion.deepest);
        }
    }

    /// Gives up half of the part, and half again, while it is more than may be held: what was given up.
    pub fn narrow(&mut self) -> Vec<Key> {
        let mut given_up = vec![];
        while self.portion.total() > self.portion.max && self.part().depth() < self.portion.deepest {
            given_up.extend(self.narrow_to(self.part().depth() + 1));
        }
        given_up
    }

    /// Gives up what is not in the part of so many bits, as far as they are allowed: what was given up.
    pub fn narrow_to(&mut self, depth: u8) -> Vec<Key> {
        let mut given_up = vec![];
        while self.part().depth() < depth.min(self.portion.deepest) {
            self.portion.part = Part::around(self.portion.position, self.part().depth() + 1);
            given_up.extend(self.give_up(Range::of_part(self.part().sibling())));
            self.count_anew();
        }
        given_up
    }

    /// Whether there is so little that the other half may well fit in, too.
    #[must_use]
    pub fn is_roomy(&self) -> bool {
        self.part().depth() > 0 && self.portion.total() < self.portion.max / 8 * WIDEN_EIGHTHS
    }

    /// Holds the other half as well: it is to be asked for.
    pub fn widen(&mut self) {
        self.widen_to(self.part().depth().saturating_sub(1));
    }

    fn widen_to(&mut self, depth: u8) {
        self.portion.part = Part::around(self.portion.position, depth);
        self.count_anew();
    }

    fn count_anew(&mut self) {
        self.portion.overflows = false;
        self.portion.counts.clear();
        let range = Range::of_part(self.part());
        for (hash, place) in self.places.range(range.first()..=range.last()) {
            self.portion.count(place.kind(), *hash);
        }
    }

    /// Lets go what of a range is not kept for another reason.
    fn give_up(&mut self, range: Range) -> Vec<Key> {
        let places = self.places.range(range.first()..=range.last());
        let keys = places.map(|(hash, place): (&u64, &Place)| (*hash, place.key()));
        let unkept: Vec<_> = keys.filter(|(_, key)| !self.portion.keeps(key)).collect();
        unkept.iter().for_each(|(hash, _)| self.remove(*hash));
        unkept.into_iter().map(|(_, key)| key).collect()
    }

    /// Whether everybody holds what has this key hash, or we do for our part.
    pub(crate) fn is_in_part(&self, hash: u64) -> bool {
        hash >> 63 == 0 || self.part().covers_hash(hash)
    }

    /// As [`Registry::room_for`], where the part cannot be made smaller: one kind has its share, whatever others want.
    pub(super) fn room_in_part(&self, key: &Key, hash: u64) -> Result<Option<u64>, RefusalReason> {
        if !self.part().covers_hash(hash) || !self.is_full() || self.portion.keeps(key) {
            return Ok(None);
        }
        let is_beyond_share = |kind: &Kind| {
            let count = self.portion.counts.get(kind).copied().unwrap_or(0);
            count > 0 && count >= self.portion.max * tenths(*kind) / 10
        };
        let others = self.portion.counts.keys().copied().find(is_beyond_share);
        let kind = if is_beyond_share(&key.kind) { key.kind } else { others.unwrap_or(key.kind) };
        let highest = self.highest_in_part(kind).ok_or(RefusalReason::TotalQuota)?;
        if kind != key.kind || *key < highest.0 {
            Ok(Some(highest.1))
        } else {
            Err(RefusalReason::TotalQuota)
        }
    }

    fn highest_in_part(&self, kind: Kind) -> Option<(Key, u64)> {
        let owners = self.owners.range(super::all_owners(kind)).rev();
        let mut all = owners.flat_map(|((_, owner), names)| {
            names
                .iter()
                .rev()
                .map(move |(name, hash)| (Key { kind, owner: *owner, name: name.clone() }, *hash))
        });
        all.find(|(key, hash)| self.part().covers_hash(*hash) && !self.portion.keeps(key))
    }
}

#[cfg(test)]
mod tests;
