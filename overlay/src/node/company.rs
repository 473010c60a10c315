//! Company: the peers that a node keeps sessions with of its own accord, and those that it lets rest.
//!
//! ```text
//! kept     in a small network everybody; in a larger one neighbours, some anchors, hops of circuits, and some that hold the same part
//! wanted   who is kept, and whoever packets go to or come from
//! resting  everybody else: no session, no probe; a packet for it, a ping or its own initiation ends that
//! ```
//!
//! A session that neither end wants is ended by both at the same time ([`Message::Rest`]): a packet that comes later waits for
//! a new one, instead of being lost on a path that a NAT has forgotten. What a node does for others so depends on its company,
//! and not on the size of the network.

use super::Node;
use super::circuit::Circuit;
use crate::limits::{
    ANCHOR_COMPANY_MAX, ANCHORS_KEPT, APPROACHED_MAX, COMPANY_ALL_MAX, COMPANY_INTERVAL, MATES_KEPT,
    NEIGHBOUR_TRIES, REST_INTERVAL,
};
use crate::peer::{Peer, PeerState, Seeking};
use nat::prefix_of;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use wire::control::Message;
use wire::{NodeId, Part, record::LinkState};

/// When the company is looked at again; not before something changes, while everybody is kept.
pub(super) struct Company {
    next: Option<Instant>,
}

impl Company {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: Some(now) }
    }
}

impl Node {
    /// Whether the network is so small that everybody is kept.
    pub(super) fn keeps_everybody(&self) -> bool {
        self.peers.len() <= COMPANY_ALL_MAX
    }

    /// Something that decides about the company has changed: it is looked at at once.
    pub(super) fn company_changed(&mut self, now: Instant) {
        self.company.next = Some(now);
    }

    pub(super) fn company_deadline(&self) -> Option<Instant> {
        self.company.next
    }

    pub(super) fn run_company(&mut self, now: Instant) {
        if self.company.next.is_none_or(|at| now < at) {
            return;
        }
        self.company.next = (!self.keeps_everybody()).then_some(now + COMPANY_INTERVAL);
        let kept = self.kept(now);
        let is_other = |peer: &&Peer| peer.need.is_kept != kept.contains(&peer.node);
        let others: Vec<NodeId> = self.peers.values().filter(is_other).map(|peer| peer.node).collect();
        for node in others {
            let Some(peer) = self.peers.get_mut(&node) else { continue };
            peer.need.is_kept = kept.contains(&node);
            if peer.need.is_kept && !peer.is_connected() {
                peer.seek(now);
            }
        }
        if !self.keeps_everybody() {
            self.rest_the_others(now);
        }
    }

    /// Whom to keep.
    fn kept(&self, now: Instant) -> BTreeSet<NodeId> {
        if self.keeps_everybody() {
            return self.peers.keys().copied().collect();
        }
        let mut kept = self.kept_anchors();
        kept.extend(self.kept_mates(now));
        kept.extend(self.neighbours.wanted());
        for (_, circuit) in self.circuits.iter() {
            match circuit {
                Circuit::End(end) => {
                    let is_wanted = |peer: &Peer| peer.is_wanted(now);
                    kept.extend(self.peers.get(&end.peer).is_some_and(is_wanted).then_some(end.hop));
                }
                Circuit::Transit(transit) => _ = kept.insert(transit.from),
            }
        }
        kept
    }

    /// Whether a link is told of: one that lasts. Sessions that come and go with packets are nobody else's business.
    pub(super) fn is_lasting(&self, node: &NodeId) -> bool {
        let is_anchor = || self.topology.state(node).is_some_and(|state| state.is_anchor);
        let is_kept = || self.peers.get(node).is_some_and(|peer| peer.need.is_kept);
        self.keeps_everybody() || self.neighbours.is_active(node) || (is_anchor() && is_kept())
    }

    /// The anchors that are kept: those that we have, then those that are nearest to us in the order of ids, which is another
    /// order for every node, so that no anchor is everybody's. Anchors keep each other, so that they lead everywhere.
    fn kept_anchors(&self) -> BTreeSet<NodeId> {
        let own = self.identity.node();
        let distance = |node: &NodeId| {
            let mut distance = node.0;
            distance.iter_mut().zip(own.0).for_each(|(byte, own)| *byte ^= own);
            distance
        };
        let is_anchor = |node: &NodeId| self.topology.state(node).is_some_and(|state| state.is_anchor);
        let offline = |peer: &Peer| matches!(peer.seeking, Seeking::Asking { attempts, .. } if attempts > NEIGHBOUR_TRIES);
        let mut anchors: Vec<&Peer> =
            self.peers.values().filter(|peer| is_anchor(&peer.node) && !offline(peer)).collect();
        anchors
            .sort_by_cached_key(|peer| (!(peer.need.is_kept && peer.is_connected()), distance(&peer.node)));
        let count = if self.reach.is_anchor { ANCHOR_COMPANY_MAX } else { ANCHORS_KEPT };
        anchors.into_iter().take(count).map(|peer| peer.node).collect()
    }

    /// Members that hold the same part of what is shared out: of each half of it those that are nearest to us, so that all that it
    /// should have is found with one or the other.
    fn kept_mates(&self, now: Instant) -> Vec<NodeId> {
        let part = self.registry.part();
        if part == Part::WHOLE {
            return vec![];
        }
        let own = self.registry.position();
        let near_half = Part::around(own, part.depth() + 1);
        let place = |peer: &Peer| {
            let position = self.position_of(&peer.node);
            (peer.state(now) == PeerState::Offline, own.distance(position), peer.node)
        };
        let nearest = |half: Part, count| {
            let in_half = self.peers.values().filter(|peer| half.covers(self.position_of(&peer.node)));
            let mut mates: Vec<_> = in_half.map(place).collect();
            mates.sort_unstable();
            mates.into_iter().take(count).map(|(.., node)| node).collect::<Vec<_>>()
        };
        [nearest(near_half, MATES_KEPT), nearest(near_half.sibling(), MATES_KEPT)].concat()
    }

    /// Offers rest to those that we have a session with and do not want; whoever has carried packets since is wanted.
    fn rest_the_others(&mut self, now: Instant) {
        let traffic = |peer: &Peer| peer.shared.traffic();
        let connected: Vec<NodeId> = self.peers.connected().map(|peer| peer.node).collect();
        for node in connected {
            let Some(peer) = self.peers.get(&node) else { continue };
            let flows = peer.need.traffic != traffic(peer);
            let is_due = peer.need.offered.is_none_or(|at| now >= at + REST_INTERVAL);
            if !flows && (peer.is_wanted(now) || !is_due) {
                continue;
            }
            let Some(peer) = self.peers.get_mut(&node) else { continue };
            if flows {
                peer.need.traffic = traffic(peer);
                peer.use_it(now);
                continue;
            }
            peer.need.offered = Some(now);
            self.send(&node, &Message::Rest { is_agreed: false }, None);
        }
    }

    /// A peer says that it does not want the session any more, or agrees that nobody does.
    pub(super) fn consume_rest(&mut self, node: NodeId, is_agreed: bool, now: Instant) {
        let Some(peer) = self.peers.get(&node) else { return };
        let is_wanted = peer.is_wanted(now) || peer.need.traffic != peer.shared.traffic();
        if is_wanted && !is_agreed {
            return;
        }
        if !is_agreed {
            self.send(&node, &Message::Rest { is_agreed: true }, None);
        }
        self.close_circuits_to(&node, now);
        self.disconnect(node, now);
    }

    /// No way leads to a peer that is wanted: of those that it is linked to, that rest and that we can dial, some are wanted as well.
    pub(super) fn approach(&mut self, node: &NodeId, now: Instant) {
        let Some(state) = self.topology.state(node) else { return };
        let leads = |peer: &&Peer| {
            let is_linked = state.links.iter().any(|link| link.node == prefix_of(&peer.node));
            is_linked
                && peer.seeking == Seeking::Resting
                && self.topology.state(&peer.node).is_some_and(LinkState::may_be_dialled)
        };
        let leading: Vec<NodeId> =
            self.peers.values().filter(leads).take(APPROACHED_MAX).map(|peer| peer.node).collect();
        for node in leading {
            if let Some(peer) = self.peers.get_mut(&node) {
                peer.use_it(now);
                peer.hurry(now);
            }
        }
    }

    /// Whether a word of where a resting peer is makes it worth a try: while we are too few.
    pub(super) fn lacks_company(&self) -> bool {
        !self.keeps_everybody() && self.peers.connected().count() < ANCHORS_KEPT
    }
}

/// Why a session with a peer is wanted.
#[derive(Debug, Default)]
pub(crate) struct Need {
    /// We keep it whether it is used or not.
    pub(crate) is_kept: bool,
    /// Until then a packet, a ping or the peer itself wants it.
    until: Option<Instant>,
    /// What had flowed at the latest look.
    traffic: nat::Traffic,
    /// When we last said that we do not want it.
    offered: Option<Instant>,
}

impl Need {
    /// Whether it was used so lately that it may be used again.
    pub(crate) fn is_used(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// It is wanted for so long at least.
    pub(crate) fn note(&mut self, life: Duration, now: Instant) {
        self.until = self.until.max(Some(now + life));
    }
}
