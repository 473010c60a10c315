//! A worker: a thread that moves packets between its queue of the TUN and its lane of the UDP port by the fast path.
//!
//! ```text
//! TUN ─read─▶ superpacket ─fastpath::outbound─▶ split, sealed in place ─▶ train ─one call─▶ UDP
//! UDP ─batch─▶ datagrams ─fastpath::inbound─▶ opened in place ─▶ merged ─one gather write─▶ TUN
//! ```
//!
//! There is one for each core, up to some; the kernel gives all datagrams of a remote to one of them, and a flow's packets to the
//! one that its answers come by, so that what belongs together stays in order.
//!
//! It takes the Node's latest tables once a round, drains what is there before it sleeps, and hands to the
//! Node what it cannot decide through a bounded channel: full means dropped and counted, never waited for.

mod crew;
mod guests;
mod inbound;
mod outbound;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use arc_swap::ArcSwap;
use overlay::fastpath::{Joins, Merger, Opened, RUN_MAX, SlowInput, Train, Trains};
use overlay::{DropReason, Drops, Remote, SocketId, Tables};
use wire::icmp::Unreachable;
use wire::offload::{OFFLOAD_LENGTH, Offload};

use crate::guests::{Guests, Scratch};
use crate::io::poll::{Poll, Ready, Wake};
use crate::io::stream::StreamSender;
use crate::io::tun::{Offloads, Tun};
use crate::io::udp::{Family, Lane as FurtherLane, ReceiveBuffers, TRAINS_MAX, Udp};
use crate::reach::stun::Budget;

pub(super) use crew::{Crew, count, queues};

/// Messages that may wait for the Node; some 20 ms of its work.
pub(super) const SLOW_MAX: usize = 512;
/// Packets that may wait for the worker: what one peer stages, many times over.
pub(super) const RELEASED_MAX: usize = 4096;
/// Longest packet or superpacket.
const PACKET_LENGTH_MAX: usize = 65_535;
/// Datagrams of one batch of a size that is usual; more make room for themselves.
const BATCH_USUAL: usize = TRAINS_MAX * RUN_MAX;

/// From the worker to the Node.
#[derive(Debug)]
pub(super) enum ToNode {
    /// A datagram that the fast path could not decide, and where it came from.
    Slow(SlowInput, Remote),
    /// What a STUN server may have answered.
    Stun(SocketAddr, Vec<u8>),
    /// A packet for the peer at this position, which has no session.
    Packet(usize, Vec<u8>),
    /// Packets to this remote had to go in fragments.
    TooLong(Remote),
}

/// From the Node to the first worker.
pub(super) enum ToWorker {
    /// A packet that had waited for a session.
    Released(Vec<u8>),
    /// A packet that came over TCP, for the TUN, and where in the bytes it stands.
    Received(Opened, Vec<u8>),
    /// A packet that cannot be delivered.
    Unreachable(Vec<u8>, Unreachable),
}

/// What workers and control thread share.
pub(super) struct Shared {
    pub(super) udp: Udp,
    pub(super) tables: ArcSwap<Tables>,
    pub(super) drops: Arc<Drops>,
    /// By which datagrams go over TCP.
    pub(super) streams: Option<StreamSender>,
    /// Set by a worker that has told the Node of fragments, cleared when it has looked.
    pub(super) too_long_told: AtomicBool,
    /// Whether we ask STUN servers, so that answers mean something.
    pub(super) asks_stun: bool,
    /// Whom we answer for.
    pub(super) guests: Arc<Guests>,
    /// What STUN may cost.
    pub(super) stun_budget: Mutex<Budget>,
    /// Of each worker, by its number.
    pub(super) wakes: Box<[Wake]>,
    pub(super) stop: AtomicBool,
}

impl Shared {
    /// Wakes the worker that the Node talks to.
    pub(super) fn wake_first(&self) {
        self.wakes[0].wake();
    }

    /// Sends a datagram to where it can go; what the system does not take is counted.
    pub(super) fn send(&self, remote: Remote, bytes: &[u8]) {
        self.send_with_ttl(remote, bytes, None);
    }

    /// Sends a datagram in one piece; whether it went: not, when the machine knows it to be too long for that.
    pub(super) fn send_whole(&self, remote: Remote, bytes: &[u8]) -> bool {
        let Remote::Udp { socket, address } = remote else {
            self.send(remote, bytes);
            return true;
        };
        self.udp.send_whole(socket, address, bytes).unwrap_or_else(|_| {
            self.drops.count(DropReason::Os);
            true
        })
    }

    /// As [`Shared::send`], with a limit of routers on the way.
    pub(super) fn send_with_ttl(&self, remote: Remote, bytes: &[u8], ttl: Option<u8>) {
        let sent = match remote {
            Remote::Udp { socket, address } => self.udp.send_from(socket, address, bytes, ttl).is_ok(),
            Remote::Stream(number) => {
                self.streams.as_ref().is_some_and(|streams| streams.try_send(number, bytes.to_vec()).is_ok())
            }
            // Circuits are resolved before: their datagrams go to the first hop.
            Remote::Circuit(_) => false,
        };
        if !sent {
            self.drops.count(DropReason::Os);
        }
    }
}

/// What a worker receives by.
enum Lane {
    /// The sockets that there are in any case, and what the Node says.
    First(mpsc::Receiver<ToWorker>),
    /// Further sockets on the main port.
    Further { number: usize, lane: FurtherLane },
}

impl Lane {
    fn number(&self) -> usize {
        match self {
            Self::First(_) => 0,
            Self::Further { number, .. } => *number,
        }
    }
}

/// A worker's own side.
struct Worker {
    tun: Tun,
    lane: Lane,
    shared: Arc<Shared>,
    to_node: tokio::sync::mpsc::Sender<ToNode>,
}

/// What a worker reads into and writes from: made once.
struct Buffers {
    /// What stands before a packet, and the packet.
    packet: Box<[u8]>,
    trains: Trains,
    received: ReceiveBuffers,
    merger: Merger,
    guest: Scratch,
}

impl Buffers {
    fn new(offloads: Offloads) -> Self {
        let joins = match offloads {
            Offloads::None => Joins::Nothing,
            Offloads::Tcp => Joins::Tcp,
            Offloads::TcpAndUdp => Joins::TcpAndUdp,
        };
        Self {
            packet: vec![0; OFFLOAD_LENGTH + PACKET_LENGTH_MAX].into_boxed_slice(),
            trains: Trains::new(),
            received: ReceiveBuffers::new(),
            merger: Merger::with_room_for(BATCH_USUAL, joins),
            guest: Scratch::default(),
        }
    }
}

impl Worker {
    /// Moves packets until it is told to stop, or the interface is gone.
    fn run(&self) -> Result<()> {
        let mut buffers = Buffers::new(self.tun.offloads());
        let wake = &self.shared.wakes[self.lane.number()];
        let mut poll = match &self.lane {
            Lane::First(_) => Poll::new(Some(&self.tun), &self.shared.udp, wake)?,
            Lane::Further { lane, .. } => Poll::new_on_lane(&self.tun, lane, wake)?,
        };
        loop {
            let ready = poll.wait(None)?;
            if self.shared.stop.load(Relaxed) {
                return Ok(());
            }
            let tables = self.shared.tables.load();
            self.round(&tables, ready, &mut buffers)?;
        }
    }

    fn round(&self, tables: &Tables, ready: Ready<'_>, buffers: &mut Buffers) -> Result<()> {
        if ready.wake {
            self.take_from_node(tables, buffers);
        }
        if ready.tun {
            self.drain_tun(tables, buffers)?;
        }
        for (family, is_ready) in [(Family::V4, ready.udp_v4), (Family::V6, ready.udp_v6)] {
            if is_ready {
                self.drain_udp(tables, SocketId::MAIN, family, buffers);
            }
        }
        for &(socket, family) in ready.others {
            self.drain_udp(tables, socket, family, buffers);
        }
        Ok(())
    }

    fn take_from_node(&self, tables: &Tables, buffers: &mut Buffers) {
        let Lane::First(from_node) = &self.lane else { return };
        while let Ok(message) = from_node.try_recv() {
            match message {
                ToWorker::Released(packet) => {
                    buffers.packet[OFFLOAD_LENGTH..][..packet.len()].copy_from_slice(&packet);
                    self.send_packet(tables, (Offload::NONE, packet.len()), buffers);
                }
                ToWorker::Received(opened, mut bytes) => {
                    self.take_opened(tables, &opened, &mut bytes, buffers);
                }
                ToWorker::Unreachable(packet, reason) => self.refuse(tables, &packet, reason, buffers),
            }
        }
        buffers.trains.flush(&mut |train: &Train| self.send_train(train));
    }

    fn tell_node(&self, message: ToNode) {
        if self.to_node.try_send(message).is_err() {
            self.shared.drops.count(DropReason::SlowPathFull);
        }
    }
}
