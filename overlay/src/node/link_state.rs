//! Link state: what we tell of our links, what others tell of theirs, and the routes over all of them.

use super::Node;
use crate::limits::{
    CIRCUIT_RETRY, LINK_STATE_DELAY, LINK_STATE_INTERVAL, LINK_STATE_INTERVAL_ALONE, LINK_STATE_PAUSE,
    LINK_STATE_PAUSE_MAX, LINK_STATE_REST, LINKS_TOLD_MAX, ROUTES_LIFE,
};
use crate::peer::Peer;
use nat::{Route, prefix_of};
use std::collections::BTreeMap;
use std::time::Instant;
use wire::record::{Content, Key, Link, LinkState};
use wire::{Kind, NodeId};

/// Routes that were found, and when.
pub(super) struct Routes {
    routes: BTreeMap<NodeId, Route>,
    found: Instant,
}

impl Node {
    /// Takes what a node says of its links.
    pub(super) fn take_link_state(&mut self, node: NodeId, state: LinkState, now: Instant) {
        let lacks_a_way = |peer: &&Peer| peer.circuit_failures == 0;
        let lost: Vec<NodeId> = self.peers.missing().filter(lacks_a_way).map(|peer| peer.node).collect();
        for lost in lost {
            let leads_there = lost == node || state.links.iter().any(|link| link.node == prefix_of(&lost));
            let Some(peer) = self.peers.get_mut(&lost) else { continue };
            // There may be a route now, over this link or by way of it.
            let at = if leads_there { now } else { now + CIRCUIT_RETRY };
            peer.next_circuit = peer.next_circuit.min(at);
            if leads_there {
                self.routes_to_nodes = None;
            }
        }
        if let Some(peer) = self.peers.get_mut(&node) {
            // It lives, and perhaps elsewhere.
            peer.circuit_failures = 0;
            peer.tried_hops.clear();
            if !peer.is_connected() && !state.may_translate() {
                // It may be dialled: we waited for this word.
                peer.hurry(now);
            }
        }
        if node != self.identity.node() {
            self.topology.handle_state(node, Some(state));
        }
    }

    /// The best route to a peer through hops.
    pub(super) fn route_to(&mut self, node: &NodeId, now: Instant) -> Option<Route> {
        let mut own = self.links();
        if let Some(peer) = self.peers.get(node).filter(|peer| !peer.tried_hops.is_empty()) {
            own.retain(|(hop, _)| !peer.tried_hops.contains(hop));
            return self.topology.route_around(&own, node, now);
        }
        if own.iter().any(|(link, _)| link == node) {
            return self.topology.route_around(&own, node, now);
        }
        let is_old = |routes: &Routes| now >= routes.found + ROUTES_LIFE;
        if self.routes_to_nodes.as_ref().is_none_or(is_old) {
            let routes = self.topology.routes(&own, now);
            self.routes_to_nodes = Some(Routes { routes, found: now });
        }
        self.routes_to_nodes.as_ref()?.routes.get(node).cloned()
    }

    /// Our links may have changed: say so soon, if they have.
    pub(super) fn links_changed(&mut self, now: Instant) {
        self.routes_to_nodes = None;
        let lacks_a_way = |peer: &&Peer| peer.circuit_failures == 0;
        let lost: Vec<NodeId> = self.peers.missing().filter(lacks_a_way).map(|peer| peer.node).collect();
        for lost in lost {
            if let Some(peer) = self.peers.get_mut(&lost) {
                peer.next_circuit = peer.next_circuit.min(now + CIRCUIT_RETRY);
            }
        }
        let at = now + LINK_STATE_DELAY;
        self.next_link_state = self.next_link_state.min(at.max(self.last_link_state + self.link_state_pause));
    }

    pub(super) fn run_link_state_timer(&mut self, now: Instant) {
        if now >= self.next_link_state {
            let is_alone = self.peers.is_alone();
            self.next_link_state =
                now + if is_alone { LINK_STATE_INTERVAL_ALONE } else { LINK_STATE_INTERVAL };
            self.tell_links(now);
        }
    }

    fn tell_links(&mut self, now: Instant) {
        if self.is_revoked {
            return;
        }
        let key = Key { kind: Kind::LinkState, owner: self.identity.node(), name: String::new() };
        let told = self.registry.get(&key).and_then(|record| record.content(&self.members.id()).ok());
        let told = match &told {
            Some(Content::LinkState { state, .. }) => Some(state),
            _ => None,
        };
        let state = self.own_link_state(told);
        if told.is_some_and(|told| says_the_same(told, &state)) {
            return;
        }
        let is_restless = now < self.last_link_state + LINK_STATE_REST;
        self.link_state_pause = if is_restless {
            (self.link_state_pause * 2).min(LINK_STATE_PAUSE_MAX)
        } else {
            LINK_STATE_PAUSE
        };
        self.last_link_state = now;
        let node = self.identity.node();
        self.publish_record(&Content::LinkState { node, state }, &key, None, now);
    }

    fn own_link_state(&self, told: Option<&LinkState>) -> LinkState {
        let mut links = self.links();
        links.retain(|(node, _)| self.is_lasting(node));
        // Whoever carries for others comes first: it leads on to the rest.
        let is_anchor = |node: &NodeId| self.topology.state(node).is_some_and(|state| state.is_anchor);
        let is_told = |node: &NodeId| {
            told.is_some_and(|told| told.links.iter().any(|link| link.node == prefix_of(node)))
        };
        links.sort_by_cached_key(|(node, ms)| (!is_anchor(node), !is_told(node), *ms));
        let link = |(node, ms): &(NodeId, u32)| Link {
            node: prefix_of(node),
            round_trip_ms: u16::try_from(*ms).unwrap_or(u16::MAX),
        };
        let mut links: Vec<Link> = links.iter().take(LINKS_TOLD_MAX).map(link).collect();
        links.sort_unstable();
        LinkState {
            is_hop: self.hop.params.enabled,
            is_anchor: self.reach.is_anchor,
            profile: self.reach.profile,
            stream_port: self.reach.stream_port,
            links,
        }
    }
}

/// Whether the difference is not worth a record: the same links, and round trips much as they were.
fn says_the_same(told: &LinkState, now: &LinkState) -> bool {
    let near = |(a, b): (&Link, &Link)| {
        let difference = a.round_trip_ms.abs_diff(b.round_trip_ms);
        a.node == b.node && (difference <= 10 || difference <= a.round_trip_ms / 2)
    };
    let rest = |state: &LinkState| LinkState { links: vec![], ..state.clone() };
    rest(told) == rest(now)
        && told.links.len() == now.links.len()
        && told.links.iter().zip(&now.links).all(near)
}
