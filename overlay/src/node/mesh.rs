//! Who reaches whom without a hop, as people are shown it: our own links, and what link states tell of the others'.

use super::Node;
use crate::limits::{LINKS_TOLD_MAX, MESH_SHOWN_MAX};
use nat::prefix_of;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wire::record::LinkState;
use wire::{Name, NatProfile, NodeId};

/// A picture of the links between members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshView {
    /// By name; ourselves, and members that have told of their links.
    pub nodes: Vec<MeshNode>,
    /// How many more there are that are not in the picture.
    pub left_out: usize,
}

/// What one node tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshNode {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: Name,
    /// Whether it passes packets on for others.
    pub is_hop: bool,
    /// Whether it is an anchor.
    pub is_anchor: bool,
    /// What is before it.
    pub profile: NatProfile,
    /// Nodes of the picture that it has a path to without a hop, as either end tells, and the round trip; by id.
    pub links: BTreeMap<NodeId, Duration>,
}

impl Node {
    /// The picture at this moment.
    #[must_use]
    pub fn mesh(&self) -> MeshView {
        let own = self.own_mesh_node();
        let told = |(node, state): (&NodeId, &LinkState)| MeshNode {
            node: *node,
            name: self.name_of(node),
            is_hop: state.is_hop,
            is_anchor: state.is_anchor,
            profile: state.profile,
            links: BTreeMap::new(),
        };
        let others = self.topology.states().filter(|(node, _)| **node != own.node);
        let mut nodes: Vec<MeshNode> = others.map(told).collect();
        // Those that carry for others are what holds the picture together.
        nodes.sort_by_cached_key(|node| (!node.is_anchor, node.name.clone(), node.node));
        let left_out = nodes.len().saturating_sub(MESH_SHOWN_MAX - 1);
        nodes.truncate(MESH_SHOWN_MAX - 1);
        nodes.push(own);
        self.tie(&mut nodes);
        nodes.sort_by(|a, b| (&a.name, a.node).cmp(&(&b.name, b.node)));
        MeshView { nodes, left_out }
    }

    /// Ourselves, and what we know better than our own record.
    fn own_mesh_node(&self) -> MeshNode {
        let node = self.identity.node();
        MeshNode {
            node,
            name: self.name_of(&node),
            is_hop: self.hop.params.enabled,
            is_anchor: self.reach.is_anchor,
            profile: self.reach.profile,
            links: BTreeMap::new(),
        }
    }

    /// Enters the links between these nodes at both of their ends.
    fn tie(&self, nodes: &mut [MeshNode]) {
        let own = self.identity.node();
        let shown: BTreeSet<NodeId> = nodes.iter().map(|node| node.node).collect();
        let mut links = self.links_of_others(&shown);
        // Of our own only what we see ourselves counts.
        for (other, ms) in self.links().into_iter().filter(|(other, _)| shown.contains(other)) {
            links.insert((own.min(other), own.max(other)), Duration::from_millis(ms.into()));
        }
        let mut ends: BTreeMap<NodeId, BTreeMap<NodeId, Duration>> = BTreeMap::new();
        for ((a, b), round_trip) in links {
            ends.entry(a).or_default().insert(b, round_trip);
            ends.entry(b).or_default().insert(a, round_trip);
        }
        for node in nodes {
            node.links = ends.remove(&node.node).unwrap_or_default();
        }
    }

    /// Links with neither end at us, the lower id first.
    fn links_of_others(&self, shown: &BTreeSet<NodeId>) -> BTreeMap<(NodeId, NodeId), Duration> {
        let own = self.identity.node();
        let by_prefix: BTreeMap<u64, NodeId> =
            shown.iter().filter(|node| **node != own).map(|node| (prefix_of(node), *node)).collect();
        let mut links = BTreeMap::new();
        for (node, state) in self.topology.states().filter(|(node, _)| shown.contains(*node)) {
            let told = state.links.iter().filter_map(|link| Some((*by_prefix.get(&link.node)?, link)));
            for (other, link) in told.filter(|(other, _)| other != node && !self.denies(other, node)) {
                let round_trip = Duration::from_millis(link.round_trip_ms.into());
                links.insert((*node.min(&other), *node.max(&other)), round_trip);
            }
        }
        links
    }

    /// Whether a node tells all its links, and none to this other one: what the other one tells of it is old then.
    fn denies(&self, node: &NodeId, other: &NodeId) -> bool {
        let denies = |state: &LinkState| {
            state.links.len() < LINKS_TOLD_MAX && state.links.iter().all(|link| link.node != prefix_of(other))
        };
        self.keeps_everybody() && self.topology.state(node).is_some_and(denies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::tests::lab::Lab;

    const MINUTE: Duration = Duration::from_secs(60);

    fn ends(view: &MeshView, node: NodeId) -> Vec<NodeId> {
        let found = view.nodes.iter().find(|shown| shown.node == node);
        found.map(|shown| shown.links.keys().copied().collect()).unwrap_or_default()
    }

    #[test]
    fn links_of_others_are_shown_at_both_ends_as_they_tell_them() {
        let mut lab = Lab::with(&["b", "c"]);
        lab.run(MINUTE);
        let [a, b, c] = [0, 1, 2].map(|at| lab.id(at));
        let view = lab.machines[0].node.mesh();
        assert_eq!(view.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        for (node, mut others) in [(a, [b, c]), (b, [a, c]), (c, [a, b])] {
            others.sort();
            assert_eq!(ends(&view, node), others);
        }
        let link = view.nodes[1].links[&c];
        assert_eq!((link, view.left_out), (2 * lab.latency, 0));
    }

    #[test]
    fn whoever_fell_silent_has_no_link_to_us_and_whoever_was_revoked_is_not_shown() {
        let mut lab = Lab::with(&["b", "c"]);
        lab.run(MINUTE);
        let [a, b, c] = [0, 1, 2].map(|at| lab.id(at));
        lab.machines[1].is_up = false;
        lab.run(5 * MINUTE);
        let view = lab.machines[0].node.mesh();
        assert_eq!(ends(&view, a), [c]);
        assert_eq!(ends(&view, b), [], "what it told before counts no more");
        lab.command(0, |node, now| node.revoke("b", now)).unwrap();
        lab.run(MINUTE);
        let view = lab.machines[0].node.mesh();
        assert_eq!(view.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn of_many_anchors_come_first_and_the_rest_is_counted() {
        let mut lab = Lab::new();
        let node = &mut lab.machines[0].node;
        for n in 0..=299_u16 {
            let mut id = [7; NodeId::LENGTH];
            id[..2].copy_from_slice(&n.to_be_bytes());
            let state = LinkState {
                is_hop: true,
                is_anchor: n == 299,
                profile: NatProfile::default(),
                stream_port: None,
                links: vec![],
            };
            node.topology.handle_state(NodeId(id), Some(state));
        }
        let view = node.mesh();
        assert_eq!((view.nodes.len(), view.left_out), (MESH_SHOWN_MAX, 301 - MESH_SHOWN_MAX));
        assert!(view.nodes.iter().any(|shown| shown.is_anchor));
    }
}
