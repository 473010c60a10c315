//! Every deadline and limit of this folder, with its why.

use std::time::Duration;

/// How long a router is asked to keep a mapping: what RFC 6886 section 3.3 recommends.
pub const LEASE: Duration = Duration::from_secs(2 * 3600);
/// Longest lease that is believed: some routers say "for ever" as a number of years.
pub(super) const LEASE_MAX: Duration = Duration::from_secs(24 * 3600);
/// A mapping is renewed at half its lease, but not later than this: a router that restarted has forgotten it, and
/// tells nobody who does not listen on its announcements' port.
pub(super) const RENEW_AFTER_MAX: Duration = Duration::from_secs(15 * 60);
/// A mapping is not renewed sooner than this, however short the router's lease is.
pub(super) const RENEW_AFTER_MIN: Duration = Duration::from_secs(2);
/// Time to the next attempt after a renewal that failed; a shorter lease has a shorter one.
pub(super) const RENEW_AGAIN: Duration = Duration::from_secs(30);
/// Renewals that may fail one after the other before the mapping counts as lost: one can be a lost packet.
pub(super) const RENEW_FAILURES_MAX: u32 = 3;
/// Time to the next attempt after nobody gave a mapping; doubled each time.
pub(super) const RETRY_FIRST: Duration = Duration::from_secs(30);
/// Longest time between attempts: somebody may switch UPnP on at the router while we run.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(15 * 60);
/// A report of the same network asks the router again, but not more often than this: container hosts change
/// their interfaces all the time.
pub(super) const RECHECK_AFTER_MIN: Duration = Duration::from_secs(60);
/// First wait for an answer to PCP and NAT-PMP (RFC 6886 section 3.1: 250 ms); doubled each time.
pub(super) const ANSWER_WAIT_FIRST: Duration = Duration::from_millis(250);
/// Requests after the first that goes unanswered. With the wait above, silence costs 1.75 s.
pub(super) const ANSWER_RETRIES_MAX: usize = 2;
/// How long a router may take to answer a UPnP search, by multicast and again by unicast. Devices wait up to
/// the 3 s that the search allows them.
pub(super) const SEARCH_WAIT: Duration = Duration::from_millis(3500);
/// How long all the UPnP requests for one mapping may take together: slow routers need seconds for each.
pub(super) const UPNP_WAIT: Duration = Duration::from_secs(15);
/// How long giving a mapping back may hold up the end of the daemon.
pub(super) const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// Events that may wait for the driver; then the actor waits too.
pub(super) const EVENTS_MAX: usize = 16;
/// Longest piece of a router's own words that is repeated, in characters.
pub(super) const WORDS_LENGTH_MAX: usize = 120;

/// Longest Binding request that is looked at, in bytes: 576 of the smallest IPv4 MTU less headers
/// (RFC 8489 section 6.1). Anything longer is no honest request.
pub const STUN_REQUEST_LENGTH_MAX: usize = 548;
/// Binding requests answered per second altogether: 5 kB/s of ours at most, and every member may ask several times.
pub const STUN_ANSWERS_PER_SECOND: u16 = 100;
/// Binding requests answered per second to one /24 or /56: a household or a carrier's corner asks less often,
/// and a victim of forged sources gets no more than 440 bytes a second.
pub const STUN_ANSWERS_PER_PREFIX: u8 = 10;
/// Counters of prefixes; prefixes that share one share its budget.
pub(super) const STUN_COUNTERS: usize = 1024;
/// Unknown attributes that an error answer lists: enough to tell a person, and the answer stays near the request's size.
pub(super) const STUN_UNKNOWN_MAX: usize = 8;

/// Time between two rounds of questions to the configured STUN servers: below the 30 s after which common NATs
/// forget a mapping.
pub const STUN_INTERVAL: Duration = Duration::from_secs(25);
/// Time after which an unanswered question is repeated (RFC 8489 section 6.2.1: the RTO starts at 500 ms).
pub const STUN_RETRANSMIT: Duration = Duration::from_millis(500);
/// Repetitions of an unanswered question; then the server counts as silent for this round.
pub const STUN_RETRANSMISSIONS_MAX: u8 = 2;
/// Time after which the name of a server is looked up anew.
pub const STUN_NAME_LIFE: Duration = Duration::from_secs(3600);
/// Addresses of one name that are asked: one of each family is enough.
pub(super) const STUN_ADDRESSES_MAX: usize = 2;
/// How long the name of a server may take to look up: resolvers of the host give up after some 5 s each.
pub(super) const LOOK_UP_WAIT: Duration = Duration::from_secs(10);
