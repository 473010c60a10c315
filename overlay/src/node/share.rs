//! Which part of what people publish this node holds ([`registry::Registry::part`]), and of which it knows that this is all there is.
//!
//! ```text
//! too much to hold             half of it is left to others, when there are enough of them
//! much room, for a while       the other half is taken in again
//! just begun, or long alone    nothing is known; of the others' parts the widest is taken
//! another that knows           has the same: now it is known; nobody knows for a while: what is here is taken for all
//! ```
//!
//! What a node does not know it asks for (`finding`): that something is not here says nothing then.

use super::Node;
use crate::limits::{
    HALF_PATIENCE, KNOWN_PATIENCE, LONG_ALONE, SHARE_COUNT_PAUSE, SHARE_INTERVAL, WIDEN_AFTER,
};
use crate::peer::Peer;
use registry::limits::{DEPTH_MAX, HOLDERS_MIN};
use std::collections::BTreeMap;
use std::time::Instant;
use wire::control::{Message, Share};
use wire::{Candidate, Name, NodeId, Part, Position};

/// What is known of what is held.
pub(super) struct Shares {
    /// The part of which all there is is held.
    known: Part,
    /// Whether nobody was there who could have known better.
    is_assumed: bool,
    /// Since when it is less than the part that is held.
    doubted: Instant,
    alone: Option<Instant>,
    /// Since when there is room for more.
    roomy: Option<Instant>,
    next: Option<Instant>,
    /// Of all members that were counted.
    positions: BTreeMap<NodeId, Position>,
    counted: Option<Instant>,
}

impl Shares {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            known: Part::NOTHING,
            is_assumed: false,
            doubted: now,
            alone: Some(now),
            roomy: None,
            next: Some(now),
            positions: BTreeMap::new(),
            counted: None,
        }
    }

    fn doubt(&mut self, now: Instant) {
        self.doubted = now;
        self.next = Some(now);
    }

    fn hurry(&mut self, now: Instant) {
        self.next = Some(now);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }
}

impl Node {
    /// What is compared with others: nothing while more is said than can be held, since everybody then holds something else.
    pub(super) fn compared_part(&self) -> Part {
        if self.registry.overflows() { Part::NOTHING } else { self.registry.part() }
    }

    /// What a message says to a peer of what we hold.
    fn said_to(&self, node: &NodeId) -> (u64, Option<Share>) {
        let part = self.compared_part();
        let theirs = self.peers.get(node).and_then(|peer| peer.told).map(|(_, share)| share.part);
        let scope = theirs.map_or(part, |theirs| part.common(theirs));
        let share = Share { part, scope, known: self.shares.known };
        (self.registry.digest_in(scope, self.revision_with(node)), share.said())
    }

    /// A ping to a peer.
    pub(super) fn ping_to(&self, node: &NodeId, token: u64) -> Message {
        let (digest, share) = self.said_to(node);
        Message::Ping { token, digest, share }
    }

    /// A pong to a peer.
    pub(super) fn pong_to(&self, node: &NodeId, token: u64, observed: Option<Candidate>) -> Message {
        let (digest, share) = self.said_to(node);
        Message::Pong { token, digest, observed, share }
    }

    /// Whether a peer has the same as we, of what both hold, as far as it has said.
    pub(super) fn agrees(&self, peer: &Peer) -> bool {
        peer.told.is_some_and(|(digest, share)| {
            let common = self.compared_part().common(share.part);
            let own = || self.registry.digest_in(common, self.revision_with(&peer.node));
            share.scope == common && digest == own()
        })
    }

    /// Whether the network shares out what people publish, as far as we see.
    pub(super) fn is_shared_out(&self) -> bool {
        let is_part = |peer: &Peer| peer.told.is_some_and(|(_, share)| share.part.depth() > 0);
        self.registry.part() != Part::WHOLE || self.peers.connected().any(is_part)
    }

    /// The part of which what is not here is not there: all where nothing is shared out, or nobody is there to be asked.
    pub(super) fn known_part(&self) -> Part {
        if self.is_shared_out() && !self.peers.is_alone() { self.shares.known } else { Part::WHOLE }
    }

    /// Whether all that is said about a service name is here.
    pub(super) fn knows(&self, name: &Name) -> bool {
        self.known_part().covers(Position::of_name(name.as_str()))
    }

    /// Whether we can tell others all that is said about a service name.
    pub(super) fn can_tell(&self, name: &Name) -> bool {
        self.shares.known.covers(Position::of_name(name.as_str()))
    }

    /// Where a member is in key space.
    pub(super) fn position_of(&self, node: &NodeId) -> Position {
        self.shares.positions.get(node).copied().unwrap_or_else(|| Position::of_node(node))
    }

    /// There is a session with somebody, or with nobody any more.
    pub(super) fn company_came_or_went(&mut self, now: Instant) {
        if self.peers.is_alone() {
            self.shares.alone.get_or_insert(now);
        } else if let Some(since) = self.shares.alone.take()
            && now >= since + LONG_ALONE
        {
            self.shares.known = Part::NOTHING;
            self.shares.doubt(now);
        }
        self.zone.is_old = true;
        self.shares.hurry(now);
    }

    /// A peer has said what it holds.
    pub(super) fn note_told(&mut self, before: Option<Share>, share: Share, now: Instant) {
        if before != Some(share) && (before.is_some() || share != Share::ALL) {
            self.shares.hurry(now);
            self.zone.is_old = true;
        }
    }

    /// A peer has the same as we, of what both hold.
    pub(super) fn note_known(&mut self, share: Share, now: Instant) {
        let (part, before) = (self.registry.part(), self.shares.known);
        let known = &mut self.shares.known;
        if *known == part && !self.shares.is_assumed {
            return;
        }
        if part.is_within(share.known) {
            *known = part;
        }
        // Of two halves one was known before, and the other one is known to the peer.
        while *known != part && *known != Part::NOTHING && known.sibling().is_within(share.known) {
            *known = Part::around(self.registry.position(), known.depth().saturating_sub(1));
        }
        self.shares.is_assumed &= !part.is_within(share.known);
        if self.shares.known != before {
            self.zone.is_old = true;
            self.shares.hurry(now);
            self.publishing.handle_change(now);
        }
    }

    /// Gives up what is too much to hold.
    pub(super) fn fit(&mut self, now: Instant) {
        if !self.registry.is_full() && !self.registry.is_too_much() {
            return;
        }
        if self.shares.counted.is_none_or(|at| now >= at + SHARE_COUNT_PAUSE) {
            self.count_members(now);
        }
        self.keep_own_names();
        let given_up = self.registry.narrow();
        self.given_up(&given_up, now);
    }

    /// What is given up means nothing here any more, though it goes on elsewhere.
    pub(super) fn given_up(&mut self, keys: &[wire::record::Key], now: Instant) {
        self.shares.known = self.shares.known.common(self.registry.part());
        if keys.iter().filter(|key| self.services.handle_end(key)).count() > 0 {
            self.services_changed(now);
        }
        self.shares.hurry(now);
        if !keys.is_empty() {
            self.finding.handle_narrowing(now);
        }
    }

    /// How narrow our part may be: every half that we leave has enough members in it.
    fn count_members(&mut self, now: Instant) {
        self.shares.counted = Some(now);
        let members = &self.members;
        self.shares.positions.retain(|node, _| members.chain(node).is_some());
        for claims in members.members() {
            self.shares.positions.entry(claims.node).or_insert_with(|| Position::of_node(&claims.node));
        }
        let own = self.registry.position();
        let is_left_to_enough = |depth: &u8| {
            let half = Part::around(own, *depth).sibling();
            let holders = members.members().filter(|claims| half.covers(self.position_of(&claims.node)));
            holders.take(HOLDERS_MIN).count() == HOLDERS_MIN
        };
        let deepest = (1..=DEPTH_MAX).take_while(is_left_to_enough).count();
        let before = self.registry.part();
        self.registry.allow_depth(u8::try_from(deepest).unwrap_or(DEPTH_MAX));
        if self.registry.part() != before {
            self.shares.doubt(now);
        }
    }

    pub(super) fn run_shares(&mut self, now: Instant) {
        if self.shares.next.is_none_or(|at| now < at) {
            return;
        }
        if self.members.members().nth(1).is_none() {
            self.shares.known = self.registry.part();
        }
        if self.is_shared_out() {
            if self.shares.counted.is_none_or(|at| now >= at + SHARE_INTERVAL) {
                self.count_members(now);
            }
            self.company_changed(now);
            self.fit(now);
            self.take_room(now);
        }
        self.learn_part(now);
        let is_known = self.shares.known == self.registry.part();
        let waits = !is_known && !self.peers.is_alone();
        let looks = self.registry.part() != Part::WHOLE || waits;
        self.shares.next = looks.then_some(now + SHARE_INTERVAL);
    }

    /// Takes the other half in when there has been room for a while.
    fn take_room(&mut self, now: Instant) {
        let part = self.registry.part();
        if !self.registry.is_roomy() || self.shares.known != part {
            self.shares.roomy = None;
            return;
        }
        let since = *self.shares.roomy.get_or_insert(now);
        if now >= since + WIDEN_AFTER {
            self.shares.roomy = None;
            self.registry.widen();
            self.shares.doubt(now);
            self.sync.handle_news(now);
        }
    }

    /// What to do about a part of which not everything may be here.
    fn learn_part(&mut self, now: Instant) {
        let part = self.registry.part();
        let told = || self.peers.connected().filter_map(|peer| peer.told).map(|(_, share)| share);
        let somebody_knows = told().any(|share| part.is_within(share.known));
        let depths = told().filter(|share| share.known != Part::NOTHING).map(|share| share.known.depth());
        let widest = depths.min();
        let shares = &mut self.shares;
        if shares.known == part {
            // When we were alone we took it for all. Now there are others that hold parts, and nobody all of it.
            if shares.is_assumed && !somebody_knows && widest.is_some_and(|depth| depth > part.depth()) {
                shares.known = Part::NOTHING;
                shares.is_assumed = false;
                shares.doubt(now);
                self.zone.is_old = true;
            } else {
                return;
            }
        }
        match widest {
            _ if somebody_knows => {}
            Some(depth) if self.shares.known == Part::NOTHING && depth > part.depth() => {
                self.count_members(now);
                self.keep_own_names();
                let given_up = self.registry.narrow_to(depth);
                self.given_up(&given_up, now);
                self.sync.handle_doubt(now);
            }
            // Nobody who knows is there: all have begun anew, or all that hold this part have, and each waits for the others.
            _ if (widest.is_none() || self.shares.known == Part::NOTHING)
                && now >= self.shares.doubted + KNOWN_PATIENCE =>
            {
                self.shares.known = part;
                self.shares.is_assumed = true;
                self.zone.is_old = true;
            }
            // Nobody tells us of the half that we wanted to hold as well.
            Some(_) if self.shares.known != Part::NOTHING && now >= self.shares.doubted + HALF_PATIENCE => {
                let given_up = self.registry.narrow_to(self.shares.known.depth());
                self.given_up(&given_up, now);
            }
            Some(_) | None => {}
        }
    }

    /// Names that we publish under or claim: what is said about them is never given up.
    pub(super) fn keep_own_names(&mut self) {
        for name in self.publishing.names() {
            self.registry.keep(&name);
        }
    }
}
