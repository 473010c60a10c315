//! Records are compared with some peers after they changed, until enough of them have the same.
//!
//! News is passed on by whoever hears it, so comparing finds what got lost on the way, and what a node missed while it was away. Not
//! all peers have to be asked for that: what one has found it passes on.

use super::Node;
use crate::limits::{SYNC_AGREED, SYNC_PEERS, SYNC_RETRY, SYNC_WAIT_MAX, SYNC_WHILE_NEWS};
use crate::peer::Peer;
use std::time::{Duration, Instant};
use wire::control::{HaveEntry, Message, Share};
use wire::{NodeId, Part};

/// When records are compared.
pub(super) struct Sync {
    /// The next round; none while enough peers have the same as we.
    next: Option<Instant>,
    wait: Duration,
    /// When we last heard news.
    changed: Instant,
    /// When we last said what we have.
    last_summary: Instant,
}

impl Sync {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: None, wait: SYNC_RETRY, changed: now, last_summary: now }
    }

    /// There is news: peers may not have it, or more.
    pub(super) fn handle_news(&mut self, now: Instant) {
        self.changed = now;
        self.wait = SYNC_RETRY;
        let at = now + SYNC_RETRY;
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// There is a peer of which it is not known what it has.
    pub(super) fn handle_doubt(&mut self, now: Instant) {
        self.next.get_or_insert(now + SYNC_RETRY);
    }

    /// While news comes in, nobody has the same as anybody, and it is too early to say what is missing.
    fn is_early(&self, now: Instant) -> bool {
        now < self.changed + SYNC_RETRY / 2 && now < self.last_summary + SYNC_WHILE_NEWS
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }
}

impl Node {
    pub(super) fn run_sync_timers(&mut self, now: Instant) {
        if self.sync.next.is_none_or(|at| now < at) {
            return;
        }
        let (agreeing, others): (Vec<&Peer>, Vec<&Peer>) =
            self.peers.connected().partition(|peer| self.agrees(peer));
        // Of what is shared out only those that hold the same part know anything.
        let part = self.compared_part();
        let is_near = |peer: &&&Peer| {
            part.depth() > 0 && peer.told.is_none_or(|(_, share)| part.common(share.part) != Part::NOTHING)
        };
        let near: Vec<NodeId> = others.iter().filter(is_near).map(|peer| peer.node).collect();
        // And of the latest kinds only those that speak the latest revision.
        let latest = self.peers.connected().filter_map(Peer::revision).max();
        let is_latest = |peer: &&&Peer| peer.revision() == latest;
        let to_ask: Vec<NodeId> = if !near.is_empty() {
            near
        } else if agreeing.len() < SYNC_AGREED {
            others.iter().map(|peer| peer.node).collect()
        } else if agreeing.iter().filter(is_latest).count() < SYNC_AGREED {
            others.iter().filter(is_latest).map(|peer| peer.node).collect()
        } else {
            vec![]
        };
        if to_ask.is_empty() {
            self.sync.next = None;
            return;
        }
        for node in self.random.some_of(to_ask, SYNC_PEERS) {
            let token = self.random.u64();
            self.send(&node, &self.ping_to(&node, token), None);
        }
        self.sync.wait = (self.sync.wait * 2).min(SYNC_WAIT_MAX);
        self.sync.next = Some(now + self.sync.wait);
    }

    /// Takes note of what a peer says that it holds.
    pub(super) fn note_share(&mut self, node: NodeId, told: (u64, Share), now: Instant) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let before = peer.told.replace(told).map(|(_, share)| share);
        self.note_told(before, told.1, now);
    }

    /// Compares a peer's digest with ours, of what both hold; when they differ, says what we have.
    pub(super) fn compare_digests(&mut self, node: NodeId, (digest, share): (u64, Share), now: Instant) {
        let common = self.compared_part().common(share.part);
        if share.scope != common {
            // It does not know yet what we hold: our next word tells it.
            return self.sync.handle_doubt(now);
        }
        let own = self.registry.digest_in(common, self.revision_with(&node));
        let Some(peer) = self.peers.get(&node) else { return };
        let lately = peer.last_summary.is_some_and(|last| now.saturating_duration_since(last) < SYNC_RETRY);
        if digest == own {
            self.note_known(share, now);
            self.note_agreement(now);
            return;
        }
        self.sync.handle_doubt(now);
        // Among few, every word counts: whoever passes it on may be gone in a moment.
        let are_many = self.peers.connected().nth(SYNC_AGREED).is_some();
        if lately || (are_many && self.sync.is_early(now)) {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.last_summary = Some(now);
        }
        self.sync.last_summary = now;
        for message in self.registry.summary(common, self.revision_with(&node)) {
            self.send(&node, &message, None);
        }
    }

    /// Sends what a peer lacks by its summary of a range of key hashes, and asks for what we lack.
    pub(super) fn consume_summary(
        &mut self,
        node: NodeId,
        range: (u64, u64),
        entries: &[HaveEntry],
        now: Instant,
    ) {
        let difference = self.registry.compare(range, entries, self.revision_with(&node));
        for record in difference.newer {
            let age_s = self.age_s(&record, now);
            self.tell(&node, &record, age_s);
        }
        if !difference.wanted.is_empty() {
            self.send(&node, &Message::Want { keys: difference.wanted }, None);
        }
    }
}
