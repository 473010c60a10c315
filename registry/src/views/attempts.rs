//! Nodes that are being asked to be neighbours: a session first, then the question, again when there is no answer.

use crate::limits::{ANSWER_TIMEOUT, ANSWER_TRIES, ATTEMPTS_MAX, CONNECT_TIMEOUT};
use std::collections::BTreeMap;
use std::time::Instant;
use wire::{NodeId, ViewMessage};

/// Why a node is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// There is room.
    Promotion,
    /// It is new, and its walk has ended here: room is made for it.
    WalkEnd,
    /// Both sides make room, so that parts that keep to themselves mix.
    Mix,
}

/// A node that is wanted.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) purpose: Purpose,
    state: State,
    deadline: Instant,
}

#[derive(Debug)]
enum State {
    Connecting,
    Asked { question: ViewMessage, times: u32 },
}

/// What is to be done about an attempt whose deadline has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Ask(NodeId, ViewMessage),
    GiveUp(NodeId),
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Attempts(BTreeMap<NodeId, Attempt>);

impl Attempts {
    pub(super) fn contains(&self, node: &NodeId) -> bool {
        self.0.contains_key(node)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.0.len() < ATTEMPTS_MAX
    }

    pub(super) fn promotions(&self) -> usize {
        self.0.values().filter(|attempt| attempt.purpose == Purpose::Promotion).count()
    }

    pub(super) fn is_joining(&self) -> bool {
        let asks_to_join =
            |attempt: &Attempt| matches!(&attempt.state, State::Asked { question: ViewMessage::Join, .. });
        self.0.values().any(asks_to_join)
    }

    /// Whether there was room for one more.
    pub(super) fn begin(&mut self, node: NodeId, purpose: Purpose, now: Instant) -> bool {
        if !self.has_room() || self.contains(&node) {
            return false;
        }
        let deadline = now + CONNECT_TIMEOUT;
        self.0.insert(node, Attempt { purpose, state: State::Connecting, deadline });
        true
    }

    /// The purpose of an attempt that has waited for a session.
    pub(super) fn connecting(&self, node: &NodeId) -> Option<Purpose> {
        let attempt = self.0.get(node)?;
        matches!(attempt.state, State::Connecting).then_some(attempt.purpose)
    }

    /// There is a session, and the question goes.
    pub(super) fn ask(&mut self, node: &NodeId, question: ViewMessage, now: Instant) {
        if let Some(attempt) = self.0.get_mut(node) {
            attempt.state = State::Asked { question, times: 1 };
            attempt.deadline = now + ANSWER_TIMEOUT;
        }
    }

    /// Ends an attempt that was answered: its purpose, and whether it was to join.
    pub(super) fn answered(&mut self, node: &NodeId) -> Option<(Purpose, bool)> {
        let State::Asked { question, .. } = &self.0.get(node)?.state else { return None };
        let is_join = matches!(question, ViewMessage::Join);
        self.0.remove(node).map(|attempt| (attempt.purpose, is_join))
    }

    pub(super) fn remove(&mut self, node: &NodeId) -> Option<Attempt> {
        self.0.remove(node)
    }

    /// Whose questions are repeated, and who is given up.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Due> {
        let due = self.0.iter_mut().filter(|(_, attempt)| attempt.deadline <= now);
        due.map(|(node, attempt)| match &mut attempt.state {
            State::Asked { question, times } if *times < ANSWER_TRIES => {
                *times += 1;
                attempt.deadline = now + ANSWER_TIMEOUT;
                Due::Ask(*node, question.clone())
            }
            State::Asked { .. } | State::Connecting => Due::GiveUp(*node),
        })
        .collect()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|attempt| attempt.deadline).min()
    }
}
