//! Members that are known and no neighbours: from whom neighbours are taken when one is lost.

use crate::limits::{DISPLACEMENT_DRAWS, PASSIVE_MAX, PER_SOURCE_MAX};
use crate::random::Random;
use std::cmp::Reverse;
use std::time::Instant;
use wire::NodeId;

/// A member that is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) node: NodeId,
    /// As [`wire::view::Sampled::age`], hearsay.
    pub(super) age: u8,
    /// When there was first a session with it.
    pub(super) met: Option<Instant>,
    /// The neighbour that told of it.
    source: Option<NodeId>,
}

impl Entry {
    /// Known from elsewhere than other nodes' samples.
    pub(super) fn known(node: NodeId) -> Self {
        Self { node, age: 0, met: None, source: None }
    }

    /// There was a session with it.
    pub(super) fn met(node: NodeId, age: u8, at: Instant) -> Self {
        Self { node, age, met: Some(at), source: None }
    }

    /// A neighbour told of it.
    pub(super) fn heard(node: NodeId, age: u8, source: NodeId) -> Self {
        Self { node, age, met: None, source: Some(source) }
    }

    /// Ascending: whom we met comes before whom we have only heard of, then whom we met first, then who is older.
    fn worth(&self) -> (Option<Reverse<Instant>>, u8) {
        (self.met.map(Reverse), self.age)
    }
}

/// The passive view.
#[derive(Debug, Default)]
pub(super) struct Passive {
    entries: Vec<Entry>,
    /// How many were ever known from elsewhere: each of them shall have the same chance.
    known: usize,
}

impl Passive {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn position(&self, node: &NodeId) -> Option<usize> {
        self.entries.iter().position(|entry| entry.node == *node)
    }

    pub(super) fn remove(&mut self, node: &NodeId) -> Option<Entry> {
        self.position(node).map(|at| self.entries.swap_remove(at))
    }

    /// There is a session with a node; whether it is here.
    pub(super) fn note_met(&mut self, node: &NodeId, now: Instant) -> bool {
        let Some(at) = self.position(node) else { return false };
        let entry = &mut self.entries[at];
        *entry = Entry::met(entry.node, entry.age, entry.met.unwrap_or(now));
        true
    }

    /// A member from elsewhere takes free room, or with its fair chance the place of another such.
    pub(super) fn insert_known(&mut self, node: NodeId, random: &mut Random) {
        if self.position(&node).is_some() {
            return;
        }
        self.known = self.known.saturating_add(1);
        if self.len() < PASSIVE_MAX {
            self.entries.push(Entry::known(node));
        } else if random.below(self.known) < PASSIVE_MAX {
            let is_known = |entry: &Entry| entry.met.is_none() && entry.source.is_none();
            if let Some(at) = self.one_where(is_known, random) {
                self.entries[at] = Entry::known(node);
            }
        }
    }

    /// A member that was met or heard of comes in. Who tells too much displaces its own; else those go that were `given` to
    /// the other side in exchange, and then by worth.
    pub(super) fn insert(&mut self, entry: Entry, given: &[NodeId], random: &mut Random) {
        if let Some(at) = self.position(&entry.node) {
            let held = &mut self.entries[at];
            held.age = held.age.max(entry.age);
            held.met = held.met.or(entry.met);
            return;
        }
        let is_of_source = |held: &Entry| entry.source.is_some() && held.source == entry.source;
        let victim = if self.entries.iter().filter(|held| is_of_source(held)).count() >= PER_SOURCE_MAX {
            self.one_where(is_of_source, random)
        } else if self.len() >= PASSIVE_MAX {
            let was_given = |held: &Entry| held.met.is_none() && given.contains(&held.node);
            self.one_where(was_given, random).or_else(|| self.least_worthy(random))
        } else {
            None
        };
        match victim {
            Some(at) => self.entries[at] = entry,
            None => self.entries.push(entry),
        }
    }

    fn one_where(&self, is_meant: impl Fn(&Entry) -> bool, random: &mut Random) -> Option<usize> {
        let meant: Vec<usize> = (0..self.len()).filter(|at| is_meant(&self.entries[*at])).collect();
        random.one_of(&meant)
    }

    /// The least worthy of some: whom we met long ago is rarely the one.
    fn least_worthy(&self, random: &mut Random) -> Option<usize> {
        let drawn = random.some_of((0..self.len()).collect(), DISPLACEMENT_DRAWS);
        drawn.into_iter().min_by_key(|at| self.entries[*at].worth())
    }

    /// The worthier of two, of those that are not excluded.
    pub(super) fn candidate(
        &self,
        excluded: impl Fn(&NodeId) -> bool,
        random: &mut Random,
    ) -> Option<NodeId> {
        let free = self.entries.iter().filter(|entry| !excluded(&entry.node)).collect();
        random.some_of(free, 2).into_iter().max_by_key(|entry| entry.worth()).map(|entry| entry.node)
    }
}
