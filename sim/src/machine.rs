//! One simulated machine: its disk, its addresses, its TUN, and the Node or Joiner that runs on it.

use crate::underlay::Realm;
use overlay::SocketId;
use overlay::limits::REKEY_AFTER;
use overlay::state::{
    Contact, Leases, Network, StateFile, decode_contacts, decode_guests, decode_invites, decode_leases,
    decode_records, decode_services, encode_contacts,
};
use overlay::{Drops, Identity, JoinError, Joiner, Node, Params, Tables, Zone};
use registry::limits::FULL_REPLICATION_MAX;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::handshake::Suite;
use wire::{Candidate, Invite, Name, NodeId, Revisions};

/// What a machine is doing.
pub enum State {
    /// It is switched off, or its daemon does not run.
    Off,
    /// It enrols.
    Joining(Box<Joining>),
    /// Its Node runs.
    Up(Box<Up>),
}

/// An enrolment under way.
pub struct Joining {
    pub(crate) joiner: Joiner,
    pub(crate) invite: Invite,
}

/// A Node that runs, and what workers have of it.
pub struct Up {
    pub(crate) node: Node,
    pub(crate) tables: Arc<Tables>,
    pub(crate) drops: Arc<Drops>,
    /// Packets that the Node keeps, counted from outside.
    pub(crate) staged: usize,
}

/// A write that the disk has not finished.
pub(crate) struct Write {
    pub(crate) file: StateFile,
    pub(crate) bytes: Vec<u8>,
    pub(crate) ticket: u64,
}

/// Files, and how the disk behaves.
#[derive(Default)]
pub struct Disk {
    pub(crate) files: BTreeMap<StateFile, Vec<u8>>,
    pub(crate) pending: VecDeque<Write>,
    /// Chance out of a thousand that a write fails.
    pub failure: u32,
    /// How long a write takes; none waits for its end.
    pub slowness: Option<Duration>,
    /// Whether the last write of a file went well.
    pub(crate) went_well: BTreeMap<StateFile, bool>,
}

impl Disk {
    /// All files as they are.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<StateFile, Vec<u8>> {
        &self.files
    }

    /// Sets all files back but the keys: those of a machine that was restored from a backup, or that lies.
    pub fn restore(&mut self, mut files: BTreeMap<StateFile, Vec<u8>>) {
        files.retain(|file, _| *file != StateFile::Identity);
        self.files.retain(|file, _| *file == StateFile::Identity);
        self.files.extend(files);
    }

    /// Whether the latest write of a file failed, or is not finished.
    #[must_use]
    pub fn has_failed(&self, file: StateFile) -> bool {
        self.went_well.get(&file) == Some(&false) || self.pending.iter().any(|write| write.file == file)
    }
}

/// A machine.
pub struct Machine {
    /// How it wants to be called.
    pub name: Name,
    /// Its keys.
    pub identity: Identity,
    /// Its files.
    pub disk: Disk,
    /// Its underlay addresses, at most one of each family.
    pub addresses: Vec<SocketAddr>,
    /// What its daemon believes that they are; differs behind a NAT that has forgotten.
    pub believed: Vec<SocketAddr>,
    /// Where it is.
    pub(crate) realm: Realm,
    /// Ports of its spare sockets.
    pub(crate) sockets: BTreeMap<SocketId, u16>,
    /// What it is doing.
    pub state: State,
    /// How the latest enrolment ended.
    pub joined: Option<Result<NodeId, JoinError>>,
    /// What it was told of names that it asked for, by its Node that runs now.
    pub found: BTreeMap<Name, Option<Arc<Zone>>>,
    /// Most services and claims that it holds before it holds a part.
    pub full_replication_max: usize,
    /// Age at which its sessions are replaced.
    pub rekey_after: Duration,
    /// Ciphers that it is quick at.
    pub suites: Vec<Suite>,
    /// Revisions of the protocol that it speaks from its next start on.
    pub revisions: Revisions,
    /// How far its clock is ahead.
    pub clock_ahead_s: u64,
    /// Overlay pings that were answered, and that were not.
    pub pings: (usize, usize),
    /// Counts the starts of the Node, so that what belongs to an earlier one is told apart.
    pub(crate) incarnation: u32,
    pub(crate) wake: Option<Instant>,
    /// How busy it was.
    pub activity: Activity,
}

/// How busy a machine is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activity {
    /// Deadlines that were due.
    pub wakes: u64,
    /// Datagrams sent.
    pub datagrams: u64,
    /// Bytes of UDP payload sent.
    pub bytes: u64,
}

impl Machine {
    pub(crate) fn new(name: Name, identity: Identity, realm: Realm, addresses: Vec<SocketAddr>) -> Self {
        Self {
            name,
            identity,
            disk: Disk::default(),
            believed: addresses.clone(),
            addresses,
            realm,
            sockets: BTreeMap::new(),
            state: State::Off,
            joined: None,
            found: BTreeMap::new(),
            full_replication_max: FULL_REPLICATION_MAX,
            rekey_after: REKEY_AFTER,
            suites: vec![Suite::Aes256Gcm, Suite::ChaCha20Poly1305],
            revisions: Revisions::OURS,
            clock_ahead_s: 0,
            pings: (0, 0),
            incarnation: 0,
            wake: None,
            activity: Activity::default(),
        }
    }

    /// Its node id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.identity.node()
    }

    /// Whether its Node runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Whether it has credentials.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        self.disk.files.contains_key(&StateFile::Network)
    }

    /// The Node, while it runs.
    #[must_use]
    pub fn node(&self) -> Option<&Node> {
        match &self.state {
            State::Up(up) => Some(&up.node),
            State::Off | State::Joining(_) => None,
        }
    }

    pub(crate) fn up(&mut self) -> Option<&mut Up> {
        match &mut self.state {
            State::Up(up) => Some(up),
            State::Off | State::Joining(_) => None,
        }
    }

    /// The admin that signed its credentials, if it has any and it was not the root key.
    #[must_use]
    pub fn signer(&self) -> Option<NodeId> {
        let network = Network::decode(self.disk.files.get(&StateFile::Network)?, &self.identity).ok()?;
        network.chain.admin().map(|admin| admin.node)
    }

    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        self.believed.iter().filter_map(|address| Candidate::new(*address)).collect()
    }

    /// The address of one of its sockets of the family of another address.
    pub(crate) fn address_towards(&self, remote: SocketAddr, socket: SocketId) -> Option<SocketAddr> {
        let mut own = *self.addresses.iter().find(|own| own.is_ipv4() == remote.is_ipv4())?;
        match socket {
            SocketId::MAIN => {}
            SocketId::TEST => own.set_port(test_port(own)),
            spare => own.set_port(*self.sockets.get(&spare)?),
        }
        Some(own)
    }

    /// Whether an address is one of its own, whatever the port.
    pub(crate) fn has_address(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.ip() == ip)
    }

    /// The socket that gets what is sent to one of its addresses.
    pub(crate) fn socket_at(&self, to: SocketAddr) -> Option<SocketId> {
        if self.addresses.contains(&to) {
            return Some(SocketId::MAIN);
        }
        if self.addresses.iter().any(|own| own.ip() == to.ip() && test_port(*own) == to.port()) {
            return Some(SocketId::TEST);
        }
        let spare = self.sockets.iter().find(|(_, port)| **port == to.port())?;
        self.has_address(to.ip()).then_some(*spare.0)
    }

    /// Writes what an enrolment or a founding gave.
    pub(crate) fn write_membership(&mut self, network: &Network, contacts: &Vec<Contact>) {
        self.disk.files.insert(StateFile::Network, network.encode().to_vec());
        self.disk.files.insert(StateFile::Contacts, encode_contacts(contacts).to_vec());
    }

    /// What the daemon would start its Node with, read from the disk; the count of starts is written before.
    pub(crate) fn params(&mut self, seed: [u8; 32], unix_s: u64) -> Params {
        self.identity.starts += 1;
        self.disk.files.insert(StateFile::Identity, self.identity.encode().to_vec());
        let file = |file: StateFile| self.disk.files.get(&file).map_or(&b"\x80"[..], Vec::as_slice);
        let identity = Identity::decode(file(StateFile::Identity)).expect("it was just written");
        Params {
            network: Network::decode(file(StateFile::Network), &identity).expect("a Node wrote it"),
            invites: decode_invites(file(StateFile::Invites)).expect("a Node wrote it"),
            records: decode_records(file(StateFile::Records)).expect("a Node wrote it"),
            contacts: decode_contacts(file(StateFile::Contacts)).expect("a Node wrote it"),
            publications: decode_services(file(StateFile::Services)).expect("a Node wrote it"),
            guests: decode_guests(file(StateFile::Guests)).expect("a Node wrote it"),
            leases: self
                .disk
                .files
                .get(&StateFile::Leases)
                .map_or_else(Leases::default, |bytes| decode_leases(bytes).expect("a Node wrote it")),
            identity,
            rekey_after: self.rekey_after,
            suites: self.suites.clone(),
            revisions: self.revisions,
            full_replication_max: self.full_replication_max,
            hop: overlay::HopParams::default(),
            exit: overlay::ExitParams::default(),
            streams: overlay::DialStreams::Never,
            mtu_max: overlay::MTU_MAX,
            seed,
            unix_s,
        }
    }
}

/// The port from which others are dialled back, as a daemon has it: the one behind the main port.
fn test_port(main: SocketAddr) -> u16 {
    main.port() + 1
}
