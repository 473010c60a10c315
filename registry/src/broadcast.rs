//! Which neighbours are sent what is new: Plumtree (Leitão, Pereira, Rodrigues, "Epidemic Broadcast Trees", SRDS 2007).
//!
//! ```text
//! eager neighbours   the record at once
//! other neighbours   Offer, a little later, for many records at a time
//! a record twice     Prune: that neighbour is to be eager no more
//! none in time       Graft: whoever offered it is to send it, and to be eager again
//! ```
//!
//! Flooding sends each record over each link, four times as often as nodes need it. Here the eager links become a tree, which
//! mends itself where a node is lost, and what is lost with it is asked for.
//!
//! Which records there are the registry knows; nothing is remembered here but what was offered and has not come. What gets
//! lost all the same is found by anti-entropy.

use crate::limits::{GRAFT_DELAY, MISSING_PER_NEIGHBOUR, OFFER_DELAY};
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;
use wire::NodeId;
use wire::control::HaveEntry;
use wire::news::{NewsMessage, OFFER_MAX};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BroadcastOutput {
    /// This record, or a newer one of its key, goes to a neighbour.
    SendRecord(NodeId, HaveEntry),
    /// A message goes to a neighbour.
    Send(NodeId, NewsMessage),
    /// Nothing, until then if ever.
    Wait(Option<Instant>),
}

/// How one node passes on what is new.
#[derive(Debug, Default)]
pub struct Broadcast {
    /// Whether each neighbour is eager.
    neighbours: BTreeMap<NodeId, bool>,
    /// What was new since the last offers, and who sent it.
    offers: Vec<(HaveEntry, Option<NodeId>)>,
    offer_at: Option<Instant>,
    /// By hash and sequence.
    missing: BTreeMap<(u64, u64), Missing>,
    outputs: VecDeque<BroadcastOutput>,
}

/// A record that was offered and has not come.
#[derive(Debug)]
struct Missing {
    /// Who offered it and was not asked yet, the first one first.
    offered_by: VecDeque<NodeId>,
    /// When the next of them is asked.
    deadline: Instant,
}

impl Broadcast {
    /// No neighbours yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// There is one more neighbour; eager, until it proves to be one too many.
    pub fn handle_neighbour_joined(&mut self, node: NodeId) {
        self.neighbours.insert(node, true);
    }

    /// A neighbour is none any more.
    pub fn handle_neighbour_left(&mut self, node: &NodeId) {
        self.neighbours.remove(node);
        self.missing.values_mut().for_each(|missing| missing.offered_by.retain(|by| by != node));
        self.missing.retain(|_, missing| !missing.offered_by.is_empty());
    }

    /// From now on everybody is sent what is new: there will be no time to be asked for it.
    pub fn send_to_all(&mut self) {
        self.neighbours.values_mut().for_each(|is_eager| *is_eager = true);
    }

    /// A record was news, from somebody or our own.
    pub fn handle_news(&mut self, news: HaveEntry, from: Option<NodeId>, now: Instant) {
        self.found(&news);
        if let Some(is_eager) = from.and_then(|from| self.neighbours.get_mut(&from)) {
            *is_eager = true;
        }
        let others = self.neighbours.iter().filter(|(node, _)| Some(**node) != from);
        let (eager, lazy): (Vec<_>, Vec<_>) = others.partition(|(_, is_eager)| **is_eager);
        let records = eager.into_iter().map(|(node, _)| BroadcastOutput::SendRecord(*node, news));
        self.outputs.extend(records);
        if !lazy.is_empty() {
            self.offers.push((news, from));
            self.offer_at.get_or_insert(now + OFFER_DELAY);
            if self.offers.len() >= OFFER_MAX {
                self.offer();
            }
        }
    }

    /// A record was news, and does not go on from here: those that lack it find it by comparing.
    pub fn handle_kept(&mut self, news: &HaveEntry) {
        self.found(news);
    }

    /// A record came that is held already, or a newer one.
    pub fn handle_duplicate(&mut self, news: &HaveEntry, from: NodeId) {
        self.found(news);
        if let Some(is_eager) = self.neighbours.get_mut(&from).filter(|is_eager| **is_eager) {
            *is_eager = false;
            self.outputs.push_back(BroadcastOutput::Send(from, NewsMessage::Prune));
        }
    }

    /// A message from a member; `holds` says whether a record is here, or a newer one of its key.
    pub fn handle_message(
        &mut self,
        from: NodeId,
        message: &NewsMessage,
        holds: impl Fn(&HaveEntry) -> bool,
        now: Instant,
    ) {
        let Some(is_eager) = self.neighbours.get_mut(&from) else { return };
        match message {
            NewsMessage::Offer { news } if news.len() <= OFFER_MAX => {
                for news in news.iter().filter(|news| !holds(news)) {
                    self.miss(news, from, now);
                }
            }
            NewsMessage::Graft { news } if news.len() <= OFFER_MAX => {
                *is_eager = true;
                let held = news.iter().filter(|news| holds(news));
                self.outputs.extend(held.map(|news| BroadcastOutput::SendRecord(from, *news)));
            }
            NewsMessage::Prune => *is_eager = false,
            NewsMessage::Offer { .. } | NewsMessage::Graft { .. } => {}
        }
    }

    /// What is to be done next. [`BroadcastOutput::Wait`] comes only when there is nothing else.
    pub fn poll_output(&mut self, now: Instant) -> BroadcastOutput {
        if self.outputs.is_empty() {
            if self.offer_at.is_some_and(|at| at <= now) {
                self.offer();
            }
            self.graft(now);
        }
        self.outputs.pop_front().unwrap_or_else(|| BroadcastOutput::Wait(self.deadline()))
    }

    /// Whether a neighbour is sent records themselves.
    #[must_use]
    pub fn is_eager(&self, node: &NodeId) -> bool {
        self.neighbours.get(node).is_some_and(|is_eager| *is_eager)
    }

    /// Tells those that are not eager what is new.
    fn offer(&mut self) {
        self.offer_at = None;
        let offers = std::mem::take(&mut self.offers);
        for (node, _) in self.neighbours.iter().filter(|(_, is_eager)| !**is_eager) {
            let others = offers.iter().filter(|(_, from)| *from != Some(*node));
            let news: Vec<HaveEntry> = others.map(|(news, _)| *news).collect();
            if !news.is_empty() {
                self.outputs.push_back(BroadcastOutput::Send(*node, NewsMessage::Offer { news }));
            }
        }
    }

    /// A record was offered that is not here.
    fn miss(&mut self, news: &HaveEntry, from: NodeId, now: Instant) {
        if let Some(missing) = self.missing.get_mut(&place(news)) {
            if !missing.offered_by.contains(&from) {
                missing.offered_by.push_back(from);
            }
            return;
        }
        let of_sender = self.missing.values().filter(|missing| missing.offered_by.contains(&from)).count();
        if of_sender < MISSING_PER_NEIGHBOUR {
            let missing = Missing { offered_by: [from].into(), deadline: now + GRAFT_DELAY };
            self.missing.insert(place(news), missing);
        }
    }

    /// A record is here, so neither it nor an older one of its key is missing.
    fn found(&mut self, news: &HaveEntry) {
        self.missing.retain(|(key, sequence), _| *key != news.key || *sequence > news.sequence);
    }

    /// Asks for what has not come in time, one after the other of those who offered it.
    fn graft(&mut self, now: Instant) {
        let mut asked: BTreeMap<NodeId, Vec<HaveEntry>> = BTreeMap::new();
        self.missing.retain(|(key, sequence), missing| {
            if missing.deadline > now {
                return true;
            }
            missing.deadline = now + GRAFT_DELAY;
            let Some(node) = missing.offered_by.pop_front() else { return false };
            asked.entry(node).or_default().push(HaveEntry { key: *key, sequence: *sequence });
            true
        });
        for (node, news) in asked {
            self.neighbours.entry(node).and_modify(|is_eager| *is_eager = true);
            for news in news.chunks(OFFER_MAX) {
                let graft = NewsMessage::Graft { news: news.to_vec() };
                self.outputs.push_back(BroadcastOutput::Send(node, graft));
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.missing.values().map(|missing| missing.deadline).chain(self.offer_at).min()
    }
}

fn place(news: &HaveEntry) -> (u64, u64) {
    (news.key, news.sequence)
}

#[cfg(test)]
mod tests;
