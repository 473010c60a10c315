//! Every limit of the registry, with its reason.
//!
//! Each quota counts for itself, so no kind crowds out another: in particular a flood of records about members
//! cannot push a revocation out, which would let a removed node back in.
//!
//! Quotas count records, not bytes, and [`RECORD_LENGTH_MAX`] makes bytes of them: which records stay can then follow
//! from their keys alone. A quota in bytes would depend on which versions came first, and nodes would disagree.

use wire::Kind;
use wire::record::RECORD_LENGTH_MAX;

/// Records that one owner may have of what a node says of itself. It needs one now; services come later.
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

/// How many records of a kind are held.
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
    let per_owner = match kind {
        Kind::Member => OWNER_RECORDS_MAX,
        // The record has one name only, so its owner has one.
        Kind::LinkState => 1,
        Kind::Revocation | Kind::Reissue => OWNER_VERDICTS_MAX,
    };
    Quota { per_owner, total: KIND_RECORDS_MAX }
}
