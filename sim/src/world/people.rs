//! What people do to machines: set them up, start and stop them, move them, send packets and give commands.

use super::World;
use crate::ledger::Sent;
use crate::machine::{Joining, Machine, State, Up};
use crate::underlay::Realm;
use overlay::Remote;
use overlay::state::StateFile;
use overlay::{CommandError, Identity, InviteRequest, Joiner, Node, View};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use wire::invite::InviteRole;
use wire::{Invite, Name, NodeId};

/// IP version of an inner packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// An invite for one member of any name and address, for an hour.
#[must_use]
pub fn any_member() -> InviteRequest {
    let life = Duration::from_secs(3600);
    InviteRequest { name: None, address: None, role: InviteRole::Member, life, services: vec![] }
}

fn family_of(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::V4 } else { Family::V6 }
}

impl World {
    /// Sets up a machine on the internet that is switched off; its number.
    pub fn add_machine(&mut self, name: Name, addresses: Vec<SocketAddr>) -> usize {
        self.add_machine_in(Realm::INTERNET, name, addresses)
    }

    /// Sets up a machine somewhere that is switched off; its number.
    pub fn add_machine_in(&mut self, realm: Realm, name: Name, addresses: Vec<SocketAddr>) -> usize {
        let identity = Identity::generate(self.random.bytes());
        self.secrets.add("a node's signing key", &identity.signing.to_bytes());
        self.secrets.add("a node's Noise key", &identity.noise.to_bytes());
        let canary = self.ledger.canary();
        self.secrets.add("an inner packet", &canary);
        self.machines.push(Machine::new(name, identity, realm, addresses));
        self.machines.len() - 1
    }

    /// Founds a network on a machine and starts its Node.
    ///
    /// # Panics
    /// When `range` is no IPv4 range.
    pub fn found(&mut self, machine: usize, range: &str) {
        let (unix_s, seed) = (self.unix_s(machine), self.random.bytes());
        let founder = &mut self.machines[machine];
        let (home, range) = ("home".parse().expect("a label"), range.parse().expect("an IPv4 range"));
        let network = overlay::found(home, founder.name.clone(), range, &founder.identity, unix_s, seed);
        self.secrets.add("the network secret", network.secrets.current().bytes());
        if let Some(root) = &network.root {
            self.secrets.add("the root key", &root.to_bytes());
        }
        founder.write_membership(&network, &vec![]);
        self.start(machine);
    }

    /// Starts the daemon of an enrolled machine from what its disk has.
    pub fn start(&mut self, machine: usize) {
        if self.is_up(machine) || !self.machines[machine].is_enrolled() {
            return;
        }
        let (unix_s, seed, now) = (self.unix_s(machine), self.random.bytes(), self.now());
        let started = &mut self.machines[machine];
        started.incarnation += 1;
        started.wake = None;
        started.sockets.clear();
        started.disk.pending.clear();
        started.disk.went_well.clear();
        started.believed.clone_from(&started.addresses);
        let candidates = started.candidates();
        let mut node = Node::new(started.params(seed, unix_s), now);
        node.handle_candidates(candidates, now);
        let (tables, drops) = (node.snapshot(), node.drops());
        started.state = State::Up(Box::new(Up { node, tables, drops, staged: 0 }));
        self.trace.note(self.at, machine, "starts", &[]);
        self.drive(machine);
    }

    /// Ends the daemon without a word, and every write that was not finished.
    pub fn kill(&mut self, machine: usize) {
        self.trace.note(self.at, machine, "is killed", &[]);
        let killed = &mut self.machines[machine];
        killed.incarnation += 1;
        killed.state = State::Off;
        killed.wake = None;
        killed.sockets.clear();
        killed.found.clear();
        killed.disk.pending.clear();
    }

    /// Ends the daemon as `hopmesh down` does.
    pub fn stop(&mut self, machine: usize) {
        let now = self.now();
        if let Some(up) = self.machines[machine].up() {
            up.node.close(now);
            self.flush(machine, StateFile::Records);
        }
        self.kill(machine);
    }

    /// Moves a machine to other underlay addresses. Its daemon notices, or not: a NAT has given it another port.
    pub fn roam(&mut self, machine: usize, addresses: Vec<SocketAddr>, notices: bool) {
        self.trace.note(self.at, machine, &format!("roams to {addresses:?}"), &[]);
        let now = self.now();
        let roamed = &mut self.machines[machine];
        roamed.addresses = addresses;
        if notices {
            roamed.believed.clone_from(&roamed.addresses);
            let candidates = roamed.candidates();
            if let Some(up) = roamed.up() {
                up.node.handle_candidates(candidates, now);
            }
            self.drive(machine);
        }
    }

    /// Carries a machine to another place, where it has other addresses; its daemon notices.
    pub fn carry_to(&mut self, machine: usize, realm: Realm, addresses: Vec<SocketAddr>) {
        self.machines[machine].realm = realm;
        self.roam(machine, addresses, true);
    }

    /// Runs a command on a Node that is up.
    pub fn command<T>(
        &mut self,
        machine: usize,
        command: impl FnOnce(&mut Node, std::time::Instant) -> Result<T, CommandError>,
    ) -> Option<Result<T, CommandError>> {
        let now = self.now();
        let result = command(&mut self.machines[machine].up()?.node, now);
        let what = result.as_ref().err().map_or("obeys".to_owned(), |error| format!("says: {error}"));
        self.trace.note(self.at, machine, &what, &[]);
        self.drive(machine);
        Some(result)
    }

    /// Makes an invite, written before it is given away; none when the machine is no admin or cannot write.
    pub fn invite(&mut self, machine: usize, request: &InviteRequest) -> Option<Invite> {
        let invite = self.command(machine, |node, now| node.invite(request, now))?.ok()?;
        if !self.flush(machine, StateFile::Invites) {
            self.machines[machine].up()?.node.forget_invite(&invite.id);
            self.drive(machine);
            return None;
        }
        self.secrets.add("an invite's secret", &*invite.secret);
        Some(invite)
    }

    /// Begins to enrol a machine that is off.
    pub fn join(&mut self, machine: usize, invite: &Invite) {
        let (seed, now) = (self.random.bytes(), self.now());
        let joiner = &mut self.machines[machine];
        let name = (joiner.name.clone(), false);
        let state = Joiner::new(invite.clone(), joiner.identity.clone(), name, seed, now);
        joiner.incarnation += 1;
        joiner.wake = None;
        joiner.joined = None;
        joiner.state = State::Joining(Box::new(Joining { joiner: state, invite: invite.clone() }));
        self.trace.note(self.at, machine, "wants to join", &[]);
        self.drive(machine);
    }

    /// What a machine's Node shows, while it runs.
    #[must_use]
    pub fn view(&self, machine: usize) -> Option<View> {
        self.machines[machine].node().map(|node| node.view(self.now()))
    }

    /// A machine's mesh address.
    #[must_use]
    pub fn mesh_address(&self, machine: usize, family: Family) -> Option<IpAddr> {
        let own = self.view(machine)?.own;
        Some(match family {
            Family::V4 => IpAddr::V4(own.ipv4.addr()),
            Family::V6 => IpAddr::V6(own.ipv6()),
        })
    }

    /// A program on one machine sends a packet to another; its number in the ledger.
    pub fn send(&mut self, from: usize, to: usize, family: Family) -> Option<usize> {
        let (source, destination) = (self.mesh_address(from, family)?, self.mesh_address(to, family)?);
        let number = self.enter(from, to, (source, destination), false);
        let packet = self.ledger.packet(number).bytes.clone();
        self.outbound(from, packet);
        self.drive(from);
        Some(number)
    }

    /// A malicious member seals a packet for another with a source that is not its own; its number in the ledger.
    pub fn spoof(&mut self, from: usize, to: usize, source: IpAddr) -> Option<usize> {
        let destination = self.mesh_address(to, family_of(source))?;
        self.lie(from, to, source, destination)
    }

    /// A malicious member seals a packet for another with a destination that is not the other's; its number in the ledger.
    pub fn misdirect(&mut self, from: usize, to: usize, destination: IpAddr) -> Option<usize> {
        let source = self.mesh_address(from, family_of(destination))?;
        self.lie(from, to, source, destination)
    }

    fn lie(&mut self, from: usize, to: usize, source: IpAddr, destination: IpAddr) -> Option<usize> {
        let receiver = self.mesh_address(to, family_of(destination))?;
        let number = self.enter(from, to, (source, destination), true);
        let packet = self.ledger.packet(number).bytes.clone();
        let up = self.machines[from].up()?;
        let lies = Arc::new(up.tables.lying(source, destination, receiver));
        let truth = std::mem::replace(&mut up.tables, lies);
        self.outbound(from, packet);
        if let Some(up) = self.machines[from].up() {
            up.tables = truth;
        }
        self.drive(from);
        Some(number)
    }

    fn enter(
        &mut self,
        from: usize,
        to: usize,
        (source, destination): (IpAddr, IpAddr),
        is_spoofed: bool,
    ) -> usize {
        let length = self.random.below(200);
        let filling = self.random.vector(length);
        let at = self.at;
        let sent = Sent {
            from,
            to,
            source,
            destination,
            at,
            is_spoofed,
            arrived: None,
            refused: false,
            bytes: vec![],
        };
        self.ledger.enter(sent, &filling)
    }

    /// A stranger sends a machine something from an address that is nobody's.
    pub fn inject(&mut self, machine: usize, from: SocketAddr, bytes: Vec<u8>) {
        self.trace.note(self.at, machine, "gets a stranger's", &bytes);
        self.arrive(machine, Remote::udp(from), bytes, false);
    }

    /// A datagram from the wire: who sent it, where to, and its bytes.
    pub fn overheard(&mut self) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        if self.overheard.is_empty() {
            return None;
        }
        let at = self.random.below(self.overheard.len());
        Some(self.overheard[at].clone())
    }

    /// The machine that is this node.
    #[must_use]
    pub fn machine_of(&self, node: &NodeId) -> Option<usize> {
        self.machines.iter().position(|machine| machine.id() == *node)
    }
}
