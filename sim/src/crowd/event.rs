//! What happens when, in a crowd.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Instant;
use wire::ViewMessage;
use wire::control::HaveEntry;
use wire::news::NewsMessage;

/// What one member sends another.
#[derive(Debug)]
pub(super) enum Letter {
    View(ViewMessage),
    News(NewsMessage),
    Record(HaveEntry),
}

/// Something that happens. Members are numbered.
#[derive(Debug)]
pub(super) enum What {
    Join(u32),
    Timer(u32),
    Arrival { from: u32, to: u32, letter: Letter },
    Connected { by: u32, to: u32 },
    Unreachable { by: u32, to: u32 },
    EndIdleSessions,
}

#[derive(Debug)]
struct Event {
    at: Instant,
    number: u64,
    what: What,
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}

/// Everything that is to happen; of two things at one moment the one that was decided first.
#[derive(Debug, Default)]
pub(super) struct Events {
    heap: BinaryHeap<Reverse<Event>>,
    count: u64,
}

impl Events {
    pub(super) fn push(&mut self, at: Instant, what: What) {
        self.count += 1;
        self.heap.push(Reverse(Event { at, number: self.count, what }));
    }

    /// The next one, if it happens until then.
    pub(super) fn pop(&mut self, until: Instant) -> Option<(Instant, What)> {
        if self.heap.peek()?.0.at > until {
            return None;
        }
        self.heap.pop().map(|Reverse(event)| (event.at, event.what))
    }
}
