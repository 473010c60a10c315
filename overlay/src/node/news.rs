//! News: the node's side of Plumtree ([`registry::Broadcast`]), by which records that are new go from neighbour to neighbour.
//!
//! In a network that is small enough to keep everybody they are all neighbours, and the tree is made of any of their links.

use super::Node;
use crate::limits::{PASSED_ON_KNOWN_MAX, PASSED_ON_MAX};
use registry::{Allowance, Broadcast, BroadcastOutput};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};
use wire::control::{HaveEntry, Message};
use wire::news::NewsMessage;
use wire::{Kind, Name, NodeId, Record};

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
    passed_on: PassedOn,
}

/// What was news and is not held here, since others hold it: it goes on all the same.
#[derive(Default)]
struct PassedOn {
    /// Sequences by key hash.
    known: BTreeMap<u64, u64>,
    /// In the order in which they became known.
    order: VecDeque<u64>,
    /// The latest, how old they were, and when that was.
    records: BTreeMap<u64, (Record, Duration, Instant)>,
    latest: VecDeque<u64>,
}

impl PassedOn {
    fn note(&mut self, news: HaveEntry, record: (Record, Duration, Instant)) {
        if self.known.insert(news.key, news.sequence).is_none() {
            self.order.push_back(news.key);
        }
        if self.records.insert(news.key, record).is_none() {
            self.latest.push_back(news.key);
        }
        if self.order.len() > PASSED_ON_KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        if self.latest.len() > PASSED_ON_MAX
            && let Some(oldest) = self.latest.pop_front()
        {
            self.records.remove(&oldest);
        }
    }

    fn knows(&self, news: &HaveEntry) -> bool {
        self.known.get(&news.key).is_some_and(|sequence| *sequence >= news.sequence)
    }
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
        let (registry, passed_on) = (&self.registry, &self.news.passed_on);
        // What is held here has to be the latest, whatever was passed on before that.
        let is_others = |news: &HaveEntry| registry.by_hashes(&[news.key]).is_empty();
        let holds = |news: &HaveEntry| registry.holds(news) || (is_others(news) && passed_on.knows(news));
        self.news.broadcast.handle_message(node, message, holds, now);
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
                    let Some((record, age_s)) = self.news_of(news.key, now) else {
                        // It has ended, or made room, since.
                        continue;
                    };
                    self.tell(&node, &record, age_s);
                }
                BroadcastOutput::Send(node, message) => {
                    if let Some(message) = self.known_news(&node, message) {
                        self.send(&node, &Message::News(message), None);
                    }
                }
                BroadcastOutput::Wait(until) => {
                    self.news.next = until;
                    return;
                }
            }
        }
    }

    /// A record is news that others hold: it goes on, and is known again when it comes by another way.
    pub(super) fn pass_on(
        &mut self,
        (record, age): (Record, Duration),
        news: HaveEntry,
        from: Option<NodeId>,
        now: Instant,
    ) {
        self.news.passed_on.note(news, (record, age, now));
        self.spread(news, from, now);
    }

    /// Whether a record was passed on already that is not held here.
    pub(super) fn was_passed_on(&self, news: &HaveEntry) -> bool {
        self.news.passed_on.knows(news)
    }

    /// What was passed on lately about a name, and how old it is.
    pub(super) fn passed_on_about(&self, name: &Name, now: Instant) -> Vec<(Record, Duration)> {
        let records = self.news.passed_on.records.values();
        let about = records.filter(|(record, ..)| record.key().service_name() == name.as_str());
        about.map(|(record, age, at)| (record.clone(), *age + now.saturating_duration_since(*at))).collect()
    }

    /// What news are about that are held here, or were passed on lately.
    pub(super) fn kind_of_news(&self, key: u64) -> Option<Kind> {
        let passed_on = || self.news.passed_on.records.get(&key).map(|(record, ..)| record.body().kind);
        self.registry.kind_of(key).or_else(passed_on)
    }

    fn news_of(&self, key: u64, now: Instant) -> Option<(Record, Option<u32>)> {
        if let Some(record) = self.registry.by_hashes(&[key]).first() {
            return Some(((*record).clone(), self.age_s(record, now)));
        }
        let (record, age, since) = self.news.passed_on.records.get(&key)?;
        let age = *age + now.saturating_duration_since(*since);
        Some((record.clone(), Some(u32::try_from(age.as_secs()).unwrap_or(u32::MAX))))
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
