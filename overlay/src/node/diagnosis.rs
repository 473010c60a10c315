//! What people are shown of paths: how a peer is reached, what stands between us and the others, and why a path is
//! not direct.
//!
//! Pictures only. Nothing here changes a Node or decides anything, and what is not known is said to be unknown:
//! a wrong word in a diagnosis costs somebody a night.

mod advice;

pub use advice::{Side, Situation, advise, nat_words, reason};

use super::Node;
use crate::peer::{Peer, PeerState, Seeking};
use nat::{PunchResult, Remote};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use wire::{Candidate, Name, NatProfile, NodeId};

/// How packets travel to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PathView {
    /// To the peer itself.
    Direct {
        /// Its far end.
        remote: Remote,
    },
    /// Through hops.
    Via {
        /// In the order in which packets pass them.
        hops: Vec<(NodeId, Name)>,
        /// Whether all of them have agreed to pass packets on.
        is_established: bool,
    },
    /// Not at all.
    #[default]
    None,
}

/// Whether something reaches other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Nobody knows yet.
    #[default]
    Unknown,
    /// It does.
    Works,
    /// It was tried, and does not.
    Blocked,
}

/// What stands between this node and the others, as far as the Node knows it.
#[derive(Debug, Clone, Default)]
pub struct Netcheck {
    /// The NAT or firewall before us.
    pub profile: NatProfile,
    /// Where others saw us send from, and who they are.
    pub observed: Vec<Observed>,
    /// Addresses of ours that enough of them agree on.
    pub reflexive: Vec<Candidate>,
    /// Where we tell others to dial us.
    pub candidates: Vec<Candidate>,
    /// Whether UDP reaches other nodes.
    pub udp: Reach,
    /// Whether TCP does.
    pub tcp: Reach,
    /// IPv6 beyond the own network.
    pub ipv6: Ipv6View,
    /// The anchors that we keep.
    pub anchors: Vec<AnchorView>,
    /// Whether we are one.
    pub is_anchor: bool,
    /// Beacons of members that were heard on the local network; `None`: nobody listens for them.
    pub beacons: Option<u64>,
    /// How often mappings are kept alive; `None` until it is known how long they live.
    pub keepalive: Option<Duration>,
}

/// Somebody saw us send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// From this address.
    pub address: SocketAddr,
    /// The name of a node, or what else was asked.
    pub by: String,
}

/// IPv6 beyond the own network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ipv6View {
    /// Whether we have a global address.
    pub has_address: bool,
    /// Whether it reaches others.
    pub reach: Reach,
}

/// An anchor that we keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorView {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: Name,
    /// How we reach it.
    pub remote: Remote,
    /// How long an answer takes.
    pub round_trip: Option<Duration>,
}

/// How far the router is with the port that it was asked for. Known only to the program around the Node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PortMappingView {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Switched off.
    Off,
    /// Routers are asked.
    Asking,
    /// A router passes a port on.
    Mapped {
        /// Asked by this protocol: `UPnP`, `PCP` or `NAT-PMP`.
        protocol: &'static str,
        /// At the router.
        external: SocketAddr,
    },
    /// No router did.
    Failed {
        /// Why, in words.
        why: String,
    },
}

/// How it goes with the DHT. Known only to the program around the Node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DhtView {
    /// Switched on.
    pub is_enabled: bool,
    /// Nodes of the DHT that are known.
    pub nodes: u32,
    /// Whether it has answered.
    pub is_bootstrapped: bool,
    /// Since we last said there where we are.
    pub last_published: Option<Duration>,
}

/// Why a peer is reached as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: Name,
    /// What is before us.
    pub ours: NatProfile,
    /// What is before the peer; `None` until it has told.
    pub theirs: Option<NatProfile>,
    /// How its packets travel now.
    pub path: PathView,
    /// Round trip of that path.
    pub round_trip: Option<Duration>,
    /// Of a thousand probes of that path, how many had no answer.
    pub loss_per_mille: Option<u16>,
    /// Longest packet that it carries, in bytes.
    pub mtu: Option<u16>,
    /// What was tried, latest first.
    pub attempts: Vec<WhyAttempt>,
    /// Until the next try.
    pub next_try: Option<Duration>,
    /// One sentence, without full stop: why the path is as it is.
    pub reason: String,
    /// Sentences: what would make it direct. One of them is enough.
    pub advice: Vec<String>,
}

/// One try to reach a peer directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyAttempt {
    /// How, in words.
    pub strategy: String,
    /// Datagrams that were sent for it.
    pub probes: u32,
    /// How long it took, or takes so far.
    pub took: Duration,
    /// What came of it, in words.
    pub result: String,
    /// How long ago it began.
    pub ago: Duration,
}

impl Node {
    /// How packets travel to a peer.
    pub(super) fn path_of(&self, peer: &Peer) -> PathView {
        let primary = peer.paths.primary().filter(|_| peer.is_connected());
        let named = |node: NodeId| (node, self.name_of(&node));
        match primary.or(peer.paths.circuit()) {
            Some(Remote::Circuit(label)) => PathView::Via {
                hops: self.hops_of(label).into_iter().map(named).collect(),
                is_established: primary.is_some(),
            },
            Some(remote @ (Remote::Udp { .. } | Remote::Stream(_))) => PathView::Direct { remote },
            None => PathView::None,
        }
    }

    /// What stands between us and the others at this moment.
    #[must_use]
    pub fn netcheck(&self, now: Instant) -> Netcheck {
        let remotes = || self.peers.values().filter_map(|peer| udp_address(&self.path_of(peer)));
        let works = |is_so: bool| if is_so { Reach::Works } else { Reach::Unknown };
        let by_stream = self
            .peers
            .values()
            .any(|peer| peer.is_connected() && matches!(peer.paths.primary(), Some(Remote::Stream(_))));
        let udp = match (remotes().next().is_some(), by_stream) {
            (true, _) => Reach::Works,
            // Where TCP gets through, UDP was tried for long before.
            (false, true) => Reach::Blocked,
            (false, false) => Reach::Unknown,
        };
        let observed = |(node, address): (&NodeId, &SocketAddr)| Observed {
            address: *address,
            by: self.name_of(node).to_string(),
        };
        Netcheck {
            profile: self.reach.profile,
            observed: self.reach.told.iter().map(observed).collect(),
            reflexive: self.reach.seen.reflexive(now),
            tcp: works(by_stream),
            anchors: self.anchors().into_iter().filter_map(|node| self.anchor_view(node)).collect(),
            is_anchor: self.reach.is_anchor,
            keepalive: self.keepalive.interval(),
            candidates: self.candidates.clone(),
            udp,
            ipv6: Ipv6View {
                has_address: self.candidates.iter().any(is_global_ipv6),
                reach: works(remotes().filter_map(Candidate::new).any(|remote| is_global_ipv6(&remote))),
            },
            ..Netcheck::default()
        }
    }

    fn anchor_view(&self, node: NodeId) -> Option<AnchorView> {
        let remote = self.straight_remote(&node)?;
        let round_trip = self.peers.get(&node)?.paths.round_trip();
        Some(AnchorView { node, name: self.name_of(&node), remote, round_trip })
    }

    /// Why a node is reached as it is; `None` when no such node is or was a member, and for ourselves.
    #[must_use]
    pub fn why(&self, node: &NodeId, now: Instant) -> Option<Why> {
        let view = self.view(now).peers.into_iter().find(|peer| peer.node == *node)?;
        let peer = self.peers.get(node);
        let targets = peer.map(|peer| peer.paths.candidates.targets()).unwrap_or_default();
        let netcheck = self.netcheck(now);
        let theirs = Side {
            profile: self.topology.state(node).map(|state| state.profile),
            has_ipv6: targets.iter().any(is_global_ipv6),
            ..Side::default()
        };
        let situation = Situation {
            peer: &view.name,
            path: &view.path,
            state: view.state,
            ours: Side {
                profile: Some(netcheck.profile),
                udp: netcheck.udp,
                has_ipv6: netcheck.ipv6.has_address,
                has_port_mapping: !self.reach.mapped.is_empty(),
            },
            theirs,
            has_anchor: netcheck.is_anchor || !netcheck.anchors.is_empty(),
            addresses: targets.len(),
        };
        let (mut attempts, asked_next) = peer.map_or((vec![], None), |peer| asked(peer, targets.len(), now));
        let ladder = peer.map(|peer| &peer.punching.ladder);
        attempts.extend(ladder.into_iter().flat_map(|ladder| punched(ladder, now)));
        let is_relayed = matches!(view.path, PathView::Via { .. });
        let next_punch = ladder.filter(|_| is_relayed).and_then(nat::Ladder::next_try);
        let next_try = asked_next.or(next_punch.map(|at| at.saturating_duration_since(now)));
        let (reason, advice) = match peer.and_then(|peer| self.apart(peer, now)) {
            Some((why, what)) => (why, vec![what]),
            None => (reason(&situation), advise(&situation)),
        };
        Some(Why {
            ours: netcheck.profile,
            theirs: theirs.profile,
            attempts,
            next_try: next_try.filter(|_| view.state != PeerState::Revoked),
            reason,
            advice,
            round_trip: view.round_trip,
            loss_per_mille: view.loss_per_mille,
            mtu: view.mtu,
            path: view.path,
            name: view.name,
            node: view.node,
        })
    }
}

/// The initiations that go out while there is no session, as the one attempt that they are.
fn asked(peer: &Peer, addresses: usize, now: Instant) -> (Vec<WhyAttempt>, Option<Duration>) {
    let Seeking::Asking { attempts, since, next } = peer.seeking else { return (vec![], None) };
    let took = now.saturating_duration_since(since);
    let addresses = u32::try_from(addresses).unwrap_or(u32::MAX);
    let attempt = WhyAttempt {
        strategy: "handshake with every known address".to_owned(),
        probes: attempts.saturating_mul(addresses),
        took,
        result: "no answer yet".to_owned(),
        ago: took,
    };
    let attempts = if attempt.probes > 0 { vec![attempt] } else { vec![] };
    (attempts, Some(next.saturating_duration_since(now)))
}

/// What was tried to get through the NATs, latest first.
fn punched(ladder: &nat::Ladder, now: Instant) -> impl Iterator<Item = WhyAttempt> + '_ {
    ladder.history().rev().map(move |attempt| WhyAttempt {
        strategy: attempt.strategy.to_string(),
        probes: attempt.probes,
        took: attempt.lasted,
        result: match attempt.result {
            PunchResult::Won { address, .. } => format!("answered at {address}"),
            PunchResult::Failed => "no answer".to_owned(),
        },
        ago: now.saturating_duration_since(attempt.begun),
    })
}

fn udp_address(path: &PathView) -> Option<SocketAddr> {
    match path {
        PathView::Direct { remote } => remote.address(),
        PathView::Via { .. } | PathView::None => None,
    }
}

/// Whether the address is one of 2000::/3, the part of IPv6 that is routed between networks.
fn is_global_ipv6(candidate: &Candidate) -> bool {
    match candidate.socket_address().ip() {
        IpAddr::V6(ip) => ip.segments()[0] >> 13 == 1,
        IpAddr::V4(_) => false,
    }
}

#[cfg(test)]
mod tests;
