//! Is the clock right? Credentials and invites are judged by it, with an hour of tolerance.

use std::fs;
use std::time::UNIX_EPOCH;

use overlay::rough_time;
use wire::credential::CLOCK_SKEW_S;

use super::{Outcome, Surroundings};
use crate::io::{clock, inspect};

/// Seconds that clocks may be apart without a word: as much as a time service keeps them together, and a slow answer.
const AGREEMENT_S: u64 = 30;
/// Peers that a sentence names.
const NAMED_MAX: usize = 3;

/// What is known of the clock.
#[derive(Debug, Clone)]
struct Facts {
    /// Seconds since 1970 that it shows.
    now_s: u64,
    /// When the newest of our own files was written, in seconds since 1970: it was that late at least.
    written_s: u64,
    /// Whether something keeps it right; `None` where the kernel does not say.
    is_synchronised: Option<bool>,
    /// Peers that have told what their clocks show, and how many seconds those are ahead.
    peers: Vec<(String, i64)>,
}

pub(super) fn check(around: &Surroundings) -> Outcome {
    let peers = around.answers().map_or(vec![], |answers| told(&answers.status));
    judge(&Facts {
        now_s: clock::unix_s(),
        written_s: written_s(around),
        is_synchronised: inspect::is_clock_synchronised(),
        peers,
    })
}

fn told(status: &api::StatusReply) -> Vec<(String, i64)> {
    let connected = status.peers.iter().filter(|peer| peer.state() == api::PeerState::Connected);
    connected.filter_map(|peer| Some((peer.name.clone(), peer.clock_ahead_s?))).collect()
}

/// The program and the state directory bear dates: there is no build date in the program, so that builds are repeatable.
fn written_s(around: &Surroundings) -> u64 {
    let files = [std::env::current_exe().ok(), Some(around.paths.state_dir.clone())];
    let times = files.into_iter().flatten().filter_map(|path| fs::metadata(path).ok()?.modified().ok());
    times.filter_map(|time| time.duration_since(UNIX_EPOCH).ok()).map(|age| age.as_secs()).max().unwrap_or(0)
}

fn judge(facts: &Facts) -> Outcome {
    let Facts { now_s, written_s, is_synchronised, peers } = facts;
    if now_s.saturating_add(CLOCK_SKEW_S) < *written_s {
        return Outcome::failed(
            format!(
                "the clock stands {} before the time when Hopmesh was installed or last wrote a file",
                rough_time(written_s - now_s)
            ),
            SET,
        );
    }
    let by_peers = judge_peers(peers);
    let by_kernel = match is_synchronised {
        Some(true) => Outcome::ok(format!("kept right by a time service; {}", agreement(peers))),
        Some(false) => Outcome::warning(
            "nothing keeps the clock right; credentials are refused once it is an hour off",
            "switch a time service on: `timedatectl set-ntp true` (systemd-timesyncd), or install chrony",
        ),
        None => Outcome::skipped(format!(
            "the kernel does not say whether something keeps the clock right; {}",
            agreement(peers)
        )),
    };
    let found = by_peers.into_iter().chain([by_kernel]).collect();
    Outcome::worst(found, || Outcome::ok(agreement(peers)))
}

/// What to do about a wrong clock.
const SET: &str = "set it: `timedatectl set-ntp true`, or `date --set` where there is no network yet";

/// Whose clock is wrong nobody knows: ours, when most of those who told say so and agree with each other.
fn judge_peers(peers: &[(String, i64)]) -> Option<Outcome> {
    let is_apart = |(_, ahead_s): &&(String, i64)| ahead_s.unsigned_abs() > CLOCK_SKEW_S;
    let apart: Vec<&(String, i64)> = peers.iter().filter(is_apart).collect();
    let (_, ahead_s) = apart.first()?;
    let agree = apart.iter().filter(|(_, other)| other.abs_diff(*ahead_s) <= CLOCK_SKEW_S).count();
    if agree >= 2 && agree * 2 > peers.len() {
        let side = if *ahead_s > 0 { "behind" } else { "ahead of" };
        let words = format!(
            "the clock is {} {side} those of {agree} of {} peers",
            rough_time(ahead_s.unsigned_abs()),
            peers.len()
        );
        return Some(Outcome::failed(words, SET));
    }
    let each = apart.iter().take(NAMED_MAX).map(|(name, ahead_s)| {
        let side = if *ahead_s > 0 { "ahead of" } else { "behind" };
        format!(
            "the clock of {name} was {} {side} this one at the last handshake",
            rough_time(ahead_s.unsigned_abs())
        )
    });
    Some(Outcome::warning(
        each.collect::<Vec<_>>().join(", "),
        "set the clock that is wrong: peers refuse credentials that are out of date by theirs",
    ))
}

/// What the clocks of peers say of ours, when none is far away.
fn agreement(peers: &[(String, i64)]) -> String {
    match peers.iter().map(|(_, ahead_s)| ahead_s.unsigned_abs()).max() {
        None => "no peer has told what its clock shows".to_owned(),
        Some(apart_s) if apart_s <= AGREEMENT_S => format!("those of {} peers agree with it", peers.len()),
        Some(apart_s) => format!("those of {} peers are {} away at most", peers.len(), rough_time(apart_s)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Autumn of 2026.
    const DAY: u64 = 1_790_000_000;

    fn facts(now_s: u64, written_s: u64, is_synchronised: Option<bool>) -> Facts {
        Facts { now_s, written_s, is_synchronised, peers: vec![] }
    }

    fn beside(peers: &[(&str, i64)]) -> Outcome {
        let peers = peers.iter().map(|&(name, ahead_s)| (name.to_owned(), ahead_s)).collect();
        judge(&Facts { peers, ..facts(DAY, 0, Some(true)) })
    }

    #[test]
    fn a_clock_before_our_own_files_fails_and_an_unkept_one_warns() {
        let judged = |now_s, written_s, kept| judge(&facts(now_s, written_s, kept));
        assert_eq!(judged(DAY, DAY - 5, Some(true)).word(), "ok");
        assert_eq!(judged(DAY - 3600, DAY, Some(true)).word(), "ok", "within the tolerance");
        assert_eq!(judged(DAY - 3601, DAY, Some(true)).word(), "failed");
        assert_eq!(judged(DAY, 0, Some(false)).word(), "warning");
        assert_eq!(judged(DAY, 0, None).word(), "skipped");
        let flat = judged(0, DAY, Some(false));
        assert!(
            flat.word() == "failed" && flat.reason().contains("56 years"),
            "a machine without a battery: {flat:?}"
        );
    }

    #[test]
    fn clocks_of_peers_tell_which_one_is_wrong() {
        let said = |outcome: &Outcome| format!("{}: {}", outcome.word(), outcome.reason());
        assert_eq!(
            said(&beside(&[])),
            "ok: kept right by a time service; no peer has told what its clock shows"
        );
        assert_eq!(
            said(&beside(&[("b", 3), ("c", -30)])),
            "ok: kept right by a time service; those of 2 peers agree with it"
        );
        let near = beside(&[("b", 3), ("c", -3600)]);
        assert_eq!(
            said(&near),
            "ok: kept right by a time service; those of 2 peers are 60 minutes away at most"
        );
        let one = beside(&[("b", 7200), ("c", 1)]);
        assert_eq!(said(&one), "warning: the clock of b was 2 hours ahead of this one at the last handshake");
        let alone = beside(&[("b", -3601)]);
        assert_eq!(
            said(&alone),
            "warning: the clock of b was 60 minutes behind this one at the last handshake"
        );
        let ours = beside(&[("b", 7200), ("c", 7210), ("d", 0)]);
        assert_eq!(said(&ours), "failed: the clock is 2 hours behind those of 2 of 3 peers");
        let apart = beside(&[("b", 7200), ("c", -7200), ("d", 0)]);
        assert_eq!(apart.word(), "warning", "they do not agree: {apart:?}");
    }
}
