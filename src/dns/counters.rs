//! What is counted of questions and answers.

use std::sync::atomic::{AtomicU64, Ordering};

use hickory_proto::op::ResponseCode;

use super::message::Outcome;

/// What was counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Messages that came, of any kind, from whom may ask.
    pub questions: u64,
    /// Answers with records.
    pub found: u64,
    /// Answers that there is such a name, but nothing of the type.
    pub without_data: u64,
    /// Answers that there is no such name (NXDOMAIN).
    pub not_found: u64,
    /// Questions for names that are not ours (REFUSED).
    pub refused: u64,
    /// Answers that say that the question makes no sense or is not supported (FORMERR, NOTIMP, BADVERS).
    pub faulty: u64,
    /// Answers that were cut because they did not fit.
    pub truncated: u64,
    /// Answers that the socket did not take.
    pub unsent: u64,
    /// Datagrams and connections from addresses that are neither this machine's nor a member's.
    pub strangers: u64,
    /// Connections that were one too many.
    pub connections_refused: u64,
    /// Questions that were passed on to the host's resolvers.
    pub forwarded: u64,
    /// Those of them that an upstream has answered.
    pub forward_answered: u64,
    /// Those that none has answered in time (SERVFAIL).
    pub forward_failed: u64,
    /// Those that were one too many (SERVFAIL).
    pub forward_refused: u64,
    /// What came in place of an answer of an upstream and was none.
    pub forward_unfit: u64,
}

/// The counters, written by one thread and read by any.
#[derive(Debug, Default)]
pub(super) struct Counters {
    questions: AtomicU64,
    found: AtomicU64,
    without_data: AtomicU64,
    not_found: AtomicU64,
    refused: AtomicU64,
    faulty: AtomicU64,
    truncated: AtomicU64,
    unsent: AtomicU64,
    strangers: AtomicU64,
    connections_refused: AtomicU64,
    forwarded: AtomicU64,
    forward_answered: AtomicU64,
    forward_failed: AtomicU64,
    forward_refused: AtomicU64,
    forward_unfit: AtomicU64,
}

impl Counters {
    pub(super) fn question(&self) {
        count(&self.questions);
    }

    pub(super) fn answered(&self, outcome: Outcome) {
        let Outcome { code, is_without_data, is_truncated } = outcome;
        let known = [
            (ResponseCode::NoError, if is_without_data { &self.without_data } else { &self.found }),
            (ResponseCode::NXDomain, &self.not_found),
            (ResponseCode::Refused, &self.refused),
        ];
        count(
            known.into_iter().find(|(known, _)| *known == code).map_or(&self.faulty, |(_, counter)| counter),
        );
        if is_truncated {
            count(&self.truncated);
        }
    }

    pub(super) fn unsent(&self) {
        count(&self.unsent);
    }

    pub(super) fn stranger(&self) {
        count(&self.strangers);
    }

    pub(super) fn connection_refused(&self) {
        count(&self.connections_refused);
    }

    pub(super) fn forwarded(&self) {
        count(&self.forwarded);
    }

    pub(super) fn forward_answered(&self) {
        count(&self.forward_answered);
    }

    pub(super) fn forward_failed(&self) {
        count(&self.forward_failed);
    }

    pub(super) fn forward_refused(&self) {
        count(&self.forward_refused);
    }

    pub(super) fn forward_unfit(&self) {
        count(&self.forward_unfit);
    }

    pub(super) fn counted(&self) -> Counted {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counted {
            questions: of(&self.questions),
            found: of(&self.found),
            without_data: of(&self.without_data),
            not_found: of(&self.not_found),
            refused: of(&self.refused),
            faulty: of(&self.faulty),
            truncated: of(&self.truncated),
            unsent: of(&self.unsent),
            strangers: of(&self.strangers),
            connections_refused: of(&self.connections_refused),
            forwarded: of(&self.forwarded),
            forward_answered: of(&self.forward_answered),
            forward_failed: of(&self.forward_failed),
            forward_refused: of(&self.forward_refused),
            forward_unfit: of(&self.forward_unfit),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
