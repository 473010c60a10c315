//! Every limit and duration of this crate, with its reason.

use std::time::Duration;

/// A path that carries packets is probed this often: with [`PROBE_TIMEOUT`] and [`PROBE_TRIES`] a silent death
/// is noticed before people notice it.
pub const PROBE_ACTIVE_INTERVAL: Duration = Duration::from_secs(3);
/// A path that carries nothing is probed this often: Linux forgets a UDP mapping after 30 s.
pub const PROBE_IDLE_INTERVAL: Duration = Duration::from_secs(25);
/// An answer takes at most this long; longer than any path on earth, satellites included.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// A path is lost when this many probes in a row had no answer.
pub const PROBE_TRIES: u32 = 3;
/// The primary path has this long to answer when the peer is heard from another address that does: longer than most
/// round trips, short enough that a peer that has moved is followed within a second.
pub const CHALLENGE_TIME: Duration = Duration::from_millis(300);
/// The same other address challenges the primary path at most this often.
pub(crate) const CHALLENGE_INTERVAL: Duration = Duration::from_secs(2);
/// Probes that may be under way for one peer; the oldest is forgotten first.
pub(crate) const PROBES_MAX: usize = 16;
/// Addresses remembered where a peer was once reached.
pub(crate) const REMEMBERED_MAX: usize = 4;
/// Addresses of one source, the most that a record has.
pub(crate) const PER_SOURCE_MAX: usize = 8;
/// Addresses that a handshake or a round of probes goes to.
pub(crate) const TARGETS_MAX: usize = 8;
