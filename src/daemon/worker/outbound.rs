//! From the TUN to the network: what is there is read, sealed into trains, and sent before the worker sleeps.

use std::sync::atomic::Ordering::Relaxed;

use overlay::fastpath::{Outbound, Train, outbound, whole_packets};
use overlay::{DropReason, Remote, Tables};
use wire::icmp::{self, Unreachable};
use wire::offload::{OFFLOAD_LENGTH, Offload};
use wire::packet::Packet;

use super::{Buffers, Shared, ToNode, Worker};
use crate::io::udp::Sent;

/// Reads of the TUN before datagrams get their turn.
const READS_MAX: usize = 64;
/// Bytes of them: some milliseconds of bulk.
const READ_BYTES_MAX: usize = 1 << 20;

/// Whether that says that there is nothing to read.
fn is_empty(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock
}

impl Shared {
    /// Sends a train.
    fn send_train(&self, train: &Train) -> Sent {
        let (bytes, segment) = train.segments();
        match train.remote() {
            Remote::Udp { socket, address } if train.in_fragments() && address.is_ipv4() => {
                if self.udp.send_in_fragments(socket, address, bytes, segment).is_err() {
                    train.datagrams().for_each(|_| self.drops.count(DropReason::Os));
                }
                Sent::Whole
            }
            to @ (Remote::Udp { .. } | Remote::Stream(_) | Remote::Circuit(_)) => {
                self.send_segments(to, bytes, segment)
            }
        }
    }

    /// Sends datagrams of one length, of which the last may be shorter; what the system does not take is counted.
    pub(super) fn send_segments(&self, to: Remote, bytes: &[u8], segment: usize) -> Sent {
        let datagrams = || bytes.chunks(segment.max(1));
        match to {
            Remote::Udp { socket, address } => {
                self.udp.send_segments(socket, address, bytes, segment).unwrap_or_else(|_| {
                    datagrams().for_each(|_| self.drops.count(DropReason::Os));
                    Sent::Whole
                })
            }
            Remote::Stream(_) | Remote::Circuit(_) => {
                datagrams().for_each(|datagram| self.send(to, datagram));
                Sent::Whole
            }
        }
    }
}

impl Worker {
    /// Reads what the machine sends.
    ///
    /// # Errors
    /// When the interface is gone.
    pub(super) fn drain_tun(&self, tables: &Tables, buffers: &mut Buffers) -> anyhow::Result<()> {
        let (mut bytes, mut packets, mut has_yielded) = (0, 0, false);
        for _ in 0..READS_MAX {
            match self.tun.recv(&mut buffers.packet) {
                Ok((offload, length)) => {
                    self.send_packet(tables, (offload, length), buffers);
                    (bytes, packets) = (bytes + length, packets + 1);
                }
                // Of several packets the sender has more, perhaps, and waits for this core: let it go on, once, and a call carries
                // all of them. Where the core has nothing else to do, that is over in less time than a read takes.
                Err(error) if is_empty(&error) && packets > 1 && !has_yielded => {
                    has_yielded = true;
                    std::thread::yield_now();
                }
                Err(error) if is_empty(&error) => break,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(anyhow::anyhow!("the interface {} is gone: {error}", self.tun.name()));
                }
            }
            if bytes >= READ_BYTES_MAX {
                break;
            }
        }
        buffers.trains.flush(&mut |train: &Train| self.send_train(train));
        Ok(())
    }

    /// Sends a train. When it was known to be too long for the path the Node gets to know, once until it has looked.
    pub(super) fn send_train(&self, train: &Train) {
        if self.shared.send_train(train) == Sent::InFragments
            && !self.shared.too_long_told.swap(true, Relaxed)
        {
            self.tell_node(ToNode::TooLong(train.remote()));
        }
    }

    /// Seals the packet of this length that is in the buffer.
    pub(super) fn send_packet(
        &self,
        tables: &Tables,
        (offload, length): (Offload, usize),
        buffers: &mut Buffers,
    ) {
        let packet = &mut buffers.packet[OFFLOAD_LENGTH..][..length];
        let mut send = |train: &Train| self.send_train(train);
        let mut outcome = outbound(tables, offload, packet, &mut buffers.trains, &mut send);
        if let Outbound::Guest(guest) = outcome {
            let Buffers { packet, guest: scratch, trains, .. } = buffers;
            let packet = &mut packet[OFFLOAD_LENGTH..][..length];
            outcome = self.seal_for_guest(guest, offload, packet, scratch, trains);
        }
        let packet = &mut buffers.packet[OFFLOAD_LENGTH..][..length];
        match outcome {
            Outbound::Sealed | Outbound::Guest(_) => {}
            Outbound::Stage(position) => whole_packets(offload, packet, |packet| {
                self.tell_node(ToNode::Packet(position, packet.to_vec()));
            }),
            Outbound::Unreachable(reason, drop) => {
                self.shared.drops.count(drop);
                let report = unreachable(packet, reason);
                self.report(tables, report, buffers);
            }
            Outbound::TooBig(mtu) => {
                self.shared.drops.count(DropReason::TooBig);
                let report =
                    Packet::parse(packet).ok().and_then(|p| icmp::too_big(packet, p.destination, mtu));
                self.report(tables, report, buffers);
            }
            Outbound::Drop(reason) => self.shared.drops.count(reason),
        }
    }

    /// Tells the local sender that its packet cannot be delivered. The report comes from the destination itself: Linux
    /// believes no ICMP error from an address of its own that arrives from outside.
    pub(super) fn refuse(&self, tables: &Tables, packet: &[u8], reason: Unreachable, buffers: &mut Buffers) {
        self.report(tables, unreachable(packet, reason), buffers);
    }
}

fn unreachable(packet: &[u8], reason: Unreachable) -> Option<Vec<u8>> {
    Packet::parse(packet).ok().and_then(|p| icmp::unreachable(packet, p.destination, reason))
}
