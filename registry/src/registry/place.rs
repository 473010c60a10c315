//! What is under one key: a record, or the memory of a lease that has ended.

use crate::limits::SEQUENCE_LIFE;
use std::time::{Duration, Instant};
use wire::record::Key;
use wire::{Kind, NodeId, Record, Revision};

/// What is under one key.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A record, and when it ends if it is a lease.
    Held { record: Record, ends: Option<Instant> },
    /// A lease was here. Until it is forgotten nothing up to this sequence is taken any more.
    Ended { key: Key, sequence: u64, forgotten: Instant },
}

impl Place {
    /// The memory of a lease that ends now.
    pub(crate) fn ended(key: Key, sequence: u64, now: Instant) -> Self {
        Self::Ended { key, sequence, forgotten: now + SEQUENCE_LIFE }
    }

    pub(crate) fn record(&self) -> Option<&Record> {
        match self {
            Self::Held { record, .. } => Some(record),
            Self::Ended { .. } => None,
        }
    }

    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Held { record, .. } => record.key(),
            Self::Ended { key, .. } => key.clone(),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Held { record, .. } => record.body().kind,
            Self::Ended { key, .. } => key.kind,
        }
    }

    /// The highest sequence that was seen.
    pub(crate) fn sequence(&self) -> u64 {
        match self {
            Self::Held { record, .. } => record.body().sequence,
            Self::Ended { sequence, .. } => *sequence,
        }
    }

    /// When something happens to it by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Held { ends, .. } => *ends,
            Self::Ended { forgotten, .. } => Some(*forgotten),
        }
    }

    /// Whether what was here before counts more than what comes: an ended lease more than its own record.
    ///
    /// Of two keys that have one hash the shorter name counts, whatever the sequences: else somebody could try versions of a
    /// service of his own until its hash is that of another's record, and take its place. Before that the earlier revision of the
    /// protocol counts: what a node holds of the kinds that it knows does not depend on those that it does not know.
    pub(crate) fn outranks(&self, other: &Self) -> bool {
        if self.rank() != other.rank() {
            return self.rank() < other.rank();
        }
        match (self, other) {
            (Self::Held { record, .. }, Self::Held { record: other, .. }) => version(record) > version(other),
            (Self::Held { .. }, Self::Ended { .. }) | (Self::Ended { .. }, _) => {
                self.sequence() >= other.sequence()
            }
        }
    }

    /// What decides between two keys.
    fn rank(&self) -> (Revision, usize, Kind, NodeId, &str) {
        let (kind, owner, name) = match self {
            Self::Held { record, .. } => (record.body().kind, record.body().owner, &record.body().name),
            Self::Ended { key, .. } => (key.kind, key.owner, &key.name),
        };
        (kind.revision(), name.len(), kind, owner, name)
    }

    /// How long ago the lease was signed.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        let Self::Held { record, ends: Some(ends) } = self else { return None };
        Some(record.ttl()?.saturating_sub(ends.saturating_duration_since(now)))
    }
}

/// What decides between two records of one key: the sequence, and every node alike when an owner used one twice.
pub(crate) fn version(record: &Record) -> (u64, &[u8]) {
    (record.body().sequence, record.bytes())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any moment will do")]
mod tests {
    use super::*;

    #[test]
    fn of_two_keys_with_one_hash_the_earlier_revision_stays_then_the_shorter_name() {
        let now = Instant::now();
        let of_kind = |kind, owner: u8, name: &str, sequence| {
            let key = Key { kind, owner: NodeId([owner; 32]), name: name.to_owned() };
            Place::ended(key, sequence, now)
        };
        let place = |owner, name: &str, sequence| of_kind(Kind::Service, owner, name, sequence);
        let (first, second) = (place(9, "web", 1), place(1, "web/x7", u64::MAX));
        assert!(first.outranks(&second) && !second.outranks(&first));
        let later = of_kind(Kind::Guest, 1, "a", u64::MAX);
        assert!(
            second.outranks(&later) && !later.outranks(&second),
            "who knows no guests would hold another"
        );
        assert!(place(1, "web", 1).outranks(&place(2, "web", 9)));
        assert!(
            place(1, "web", 9).outranks(&place(1, "web", 1))
                && !place(1, "web", 1).outranks(&place(1, "web", 9))
        );
    }
}
