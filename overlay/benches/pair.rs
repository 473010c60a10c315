//! Two nodes in one process, their datagrams carried by hand.

use overlay::fastpath::{Inbound, Opened, Train, Trains, inbound, outbound};
use overlay::state::{Contact, Network};
use overlay::{HopParams, Identity, Node, Output, Params, Remote, Tables};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::credential::{Claims, Roles};
use wire::handshake::Suite;
use wire::offload::{Offload, SegmentKind, Segments};
use wire::{Chain, NetworkSecret};

const UNIX_S: u64 = 1_800_000_000;
const REMOTES: [&str; 2] = ["192.0.2.1:7000", "192.0.2.2:7000"];

/// Bytes of payload in a packet that is cut from a superpacket.
pub(crate) const SEGMENT: usize = 1380;
/// Packets that are cut from one.
pub(crate) const SEGMENTS: usize = 46;

/// A founder and a member; the member knows where the founder is.
pub(crate) struct Pair {
    pub(crate) nodes: [Node; 2],
    pub(crate) tables: [Arc<Tables>; 2],
    pub(crate) now: Instant,
}

pub(crate) fn remote(at: usize) -> Remote {
    Remote::udp(REMOTES[at].parse().expect("a socket address"))
}

/// The founder's keys and membership, and the member's.
pub(crate) fn memberships() -> [(Identity, Network); 2] {
    let [a, b] = [1, 2].map(|n| Identity::generate([n; 32]));
    let (name, range) = ("home".parse().expect("a name"), "10.7.0.0/24".parse().expect("a range"));
    let network = overlay::found(name, "a".parse().expect("a name"), range, &a, UNIX_S, [3; 32]);
    let claims = Claims {
        node: b.node(),
        noise_key: b.noise_key(),
        name: "b".parse().expect("a name"),
        ipv4: "10.7.0.2/24".parse().expect("an address"),
        roles: Roles::default(),
        ..network.chain.claims().clone()
    };
    let chain: Chain = network.chain.extend(claims, &a.signing).expect("an admin may sign a member");
    let member = Network { chain, root: None, ..network.clone() };
    [(a, network), (b, member)]
}

impl Pair {
    /// Two nodes that have not spoken yet.
    pub(crate) fn strangers(suite: Suite) -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
        let now = Instant::now();
        let memberships = memberships();
        let founder = Contact {
            node: memberships[0].0.node(),
            noise_key: memberships[0].0.noise_key(),
            candidates: remote(0).candidate().into_iter().collect(),
        };
        let mut nodes = memberships.map(|(identity, network)| node(identity, network, suite, now));
        nodes[1].learn_contact(&founder, nat::Source::Invite, now);
        let tables = nodes.each_mut().map(Node::snapshot);
        Self { nodes, tables, now }
    }

    /// The tables of a node that keeps so many earlier network secrets.
    pub(crate) fn with_earlier_secrets(count: u32) -> Arc<Tables> {
        #[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
        let now = Instant::now();
        let [(identity, mut network), _] = memberships();
        for epoch in 2..2 + count {
            network.secrets.replace(NetworkSecret::new(epoch, [epoch as u8; 32]), UNIX_S);
        }
        node(identity, network, Suite::Aes256Gcm, now).snapshot()
    }

    /// Two nodes with a session.
    pub(crate) fn connected(suite: Suite) -> Self {
        let mut pair = Self::strangers(suite);
        pair.connect();
        assert!(
            (0..2).all(|at| pair.nodes[at].view(pair.now).peers.iter().all(|peer| peer.remote.is_some()))
        );
        pair
    }

    /// Carries datagrams until nobody sends any more.
    pub(crate) fn connect(&mut self) {
        let mut flights = VecDeque::new();
        (0..2).for_each(|at| self.poll(at, &mut flights));
        while let Some((to, mut bytes)) = flights.pop_front() {
            let from = remote(1 - to);
            match inbound(&self.tables[to], &mut bytes, from) {
                Inbound::Slow(input, from) => self.nodes[to].handle_slow(input, from, self.now),
                Inbound::Packet(..)
                | Inbound::Half(..)
                | Inbound::Forward(..)
                | Inbound::WireGuard
                | Inbound::Drop(_) => {}
            }
            self.poll(to, &mut flights);
        }
    }

    fn poll(&mut self, at: usize, flights: &mut VecDeque<(usize, Vec<u8>)>) {
        loop {
            match self.nodes[at].poll_output(self.now) {
                Output::Transmit { bytes, .. } => flights.push_back((1 - at, bytes)),
                Output::Publish(tables) => self.tables[at] = tables,
                Output::Wait(..) => return,
                Output::TransmitWhole { .. }
                | Output::InterfaceMtu(_)
                | Output::Dial(_)
                | Output::CloseStream(_)
                | Output::OpenSockets { .. }
                | Output::CloseSockets { .. }
                | Output::Beacon(_)
                | Output::Dht(_)
                | Output::Release(_)
                | Output::Unreachable { .. }
                | Output::Persist { .. }
                | Output::PingDone { .. }
                | Output::Addresses(_)
                | Output::Guests(_)
                | Output::Routes(_)
                | Output::Zone(_)
                | Output::Found { .. }
                | Output::Event(_) => {}
            }
        }
    }

    /// An IPv4 packet of this length from one node to the other.
    pub(crate) fn packet(&self, from: usize, length: usize) -> Vec<u8> {
        let [source, destination] = [from, 1 - from].map(|at| match self.tables[at].own_addresses()[0] {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(_) => panic!("IPv4 comes first"),
        });
        let [high, low] = (length as u16).to_be_bytes();
        let head = [0x45, 0, high, low, 0, 0, 0, 0, 64, 17, 0, 0];
        let mut packet = vec![0; length];
        packet[..20].copy_from_slice(&[&head[..], &source, &destination].concat());
        packet
    }

    /// A TCP packet that is to be cut into [`SEGMENTS`].
    pub(crate) fn superpacket(&self, from: usize) -> (Offload, Vec<u8>) {
        let mut packet = self.packet(from, 40 + SEGMENTS * SEGMENT);
        packet[9] = 6;
        packet[20 + 12..20 + 14].copy_from_slice(&[0x50, 0x10]);
        let size = u16::try_from(SEGMENT).expect("a segment is short");
        let segments = Some(Segments { kind: SegmentKind::Tcp4, size, headers: 40 });
        (Offload { checksum: None, segments }, packet)
    }

    /// What is cut from it, as it arrives: in one buffer, with what is around sealed packets between them.
    pub(crate) fn parts(&self) -> (Vec<u8>, Vec<Opened>) {
        let (tables, mut trains, mut datagrams) = (&self.tables[0], Trains::new(), vec![]);
        let (offload, mut packet) = self.superpacket(0);
        let mut keep = |train: &Train| datagrams.extend(train.datagrams().map(<[u8]>::to_vec));
        outbound(tables, offload, &mut packet, &mut trains, &mut keep);
        trains.flush(&mut keep);
        let (mut bytes, mut all) = (vec![], vec![]);
        for mut datagram in datagrams {
            let Inbound::Packet(opened, _) = inbound(&self.tables[1], &mut datagram, remote(0)) else {
                panic!("what was sealed does not open")
            };
            let range = bytes.len() + opened.range.start..bytes.len() + opened.range.end;
            all.push(Opened { range, ..opened });
            bytes.extend(datagram);
        }
        (bytes, all)
    }
}

fn node(identity: Identity, network: Network, suite: Suite, now: Instant) -> Node {
    let seed = identity.node().0;
    let params = Params {
        identity,
        network,
        invites: vec![],
        records: vec![],
        contacts: vec![],
        guests: vec![],
        publications: vec![],
        leases: overlay::state::Leases::default(),
        rekey_after: Duration::from_secs(120),
        suites: vec![suite],
        revisions: wire::Revisions::OURS,
        hop: HopParams::default(),
        exit: overlay::ExitParams::default(),
        full_replication_max: registry::limits::FULL_REPLICATION_MAX,
        streams: overlay::DialStreams::Never,
        mtu_max: overlay::MTU_ASSUMED,
        seed,
        unix_s: UNIX_S,
    };
    Node::new(params, now)
}
