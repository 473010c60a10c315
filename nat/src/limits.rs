//! Every limit and duration of this crate, with its reason.

use std::time::Duration;

/// A path that carries packets both ways is probed this often: it may have died in one direction.
pub const PROBE_ACTIVE_INTERVAL: Duration = Duration::from_millis(700);
/// A path that carries packets is looked at this often; when it carried some and now brings none although we send, it is
/// probed at once. With [`SILENCE_TIMEOUT_MIN`] the silent death of a path in use is noticed after half a second.
pub(crate) const LOOK_ACTIVE: Duration = Duration::from_millis(150);
/// An answer to such a probe may take longer than the one before took twice over by this...
pub(crate) const SILENCE_MARGIN: Duration = Duration::from_millis(100);
/// ...and takes this long at least, unless something else comes: then the path was only slow.
pub(crate) const SILENCE_TIMEOUT_MIN: Duration = Duration::from_millis(200);
/// A path that carries nothing is looked at this often, whether it does by now: its death has to be noticed soon then.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(1500);
/// Who is awake looks this much early whether a path carries packets: the looks at many idle peers come together, and the
/// machine sleeps in between.
pub const LOOK_EARLY: Duration = Duration::from_millis(600);
/// A path that carries nothing is probed this often: Linux forgets a UDP mapping after 30 s.
pub const PROBE_IDLE_INTERVAL: Duration = Duration::from_secs(25);
/// An answer takes at most this long; longer than any path on earth, satellites included.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// What an answer may take longer than the one before took twice over.
pub(crate) const PROBE_MARGIN: Duration = Duration::from_millis(200);
/// No path is suspected sooner: machines pause.
pub const PROBE_TIMEOUT_MIN: Duration = Duration::from_millis(400);
/// A path is lost when this many probes in a row had no answer, after the first. They follow each other fast: a hop may just
/// have learned where we are now.
pub const PROBE_TRIES: u32 = 12;
/// Every so many of them all addresses are probed, else only the primary path and what is kept for when it fails.
pub(crate) const PROBE_ALL_EVERY: u32 = 4;
/// The primary path has this long to answer when the peer is heard from another address that does: longer than most
/// round trips, short enough that a peer that has moved is followed within a second.
pub const CHALLENGE_TIME: Duration = Duration::from_millis(300);
/// Less when it is known to be quicker: one and a half times the answer before, and this. When its answer comes later still,
/// we have changed from one path that works to another.
pub(crate) const CHALLENGE_MARGIN: Duration = Duration::from_millis(100);
/// While neither has answered, and the peer is heard, both are asked again this often: an answer may have gone to where we were.
pub(crate) const CHALLENGE_RETRY: Duration = Duration::from_millis(100);
/// The same other address challenges the primary path at most this often: what has just been withstood may be the only way left
/// a moment later, and traffic is to go on within a second.
pub(crate) const CHALLENGE_INTERVAL: Duration = Duration::from_millis(500);
/// And so many others in the same time: an address of each family, a circuit from each side.
pub(crate) const CHALLENGERS_MAX: usize = 4;
/// A challenger that the primary path has withstood does not challenge it again for this long, unless the path owes an
/// answer: packets from elsewhere make it be probed soon enough.
pub(crate) const WITHSTOOD_LIFE: Duration = Duration::from_secs(60);
/// Probes that may be under way for one peer, two rounds to all targets; the oldest is forgotten first.
pub(crate) const PROBES_MAX: usize = 24;
/// Addresses remembered where a peer was once reached.
pub(crate) const REMEMBERED_MAX: usize = 4;
/// Addresses of one source, the most that a record has.
pub(crate) const PER_SOURCE_MAX: usize = 8;
/// Addresses that a handshake or a round of probes goes to: some of each source.
pub(crate) const DIALLED_MAX: usize = 12;
/// Addresses that a punch goes to.
pub(crate) const TARGETS_MAX: usize = 8;
/// Most hops of a circuit.
pub const HOPS_MAX: usize = 4;
/// What a hop costs besides its round trips: its work, and one more node that may fail.
pub(crate) const HOP_COST_MS: u32 = 5;
/// What a hop costs whose circuit failed: more than any detour on earth.
pub(crate) const PENALTY_MS: u32 = 2_000;
/// How long that is remembered.
pub(crate) const PENALTY_TIME: Duration = Duration::from_secs(30);

// How long a packet may be on a path (`path_mtu`), after RFC 8899 section 5.1.

/// Probes of one length without an answer after which it does not fit: MAX_PROBES. One may be lost by chance.
pub(crate) const MTU_PROBES_MAX: u32 = 3;
/// A probe may take twice the round trip and this, for it is longer than what that was measured with, and machines pause.
pub(crate) const MTU_PROBE_MARGIN: Duration = Duration::from_millis(200);
/// No probe is waited for longer: PROBE_TIMER.
pub(crate) const MTU_PROBE_TIMEOUT_MAX: Duration = Duration::from_secs(1);
/// Lengths nearer to each other than this, in bytes, are not told apart: half a per cent of a packet is not worth another probe.
pub(crate) const MTU_STEP: u16 = 8;
/// A path that packets go by is tried for more this often: PMTU_RAISE_TIMER.
pub(crate) const MTU_RAISE_INTERVAL: Duration = Duration::from_secs(600);
/// While packets go, a packet of the whole length is known to have come through no longer ago than this: CONFIRMATION_TIMER.
pub(crate) const MTU_CONFIRM_INTERVAL: Duration = Duration::from_secs(10);
/// And than this, while nothing comes back: of a connection that stalls since its packets got too long nothing does.
pub(crate) const MTU_CONFIRM_SILENT: Duration = Duration::from_secs(2);
/// Nothing comes back when nothing has for this long.
pub(crate) const MTU_SILENCE: Duration = Duration::from_millis(500);

// What others say that our address is (`observe`).

/// An observation counts this long: anchors repeat theirs far more often, and a NAT that was restarted shows in time.
pub(crate) const OBSERVATION_LIFE: Duration = Duration::from_secs(600);
/// Observations kept per family, of the main sockets and of the samples each; the oldest is forgotten first. A round of
/// samples is 48.
pub(crate) const OBSERVATIONS_MAX: usize = 64;
/// The latest votes count, one per witness and network: three anchors that are asked all the time then outvote what
/// peers said before our address changed.
pub(crate) const VOTES_MAX: usize = 5;
/// Witnesses in different networks that must agree before an address of ours is told to everybody.
pub(crate) const VOTES_MIN: usize = 2;
/// Addresses that must have been asked before a mapping is called anything: two may agree by chance.
pub(crate) const CLASS_MIN: usize = 3;
/// Addresses that a single witness's word adds, per family.
pub(crate) const TENTATIVE_MAX: usize = 4;
/// What a dial-back showed counts this long; a NAT's filter changes when its owner changes it.
pub(crate) const DIAL_BACK_LIFE: Duration = Duration::from_secs(1800);
/// Fresh sockets that show whether ports come one after the other.
pub(crate) const SAMPLES_FEW: u16 = 4;
/// Fresh sockets that show the bounds of a block; asked of two witnesses each, they give 48 ports.
pub(crate) const SAMPLES_MANY: u16 = 24;
/// Fresh sockets are asked for at most this often: each costs the NAT a mapping.
pub(crate) const SAMPLES_INTERVAL: Duration = Duration::from_secs(60);
/// Where ports come one after the other, the next are only known when a few sockets have asked just before.
pub(crate) const SEQUENCE_FRESH: Duration = Duration::from_secs(3);
/// What fresh sockets of one round learn, they learn within this time.
pub(crate) const SAMPLES_ROUND: Duration = Duration::from_secs(1);
/// Ports that come one after the other are at most this far apart, so many mappings do others behind the NAT open.
pub(crate) const SEQUENCE_GAP_MAX: i16 = 32;
/// A block is at most this large: of wider ones nothing is gained over all ports.
pub(crate) const BLOCK_MAX: u32 = 16_384;

// One attempt to punch (`punch`), nat/README.md section 5.

/// Openers with a low TTL are sent, for the last time, this long before the start.
pub(crate) const OPENER_LEAD: Duration = Duration::from_millis(150);
/// Enough to leave our own NAT, not enough to reach the peer's.
pub(crate) const OPENER_TTL: u8 = 2;
/// The same behind two NATs, a home's and a provider's.
pub(crate) const OPENER_TTL_DOUBLE: u8 = 4;
/// Between openers of many sockets: the NAT makes a mapping for each.
pub(crate) const OPENER_GAP: Duration = Duration::from_millis(1);
/// Probes of every pair at each of the three paces.
pub(crate) const ROUNDS_PER_PACE: u32 = 10;
/// Between the rounds: quick while the start decides, slower for what comes late.
pub(crate) const PACES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(100), Duration::from_millis(200)];
/// Between the probes of a spray: 400 a second, which home routers bear.
pub(crate) const SPRAY_GAP: Duration = Duration::from_micros(2500);
/// Probes that a late caller may make up for at once.
pub(crate) const CATCH_UP: Duration = Duration::from_millis(20);
/// Sockets of the side whose ports are random: with 1,024 ports tried, 98 %.
pub(crate) const BIRTHDAY_SOCKETS: u16 = 256;
/// Ports tried against them at first.
pub(crate) const BIRTHDAY_PORTS: u16 = 1024;
/// Ports tried when that failed.
pub(crate) const BIRTHDAY_PORTS_WIDE: u16 = 2048;
/// Below this port NATs give none.
pub(crate) const PORT_MIN: u16 = 1024;
/// Ports after the last one seen that are tried against a sequential NAT.
pub(crate) const SEQUENCE_PORTS: u16 = 40;
/// How often each of them is tried: packets are lost.
pub(crate) const SEQUENCE_PASSES: u32 = 4;
/// The sequential side sends with full TTL only after the other has begun: its NAT might take the first for an attack.
pub(crate) const SEQUENCE_HOLD: Duration = Duration::from_millis(300);
/// Sockets of each side when both are sequential.
pub(crate) const SEQUENCE_SOCKETS: u16 = 25;
/// The port that both aim at, so many after the last one seen: other traffic may take the ones before.
pub(crate) const SEQUENCE_AIM: i16 = 20;
/// Between probes where ports come in sequence: 200 a second, for they are few.
pub(crate) const SEQUENCE_GAP: Duration = Duration::from_millis(5);
/// How often each of these sockets sends.
pub(crate) const SEQUENCE_ROUNDS: u32 = 10;
/// Of two blocks, the product of their sizes up to which 98 % is reached; probes are never more than for this.
pub(crate) const BLOCK_PRODUCT: u64 = 8_000_000;
/// Up to here the same number of probes succeeds with 62 %, which is worth it; beyond, it is not.
pub(crate) const BLOCK_PRODUCT_WEAK: u64 = 64_512 * 512;
/// Sockets that one side of a block birthday may open.
pub(crate) const BLOCK_SOCKETS_MAX: u16 = 256;
/// Sources of authenticated probes that are probed back in one attempt: a hit or two are enough.
pub(crate) const ANSWERED_MAX: usize = 16;
/// How often each of them is probed.
pub(crate) const ANSWERED_PROBES: u32 = 5;
/// Between these probes; longer than most round trips.
pub(crate) const ANSWERED_GAP: Duration = Duration::from_millis(200);
/// After the last probe, answers may still come, and the peer may have started later than we.
pub(crate) const LINGER: Duration = Duration::from_millis(1500);

// Attempts one after the other (`ladder`).

/// After the first of the easy attempts.
pub(crate) const EASY_PAUSE: Duration = Duration::from_secs(5);
/// After the last of the easy ones, ever longer, for ever: networks change, and a path that has just failed often comes back soon. An
/// attempt is some hundred probes, 13 kB; one a minute with each neighbour was two thirds of all that an idle node sent.
pub(crate) const EASY_PAUSES: [Duration; 6] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(60 * 60),
];
/// While packets go over hops, easy attempts are no farther apart than this.
pub(crate) const EASY_PAUSE_IN_USE: Duration = Duration::from_secs(60);
/// After hard ones, which cost NATs hundreds of mappings.
pub(crate) const HARD_PAUSES: [Duration; 4] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(60 * 60),
];
/// An easy attempt that the peer asks for is made this long after the one before.
pub(crate) const ANSWER_PAUSE: Duration = Duration::from_secs(1);
/// A hard one may be asked for this much before we would try again: both sides count from their own end.
pub(crate) const ANSWER_SLACK: Duration = Duration::from_secs(10);
/// Attempts remembered, for people who ask why.
pub(crate) const HISTORY_MAX: usize = 16;

// How long a mapping lives (`lifetime`).

/// Intervals of keepalives, shortest first; the first that a node uses is [`KEEPALIVE_FIRST`].
pub(crate) const KEEPALIVES: [Duration; 6] = [
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
    Duration::from_secs(25),
    Duration::from_secs(55),
    Duration::from_secs(110),
];
/// Position in [`KEEPALIVES`] to begin with: half of the 30 s after which Linux forgets.
pub(crate) const KEEPALIVE_FIRST: usize = 2;
/// A mapping must outlive an interval by this, or by a quarter of it, to be held by it.
pub(crate) const KEEPALIVE_MARGIN: Duration = Duration::from_secs(2);
/// The spare socket is primed twice, so far apart: Linux keeps a mapping longer once packets went both ways for 2 s.
pub(crate) const PRIME_GAP: Duration = Duration::from_secs(3);
/// A ping or a dial-back without result is repeated after this.
pub(crate) const MEASURE_TIMEOUT: Duration = Duration::from_secs(2);
/// Tries of each before it counts as failed: packets are lost.
pub(crate) const MEASURE_TRIES: u32 = 3;
/// After a measurement that could not be made: the anchor was silent, or had other things to do.
pub(crate) const MEASURE_RETRY: Duration = Duration::from_secs(60);
/// After one that has come to its end.
pub(crate) const MEASURE_PAUSE: Duration = Duration::from_secs(3600);
