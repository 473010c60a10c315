//! Limits of the guests' door, each with its reason.

use std::time::Duration;

/// Handshake messages a second that are looked at without asking for a cookie. Each is counted twice, at the door and in its tunnel:
/// all guests of a full house come back within some seconds of a restart.
pub(super) const WITHOUT_COOKIE_PER_SECOND: u64 = 200;
/// Handshake messages a second from one IPv4 address, or one /64 of IPv6, that cost more than a counter: so many guests behind one NAT
/// come back at once, further ones 5 s later. Less than half of what needs no cookie, so that one flood does not have others asked for
/// cookies, which clients of `WireGuard` show only 5 s later.
pub(super) const PER_PREFIX_PER_SECOND: u32 = 50;
/// Counters for prefixes: where two share one, they share its budget, too.
pub(super) const COUNTED_PREFIXES: usize = 1024;
/// Handshakes that are worked on in a second, whoever has shown a cookie: at a fifth of a millisecond each, a twelfth of a core.
/// Twice as many as may come without, so that half are for who has shown one.
pub(super) const HANDSHAKES_PER_SECOND: u32 = 400;
/// Handshake messages that wait: more than come without a cookie at once, so that whoever has shown one finds room.
pub(super) const KNOCKS_MAX: usize = 256;
/// Timers of tunnels are looked at this often: boringtun asks for once a second at least.
pub(super) const TICK: Duration = Duration::from_millis(500);
/// Longest message that leaves a tunnel: a packet of [`overlay::fastpath::GUEST_MTU`] or a handshake, with `WireGuard`'s overhead.
pub(super) const QUEUED_LENGTH_MAX: usize = 2048;
