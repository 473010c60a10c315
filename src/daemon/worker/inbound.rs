//! From the network to the TUN: a batch is opened, what goes on from each other is joined, and written before the next batch.

use overlay::fastpath::{Inbound, Merger, Opened, Train, inbound};
use overlay::{DropReason, Remote, SocketId, Tables};
use std::ops::Range;
use std::sync::PoisonError;
use wire::datagram::is_measure;
use wire::offload::Offload;

use super::{Buffers, Lane, ToNode, Worker};
use crate::io::clock;
use crate::io::tun::Offloads;
use crate::io::udp::Family;
use crate::reach::stun::{self, looks_like_stun};

/// Batches taken from one socket before others get their turn.
const BATCHES_MAX: usize = 4;

/// Datagrams of a train that go on to the same remote, one behind the other: they are sent in one call.
struct Forwarded {
    to: Remote,
    range: Range<usize>,
    segment: usize,
}

impl Forwarded {
    /// Whether a datagram behind these belongs to them.
    fn goes_on(&self, to: Remote, datagram: &Range<usize>) -> bool {
        self.to == to
            && self.range.end == datagram.start
            && datagram.len() <= self.segment
            && self.range.len().is_multiple_of(self.segment.max(1))
    }
}

impl Worker {
    pub(super) fn drain_udp(&self, tables: &Tables, socket: SocketId, family: Family, buffers: &mut Buffers) {
        for _ in 0..BATCHES_MAX {
            let received = &mut buffers.received;
            let trains = match &self.lane {
                Lane::First(_) => self.shared.udp.receive_batch(socket, family, received),
                Lane::Further { lane, .. } => lane.receive_batch(family, received),
            };
            match trains {
                Ok(0) => return,
                Ok(trains) => {
                    (0..trains).for_each(|train| self.take_train(tables, socket, train, buffers));
                    self.write_merged(&mut buffers.merger, buffers.received.bytes());
                    buffers.trains.flush(&mut |train: &Train| self.send_train(train));
                }
                // An error is the echo of something that we sent (ICMP): the socket goes on.
                Err(_) => {}
            }
        }
    }

    fn take_train(&self, tables: &Tables, socket: SocketId, position: usize, buffers: &mut Buffers) {
        let train = buffers.received.train(position);
        let remote = Remote::Udp { socket, address: train.remote };
        let mut forwarded: Option<Forwarded> = None;
        for datagram in train.datagrams() {
            let to = self.take_datagram(tables, datagram.clone(), remote, buffers);
            if let (Some(some), Some(to)) = (&mut forwarded, to)
                && some.goes_on(to, &datagram)
            {
                some.range.end = datagram.end;
                continue;
            }
            self.forward(forwarded.take(), buffers);
            forwarded = to.map(|to| Forwarded { to, segment: datagram.len(), range: datagram });
        }
        self.forward(forwarded, buffers);
    }

    /// Takes a datagram; the remote that it goes on to, if it does.
    fn take_datagram(
        &self,
        tables: &Tables,
        range: Range<usize>,
        remote: Remote,
        buffers: &mut Buffers,
    ) -> Option<Remote> {
        let datagram = &mut buffers.received.bytes()[range.clone()];
        if looks_like_stun(datagram) {
            self.take_stun(datagram, remote);
            return None;
        }
        let verdict = match inbound(tables, datagram, remote) {
            // Made while this batch was read, perhaps: it is there by now, for the Node publishes before it answers.
            Inbound::Drop(DropReason::NoSession) => inbound(&self.shared.tables.load(), datagram, remote),
            verdict @ (Inbound::Packet(..)
            | Inbound::Half(..)
            | Inbound::Slow(..)
            | Inbound::Forward(..)
            | Inbound::WireGuard
            | Inbound::Drop(_)) => verdict,
        };
        match verdict {
            Inbound::Packet(opened, notice) => {
                let inner = range.start + opened.range.start..range.start + opened.range.end;
                let opened = Opened { range: inner, ..opened };
                match opened.guest {
                    None => buffers.merger.push(&opened, buffers.received.bytes()),
                    Some(guest) => {
                        let packet = buffers.received.bytes()[opened.range.clone()].to_vec();
                        self.give_to_guest(tables, (guest, opened.is_unsummed), packet, buffers);
                    }
                }
                if let Some((notice, remote)) = notice {
                    self.tell_node(ToNode::Slow(notice, remote));
                }
            }
            Inbound::Half(packet, notice) => {
                if let Some((opened, mut bytes)) = packet {
                    // What came before it is written before it.
                    self.write_merged(&mut buffers.merger, buffers.received.bytes());
                    self.take_opened(tables, &opened, &mut bytes, buffers);
                }
                if let Some((notice, remote)) = notice {
                    self.tell_node(ToNode::Slow(notice, remote));
                }
            }
            Inbound::Slow(input, remote) => self.tell_node(ToNode::Slow(input, remote)),
            Inbound::Forward(to, notice) => {
                if let Some(notice) = notice {
                    self.tell_node(ToNode::Slow(notice, remote));
                }
                return Some(to);
            }
            Inbound::WireGuard => self.take_wireguard(tables, range, remote, buffers),
            Inbound::Drop(reason) => self.shared.drops.count(reason),
        }
        None
    }

    fn forward(&self, forwarded: Option<Forwarded>, buffers: &mut Buffers) {
        let Some(Forwarded { to, range, segment }) = forwarded else { return };
        let bytes = &buffers.received.bytes()[range];
        if is_measure(bytes, segment) {
            // In fragments it would come through, and say that packets of its length do.
            self.shared.send_whole(to, bytes);
        } else {
            self.shared.send_segments(to, bytes, segment);
        }
    }

    /// Answers STUN, and hands on what may be an answer to us. The clock is read, and the budget locked, for such datagrams only.
    fn take_stun(&self, datagram: &[u8], remote: Remote) {
        let Some(from) = remote.address() else { return };
        let answer = {
            let mut budget = self.shared.stun_budget.lock().unwrap_or_else(PoisonError::into_inner);
            stun::answer(datagram, from, &mut budget, clock::now())
        };
        if let Some(answer) = answer {
            self.shared.send(remote, &answer);
        } else if self.shared.asks_stun && stun::response_transaction(datagram).is_some() {
            self.tell_node(ToNode::Stun(from, datagram.to_vec()));
        } else {
            self.shared.drops.count(DropReason::Unknown);
        }
    }

    /// Takes a packet that came otherwise than by a batch.
    pub(super) fn take_opened(
        &self,
        tables: &Tables,
        opened: &Opened,
        bytes: &mut [u8],
        buffers: &mut Buffers,
    ) {
        if let Some(guest) = opened.guest {
            let packet = bytes[opened.range.clone()].to_vec();
            return self.give_to_guest(tables, (guest, opened.is_unsummed), packet, buffers);
        }
        let merger = &mut buffers.merger;
        merger.push(opened, bytes);
        self.write_merged(merger, bytes);
    }

    /// Writes what has come for this machine.
    fn write_merged(&self, merger: &mut Merger, bytes: &mut [u8]) {
        merger.finish(bytes);
        for written in merger.written() {
            let offload = written.offload();
            self.write(offload, written.parts().map(|range| &bytes[range]));
        }
        merger.clear();
    }

    /// Gives the machine a packet. Where the kernel completes no checksum, it is completed here.
    pub(super) fn write<'a>(&self, offload: Offload, parts: impl Iterator<Item = &'a [u8]>) {
        let written = if offload != Offload::NONE && self.tun.offloads() == Offloads::None {
            let mut packet = parts.flatten().copied().collect::<Vec<u8>>();
            overlay::fastpath::complete(offload, &mut packet);
            self.tun.send(Offload::NONE, std::iter::once(&packet[..]))
        } else {
            self.tun.send(offload, parts)
        };
        if written.is_err() {
            self.shared.drops.count(DropReason::Os);
        }
    }
}
