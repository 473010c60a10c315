//! Where peers may be found when nobody remembered answers: the carriers of hints between machines.
//!
//! What to publish and what to look up is decided by the Node; here are the DHT, the names of seeds and, in `io`, the
//! LAN's multicast. Whatever comes out of these is a stranger's word: a place to try, never a fact.

pub mod dht;
pub mod dht_node;
pub mod seeds;
