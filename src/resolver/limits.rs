//! Every deadline and limit of this folder, with its why.

use std::time::Duration;

/// How long one call on the system bus may take: a service that is started by the call needs a second or two, and
/// the daemon's start must not hang on one that never answers.
pub(super) const BUS_WAIT: Duration = Duration::from_secs(5);
/// How long `resolvconf` may run: Debian's waits up to 10 s for another run of itself.
pub(super) const PROGRAM_WAIT: Duration = Duration::from_secs(15);
/// Longest piece of a program's own words that is repeated, in characters.
pub(super) const WORDS_LENGTH_MAX: usize = 120;
/// Largest resolv.conf that is edited, in bytes: real ones have some hundred.
pub(super) const FILE_SIZE_MAX: usize = 64 << 10;
/// Servers of resolv.conf that the C library asks (`MAXNS` of resolv.h); it never reads those behind.
pub(super) const SERVERS_MAX: usize = 3;
/// How often a resolv.conf that somebody else writes at the same moment is edited anew.
pub(super) const EDITS_MAX: usize = 3;
