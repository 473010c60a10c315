//! The JSON that programs read: field names are a promise, later versions add and never rename.

mod diagnosis;
mod exit;
mod route;
mod service;

use std::collections::BTreeMap;

use api::{PathKind, PeerState};
use serde::Serialize;

pub(super) use diagnosis::{Netcheck, Why, dependence_word, ports_word, reach_word};
pub(super) use exit::exit_json;
pub(super) use route::route_json;
pub(super) use service::{Change, Instance, Service, protocol_word};

/// `status`.
#[derive(Debug, Serialize)]
pub(super) struct Status<'a> {
    version: &'a str,
    network: Network<'a>,
    node: Node<'a>,
    interface: Interface<'a>,
    listen: &'a [String],
    uptime_s: u64,
    peers: Vec<Peer<'a>>,
    drops: &'a BTreeMap<String, u64>,
    /// Absent where names are not answered.
    names: Option<Names<'a>>,
    /// Absent where the daemon is older.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Held>,
    /// WireGuard clients of all nodes; left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guests: Vec<Guest<'a>>,
    /// Only where this machine passes on for other hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fronts: Vec<Front<'a>>,
    /// Only while all traffic of this machine leaves by an exit.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<serde_json::Value>,
    /// With an exit: local networks are reached besides.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    allow_lan: bool,
    /// Whether this machine is an exit for others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_exit: bool,
    problems: &'a [String],
}

/// A WireGuard client.
#[derive(Debug, Serialize)]
pub(super) struct Guest<'a> {
    name: &'a str,
    host: &'a str,
    addresses: &'a [String],
    public_key: String,
    /// Of this machine's own guests only.
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<GuestTunnel<'a>>,
}

/// How a guest's tunnel is.
#[derive(Debug, Serialize)]
pub(super) struct GuestTunnel<'a> {
    remote: Option<&'a str>,
    last_handshake_s: Option<f64>,
    rx_bytes: u64,
    tx_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Front<'a> {
    name: &'a str,
    version: Option<&'a str>,
    protocol: &'static str,
    port: u32,
    to: &'a str,
    connections: u32,
    passed: u64,
    refused: u64,
    unreached: u64,
}

#[derive(Debug, Serialize)]
struct Held {
    records: u64,
    shared_out: u64,
    full_replication_max: u64,
    parts: u32,
    is_complete: bool,
}

#[derive(Debug, Default, Serialize)]
struct Network<'a> {
    name: &'a str,
    id: &'a str,
    ipv4_range: &'a str,
    ipv6_prefix: &'a str,
    epoch: u32,
}

#[derive(Debug, Default, Serialize)]
struct Node<'a> {
    name: &'a str,
    id: &'a str,
    addresses: &'a [String],
    roles: &'a [String],
}

#[derive(Debug, Serialize)]
struct Names<'a> {
    domain: &'a str,
    listen: &'a [String],
    host: &'a str,
}

#[derive(Debug, Default, Serialize)]
struct Interface<'a> {
    name: &'a str,
    mtu: u32,
}

/// One of `peers`, here and in `status`.
#[derive(Debug, Serialize)]
pub(super) struct Peer<'a> {
    name: &'a str,
    id: &'a str,
    addresses: &'a [String],
    state: &'static str,
    path: Path<'a>,
    rx_bytes: u64,
    tx_bytes: u64,
    rx_packets: u64,
    tx_packets: u64,
    last_handshake_s: Option<f64>,
    /// Only once it has told.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_ahead_s: Option<i64>,
    /// Only with a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u32>,
    /// Only once it has told.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision_lowest: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision_highest: Option<u32>,
}

/// How packets travel.
#[derive(Debug, Serialize)]
pub(super) struct Path<'a> {
    kind: &'static str,
    remote: Option<&'a str>,
    rtt_ms: Option<f64>,
    loss_per_mille: Option<u32>,
    /// Only once it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    /// Only of a path through hops.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    hops: &'a [String],
    /// Only while the hops have not agreed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pending: bool,
}

impl<'a> From<&'a api::StatusReply> for Status<'a> {
    fn from(reply: &'a api::StatusReply) -> Self {
        let network = reply.network.as_ref().map(|network| Network {
            name: &network.name,
            id: &network.id,
            ipv4_range: &network.ipv4_range,
            ipv6_prefix: &network.ipv6_prefix,
            epoch: network.epoch,
        });
        let node = reply.node.as_ref().map(|node| Node {
            name: &node.name,
            id: &node.id,
            addresses: &node.addresses,
            roles: &node.roles,
        });
        let interface = reply.interface.as_ref();
        let interface = interface.map(|interface| Interface { name: &interface.name, mtu: interface.mtu });
        Self {
            version: &reply.version,
            network: network.unwrap_or_default(),
            node: node.unwrap_or_default(),
            interface: interface.unwrap_or_default(),
            listen: &reply.listen,
            uptime_s: reply.uptime_s,
            peers: reply.peers.iter().map(Peer::from).collect(),
            drops: &reply.drops,
            names: reply.names.as_ref().map(|names| Names {
                domain: &names.domain,
                listen: &names.listen,
                host: &names.host,
            }),
            held: reply.held.as_ref().map(|held| Held {
                records: held.records,
                shared_out: held.shared_out,
                full_replication_max: held.full_replication_max,
                parts: held.parts,
                is_complete: held.is_complete,
            }),
            guests: reply.guests.iter().map(Guest::from).collect(),
            fronts: reply.fronts.iter().map(Front::from).collect(),
            exit: reply.exit.as_ref().map(exit_json),
            allow_lan: reply.allow_lan,
            is_exit: reply.is_exit,
            problems: &reply.problems,
        }
    }
}

impl<'a> From<&'a api::Guest> for Guest<'a> {
    fn from(guest: &'a api::Guest) -> Self {
        Self {
            name: &guest.name,
            host: &guest.host,
            addresses: &guest.addresses,
            public_key: data_encoding::BASE64.encode(&guest.public_key),
            tunnel: guest.is_own.then(|| GuestTunnel {
                remote: guest.remote.as_deref(),
                last_handshake_s: guest.last_handshake_s.map(thousandths),
                rx_bytes: guest.rx_bytes,
                tx_bytes: guest.tx_bytes,
            }),
        }
    }
}

impl<'a> From<&'a api::Front> for Front<'a> {
    fn from(front: &'a api::Front) -> Self {
        Self {
            name: &front.name,
            version: front.version.as_deref(),
            protocol: protocol_word(front.protocol()),
            port: front.port,
            to: &front.to,
            connections: front.connections,
            passed: front.passed,
            refused: front.refused,
            unreached: front.unreached,
        }
    }
}

impl<'a> From<&'a api::Peer> for Peer<'a> {
    fn from(peer: &'a api::Peer) -> Self {
        Self {
            name: &peer.name,
            id: &peer.id,
            addresses: &peer.addresses,
            state: state_word(peer.state()),
            path: Path::from(peer.path.as_ref()),
            rx_bytes: peer.rx_bytes,
            tx_bytes: peer.tx_bytes,
            rx_packets: peer.rx_packets,
            tx_packets: peer.tx_packets,
            last_handshake_s: peer.last_handshake_s.map(thousandths),
            clock_ahead_s: peer.clock_ahead_s,
            revision: peer.revision,
            revision_lowest: peer.revision_lowest,
            revision_highest: peer.revision_highest,
        }
    }
}

impl<'a> From<Option<&'a api::Path>> for Path<'a> {
    fn from(path: Option<&'a api::Path>) -> Self {
        Self {
            kind: kind_word(path.map_or(PathKind::None, api::Path::kind)),
            remote: path.and_then(|path| path.remote.as_deref()),
            rtt_ms: path.and_then(|path| path.rtt_ms).map(thousandths),
            loss_per_mille: path.and_then(|path| path.loss_per_mille),
            mtu: path.and_then(|path| path.mtu),
            hops: path.map_or(&[], |path| &path.hops),
            pending: path.is_some_and(|path| path.pending),
        }
    }
}

/// The word for a state, here and in tables.
pub(super) fn state_word(state: PeerState) -> &'static str {
    match state {
        PeerState::Connected => "connected",
        PeerState::Connecting => "connecting",
        PeerState::Resting => "resting",
        PeerState::Offline | PeerState::Unspecified => "offline",
        PeerState::Revoked => "revoked",
    }
}

/// The word for a kind of path, here and in tables.
pub(super) fn kind_word(kind: PathKind) -> &'static str {
    match kind {
        PathKind::Direct => "direct",
        PathKind::Hop => "via",
        PathKind::Stream => "stream",
        PathKind::None | PathKind::Unspecified => "none",
    }
}

/// Microseconds of a millisecond, milliseconds of a second: finer is noise.
pub(super) fn thousandths(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}
