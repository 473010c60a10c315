//! Guests: `WireGuard` clients that a member answers for.

use super::{Key, Kind, RecordError};
use crate::{GuestKey, Name, NodeId, cbor};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use std::net::Ipv4Addr;

/// Most guests that one member answers for: each has a record that everybody holds.
pub const GUESTS_MAX: usize = 256;
/// Seconds that an admin leaves the guests of another's member to who signed the member's credential.
pub const GRANT_DELAY_S: u64 = 3;

/// The key of a guest's record.
#[must_use]
pub fn key_of_guest(host: NodeId, name: &Name) -> Key {
    Key { kind: Kind::Guest, owner: host, name: name.to_string() }
}

#[derive(Encode, Decode)]
pub(super) struct GuestPayload {
    #[n(0)]
    key: GuestKey,
    #[n(1)]
    ipv4: Option<ByteArray<4>>,
}

impl GuestPayload {
    pub(super) fn encode(key: &GuestKey, ipv4: Option<Ipv4Addr>) -> Vec<u8> {
        cbor::encode(&Self { key: *key, ipv4: ipv4.map(|ipv4| ipv4.octets().into()) })
    }

    /// Key and IPv4 address.
    pub(super) fn decode(bytes: &[u8]) -> Result<(GuestKey, Option<Ipv4Addr>), RecordError> {
        let Self { key, ipv4 } = cbor::decode(bytes)?;
        Ok((key, ipv4.map(|octets| Ipv4Addr::from(<[u8; 4]>::from(octets)))))
    }
}
