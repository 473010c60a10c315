//! Challenges: the peer is heard from elsewhere, and both ways are probed to see whether it has moved.

use super::{Paths, WaitReason};
use crate::limits::{CHALLENGE_INTERVAL, CHALLENGE_RETRY, CHALLENGE_TIME, CHALLENGERS_MAX, WITHSTOOD_LIFE};
use crate::remote::Remote;
use std::time::{Duration, Instant};

/// Another address that the peer was heard from, and what came of probing it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Challenge {
    pub(super) remote: Remote,
    pub(super) since: Instant,
    /// When both were probed last.
    pub(super) probed: Instant,
    pub(super) outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Neither has answered.
    Open,
    /// The challenger has answered in this time.
    Answered(Duration),
    /// The primary path has answered: it stays.
    Withstood,
}

impl Paths {
    /// An authenticated datagram came from this address.
    pub fn handle_datagram(&mut self, remote: Remote, now: Instant) {
        self.note_made(remote);
        if self.primary() == Some(remote) {
            return;
        }
        // When the peer uses a worse way than we, it has not found the better one yet, or has lost it: the answers tell.
        let is_worse = self.primary.is_some_and(|primary| primary.remote.rank() > remote.rank());
        if !is_worse && !self.is_suspect() && self.has_withstood(remote, now) {
            return;
        }
        if let Some(challenge) = &mut self.challenge
            && (challenge.remote, challenge.outcome) == (remote, Outcome::Open)
            && now < challenge.since + CHALLENGE_INTERVAL
        {
            if now >= challenge.probed + CHALLENGE_RETRY {
                challenge.probed = now;
                self.queue.extend(self.primary().into_iter().chain([remote]));
            }
            return;
        }
        self.challengers.retain(|(_, since)| now.saturating_duration_since(*since) < CHALLENGE_INTERVAL);
        let lately = self.challengers.iter().any(|(challenger, _)| *challenger == remote);
        if lately || self.challengers.len() >= CHALLENGERS_MAX {
            return;
        }
        self.challengers.push((remote, now));
        self.challenge = Some(Challenge { remote, since: now, probed: now, outcome: Outcome::Open });
        self.queue.extend(self.primary().into_iter().chain([remote]));
    }

    fn has_withstood(&self, remote: Remote, now: Instant) -> bool {
        let lately = |since: Instant| now.saturating_duration_since(since) < WITHSTOOD_LIFE;
        self.withstood.iter().any(|(challenger, since)| *challenger == remote && lately(*since))
    }

    fn note_withstood(&mut self, remote: Remote, now: Instant) {
        self.withstood.retain(|(challenger, _)| *challenger != remote);
        self.withstood.truncate(CHALLENGERS_MAX - 1);
        self.withstood.push_front((remote, now));
    }

    /// A probe was answered by the primary path, or by another in this time.
    pub(super) fn note_answer(
        &mut self,
        remote: Remote,
        (is_primary, round_trip): (bool, Duration),
        now: Instant,
    ) {
        let Some(challenge) =
            self.challenge.as_mut().filter(|challenge| challenge.outcome != Outcome::Withstood)
        else {
            return;
        };
        if is_primary {
            challenge.outcome = Outcome::Withstood;
            let challenger = challenge.remote;
            self.note_withstood(challenger, now);
        } else if challenge.remote == remote {
            challenge.outcome = Outcome::Answered(round_trip);
        }
    }

    /// The address that has won a challenge, now the primary path.
    pub(super) fn judge_challenge(&mut self, now: Instant) -> Option<Remote> {
        let challenge = self.challenge?;
        let Outcome::Answered(round_trip) = challenge.outcome else { return None };
        if now < self.challenge_end(&challenge) || self.primary() == Some(challenge.remote) {
            return None;
        }
        self.challenge = None;
        self.promote(challenge.remote, Some(round_trip), now);
        Some(challenge.remote)
    }

    fn challenge_end(&self, challenge: &Challenge) -> Instant {
        challenge.since + self.primary.map_or(CHALLENGE_TIME, |primary| primary.challenge_time())
    }

    /// That time, or the end of a challenge before it.
    pub(super) fn before_challenge_ends(&self, next: Instant, reason: WaitReason) -> (Instant, WaitReason) {
        let is_open = |challenge: &Challenge| {
            matches!(challenge.outcome, Outcome::Answered(_)) && self.primary() != Some(challenge.remote)
        };
        match self.challenge.filter(is_open).map(|challenge| self.challenge_end(&challenge)) {
            Some(end) if end < next => (end, WaitReason::Challenge),
            Some(_) | None => (next, reason),
        }
    }
}
