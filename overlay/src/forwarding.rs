//! What a worker needs to carry other members' datagrams: labels, budgets, marks of what it has carried; and the budgets of
//! those that use an exit.
//!
//! A hop swaps the label and touches nothing else. It reads no clock: the Node refills the budgets.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

/// Bits of a label that are a position in the table; the others are random, so that nobody guesses a label.
const POSITION_BITS: u32 = 16;
/// Labels that are copied for workers together.
const CHUNK: usize = 32;
/// Datagrams of a circuit that a copy is told from: some tens of milliseconds at full rate. Beyond them the replay window
/// at the end of the circuit holds alone.
const MARKS: usize = 512;

/// What becomes of a datagram with a label of ours.
#[derive(Debug, Clone)]
pub(crate) enum Label {
    /// The circuit ends here.
    End,
    /// It goes on.
    Forward(Forward),
}

/// One direction of a circuit through us.
#[derive(Debug, Clone)]
pub(crate) struct Forward {
    /// The next node's position among peers; its path may change while the circuit stays.
    pub(crate) peer: usize,
    /// By which that node knows the circuit.
    pub(crate) label: u64,
    /// What the member that sends may still send.
    pub(crate) budget: Arc<Budget>,
    pub(crate) carried: Arc<Carried>,
}

/// What a member that uses this exit may still do. Both count whole packets, superpackets too.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExitShare {
    /// What it sends to the internet.
    pub(crate) sent: Arc<Budget>,
    /// What it gets from there.
    pub(crate) got: Arc<Budget>,
}

/// Bytes that a member may have carried, or forwarded, until the Node refills.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    left: AtomicI64,
    is_told: AtomicBool,
}

impl Budget {
    /// Takes the bytes of a datagram; false when there are none left.
    pub(crate) fn take(&self, length: usize) -> bool {
        let length = length as i64;
        if self.left.fetch_sub(length, Relaxed) <= 0 {
            self.left.fetch_add(length, Relaxed);
            return false;
        }
        true
    }

    /// Whether the Node is to be told, once, that this budget is in use.
    pub(crate) fn tell(&self) -> bool {
        !self.is_told.load(Relaxed) && !self.is_told.swap(true, Relaxed)
    }

    /// Sets what may be carried until the next refill.
    pub(crate) fn refill(&self, bytes: i64) {
        self.left.store(bytes, Relaxed);
        self.is_told.store(false, Relaxed);
    }

    /// The same for a budget that the Node refills anyway: it wants to hear of nothing. What went beyond the last refill
    /// counts against this one, for a superpacket may be more than several refills.
    pub(crate) fn top_up(&self, bytes: i64) {
        let unused = self.left().max(0);
        self.left.fetch_add(bytes.saturating_sub(unused), Relaxed);
    }

    /// What is left until the next refill.
    pub(crate) fn left(&self) -> i64 {
        self.left.load(Relaxed)
    }
}

/// Marks of what was carried lately, so that a copy of a datagram is not carried again, and how many bytes there were.
pub(crate) struct Carried {
    marks: Box<[AtomicU64]>,
    bytes: AtomicU64,
}

impl Default for Carried {
    fn default() -> Self {
        Self {
            marks: std::iter::repeat_with(AtomicU64::default).take(MARKS).collect(),
            bytes: AtomicU64::new(0),
        }
    }
}

impl Carried {
    /// Notes a datagram; false when it is a copy of one that went before.
    pub(crate) fn note(&self, mark: Option<u64>, length: usize) -> bool {
        self.bytes.fetch_add(length as u64, Relaxed);
        let Some(mark) = mark else { return true };
        self.marks[mark as usize % MARKS].swap(mark, Relaxed) != mark
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Carried({} bytes)", self.bytes())
    }
}

/// A place in a table: a label and what it stands for.
type Slot<T> = Option<(u64, T)>;

/// A table whose keys are positions and randomness: labels and what they stand for.
#[derive(Debug, Clone)]
pub(crate) struct LabelTable<T> {
    slots: Vec<Slot<T>>,
    /// Chunks in which something may have changed since a copy for workers was brought up to date.
    changed: BTreeSet<usize>,
}

impl<T> Default for LabelTable<T> {
    fn default() -> Self {
        Self { slots: vec![], changed: BTreeSet::new() }
    }
}

impl<T> LabelTable<T> {
    /// Gives a value a label; `None` when there are `max` of them.
    pub(crate) fn insert(&mut self, value: T, random: u64, max: usize) -> Option<u64> {
        let position = match self.slots.iter().position(Option::is_none) {
            Some(position) => position,
            None if self.slots.len() < max.min(1 << POSITION_BITS) => {
                self.slots.push(None);
                self.slots.len() - 1
            }
            None => return None,
        };
        let label = random << POSITION_BITS | position as u64;
        self.slots[position] = Some((label, value));
        self.changed.insert(position / CHUNK);
        Some(label)
    }

    pub(crate) fn get(&self, label: u64) -> Option<&T> {
        let (held, value) = self.slots.get(position_of(label))?.as_ref()?;
        (*held == label).then_some(value)
    }

    pub(crate) fn get_mut(&mut self, label: u64) -> Option<&mut T> {
        self.changed.insert(position_of(label) / CHUNK);
        let (held, value) = self.slots.get_mut(position_of(label))?.as_mut()?;
        (*held == label).then_some(value)
    }

    pub(crate) fn remove(&mut self, label: u64) -> Option<T> {
        self.changed.insert(position_of(label) / CHUNK);
        let slot = self.slots.get_mut(position_of(label))?;
        slot.take_if(|(held, _)| *held == label).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.slots.iter().flatten().map(|(label, value)| (*label, value))
    }

    /// Makes those parts of a copy anew that have changed. A hop has thousands of labels, and every circuit changes two.
    pub(crate) fn bring_up_to_date(&mut self, labels: &mut Labels, as_label: impl Fn(&T) -> Option<Label>) {
        labels.chunks.resize_with(self.slots.len().div_ceil(CHUNK), Arc::default);
        for chunk in std::mem::take(&mut self.changed) {
            let end = self.slots.len().min((chunk + 1) * CHUNK);
            let slots = self.slots.get(chunk * CHUNK..end);
            // A label that nobody has may be asked for, too.
            let (Some(slots), Some(copied)) = (slots, labels.chunks.get_mut(chunk)) else { continue };
            let each = |slot: &Slot<T>| {
                let (label, value) = slot.as_ref()?;
                Some((*label, as_label(value)?))
            };
            *copied = Arc::new(slots.iter().map(each).collect());
        }
    }
}

/// A copy of a table of labels, for workers. Parts that did not change are shared with the copy before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Labels {
    chunks: Vec<Arc<Vec<Slot<Label>>>>,
}

impl Labels {
    pub(crate) fn get(&self, label: u64) -> Option<&Label> {
        let position = position_of(label);
        let (held, value) = self.chunks.get(position / CHUNK)?.get(position % CHUNK)?.as_ref()?;
        (*held == label).then_some(value)
    }
}

fn position_of(label: u64) -> usize {
    (label & ((1 << POSITION_BITS) - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_means_one_thing_once() {
        let mut table = LabelTable::default();
        let first = table.insert("a", 7, 2).unwrap();
        let second = table.insert("b", 7, 2).unwrap();
        assert_eq!((table.get(first), table.get(second)), (Some(&"a"), Some(&"b")));
        assert_eq!(table.insert("c", 8, 2), None, "full");
        assert_eq!(table.remove(first), Some("a"));
        assert!(table.get(first).is_none() && table.remove(first).is_none());
        let third = table.insert("c", 8, 2).unwrap();
        assert_ne!(first, third, "in the same place");
        assert_eq!(table.get(first), None);
        assert_eq!(table.iter().map(|(_, value)| *value).collect::<Vec<_>>(), ["c", "b"]);
    }

    #[test]
    fn a_copy_for_workers_follows_what_changes() {
        let mut table = LabelTable::default();
        let mut copy = Labels::default();
        let as_label = |is_end: &bool| is_end.then_some(Label::End);
        assert_eq!(table.remove(7), None);
        table.bring_up_to_date(&mut copy, as_label);
        let labels: Vec<u64> = (0..100).map(|n| table.insert(n % 2 == 0, n, 4096).unwrap()).collect();
        table.bring_up_to_date(&mut copy, as_label);
        let known = |copy: &Labels| labels.iter().filter(|label| copy.get(**label).is_some()).count();
        assert_eq!(known(&copy), 50, "the others are nothing to workers");
        let before = copy.clone();
        table.remove(labels[70]);
        *table.get_mut(labels[1]).unwrap() = true;
        table.bring_up_to_date(&mut copy, as_label);
        assert!(copy.get(labels[70]).is_none() && copy.get(labels[1]).is_some());
        assert_eq!((known(&copy), known(&before)), (50, 50), "who has the copy before keeps it");
        assert!(
            Arc::ptr_eq(&copy.chunks[1], &before.chunks[1])
                && !Arc::ptr_eq(&copy.chunks[2], &before.chunks[2])
        );
        let new = table.insert(true, 7, 4096).unwrap();
        table.bring_up_to_date(&mut copy, as_label);
        assert!(copy.get(new).is_some() && copy.get(labels[70]).is_none(), "in the same place");
    }

    #[test]
    fn a_copy_is_carried_once_and_other_datagrams_always() {
        let carried = Carried::default();
        assert!(carried.note(Some(5), 10));
        assert!(!carried.note(Some(5), 10));
        assert!(carried.note(Some(6), 10));
        assert!(carried.note(None, 10) && carried.note(None, 10));
        assert_eq!(carried.bytes(), 50);
    }

    #[test]
    fn a_budget_ends_and_is_refilled() {
        let budget = Budget::default();
        assert!(!budget.take(1));
        assert!(budget.tell() && !budget.tell());
        budget.refill(100);
        assert!(budget.take(90) && budget.take(90), "the last one may go beyond");
        assert!(!budget.take(1));
        assert_eq!(budget.left(), -80);
        assert!(budget.tell());
        budget.top_up(100);
        assert!((budget.left(), budget.tell()) == (20, false), "what went beyond is owed");
        budget.top_up(100);
        assert_eq!(budget.left(), 100, "and what was not used is over");
    }
}
