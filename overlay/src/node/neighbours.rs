//! Neighbours: the node's side of HyParView ([`registry::Views`]): sessions for whom it wants to try, and its messages in them.
//!
//! In a network that is small enough to keep everybody it seeks none, and only answers; in a larger one they make it one whole.

use super::Node;
use crate::limits::{GREETED_LIFE, NEIGHBOUR_TRIES, RECALLED_MAX};
use crate::peer::{Peer, Seeking};
use registry::{ViewOutput, Views};
use std::collections::BTreeSet;
use std::time::Instant;
use wire::control::Message;
use wire::{NodeId, ViewMessage};

/// Who is a neighbour, and who is tried.
pub(super) struct Neighbours {
    views: Views,
    /// With whom a session is wanted to ask for it.
    tried: BTreeSet<NodeId>,
    next: Instant,
    /// Whether a message has come that wants an answer.
    is_asked: bool,
}

impl Neighbours {
    pub(super) fn new(own: NodeId, seed: u64, now: Instant) -> Self {
        Self { views: Views::new(own, seed, now), tried: BTreeSet::new(), next: now, is_asked: false }
    }

    /// The neighbours.
    pub(super) fn active(&self) -> impl Iterator<Item = NodeId> {
        self.views.active()
    }

    /// Whether it is one.
    pub(super) fn is_active(&self, node: &NodeId) -> bool {
        self.views.is_active(node)
    }

    /// Neighbours, and those that may become some.
    pub(super) fn wanted(&self) -> impl Iterator<Item = NodeId> {
        self.views.active().chain(self.tried.iter().copied())
    }
}

impl Node {
    /// A member is known.
    pub(super) fn note_member(&mut self, node: NodeId, now: Instant) {
        self.neighbours.views.handle_known(node, now);
        self.neighbours.next = now;
    }

    /// There is a session with a peer.
    pub(super) fn neighbour_connected(&mut self, node: NodeId, now: Instant) {
        self.neighbours.tried.remove(&node);
        self.neighbours.views.handle_connected(node, now);
        self.neighbours.next = now;
        self.news_neighbours_changed(now);
        self.company_came_or_went(now);
        self.finding.handle_company(now);
    }

    /// There is none any more, or none could be made.
    pub(super) fn neighbour_unreachable(&mut self, node: &NodeId, now: Instant) {
        self.neighbours.tried.remove(node);
        self.neighbours.views.handle_unreachable(node, now);
        self.neighbours.next = now;
        self.news_neighbours_changed(now);
        self.company_came_or_went(now);
    }

    /// It is no member any more.
    pub(super) fn neighbour_gone(&mut self, node: &NodeId, now: Instant) {
        self.neighbours.tried.remove(node);
        self.neighbours.views.handle_gone(node, now);
        self.neighbours.next = now;
        self.news_neighbours_changed(now);
    }

    pub(super) fn consume_view(&mut self, node: NodeId, message: &ViewMessage, now: Instant) {
        self.neighbours.views.handle_message(node, message, now);
        self.neighbours.next = now;
        self.neighbours.is_asked = true;
    }

    /// When something is to be done about neighbours.
    pub(super) fn neighbours_deadline(&self) -> Option<Instant> {
        (self.neighbours.is_asked || !self.keeps_everybody()).then_some(self.neighbours.next)
    }

    pub(super) fn run_neighbours(&mut self, now: Instant) {
        self.give_up_neighbours(now);
        if self.neighbours_deadline().is_none_or(|at| now < at) {
            return;
        }
        self.neighbours.is_asked = false;
        loop {
            match self.neighbours.views.poll_output(now) {
                ViewOutput::Connect(node) => self.try_neighbour(node, now),
                ViewOutput::Send(node, message) => self.send(&node, &Message::View(message), None),
                ViewOutput::Joined(_) | ViewOutput::Left(_) => {
                    self.company_changed(now);
                    self.news_neighbours_changed(now);
                }
                ViewOutput::Recall => self.recall(now),
                ViewOutput::Wait(until) => {
                    self.neighbours.next = until;
                    return;
                }
            }
        }
    }

    fn try_neighbour(&mut self, node: NodeId, now: Instant) {
        match self.peers.get_mut(&node) {
            None => self.neighbours.views.handle_unreachable(&node, now),
            Some(peer) if peer.is_connected() => self.neighbours.views.handle_connected(node, now),
            Some(peer) => {
                self.neighbours.tried.insert(node);
                if !peer.is_wanted(now) {
                    peer.need.note(GREETED_LIFE, now);
                    peer.hurry(now);
                }
            }
        }
    }

    /// Any members help that are known by their records.
    fn recall(&mut self, now: Instant) {
        let known: Vec<NodeId> = self.peers.keys().copied().collect();
        for node in self.random.some_of(known, RECALLED_MAX) {
            self.neighbours.views.handle_known(node, now);
        }
    }

    /// Who has not answered some initiations does not become one.
    fn give_up_neighbours(&mut self, now: Instant) {
        let is_vain = |node: &&NodeId| {
            let seeking = self.peers.get(node).map(|peer: &Peer| peer.seeking);
            seeking.is_none_or(
                |seeking| matches!(seeking, Seeking::Asking { attempts, .. } if attempts > NEIGHBOUR_TRIES),
            )
        };
        let vain: Vec<NodeId> = self.neighbours.tried.iter().filter(is_vain).copied().collect();
        for node in vain {
            self.neighbour_unreachable(&node, now);
        }
    }
}
