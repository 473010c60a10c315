//! Is the clock right? Credentials and invites are judged by it, with an hour of tolerance.

use std::fs;
use std::time::UNIX_EPOCH;

use wire::credential::CLOCK_SKEW_S;

use super::{Outcome, Surroundings};
use crate::io::{clock, inspect};

/// What is known of the clock.
#[derive(Debug, Clone, Copy)]
struct Facts {
    /// Seconds since 1970 that it shows.
    now_s: u64,
    /// When the newest of our own files was written, in seconds since 1970: it was that late at least.
    written_s: u64,
    /// Whether something keeps it right; `None` where the kernel does not say.
    is_synchronised: Option<bool>,
}

pub(super) fn check(around: &Surroundings) -> Outcome {
    judge(Facts {
        now_s: clock::unix_s(),
        written_s: written_s(around),
        is_synchronised: inspect::is_clock_synchronised(),
    })
}

/// The program and the state directory bear dates: there is no build date in the program, so that builds are repeatable.
fn written_s(around: &Surroundings) -> u64 {
    let files = [std::env::current_exe().ok(), Some(around.paths.state_dir.clone())];
    let times = files.into_iter().flatten().filter_map(|path| fs::metadata(path).ok()?.modified().ok());
    times.filter_map(|time| time.duration_since(UNIX_EPOCH).ok()).map(|age| age.as_secs()).max().unwrap_or(0)
}

fn judge(facts: Facts) -> Outcome {
    let Facts { now_s, written_s, is_synchronised } = facts;
    let set = "set it: `timedatectl set-ntp true`, or `date --set` where there is no network yet";
    if now_s.saturating_add(CLOCK_SKEW_S) < written_s {
        let hours = (written_s - now_s) / 3600;
        return Outcome::failed(
            format!(
                "the clock stands {hours} hours before the time when Hopmesh was installed or last wrote a file"
            ),
            set,
        );
    }
    match is_synchronised {
        Some(true) => Outcome::ok("kept right by a time service; what peers' clocks say is not known"),
        Some(false) => Outcome::warning(
            "nothing keeps the clock right; credentials are refused once it is an hour off",
            "switch a time service on: `timedatectl set-ntp true` (systemd-timesyncd), or install chrony",
        ),
        None => Outcome::skipped("the kernel does not say whether something keeps the clock right"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_our_own_files_fails_and_an_unkept_one_warns() {
        let facts = |now_s, written_s, is_synchronised| Facts { now_s, written_s, is_synchronised };
        let day = 1_790_000_000;
        assert_eq!(judge(facts(day, day - 5, Some(true))).word(), "ok");
        assert_eq!(judge(facts(day - 3600, day, Some(true))).word(), "ok", "within the tolerance");
        assert_eq!(judge(facts(day - 3601, day, Some(true))).word(), "failed");
        assert_eq!(judge(facts(0, day, Some(false))).word(), "failed", "a machine without a battery");
        assert_eq!(judge(facts(day, 0, Some(false))).word(), "warning");
        assert_eq!(judge(facts(day, 0, None)).word(), "skipped");
    }
}
