//! Where TCP (RFC 9293) or UDP (RFC 768) stands in a packet, and its checksum.
//!
//! Between nodes a checksum may be left out, because the tag of the datagram protects more than it: then its field means
//! nothing, and the receiver lets the kernel complete it, or completes it itself.

use crate::checksum::Sum;
use crate::offload::{PartialChecksum, SegmentKind};
use crate::packet::{Packet, protocol};

/// Bytes of a TCP header without options.
const TCP_LENGTH: usize = 20;
/// Bytes of a UDP header.
const UDP_LENGTH: usize = 8;

/// What a packet carries of which we know the checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A whole TCP or UDP header in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transport {
    /// Which.
    pub kind: TransportKind,
    /// Bytes from the packet's begin to it.
    pub start: usize,
    /// Bytes from the packet's begin to its payload: all headers.
    pub headers: usize,
}

impl Transport {
    /// The header in a packet that was parsed from `bytes`; none in a fragment, or when it is cut off or states an impossible
    /// length.
    #[must_use]
    pub fn of(packet: &Packet, bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(packet.payload_offset..packet.length).filter(|_| !packet.is_fragment)?;
        let (kind, length) = match packet.protocol {
            protocol::TCP => (TransportKind::Tcp, usize::from(*header.get(12)? >> 4) * 4),
            protocol::UDP => {
                let stated = u16::from_be_bytes([*header.get(4)?, *header.get(5)?]);
                let is_whole = usize::from(stated) == header.len();
                (TransportKind::Udp, if is_whole { UDP_LENGTH } else { 0 })
            }
            _ => return None,
        };
        let least = match kind {
            TransportKind::Tcp => TCP_LENGTH,
            TransportKind::Udp => UDP_LENGTH,
        };
        let fits = (least..=header.len()).contains(&length);
        fits.then_some(Self { kind, start: packet.payload_offset, headers: packet.payload_offset + length })
    }

    /// Bytes from the header's begin to its checksum.
    #[must_use]
    pub fn checksum_offset(&self) -> usize {
        match self.kind {
            TransportKind::Tcp => 16,
            TransportKind::Udp => 6,
        }
    }

    /// Where its checksum is to be made. Headers end within the first 64 KiB.
    #[must_use]
    pub fn partial_checksum(&self) -> PartialChecksum {
        PartialChecksum { start: self.start as u16, offset: self.checksum_offset() as u16 }
    }

    /// As what a packet with it is cut.
    #[must_use]
    pub fn segment_kind(&self, packet: &Packet) -> SegmentKind {
        match (self.kind, packet.source.is_ipv4()) {
            (TransportKind::Tcp, true) => SegmentKind::Tcp4,
            (TransportKind::Tcp, false) => SegmentKind::Tcp6,
            (TransportKind::Udp, _) => SegmentKind::Udp,
        }
    }

    /// The sum of the pseudo-header of a packet with this transport.
    #[must_use]
    pub fn pseudo_header(&self, packet: &Packet) -> Sum {
        let length = packet.length - self.start;
        Sum::of_pseudo_header(packet.source, packet.destination, packet.protocol, length)
    }

    /// Makes the checksum of the packet at the begin of `bytes`.
    pub fn complete(&self, packet: &Packet, bytes: &mut [u8]) {
        let at = self.start + self.checksum_offset();
        bytes[at..at + 2].copy_from_slice(&[0, 0]);
        let sum = self.pseudo_header(packet).with(&bytes[self.start..packet.length]).checksum();
        // To UDP zero says that there is none; its complement is as good.
        let sum = if self.kind == TransportKind::Udp && sum == [0, 0] { [0xff, 0xff] } else { sum };
        bytes[at..at + 2].copy_from_slice(&sum);
    }

    /// Whether the checksum of the packet at the begin of `bytes` is there and right.
    #[must_use]
    pub fn verifies(&self, packet: &Packet, bytes: &[u8]) -> bool {
        let at = self.start + self.checksum_offset();
        let is_there = self.kind == TransportKind::Tcp || bytes[at..at + 2] != [0, 0];
        is_there && self.pseudo_header(packet).with(&bytes[self.start..packet.length]).checksum() == [0, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A UDP packet from 10.0.0.1 to 10.0.0.2 without a checksum.
    fn udp(payload: &[u8]) -> Vec<u8> {
        let length = 28 + payload.len() as u8;
        let head = [0x45, 0, 0, length, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        [&head[..], &[0, 7, 0, 9, 0, length - 20, 0, 0], payload].concat()
    }

    fn tcp(payload: &[u8], words: u8) -> Vec<u8> {
        let length = 40 + payload.len() as u8;
        let head = [0x45, 0, 0, length, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let tcp = [0, 7, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, words << 4, 0x10, 1, 0, 0, 0, 0, 0];
        [&head[..], &tcp, payload].concat()
    }

    fn parsed(bytes: &[u8]) -> (Packet, Option<Transport>) {
        let packet = Packet::parse(bytes).unwrap();
        (packet, Transport::of(&packet, bytes))
    }

    #[test]
    fn a_checksum_that_was_completed_verifies_and_a_changed_byte_does_not() {
        for mut bytes in [udp(b"hello"), tcp(b"hell", 5), tcp(b"", 5), udp(b"")] {
            let (packet, transport) = parsed(&bytes);
            let transport = transport.unwrap();
            assert!(!transport.verifies(&packet, &bytes));
            transport.complete(&packet, &mut bytes);
            assert!(transport.verifies(&packet, &bytes), "{bytes:?}");
            for at in 20..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 0x10;
                assert!(!transport.verifies(&packet, &other), "{at}");
            }
        }
    }

    #[test]
    fn a_udp_checksum_is_never_zero() {
        // All words of this sum to 0xffff but for the one that is chosen here.
        let mut bytes = udp(&[0, 0]);
        let (packet, transport) = parsed(&bytes);
        let transport = transport.unwrap();
        let rest = transport.pseudo_header(&packet).with(&bytes[20..]).checksum();
        bytes[28..30].copy_from_slice(&rest);
        transport.complete(&packet, &mut bytes);
        assert_eq!(bytes[26..28], [0xff, 0xff]);
        assert!(transport.verifies(&packet, &bytes));
    }

    #[test]
    fn headers_that_are_cut_or_lie_are_none() {
        assert_eq!(parsed(&udp(b"x")).1.map(|t| (t.start, t.headers)), Some((20, 28)));
        assert_eq!(parsed(&tcp(&[0; 12], 8)).1.map(|t| (t.start, t.headers)), Some((20, 52)));
        assert_eq!(parsed(&tcp(b"", 6)).1, None, "longer than the packet");
        assert_eq!(parsed(&tcp(b"", 4)).1, None, "shorter than any");
        let mut lies = udp(b"x");
        lies[25] += 1;
        assert_eq!(parsed(&lies).1, None);
        let mut fragment = tcp(b"x", 5);
        fragment[6] = 0x20;
        assert_eq!(parsed(&fragment).1, None);
        let mut other = tcp(b"x", 5);
        other[9] = 50;
        assert_eq!(parsed(&other).1, None);
    }
}
