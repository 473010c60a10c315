//! What bytes mean: ids, credentials, invites, datagrams, control messages, records, inner packets.
//!
//! Every other crate speaks in these types; this one knows no time, no randomness and no state.
//! Bytes from outside are parsed here, once, and go no further as bytes. `PROTOCOL.md` beside this
//! crate says the same things for people who write another implementation; it follows here.
//!
#![doc = include_str!("../PROTOCOL.md")]

pub mod address;
pub mod bep5;
pub mod cbor;
pub mod checksum;
pub mod control;
pub mod credential;
pub mod datagram;
pub mod enrolment;
pub mod epoch;
pub mod gate;
pub mod handshake;
pub mod hint;
pub mod icmp;
mod id;
pub mod invite;
pub mod mailbox;
pub mod mss;
mod name;
mod nat_profile;
pub mod news;
pub mod offload;
pub mod packet;
mod part;
pub mod record;
pub mod revision;
pub mod secret;
pub mod service;
mod split_mix;
pub mod transport;
pub mod view;

pub use address::Candidate;
pub use credential::{Chain, Claims, Credential, CredentialError, Roles};
pub use hint::{Hint, HintError, SealKey};
pub use id::{Commitment, GuestKey, InviteId, NetworkId, NodeId, NoisePublicKey};
pub use invite::{Invite, InviteError};
pub use name::{Name, NameError};
pub use nat_profile::{Dependence, NatProfile, Ports};
pub use part::{POSITION_BITS, Part, Position};
pub use record::{Kind, Record, RecordError};
pub use revision::{Revision, Revisions};
pub use secret::NetworkSecret;
pub use split_mix::SplitMix64;
pub use view::ViewMessage;
