//! Every deadline and limit of this folder, with its why.

use std::time::Duration;

/// Least answer over UDP that every resolver takes, in bytes (RFC 1035 section 4.2.1).
pub(super) const UDP_ANSWER_LENGTH_MIN: u16 = 512;
/// Longest answer over UDP, in bytes, whatever the resolver offers: fits a packet of IPv6's least MTU, so that no
/// answer is fragmented (DNS flag day 2020).
pub(super) const UDP_ANSWER_LENGTH_MAX: u16 = 1232;
/// Longest question that is read, in bytes: a name has 255, and EDNS options some dozens.
pub(super) const QUESTION_LENGTH_MAX: usize = 1232;
/// Questions answered at one socket before the others get their turn.
pub(super) const UDP_BATCH: usize = 64;

/// Connections at all addresses together: each costs a descriptor and some kilobytes.
pub(super) const TCP_CONNECTIONS_MAX: usize = 64;
/// Connections of one source: nobody holds them all.
pub(super) const TCP_CONNECTIONS_PER_SOURCE: usize = 8;
/// How long a connection may be silent, or a message may take to pass: resolvers keep theirs open for seconds
/// (RFC 7766 section 6.2.3).
pub(super) const TCP_IDLE: Duration = Duration::from_secs(10);
/// Time to the next attempt when a socket gives neither question nor connection, as when descriptors have run out.
pub(super) const SOCKET_AGAIN: Duration = Duration::from_millis(200);

/// Questions that wait for what a name means that other machines know; one more is answered that we cannot say (SERVFAIL).
pub(crate) const ASKS_MAX: usize = 256;
/// How long one waits at most: the control thread says it after 2 s, unless it is busy. Resolvers ask again after 5 s.
pub(super) const ASK_PATIENCE: Duration = Duration::from_millis(2500);

/// Questions that are passed on at the same time: each is a descriptor.
pub(super) const FORWARDS_MAX: usize = 128;
/// Of them, those of one source: a browser that opens a page full of strangers' names asks some dozens at once.
pub(super) const FORWARDS_PER_SOURCE_MAX: usize = 48;
/// How long an upstream may take before the next one is asked: all three have had their turn before a resolver that asks again
/// after 5 s has given up.
pub(super) const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(2);
/// Upstreams that are asked, one after the other: as many as the C library asks of a resolv.conf.
pub(super) const UPSTREAMS_MAX: usize = 3;
/// Longest answer of an upstream over UDP, in bytes: what resolvers have offered at most since EDNS.
pub(super) const UPSTREAM_ANSWER_LENGTH_MAX: usize = 4096;
/// Answers of one upstream that are to other questions, until it is given up: somebody is guessing (RFC 5452 section 9.3).
pub(super) const UNFIT_ANSWERS_MAX: usize = 8;

/// Instances named in one answer, the nearest: nobody tries more, and as many TXT records of full length fit a
/// message of 64 KiB.
pub(super) const INSTANCES_MAX: usize = 32;
/// Names in one answer to somebody who browses: with names of usual length they fit a message.
pub(super) const BROWSED_MAX: usize = 500;
/// Browsed instances whose SRV, TXT and addresses are put in the same answer: what fits 1232 bytes.
pub(super) const DESCRIBED_MAX: usize = 8;
/// Longest text of one instance, in bytes (RFC 6763 section 6.2: more than 1300 is not recommended).
pub(super) const TXT_LENGTH_MAX: usize = 1300;
/// Longest string in a text record, in bytes (RFC 1035 section 3.3).
pub(super) const TXT_STRING_LENGTH_MAX: usize = 255;

/// How long the addresses of a node, and what belongs to the zone itself, may be kept, in seconds: they hardly ever
/// change, but a revoked node must not be found for longer.
pub(super) const NODE_TTL_S: u32 = 30;
/// How long may be kept that there is no such name or record, in seconds (RFC 2308): a name that is published is to be
/// found everywhere within 3 s.
pub(super) const NEGATIVE_TTL_S: u32 = 1;
/// Longest TTL that is passed on, in seconds (RFC 2181 section 8: more is no TTL).
pub(super) const TTL_MAX_S: u32 = i32::MAX as u32;
/// Times of the SOA record for secondary servers, in seconds. There are none; the values are RIPE-203's.
pub(super) const SOA_REFRESH_S: i32 = 86_400;
/// See [`SOA_REFRESH_S`].
pub(super) const SOA_RETRY_S: i32 = 7_200;
/// See [`SOA_REFRESH_S`].
pub(super) const SOA_EXPIRE_S: i32 = 3_600_000;

/// Longest suffix in bytes: with a service, a node and a network in front of it, each of 63, a name stays below 255.
pub(super) const SUFFIX_LENGTH_MAX: usize = 62;
