//! A wire in memory for the tests of this crate: nodes and joiners in virtual time, and a hand that loses what it likes.
//!
//! Every machine has one underlay address, `192.0.2.N:7000`. After every poll it is checked that the next
//! deadline lies ahead, so that no test passes on a Node that would spin.

mod dht;
mod flight;
mod machine;

pub(crate) use dht::{Store, enter_dht, entered, ping_answer, tell};
pub(crate) use flight::GROUP;
pub(crate) use machine::{Applicant, Flight, Machine};

use crate::fastpath::{Outbound, Trains};
use crate::joiner::{JoinError, Joiner};
use crate::state::{Contact, Network, StateFile};
use crate::{DropReason, Identity, InviteRequest, Node, PeerState, PeerView, View};
use machine::start;
use nat::Remote;
use nat::Source;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::handshake::Suite;
use wire::invite::InviteRole;
use wire::{Invite, Name, NodeId, Revisions};

/// The wall clock when a lab begins, seconds since 1970.
pub(crate) const UNIX_S: u64 = 1_800_000_000;
const LATENCY: Duration = Duration::from_millis(10);

/// The wire, and all that hangs on it.
pub(crate) struct Lab {
    pub(crate) now: Instant,
    pub(crate) machines: Vec<Machine>,
    pub(crate) applicants: Vec<Applicant>,
    pub(crate) latency: Duration,
    /// Says of a datagram whether it is lost.
    pub(crate) lose: Box<dyn FnMut(&Flight) -> bool>,
    /// Everything that was ever sent, the lost included.
    pub(crate) sent: Vec<Flight>,
    /// Joiners reach the group of the LAN.
    pub(crate) is_lan: bool,
    /// The longest datagram that a machine sends in one piece.
    pub(crate) datagram_max: usize,
    /// Of machines that are added.
    pub(crate) full_replication_max: usize,
    began: Instant,
    /// Of whichever machine sends.
    trains: Trains,
    flights: BTreeMap<(Instant, usize), Flight>,
}

fn underlay(n: usize) -> Remote {
    Remote::udp(([192, 0, 2, n as u8], 7000).into())
}

/// An inner packet without a transport header: the fast path looks no further than the addresses.
pub(crate) fn packet(source: IpAddr, destination: IpAddr, payload: &[u8]) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let length = (20 + payload.len() as u16).to_be_bytes();
            let head = [0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, 253, 0, 0];
            [&head[..], &source.octets(), &destination.octets(), payload].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let length = (payload.len() as u16).to_be_bytes();
            let head = [0x60, 0, 0, 0, length[0], length[1], 253, 64];
            [&head[..], &source.octets(), &destination.octets(), payload].concat()
        }
        _ => panic!("one family"),
    }
}

/// An invite request for a member that may choose for itself.
pub(crate) fn any_member() -> InviteRequest {
    let life = Duration::from_secs(3600);
    InviteRequest { name: None, address: None, role: InviteRole::Member, life, services: vec![] }
}

impl Lab {
    /// A lab with the founder `a` of the network `home`, 10.7.0.0/24.
    pub(crate) fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
        let now = Instant::now();
        let mut lab = Self {
            now,
            machines: vec![],
            applicants: vec![],
            latency: LATENCY,
            lose: Box::new(|_| false),
            sent: vec![],
            is_lan: false,
            datagram_max: 1472,
            full_replication_max: registry::limits::FULL_REPLICATION_MAX,
            began: now,
            trains: Trains::new(),
            flights: BTreeMap::new(),
        };
        let identity = Identity::generate([1; 32]);
        let (name, range) = ("home".parse().unwrap(), "10.7.0.0/24".parse().unwrap());
        let network = crate::found(name, "a".parse().unwrap(), range, &identity, UNIX_S, [2; 32]);
        lab.add(identity, network, underlay(1), &[]);
        lab
    }

    /// A lab with the founder and members of these names, all connected to each other.
    pub(crate) fn with(names: &[&str]) -> Self {
        let mut lab = Self::new();
        names.iter().for_each(|name| {
            lab.enrol(name);
        });
        lab.run(Duration::from_secs(3));
        for i in 0..lab.machines.len() {
            for j in (0..lab.machines.len()).filter(|j| *j != i) {
                assert!(lab.connected(i, j), "{i} is connected to {j}");
            }
        }
        lab
    }

    /// A lab whose founder, admin `b`, and member `c` are connected.
    pub(crate) fn with_two_admins() -> Self {
        let mut lab = Self::new();
        lab.enrol_admin("b");
        lab.enrol("c");
        lab.run(Duration::from_secs(5));
        assert!(lab.connected(0, 1) && lab.connected(1, 2) && lab.connected(0, 2));
        lab
    }

    fn add(&mut self, identity: Identity, network: Network, remote: Remote, contacts: &[Contact]) {
        let suites = vec![Suite::Aes256Gcm, Suite::ChaCha20Poly1305];
        let rekey_after = crate::limits::REKEY_AFTER;
        let full_replication_max = self.full_replication_max;
        let revisions = Revisions::OURS;
        let settings = (rekey_after, &suites[..], full_replication_max, revisions);
        let mut node = start(&identity, &network, &BTreeMap::new(), settings, self.clock());
        let mut machine = Machine {
            tables: node.snapshot(),
            node,
            remote,
            is_up: true,
            disk: Some(true),
            held_writes: vec![],
            files: BTreeMap::new(),
            tun: vec![],
            for_guests: vec![],
            hosted: crate::HostedGuests::new(),
            unreachable: vec![],
            too_big: vec![],
            mtus: vec![],
            events: vec![],
            pings: vec![],
            addresses: vec![],
            host_routes: crate::HostRoutes::default(),
            dht: vec![],
            closed_streams: vec![],
            wake_ups: 0,
            found: vec![],
            full_replication_max,
            rekey_after,
            suites,
            revisions,
            identity,
            network,
            deadline: self.now,
        };
        machine.node.handle_candidates(remote.candidate().into_iter().collect(), self.now);
        for contact in contacts {
            machine.node.learn_contact(contact, Source::Invite, self.now);
        }
        self.machines.push(machine);
        self.poll(self.machines.len() - 1);
    }

    /// Virtual instant and the true wall clock at it.
    fn clock(&self) -> (Instant, u64) {
        (self.now, UNIX_S + (self.now - self.began).as_secs())
    }

    /// Kills a machine's daemon and starts it again from what was written.
    pub(crate) fn restart(&mut self, at: usize) {
        let clock = self.clock();
        let machine = &mut self.machines[at];
        machine.identity.starts += 1;
        if let Some(bytes) = machine.files.get(&StateFile::Network) {
            machine.network = Network::decode(bytes, &machine.identity).unwrap();
        }
        let settings =
            (machine.rekey_after, &machine.suites[..], machine.full_replication_max, machine.revisions);
        machine.node = start(&machine.identity, &machine.network, &machine.files, settings, clock);
        machine.tables = machine.node.snapshot();
        machine.is_up = true;
        machine.node.handle_candidates(machine.remote.candidate().into_iter().collect(), clock.0);
        self.poll(at);
    }

    /// Gives a machine another address, which it notices when it is up; others have the old one.
    pub(crate) fn carry(&mut self, at: usize, host: usize) {
        self.machines[at].remote = underlay(host);
        let candidates: Vec<_> = self.machines[at].remote.candidate().into_iter().collect();
        if self.machines[at].is_up {
            self.command(at, |node, now| node.handle_candidates(candidates, now));
        }
    }

    /// Gives a machine the credentials of another, to show from its next start on, and lets it forget its own.
    pub(crate) fn show_credentials_of(&mut self, at: usize, other: usize) {
        self.machines[at].files.remove(&StateFile::Records);
        self.machines[at].network.chain = self.machines[other].network.chain.clone();
    }

    /// Makes an invite at a machine and a member of it, and waits until it is one; its position.
    pub(crate) fn enrol(&mut self, name: &str) -> usize {
        self.enrol_within(name, Duration::from_secs(1))
    }

    pub(crate) fn enrol_within(&mut self, name: &str, patience: Duration) -> usize {
        let invite = self.invite(0, &any_member());
        let applicant = self.apply(&invite, name);
        self.run(patience);
        self.move_in(applicant)
    }

    /// Lets a machine join as an admin; its position.
    pub(crate) fn enrol_admin(&mut self, name: &str) -> usize {
        let invite = self.invite(0, &InviteRequest { role: InviteRole::Admin, ..any_member() });
        let applicant = self.apply(&invite, name);
        self.run(Duration::from_secs(1));
        self.move_in(applicant)
    }

    pub(crate) fn invite(&mut self, at: usize, request: &InviteRequest) -> Invite {
        self.command(at, |node, now| node.invite(request, now)).unwrap()
    }

    /// Lets a new machine begin to join; its position among the applicants.
    pub(crate) fn apply(&mut self, invite: &Invite, name: &str) -> usize {
        let n = self.applicants.len() as u8 + 10;
        self.apply_as(Identity::generate([n; 32]), invite, (name, false))
    }

    /// The same with given keys; the name may be firm.
    pub(crate) fn apply_as(
        &mut self,
        identity: Identity,
        invite: &Invite,
        (name, firm): (&str, bool),
    ) -> usize {
        let n = self.applicants.len() + 10;
        let name: Name = name.parse().unwrap();
        let joiner =
            Joiner::new(invite.clone(), identity.clone(), (name, firm), [n as u8 + 100; 32], self.now);
        let remote = underlay(n);
        let (outcome, dht, deadline) = (None, vec![], self.now);
        self.applicants.push(Applicant { outcome, remote, joiner, dht, identity, deadline });
        self.poll_applicant(n - 10);
        n - 10
    }

    /// Tells an applicant something, and lets it do what it wants.
    pub(crate) fn ask_applicant<R>(&mut self, at: usize, tell: impl FnOnce(&mut Joiner, Instant) -> R) -> R {
        let result = tell(&mut self.applicants[at].joiner, self.now);
        self.poll_applicant(at);
        result
    }

    pub(crate) fn identity_of(&self, applicant: usize) -> Identity {
        self.applicants[applicant].identity.clone()
    }

    /// Lets an applicant that was accepted become a node; its position among the machines.
    pub(crate) fn move_in(&mut self, applicant: usize) -> usize {
        let Applicant { outcome, identity, remote, .. } = &mut self.applicants[applicant];
        let (network, contacts) = outcome.clone().expect("an answer came").expect("and it was accepted");
        let (identity, remote) = (identity.clone(), *remote);
        self.add(identity, network, remote, &contacts);
        self.machines.len() - 1
    }

    /// The refusal that an applicant got.
    pub(crate) fn refusal_of(&self, applicant: usize) -> JoinError {
        match &self.applicants[applicant].outcome {
            Some(Err(error)) => *error,
            Some(Ok(_)) => panic!("accepted"),
            None => panic!("no outcome yet"),
        }
    }

    /// Lets somebody want something of a node, and the node do it.
    pub(crate) fn command<R>(&mut self, at: usize, wish: impl FnOnce(&mut Node, Instant) -> R) -> R {
        let result = wish(&mut self.machines[at].node, self.now);
        self.poll(at);
        result
    }

    pub(crate) fn view(&self, at: usize) -> View {
        self.machines[at].node.view(self.now)
    }

    pub(crate) fn id(&self, at: usize) -> NodeId {
        self.machines[at].identity.node()
    }

    /// How machine `at` sees machine `other`.
    pub(crate) fn peer(&self, at: usize, other: usize) -> Option<PeerView> {
        let id = self.id(other);
        self.view(at).peers.into_iter().find(|peer| peer.node == id)
    }

    pub(crate) fn connected(&self, at: usize, other: usize) -> bool {
        self.peer(at, other).is_some_and(|peer| peer.state == PeerState::Connected)
    }

    /// IPv4 and IPv6 mesh address.
    pub(crate) fn mesh(&self, at: usize) -> [IpAddr; 2] {
        let claims = self.view(at).own;
        [IpAddr::V4(claims.ipv4.addr()), IpAddr::V6(claims.ipv6())]
    }

    pub(crate) fn drops(&self, at: usize, reason: DropReason) -> u64 {
        self.machines[at].node.drops().of(reason)
    }

    /// The session of `at` that seals for `other`.
    pub(crate) fn session(&self, at: usize, other: usize) -> Option<Arc<crate::session::Session>> {
        let tables = &self.machines[at].tables;
        let position = tables.routes.table.lookup(self.mesh(other)[1])?;
        tables.peer(position)?.session.clone()
    }

    /// Sends an IPv4 packet from a local program of one machine to another machine.
    pub(crate) fn send(&mut self, from: usize, to: usize, payload: &[u8]) -> Outbound {
        let packet = packet(self.mesh(from)[0], self.mesh(to)[0], payload);
        let outcome = self.outbound(from, &packet);
        self.poll(from);
        outcome
    }

    /// Payloads of the packets that have come out of a machine's TUN, which is empty afterwards.
    pub(crate) fn received(&mut self, at: usize) -> Vec<Vec<u8>> {
        let header = |packet: &Vec<u8>| if packet[0] >> 4 == 4 { 20 } else { 40 };
        self.machines[at].tun.drain(..).map(|packet| packet[header(&packet)..].to_vec()).collect()
    }
}
