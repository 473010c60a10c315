//! Random walks: of nodes that are new, and of samples of members.
//!
//! A walk goes from neighbour to neighbour only, so whoever hands one to us has us as its neighbour. One message in is
//! at most one message out, but for a join.

use super::Views;
use super::attempts::Purpose;
use super::passive::Entry;
use crate::limits::{
    SAMPLE_ACTIVE, SAMPLE_PASSIVE, SHUFFLE_INTERVAL, SHUFFLE_INTERVAL_MIN, TRAILS_MAX, WALK_TTL,
    WALK_TTL_PASSIVE,
};
use crate::random::Random;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use wire::NodeId;
use wire::view::{SAMPLE_MAX, Sampled, ViewMessage};

/// Samples on their way.
#[derive(Debug)]
pub(super) struct Shuffles {
    pub(super) next: Instant,
    interval: Duration,
    /// Whom our last sample named; none when it was answered.
    given: Option<Vec<NodeId>>,
    /// Whose samples came by, the last ones.
    trails: VecDeque<Trail>,
}

/// A sample came by, and its answer finds its way back.
#[derive(Debug)]
struct Trail {
    origin: NodeId,
    from: NodeId,
    to: NodeId,
}

impl Shuffles {
    pub(super) fn new(random: &mut Random, now: Instant) -> Self {
        let interval = SHUFFLE_INTERVAL_MIN;
        Self { next: now + random.jitter(interval), interval, given: None, trails: VecDeque::new() }
    }

    /// Much has changed.
    pub(super) fn hasten(&mut self, random: &mut Random, now: Instant) {
        self.interval = SHUFFLE_INTERVAL_MIN;
        self.next = self.next.min(now + random.jitter(self.interval));
    }

    fn wait(&mut self, random: &mut Random, now: Instant) {
        self.next = now + random.jitter(self.interval);
        self.interval = (self.interval * 2).min(SHUFFLE_INTERVAL);
    }

    /// A walk that comes by twice has two trails, of which the answer takes the later one first, and so goes the whole way.
    fn note(&mut self, trail: Trail) {
        self.trails.push_back(trail);
        if self.trails.len() > TRAILS_MAX {
            self.trails.pop_front();
        }
    }

    /// Where an answer goes on to.
    fn follow(&mut self, origin: &NodeId, to: &NodeId) -> Option<NodeId> {
        let at = self.trails.iter().rposition(|trail| trail.origin == *origin && trail.to == *to)?;
        self.trails.remove(at).map(|trail| trail.from)
    }
}

impl Views {
    /// Lets all neighbours know of a node that is new.
    pub(super) fn forward_join(&mut self, node: NodeId, now: Instant) {
        if !self.announcements.take(now) {
            return;
        }
        let others: Vec<NodeId> = self.active.nodes().filter(|other| *other != node).collect();
        for other in others {
            self.send(other, ViewMessage::ForwardJoin { node, ttl: WALK_TTL });
        }
    }

    pub(super) fn handle_forward_join(&mut self, from: NodeId, node: NodeId, ttl: u8, now: Instant) {
        if node == self.own || self.active.contains(&node) {
            return;
        }
        let ttl = ttl.min(WALK_TTL);
        if ttl == WALK_TTL_PASSIVE {
            self.hear(node, 0, from, &[]);
        }
        match self.step(&[from, node]) {
            Some(next) if ttl > 0 => self.send(next, ViewMessage::ForwardJoin { node, ttl: ttl - 1 }),
            _ => self.attempt(node, Purpose::WalkEnd, now),
        }
    }

    /// Sends a sample of our own on its way.
    pub(super) fn shuffle(&mut self, now: Instant) {
        self.shuffles.wait(&mut self.random, now);
        let Some(to) = self.step(&[]) else { return };
        let neighbours = self.active.iter().map(|(node, link)| Sampled { node: *node, age: link.age });
        let neighbours = neighbours.filter(|sampled| sampled.node != to).collect();
        let mut sample = self.random.some_of(neighbours, SAMPLE_ACTIVE);
        sample.extend(self.sample(SAMPLE_PASSIVE));
        self.shuffles.given = Some(sample.iter().map(|sampled| sampled.node).collect());
        sample.push(Sampled { node: self.own, age: self.age(now) });
        self.send(to, ViewMessage::Shuffle { origin: self.own, ttl: WALK_TTL, sample });
    }

    pub(super) fn handle_shuffle(&mut self, from: NodeId, (origin, ttl): (NodeId, u8), sample: &[Sampled]) {
        if origin == self.own || sample.len() > SAMPLE_MAX {
            return;
        }
        let ttl = ttl.min(WALK_TTL);
        match self.step(&[from, origin]) {
            Some(to) if ttl > 0 => {
                self.shuffles.note(Trail { origin, from, to });
                let sample = sample.to_vec();
                self.send(to, ViewMessage::Shuffle { origin, ttl: ttl - 1, sample });
            }
            _ => {
                let answer = self.sample(sample.len());
                let given: Vec<NodeId> = answer.iter().map(|sampled| sampled.node).collect();
                self.send(from, ViewMessage::ShuffleAnswer { origin, sample: answer });
                self.hear_all(from, sample, &given);
            }
        }
    }

    pub(super) fn handle_shuffle_answer(&mut self, from: NodeId, origin: NodeId, sample: &[Sampled]) {
        if sample.len() > SAMPLE_MAX {
            return;
        }
        if origin == self.own {
            if let Some(given) = self.shuffles.given.take() {
                self.hear_all(from, sample, &given);
            }
        } else if let Some(next) = self.shuffles.follow(&origin, &from)
            && self.active.contains(&next)
        {
            self.send(next, ViewMessage::ShuffleAnswer { origin, sample: sample.to_vec() });
        }
    }

    /// Any neighbour but these.
    fn step(&mut self, excluded: &[NodeId]) -> Option<NodeId> {
        let free: Vec<NodeId> = self.active.nodes().filter(|node| !excluded.contains(node)).collect();
        self.random.one_of(&free)
    }

    /// Some of the passive view.
    fn sample(&mut self, count: usize) -> Vec<Sampled> {
        let all = self.passive.iter().map(|entry| Sampled { node: entry.node, age: entry.age }).collect();
        self.random.some_of(all, count)
    }

    fn hear_all(&mut self, source: NodeId, sample: &[Sampled], given: &[NodeId]) {
        for sampled in sample {
            self.hear(sampled.node, sampled.age, source, given);
        }
    }

    /// What a neighbour says of a member goes under the neighbour's name, whoever began the walk: that is not proved.
    fn hear(&mut self, node: NodeId, age: u8, source: NodeId, given: &[NodeId]) {
        if node != self.own && !self.active.contains(&node) {
            self.passive.insert(Entry::heard(node, age, source), given, &mut self.random);
        }
    }
}
