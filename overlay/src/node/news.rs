//! News: the node's side of Plumtree ([`registry::Broadcast`]), by which records that are new go from neighbour to neighbour.
//!
//! In a network that is small enough to keep everybody they are all neighbours, and the tree is made of any of their links.

use super::Node;
use registry::{Allowance, Broadcast, BroadcastOutput};
use std::collections::BTreeSet;
use std::time::Instant;
use wire::NodeId;
use wire::control::{HaveEntry, Message};
use wire::news::NewsMessage;

/// What is passed on, and to whom.
#[derive(Default)]
pub(super) struct News {
    broadcast: Broadcast,
    /// How often what is new of others goes on from here.
    allowance: Allowance,
    neighbours: BTreeSet<NodeId>,
    /// Whether they may be others by now.
    neighbours_are_old: bool,
    next: Option<Instant>,
}

impl Node {
    /// Sessions came or went, or neighbours did.
    pub(super) fn news_neighbours_changed(&mut self, now: Instant) {
        self.news.neighbours_are_old = true;
        self.news.next = Some(now);
    }

    /// Whether what is new of an owner goes on from here; our own does.
    pub(super) fn may_pass_on(&mut self, owner: NodeId, from: Option<NodeId>, now: Instant) -> bool {
        from.is_none() || self.news.allowance.take(owner, now)
    }

    /// A record is new here, and does not go on.
    pub(super) fn keep(&mut self, news: &HaveEntry, now: Instant) {
        self.news.broadcast.handle_kept(news);
        self.news.next = Some(now);
    }

    /// A record is new here, and goes on.
    pub(super) fn spread(&mut self, news: HaveEntry, from: Option<NodeId>, now: Instant) {
        self.take_news_neighbours();
        self.news.broadcast.handle_news(news, from, now);
        self.news.next = Some(now);
    }

    /// What is said now is said for the last time.
    pub(super) fn spread_to_all(&mut self) {
        self.take_news_neighbours();
        self.news.broadcast.send_to_all();
    }

    /// A record came that was here already.
    pub(super) fn note_duplicate(&mut self, news: &HaveEntry, from: NodeId, now: Instant) {
        self.news.broadcast.handle_duplicate(news, from);
        self.news.next = Some(now);
    }

    pub(super) fn consume_news(&mut self, node: NodeId, message: &NewsMessage, now: Instant) {
        self.take_news_neighbours();
        let registry = &self.registry;
        self.news.broadcast.handle_message(node, message, |news| registry.holds(news), now);
        self.news.next = Some(now);
    }

    pub(super) fn news_deadline(&self) -> Option<Instant> {
        self.news.next
    }

    pub(super) fn run_news(&mut self, now: Instant) {
        if self.news.next.is_none_or(|at| now < at) {
            return;
        }
        self.take_news_neighbours();
        loop {
            match self.news.broadcast.poll_output(now) {
                BroadcastOutput::SendRecord(node, news) => {
                    let Some(record) = self.registry.by_hashes(&[news.key]).first().copied().cloned() else {
                        // It has ended, or made room, since.
                        continue;
                    };
                    let age_s = self.age_s(&record, now);
                    self.send(&node, &Message::Record { bytes: record.bytes().to_vec().into(), age_s }, None);
                }
                BroadcastOutput::Send(node, message) => self.send(&node, &Message::News(message), None),
                BroadcastOutput::Wait(until) => {
                    self.news.next = until;
                    return;
                }
            }
        }
    }

    fn take_news_neighbours(&mut self) {
        if !std::mem::take(&mut self.news.neighbours_are_old) {
            return;
        }
        let neighbours: BTreeSet<NodeId> = if self.keeps_everybody() {
            self.peers.connected().map(|peer| peer.node).collect()
        } else {
            self.neighbours.active().collect()
        };
        for node in self.news.neighbours.difference(&neighbours) {
            self.news.broadcast.handle_neighbour_left(node);
        }
        for node in neighbours.difference(&self.news.neighbours) {
            self.news.broadcast.handle_neighbour_joined(*node);
        }
        self.news.neighbours = neighbours;
    }
}
