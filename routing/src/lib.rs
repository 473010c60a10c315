//! Who has an address: prefixes, address ranges, source check.
//!
//! [`AddressBook`] settles which node owns which prefix, [`RouteTable`] answers for one packet, and
//! [`range`] chooses a network's range and the addresses in it. Nothing here knows sessions, paths or
//! time; nodes are any ordered type, so that tests need no keys. What enters comes from verified
//! credentials, whose size `wire` bounds: no prefix is learnt from a packet.
//!
//! **Invariant**: a prefix has at most one owner, and all nodes that know the same claims name the same one.

mod blocks;
mod book;
pub mod range;
mod table;
#[cfg(test)]
mod testing;

pub use blocks::{Taken, allocate_block};
pub use book::{AddressBook, Conflict};
pub use range::{AddressError, RangeError};
pub use table::RouteTable;
