//! What is told of a node.

use std::cmp::Reverse;
use std::time::Duration;

use overlay::{Drops, Handshakes, PathView, PeerState, PeerView, Remote, Sent, View};

use super::exposition::{Exposition, Kind};
use super::tally::Tally;
use crate::dns::Counted;
use crate::front;

/// Peers that have samples of their own, those with the most traffic first. A network may have many thousands, and each is seven
/// series that somebody keeps.
pub const PEERS_MAX: usize = 1000;

/// What is passed on to other hosts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fronted {
    /// Services.
    pub fronts: usize,
    /// Connections, and clients that speak UDP.
    pub connections: usize,
    /// What was counted since the start.
    pub counted: front::Counted,
}

/// What a node looks like at the moment of a scrape.
#[derive(Debug)]
pub struct Observed<'a> {
    /// Its picture of itself and the others.
    pub view: &'a View,
    /// What was refused.
    pub drops: &'a Drops,
    /// What it has sent of its own accord.
    pub sent: &'a Sent,
    /// Handshakes that came to an end.
    pub handshakes: Handshakes,
    /// What has happened.
    pub tally: &'a Tally,
    /// What was asked of the DNS server; `None` where there is none.
    pub dns: Option<Counted>,
    /// What is passed on to other hosts.
    pub fronts: Fronted,
    /// Services that have a name in the network.
    pub services: usize,
    /// Things that are wrong.
    pub problems: usize,
    /// Longest packet of the interface, in bytes.
    pub mtu: u32,
    /// When the node came up, in seconds since 1970.
    pub started_unix_s: u64,
}

/// All of it as text.
#[must_use]
pub fn render(observed: &Observed<'_>) -> String {
    let mut out = Exposition::default();
    node(&mut out, observed);
    peers(&mut out, &observed.view.peers);
    traffic(&mut out, &observed.view.peers);
    changes(&mut out, observed);
    control(&mut out, observed.sent);
    let mut drops = out.family(
        "hopmesh_drops_total",
        Kind::Counter,
        "Packets, datagrams and messages that were refused, by reason.",
    );
    observed.drops.all().for_each(|(reason, count)| drops.sample(&[("reason", reason)], count));
    registry(&mut out, observed);
    fronts(&mut out, observed);
    if let Some(counted) = &observed.dns {
        dns(&mut out, counted);
    }
    out.finish()
}

fn node(out: &mut Exposition, observed: &Observed<'_>) {
    let view = observed.view;
    let version = env!("CARGO_PKG_VERSION");
    out.family("hopmesh_build_info", Kind::Gauge, "1, with the version of the daemon.")
        .sample(&[("version", version)], 1);
    let labels = [("network", view.network_name.as_str()), ("node", view.own.name.as_str())];
    out.family("hopmesh_node_info", Kind::Gauge, "1, with the names of the network and of this node.")
        .sample(&labels, 1);
    let start = observed.started_unix_s;
    out.single(
        "hopmesh_start_time_seconds",
        Kind::Gauge,
        "When the node came up, in seconds since 1970.",
        start,
    );
    let problems = observed.problems;
    out.single("hopmesh_problems", Kind::Gauge, "Things that `hopmesh status` says are wrong.", problems);
    out.single("hopmesh_interface_mtu_bytes", Kind::Gauge, "Longest packet of the interface.", observed.mtu);
    out.single(
        "hopmesh_epoch",
        Kind::Gauge,
        "Number of the epoch whose network secret is in use.",
        view.epoch,
    );
}

fn state_of(state: PeerState) -> &'static str {
    match state {
        PeerState::Connected => "connected",
        PeerState::Connecting => "connecting",
        PeerState::Resting => "resting",
        PeerState::Offline => "offline",
        PeerState::Revoked => "revoked",
    }
}

fn path_of(path: &PathView) -> &'static str {
    match path {
        PathView::None => "none",
        PathView::Direct { remote: Remote::Udp { .. } } => "direct",
        PathView::Direct { remote: Remote::Stream(_) } => "stream",
        PathView::Direct { remote: Remote::Circuit(_) } | PathView::Via { .. } => "hop",
    }
}

fn peers(out: &mut Exposition, peers: &[PeerView]) {
    let mut states = out.family("hopmesh_peers", Kind::Gauge, "Other nodes of the network, by state.");
    let all = [
        PeerState::Connected,
        PeerState::Connecting,
        PeerState::Resting,
        PeerState::Offline,
        PeerState::Revoked,
    ];
    for state in all {
        let count = peers.iter().filter(|peer| peer.state == state).count();
        states.sample(&[("state", state_of(state))], count);
    }
    let connected = || peers.iter().filter(|peer| peer.state == PeerState::Connected);
    let mut paths = out.family("hopmesh_paths", Kind::Gauge, "Connected peers, by kind of path.");
    for kind in ["direct", "stream", "hop", "none"] {
        paths.sample(&[("kind", kind)], connected().filter(|peer| path_of(&peer.path) == kind).count());
    }
    let chosen = chosen(peers);
    let mut trips = out.family(
        "hopmesh_peer_round_trip_seconds",
        Kind::Gauge,
        "Round trip of the path to a connected peer, as last measured.",
    );
    for peer in chosen.iter().filter(|peer| peer.state == PeerState::Connected) {
        if let Some(round_trip) = peer.round_trip {
            trips.sample(&[("peer", peer.name.as_str())], round_trip.as_secs_f64());
        }
    }
    let mut losses = out.family(
        "hopmesh_peer_loss_ratio",
        Kind::Gauge,
        "Share of the probes of the path to a connected peer that had no answer lately.",
    );
    for peer in chosen.iter().filter(|peer| peer.state == PeerState::Connected) {
        if let Some(loss) = peer.loss_per_mille {
            losses.sample(&[("peer", peer.name.as_str())], f64::from(loss) / 1000.0);
        }
    }
    let mut ages = out.family(
        "hopmesh_peer_last_handshake_age_seconds",
        Kind::Gauge,
        "How long ago the last handshake with a peer was.",
    );
    for peer in &chosen {
        if let Some(age) = peer.last_handshake {
            ages.sample(&[("peer", peer.name.as_str())], Duration::as_secs_f64(&age));
        }
    }
}

/// The peers that have samples of their own, by name.
fn chosen(peers: &[PeerView]) -> Vec<&PeerView> {
    let mut chosen: Vec<&PeerView> = peers.iter().filter(|peer| peer.state != PeerState::Revoked).collect();
    chosen.sort_by_key(|peer| Reverse(peer.rx_bytes.saturating_add(peer.tx_bytes)));
    chosen.truncate(PEERS_MAX);
    chosen.sort_by(|one, other| one.name.cmp(&other.name));
    chosen
}

/// One of a peer's counters.
type Counter = fn(&PeerView) -> u64;

/// There is no sum of them: a revoked peer would take its share out of it, and a counter may not fall.
const TRAFFIC: [(&str, &str, Counter); 4] = [
    ("hopmesh_peer_received_bytes_total", "Bytes of packets received from a peer.", |peer| peer.rx_bytes),
    ("hopmesh_peer_sent_bytes_total", "Bytes of packets sent to a peer.", |peer| peer.tx_bytes),
    ("hopmesh_peer_received_packets_total", "Packets received from a peer.", |peer| peer.rx_packets),
    ("hopmesh_peer_sent_packets_total", "Packets sent to a peer.", |peer| peer.tx_packets),
];

fn traffic(out: &mut Exposition, peers: &[PeerView]) {
    let chosen = chosen(peers);
    for (name, help, counter) in TRAFFIC {
        let mut family = out.family(name, Kind::Counter, help);
        chosen.iter().for_each(|peer| family.sample(&[("peer", peer.name.as_str())], counter(peer)));
    }
}

fn changes(out: &mut Exposition, observed: &Observed<'_>) {
    let tally = observed.tally;
    let mut family = out.family(
        "hopmesh_connects_total",
        Kind::Counter,
        "Peers that became connected, by kind of their first path.",
    );
    tally.connected.each().into_iter().for_each(|(kind, count)| family.sample(&[("kind", kind)], count));
    let mut family = out.family(
        "hopmesh_path_changes_total",
        Kind::Counter,
        "Changes of the path to a connected peer, by kind of the new one.",
    );
    tally.moved.each().into_iter().for_each(|(kind, count)| family.sample(&[("kind", kind)], count));
    let mut family = out.family(
        "hopmesh_disconnects_total",
        Kind::Counter,
        "Peers that are connected no more: silent, or closed by themselves.",
    );
    family.sample(&[("reason", "silent")], tally.lost);
    family.sample(&[("reason", "closed")], tally.closed);
    let mut family = out.family(
        "hopmesh_handshakes_total",
        Kind::Counter,
        "Handshakes by their outcome, rekeys included: a session that we or the peer began, or the peer's refusal.",
    );
    family.sample(&[("outcome", "initiated")], observed.handshakes.initiated);
    family.sample(&[("outcome", "answered")], observed.handshakes.answered);
    family.sample(&[("outcome", "refused")], tally.refused);
    out.single(
        "hopmesh_enrolments_total",
        Kind::Counter,
        "Nodes that joined by an invite of this node.",
        tally.enrolled,
    );
    out.single("hopmesh_revocations_total", Kind::Counter, "Nodes that were revoked.", tally.revoked);
}

fn control(out: &mut Exposition, sent: &Sent) {
    let mut family = out.family(
        "hopmesh_control_datagrams_total",
        Kind::Counter,
        "Datagrams that the node has sent of its own accord, by kind.",
    );
    sent.iter().for_each(|(kind, tally)| family.sample(&[("kind", kind)], tally.datagrams));
    let mut family =
        out.family("hopmesh_control_bytes_total", Kind::Counter, "Their UDP payload in bytes, by kind.");
    sent.iter().for_each(|(kind, tally)| family.sample(&[("kind", kind)], tally.bytes));
}

fn registry(out: &mut Exposition, observed: &Observed<'_>) {
    let held = &observed.view.held;
    out.single("hopmesh_registry_records", Kind::Gauge, "Records that this node holds.", held.records);
    out.single(
        "hopmesh_registry_shared_out",
        Kind::Gauge,
        "Records of services and claims among them, which count against the most.",
        held.shared_out,
    );
    out.single(
        "hopmesh_registry_shared_out_max",
        Kind::Gauge,
        "The most of these that this node is to hold.",
        held.full_replication_max,
    );
    out.single(
        "hopmesh_registry_parts",
        Kind::Gauge,
        "This node holds one of so many parts of all services and claims.",
        held.parts,
    );
    out.single(
        "hopmesh_registry_complete",
        Kind::Gauge,
        "1 when this node knows that it has all of its part, else 0.",
        u8::from(held.is_complete),
    );
    out.single(
        "hopmesh_services",
        Kind::Gauge,
        "Services with a name in the network, as far as this node knows.",
        observed.services,
    );
}

fn fronts(out: &mut Exposition, observed: &Observed<'_>) {
    let Fronted { fronts, connections, counted } = observed.fronts;
    out.single("hopmesh_fronts", Kind::Gauge, "Services that are passed on to other hosts.", fronts);
    out.single(
        "hopmesh_front_connections",
        Kind::Gauge,
        "Their connections, and clients that speak UDP, at this moment.",
        connections,
    );
    let mut family = out.family(
        "hopmesh_front_connections_total",
        Kind::Counter,
        "Connections and clients by outcome: passed on, one too many, or the target was not reached.",
    );
    let outcomes =
        [("passed", counted.passed), ("refused", counted.refused), ("unreached", counted.unreached)];
    outcomes.into_iter().for_each(|(outcome, count)| family.sample(&[("outcome", outcome)], count));
}

fn dns(out: &mut Exposition, counted: &Counted) {
    out.single("hopmesh_dns_questions_total", Kind::Counter, "Questions that came.", counted.questions);
    let mut family = out.family("hopmesh_dns_answers_total", Kind::Counter, "Answers, by outcome.");
    let outcomes = [
        ("found", counted.found),
        ("no_data", counted.without_data),
        ("nxdomain", counted.not_found),
        ("refused", counted.refused),
        ("faulty", counted.faulty),
    ];
    outcomes.into_iter().for_each(|(outcome, count)| family.sample(&[("outcome", outcome)], count));
    let mut family = out.family(
        "hopmesh_dns_forwarded_total",
        Kind::Counter,
        "Questions for the host's resolvers, by outcome: answered, by none of them, or one too many.",
    );
    let outcomes = [
        ("answered", counted.forward_answered),
        ("failed", counted.forward_failed),
        ("refused", counted.forward_refused),
    ];
    outcomes.into_iter().for_each(|(outcome, count)| family.sample(&[("outcome", outcome)], count));
    out.single(
        "hopmesh_dns_forward_unfit_total",
        Kind::Counter,
        "What came of the host's resolvers and was no answer to the question.",
        counted.forward_unfit,
    );
    out.single(
        "hopmesh_dns_truncated_total",
        Kind::Counter,
        "Answers that did not fit a datagram.",
        counted.truncated,
    );
    out.single(
        "hopmesh_dns_unsent_total",
        Kind::Counter,
        "Answers that the socket did not take.",
        counted.unsent,
    );
    out.single(
        "hopmesh_dns_strangers_total",
        Kind::Counter,
        "Questions and connections of nobody who may ask.",
        counted.strangers,
    );
    out.single(
        "hopmesh_dns_connections_refused_total",
        Kind::Counter,
        "Connections that were one too many.",
        counted.connections_refused,
    );
}
