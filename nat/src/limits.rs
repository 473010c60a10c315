//! Every limit and duration of this crate, with its reason.

use std::time::Duration;

/// A path that carries packets is probed this often: with [`PROBE_TIMEOUT_MIN`] its silent death is noticed after 1.5 s,
/// which leaves as much again for another path to take over within 3 s.
pub const PROBE_ACTIVE_INTERVAL: Duration = Duration::from_secs(1);
/// A path that carries nothing is probed this often: Linux forgets a UDP mapping after 30 s.
pub const PROBE_IDLE_INTERVAL: Duration = Duration::from_secs(25);
/// An answer takes at most this long; longer than any path on earth, satellites included.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// What an answer may take longer than the one before took twice over.
pub(crate) const PROBE_MARGIN: Duration = Duration::from_millis(200);
/// No path is suspected sooner: machines pause.
pub const PROBE_TIMEOUT_MIN: Duration = Duration::from_millis(500);
/// A path is lost when this many probes in a row had no answer.
pub const PROBE_TRIES: u32 = 3;
/// The primary path has this long to answer when the peer is heard from another address that does: longer than most
/// round trips, short enough that a peer that has moved is followed within a second.
pub const CHALLENGE_TIME: Duration = Duration::from_millis(300);
/// The same other address challenges the primary path at most this often.
pub(crate) const CHALLENGE_INTERVAL: Duration = Duration::from_secs(2);
/// And so many others in the same time: an address of each family, a circuit from each side.
pub(crate) const CHALLENGERS_MAX: usize = 4;
/// Probes that may be under way for one peer; the oldest is forgotten first.
pub(crate) const PROBES_MAX: usize = 16;
/// Addresses remembered where a peer was once reached.
pub(crate) const REMEMBERED_MAX: usize = 4;
/// Addresses of one source, the most that a record has.
pub(crate) const PER_SOURCE_MAX: usize = 8;
/// Addresses that a handshake or a round of probes goes to.
pub(crate) const TARGETS_MAX: usize = 8;
/// Most hops of a circuit.
pub const HOPS_MAX: usize = 4;
/// What a hop costs besides its round trips: its work, and one more node that may fail.
pub(crate) const HOP_COST_MS: u32 = 5;
/// What a hop costs whose circuit failed: more than any detour on earth.
pub(crate) const PENALTY_MS: u32 = 2_000;
/// How long that is remembered.
pub(crate) const PENALTY_TIME: Duration = Duration::from_secs(30);
