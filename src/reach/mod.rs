//! How this machine is reached from outside: ports that its router maps to it, and what STUN says of its address.
//!
//! All of this is hearsay about ourselves: a router or a server says at which address others would reach us. It becomes
//! a candidate, which a peer must still prove; nothing here may change a path, a session or the machine's settings.
//! It never sends from the data socket itself: what must leave from there is handed out as bytes.

pub mod limits;
pub mod port_mapping;
pub mod resolve;
pub mod stun;
pub mod stun_client;
