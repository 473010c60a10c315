//! Indices of sessions and of initiations on their way: one table, so that no number means two things.

use crate::random::Random;
use crate::session::Session;
use crate::tables::{SESSIONS_MAX, index_at, position_of};
use std::sync::Arc;
use wire::NodeId;

enum Slot {
    Free,
    Attempt { index: u32, peer: NodeId },
    Session(Arc<Session>),
}

/// The table.
#[derive(Default)]
pub(super) struct Indices {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

impl Indices {
    /// Takes an index for an initiation to a peer; `None` when all are taken.
    pub(super) fn reserve(&mut self, peer: NodeId, random: &mut Random) -> Option<u32> {
        let position = match self.free.pop() {
            Some(position) => position,
            None if self.slots.len() < SESSIONS_MAX => {
                self.slots.push(Slot::Free);
                self.slots.len() - 1
            }
            None => return None,
        };
        let index = index_at(position, random.u32());
        self.slots[position] = Slot::Attempt { index, peer };
        Some(index)
    }

    /// Puts the session in the place of the initiation that it came from.
    pub(super) fn install(&mut self, session: Arc<Session>) {
        let position = position_of(session.local_index);
        self.slots[position] = Slot::Session(session);
    }

    /// Frees an index, whatever it was for.
    pub(super) fn free(&mut self, index: u32) {
        let position = position_of(index);
        let holds = match self.slots.get(position) {
            Some(Slot::Attempt { index: held, .. }) => *held == index,
            Some(Slot::Session(session)) => session.local_index == index,
            Some(Slot::Free) | None => false,
        };
        if holds {
            self.slots[position] = Slot::Free;
            self.free.push(position);
        }
    }

    /// The peer that an initiation with this index went to.
    pub(super) fn attempt(&self, index: u32) -> Option<NodeId> {
        match self.slots.get(position_of(index))? {
            Slot::Attempt { index: held, peer } if *held == index => Some(*peer),
            Slot::Attempt { .. } | Slot::Free | Slot::Session(_) => None,
        }
    }

    /// The session with this index.
    pub(super) fn session(&self, index: u32) -> Option<&Arc<Session>> {
        match self.slots.get(position_of(index))? {
            Slot::Session(session) if session.local_index == index => Some(session),
            Slot::Session(_) | Slot::Free | Slot::Attempt { .. } => None,
        }
    }

    /// All sessions by position, for the tables.
    pub(super) fn sessions(&self) -> Vec<Option<Arc<Session>>> {
        let session = |slot: &Slot| match slot {
            Slot::Session(session) => Some(session.clone()),
            Slot::Free | Slot::Attempt { .. } => None,
        };
        self.slots.iter().map(session).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_index_means_nothing_and_its_place_is_used_again() {
        let (mut indices, mut random, peer) = (Indices::default(), Random::new([1; 32]), NodeId([2; 32]));
        let first = indices.reserve(peer, &mut random).unwrap();
        assert_eq!(indices.attempt(first), Some(peer));
        indices.free(first);
        indices.free(first);
        assert_eq!(indices.attempt(first), None);
        let second = indices.reserve(peer, &mut random).unwrap();
        assert_eq!(position_of(first), position_of(second));
        assert_ne!(first, second);
        indices.free(first);
        assert_eq!(indices.attempt(second), Some(peer), "an old index frees nothing");
    }
}
