//! The Node: one state machine that decides everything but what happens to a single packet.
//!
//! ```text
//! new(params, now)                  handle_slow         what workers could not decide
//!                                   handle_packet       a packet for a peer without a session
//! poll_output(now) ─▶ Output        handle_candidates   where we may be dialled
//!                                   handle_persisted    a write is done
//!                                   invite, assign, revoke, ping, leave, close   what people want
//! ```
//!
//! Bytes, time and a seed go in; bytes and deadlines come out. The files beside this one, in the order of a
//! node's life: `handshake`, `established`, `control`, `records`, `epoch`, `policy`, `issuer`, `vouch`, `command`, `services`, `publishing`, `leases`, `share`, `finding`, `zone`, `review`, `revision`, `routes`,
//! `path_mtu`, `timers`, `view`, `problem`, `diagnosis`.

mod approval;
mod budgets;
mod circuit;
mod command;
mod company;
mod confirming;
mod control;
mod diagnosis;
mod discovery;
mod epoch;
mod established;
mod exit_budgets;
mod finding;
mod guests;
mod handshake;
mod indices;
mod issuer;
mod keepalive;
mod leases;
mod link_state;
mod mesh;
mod neighbours;
mod news;
mod output;
mod path_mtu;
mod policy;
mod problem;
mod publishing;
mod punching;
mod reach;
mod records;
mod review;
mod revision;
mod routes;
mod services;
mod share;
mod snapshot;
mod stream;
mod sync;
mod timers;
mod transit;
mod view;
mod vouch;
mod zone;

pub use command::{CommandError, InviteRequest, Selected};
pub(crate) use company::Need;
pub use diagnosis::{
    AnchorView, DhtView, Ipv6View, Netcheck, Observed, PathView, PortMappingView, Reach, Side, Situation,
    Why, WhyAttempt, advise, nat_words, reason,
};
pub use discovery::{Carriers, DhtEvent, DhtRequest, DhtState, HintSource};
pub use exit_budgets::ExitParams;
pub use mesh::{MeshNode, MeshView};
pub use output::{Event, Output, WaitReason};
pub(crate) use problem::ClockReading;
pub use problem::rough_time;
pub(crate) use punching::Punching;
pub use reach::is_private;
pub use routes::{ExitState, ExitView, HostRoutes, RouteRefusal, RouteState, RouteView, RouterView};
pub use services::{PublishError, Standing};
pub use stream::DialStreams;
pub use transit::HopParams;
pub use view::{HeldView, PeerView, View};

use crate::door::Door;
use crate::drops::{DropReason, Drops};
use crate::fastpath::SlowInput;
use crate::forwarding::{LabelTable, Labels};
use crate::gates::Gates;
use crate::guest::Guest;
use crate::identity::Identity;
use crate::limits::{
    COMPANY_ALL_MAX, LINK_STATE_DELAY, LINK_STATE_PAUSE, PEERS_MAX, REVIEW_INTERVAL, STAGED_PACKETS_TOTAL_MAX,
};
use crate::membership::Membership;
use crate::peer::Peer;
use crate::peers::Peers;
use crate::random::Random;
use crate::sent::{Handshakes, Sent};
use crate::service::Publication;
use crate::state::{Contact, IssuedInvite, Leases, Network, StateFile};
use crate::tables::Routes;
use indices::Indices;
use nat::{Remote, SocketId, Source, Topology};
use registry::{Guests, Registry, Services, Zone};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::datagram::Datagram;
use wire::handshake::Suite;
use wire::icmp::Unreachable;
use wire::{Candidate, NodeId, NoisePublicKey, Record, Revisions};

/// What a Node is made of.
pub struct Params {
    /// Its keys; `starts` has been counted up and written.
    pub identity: Identity,
    /// Its membership.
    pub network: Network,
    /// Invites that it made.
    pub invites: Vec<IssuedInvite>,
    /// Records that it knew.
    pub records: Vec<Record>,
    /// Where peers were reached.
    pub contacts: Vec<Contact>,
    /// What people have published here.
    pub publications: Vec<Publication>,
    /// Guests that it answered for.
    pub guests: Vec<Guest>,
    /// What it knew of leases.
    pub leases: Leases,
    /// Age at which a session is replaced ([`crate::limits::REKEY_AFTER`] unless configured).
    pub rekey_after: Duration,
    /// Ciphers that this machine is quick at, best first.
    pub suites: Vec<Suite>,
    /// Revisions of the protocol that it speaks: [`Revisions::OURS`], unless it is to be as an earlier or later version would be.
    pub revisions: Revisions,
    /// What it carries for others.
    pub hop: HopParams,
    /// What it forwards to the internet for others, as an exit.
    pub exit: ExitParams,
    /// Most services and claims that it holds: all, while there are no more ([`registry::limits::FULL_REPLICATION_MAX`] unless
    /// configured).
    pub full_replication_max: usize,
    /// When others are dialled over TCP.
    pub streams: DialStreams,
    /// Longest packet that the interface is ever to take, in bytes: what there is to find out of a path.
    pub mtu_max: u16,
    /// 32 bytes of entropy.
    pub seed: [u8; 32],
    /// The wall clock, seconds since 1970.
    pub unix_s: u64,
}

/// How often in a row what is done at one moment may make something else due at the same moment.
const AGAIN_MAX: usize = 8;

/// State that waits to be written.
#[derive(Debug, Default)]
struct Unwritten {
    records: Option<Instant>,
    contacts: Option<Instant>,
    /// Only after a write that failed: what depends on it is written at once.
    network: Option<Instant>,
    /// As well; until then the disk has what was before, and so has everybody.
    invites: Option<Instant>,
    services: Option<Instant>,
    guests: Option<Instant>,
    leases: Option<Instant>,
    /// The latest write of each file.
    tickets: BTreeMap<StateFile, u64>,
}

struct PendingPing {
    ticket: u64,
    token: u64,
    peer: NodeId,
    sent: Option<Instant>,
    until: Instant,
}

/// The state machine.
pub struct Node {
    identity: Identity,
    members: Membership,
    registry: Registry,
    services: Services,
    publishing: publishing::Publishing,
    confirming: confirming::Confirming,
    guests: Guests,
    hosting: guests::Hosting,
    zone: zone::ZoneState,
    subnets: routes::Subnets,
    peers: Peers,
    positions: Vec<Option<NodeId>>,
    indices: Indices,
    circuits: LabelTable<circuit::Circuit>,
    /// What workers know of them.
    labels: Labels,
    hop: transit::Hop,
    exit_budgets: exit_budgets::ExitBudgets,
    topology: Topology,
    routes_to_nodes: Option<link_state::Routes>,
    next_link_state: Instant,
    last_link_state: Instant,
    link_state_pause: Duration,
    sync: sync::Sync,
    shares: share::Shares,
    finding: finding::Finding,
    opening: BTreeSet<(Instant, u64)>,
    reach: reach::Reach,
    keepalive: keepalive::Keepalive,
    punches: u16,
    /// Sockets of attempts that are over, and when they are closed.
    closing: VecDeque<(Instant, SocketId, u16)>,
    dialling: stream::Dialling,
    mtu: path_mtu::InterfaceMtu,
    discovery: discovery::Discovery,
    company: company::Company,
    neighbours: neighbours::Neighbours,
    news: news::News,
    gates: Arc<Gates>,
    epochs: epoch::Epochs,
    door: Door,
    invites: Vec<IssuedInvite>,
    enrolments: Vec<issuer::Enrolment>,
    vouching: vouch::Vouching,
    drops: Arc<Drops>,
    sent: Sent,
    handshakes: Handshakes,
    random: Random,
    outputs: VecDeque<Output>,
    routes: Arc<Routes>,
    routes_are_old: bool,
    tables_are_old: bool,
    unwritten: Unwritten,
    pings: Vec<PendingPing>,
    candidates: Vec<Candidate>,
    is_revoked: bool,
    next_review: Instant,
    rekey_after: Duration,
    suites: Vec<Suite>,
    revisions: Revisions,
    started: Instant,
    started_unix_s: u64,
    last_timestamp: u64,
    tickets: u64,
    staged: usize,
}

impl Node {
    /// Makes a Node; it begins to ask every known peer for a session at the first poll.
    #[must_use]
    pub fn new(params: Params, now: Instant) -> Self {
        let mut random = Random::new(params.seed);
        let discovery = discovery::Discovery::new(&params.network.secrets, now);
        let zone = first_zone(&params);
        let mut node = Self {
            discovery,
            gates: Arc::new(Gates::new(&params.network.secrets, &params.identity.noise_key())),
            services: Services::default(),
            publishing: publishing::Publishing::new(params.publications, now),
            confirming: confirming::Confirming::default(),
            guests: Guests::default(),
            hosting: guests::Hosting::new(params.guests),
            zone: zone::ZoneState::new(zone, now),
            subnets: routes::Subnets::new(now),
            members: Membership::new(params.network),
            registry: Registry::of_node(params.identity.node(), params.full_replication_max),
            peers: Peers::default(),
            positions: vec![],
            indices: Indices::default(),
            circuits: LabelTable::default(),
            labels: Labels::default(),
            hop: transit::Hop::new(params.hop, now),
            exit_budgets: exit_budgets::ExitBudgets::new(params.exit),
            topology: Topology::default(),
            routes_to_nodes: None,
            next_link_state: now + LINK_STATE_DELAY,
            last_link_state: now,
            link_state_pause: LINK_STATE_PAUSE,
            sync: sync::Sync::new(now),
            shares: share::Shares::new(now),
            finding: finding::Finding::new(random.u64()),
            opening: BTreeSet::new(),
            reach: reach::Reach::default(),
            keepalive: keepalive::Keepalive::new(now),
            punches: 0,
            closing: VecDeque::new(),
            dialling: stream::Dialling::new(params.streams, now),
            mtu: path_mtu::InterfaceMtu::new(params.mtu_max),
            company: company::Company::new(now),
            neighbours: neighbours::Neighbours::new(params.identity.node(), random.u64(), now),
            news: news::News::default(),
            epochs: epoch::Epochs::default(),
            door: Door::new(&mut random, now),
            invites: params.invites,
            enrolments: vec![],
            vouching: vouch::Vouching::default(),
            drops: Arc::default(),
            sent: Sent::default(),
            handshakes: Handshakes::default(),
            random,
            outputs: VecDeque::new(),
            routes: Arc::default(),
            routes_are_old: true,
            tables_are_old: true,
            unwritten: Unwritten::default(),
            pings: vec![],
            candidates: vec![],
            is_revoked: false,
            next_review: now + REVIEW_INTERVAL,
            rekey_after: params.rekey_after,
            suites: params.suites,
            revisions: params.revisions,
            started: now,
            started_unix_s: params.unix_s,
            last_timestamp: 0,
            tickets: 0,
            staged: 0,
            identity: params.identity,
        };
        node.restore(params.records, params.leases, &params.contacts, now);
        node
    }

    fn restore(&mut self, records: Vec<Record>, leases: Leases, contacts: &[Contact], now: Instant) {
        for record in records {
            // What was believed before the restart is judged again: the rules may be stricter now.
            if self.speaks_of(record.body().kind)
                && let Ok(content) = record.content(&self.members.id())
                && !self.is_of_former_admin(&content)
                && !self.is_past_epoch(&content)
            {
                self.registry.insert(record, Duration::ZERO, now);
                self.apply(content, now);
            }
        }
        self.restore_issued(now);
        self.restore_leases(leases, now);
        for contact in contacts {
            self.learn_contact(contact, Source::Remembered, now);
        }
        self.announce(now);
        self.tell_of_guests(now);
        // For who asks before the first poll, which makes it again with what comes until then.
        self.make_zone(now);
        self.zone.made = None;
        self.outputs.clear();
    }

    /// Takes note of a peer whose keys are known from elsewhere than a record: remembered, or from an enrolment.
    pub fn learn_contact(&mut self, contact: &Contact, source: Source, now: Instant) {
        let is_out = self.members.chain(&contact.node).is_some_and(|chain| self.members.is_revoked(chain));
        if let (false, Some(peer)) = (is_out, self.ensure_peer(contact.node, contact.noise_key, now)) {
            peer.paths.handle_candidates(source, &contact.candidates);
        }
    }

    /// Takes what a worker could not decide.
    pub fn handle_slow(&mut self, input: SlowInput, remote: Remote, now: Instant) {
        match input {
            SlowInput::Datagram(bytes) => match Datagram::parse(&bytes) {
                Some(Datagram::Initiation(initiation)) => self.consume_initiation(&initiation, remote, now),
                Some(Datagram::Response(response)) => self.consume_response(&response, remote, now),
                Some(Datagram::CookieReply(reply)) => self.consume_cookie_reply(&reply, remote, now),
                Some(Datagram::Enrolment(message)) => self.consume_enrolment(&message, remote, now),
                Some(Datagram::Hint(message)) => self.consume_hint(&message, remote, now),
                Some(
                    Datagram::Data(_)
                    | Datagram::Unsummed(_)
                    | Datagram::Half(..)
                    | Datagram::Control(_)
                    | Datagram::Labelled(_)
                    | Datagram::WireGuard,
                ) => {
                    self.drops.count(DropReason::Unknown);
                }
                None => self.consume_server_answer(&bytes, remote, now),
            },
            SlowInput::Control { session, message } => {
                if let Some(node) = self.session_used(session, remote, now) {
                    self.consume_control(node, &message, remote, now);
                }
            }
            SlowInput::Carrying => self.consume_carrying(now),
            SlowInput::Exiting { peer } => self.consume_exiting(peer, now),
            SlowInput::Notice { session } => {
                self.session_used(session, remote, now);
            }
        }
    }

    /// Takes a packet for the peer at a position of the tables, which had no session, or nothing left in its budget.
    pub fn handle_packet(&mut self, position: usize, packet: Vec<u8>, now: Instant) {
        let node = self.positions.get(position).copied().flatten();
        let Some((node, peer)) = node.and_then(|node| Some((node, self.peers.get(&node)?))) else {
            self.refuse_packet(packet, Unreachable::NoRoute, DropReason::NoRoute);
            return;
        };
        let has_session = peer.is_connected();
        let primary = peer.paths.primary();
        let has_way = |label| self.first_hop(label).is_some();
        if has_session && !matches!(primary, Some(Remote::Circuit(label)) if !has_way(label)) {
            // Its budget at this exit was found used up, or the session, or the way to it, came between the worker's look and
            // now; it gets to know before it looks again.
            self.consume_exiting(position, now);
            if self.tables_are_old || self.routes_are_old {
                self.publish_tables();
            }
            self.outputs.push_back(Output::Release(vec![packet]));
            return;
        }
        let Some(peer) = self.peers.get_mut(&node) else { return };
        peer.use_it(now);
        peer.hurry(now);
        let full = self.staged >= STAGED_PACKETS_TOTAL_MAX;
        let refused = if full { Some(packet) } else { peer.stage(packet, now) };
        match refused {
            Some(packet) => self.refuse_packet(packet, Unreachable::HostUnreachable, DropReason::StagedFull),
            None => self.staged += 1,
        }
    }

    fn refuse_packet(&mut self, packet: Vec<u8>, reason: Unreachable, drop: DropReason) {
        self.drops.count(drop);
        self.outputs.push_back(Output::Unreachable { packet, reason });
    }

    /// Takes the addresses where this machine may be dialled, when they have changed or may have.
    pub fn handle_candidates(&mut self, candidates: Vec<Candidate>, now: Instant) {
        if candidates != self.reach.local {
            self.reach.seen.handle_local_change();
            self.reach.local = candidates;
            self.restart_punching(now);
            self.restart_keepalive(now);
            self.restart_discovery(now);
        }
        self.reach_changed(now);
        self.announce(now);
        for peer in self.peers.values_mut() {
            peer.paths.handle_local_change(now);
            if !peer.is_connected() {
                peer.hurry(now);
            }
        }
    }

    /// Takes the wall clock, seconds since 1970; leases and sessions go by monotonic time and do not care.
    pub fn handle_wall_clock(&mut self, unix_s: u64, now: Instant) {
        let was_wrong = self.must_know_the_time(now).is_err();
        self.started_unix_s = unix_s.saturating_sub(now.saturating_duration_since(self.started).as_secs());
        if was_wrong && self.must_know_the_time(now).is_ok() {
            // Whom we refused meanwhile, and who refused us, waits long for another attempt.
            self.peers.values_mut().filter(|peer| !peer.is_connected()).for_each(|peer| peer.ask_anew(now));
        }
    }

    fn unix_s(&self, now: Instant) -> u64 {
        self.started_unix_s + now.saturating_duration_since(self.started).as_secs()
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// The peer with this id, made when it is new; `None` for ourselves and beyond the limit.
    fn ensure_peer(&mut self, node: NodeId, noise_key: NoisePublicKey, now: Instant) -> Option<&mut Peer> {
        if node == self.identity.node() || self.is_revoked {
            return None;
        }
        if !self.peers.contains_key(&node) {
            if self.peers.len() >= PEERS_MAX {
                return None;
            }
            let position = self.positions.iter().position(Option::is_none).unwrap_or(self.positions.len());
            if position == self.positions.len() {
                self.positions.push(None);
            }
            self.positions[position] = Some(node);
            let seed = self.random.u64();
            let mut peer = Peer::new(node, position, noise_key, (seed, self.mtu.max()), now);
            if let Some(interval) = self.keepalive.interval() {
                peer.paths.handle_idle_interval(interval);
            }
            peer.need.is_kept = self.peers.len() < COMPANY_ALL_MAX;
            peer.seek(now);
            self.company_changed(now);
            self.peers.insert(node, peer);
            self.routes_are_old = true;
            self.note_member(node, now);
        }
        self.peers.get_mut(&node)
    }

    fn forget_peer(&mut self, node: &NodeId, now: Instant) {
        if let Some(mut peer) = self.peers.remove(node) {
            for held in peer.sessions.take_all() {
                self.indices.free(held.session.local_index);
            }
            for attempt in &peer.attempts {
                self.indices.free(attempt.local_index);
            }
            self.staged -= peer.staged.len();
            for staged in peer.staged {
                self.refuse_packet(staged.packet, Unreachable::NoRoute, DropReason::NoRoute);
            }
            self.positions[peer.position] = None;
            self.routes_are_old = true;
            self.close_circuits_to(node, now);
            self.close_circuits_by(*node, now);
            self.neighbour_gone(node, now);
            self.links_changed(now);
        }
    }

    /// Counters of drops, to be shared with the workers.
    #[must_use]
    pub fn drops(&self) -> Arc<Drops> {
        self.drops.clone()
    }

    /// What we have sent of our own accord, by kind.
    #[must_use]
    pub fn sent(&self) -> &Sent {
        &self.sent
    }

    /// Takes other settings: the age at which keys are replaced, what we carry for others, and what we forward as an exit.
    pub fn handle_settings(&mut self, rekey_after: Duration, hop: HopParams, exit: ExitParams, now: Instant) {
        self.rekey_after = rekey_after;
        if self.hop.set_params(hop) {
            self.links_changed(now);
        }
        self.routes_are_old |= self.exit_budgets.set_params(exit);
    }

    /// The handshakes that ended with a session, rekeys included.
    #[must_use]
    pub fn handshakes(&self) -> Handshakes {
        self.handshakes
    }

    /// What is to be done next. Call it after every input, until [`Output::Wait`].
    pub fn poll_output(&mut self, now: Instant) -> Output {
        if self.outputs.is_empty() {
            self.run_timers(now);
        }
        for _ in 0..AGAIN_MAX {
            let output = self.rest(now);
            let is_due = matches!(output, Output::Wait(deadline, _) if deadline <= now);
            if !is_due {
                return output;
            }
            // What was done for one peer has made something due for another.
            self.run_timers(now);
        }
        self.rest(now)
    }

    /// The next of what is queued; what to wait for when nothing is.
    fn rest(&mut self, now: Instant) -> Output {
        if self.outputs.is_empty() && (self.tables_are_old || self.routes_are_old) {
            self.publish_tables();
        }
        self.outputs.pop_front().unwrap_or_else(|| {
            let (deadline, reason) = self.next_deadline(now);
            Output::Wait(deadline, reason)
        })
    }
}

/// A zone without names, whose serial grows over restarts too, in seconds.
fn first_zone(params: &Params) -> Zone {
    let zone = Zone::empty(params.network.name.clone(), params.identity.node());
    Zone { serial: params.unix_s as u32, ..zone }
}

#[cfg(test)]
pub(crate) mod tests;
