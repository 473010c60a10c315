//! What a Node asks of the world, and tells it.

use crate::guest::HostedGuests;
use crate::state::StateFile;
use crate::tables::Tables;
use ipnet::IpNet;
use nat::{Remote, SocketId};
use registry::Zone;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::icmp::Unreachable;
use wire::{Name, NodeId};
use zeroize::Zeroizing;

/// One thing to be done, in order. [`Output::Wait`] comes only when nothing else is left.
pub enum Output {
    /// Send a datagram.
    Transmit {
        /// To whom.
        remote: Remote,
        /// UDP payload.
        bytes: Vec<u8>,
        /// How many routers may pass it on, when that is to be few.
        ttl: Option<u8>,
    },
    /// Send a datagram in one piece, by UDP: fragments would show nothing. Where the machine knows that it is too long, say so by
    /// [`super::Node::handle_refused`].
    TransmitWhole {
        /// To whom.
        remote: Remote,
        /// UDP payload.
        bytes: Vec<u8>,
        /// The peer whose path is measured, and the probe.
        probe: (NodeId, u64),
    },
    /// The longest packet that is of use on the interface, in bytes, is another: the interface is to take that much.
    InterfaceMtu(u16),
    /// Begin a stream over TCP to this address; then say how it went by [`super::Node::handle_stream_opened`].
    Dial(SocketAddr),
    /// End a stream that others began.
    CloseStream(u32),
    /// Open UDP sockets on any ports, and know them by these numbers.
    OpenSockets {
        /// The number of the first.
        first: SocketId,
        /// How many.
        count: u16,
    },
    /// Close such sockets; those that were never opened are none.
    CloseSockets {
        /// The number of the first.
        first: SocketId,
        /// How many.
        count: u16,
    },
    /// Send this datagram to the group of the machine's own networks.
    Beacon(Vec<u8>),
    /// Ask the DHT for something; what comes of it goes to [`super::Node::handle_dht`].
    Dht(super::DhtRequest),
    /// Give this snapshot to the workers, before anything that follows.
    Publish(Arc<Tables>),
    /// Run these packets through the fast path again: now there is a session.
    Release(Vec<Vec<u8>>),
    /// Tell the local sender of this packet that it cannot be delivered.
    Unreachable {
        /// The packet.
        packet: Vec<u8>,
        /// Why.
        reason: Unreachable,
    },
    /// Write a file of the state; then say how it went by [`super::Node::handle_persisted`]. What depends on the write
    /// is held back until then.
    Persist {
        /// Which file.
        file: StateFile,
        /// Its whole new content.
        bytes: Zeroizing<Vec<u8>>,
        /// Names this write.
        ticket: u64,
    },
    /// An overlay ping has ended.
    PingDone {
        /// From [`super::Node::ping`].
        ticket: u64,
        /// Round trip and remote address of the path, or nothing when no answer came in time.
        outcome: Option<(Duration, Remote)>,
    },
    /// Our own mesh addresses are others now.
    Addresses(Vec<IpAddr>),
    /// These are our guests now: who runs the tunnels drops all others at once.
    Guests(HostedGuests),
    /// The host is to route other subnets than before to the interface, or from it.
    Routes(super::HostRoutes),
    /// Names mean something else now.
    Zone(Arc<Zone>),
    /// What a service name means that was asked for by [`super::Node::find`].
    Found {
        /// The name.
        name: Name,
        /// A zone with that service, or without any when there is none; nothing when nobody who knows has answered.
        zone: Option<Arc<Zone>>,
    },
    /// A change of state, for the log.
    Event(Event),
    /// Nothing until the deadline.
    Wait(Instant, WaitReason),
}

/// What the next deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// The next initiation to a peer.
    Handshake,
    /// A look at who is still needed.
    Company,
    /// A new network secret is made, or asked for.
    Epoch,
    /// Something about who is whose neighbour.
    Neighbours,
    /// Offers of what is new, and what was offered and has not come.
    News,
    /// A probe of a path, or its answer.
    Path(nat::WaitReason),
    /// How long packets may be on a path, and on the interface.
    Mtu,
    /// A session is replaced or ends.
    Session,
    /// A packet has waited long enough.
    StagedPacket,
    /// A circuit that was asked for, or that we carry.
    Circuit,
    /// Our links are told of.
    LinkState,
    /// Members are looked for.
    Discovery,
    /// What others see of us.
    Reach,
    /// An attempt at a direct path.
    Punch,
    /// Streams are begun, or UDP is tried again.
    Stream,
    /// Records are compared with a peer's.
    Sync,
    /// What is held of what people publish.
    Share,
    /// A name that others know is asked for.
    Find,
    /// A lease ends.
    Lease,
    /// A lease of ours is signed anew.
    Publication,
    /// An admin confirms a claim, or withdraws its word.
    Confirmation,
    /// The zone is made anew.
    Zone,
    /// Which router of a subnet is nearest.
    Routers,
    /// Those that use this exit get their next shares.
    Exit,
    /// State is written.
    Persist,
    /// An overlay ping has had no answer.
    Ping,
    /// An enrolment is given up.
    Enrolment,
    /// An admin looks for credentials to renew.
    Review,
    /// An admin gives a host addresses for its guests.
    Grant,
}

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A session with a path.
    Connected(NodeId, Name, Remote),
    /// The primary path of a peer is another one.
    Moved(NodeId, Name, Remote),
    /// The peer does not answer any more.
    Lost(NodeId, Name),
    /// The peer said that it goes down.
    Closed(NodeId, Name),
    /// A node was enrolled by an invite of ours.
    Enrolled(NodeId, Name),
    /// A node is no member any more.
    Revoked(NodeId, Name),
    /// The network secret of this epoch is in use.
    Epoch(u32),
    /// We are no member any more.
    SelfRevoked,
    /// A peer refuses us.
    RefusedBy(Name, wire::handshake::Refusal),
    /// New credentials were issued for a node.
    Reissued(NodeId, Name, IpAddr),
    /// Packets for a subnet go to this router now.
    Routed(IpNet, NodeId, Name),
    /// A service name that we publish under is another node's, and our instances do not count.
    NameLost(Name, NodeId, Name),
    /// Such a name has become ours.
    NameWon(Name),
}
