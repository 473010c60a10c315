//! Records: everything that nodes tell each other and that outlives a packet, signed by its owner.
//!
//! A [`Record`] that exists as a value has a verified signature. What its payload claims is judged by
//! [`Record::content`], which needs the network. The highest sequence of a key wins.

mod content;
mod epoch;
mod guest;
mod labels;
mod lease;
mod policy;
mod route;

pub use content::{CANDIDATES_MAX, Content, LINKS_MAX, Link, LinkState, revocation_of_admin_message};
pub use epoch::{EPOCH_NODES_MAX, Epoch};
pub use guest::{GRANT_DELAY_S, GUESTS_MAX, key_of_guest};
pub use labels::{LABEL_KEY_LENGTH_MAX, LABEL_VALUE_LENGTH_MAX, LABELS_MAX, LabelError, check_labels};
pub use lease::{
    Lease, SHARED_NODES_MAX, TTL_S_MAX, TTL_S_MIN, key_of_claim, key_of_confirmation, key_of_service,
};
pub use policy::{MEDIA_TYPE_LENGTH_MAX, Policy};
pub use route::{ROUTE_OFFERS_MAX, RouteOffer};

use crate::credential::verify_signature;
use crate::part::{POSITION_BITS, Position};
use crate::{NodeId, Revision, cbor};
use ed25519_dalek::{Signer, SigningKey};
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest record in bytes, so that it fits in one datagram with its control message.
pub const RECORD_LENGTH_MAX: usize = 1180;
/// Longest name of a record in bytes: a DNS label, a slash, a version.
pub const NAME_LENGTH_MAX: usize = 80;

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Too long, not CBOR, an unknown kind, or a payload that does not fit its kind.
    #[error("malformed record")]
    Malformed,
    /// Not signed by its owner.
    #[error("signature of a record does not verify")]
    Signature,
    /// The owner may not say this.
    #[error("the owner of a record has no right to say what it says")]
    Authority,
}

impl From<cbor::CborError> for RecordError {
    fn from(_: cbor::CborError) -> Self {
        Self::Malformed
    }
}

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// A member speaks of itself: its credentials and where it can be dialled.
    #[n(1)]
    Member = 1,
    /// A node is no member any more.
    #[n(2)]
    Revocation = 2,
    /// New credentials for a node, on their way to it.
    #[n(3)]
    Reissue = 3,
    /// Whom a node reaches, and what it is to others.
    #[n(4)]
    LinkState = 4,
    /// An instance of a service, at its publisher.
    #[n(5)]
    Service = 5,
    /// A node wants a service name for its own.
    #[n(6)]
    Claim = 6,
    /// There is a new network secret.
    #[n(7)]
    Epoch = 7,
    /// A document for all members.
    #[n(8)]
    Policy = 8,
    /// An admin confirms that a node's claim to a service name came first.
    #[n(9)]
    Confirmation = 9,
    /// A `WireGuard` client that a member answers for.
    #[n(10)]
    Guest = 10,
    /// The subnets that a node offers to be a router for.
    #[n(11)]
    Routes = 11,
}

impl Kind {
    /// The revision of the protocol that records of the kind came with: nodes that speak only earlier ones neither get them nor have
    /// them counted. Whoever adds a kind says so here, and counts [`Revision::CURRENT`] up when its revision is already out.
    #[must_use]
    pub fn revision(self) -> Revision {
        match self {
            Self::Member
            | Self::Revocation
            | Self::Reissue
            | Self::LinkState
            | Self::Service
            | Self::Claim
            | Self::Epoch
            | Self::Policy
            | Self::Confirmation => Revision::FIRST,
            Self::Guest | Self::Routes => Revision::SECOND,
        }
    }

    /// Whether records of the kind can be withdrawn, and are remembered when they have ended.
    #[must_use]
    pub fn is_lease(self) -> bool {
        self.ends() || matches!(self, Self::Confirmation | Self::Guest)
    }

    /// Whether records of the kind end by themselves unless they are renewed.
    #[must_use]
    pub fn ends(self) -> bool {
        matches!(self, Self::Service | Self::Claim)
    }

    /// Whether nodes share records of the kind out among them once there are very many: those that grow with what people
    /// publish. What is needed to judge others everybody holds.
    #[must_use]
    pub fn is_shared_out(self) -> bool {
        match self {
            Self::Service | Self::Claim | Self::Confirmation => true,
            Self::Member
            | Self::Revocation
            | Self::Reissue
            | Self::LinkState
            | Self::Epoch
            | Self::Policy
            | Self::Guest
            | Self::Routes => false,
        }
    }
}

/// What a record is kept under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What it is about.
    pub kind: Kind,
    /// Who says it.
    pub owner: NodeId,
    /// Which of the owner's records of this kind.
    pub name: String,
}

/// The signed part of a record.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Body {
    /// What it is about.
    #[n(0)]
    pub kind: Kind,
    /// Who says it, and whose key signs it.
    #[n(1)]
    pub owner: NodeId,
    /// Which of the owner's records of this kind.
    #[n(2)]
    pub name: String,
    /// Grows with every change.
    #[n(3)]
    pub sequence: u64,
    /// Beginning of validity, seconds since 1970.
    #[n(4)]
    pub not_before_s: u64,
    /// Seconds of validity from arrival; 0 means until it is replaced.
    #[n(5)]
    pub ttl_s: u32,
    /// For selection by later faces of the registry.
    #[n(6)]
    pub labels: BTreeMap<String, String>,
    /// What is said.
    #[n(7)]
    pub payload: ByteVec,
}

#[derive(Encode, Decode)]
struct Signed {
    #[n(0)]
    body: ByteVec,
    #[n(1)]
    signature: ByteArray<64>,
}

/// A record whose signature has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    body: Body,
    bytes: Vec<u8>,
}

/// Signatures of records cannot be taken for any other signature of a node.
const SIGNED_PREFIX: &[u8] = b"hopmesh record 1 ";

impl Record {
    /// Signs a record. The owner is the key's node.
    ///
    /// # Errors
    /// [`RecordError::Malformed`] when it would be longer than [`RECORD_LENGTH_MAX`] or break another limit.
    pub fn sign(body: Body, key: &SigningKey) -> Result<Self, RecordError> {
        let encoded = cbor::encode(&body);
        let signature = key.sign(&[SIGNED_PREFIX, &encoded].concat()).to_bytes();
        Self::verify(&cbor::encode(&Signed { body: encoded.into(), signature: signature.into() }))
    }

    /// Reads a record and verifies its signature.
    ///
    /// # Errors
    /// [`RecordError`]; nothing of the bytes is believed then.
    pub fn verify(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > RECORD_LENGTH_MAX {
            return Err(RecordError::Malformed);
        }
        let signed: Signed = cbor::decode(bytes)?;
        let body: Body = cbor::decode(&signed.body)?;
        if body.name.len() > NAME_LENGTH_MAX || check_labels(&body.labels).is_err() {
            return Err(RecordError::Malformed);
        }
        verify_signature(&body.owner.0, &[SIGNED_PREFIX, &signed.body].concat(), &signed.signature[..])
            .map_err(|_| RecordError::Signature)?;
        Ok(Self { body, bytes: bytes.to_vec() })
    }

    /// What bytes claim to be a record of, and with which sequence. Nothing of it is proved: it serves to pass over what
    /// is known already, and nothing else.
    #[must_use]
    pub fn peek(bytes: &[u8]) -> Option<(Key, u64)> {
        if bytes.len() > RECORD_LENGTH_MAX {
            return None;
        }
        let signed: Signed = cbor::decode(bytes).ok()?;
        let Body { kind, owner, name, sequence, .. } = cbor::decode(&signed.body).ok()?;
        Some((Key { kind, owner, name }, sequence))
    }

    /// The signed part.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The record's one encoding.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the record is kept under.
    #[must_use]
    pub fn key(&self) -> Key {
        Key { kind: self.body.kind, owner: self.body.owner, name: self.body.name.clone() }
    }

    /// How long the record counts after it was signed; nothing when that is until it is replaced.
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        (self.body.ttl_s > 0).then(|| Duration::from_secs(self.body.ttl_s.into()))
    }

    /// 64 bits of a hash over the key, by which summaries name the record; see [`Key::hash`].
    #[must_use]
    pub fn key_hash(&self) -> u64 {
        hash_of_key(self.body.kind, &self.body.owner, &self.body.name)
    }

    /// First 64 bits of a hash over key and sequence; the digest of many records is the XOR of these.
    #[must_use]
    pub fn version_hash(&self) -> u64 {
        hash(&[b"version", &self.key_hash().to_le_bytes(), &self.body.sequence.to_le_bytes()])
    }
}

impl Key {
    /// 64 bits that stand for the key. The first is 0 for what everybody holds. It is 1 for what is shared out, and then come
    /// the [`POSITION_BITS`] of the [`Key::position`], so that what one part of key space has is one range of hashes. The
    /// others are those of a hash over the key.
    #[must_use]
    pub fn hash(&self) -> u64 {
        hash_of_key(self.kind, &self.owner, &self.name)
    }

    /// Where a record that is shared out is in key space: where the service name is that it is about.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.kind.is_shared_out().then(|| Position::of_name(self.service_name()))
    }

    /// The name without a version.
    #[must_use]
    pub fn service_name(&self) -> &str {
        service_name(&self.name)
    }
}

fn hash_of_key(kind: Kind, owner: &NodeId, name: &str) -> u64 {
    let whole = hash(&[&[kind as u8], &owner.0, name.as_bytes()]);
    if !kind.is_shared_out() {
        return whole >> 1;
    }
    let position = u64::from(Position::of_name(service_name(name)).number());
    let rest = 63 - POSITION_BITS;
    1 << 63 | position << rest | whole & ((1 << rest) - 1)
}

/// A service name, without the version behind it.
fn service_name(name: &str) -> &str {
    name.split_once('/').map_or(name, |(name, _)| name)
}

pub(crate) fn hash(parts: &[&[u8]]) -> u64 {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let digest = context.finish();
    u64::from_be_bytes(digest.as_ref()[..8].try_into().expect("SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests;
