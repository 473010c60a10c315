//! Candidates of one peer: where it may be dialled, and who says so.

use crate::limits::{DIALLED_MAX, PER_SOURCE_MAX, REMEMBERED_MAX};
use wire::Candidate;

/// Who says that a peer may be dialled at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// It was reached there before, or sent something authenticated from there.
    Remembered,
    /// Its own member record.
    Record,
    /// An invite, or what came with the enrolment.
    Invite,
    /// A hint of its own that was heard on a network that we share.
    Lan,
    /// A hint of its own that came by another way.
    Hint,
}

/// Addresses where a peer may be dialled; bounded.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    remembered: Vec<Candidate>,
    record: Vec<Candidate>,
    invite: Vec<Candidate>,
    lan: Vec<Candidate>,
    hint: Vec<Candidate>,
}

impl Candidates {
    /// Takes the addresses of a source, instead of those that it gave before.
    pub fn replace(&mut self, source: Source, candidates: &[Candidate]) {
        let (list, max) = match source {
            Source::Remembered => (&mut self.remembered, REMEMBERED_MAX),
            Source::Record => (&mut self.record, PER_SOURCE_MAX),
            Source::Invite => (&mut self.invite, PER_SOURCE_MAX),
            Source::Lan => (&mut self.lan, PER_SOURCE_MAX),
            Source::Hint => (&mut self.hint, PER_SOURCE_MAX),
        };
        *list = candidates.iter().copied().take(max).collect();
    }

    /// Puts an address where the peer was reached before all others.
    pub fn remember(&mut self, candidate: Candidate) {
        self.remembered.retain(|known| *known != candidate);
        self.remembered.insert(0, candidate);
        self.remembered.truncate(REMEMBERED_MAX);
    }

    /// Where the peer was reached, latest first.
    #[must_use]
    pub fn remembered(&self) -> &[Candidate] {
        &self.remembered
    }

    /// Where the peer itself says that it may be dialled.
    #[must_use]
    pub fn announced(&self) -> &[Candidate] {
        &self.record
    }

    /// Addresses to try, each once, best first.
    #[must_use]
    pub fn targets(&self) -> Vec<Candidate> {
        let mut targets: Vec<Candidate> = Vec::new();
        // What is said nearby and lately comes first, and leaves room for the others.
        let first = [(&self.remembered, 2), (&self.lan, 2), (&self.hint, 4)];
        let first = first.into_iter().flat_map(|(list, count)| list.iter().take(count));
        let others = [&self.record, &self.invite, &self.remembered, &self.lan, &self.hint];
        for candidate in first.chain(others.into_iter().flatten()) {
            if targets.len() < DIALLED_MAX && !targets.contains(candidate) {
                targets.push(*candidate);
            }
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(host: u8) -> Candidate {
        Candidate::new(format!("192.0.2.{host}:7").parse().unwrap()).unwrap()
    }

    #[test]
    fn each_target_once_and_bounded() {
        let mut candidates = Candidates::default();
        let many: Vec<_> = (1..=20).map(candidate).collect();
        candidates.replace(Source::Record, &many);
        candidates.replace(Source::Invite, &many[4..]);
        candidates.remember(candidate(3));
        let targets = candidates.targets();
        assert_eq!(targets[0], candidate(3));
        assert_eq!(targets.len(), DIALLED_MAX);
        for (i, target) in targets.iter().enumerate() {
            assert!(!targets[..i].contains(target), "{target} twice");
        }
    }

    #[test]
    fn hints_come_before_records_and_leave_room_for_them() {
        let mut candidates = Candidates::default();
        let many = |from: u8| (from..from + 8).map(candidate).collect::<Vec<_>>();
        for (source, from) in [(Source::Record, 10), (Source::Lan, 20), (Source::Hint, 30)] {
            candidates.replace(source, &many(from));
        }
        candidates.remember(candidate(1));
        let hosts = [1, 20, 21, 30, 31, 32, 33, 10, 11, 12, 13, 14];
        assert_eq!(candidates.targets(), hosts.map(candidate));
    }

    #[test]
    fn the_latest_address_is_remembered_first_and_four_of_them() {
        let mut candidates = Candidates::default();
        (1..=6).map(candidate).for_each(|c| candidates.remember(c));
        candidates.remember(candidate(4));
        assert_eq!(candidates.remembered(), [4, 6, 5, 3].map(candidate));
    }
}
