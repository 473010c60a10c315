//! Packets of guests: out of their tunnels to this machine or on to a peer, and into them.

use std::ops::Range;

use overlay::fastpath::{FromGuest, Opened, Outbound, Train, Trains, for_guest, from_guest, outbound, sum};
use overlay::{DropReason, Remote, Tables};
use wire::icmp;
use wire::offload::{OFFLOAD_LENGTH, Offload};
use wire::packet::Packet;

use super::{Buffers, Worker};
use crate::guests::Scratch;

impl Worker {
    /// Takes a message of WireGuard that stands in the batch.
    pub(super) fn take_wireguard(
        &self,
        tables: &Tables,
        range: Range<usize>,
        remote: Remote,
        buffers: &mut Buffers,
    ) {
        let Buffers { received, guest: scratch, trains, merger, packet: room, .. } = buffers;
        let bytes = received.bytes();
        let datagram = &bytes[range.clone()];
        let mut send = |remote: Remote, bytes: &[u8]| {
            trains.carry(remote, bytes, &mut |train: &Train| self.send_train(train));
        };
        let Some((guest, length)) = self.shared.guests.take(datagram, remote, scratch, &mut send) else {
            return;
        };
        let packet = scratch.opened(length);
        match from_guest(tables, guest, packet) {
            Ok(FromGuest::Here(opened)) => {
                let into = range.start..range.start + length;
                bytes[into.clone()].copy_from_slice(packet);
                merger.push(&Opened { range: into, ..opened }, bytes);
            }
            Ok(FromGuest::Onward) => {
                room[OFFLOAD_LENGTH..][..length].copy_from_slice(packet);
                self.send_packet(tables, (Offload::NONE, length), buffers);
            }
            Err(reason) => self.shared.drops.count(reason),
        }
    }

    /// Takes a packet of a peer for a guest; its checksum may have been left out.
    pub(super) fn give_to_guest(
        &self,
        tables: &Tables,
        (guest, is_unsummed): (u32, bool),
        mut packet: Vec<u8>,
        buffers: &mut Buffers,
    ) {
        if is_unsummed {
            sum(&mut packet);
        }
        let Buffers { guest: scratch, trains, .. } = buffers;
        match self.seal_for_guest(guest, Offload::NONE, &mut packet, scratch, trains) {
            Outbound::TooBig(mtu) => {
                self.shared.drops.count(DropReason::TooBig);
                let report =
                    Packet::parse(&packet).ok().and_then(|p| icmp::too_big(&packet, p.destination, mtu));
                self.report(tables, report, buffers);
            }
            Outbound::Drop(reason) | Outbound::Unreachable(_, reason) => self.shared.drops.count(reason),
            Outbound::Sealed | Outbound::Stage(_) | Outbound::Guest(_) => {}
        }
    }

    /// Makes a packet fit a guest's tunnel and puts it there; what comes of it otherwise.
    pub(super) fn seal_for_guest(
        &self,
        guest: u32,
        offload: Offload,
        packet: &mut [u8],
        scratch: &mut Scratch,
        trains: &mut Trains,
    ) -> Outbound {
        let mut send = |remote: Remote, bytes: &[u8]| {
            trains.carry(remote, bytes, &mut |train: &Train| self.send_train(train));
        };
        let sealed = for_guest(offload, packet, |packet| {
            self.shared.guests.send(guest, packet, scratch, &mut send);
        });
        sealed.err().unwrap_or(Outbound::Sealed)
    }

    /// Tells a sender of what became of its packet: a program here, a guest, or another member.
    pub(super) fn report(&self, tables: &Tables, report: Option<Vec<u8>>, buffers: &mut Buffers) {
        let Some(mut report) = report else { return };
        let Ok(Packet { destination, .. }) = Packet::parse(&report) else { return };
        let Buffers { guest: scratch, trains, .. } = buffers;
        if tables.own_addresses().contains(&destination) {
            self.write(Offload::NONE, std::iter::once(&report[..]));
        } else if let Some(guest) = tables.guest(&destination) {
            let _lost = self.seal_for_guest(guest, Offload::NONE, &mut report, scratch, trains);
        } else {
            let mut send = |train: &Train| self.send_train(train);
            let _lost = outbound(tables, Offload::NONE, &mut report, trains, &mut send);
        }
    }
}
