//! The neighbours of a node. Each is to have us as its neighbour too; who has not shown so for long is asked.

use crate::limits::{ACTIVE_MAX, ANSWER_TIMEOUT, ANSWER_TRIES, CONFIRM_INTERVAL};
use crate::random::Random;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Instant;
use wire::NodeId;

/// A neighbour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// Since when it is one.
    pub(super) since: Instant,
    /// As [`wire::view::Sampled::age`], hearsay.
    pub(super) age: u8,
    /// Questions since it last showed that it has us.
    questions: u32,
    /// When it is asked next, or given up.
    deadline: Instant,
}

/// What is to be done about a neighbour that has not shown that it has us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    Ask(NodeId),
    GiveUp(NodeId),
}

/// The active view.
#[derive(Debug, Default)]
pub(super) struct Active(BTreeMap<NodeId, Link>);

impl Active {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&NodeId, &Link)> {
        self.0.iter()
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.0.keys().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= ACTIVE_MAX
    }

    pub(super) fn contains(&self, node: &NodeId) -> bool {
        self.0.contains_key(node)
    }

    /// There must be room.
    pub(super) fn insert(&mut self, node: NodeId, age: u8, random: &mut Random, now: Instant) {
        debug_assert!(!self.is_full(), "somebody is displaced first");
        let deadline = now + random.jitter(CONFIRM_INTERVAL);
        self.0.insert(node, Link { since: now, age, questions: 0, deadline });
    }

    pub(super) fn remove(&mut self, node: &NodeId) -> Option<Link> {
        self.0.remove(node)
    }

    /// Who makes room: the younger of two links. Never the oldest, so that nobody can cut a node off by asking to be its
    /// neighbour again and again; and not always the youngest, or old nodes would keep to themselves.
    pub(super) fn displaced(&self, random: &mut Random) -> Option<NodeId> {
        let drawn = random.some_of(self.0.iter().collect(), 2);
        drawn.into_iter().max_by_key(|(node, link)| (link.since, Reverse(**node))).map(|(node, _)| *node)
    }

    /// A neighbour has shown that it has us; whether it was asked.
    pub(super) fn confirm(&mut self, node: &NodeId, random: &mut Random, now: Instant) -> bool {
        let Some(link) = self.0.get_mut(node) else { return false };
        let was_asked = link.questions > 0;
        link.questions = 0;
        link.deadline = now + random.jitter(CONFIRM_INTERVAL);
        was_asked
    }

    /// Whether a neighbour owes an answer.
    pub(super) fn is_asked(&self, node: &NodeId) -> bool {
        self.0.get(node).is_some_and(|link| link.questions > 0)
    }

    /// Who is to be asked or given up now.
    pub(super) fn doubts(&mut self, now: Instant) -> Vec<Doubt> {
        let due = self.0.iter_mut().filter(|(_, link)| link.deadline <= now);
        due.map(|(node, link)| {
            if link.questions >= ANSWER_TRIES {
                return Doubt::GiveUp(*node);
            }
            link.questions += 1;
            link.deadline = now + ANSWER_TIMEOUT;
            Doubt::Ask(*node)
        })
        .collect()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|link| link.deadline).min()
    }
}
