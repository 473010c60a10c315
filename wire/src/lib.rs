//! What bytes mean: ids, credentials, invites, datagrams, control messages, records, inner packets.
//!
//! Every other crate speaks in these types; this one knows no time, no randomness and no state.

pub mod icmp;
pub mod packet;
