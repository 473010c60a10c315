//! Who a node's neighbours are: HyParView (Leitão, Pereira, Rodrigues, DSN 2007), one node's part of it.
//!
//! A node has at most [`ACTIVE_MAX`](crate::limits::ACTIVE_MAX) neighbours, its active view, each of which has it as a neighbour too; the
//! links make one whole of all nodes. It knows some more members, its passive view, to take new neighbours from.
//!
//! ```text
//! join       A → B  Join         B → A  NeighbourAnswer    B → its neighbours  ForwardJoin, a random walk from each
//!            C, where a walk ends  → A  Neighbour
//! promotion  a neighbour is lost: somebody of the passive view is asked, Neighbour, until one accepts
//! shuffle    now and then members are exchanged with a node at the end of a random walk
//! ```
//!
//! This is not as in the paper:
//! * Messages get lost, and sessions take seconds: questions are repeated, and neighbours confirm each other.
//! * Who makes room is the younger of two neighbours, never the oldest; who has been up and known for long stays known.
//! * Answers to shuffles go back by which the shuffles came: a session through NATs is dear, and for one message too dear.
//! * Now and then a node makes room for somebody beyond its neighbours, so that parts which were apart grow together.
//! * What a neighbour tells, whoever is said to have begun it, fills a third of the passive view at most.
//!
//! Messages are from members, but members may lie: no message makes more than a few others, and nothing here grows.
//!
//! An attempt is a [`ViewOutput::Connect`], after which the caller says [`Views::handle_connected`] (at once where there is a
//! session already) or [`Views::handle_unreachable`].

mod active;
mod attempts;
mod links;
mod pace;
mod passive;
mod timers;
mod walks;

use crate::limits::LOST_MAX;
use crate::random::Random;
use active::Active;
use attempts::{Attempts, Purpose};
use pace::{Announcements, Mixing, Search};
use passive::{Entry, Passive};
use std::collections::VecDeque;
use std::time::Instant;
use walks::Shuffles;
use wire::{NodeId, ViewMessage};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewOutput {
    /// A session with this node is wanted.
    Connect(NodeId),
    /// To be sent in the session with this node; nothing when there is none.
    Send(NodeId, ViewMessage),
    /// It is a neighbour now.
    Joined(NodeId),
    /// It is none any more.
    Left(NodeId),
    /// Some members that are known from elsewhere, any of them, would help: [`Views::handle_known`]. Comes now and then, and
    /// while there are few neighbours and nobody else is known to ask.
    Recall,
    /// Nothing, until then.
    Wait(Instant),
}

/// The neighbours of one node, and the members it knows besides.
#[derive(Debug)]
pub struct Views {
    own: NodeId,
    started: Instant,
    random: Random,
    active: Active,
    passive: Passive,
    attempts: Attempts,
    /// Neighbours, and others once met, that became unreachable, the last ones: for when nobody else is known.
    lost: VecDeque<Entry>,
    has_joined: bool,
    search: Search,
    shuffles: Shuffles,
    mixing: Mixing,
    announcements: Announcements,
    outputs: VecDeque<ViewOutput>,
}

impl Views {
    /// Knows nobody yet.
    #[must_use]
    pub fn new(own: NodeId, seed: u64, now: Instant) -> Self {
        let mut random = Random::new(seed);
        let mixing = Mixing::new(&mut random, now);
        let shuffles = Shuffles::new(&mut random, now);
        Self {
            own,
            started: now,
            random,
            active: Active::default(),
            passive: Passive::default(),
            attempts: Attempts::default(),
            lost: VecDeque::new(),
            has_joined: false,
            search: Search::new(now),
            shuffles,
            mixing,
            announcements: Announcements::new(now),
            outputs: VecDeque::new(),
        }
    }

    /// A member is known from elsewhere: records, memory.
    pub fn handle_known(&mut self, node: NodeId, now: Instant) {
        if node == self.own || self.active.contains(&node) {
            return;
        }
        self.end_want(now);
        self.passive.insert_known(node, &mut self.random);
        if self.mixing.take(&mut self.random, now) {
            self.attempt(node, Purpose::Mix, now);
        }
    }

    /// A node is no member any more: nothing of it stays.
    pub fn handle_gone(&mut self, node: &NodeId, now: Instant) {
        self.attempts.remove(node);
        self.passive.remove(node);
        self.unlink(node, now);
        self.lost.retain(|entry| entry.node != *node);
    }

    /// There is a session with a node, whoever wanted it.
    pub fn handle_connected(&mut self, node: NodeId, now: Instant) {
        self.end_want(now);
        self.lost.retain(|entry| entry.node != node);
        if let Some(purpose) = self.attempts.connecting(&node) {
            let question = self.question(purpose);
            self.attempts.ask(&node, question.clone(), now);
            self.send(node, question);
        }
        self.meet(node, 0, now);
    }

    /// A node could not be reached, or its session was lost.
    pub fn handle_unreachable(&mut self, node: &NodeId, now: Instant) {
        self.attempts.remove(node);
        let known = self.passive.remove(node);
        let link = self.unlink(node, now);
        if link.is_some() {
            // Others may have been lost as well, and the passive view says less than before.
            self.shuffles.hasten(&mut self.random, now);
        }
        let entry = link.map(|link| Entry::met(*node, link.age, link.since)).or(known);
        if let Some(entry) = entry.filter(|entry| entry.met.is_some() || self.lost.is_empty()) {
            self.lost.retain(|lost| lost.node != *node);
            self.lost.push_back(entry);
            if self.lost.len() > LOST_MAX {
                self.lost.pop_front();
            }
        }
    }

    /// A message from a member, in its session.
    pub fn handle_message(&mut self, from: NodeId, message: &ViewMessage, now: Instant) {
        if from == self.own {
            return;
        }
        match message {
            ViewMessage::Join => self.handle_join(from, now),
            ViewMessage::Neighbour { is_high_priority } => {
                self.handle_neighbour(from, *is_high_priority, now)
            }
            ViewMessage::NeighbourAnswer { is_accepted } => self.handle_answer(from, *is_accepted, now),
            ViewMessage::Disconnect => {
                if let Some(link) = self.unlink(&from, now) {
                    self.meet(from, link.age, link.since);
                }
            }
            ViewMessage::ForwardJoin { .. }
            | ViewMessage::Shuffle { .. }
            | ViewMessage::ShuffleAnswer { .. } => self.handle_walk(from, message, now),
        }
    }

    /// Walks are taken from neighbours only, and show that they are.
    fn handle_walk(&mut self, from: NodeId, message: &ViewMessage, now: Instant) {
        if !self.active.contains(&from) {
            // It takes us for one, unless we have just asked and its answer is slower than this.
            if !self.attempts.contains(&from) {
                self.send(from, ViewMessage::Disconnect);
            }
            return;
        }
        self.active.confirm(&from, &mut self.random, now);
        match message {
            ViewMessage::ForwardJoin { node, ttl } => self.handle_forward_join(from, *node, *ttl, now),
            ViewMessage::Shuffle { origin, ttl, sample } => {
                self.handle_shuffle(from, (*origin, *ttl), sample)
            }
            ViewMessage::ShuffleAnswer { origin, sample } => {
                self.handle_shuffle_answer(from, *origin, sample)
            }
            ViewMessage::Join
            | ViewMessage::Neighbour { .. }
            | ViewMessage::NeighbourAnswer { .. }
            | ViewMessage::Disconnect => {}
        }
    }

    /// The neighbours, in the order of their ids.
    pub fn active(&self) -> impl Iterator<Item = NodeId> {
        self.active.nodes()
    }

    /// Whether a node is a neighbour.
    #[must_use]
    pub fn is_active(&self, node: &NodeId) -> bool {
        self.active.contains(node)
    }

    /// The members that are known besides.
    pub fn passive(&self) -> impl Iterator<Item = NodeId> {
        self.passive.iter().map(|entry| entry.node)
    }

    /// Whether an answer of a node is awaited, or a session with it: it is better not to end one now.
    #[must_use]
    pub fn is_wanted(&self, node: &NodeId) -> bool {
        self.attempts.contains(node)
    }

    /// Somebody turns up: who knew nobody to ask does not wait until it would have tried again.
    fn end_want(&mut self, now: Instant) {
        if self.is_wanting() {
            self.search.hasten(now);
        }
    }

    /// For how long we have been up, as [`wire::view::Sampled::age`].
    fn age(&self, now: Instant) -> u8 {
        let minutes = now.saturating_duration_since(self.started).as_secs() / 60;
        u8::try_from(u64::BITS - minutes.leading_zeros()).expect("at most 64")
    }

    fn send(&mut self, to: NodeId, message: ViewMessage) {
        self.outputs.push_back(ViewOutput::Send(to, message));
    }
}

#[cfg(test)]
mod tests;
