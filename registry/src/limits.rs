//! Every limit of the registry, with its reason.
//!
//! Each quota counts for itself, so no kind crowds out another: in particular a flood of records about members
//! cannot push a revocation out, which would let a removed node back in.
//!
//! Quotas count records, not bytes, and [`RECORD_LENGTH_MAX`] makes bytes of them: which records stay can then follow
//! from their keys alone. A quota in bytes would depend on which versions came first, and nodes would disagree.

use std::time::Duration;
use wire::Kind;
use wire::record::{GUESTS_MAX, RECORD_LENGTH_MAX, TTL_S_MAX};

/// Member records that one owner may have. It needs one.
pub const OWNER_RECORDS_MAX: usize = 64;
/// Revocations, and new credentials, that one owner may have of each: an admin may have to speak of every member.
/// That a node without the role has no more than one of them is what [`wire::Record::content`] sees to.
pub const OWNER_VERDICTS_MAX: usize = 4096;
/// Records of epochs that one owner may have. Those of the latest epoch alone are held, so an admin has one; and some more,
/// when its state was set back and it has begun an epoch twice.
pub const OWNER_EPOCHS_MAX: usize = 4;
/// Records of the latest epoch: of admins that have begun it apart.
pub const EPOCHS_MAX: usize = 64;
/// Policies that one admin may sign.
pub const OWNER_POLICIES_MAX: usize = 64;
/// Policies of all admins: all nodes hold all of them.
pub const POLICIES_MAX: usize = 1024;
/// Records of one kind from all owners: twice the members that a node talks to at most, and some more.
pub const KIND_RECORDS_MAX: usize = 10_000;
/// Bytes of encoded records of one kind that follow from it; a node holds about twice as much in memory.
pub const KIND_BYTES_MAX: usize = KIND_RECORDS_MAX * RECORD_LENGTH_MAX;
/// Records sent in answer to one summary, so that one small datagram of a member does not call forth megabytes.
/// Whoever misses more sends another summary.
pub const NEWER_RECORDS_MAX: usize = 128;

/// Messages in answer to one [`wire::control::Message::Digests`], so that one datagram does not call forth hundreds: summaries of
/// some hundred records. While digests differ there is another round.
pub const DIGESTS_ANSWERS_MAX: usize = 16;
/// Bits of key hashes for whose ranges digests are kept: with 100,000 records four dozen share one. Digests of smaller ranges are
/// computed.
pub(crate) const KEPT_BITS: u8 = DEPTH_MAX + 1;

/// Instances of services that one owner may have, those that ended in the last hour included: a machine full of
/// containers. What is withdrawn counts for two hours, as its tombstone and as the memory of it.
pub const OWNER_SERVICES_MAX: usize = 256;
/// Claims to names that one owner may have: each of its services may have a name of its own.
pub const OWNER_CLAIMS_MAX: usize = OWNER_SERVICES_MAX;
/// Records of the kinds that are shared out that a node holds of all owners, unless it is configured otherwise: as many as every
/// machine can be expected to hold. 100,000 leases of 250 bytes are 50 MB of memory. Of more it holds a part.
pub const FULL_REPLICATION_MAX: usize = 100_000;
/// Times that what a node holds is halved at most: then it is 1 of 2048 parts, of 2 million records if it is to hold 1000. Digests
/// of parts are kept down to these (`KEPT_BITS`).
pub const DEPTH_MAX: u8 = 11;
/// Members that must be in a half, by their records, before a node leaves it to them: of three killed by chance one is alive, and who
/// asks two is not answered by one liar alone.
pub const HOLDERS_MIN: usize = 3;
/// A node takes the other half in again when what it holds is below this many eighths of the most: then both are below three quarters.
pub const WIDEN_EIGHTHS: usize = 3;
/// Names about which a node holds what is said though they are not in its part: those that it publishes under or claims, and those
/// that its programs ask for.
pub const NAMES_KEPT_MAX: usize = 2048;
/// Records that are held so, but for a node's own: whoever publishes a hundred thousand instances under a name that others ask for
/// does not fill their memory.
pub const BESIDE_MAX: usize = 8192;
/// Confirmations of claims that one admin may have: all claims of 16 members. An admin makes at most
/// [`CONFIRMATIONS_PER_CLAIMANT`] for one member, so that none leaves others without.
pub const OWNER_CONFIRMATIONS_MAX: usize = 4096;
/// See [`OWNER_CONFIRMATIONS_MAX`]; 64 members with as many names each, and far more with the few that a machine has.
pub const CONFIRMATIONS_PER_CLAIMANT: usize = 64;
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
        Kind::LinkState | Kind::Routes => (1, KIND_RECORDS_MAX),
        Kind::Revocation | Kind::Reissue => (OWNER_VERDICTS_MAX, KIND_RECORDS_MAX),
        Kind::Epoch => (OWNER_EPOCHS_MAX, EPOCHS_MAX),
        Kind::Policy => (OWNER_POLICIES_MAX, POLICIES_MAX),
        // Shared out: who would hold too many holds a part of them.
        Kind::Service => (OWNER_SERVICES_MAX, usize::MAX),
        Kind::Claim => (OWNER_CLAIMS_MAX, usize::MAX),
        Kind::Confirmation => (OWNER_CONFIRMATIONS_MAX, usize::MAX),
        Kind::Guest => (GUESTS_MAX, KIND_RECORDS_MAX),
    };
    Quota { per_owner, total }
}

/// How much of what a node holds a kind that is shared out may take, in tenths, where the node cannot hold a smaller part and it is too
/// much all the same. Whoever publishes without end then displaces instances, not whose the names are.
pub(crate) fn tenths(kind: Kind) -> usize {
    match kind {
        Kind::Service => 7,
        Kind::Claim => 2,
        Kind::Confirmation => 1,
        Kind::Member
        | Kind::Revocation
        | Kind::Reissue
        | Kind::LinkState
        | Kind::Epoch
        | Kind::Policy
        | Kind::Guest
        | Kind::Routes => 0,
    }
}

/// Neighbours of a node, as in the paper: with five, thousands of nodes of which half die stay one whole.
pub const ACTIVE_MAX: usize = 5;
/// Members that a node knows besides, as in the paper: of 30 some are alive when four of five have died.
pub const PASSIVE_MAX: usize = 30;
/// Members of the passive view that one neighbour has told of, a third: a liar among five neighbours has no majority.
pub const PER_SOURCE_MAX: usize = 10;
/// Steps of a random walk, as in the paper.
pub(crate) const WALK_TTL: u8 = 6;
/// With so many steps left a walk of a new node has it remembered, as in the paper.
pub(crate) const WALK_TTL_PASSIVE: u8 = 3;
/// Neighbours in a sample, as in the paper.
pub(crate) const SAMPLE_ACTIVE: usize = 3;
/// Members of the passive view in a sample, as in the paper.
pub(crate) const SAMPLE_PASSIVE: usize = 4;
/// Of so many entries chosen by chance the least worthy is displaced. A choice among all would make all nodes know the same few
/// old ones, who could not serve everybody and may die together.
pub(crate) const DISPLACEMENT_DRAWS: usize = 3;
/// Neighbours may be wanted of so many at the same time: as many as there is room for, and what walks and mixing add.
pub(crate) const ATTEMPTS_MAX: usize = 8;
/// Shuffles of others whose answers are awaited, the last ones: some more than pass by while one is under way.
pub(crate) const TRAILS_MAX: usize = 16;
/// Nodes to turn to when nobody else is known; as many as were neighbours.
pub(crate) const LOST_MAX: usize = ACTIVE_MAX;

/// Before the first attempt, so that who comes back with many known members tries any of them, and not the first it is told.
pub(crate) const START_DELAY: Duration = Duration::from_millis(200);
/// A session takes at most this long, whatever NATs are between; callers say sooner that there is none.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// An answer takes at most this long; longer than any path on earth.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// So many questions without an answer make a node unreachable: of a thousand with 10 % loss on both ways, seven.
pub(crate) const ANSWER_TRIES: u32 = 3;
/// After a refusal others are asked this much later...
pub(crate) const PROMOTION_PAUSE: Duration = Duration::from_secs(1);
/// ...and twice as much after each more, up to this: where all are served there is nothing to be found.
pub(crate) const PROMOTION_PAUSE_MAX: Duration = Duration::from_secs(120);
/// With fewer neighbours than [`ACTIVE_ENOUGH`] the search goes on at this pace.
pub(crate) const PROMOTION_PAUSE_FEW: Duration = Duration::from_secs(5);
/// Three hold a large network together; two make chains.
pub(crate) const ACTIVE_ENOUGH: usize = 3;
/// A neighbour that has not shown for this long that it takes us for one is asked.
pub(crate) const CONFIRM_INTERVAL: Duration = Duration::from_secs(60);
/// Samples are exchanged this often: some 30 B/s of traffic for passive views that are never older than an hour.
pub(crate) const SHUFFLE_INTERVAL: Duration = Duration::from_secs(120);
/// At the beginning and after a neighbour was lost they are exchanged after this time, then after twice as long, and so on.
pub(crate) const SHUFFLE_INTERVAL_MIN: Duration = Duration::from_secs(10);
/// A node asks somebody beyond its neighbours to be one this often. Parts of a network that were apart, and in the meantime
/// have filled their views among themselves, would else stay apart; the larger they are, the sooner one of them asks.
pub(crate) const MIX_INTERVAL: Duration = Duration::from_secs(1800);
/// The first time it is after this, then after twice as long, and so on: who takes a newcomer in may be as new, and a few of
/// them may know nobody but each other.
pub(crate) const MIX_INTERVAL_MIN: Duration = Duration::from_secs(60);
/// Somebody whom the caller recalls for that comes within this time.
pub(crate) const MIX_RECALL_TIME: Duration = Duration::from_secs(1);
/// Joins that are told to others: one in this time...
pub(crate) const JOIN_INTERVAL: Duration = Duration::from_millis(200);
/// ...and as many at once. A member that joins again and again costs others no more than that; who is not announced
/// becomes known by shuffles.
pub(crate) const JOINS_AT_ONCE: u32 = 20;

/// What is new of one owner is passed on so many times at once: as often as a machine with as many services as it may have says all of
/// it, after a start...
pub const NEWS_AT_ONCE: u32 = 2 * OWNER_SERVICES_MAX as u32 + 88;
/// ...and then once in this time: twice as often as it renews them all with the usual life of a minute. More is found by
/// anti-entropy.
pub const NEWS_INTERVAL: Duration = Duration::from_millis(50);
/// Owners whose allowance is counted at the same time: as many as have records of one kind.
pub const ALLOWANCE_OWNERS_MAX: usize = KIND_RECORDS_MAX;
/// Those who have their allowance back are forgotten this often, in which time the most wasteful has it.
pub(crate) const ALLOWANCE_PRUNING: Duration = Duration::from_secs(60);

/// Neighbours that only hear what is new hear it this much later, so that one datagram names many records.
pub(crate) const OFFER_DELAY: Duration = Duration::from_millis(100);
/// A record that was offered is asked for when it has not come by another way in this time: longer than the way along a
/// tree takes when the shortest one took the offer.
pub(crate) const GRAFT_DELAY: Duration = Duration::from_millis(500);
/// Records that were offered by one neighbour and have not come. Of more the first ones are asked for; anti-entropy finds
/// the others.
pub(crate) const MISSING_PER_NEIGHBOUR: usize = 120;
