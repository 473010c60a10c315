//! Through whom a node can be reached: the link state of all members, and the quickest routes over it.
//!
//! A link counts when either end tells of it; what a node tells of links between others does not exist. A route that
//! failed lately is dearer for a while, so that another is tried, and it again when there is no other.

use crate::limits::{HOP_COST_MS, HOPS_MAX, PENALTY_MS, PENALTY_TIME};
use std::collections::BTreeMap;
use std::time::Instant;
use wire::NodeId;
use wire::record::LinkState;

/// A way to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The hops, in order; at least one.
    pub hops: Vec<NodeId>,
    /// Expected round trip in milliseconds, and what hops and failures add to it.
    pub cost_ms: u32,
}

/// The link state of all members.
#[derive(Debug, Default)]
pub struct Topology {
    states: BTreeMap<NodeId, LinkState>,
    penalties: BTreeMap<NodeId, Instant>,
}

/// The first bytes of a node's id, by which link states name it.
#[must_use]
pub fn prefix_of(node: &NodeId) -> u64 {
    u64::from_be_bytes(*node.0.first_chunk().expect("an id is longer than its prefix"))
}

impl Topology {
    /// Takes what a node says of itself; `None` when it is no member any more.
    pub fn handle_state(&mut self, node: NodeId, state: Option<LinkState>) {
        match state {
            Some(state) => self.states.insert(node, state),
            None => self.states.remove(&node),
        };
    }

    /// What a node says of itself.
    #[must_use]
    pub fn state(&self, node: &NodeId) -> Option<&LinkState> {
        self.states.get(node)
    }

    /// All that is known, by node.
    pub fn states(&self) -> impl Iterator<Item = (&NodeId, &LinkState)> {
        self.states.iter()
    }

    /// A circuit through these hops failed.
    pub fn handle_failure(&mut self, hops: &[NodeId], now: Instant) {
        self.penalties.retain(|_, until| now < *until);
        self.penalties.extend(hops.iter().map(|hop| (*hop, now + PENALTY_TIME)));
    }

    /// The quickest route to every node that hops reach, from our own links: nodes and round trips in milliseconds.
    #[must_use]
    pub fn routes(&self, own: &[(NodeId, u32)], now: Instant) -> BTreeMap<NodeId, Route> {
        let edges = self.edges();
        // Nodes that were reached better in the last round; in round n all routes of n hops are known.
        let mut best: BTreeMap<NodeId, Route> =
            own.iter().map(|(node, ms)| (*node, Route { hops: vec![], cost_ms: *ms })).collect();
        let mut frontier: Vec<NodeId> = best.keys().copied().collect();
        for _ in 0..HOPS_MAX {
            let mut reached = BTreeMap::new();
            for hop in frontier {
                let (Some(route), true) = (best.get(&hop), self.is_hop(&hop)) else { continue };
                let penalty =
                    if self.penalties.get(&hop).is_some_and(|until| now < *until) { PENALTY_MS } else { 0 };
                let base = route.cost_ms + HOP_COST_MS + penalty;
                for (next, ms) in edges.get(&hop).into_iter().flatten() {
                    let cost_ms = base.saturating_add(*ms);
                    let known = reached.get(next).or(best.get(next)).map_or(u32::MAX, |r: &Route| r.cost_ms);
                    if cost_ms < known && !route.hops.contains(next) {
                        let hops = route.hops.iter().copied().chain([hop]).collect();
                        reached.insert(*next, Route { hops, cost_ms });
                    }
                }
            }
            frontier = reached.keys().copied().collect();
            best.extend(reached);
        }
        best.retain(|_, route| !route.hops.is_empty());
        best
    }

    /// The best route to one node, although we may reach it by ourselves: for when that path fails.
    #[must_use]
    pub fn route_around(&self, own: &[(NodeId, u32)], to: &NodeId, now: Instant) -> Option<Route> {
        let others: Vec<_> = own.iter().copied().filter(|(node, _)| node != to).collect();
        self.routes(&others, now).remove(to)
    }

    fn is_hop(&self, node: &NodeId) -> bool {
        self.states.get(node).is_some_and(|state| state.is_hop)
    }

    fn edges(&self) -> BTreeMap<NodeId, Vec<(NodeId, u32)>> {
        let by_prefix: BTreeMap<u64, NodeId> =
            self.states.keys().map(|node| (prefix_of(node), *node)).collect();
        let mut edges: BTreeMap<NodeId, Vec<(NodeId, u32)>> = BTreeMap::new();
        for (node, state) in &self.states {
            for link in &state.links {
                if let Some(other) = by_prefix.get(&link.node).filter(|other| *other != node) {
                    let ms = u32::from(link.round_trip_ms);
                    edges.entry(*node).or_default().push((*other, ms));
                    edges.entry(*other).or_default().push((*node, ms));
                }
            }
        }
        edges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::NatProfile;
    use wire::record::Link;

    fn node(n: u8) -> NodeId {
        NodeId([n; 32])
    }

    fn now() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant to begin with")]
        Instant::now()
    }

    fn topology(links: &[(u8, &[(u8, u16)])]) -> Topology {
        let mut topology = Topology::default();
        for (from, to) in links {
            let mut links: Vec<_> =
                to.iter().map(|(n, ms)| Link { node: prefix_of(&node(*n)), round_trip_ms: *ms }).collect();
            links.sort();
            let profile = NatProfile::default();
            let state = LinkState { is_hop: true, is_anchor: false, profile, stream_port: None, links };
            topology.handle_state(node(*from), Some(state));
        }
        topology
    }

    fn hops(topology: &Topology, own: &[(u8, u32)], to: u8) -> Option<Vec<u8>> {
        let own: Vec<_> = own.iter().map(|(n, ms)| (node(*n), *ms)).collect();
        Some(topology.routes(&own, now()).get(&node(to))?.hops.iter().map(|hop| hop.0[0]).collect())
    }

    #[test]
    fn a_line_is_walked_to_its_end_and_not_beyond_four_hops() {
        let line: Vec<_> = (1..=7).map(|n| (n, vec![(n + 1, 10)])).collect();
        let line: Vec<_> = line.iter().map(|(n, links)| (*n, &links[..])).collect();
        let topology = topology(&line);
        assert_eq!(hops(&topology, &[(1, 10)], 1), None, "we reach it by ourselves");
        assert_eq!(hops(&topology, &[(1, 10)], 2), Some(vec![1]));
        assert_eq!(hops(&topology, &[(1, 10)], 5), Some(vec![1, 2, 3, 4]));
        assert_eq!(hops(&topology, &[(1, 10)], 6), None);
    }

    #[test]
    fn the_quickest_wins_and_a_failure_makes_way_for_the_next() {
        let mut topology = topology(&[(1, &[(9, 50)]), (2, &[(9, 5)]), (9, &[])]);
        let own = [(1, 10), (2, 10)];
        assert_eq!(hops(&topology, &own, 9), Some(vec![2]));
        topology.handle_failure(&[node(2)], now());
        assert_eq!(hops(&topology, &own, 9), Some(vec![1]));
        topology.handle_failure(&[node(1)], now());
        assert_eq!(hops(&topology, &own, 9), Some(vec![2]), "when both failed the quicker one again");
        topology.handle_state(node(2), None);
        assert_eq!(hops(&topology, &own, 9), Some(vec![1]));
    }

    #[test]
    fn who_is_no_hop_is_an_end_only() {
        let mut topology = topology(&[(1, &[(9, 5)]), (9, &[(8, 5)]), (8, &[])]);
        assert_eq!(hops(&topology, &[(1, 10)], 8), Some(vec![1, 9]));
        let refusing = LinkState { is_hop: false, ..topology.state(&node(9)).unwrap().clone() };
        topology.handle_state(node(9), Some(refusing));
        assert_eq!((hops(&topology, &[(1, 10)], 8), hops(&topology, &[(1, 10)], 9)), (None, Some(vec![1])));
    }

    #[test]
    fn around_a_node_that_we_reach_by_ourselves() {
        let topology = topology(&[(1, &[(2, 5)]), (2, &[])]);
        let own = [(node(1), 10), (node(2), 1)];
        assert_eq!(topology.route_around(&own, &node(2), now()).unwrap().hops, [node(1)]);
    }
}
