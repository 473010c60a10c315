//! Every limit of the registry, with its reason.
//!
//! Each quota counts for itself, so no kind crowds out another: in particular a flood of records about members
//! cannot push a revocation out, which would let a removed node back in.
//!
//! Quotas count records, not bytes, and [`RECORD_LENGTH_MAX`] makes bytes of them: which records stay can then follow
//! from their keys alone. A quota in bytes would depend on which versions came first, and nodes would disagree.

use std::time::Duration;
use wire::Kind;
use wire::record::{RECORD_LENGTH_MAX, TTL_S_MAX};

/// Member records that one owner may have. It needs one.
pub const OWNER_RECORDS_MAX: usize = 64;
/// Revocations, and new credentials, that one owner may have of each: an admin may have to speak of every member.
/// That a node without the role has no more than one of them is what [`wire::Record::content`] sees to.
pub const OWNER_VERDICTS_MAX: usize = 4096;
/// Records of one kind from all owners: twice the members that a node talks to at most, and some more.
pub const KIND_RECORDS_MAX: usize = 10_000;
/// Bytes of encoded records of one kind that follow from it; a node holds about twice as much in memory.
pub const KIND_BYTES_MAX: usize = KIND_RECORDS_MAX * RECORD_LENGTH_MAX;
/// Records sent in answer to one summary, so that one small datagram of a member does not call forth megabytes.
/// Whoever misses more sends another summary.
pub const NEWER_RECORDS_MAX: usize = 128;

/// Instances of services that one owner may have, those that ended in the last hour included: a machine full of
/// containers. What is withdrawn counts for two hours, as its tombstone and as the memory of it.
pub const OWNER_SERVICES_MAX: usize = 256;
/// Claims to names that one owner may have: each of its services may have a name of its own.
pub const OWNER_CLAIMS_MAX: usize = OWNER_SERVICES_MAX;
/// Instances of services, and claims to names, of all owners: as many as every node can be expected to hold.
/// Together 100,000 leases of 250 bytes are 50 MB of memory.
pub const SERVICES_MAX: usize = 80_000;
/// See [`SERVICES_MAX`].
pub const CLAIMS_MAX: usize = 20_000;
/// What has ended is remembered for as long as the longest lease: then nobody holds it any more who keeps to the
/// protocol, and the wall clock tells of any other that it is over.
pub const SEQUENCE_LIFE: Duration = Duration::from_secs(TTL_S_MAX as u64);

/// An answer about an instance is kept this long at most, in seconds: what is withdrawn or not well leaves the
/// memory of programs and resolvers soon, too.
pub const ANSWER_TTL_S_MAX: u32 = 5;

/// How many records of a kind are held, those that have ended and are remembered included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Of one owner.
    pub per_owner: usize,
    /// Of all owners.
    pub total: usize,
}

/// The quota of a kind.
#[must_use]
pub fn quota(kind: Kind) -> Quota {
    let (per_owner, total) = match kind {
        Kind::Member => (OWNER_RECORDS_MAX, KIND_RECORDS_MAX),
        // The record has one name only, so its owner has one.
        Kind::LinkState => (1, KIND_RECORDS_MAX),
        Kind::Revocation | Kind::Reissue => (OWNER_VERDICTS_MAX, KIND_RECORDS_MAX),
        Kind::Service => (OWNER_SERVICES_MAX, SERVICES_MAX),
        Kind::Claim => (OWNER_CLAIMS_MAX, CLAIMS_MAX),
    };
    Quota { per_owner, total }
}
