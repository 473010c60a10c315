//! Cutting superpackets into packets, as the kernel does where it cuts them itself (`tcp_gso_segment`, `udp_gso_segment`).
//!
//! Headers are copied before each part; lengths, IPv4 identification and TCP sequence number go on from packet to packet; CWR
//! stays with the first, FIN and PSH with the last. Checksums of TCP and UDP are left out.

use super::header::{CWR, FIN, PSH, put, set_length};
use std::ops::Range;
use wire::offload::Offload;
use wire::packet::Packet;
use wire::transport::{Transport, TransportKind};

/// How one superpacket is cut.
#[derive(Debug, Clone, Copy)]
pub struct Split {
    packet: Packet,
    transport: Transport,
    /// Bytes of payload in each but the last.
    size: usize,
}

impl Split {
    /// None when it is no superpacket of the kind that is said, or has no payload. `packet` was parsed from `bytes`.
    #[must_use]
    pub fn of(offload: Offload, packet: Packet, bytes: &[u8]) -> Option<Self> {
        let segments = offload.segments?;
        let transport = Transport::of(&packet, bytes)?;
        let kind = transport.segment_kind(&packet);
        let is_whole = bytes.len() == packet.length && packet.length > transport.headers;
        let size = usize::from(segments.size);
        (kind == segments.kind && is_whole && size > 0).then_some(Self { packet, transport, size })
    }

    /// A whole segment of TCP, to be cut into packets no longer than `longest`. None when there is no room for payload.
    pub(super) fn of_one(packet: Packet, transport: Transport, longest: usize) -> Option<Self> {
        Self { packet, transport, size: packet.length - transport.headers }.within(longest)
    }

    /// Cut into packets no longer than `longest`, when it is TCP: in what portions that goes does not matter to it.
    pub(super) fn within(self, longest: usize) -> Option<Self> {
        let room = longest.checked_sub(self.transport.headers).filter(|room| *room > 0)?;
        let is_tcp = self.transport.kind == TransportKind::Tcp;
        (is_tcp && self.size > 0).then_some(Self { size: self.size.min(room), ..self })
    }

    /// Length of the longest packet.
    pub(super) fn longest(&self) -> usize {
        self.length(0)
    }

    /// Number of packets, at least 1.
    #[must_use]
    pub fn count(&self) -> usize {
        (self.packet.length - self.transport.headers).div_ceil(self.size)
    }

    /// Where in the superpacket the payload of one packet stands.
    fn payload(&self, number: usize) -> Range<usize> {
        let begin = self.transport.headers + number * self.size;
        begin..(begin + self.size).min(self.packet.length)
    }

    /// Length of one packet, in bytes; `number` is below [`Split::count`].
    #[must_use]
    pub fn length(&self, number: usize) -> usize {
        self.transport.headers + self.payload(number).len()
    }

    /// Writes one packet, all but the checksum of TCP or UDP. `into` has its length, `superpacket` is what this was made of.
    pub fn write(&self, number: usize, superpacket: &[u8], into: &mut [u8]) {
        let (headers, payload) = into.split_at_mut(self.transport.headers);
        headers.copy_from_slice(&superpacket[..headers.len()]);
        payload.copy_from_slice(&superpacket[self.payload(number)]);
        let length = headers.len() + payload.len();
        if self.packet.source.is_ipv4() {
            let identification = u16::from_be_bytes([headers[4], headers[5]]).wrapping_add(number as u16);
            put(headers, 4, identification.into());
        }
        set_length(headers, &self.packet, &self.transport, length);
        if self.transport.kind == TransportKind::Tcp {
            self.patch_tcp(&mut headers[self.transport.start..], number);
        }
    }

    fn patch_tcp(&self, tcp: &mut [u8], number: usize) {
        let sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        // A superpacket has at most 64 KiB.
        let sequence = sequence.wrapping_add((number * self.size) as u32);
        tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
        if number > 0 {
            tcp[13] &= !CWR;
        }
        if number + 1 < self.count() {
            tcp[13] &= !(FIN | PSH);
        }
    }
}
