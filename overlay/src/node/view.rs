//! What people and programs are shown of a Node.

use super::Node;
use super::diagnosis::PathView;
use crate::peer::{Peer, PeerState};
use nat::Remote;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use wire::credential::Claims;
use wire::{Candidate, Commitment, Name, NodeId, Revision, Revisions};

/// A picture of the whole Node.
#[derive(Debug, Clone)]
pub struct View {
    /// Our own credentials' claims.
    pub own: Claims,
    /// The network's name.
    pub network_name: Name,
    /// Whether this machine holds the network's root key.
    pub has_root_key: bool,
    /// Number of the epoch whose network secret is in use here.
    pub epoch: u32,
    /// Stands for that secret: nodes that have the same have the same secret.
    pub commitment: Commitment,
    /// Whether we were revoked.
    pub is_revoked: bool,
    /// Where we may be dialled.
    pub candidates: Vec<Candidate>,
    /// All other nodes that are or were members, by name.
    pub peers: Vec<PeerView>,
    /// What is held of what everybody says.
    pub held: HeldView,
    /// Sentences for people: what is wrong and what to do.
    pub problems: Vec<String>,
}

/// A picture of the records that are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldView {
    /// Number of all records.
    pub records: usize,
    /// Number of services and claims among them that count against the most that are held.
    pub shared_out: usize,
    /// That.
    pub full_replication_max: usize,
    /// What is held of services and claims is one of so many parts.
    pub parts: u32,
    /// Whether all there is of it is here.
    pub is_complete: bool,
    /// Whether more of it is published than may be held, and too few others could hold it instead.
    pub overflows: bool,
}

/// A picture of one peer.
#[derive(Debug, Clone)]
pub struct PeerView {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: Name,
    /// Its mesh addresses.
    pub addresses: Vec<IpAddr>,
    /// How it is.
    pub state: PeerState,
    /// Remote address of the primary path.
    pub remote: Option<Remote>,
    /// How packets travel to it.
    pub path: PathView,
    /// Round trip of the primary path.
    pub round_trip: Option<Duration>,
    /// Of a thousand probes of the primary path, how many had no answer lately; `None` until that is measured.
    pub loss_per_mille: Option<u16>,
    /// Longest packet that the primary path carries, in bytes; `None` until that is measured.
    pub mtu: Option<u16>,
    /// Bytes of inner packets received.
    pub rx_bytes: u64,
    /// Bytes of inner packets sent.
    pub tx_bytes: u64,
    /// Inner packets received.
    pub rx_packets: u64,
    /// Inner packets sent.
    pub tx_packets: u64,
    /// Age of the latest handshake.
    pub last_handshake: Option<Duration>,
    /// How many seconds its clock is ahead of ours, or behind; `None` until it has told what it shows.
    pub clock_ahead_s: Option<i64>,
    /// The revision of the protocol that is spoken with it; `None` without a session.
    pub revision: Option<Revision>,
    /// Those that it speaks; `None` until it has told.
    pub revisions: Option<Revisions>,
}

impl Node {
    /// The picture at this moment.
    #[must_use]
    pub fn view(&self, now: Instant) -> View {
        let own = self.members.own().claims().clone();
        let mut peers: Vec<PeerView> =
            self.members.members().filter(|c| c.node != own.node).map(|c| self.peer_view(c, now)).collect();
        peers.extend(self.members.revoked().filter(|c| c.node != own.node).map(revoked_view));
        peers.sort_by(|a, b| (&a.name, a.node).cmp(&(&b.name, b.node)));
        View {
            network_name: self.members.network.name.clone(),
            has_root_key: self.members.network.root.is_some(),
            epoch: self.epoch(),
            commitment: Commitment::of(&self.members.id(), self.members.network.secrets.current()),
            is_revoked: self.is_revoked,
            candidates: self.candidates.clone(),
            held: self.held(),
            problems: self.problems(&peers, now),
            peers,
            own,
        }
    }

    /// What is held of what everybody says.
    #[must_use]
    pub fn held(&self) -> HeldView {
        HeldView {
            records: self.registry.len(),
            shared_out: self.registry.in_part(),
            full_replication_max: self.registry.full_replication_max(),
            parts: 1 << self.registry.part().depth(),
            overflows: self.registry.overflows(),
            is_complete: self.registry.part().is_within(self.known_part()),
        }
    }

    fn peer_view(&self, claims: &Claims, now: Instant) -> PeerView {
        let peer = self.peers.get(&claims.node);
        let (rx_bytes, tx_bytes) = peer.map_or((0, 0), |peer| peer.shared.bytes());
        let (rx_packets, tx_packets) = peer.map_or((0, 0), |peer| peer.shared.packets());
        let connected = peer.filter(|peer| peer.is_connected());
        PeerView {
            state: peer.map_or(PeerState::Offline, |peer| peer.state(now)),
            remote: connected.and_then(|peer| peer.paths.primary()),
            path: peer.map_or(PathView::None, |peer| self.path_of(peer)),
            round_trip: connected.and_then(|peer| peer.paths.round_trip()),
            loss_per_mille: connected.and_then(|peer| peer.paths.loss_per_mille()),
            mtu: connected
                .map(|peer| peer.path_mtu.mtu())
                .filter(|mtu| mtu.is_measured)
                .map(|mtu| mtu.length),
            rx_bytes,
            tx_bytes,
            rx_packets,
            tx_packets,
            last_handshake: peer.and_then(|p| p.last_handshake).map(|at| now.saturating_duration_since(at)),
            clock_ahead_s: peer.and_then(|peer| self.clock_ahead_s(peer, now)),
            revision: peer.and_then(Peer::revision),
            revisions: peer.and_then(|peer| peer.revisions),
            ..revoked_view(claims)
        }
    }
}

fn revoked_view(claims: &Claims) -> PeerView {
    PeerView {
        node: claims.node,
        name: claims.name.clone(),
        addresses: vec![IpAddr::V4(claims.ipv4.addr()), IpAddr::V6(claims.ipv6())],
        state: PeerState::Revoked,
        remote: None,
        path: PathView::None,
        round_trip: None,
        loss_per_mille: None,
        mtu: None,
        rx_bytes: 0,
        tx_bytes: 0,
        rx_packets: 0,
        tx_packets: 0,
        last_handshake: None,
        clock_ahead_s: None,
        revision: None,
        revisions: None,
    }
}
