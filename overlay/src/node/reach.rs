//! How we are reached: what others see of us, and what that makes of us.
//!
//! Every answer of a node that we reach without a hop says where it sees us. Members also try for us whether a datagram from
//! another port of theirs arrives: where that works for two that are unrelated, we are an anchor. Before a hard punch fresh
//! sockets ask as well, so that the peer can guess the ports of the ones to come.

use super::punching::PUNCH_FIRST;
use super::{Node, Output};
use crate::limits::{
    ANCHOR_LIFE, ANCHORS_KEPT, DIAL_BACK_INTERVAL, DIAL_BACK_TIME, DIAL_BACKS_MAX, SAMPLE_TIME, SAMPLES_MAX,
};
use nat::{DialBack, Observations, Remote, Side, SocketId, Witness};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use wire::control::Message;
use wire::{Candidate, Dependence, NatProfile, NodeId, Ports};

/// From here on, sockets are opened for samples.
const SAMPLE_FIRST: u16 = 2;

/// What is known of that.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// What others say of our address.
    pub(super) seen: Observations,
    /// The latest of those, for people.
    pub(super) told: BTreeMap<NodeId, SocketAddr>,
    /// The NAT before us.
    pub(super) profile: NatProfile,
    /// Whether unrelated members have dialled us.
    pub(super) is_anchor: bool,
    /// TCP port at which we take datagrams in a WebSocket.
    pub(super) stream_port: Option<u16>,
    /// Addresses of the machine's own interfaces.
    pub(super) local: Vec<Candidate>,
    /// Where a router passes on what comes for us.
    pub(super) mapped: Vec<Candidate>,
    /// Who dialled us back, and when.
    dialled: BTreeMap<NodeId, (IpAddr, Instant)>,
    /// Who was asked to, by the token that is to come.
    asked: BTreeMap<u64, (NodeId, Instant)>,
    last_asked: BTreeMap<NodeId, Instant>,
    /// When the next one is to be asked.
    next_ask: Option<Instant>,
    /// Pings from fresh sockets.
    samples: BTreeMap<u64, (SocketId, SocketAddr)>,
    sampling: Option<(u16, Instant)>,
}

impl Node {
    /// A node says where it sees us.
    pub(super) fn take_observation(
        &mut self,
        node: NodeId,
        remote: Remote,
        observed: Option<Candidate>,
        now: Instant,
    ) {
        let (Remote::Udp { socket, address }, Some(observed)) = (remote, observed) else { return };
        let observed = observed.socket_address();
        // A neighbour on the same private network says nothing of how we are seen beyond it.
        if self.members.is_inside_ip(observed.ip()) || (is_private(address.ip()) && is_private(observed.ip()))
        {
            return;
        }
        if socket == SocketId::MAIN && self.reach.told.insert(node, observed).is_none() {
            // Who has not said yet where it sees us is asked when it has.
            self.reach.next_ask = Some(now);
        }
        self.reach.seen.insert(Witness::Member(node), address, socket, observed, now);
        self.reach_changed(now);
    }

    /// A server that knows nothing of us, of STUN or of the DHT, says where it sees us.
    pub fn handle_observation(&mut self, server: SocketAddr, observed: SocketAddr, now: Instant) {
        let members = self.reach.told.len();
        // Servers speak only while members are too few to be believed by themselves.
        if members < 2 && !self.members.is_inside_ip(observed.ip()) {
            self.reach.seen.insert(Witness::Server(server), server, SocketId::MAIN, observed, now);
            self.reach_changed(now);
        }
    }

    /// A router passes on what comes for us at these addresses.
    pub fn handle_port_mapping(&mut self, external: Vec<Candidate>, now: Instant) {
        self.reach.mapped = external;
        self.reach_changed(now);
    }

    /// Takes the TCP port at which this machine takes datagrams in WebSockets.
    pub fn handle_stream_port(&mut self, port: Option<u16>, now: Instant) {
        self.reach.stream_port = port;
        self.links_changed(now);
    }

    /// What we tell of where we are, after something about it may have changed.
    pub(super) fn reach_changed(&mut self, now: Instant) {
        let local: Vec<SocketAddr> = self.reach.local.iter().map(Candidate::socket_address).collect();
        let mut profile = self.reach.seen.profile(&local, now);
        if !profile.translates && self.reach.told.values().any(|seen| local.contains(seen)) {
            // Seen as we are: there is no mapping that could depend on anybody.
            profile.mapping = Dependence::EndpointIndependent;
        }
        let known = self.reach.profile;
        if profile.ports == Ports::Unknown && profile.mapping == known.mapping {
            // Forgotten for want of fresh sockets, not another NAT: others need not hear of that, again and again.
            profile.ports = known.ports;
        }
        if profile != known {
            self.reach.profile = profile;
            self.links_changed(now);
        }
        let candidates = self.all_candidates(now);
        if candidates != self.candidates {
            self.candidates = candidates;
            self.announce(now);
        }
        self.note_reach(now);
    }

    /// Where we may be dialled: mapped, as seen from outside, then as the machine has them.
    pub(super) fn all_candidates(&self, now: Instant) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = Vec::new();
        let seen = self.reach.seen.reflexive(now);
        for candidate in self.reach.mapped.iter().chain(&seen).chain(&self.reach.local) {
            if !all.contains(candidate) && !self.members.is_inside(candidate) {
                all.push(*candidate);
            }
        }
        all.truncate(wire::record::CANDIDATES_MAX);
        all
    }

    /// What a call says of us.
    pub(super) fn own_side(&self, now: Instant) -> Side {
        let mut candidates = self.all_candidates(now);
        for tentative in self.reach.seen.tentative(now) {
            if !candidates.contains(&tentative) && candidates.len() < wire::record::CANDIDATES_MAX {
                candidates.push(tentative);
            }
        }
        let public = self.reach.seen.public(now).or(self.reach.seen.tentative(now).first().copied());
        Side { profile: self.reach.profile, candidates, public, predicted: self.reach.seen.predicted(now) }
    }

    /// Asks those that are due to try from another port whether we can be dialled.
    fn ask_to_dial_back(&mut self, now: Instant) {
        let places = DIAL_BACKS_MAX.saturating_sub(self.reach.asked.len());
        // Seldom anybody is due, and this is asked all the time.
        if places == 0 || self.reach.next_ask.is_none_or(|at| now < at) {
            return;
        }
        let is_due = |node: &&NodeId| {
            self.reach.last_asked.get(node).is_none_or(|last| now >= *last + DIAL_BACK_INTERVAL)
        };
        let due: Vec<NodeId> = self.reach.told.keys().filter(is_due).copied().collect();
        let asked: Vec<NodeId> =
            due.iter().filter(|node| self.may_dial_back(node)).take(places).copied().collect();
        if asked.len() < places {
            // Those that are not reached without a hop yet soon are.
            let soon = (asked.len() < due.len()).then_some(now + DIAL_BACK_TIME);
            let later = self.reach.last_asked.values().map(|at| *at + DIAL_BACK_INTERVAL);
            let own = (!asked.is_empty()).then_some(now + DIAL_BACK_INTERVAL);
            self.reach.next_ask = later.filter(|at| now < *at).chain(soon).chain(own).min();
        }
        for node in asked {
            self.reach.last_asked.insert(node, now);
            let Some(observed) = self.reach.told.get(&node).copied() else { continue };
            let token = self.random.u64();
            self.reach.asked.insert(token, (node, now));
            self.send(&node, &Message::DialBack { token, port: observed.port(), is_same_port: false }, None);
        }
    }

    /// Whether a datagram from another port of a node would say something of what stands before us. One behind a NAT that gives
    /// a port to each mapping does not know from where it would come; perhaps from one that a punch of ours has sent to.
    fn may_dial_back(&self, node: &NodeId) -> bool {
        let has_known_ports = self.topology.state(node).is_some_and(|state| {
            !state.profile.translates || state.profile.mapping == Dependence::EndpointIndependent
        });
        let remote = self.straight_remote(node).and_then(|remote| remote.address());
        has_known_ports && remote.is_some_and(|remote| !self.is_neighbour(remote.ip()))
    }

    /// Whether a node is on this side of whatever stands before us: it reaches us, and says nothing of others.
    fn is_neighbour(&self, ip: IpAddr) -> bool {
        self.reach.local.iter().any(|own| subnet_of(own.socket_address().ip()) == subnet_of(ip))
    }

    /// A node that we do not reach without a hop any more: it does not count what it said.
    pub(super) fn forget_witness(&mut self, node: &NodeId) {
        self.reach.last_asked.remove(node);
        self.reach.told.remove(node);
    }

    /// A peer wants to know whether a datagram from another port arrives: at the address that we see it at, no other.
    pub(super) fn consume_dial_back(
        &mut self,
        node: NodeId,
        token: u64,
        (port, socket): (u16, SocketId),
        remote: Remote,
    ) {
        let Some(address) = remote.address() else { return };
        let address = SocketAddr::new(address.ip(), port);
        let to = Remote::Udp { socket, address };
        self.send(&node, &self.ping_to(&node, token), Some(to));
    }

    /// A ping came: perhaps one that we asked for.
    pub(super) fn note_dial_back(&mut self, node: NodeId, token: u64, remote: Remote, now: Instant) {
        let Some((asked, _)) = self.reach.asked.get(&token) else { return };
        if let (true, Some(address)) = (*asked == node, remote.address()) {
            self.reach.asked.remove(&token);
            self.reach.dialled.insert(node, (address.ip(), now));
            self.reach.seen.handle_dial_back(DialBack::OtherPort, true, now);
            self.judge_anchor(now);
            self.reach_changed(now);
        }
    }

    fn judge_anchor(&mut self, now: Instant) {
        self.reach.dialled.retain(|_, (_, at)| now < *at + ANCHOR_LIFE);
        let networks: BTreeSet<u32> = self.reach.dialled.values().map(|(ip, _)| network_of(*ip)).collect();
        let is_anchor = networks.len() >= 2;
        if is_anchor != self.reach.is_anchor {
            self.reach.is_anchor = is_anchor;
            self.links_changed(now);
        }
    }

    /// Opens fresh sockets that ask where they are seen, when that is worth knowing; whether they are at it.
    pub(super) fn sample(&mut self, now: Instant) -> bool {
        if self.reach.sampling.is_some() {
            return true;
        }
        let mut witnesses: Vec<(NodeId, Remote)> = vec![];
        for (node, _) in self.links() {
            let Some(remote @ Remote::Udp { address, .. }) = self.straight_remote(&node) else { continue };
            let is_new = |(_, other): &(NodeId, Remote)| {
                other.address().is_some_and(|other| network_of(other.ip()) != network_of(address.ip()))
            };
            if address.is_ipv4() && !is_private(address.ip()) && witnesses.iter().all(is_new) {
                witnesses.push((node, remote));
            }
        }
        witnesses.truncate(2);
        let Some(count) = self.reach.seen.wants_samples(now).filter(|_| !witnesses.is_empty()) else {
            return false;
        };
        let count = count.min(SAMPLES_MAX);
        self.outputs.push_back(Output::OpenSockets { first: SocketId(SAMPLE_FIRST), count });
        for socket in (SAMPLE_FIRST..SAMPLE_FIRST + count).map(SocketId) {
            for (node, remote) in &witnesses {
                let Some(address) = remote.address() else { continue };
                let token = self.random.u64();
                self.reach.samples.insert(token, (socket, address));
                self.send(node, &self.ping_to(node, token), Some(Remote::Udp { socket, address }));
            }
        }
        self.reach.sampling = Some((count, now + SAMPLE_TIME));
        true
    }

    /// An answer to a ping: whether it was one from a fresh socket.
    pub(super) fn take_sample(
        &mut self,
        (node, token): (NodeId, u64),
        remote: Remote,
        observed: Option<Candidate>,
        now: Instant,
    ) -> bool {
        let Some((socket, address)) = self.reach.samples.remove(&token) else { return false };
        if remote == (Remote::Udp { socket, address }) {
            self.take_observation(node, remote, observed, now);
        }
        if self.reach.samples.is_empty() {
            self.end_sampling();
        }
        true
    }

    fn end_sampling(&mut self) {
        self.reach.samples.clear();
        if let Some((count, _)) = self.reach.sampling.take() {
            self.outputs.push_back(Output::CloseSockets { first: SocketId(SAMPLE_FIRST), count });
        }
    }

    pub(super) fn run_reach_timers(&mut self, now: Instant) {
        if self.reach.sampling.is_some_and(|(_, until)| now >= until) {
            self.end_sampling();
        }
        let is_late = |(_, at): &(NodeId, Instant)| now >= *at + DIAL_BACK_TIME;
        if self.reach.asked.values().any(is_late) {
            self.reach.asked.retain(|_, entry| !is_late(entry));
            self.reach.seen.handle_dial_back(DialBack::OtherPort, false, now);
            self.judge_anchor(now);
            self.reach_changed(now);
        }
        self.ask_to_dial_back(now);
    }

    pub(super) fn reach_deadline(&self) -> Option<Instant> {
        let sampling = self.reach.sampling.map(|(_, until)| until);
        let asked = self.reach.asked.values().map(|(_, at)| *at + DIAL_BACK_TIME).min();
        // While as many are asked as may be, the end of one of them is what to wait for.
        let may_ask = self.reach.asked.len() < DIAL_BACKS_MAX;
        let again = self.reach.next_ask.filter(|_| may_ask);
        [sampling, asked, again].into_iter().flatten().min()
    }

    /// Members that we reach and that whoever cannot reach us may turn to, nearest first.
    pub(super) fn anchors(&self) -> Vec<NodeId> {
        let is_anchor = |node: &NodeId| self.topology.state(node).is_some_and(|state| state.is_anchor);
        let mut links = self.links();
        links.retain(|(node, _)| is_anchor(node));
        links.sort_by_key(|(_, ms)| *ms);
        links.into_iter().map(|(node, _)| node).take(ANCHORS_KEPT).collect()
    }
}

/// Whether this is a way by a socket that only tries something: dials others back, asks how it is seen, measures how long it is
/// remembered. To others it looks like us at another port, where no path shall lead.
pub(super) fn is_for_tests(remote: Remote) -> bool {
    matches!(remote, Remote::Udp { socket, .. } if socket != SocketId::MAIN && socket.0 < PUNCH_FIRST)
}

/// Whether an address has a meaning only near to us.
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback(),
    }
}

/// The first 24 bits of an IPv4 address or 64 of an IPv6 one: two in the same are on one segment, or may be.
fn subnet_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V4((u32::from(ip) >> 8 << 8).into()),
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
    }
}

/// The first 16 bits of an IPv4 address or 32 of an IPv6 one: two in the same may be one person's.
fn network_of(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip) >> 16,
        IpAddr::V6(ip) => (u128::from(ip) >> 96) as u32,
    }
}
