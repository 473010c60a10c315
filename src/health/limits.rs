//! Every deadline and limit of this folder, with its why.

use std::time::Duration;

/// From the start of a check to that of the next. With two failures of [`CHECK_TIMEOUT`] each, who dies is out of the
/// answers after 12 s at the latest, and the news of it has 3 s left to travel.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How long a check may take: a service on this machine that needs longer is of no use to others.
pub(super) const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// Failures in a row that make an instance unhealthy that was well: one can be a full backlog.
pub(super) const FAILURES_MAX: u32 = 2;
/// Checks at once. Of the most that a node may publish, all are done within one interval even when each takes its
/// whole timeout.
pub(super) const CHECKS_AT_ONCE_MAX: usize = 32;
/// Verdicts that wait for the control thread; a check whose verdict finds no place waits, and its next one with it.
pub(super) const VERDICTS_MAX: usize = 64;
/// Checks are spread over the interval in so many steps, since those of a configuration all begin at once.
pub(super) const PHASES: u32 = 8;
/// Longest status line and what comes in one piece with it, in bytes.
pub(super) const HEAD_LENGTH_MAX: usize = 4096;
/// The answer's rest is read so far, and so long: a server that is cut off in the middle logs an error for each check.
pub(super) const REST_LENGTH_MAX: u64 = 64 * 1024;
/// See [`REST_LENGTH_MAX`].
pub(super) const REST_TIMEOUT: Duration = Duration::from_millis(200);
