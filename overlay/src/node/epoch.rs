//! Epochs: after a revocation the network has a new secret, which who was revoked does not get.
//!
//! ```text
//! an admin revokes ─▶ new secret, written ─▶ record of the epoch, to all        no secret stands in a record
//!                                         ─▶ the secret, inside sessions         to members in good standing alone
//! who has the record and not the secret ─▶ asks its peers ─▶ is told ─▶ checks it by the record
//! who comes back under an earlier secret ─▶ is let in, and given record and secret
//! ```
//!
//! The highest number counts, and of one number the lowest commitment: two admins that were apart settle it alike. Records of
//! lower numbers are held no more. A secret that no record commits to counts less than any that one does.

use super::{Event, Node, Output};
use crate::drops::DropReason;
use crate::gates::Gates;
use crate::limits::{
    EPOCH_PATIENCE, EPOCH_PAUSE, EPOCH_TURN, EPOCH_TURNS_MAX, PERSIST_RETRY, SECRET_ASK_DELAY,
    SECRET_ASK_PAUSE_MAX, SECRET_ASKED, SECRET_LOST_AFTER, SECRET_MISSED_AFTER, SECRET_TELL_PAUSE,
};
use crate::state::StateFile;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::control::Message;
use wire::epoch::EpochMessage;
use wire::record::{Content, EPOCH_NODES_MAX, Epoch, Key};
use wire::{Commitment, Kind, NetworkSecret, NodeId, Record};

/// What is under way about epochs.
#[derive(Default)]
pub(super) struct Epochs {
    /// The latest that a record tells of.
    latest: Option<Epoch>,
    /// Nodes that were revoked, for whose sake there is no new secret yet; the lowest ids of them.
    named: BTreeSet<NodeId>,
    /// When we make a new secret, if somebody has to.
    due: Option<Instant>,
    /// The one that is being written.
    making: Option<Making>,
    /// Since when the secret in use is in use.
    begun: Option<Instant>,
    /// What we ask for.
    wish: Option<Wish>,
}

/// A new secret on its way to the disk.
struct Making {
    ticket: u64,
    secret: NetworkSecret,
    epoch: Epoch,
}

/// A secret that we hold the record of.
struct Wish {
    commitment: Commitment,
    since: Instant,
    next: Instant,
    pause: Duration,
}

impl Epochs {
    fn cover(&self) -> u32 {
        self.latest.as_ref().map_or(0, |epoch| epoch.revocations)
    }
}

impl Node {
    /// The number of the epoch whose secret is in use here.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.members.network.secrets.current().epoch()
    }

    /// The latest epoch, when we hold its record and not its secret.
    pub(super) fn missing_epoch(&self) -> Option<&Epoch> {
        let current = self.members.network.secrets.current();
        let own = || Commitment::of(&self.members.id(), current);
        let latest = self.epochs.latest.as_ref().filter(|latest| latest.number >= current.epoch())?;
        (latest.commitment != own()).then_some(latest)
    }

    /// The number of that epoch, when peers should have given us its secret by now.
    pub(super) fn withheld_epoch(&self, now: Instant) -> Option<u32> {
        let since = self.epochs.wish.as_ref().map(|wish| wish.since)?;
        self.missing_epoch().filter(|_| now >= since + SECRET_MISSED_AFTER).map(|epoch| epoch.number)
    }

    /// Whether a record of an epoch is of one that is over. What is held of such gives way to a later one.
    pub(super) fn is_past_epoch(&mut self, content: &Content) -> bool {
        let Content::Epoch { epoch, .. } = content else { return false };
        let latest = self.epochs.latest.as_ref().map_or(0, |latest| latest.number);
        if epoch.number > latest {
            let held: Vec<Key> = self.registry.of_kind(Kind::Epoch).map(Record::key).collect();
            for key in held {
                self.registry.forget(&key);
            }
        }
        epoch.number < latest
    }

    /// Whether a record is an admin's who is none any more.
    pub(super) fn is_of_former_admin(&self, content: &Content) -> bool {
        match content {
            Content::Epoch { by, .. } | Content::Policy { by, .. } => self.members.is_revoked(by),
            Content::Member { .. }
            | Content::Revocation { .. }
            | Content::Reissue { .. }
            | Content::LinkState { .. }
            | Content::Service { .. }
            | Content::Claim { .. }
            | Content::Confirmation { .. }
            | Content::Guest { .. }
            | Content::Routes { .. }
            | Content::Withdrawn { .. } => false,
        }
    }

    /// Forgets what a node has said as an admin.
    pub(super) fn forget_decrees(&mut self, node: NodeId, now: Instant) {
        self.registry.forget_owner(Kind::Policy, node);
        if self.registry.of_owner(Kind::Epoch, node).next().is_some() {
            self.registry.forget_owner(Kind::Epoch, node);
            self.epochs_changed(now);
        }
    }

    /// Records of epochs came or went.
    pub(super) fn epochs_changed(&mut self, now: Instant) {
        let network = self.members.id();
        let epoch = |record: &Record| match record.content(&network) {
            Ok(Content::Epoch { epoch, .. }) => Some(epoch),
            _ => None,
        };
        let rank = |epoch: &Epoch| (epoch.number, std::cmp::Reverse(epoch.commitment));
        self.epochs.latest = self.registry.of_kind(Kind::Epoch).filter_map(epoch).max_by_key(rank);
        let commitment = self.missing_epoch().map(|epoch| epoch.commitment);
        if self.epochs.wish.as_ref().map(|wish| wish.commitment) != commitment {
            self.epochs.wish = commitment.map(|commitment| Wish {
                commitment,
                since: now,
                next: now + SECRET_ASK_DELAY,
                pause: SECRET_ASK_DELAY,
            });
        }
        // What was planned was planned without it.
        self.epochs.due = None;
        self.review_epoch(now);
    }

    /// A node was revoked.
    pub(super) fn note_revoked(&mut self, node: NodeId, now: Instant) {
        self.epochs.named.insert(node);
        while self.epochs.named.len() > EPOCH_NODES_MAX {
            self.epochs.named.pop_last();
        }
        self.review_epoch(now);
    }

    /// Plans a new secret when one is due: for revocations that none was made for, or because nobody has the latest.
    pub(super) fn review_epoch(&mut self, now: Instant) {
        let is_covered = self.members.revocation_count() <= self.epochs.cover();
        if is_covered && self.missing_epoch().is_none() {
            self.epochs.named.clear();
        }
        let is_admin = self.members.own().claims().roles.admin && !self.is_revoked;
        let lost = self.epochs.wish.as_ref().map(|wish| wish.since + SECRET_LOST_AFTER);
        let at = match (is_admin && self.epochs.making.is_none(), is_covered) {
            (false, _) => None,
            (true, false) => Some(now + EPOCH_PATIENCE),
            (true, true) => lost,
        };
        let earliest = self.epochs.begun.map_or(now, |begun| begun + EPOCH_PAUSE);
        let at = at.map(|at| at.max(earliest) + EPOCH_TURN * self.turn());
        self.epochs.due = match (self.epochs.due, at) {
            (Some(due), Some(at)) => Some(due.min(at)),
            (_, at) => at,
        };
    }

    /// How many admins are before us, by their ids.
    fn turn(&self) -> u32 {
        let own = self.identity.node();
        let before = self.members.members().filter(|claims| claims.roles.admin && claims.node < own).count();
        u32::try_from(before).unwrap_or(EPOCH_TURNS_MAX).min(EPOCH_TURNS_MAX)
    }

    /// We have revoked somebody: the new secret is made at once, or with those for others that were revoked just now.
    pub(super) fn begin_epoch_soon(&mut self, now: Instant) {
        let at = self.epochs.begun.map_or(now, |begun| begun + EPOCH_PAUSE).max(now);
        if self.epochs.making.is_none() {
            self.epochs.due = Some(self.epochs.due.map_or(at, |due| due.min(at)));
        }
    }

    pub(super) fn run_epochs(&mut self, now: Instant) {
        self.gates.make_room();
        if self.epochs.due.is_some_and(|at| now >= at) {
            self.epochs.due = None;
            self.make_epoch(now);
        }
        if self.epochs.wish.as_ref().is_some_and(|wish| now >= wish.next) {
            self.ask_for_secret(now);
        }
    }

    pub(super) fn epoch_deadline(&self) -> Option<Instant> {
        let wish = self.epochs.wish.as_ref().map(|wish| wish.next);
        [self.epochs.due, wish].into_iter().flatten().min()
    }

    /// Makes a new secret and has it written; what follows waits for that.
    fn make_epoch(&mut self, now: Instant) {
        let latest = self.epochs.latest.as_ref().map_or(0, |epoch| epoch.number);
        let number = self.epoch().max(latest).saturating_add(1);
        let secret = NetworkSecret::new(number, self.random.bytes());
        let epoch = Epoch {
            number,
            commitment: Commitment::of(&self.members.id(), &secret),
            nodes: self.epochs.named.iter().copied().filter(|node| self.is_out(node)).collect(),
            revocations: self.members.revocation_count(),
        };
        let mut network = self.members.network.clone();
        network.secrets.replace(secret.clone(), self.unix_s(now));
        let ticket = self.persist(StateFile::Network, network.encode());
        self.epochs.making = Some(Making { ticket, secret, epoch });
    }

    /// Whether a node is revoked indeed: an admin may say so of another, but without the root's word it counts for nothing.
    fn is_out(&self, node: &NodeId) -> bool {
        self.members.chain(node).is_some_and(|chain| self.members.is_revoked(chain))
    }

    /// A write is done, or not: if it is that of a new secret, all are told.
    pub(super) fn handle_epoch_written(&mut self, ticket: u64, written: bool, now: Instant) {
        let Some(making) = self.epochs.making.take_if(|making| making.ticket == ticket) else { return };
        let Making { secret, epoch, .. } = making;
        let is_latest = self.epochs.latest.as_ref().is_none_or(|latest| latest.number < epoch.number);
        if !written || !is_latest || self.is_revoked {
            // Another admin was quicker, or the disk is full.
            self.persist_network();
            self.review_epoch(now);
            let again = now + PERSIST_RETRY;
            self.epochs.due = self.epochs.due.map(|due| due.max(again));
            return;
        }
        let is_last_write = self.unwritten.tickets.get(&StateFile::Network) == Some(&ticket);
        self.use_secret(secret, now);
        if !is_last_write {
            self.persist_network();
        }
        self.publish_epoch(epoch, now);
        let peers: Vec<NodeId> = self.peers.connected().map(|peer| peer.node).collect();
        for node in peers {
            self.tell_secret(&node, now);
        }
    }

    fn publish_epoch(&mut self, epoch: Epoch, now: Instant) {
        let number = u64::from(epoch.number);
        let content = Content::Epoch { epoch, by: Box::new(self.members.own().clone()) };
        match content.sign(number, self.unix_s(now), &self.identity.signing, None) {
            Ok(record) => self.merge((record, Duration::ZERO), content, None, now),
            Err(_) => self.drops.count(DropReason::Record),
        }
    }

    /// Takes a secret into use.
    fn use_secret(&mut self, secret: NetworkSecret, now: Instant) {
        let number = secret.epoch();
        let unix_s = self.unix_s(now);
        self.members.network.secrets.replace(secret, unix_s);
        self.gates = Arc::new(Gates::new(&self.members.network.secrets, &self.identity.noise_key()));
        self.change_hint_keys();
        self.tables_are_old = true;
        self.epochs.begun = Some(now);
        self.outputs.push_back(Output::Event(Event::Epoch(number)));
    }

    /// Whether a peer may have the secret: a member in good standing for all that we know, and not one for whose sake
    /// there is a new one. While we know of fewer revocations than whoever made it, it may be one that we have not heard of.
    fn may_have_secret(&self, node: &NodeId, now: Instant) -> bool {
        if self.members.revocation_count() < self.epochs.cover() {
            return false;
        }
        let is_named = self.epochs.latest.as_ref().is_some_and(|epoch| epoch.nodes.contains(node));
        let is_member = self.members.chain(node).is_some_and(|chain| self.refusal(chain, now).is_none());
        is_member && !is_named
    }

    fn tell_secret(&mut self, node: &NodeId, now: Instant) {
        if !self.may_have_secret(node, now) {
            return;
        }
        let Some(peer) = self.peers.get_mut(node) else { return };
        if peer.told_secret.is_some_and(|at| now < at + SECRET_TELL_PAUSE) {
            return;
        }
        peer.told_secret = Some(now);
        // When it gets lost, the peer asks.
        peer.epoch = None;
        let current = self.members.network.secrets.current();
        let (epoch, secret) = (current.epoch(), (*current.bytes()).into());
        self.send(node, &Message::Epoch(EpochMessage::Secret { epoch, secret }), None);
    }

    /// A session is in use. Whoever has shown an earlier secret in its handshake is given the latest, and its record before it.
    pub(super) fn bring_up_to_date(&mut self, node: NodeId, now: Instant) {
        if let Some(wish) = &mut self.epochs.wish {
            wish.next = wish.next.min(now + SECRET_ASK_DELAY);
        }
        let is_behind =
            self.peers.get(&node).is_some_and(|peer| peer.epoch.is_some_and(|e| e < self.epoch()));
        if !is_behind || self.missing_epoch().is_some() || !self.may_have_secret(&node, now) {
            return;
        }
        let own = Commitment::of(&self.members.id(), self.members.network.secrets.current()).to_string();
        let record = self.registry.of_kind(Kind::Epoch).find(|record| record.body().name == own).cloned();
        if let Some(record) = record {
            self.tell(&node, &record, None);
            self.tell_secret(&node, now);
        }
    }

    fn ask_for_secret(&mut self, now: Instant) {
        if self.is_revoked {
            self.epochs.wish = None;
            return;
        }
        let peers: Vec<NodeId> = self.peers.connected().map(|peer| peer.node).collect();
        let asked = self.random.some_of(peers, SECRET_ASKED);
        let Some(wish) = &mut self.epochs.wish else { return };
        wish.next = now + wish.pause;
        wish.pause = (wish.pause * 2).min(SECRET_ASK_PAUSE_MAX);
        let message = Message::Epoch(EpochMessage::Ask { commitment: wish.commitment });
        if asked.is_empty() {
            // Nobody has withheld it.
            wish.since = now;
        }
        for node in asked {
            self.send(&node, &message, None);
        }
        self.review_epoch(now);
    }

    pub(super) fn consume_epoch(&mut self, node: NodeId, message: EpochMessage, now: Instant) {
        match message {
            EpochMessage::Ask { commitment } => {
                let current = self.members.network.secrets.current();
                if commitment == Commitment::of(&self.members.id(), current) {
                    self.tell_secret(&node, now);
                }
            }
            EpochMessage::Secret { epoch, secret } => {
                let secret = NetworkSecret::new(epoch, secret.into());
                let commitment = Commitment::of(&self.members.id(), &secret);
                if self.missing_epoch().is_some_and(|missing| missing.commitment == commitment) {
                    self.use_secret(secret, now);
                    self.persist_network();
                    self.epochs_changed(now);
                } else if secret.bytes() != self.members.network.secrets.current().bytes() {
                    // A lie, or its record has not come yet: then we ask again.
                    self.drops.count(DropReason::Control);
                }
            }
        }
    }
}
