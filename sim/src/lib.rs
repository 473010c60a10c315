//! Nodes in virtual time: seeded networks with delay, loss, duplication, reordering and partition.
//!
//! A [`World`] is a number of simulated machines, each with the very `overlay::Node` that the daemon runs, and a
//! simulated network. Nothing in it is real but the code under test: time is virtual, chance comes from the seed, so a
//! run can be repeated. After every step the World looks for broken promises; [`scenario::run`] makes
//! a World, disturbs it, heals it and says whether everybody came together again.

mod ledger;
mod machine;
pub mod names;
pub mod nat;
mod network;
mod random;
pub mod scenario;
mod secrets;
mod trace;
mod underlay;
mod world;

pub use ledger::{Ledger, Sent};
pub use machine::{Activity, Disk, Joining, Machine, State, Up};
pub use network::{Conditions, Network};
pub use random::Random;
pub use trace::Trace;
pub use underlay::Realm;
pub use world::{Family, Home, Violation, World, any_member};
