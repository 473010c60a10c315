//! What the Node shows of itself, as the control protocol says it.

mod diagnosis;
mod route;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

pub(super) use diagnosis::{mesh, netcheck, why};
use overlay::{DhtView, Drops, PathView, PeerState, PeerView, PortMappingView, Remote, View};
pub(super) use route::{exit, routes};
use wire::address::ipv6_prefix;
use wire::credential::Claims;
use wire::service::Protocol;

use crate::front::FrontView;

/// What of a status the Node does not know.
pub(super) struct Surroundings<'a> {
    pub(super) interface: &'a str,
    pub(super) mtu: u32,
    pub(super) listen: Vec<String>,
    pub(super) uptime: Duration,
    pub(super) drops: &'a Drops,
    pub(super) outside: &'a Outside,
    pub(super) problems: Vec<String>,
    pub(super) names: Option<api::Names>,
    pub(super) guests: Vec<api::Guest>,
    pub(super) fronts: Vec<api::Front>,
    pub(super) exits: api::ExitsReply,
}

/// What of paths the Node does not know; the default is that nobody knows it.
#[derive(Debug, Default, Clone)]
pub(super) struct Outside {
    pub(super) port_mapping: PortMappingView,
    /// `None`: this node has nothing to do with the DHT.
    pub(super) dht: Option<DhtView>,
    /// The far ends of TCP connections that carry datagrams, by number.
    pub(super) streams: BTreeMap<u32, SocketAddr>,
}

/// The whole status.
pub(super) fn status(view: &View, around: Surroundings<'_>) -> api::StatusReply {
    let own = &view.own;
    let mut problems = view.problems.clone();
    problems.extend(around.problems);
    let api::ExitsReply { exits, allow_lan, is_offered: is_exit } = around.exits;
    api::StatusReply {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        network: Some(api::Network {
            name: view.network_name.to_string(),
            id: own.network.to_string(),
            ipv4_range: own.ipv4.trunc().to_string(),
            ipv6_prefix: ipv6_prefix(&own.network).to_string(),
            epoch: view.epoch,
        }),
        node: Some(api::Node {
            name: own.name.to_string(),
            id: own.node.to_string(),
            addresses: addresses(own),
            roles: roles(own),
        }),
        interface: Some(api::Interface { name: around.interface.to_owned(), mtu: around.mtu }),
        listen: around.listen,
        uptime_s: around.uptime.as_secs(),
        peers: view.peers.iter().map(|view| peer(view, around.outside)).collect(),
        drops: around.drops.counted().map(|(reason, count)| (reason.to_owned(), count)).collect(),
        problems,
        guests: around.guests,
        names: around.names,
        held: Some(api::Held {
            records: view.held.records as u64,
            shared_out: view.held.shared_out as u64,
            full_replication_max: view.held.full_replication_max as u64,
            parts: view.held.parts,
            is_complete: view.held.is_complete,
        }),
        fronts: around.fronts,
        exit: exits.into_iter().find(|exit| exit.is_chosen),
        allow_lan,
        is_exit,
    }
}

/// What is passed on for another host.
pub(super) fn front(front: FrontView) -> api::Front {
    let protocol = match front.protocol {
        Protocol::Tcp => api::Protocol::Tcp,
        Protocol::Udp => api::Protocol::Udp,
    };
    api::Front {
        name: front.name.to_string(),
        version: front.version.map(|version| version.to_string()),
        protocol: protocol.into(),
        port: front.port.into(),
        to: front.target.to_string(),
        connections: u32::try_from(front.connections).unwrap_or(u32::MAX),
        passed: front.counted.passed,
        refused: front.counted.refused,
        unreached: front.counted.unreached,
    }
}

/// Mesh addresses, IPv4 first.
pub(super) fn addresses(claims: &Claims) -> Vec<String> {
    vec![claims.ipv4.addr().to_string(), claims.ipv6().to_string()]
}

/// Roles as words.
pub(super) fn roles(claims: &Claims) -> Vec<String> {
    let mut roles = vec![if claims.roles.admin { "admin" } else { "member" }.to_owned()];
    if claims.roles.hop {
        roles.push("hop".to_owned());
    }
    roles
}

fn number(revision: wire::Revision) -> u32 {
    revision.number().into()
}

fn peer(view: &PeerView, outside: &Outside) -> api::Peer {
    let state = match view.state {
        PeerState::Connected => api::PeerState::Connected,
        PeerState::Connecting => api::PeerState::Connecting,
        PeerState::Offline => api::PeerState::Offline,
        PeerState::Resting => api::PeerState::Resting,
        PeerState::Revoked => api::PeerState::Revoked,
    };
    api::Peer {
        name: view.name.to_string(),
        id: view.node.to_string(),
        addresses: view.addresses.iter().map(ToString::to_string).collect(),
        state: state.into(),
        path: Some(path(&view.path, view.round_trip, (view.loss_per_mille, view.mtu), outside)),
        rx_bytes: view.rx_bytes,
        tx_bytes: view.tx_bytes,
        rx_packets: view.rx_packets,
        tx_packets: view.tx_packets,
        last_handshake_s: view.last_handshake.map(|age| age.as_secs_f64()),
        clock_ahead_s: view.clock_ahead_s,
        revision: view.revision.map(number),
        revision_lowest: view.revisions.map(|revisions| number(revisions.lowest())),
        revision_highest: view.revisions.map(|revisions| number(revisions.highest())),
    }
}

/// A path, or none.
pub(super) fn path(
    view: &PathView,
    round_trip: Option<Duration>,
    (loss_per_mille, mtu): (Option<u16>, Option<u16>),
    outside: &Outside,
) -> api::Path {
    let mut path = api::Path {
        kind: api::PathKind::None.into(),
        rtt_ms: round_trip.map(|round_trip| round_trip.as_secs_f64() * 1000.0),
        loss_per_mille: loss_per_mille.map(u32::from),
        mtu: mtu.map(u32::from),
        ..api::Path::default()
    };
    match view {
        PathView::None => {}
        PathView::Via { hops, is_established } => {
            path.set_kind(api::PathKind::Hop);
            path.hops = hops.iter().map(|(_, name)| name.to_string()).collect();
            path.pending = !is_established;
        }
        PathView::Direct { remote: Remote::Udp { address, .. } } => {
            path.set_kind(api::PathKind::Direct);
            path.remote = Some(address.to_string());
        }
        PathView::Direct { remote: Remote::Stream(number) } => {
            path.set_kind(api::PathKind::Stream);
            path.remote = outside.streams.get(number).map(ToString::to_string);
        }
        // Which hops it takes is for the Node to say: it does so in a `Via`.
        PathView::Direct { remote: Remote::Circuit(_) } => path.set_kind(api::PathKind::Hop),
    }
    path
}
