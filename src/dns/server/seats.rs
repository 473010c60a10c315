//! Places, of which each source has so many and all together have so many.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

/// Places for one kind of thing.
#[derive(Debug)]
pub(super) struct Seats {
    taken: RefCell<BTreeMap<IpAddr, usize>>,
    all_max: usize,
    per_source_max: usize,
}

/// A right to be there; given back on drop.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Rc<Seats>,
    source: IpAddr,
}

impl Seats {
    pub(super) fn new(all_max: usize, per_source_max: usize) -> Rc<Self> {
        Rc::new(Self { taken: RefCell::default(), all_max, per_source_max })
    }

    /// A place for `source`, if there is one.
    pub(super) fn take(self: &Rc<Self>, source: IpAddr) -> Option<Seat> {
        let mut taken = self.taken.borrow_mut();
        let of_source = taken.get(&source).copied().unwrap_or(0);
        let all: usize = taken.values().sum();
        if of_source >= self.per_source_max || all >= self.all_max {
            return None;
        }
        taken.insert(source, of_source + 1);
        Some(Seat { seats: self.clone(), source })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.borrow_mut();
        if let Some(count) = taken.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.source);
            }
        }
    }
}
