//! The state that the page shows, as JSON: the words of `status` and `services`, and who reaches whom and why not directly.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use api::{MeshNode, MeshReply, PathKind, Peer, PeerState, ServicesReply, StatusReply, WhyReply};
use overlay::HOPS_MAX;
use overlay::limits::LINKS_TOLD_MAX;
use serde::Serialize;

use crate::cli::observe::path;
use crate::cli::view::{self, kind_word, state_word, thousandths};

/// Nodes on the map: more are a tangle. The first are this node, then peers that are connected, then anchors.
pub(super) const NODES_MAX: usize = 40;
/// Pairs of other nodes in the table.
pub(super) const PAIRS_MAX: usize = 300;
/// Up to this many nodes everybody keeps sessions with everybody and tells all its links: what is not told is not there.
const TELLING_ALL_MAX: usize = LINKS_TOLD_MAX + 1;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Picture<'a> {
    status: view::Status<'a>,
    nodes: Vec<Spot<'a>>,
    /// Members that are on no map.
    left_out: usize,
    reach: Vec<Reach<'a>>,
    /// Pairs that are in no table.
    pairs_left_out: usize,
    services: Vec<view::Service<'a>>,
    /// As `services --json` says it: 1 when all services are known.
    service_parts: u32,
}

/// A node on the map.
#[derive(Debug, Serialize)]
struct Spot<'a> {
    name: &'a str,
    id: &'a str,
    is_own: bool,
    state: &'static str,
    is_anchor: bool,
    /// What is before it; absent until it has told.
    nat: Option<&'a str>,
}

/// How two nodes reach each other.
#[derive(Debug, Serialize)]
struct Reach<'a> {
    from: &'a str,
    to: &'a str,
    from_id: &'a str,
    to_id: &'a str,
    /// direct, stream, via, none or unknown.
    kind: &'static str,
    /// For people.
    way: String,
    /// Names of the hops.
    hops: Vec<&'a str>,
    rtt_ms: Option<f64>,
    /// Why not directly; empty for a direct path.
    why: String,
}

impl<'a> Picture<'a> {
    pub(super) fn new(
        status: &'a StatusReply,
        mesh: &'a MeshReply,
        services: &'a ServicesReply,
        whys: &'a [WhyReply],
    ) -> Self {
        let nodes = spots(status, mesh);
        let known = status.peers.iter().filter(|peer| peer.state() != PeerState::Revoked).count() + 1;
        let shown: BTreeSet<&str> = nodes.iter().map(|node| node.id).collect();
        let own = status.node.as_ref();
        let mut reach: Vec<Reach<'a>> = own.map_or_else(Vec::new, |own| {
            let peers = status.peers.iter().filter(|peer| shown.contains(peer.id.as_str()));
            peers.map(|peer| own_reach(own, peer, whys)).collect()
        });
        let links = Links::new(mesh, known > TELLING_ALL_MAX);
        let others: Vec<&Spot<'a>> = nodes.iter().filter(|node| !node.is_own).collect();
        let pairs = others
            .iter()
            .enumerate()
            .flat_map(|(at, from)| others[at + 1..].iter().map(move |to| (from, to)));
        let mut pairs: Vec<_> = pairs.collect();
        let pairs_left_out = pairs.len().saturating_sub(PAIRS_MAX);
        pairs.truncate(PAIRS_MAX);
        reach.extend(pairs.into_iter().map(|(from, to)| links.reach(from, to)));
        Self {
            status: view::Status::from(status),
            left_out: known.saturating_sub(nodes.len()),
            nodes,
            reach,
            pairs_left_out,
            services: services.services.iter().map(view::Service::from).collect(),
            service_parts: services.parts,
        }
    }
}

/// This node, and the peers that come onto the map, by name.
fn spots<'a>(status: &'a StatusReply, mesh: &'a MeshReply) -> Vec<Spot<'a>> {
    let told: BTreeMap<&str, &'a MeshNode> = mesh.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let spot = |name: &'a str, id: &'a str, is_own: bool, state: &'static str| {
        let told = told.get(id);
        Spot {
            name,
            id,
            is_own,
            state,
            is_anchor: told.is_some_and(|node| node.is_anchor),
            nat: told.and_then(|node| node.nat.as_ref()).map(|nat| nat.words.as_str()),
        }
    };
    let peers = status.peers.iter().filter(|peer| peer.state() != PeerState::Revoked);
    let mut peers: Vec<(PeerState, Spot<'a>)> = peers
        .map(|peer| (peer.state(), spot(&peer.name, &peer.id, false, state_word(peer.state()))))
        .collect();
    peers.sort_by_key(|(state, spot)| (*state != PeerState::Connected, !spot.is_anchor, spot.name, spot.id));
    peers.truncate(NODES_MAX - 1);
    let mut peers: Vec<Spot<'a>> = peers.into_iter().map(|(_, spot)| spot).collect();
    peers.sort_by_key(|spot| (spot.name, spot.id));
    let own = status.node.iter().map(|node| spot(&node.name, &node.id, true, "this node"));
    own.chain(peers).collect()
}

/// How this node reaches a peer, which it knows best.
fn own_reach<'a>(own: &'a api::Node, peer: &'a Peer, whys: &'a [WhyReply]) -> Reach<'a> {
    let kind = peer.path.as_ref().map_or(PathKind::None, api::Path::kind);
    let why = whys.iter().find(|why| why.id == peer.id);
    let why = match (kind, peer.state(), why) {
        (PathKind::Direct, _, _) => String::new(),
        (_, PeerState::Resting, _) => "nobody needs a session now: the next packet makes one".to_owned(),
        (_, _, Some(why)) => {
            let advice = why.advice.first().map_or_else(String::new, |advice| format!("; to do: {advice}"));
            format!("{}{advice}", why.reason)
        }
        (_, _, None) => format!("see `hopmesh why {}`", peer.name),
    };
    Reach {
        from: &own.name,
        to: &peer.name,
        from_id: &own.id,
        to_id: &peer.id,
        kind: kind_word(kind),
        way: path(peer.path.as_ref()),
        hops: peer.path.as_ref().map_or_else(Vec::new, |path| path.hops.iter().map(String::as_str).collect()),
        rtt_ms: peer.path.as_ref().and_then(|path| path.rtt_ms).map(thousandths),
        why,
    }
}

/// What nodes tell of their links.
struct Links<'a> {
    nodes: BTreeMap<&'a str, &'a MeshNode>,
    /// Whether nodes that could reach each other need not have a link.
    is_large: bool,
}

impl<'a> Links<'a> {
    fn new(mesh: &'a MeshReply, is_large: bool) -> Self {
        Self { nodes: mesh.nodes.iter().map(|node| (node.id.as_str(), node)).collect(), is_large }
    }

    /// How two other nodes reach each other, as far as they have told.
    fn reach(&self, from: &Spot<'a>, to: &Spot<'a>) -> Reach<'a> {
        let [a, b] = [from, to].map(|spot| self.nodes.get(spot.id).copied());
        let link = a.and_then(|a| a.links.iter().find(|link| link.id == to.id));
        let plain = |kind, way: &str, why: String| Reach {
            from: from.name,
            to: to.name,
            from_id: from.id,
            to_id: to.id,
            kind,
            way: way.to_owned(),
            hops: vec![],
            rtt_ms: None,
            why,
        };
        if let Some(link) = link {
            return Reach {
                rtt_ms: Some(thousandths(link.rtt_ms)),
                ..plain("direct", "direct", String::new())
            };
        }
        let (Some(a), Some(b)) = (a, b) else {
            let silent = if a.is_none() { from.name } else { to.name };
            return plain("unknown", "not known", format!("{silent} has not told of its links"));
        };
        if self.is_large {
            let why = "they tell of no link; in a large network packets make one when it is needed";
            return plain("unknown", "not known", why.to_owned());
        }
        let before = |node: &MeshNode| node.nat.as_ref().map_or("not known", |nat| &nat.words).to_owned();
        let between = format!("before {}: {}; before {}: {}", a.name, before(a), b.name, before(b));
        match self.route(a, b) {
            Some(hops) => {
                let way = format!("via {}, as their links tell", hops.join(", "));
                Reach { hops, ..plain("via", &way, between) }
            }
            None => plain("none", "none", format!("no link leads from one to the other; {between}")),
        }
    }

    /// Names of the hops of a shortest way.
    fn route(&self, from: &'a MeshNode, to: &'a MeshNode) -> Option<Vec<&'a str>> {
        let mut next = VecDeque::from([(from, vec![])]);
        let mut seen = BTreeSet::from([from.id.as_str()]);
        while let Some((node, hops)) = next.pop_front() {
            for link in &node.links {
                if link.id == to.id {
                    return Some(hops);
                }
                let hop = self.nodes.get(link.id.as_str()).filter(|hop| hop.is_hop && hops.len() < HOPS_MAX);
                if let Some(hop) = hop.filter(|hop| seen.insert(&hop.id)) {
                    let hops = hops.iter().copied().chain([hop.name.as_str()]).collect();
                    next.push_back((hop, hops));
                }
            }
        }
        None
    }
}
