//! Cutting an IPv4 packet that does not forbid it into fragments (RFC 791 section 2.3), as a router does.

use super::header::{put, sum_ipv4};
use std::ops::Range;
use wire::packet::Packet;

/// An IPv4 header without options.
const HEADER: usize = 20;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;
const LENGTH_MAX: usize = 65_535;
/// Offsets count blocks of so many bytes.
const BLOCK: usize = 8;

/// How one packet is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragments {
    length: usize,
    /// Flags and offset of the packet itself, which may be a fragment.
    place: u16,
    /// Bytes of payload in each but the last.
    size: usize,
}

impl Fragments {
    /// None, when the packet is none of IPv4, forbids it, or has options: which go into which fragment is nobody's business any
    /// more. No fragment is longer than `longest`, which is no less than IPv6's least MTU.
    pub(super) fn of(packet: &Packet, bytes: &[u8], longest: usize) -> Option<Self> {
        let place = u16::from_be_bytes([*bytes.get(6)?, *bytes.get(7)?]);
        // What ends beyond the longest packet cannot be counted, and is none.
        let end = usize::from(place & OFFSET) * BLOCK + packet.length;
        let may_be_cut =
            end <= LENGTH_MAX && packet.source.is_ipv4() && bytes[0] == 0x45 && place & DONT_FRAGMENT == 0;
        let size = longest.checked_sub(HEADER)? / BLOCK * BLOCK;
        (may_be_cut && size > 0).then_some(Self { length: packet.length, place, size })
    }

    /// Number of fragments.
    pub(super) fn count(&self) -> usize {
        (self.length - HEADER).div_ceil(self.size)
    }

    fn payload(&self, number: usize) -> Range<usize> {
        let begin = HEADER + number * self.size;
        begin..(begin + self.size).min(self.length)
    }

    /// Length of one fragment.
    pub(super) fn length(&self, number: usize) -> usize {
        HEADER + self.payload(number).len()
    }

    /// Writes one fragment. `into` has its length.
    pub(super) fn write(&self, number: usize, packet: &[u8], into: &mut [u8]) {
        let (header, payload) = into.split_at_mut(HEADER);
        header.copy_from_slice(&packet[..HEADER]);
        payload.copy_from_slice(&packet[self.payload(number)]);
        // A packet has at most 64 KiB.
        let mut place = self.place + (number * self.size / BLOCK) as u16;
        if number + 1 < self.count() {
            place |= MORE_FRAGMENTS;
        }
        put(header, 2, HEADER + payload.len());
        put(header, 6, place.into());
        sum_ipv4(header);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(length: usize, place: u16) -> Vec<u8> {
        let (l, p) = ((length as u16).to_be_bytes(), place.to_be_bytes());
        let head = [0x45, 0, l[0], l[1], 0x12, 0x34, p[0], p[1], 64, 17, 0, 0, 10, 7, 0, 1, 10, 7, 0, 2];
        head.into_iter().chain((HEADER..length).map(|n| (n % 251) as u8)).collect()
    }

    /// The parts of a packet, each as place and payload.
    fn cut(bytes: &[u8], longest: usize) -> Vec<(u16, Vec<u8>)> {
        let parsed = Packet::parse(bytes).unwrap();
        let fragments = Fragments::of(&parsed, bytes, longest).unwrap();
        let part = |number| {
            let mut part = vec![0; fragments.length(number)];
            fragments.write(number, bytes, &mut part);
            assert!(part.len() <= longest && Packet::parse(&part).unwrap().length == part.len());
            assert_eq!(wire::checksum::Sum::default().with(&part[..HEADER]).checksum(), [0, 0]);
            assert_eq!((&part[..2], &part[4..6], &part[8..10]), (&bytes[..2], &bytes[4..6], &bytes[8..10]));
            (u16::from_be_bytes([part[6], part[7]]), part[HEADER..].to_vec())
        };
        (0..fragments.count()).map(part).collect()
    }

    #[test]
    fn fragments_together_are_the_packet() {
        for (length, place) in [(1301, 0), (1420, 100), (5000, MORE_FRAGMENTS), (65_535, 0), (64_000, 100)]
            .into_iter()
            .flat_map(|(length, place)| [(length, place), (length, place | MORE_FRAGMENTS)])
        {
            {
                let bytes = packet(length, place);
                let parts = cut(&bytes, 1300);
                assert_eq!(parts.len(), (length - HEADER).div_ceil(1280));
                let offset = place & 0x1fff;
                for (number, (at, _)) in parts.iter().enumerate() {
                    assert_eq!(usize::from(at & 0x1fff), usize::from(offset) + number * 160);
                    let is_last = number + 1 == parts.len();
                    assert_eq!(at & MORE_FRAGMENTS != 0, !is_last || place & MORE_FRAGMENTS != 0);
                }
                let payload: Vec<u8> = parts.into_iter().flat_map(|(_, payload)| payload).collect();
                assert_eq!(payload, bytes[HEADER..]);
            }
        }
    }

    #[test]
    fn what_may_not_be_cut_is_not() {
        let refused = |bytes: &[u8]| Fragments::of(&Packet::parse(bytes).unwrap(), bytes, 1300).is_none();
        assert!(!refused(&packet(1400, 0)));
        assert!(refused(&packet(1400, DONT_FRAGMENT)));
        assert!(refused(&packet(1400, OFFSET)));
        let mut options = packet(1400, 0);
        options[0] = 0x46;
        options[20..24].copy_from_slice(&[1, 1, 1, 0]);
        assert!(refused(&options));
        let mut ipv6 = vec![0; 1400];
        ipv6[..8].copy_from_slice(&[0x60, 0, 0, 0, 0x05, 0x50, 17, 64]);
        assert!(refused(&ipv6));
    }
}
