//! The worker: one thread that moves packets between TUN and UDP by the fast path.
//!
//! ```text
//! TUN ─recv─▶ buffer[16..] ─fastpath::outbound─▶ sealed in place ─▶ UDP
//! UDP ─batch─▶ datagram ─fastpath::inbound─▶ opened in place ─▶ TUN
//! ```
//!
//! It takes the Node's latest tables once a round, drains what is there before it sleeps, and hands to the
//! Node what it cannot decide through a bounded channel: full means dropped and counted, never waited for.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;

use anyhow::Result;
use arc_swap::ArcSwap;
use overlay::fastpath::{Inbound, Outbound, SlowInput, inbound, outbound};
use overlay::{DropReason, Drops, Remote, SocketId, Tables};
use wire::datagram::{HEADER_LENGTH, LABEL_LENGTH, TAG_LENGTH, write_label};
use wire::icmp::{self, Unreachable};
use wire::packet::Packet;

use crate::io::clock;
use crate::io::poll::{Poll, Ready, Wake};
use crate::io::stream::StreamSender;
use crate::io::tun::Tun;
use crate::io::udp::{Family, ReceiveBuffers, Udp};
use crate::reach::stun::{self, Budget, looks_like_stun};

/// Messages that may wait for the Node; some 20 ms of its work.
pub(super) const SLOW_MAX: usize = 512;
/// Packets that may wait for the worker: what one peer stages, many times over.
pub(super) const RELEASED_MAX: usize = 4096;
/// Packets or batches taken from one side before the other gets its turn.
const ROUND_MAX: usize = 64;
/// Longest packet from a TUN without offload.
const PACKET_LENGTH_MAX: usize = 65_535;
/// Free bytes before a packet: for the header, and for a label when it goes by a hop.
const ROOM_BEFORE: usize = LABEL_LENGTH + HEADER_LENGTH;

/// From the worker to the Node.
#[derive(Debug)]
pub(super) enum ToNode {
    /// A datagram that the fast path could not decide, and where it came from.
    Slow(SlowInput, Remote),
    /// What a STUN server may have answered.
    Stun(SocketAddr, Vec<u8>),
    /// A packet for the peer at this position, which has no session.
    Packet(usize, Vec<u8>),
}

/// From the Node to the worker.
pub(super) enum ToWorker {
    /// A packet that had waited for a session.
    Released(Vec<u8>),
    /// A packet that came over TCP, for the TUN.
    Received(Vec<u8>),
    /// A packet that cannot be delivered.
    Unreachable(Vec<u8>, Unreachable),
}

/// What worker and control thread share.
pub(super) struct Shared {
    pub(super) udp: Udp,
    pub(super) tables: ArcSwap<Tables>,
    pub(super) drops: Arc<Drops>,
    /// By which datagrams go over TCP.
    pub(super) streams: Option<StreamSender>,
    /// Whether we ask STUN servers, so that answers mean something.
    pub(super) asks_stun: bool,
    pub(super) wake: Wake,
    pub(super) stop: AtomicBool,
}

impl Shared {
    /// Sends a datagram to where it can go; what the system does not take is counted.
    pub(super) fn send(&self, remote: Remote, bytes: &[u8]) {
        self.send_with_ttl(remote, bytes, None);
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

/// The worker's own side.
pub(super) struct Worker {
    pub(super) tun: Tun,
    pub(super) shared: Arc<Shared>,
    pub(super) to_node: tokio::sync::mpsc::Sender<ToNode>,
    pub(super) from_node: mpsc::Receiver<ToWorker>,
    /// What STUN may cost.
    pub(super) stun_budget: RefCell<Budget>,
}

impl Worker {
    /// Moves packets until it is told to stop, or the interface is gone.
    pub(super) fn run(self) -> Result<()> {
        let mut packet = vec![0; ROOM_BEFORE + PACKET_LENGTH_MAX + TAG_LENGTH];
        let mut buffers = ReceiveBuffers::new();
        let mut poll = Poll::new(Some(&self.tun), &self.shared.udp, &self.shared.wake)?;
        loop {
            let ready = poll.wait(None)?;
            if self.shared.stop.load(Relaxed) {
                return Ok(());
            }
            let tables = self.shared.tables.load();
            self.round(&tables, ready, &mut packet, &mut buffers)?;
        }
    }

    fn round(
        &self,
        tables: &Tables,
        ready: Ready<'_>,
        packet: &mut [u8],
        buffers: &mut ReceiveBuffers,
    ) -> Result<()> {
        if ready.wake {
            self.take_from_node(tables, packet);
        }
        if ready.tun {
            self.drain_tun(tables, packet)?;
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

    fn drain_tun(&self, tables: &Tables, buffer: &mut [u8]) -> Result<()> {
        for _ in 0..ROUND_MAX {
            match self.tun.recv(&mut buffer[ROOM_BEFORE..ROOM_BEFORE + PACKET_LENGTH_MAX]) {
                Ok(length) => self.send_packet(tables, &mut buffer[..ROOM_BEFORE + length + TAG_LENGTH]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(anyhow::anyhow!("the interface {} is gone: {error}", self.tun.name()));
                }
            }
        }
        Ok(())
    }

    /// Sends the packet inside `buffer`, which has room for label, header and tag around it.
    fn send_packet(&self, tables: &Tables, buffer: &mut [u8]) {
        let packet = |buffer: &[u8]| buffer[ROOM_BEFORE..buffer.len() - TAG_LENGTH].to_vec();
        let (room, datagram) = buffer.split_at_mut(LABEL_LENGTH);
        match outbound(tables, datagram) {
            Outbound::Send(remote) => self.shared.send(remote, datagram),
            Outbound::SendLabelled(remote, label) => {
                write_label(room.try_into().expect("the room is a label's"), label);
                self.shared.send(remote, buffer);
            }
            Outbound::Stage(position) => self.tell_node(ToNode::Packet(position, packet(buffer))),
            Outbound::Unreachable(reason, drop) => {
                self.shared.drops.count(drop);
                self.refuse(&buffer[ROOM_BEFORE..buffer.len() - TAG_LENGTH], reason);
            }
            Outbound::Drop(reason) => self.shared.drops.count(reason),
        }
    }

    fn drain_udp(&self, tables: &Tables, socket: SocketId, family: Family, buffers: &mut ReceiveBuffers) {
        for _ in 0..ROUND_MAX {
            let taken = self.shared.udp.receive_on(socket, family, buffers, |address, datagram| {
                self.take_datagram(tables, datagram, Remote::Udp { socket, address });
            });
            // An error is the echo of something that we sent (ICMP): the socket goes on.
            if matches!(taken, Ok(0)) {
                return;
            }
        }
    }

    /// Answers STUN, and hands on what may be an answer to us. The clock is read for such datagrams only.
    fn take_stun(&self, datagram: &[u8], remote: Remote) {
        let Some(from) = remote.address() else { return };
        if let Some(answer) = stun::answer(datagram, from, &mut self.stun_budget.borrow_mut(), clock::now()) {
            self.shared.send(remote, &answer);
        } else if self.shared.asks_stun && stun::response_transaction(datagram).is_some() {
            self.tell_node(ToNode::Stun(from, datagram.to_vec()));
        } else {
            self.shared.drops.count(DropReason::Unknown);
        }
    }

    fn take_datagram(&self, tables: &Tables, datagram: &mut [u8], remote: Remote) {
        if looks_like_stun(datagram) {
            return self.take_stun(datagram, remote);
        }
        let verdict = match inbound(tables, datagram, remote) {
            // Made while this batch was read, perhaps: it is there by now, for the Node publishes before it answers.
            Inbound::Drop(DropReason::NoSession) => inbound(&self.shared.tables.load(), datagram, remote),
            verdict @ (Inbound::Packet(..) | Inbound::Slow(..) | Inbound::Forward(..) | Inbound::Drop(_)) => {
                verdict
            }
        };
        match verdict {
            Inbound::Packet(range, notice) => {
                if self.tun.send(&datagram[range]).is_err() {
                    self.shared.drops.count(DropReason::Os);
                }
                if let Some((notice, remote)) = notice {
                    self.tell_node(ToNode::Slow(notice, remote));
                }
            }
            Inbound::Slow(input, remote) => self.tell_node(ToNode::Slow(input, remote)),
            Inbound::Forward(to, notice) => {
                self.shared.send(to, datagram);
                if let Some(notice) = notice {
                    self.tell_node(ToNode::Slow(notice, remote));
                }
            }
            Inbound::Drop(reason) => self.shared.drops.count(reason),
        }
    }

    fn take_from_node(&self, tables: &Tables, buffer: &mut [u8]) {
        while let Ok(message) = self.from_node.try_recv() {
            match message {
                ToWorker::Released(packet) => {
                    let end = ROOM_BEFORE + packet.len();
                    buffer[ROOM_BEFORE..end].copy_from_slice(&packet);
                    self.send_packet(tables, &mut buffer[..end + TAG_LENGTH]);
                }
                ToWorker::Received(packet) => {
                    if self.tun.send(&packet).is_err() {
                        self.shared.drops.count(DropReason::Os);
                    }
                }
                ToWorker::Unreachable(packet, reason) => self.refuse(&packet, reason),
            }
        }
    }

    fn tell_node(&self, message: ToNode) {
        if self.to_node.try_send(message).is_err() {
            self.shared.drops.count(DropReason::SlowPathFull);
        }
    }

    /// Tells the local sender that its packet cannot be delivered. The report comes from the destination itself: Linux
    /// believes no ICMP error from an address of its own that arrives from outside.
    fn refuse(&self, packet: &[u8], reason: Unreachable) {
        let report =
            Packet::parse(packet).ok().and_then(|p| icmp::unreachable(packet, p.destination, reason));
        if let Some(report) = report
            && self.tun.send(&report).is_err()
        {
            self.shared.drops.count(DropReason::Os);
        }
    }
}
