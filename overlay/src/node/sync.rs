//! Records are compared with some peers after they changed, until enough of them have the same.
//!
//! News is passed on by whoever hears it, so comparing finds what got lost on the way, and what a node missed while it was away. Not
//! all peers have to be asked for that: what one has found it passes on.

use super::Node;
use crate::limits::{SYNC_AGREED, SYNC_PEERS, SYNC_RETRY, SYNC_WAIT_MAX, SYNC_WHILE_NEWS};
use crate::peer::Peer;
use std::time::{Duration, Instant};
use wire::NodeId;
use wire::control::{HaveEntry, Message};

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
        let own = self.registry.digest();
        let agrees = |peer: &&Peer| peer.digest == Some(own);
        let connected = || self.peers.connected();
        let others: Vec<NodeId> = connected().filter(|peer| !agrees(peer)).map(|peer| peer.node).collect();
        if others.is_empty() || connected().filter(agrees).count() >= SYNC_AGREED {
            self.sync.next = None;
            return;
        }
        for node in self.random.some_of(others, SYNC_PEERS) {
            let token = self.random.u64();
            self.send(&node, &Message::Ping { token, digest: own }, None);
        }
        self.sync.wait = (self.sync.wait * 2).min(SYNC_WAIT_MAX);
        self.sync.next = Some(now + self.sync.wait);
    }

    /// Compares a peer's digest of all records with ours; when they differ, says what we have.
    pub(super) fn compare_digests(&mut self, node: NodeId, digest: u64, now: Instant) {
        let own = self.registry.digest();
        let Some(peer) = self.peers.get_mut(&node) else { return };
        peer.digest = Some(digest);
        let lately = peer.last_summary.is_some_and(|last| now.saturating_duration_since(last) < SYNC_RETRY);
        if digest == own {
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
        self.send(&node, &self.registry.summary(), None);
    }

    /// Sends what a peer lacks by its summary of a range of key hashes, and asks for what we lack.
    pub(super) fn consume_summary(
        &mut self,
        node: NodeId,
        (from, to): (u64, u64),
        entries: &[HaveEntry],
        now: Instant,
    ) {
        let difference = self.registry.compare(from, to, entries);
        for record in difference.newer {
            let age_s = self.age_s(&record, now);
            self.send(&node, &Message::Record { bytes: record.bytes().to_vec().into(), age_s }, None);
        }
        if !difference.wanted.is_empty() {
            self.send(&node, &Message::Want { keys: difference.wanted }, None);
        }
    }
}
