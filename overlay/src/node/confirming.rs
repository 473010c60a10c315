//! What an admin says of service names: whose claim came first, so that no older member takes the name over.
//!
//! ```text
//! a claim holds its name, and nobody confirms it ─▶ waits, each admin in its turn ─▶ confirmed
//! its claim is withdrawn ─▶ withdrawn, or said of the next that holds the name
//! its claim has ended, or its owner is gone for good ─▶ the same, after a while
//! ```
//!
//! Nobody asks for a confirmation and nobody answers. An admin says nothing before a peer has the same records: what it does not know
//! of would lose its name. A confirmation stands while its admin is away, for months if need be.

use super::Node;
use crate::limits::{
    CONFIRM_AFTER, CONFIRM_AT_ONCE, CONFIRM_PAUSE, CONFIRM_STEP, CONFIRM_STEPS_MAX, CONFIRMATION_GRACE,
    CONFIRMATION_PATIENCE,
};
use registry::claim::Title;
use registry::limits::CONFIRMATIONS_PER_CLAIMANT;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use wire::record::{Content, Key, key_of_claim, key_of_confirmation};
use wire::{Kind, Name, NodeId, Record};

/// What an admin keeps in mind about names.
#[derive(Default)]
pub(super) struct Confirming {
    /// Whether a peer has had the same records since the start, or time enough to tell us.
    has_met: bool,
    /// Who holds a name that is to be confirmed, and since when.
    waiting: BTreeMap<Name, (NodeId, Instant)>,
    /// Confirmations of ours without their claim, and since when.
    lapsed: BTreeMap<Name, Instant>,
    /// Confirmations of ours that others had to tell us of.
    told: BTreeSet<Name>,
    next: Option<Instant>,
}

impl Confirming {
    fn look_at(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }
}

impl Node {
    /// Whether a node is an admin.
    pub(super) fn is_admin(&self, node: &NodeId) -> bool {
        self.credentials(node).is_some_and(|claims| claims.roles.admin)
    }

    /// Claims, confirmations or members are different.
    pub(super) fn names_changed(&mut self, now: Instant) {
        if self.confirms() {
            self.confirming.look_at(now + CONFIRM_PAUSE);
        }
    }

    /// A peer has the same records as we.
    pub(super) fn note_agreement(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.confirming.has_met, true) {
            self.names_changed(now);
        }
    }

    /// Somebody tells us of a confirmation of ours: from before our state was lost, or one that was withdrawn long ago.
    pub(super) fn handle_own_confirmation(&mut self, key: &Key, now: Instant) {
        if let (true, Ok(name)) = (self.confirms(), key.name.parse()) {
            self.confirming.told.insert(name);
            self.confirming.look_at(now);
        }
    }

    fn confirms(&self) -> bool {
        !self.is_revoked && self.members.own().claims().roles.admin
    }

    pub(super) fn run_confirming(&mut self, now: Instant) {
        if self.confirming.next.is_none_or(|at| now < at) {
            return;
        }
        self.confirming.next = None;
        if !self.confirms() {
            return;
        }
        let patience = self.started + CONFIRMATION_PATIENCE;
        if !self.confirming.has_met && now < patience {
            return self.confirming.look_at(patience);
        }
        // Where records never come to rest, a peer must do that is there.
        self.confirming.has_met |= self.peers.connected().next().is_some();
        if self.confirming.has_met {
            self.withdraw_confirmations(now);
            self.confirm_claims(now);
        }
    }

    /// Our confirmations: names, and whose claims they confirm.
    fn confirmations(&self) -> Vec<(Name, NodeId)> {
        let own = self.registry.of_owner(Kind::Confirmation, self.identity.node());
        let said = |record: &Record| match record.content(&self.members.id()) {
            Ok(Content::Confirmation { node, name, .. }) => Some((name, node)),
            _ => None,
        };
        own.filter_map(said).collect()
    }

    fn withdraw_confirmations(&mut self, now: Instant) {
        let own = self.identity.node();
        let mut lapsed = std::mem::take(&mut self.confirming.lapsed);
        let told = std::mem::take(&mut self.confirming.told);
        // Of a claim that others hold we do not know whether it lives.
        for (name, node) in
            self.confirmations().into_iter().filter(|(name, _)| self.knows(name)).collect::<Vec<_>>()
        {
            let is_living = self.services.is_claimed_by(&name, &node) && self.credentials(&node).is_some();
            let is_over = if is_living {
                told.contains(&name) && self.others_confirm(&name, node)
            } else if self.is_given_up(&name, node) {
                true
            } else {
                let since = lapsed.remove(&name).unwrap_or(now);
                let over = (since + CONFIRMATION_GRACE).max(self.started + CONFIRMATION_PATIENCE);
                if now < over {
                    self.confirming.lapsed.insert(name.clone(), since);
                    self.confirming.look_at(over);
                }
                now >= over
            };
            if is_over {
                self.withdraw(key_of_confirmation(own, &name), now);
            }
        }
    }

    /// Whether a node has given a name up, or is out for good.
    fn is_given_up(&self, name: &Name, node: NodeId) -> bool {
        let is_out = |chain: &wire::Chain| self.members.is_revoked_itself(chain.claims());
        self.registry.get(&key_of_claim(node, name)).is_some_and(Record::is_tombstone)
            || self.members.chain(&node).is_some_and(is_out)
    }

    /// Whether, were it not for us, an admin's confirmation would give a name to another node.
    fn others_confirm(&self, name: &Name, node: NodeId) -> bool {
        let own = self.identity.node();
        let others = |of: &NodeId| self.credentials(of).filter(|claims| claims.node != own);
        let holder = self.services.holding(name, others).map(|holding| holding.holder);
        holder.is_some_and(|holder| holder.node != node && holder.title() == Title::Confirmed)
    }

    fn confirm_claims(&mut self, now: Instant) {
        let before = std::mem::take(&mut self.confirming.waiting);
        let patience = CONFIRM_AFTER + CONFIRM_STEP * self.admins_before_us();
        let mut due = vec![];
        for (name, node) in self.unconfirmed(now) {
            let since =
                before.get(&name).filter(|(holder, _)| *holder == node).map_or(now, |(_, since)| *since);
            if now >= since + patience && due.len() < CONFIRM_AT_ONCE {
                due.push((name.clone(), node));
            }
            // What is due and has to wait for the next look, and what there was no room for, stays due.
            self.confirming.look_at((since + patience).max(now + CONFIRM_PAUSE));
            self.confirming.waiting.insert(name, (node, since));
        }
        for (name, node) in due {
            self.confirming.waiting.remove(&name);
            let by = self.identity.node();
            let key = key_of_confirmation(by, &name);
            let content = Content::Confirmation { by, node, name };
            self.publish_lease(&content, &key, (0, BTreeMap::new()), now);
        }
    }

    /// Claims that hold their names, that nobody confirms, and that we may confirm; as many as there is room for.
    fn unconfirmed(&self, now: Instant) -> Vec<(Name, NodeId)> {
        let own = self.identity.node();
        let said: BTreeMap<Name, NodeId> = self.confirmations().into_iter().collect();
        let mut counts: BTreeMap<NodeId, usize> = BTreeMap::new();
        said.values().for_each(|node| *counts.entry(*node).or_default() += 1);
        let members = || self.members.members();
        let reserved: BTreeSet<&Name> = members().flat_map(|c| c.services.iter().chain([&c.name])).collect();
        let mut unconfirmed = vec![];
        for name in self.services.claimed_names().filter(|name| !reserved.contains(name) && self.knows(name))
        {
            let Some(holding) = self.services.holding(name, |node| self.credentials(node)) else { continue };
            let node = holding.holder.node;
            // Whoever we have spoken for may have a claim still that we have not heard of since we were away.
            let may_return = |before: &NodeId| {
                now < self.started + CONFIRMATION_PATIENCE
                    && *before != node
                    && !self.is_given_up(name, *before)
            };
            if holding.holder.title() != Title::Claimed || said.get(name).is_some_and(may_return) {
                continue;
            }
            let key = key_of_confirmation(own, name);
            let has_room = self.registry.next_sequence(&key) > 1 || self.registry.has_room(key.kind, own);
            let count = counts.entry(node).or_default();
            if has_room && *count < CONFIRMATIONS_PER_CLAIMANT {
                *count += 1;
                unconfirmed.push((name.clone(), node));
            }
        }
        unconfirmed
    }

    fn admins_before_us(&self) -> u32 {
        let own = self.members.own().claims();
        let comes_before =
            |c: &&wire::Claims| c.roles.admin && (c.not_before_s, c.node) < (own.not_before_s, own.node);
        let admins = self.members.members().filter(comes_before).count();
        u32::try_from(admins).map_or(CONFIRM_STEPS_MAX, |admins| admins.min(CONFIRM_STEPS_MAX))
    }
}
