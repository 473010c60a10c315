//! Which name: signed records, their merge and their spread.
//!
//! A [`Registry`] is the set of records that one node holds. Its content is a function of the records that the
//! node was ever shown, never of the order in which they came, so nodes that were shown the same hold the same:
//!
//! * of one key the highest sequence stays, and of one sequence the higher bytes;
//! * when there are more keys than a quota of [`limits`] allows, the lowest keys stay.
//!
//! Records are until they are replaced, but leases end, and what has ended is remembered for a while so that it does not come
//! back. Of leases [`Services`] and the [`Zone`] are made: who holds a name ([`claim`]), and whose instances count.
//!
//! Spread has three parts. [`Views`] says who a node's neighbours are, few and known for long, so that all nodes are one whole.
//! What [`Registry::insert`] calls [`Merge::is_news`] goes along them as [`Broadcast`] says. What was missed is found by
//! anti-entropy: nodes compare [`Registry::digest`], and while it differs they exchange [`Registry::summary`],
//! [`Registry::compare_digests`] narrows down where, and [`Registry::compare`] says what the other lacks.
//!
//! **Anti-entropy ends.** A digest is a function of what summaries say (hashes of keys, and sequences), so nodes
//! whose digests differ always find a range that differs, down to an entry to act on. An owner that signs two records with one
//! sequence makes them differ in neither: two nodes may then hold different bytes with equal digests, and exchange nothing. Both byte
//! strings are the owner's word. Whoever is shown both keeps the higher, and the owner's next sequence ends it.
//!
//! Nobody's record is judged here beyond its signature, which every [`wire::Record`] has: callers ask
//! [`wire::Record::content`] first. There is no clock here: `now` is given, and the age of a lease is what the caller
//! believes of it. A member that lies about ages can end a lease early, where it is the first to bring it and until its
//! publisher renews it, or let it live for an hour and its time to live; for longer no wall clock lets it.

mod allowance;
mod anti_entropy;
pub mod broadcast;
pub mod claim;
mod guests;
pub mod limits;
mod random;
mod range;
mod registry;
mod services;
pub mod views;
pub mod zone;
pub mod zone_change;

pub use allowance::Allowance;
pub use anti_entropy::Difference;
pub use broadcast::{Broadcast, BroadcastOutput};
pub use guests::{Guest, Guests, ZoneGuest};
pub use registry::{Merge, RefusalReason, Registry, Sequence};
pub use services::{Holding, Services, Surroundings};
pub use views::{ViewOutput, Views};
pub use zone::Zone;
