//! Room for connections and clients: of a node, of a front, and of one source.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for all fronts together.
#[derive(Debug)]
pub(super) struct Room {
    all: Arc<Semaphore>,
    size: usize,
    per_source_max: usize,
    sources: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// Room in one front.
#[derive(Debug)]
pub(super) struct Seats {
    own: Arc<Semaphore>,
    size: usize,
}

/// A place; given back on drop.
#[derive(Debug)]
pub(super) struct Seat {
    _of_all: OwnedSemaphorePermit,
    _of_front: OwnedSemaphorePermit,
    source: IpAddr,
    sources: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Room {
    pub(super) fn new(size: usize, per_source_max: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(size)), size, per_source_max, sources: Arc::default() }
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        self.size - self.all.available_permits()
    }
}

impl Seats {
    pub(super) fn new(size: usize) -> Self {
        Self { own: Arc::new(Semaphore::new(size)), size }
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        self.size - self.own.available_permits()
    }

    /// A place for `source`, if there is one.
    pub(super) fn take(&self, room: &Room, source: IpAddr) -> Option<Seat> {
        let of_all = room.all.clone().try_acquire_owned().ok()?;
        let of_front = self.own.clone().try_acquire_owned().ok()?;
        let mut sources = room.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let count = sources.entry(source).or_default();
        if *count >= room.per_source_max {
            return None;
        }
        *count += 1;
        Some(Seat { _of_all: of_all, _of_front: of_front, source, sources: room.sources.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = sources.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                sources.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_a_front_and_a_source_have_so_many_places() {
        let room = Room::new(4, 2);
        let fronts = [Seats::new(3), Seats::new(3)];
        let [a, b, c, d] = [1, 2, 3, 4].map(|last| IpAddr::from([10, 77, 0, last]));
        let first = fronts[0].take(&room, a).unwrap();
        let _second = fronts[0].take(&room, a).unwrap();
        assert!(fronts[0].take(&room, a).is_none() && fronts[1].take(&room, a).is_none(), "of a source");
        let third = fronts[0].take(&room, b).unwrap();
        assert!(fronts[0].take(&room, c).is_none(), "of a front");
        let _fourth = fronts[1].take(&room, c).unwrap();
        assert!(fronts[1].take(&room, d).is_none(), "of a node");
        assert_eq!((room.taken(), fronts[0].taken(), fronts[1].taken()), (4, 3, 1));
        drop(third);
        assert!(fronts[1].take(&room, d).is_some());
        drop(first);
        assert!(fronts[0].take(&room, a).is_some(), "a place is given back");
        drop(fronts);
        assert!(!room.sources.lock().unwrap().contains_key(&d), "nothing is kept of who has gone");
    }
}
