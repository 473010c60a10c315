//! How a node becomes a neighbour, and stops being one.

use super::active::Link;
use super::attempts::Purpose;
use super::passive::Entry;
use super::{ViewOutput, Views};
use crate::limits::ACTIVE_ENOUGH;
use std::time::Instant;
use wire::{NodeId, ViewMessage};

impl Views {
    pub(super) fn handle_join(&mut self, from: NodeId, now: Instant) {
        let is_new = !self.active.contains(&from);
        self.link(from, now);
        self.send(from, ViewMessage::NeighbourAnswer { is_accepted: true });
        if is_new {
            self.forward_join(from, now);
        }
    }

    pub(super) fn handle_neighbour(&mut self, from: NodeId, is_high_priority: bool, now: Instant) {
        let is_accepted = is_high_priority || !self.active.is_full() || self.active.contains(&from);
        if is_accepted {
            self.link(from, now);
        } else {
            self.meet(from, 0, now);
        }
        self.send(from, ViewMessage::NeighbourAnswer { is_accepted });
    }

    pub(super) fn handle_answer(&mut self, from: NodeId, is_accepted: bool, now: Instant) {
        match self.attempts.answered(&from) {
            Some((purpose, is_join)) if is_accepted => {
                self.has_joined |= is_join;
                if self.active.is_full() && !self.active.contains(&from) && purpose == Purpose::Promotion {
                    // Others were quicker.
                    self.send(from, ViewMessage::Disconnect);
                } else {
                    self.link(from, now);
                }
            }
            Some(_) => {
                let has_few = self.active.len() < ACTIVE_ENOUGH;
                self.search.slow_down(has_few, &mut self.random, now);
            }
            None if self.active.contains(&from) => {
                let is_asked = self.active.is_asked(&from);
                if is_accepted {
                    self.active.confirm(&from, &mut self.random, now);
                } else if is_asked && let Some(link) = self.unlink(&from, now) {
                    self.meet(from, link.age, link.since);
                }
            }
            None if is_accepted => self.send(from, ViewMessage::Disconnect),
            None => {}
        }
    }

    /// What a node is asked that shall be a neighbour.
    pub(super) fn question(&self, purpose: Purpose) -> ViewMessage {
        if !self.has_joined && self.active.is_empty() && !self.attempts.is_joining() {
            return ViewMessage::Join;
        }
        ViewMessage::Neighbour { is_high_priority: self.active.is_empty() || purpose == Purpose::Mix }
    }

    /// Begins to make a node a neighbour, unless it is one or is being asked.
    pub(super) fn attempt(&mut self, node: NodeId, purpose: Purpose, now: Instant) {
        if !self.active.contains(&node) && self.attempts.begin(node, purpose, now) {
            self.outputs.push_back(ViewOutput::Connect(node));
        }
    }

    /// Makes a node a neighbour, or confirms that it is one.
    pub(super) fn link(&mut self, node: NodeId, now: Instant) {
        self.attempts.remove(&node);
        if self.active.contains(&node) {
            self.active.confirm(&node, &mut self.random, now);
            return;
        }
        if self.active.is_full()
            && let Some(displaced) = self.active.displaced(&mut self.random)
            && let Some(link) = self.unlink(&displaced, now)
        {
            self.send(displaced, ViewMessage::Disconnect);
            self.meet(displaced, link.age, link.since);
        }
        let age = self.passive.remove(&node).map_or(0, |entry| entry.age);
        self.lost.retain(|entry| entry.node != node);
        self.active.insert(node, age, &mut self.random, now);
        self.outputs.push_back(ViewOutput::Joined(node));
    }

    /// Ends that a node is a neighbour.
    pub(super) fn unlink(&mut self, node: &NodeId, now: Instant) -> Option<Link> {
        let link = self.active.remove(node)?;
        self.outputs.push_back(ViewOutput::Left(*node));
        self.search.hasten(now);
        Some(link)
    }

    /// A node that there is, or was, a session with is known from now on.
    pub(super) fn meet(&mut self, node: NodeId, age: u8, since: Instant) {
        if node != self.own && !self.active.contains(&node) && !self.passive.note_met(&node, since) {
            self.passive.insert(Entry::met(node, age, since), &[], &mut self.random);
        }
    }
}
