//! Machines: what hangs on the wire.

use crate::joiner::{JoinError, Joiner};
use crate::state::{
    Contact, Leases, Network, StateFile, decode_contacts, decode_guests, decode_invites, decode_leases,
    decode_records, decode_services,
};
use crate::tables::Tables;
use crate::{Event, Identity, Node, Params};
use nat::Remote;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::Revisions;
use wire::handshake::Suite;
use wire::icmp::Unreachable;

/// A datagram on its way.
#[derive(Clone)]
pub(crate) struct Flight {
    pub(crate) from: Remote,
    pub(crate) to: Remote,
    pub(crate) bytes: Vec<u8>,
}

/// A machine with a node on it, and everything that the node has told it.
pub(crate) struct Machine {
    pub(crate) node: Node,
    pub(crate) remote: Remote,
    pub(crate) tables: Arc<Tables>,
    pub(crate) is_up: bool,
    /// What a write ends with; `None` holds writes back.
    pub(crate) disk: Option<bool>,
    pub(crate) held_writes: Vec<u64>,
    pub(crate) files: BTreeMap<StateFile, Vec<u8>>,
    pub(crate) tun: Vec<Vec<u8>>,
    /// What came for its guests, by their positions.
    pub(crate) for_guests: Vec<(u32, Vec<u8>)>,
    pub(crate) hosted: crate::HostedGuests,
    pub(crate) unreachable: Vec<(Vec<u8>, Unreachable)>,
    pub(crate) too_big: Vec<(Vec<u8>, u16)>,
    /// What the interface was to take.
    pub(crate) mtus: Vec<u16>,
    pub(crate) events: Vec<Event>,
    pub(crate) pings: Vec<(u64, Option<(Duration, Remote)>)>,
    pub(crate) addresses: Vec<Vec<IpAddr>>,
    /// What the host was to do for subnets.
    pub(crate) host_routes: crate::HostRoutes,
    /// What was asked of the DHT.
    pub(crate) dht: Vec<crate::DhtRequest>,
    pub(crate) closed_streams: Vec<u32>,
    pub(crate) wake_ups: usize,
    /// Names that were found, or not.
    pub(crate) found: Vec<(wire::Name, Option<Arc<crate::Zone>>)>,
    pub(crate) full_replication_max: usize,
    pub(crate) rekey_after: Duration,
    pub(crate) suites: Vec<Suite>,
    /// From its next start on.
    pub(crate) revisions: Revisions,
    pub(super) identity: Identity,
    pub(super) network: Network,
    pub(super) deadline: Instant,
}

impl Machine {
    pub(crate) fn identity(&self) -> Identity {
        self.identity.clone()
    }

    pub(crate) fn noise_key(&self) -> wire::NoisePublicKey {
        self.identity.noise_key()
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }
}

/// A machine that wants to join.
pub(crate) struct Applicant {
    pub(crate) outcome: Option<Result<(Network, Vec<Contact>), JoinError>>,
    pub(crate) remote: Remote,
    pub(crate) joiner: Joiner,
    /// What was asked of the DHT.
    pub(crate) dht: Vec<crate::DhtRequest>,
    pub(super) identity: Identity,
    pub(super) deadline: Instant,
}

impl Applicant {
    pub(super) fn is_busy(&self) -> bool {
        self.outcome.is_none()
    }
}

pub(super) fn start(
    identity: &Identity,
    network: &Network,
    files: &BTreeMap<StateFile, Vec<u8>>,
    (rekey_after, suites, full_replication_max, revisions): (Duration, &[Suite], usize, Revisions),
    (now, unix_s): (Instant, u64),
) -> Node {
    let file = |file| files.get(&file).map(Vec::as_slice);
    let mut seed = identity.node().0;
    seed[0] ^= identity.starts as u8;
    let params = Params {
        identity: identity.clone(),
        network: network.clone(),
        invites: file(StateFile::Invites).map_or(vec![], |bytes| decode_invites(bytes).unwrap()),
        records: file(StateFile::Records).map_or(vec![], |bytes| decode_records(bytes).unwrap()),
        contacts: file(StateFile::Contacts).map_or(vec![], |bytes| decode_contacts(bytes).unwrap()),
        publications: file(StateFile::Services).map_or(vec![], |bytes| decode_services(bytes).unwrap()),
        guests: file(StateFile::Guests).map_or(vec![], |bytes| decode_guests(bytes).unwrap()),
        leases: file(StateFile::Leases).map_or_else(Leases::default, |bytes| decode_leases(bytes).unwrap()),
        rekey_after,
        full_replication_max,
        hop: crate::HopParams::default(),
        exit: crate::ExitParams::default(),
        streams: crate::DialStreams::Never,
        mtu_max: crate::MTU_MAX,
        suites: suites.to_vec(),
        revisions,
        seed,
        unix_s,
    };
    Node::new(params, now)
}
