//! The internet checksum (RFC 1071) of headers and payloads.
//!
//! Sums are made of native-endian words, eight bytes a step, and swapped at the end: the sum does not depend on the byte
//! order in which words are added.

use std::net::IpAddr;

/// A one's complement sum of 16-bit words that grows; parts begin at even offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum with more bytes; an odd number of them only at the end.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<4>();
        // At most 64 KiB are summed, 2^14 words of 32 bits: far from 2^64.
        let sum: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        Self(self.0 + sum + u64::from(u32::from_ne_bytes(last)))
    }

    /// The sum of a pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1): what `length` bytes of this protocol between
    /// two addresses add to the sum of their own.
    #[must_use]
    pub fn of_pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Self {
        let addresses = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Self::default().with(&source.octets()).with(&destination.octets())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Self::default().with(&source.octets()).with(&destination.octets())
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Self::default(),
        };
        // No packet is longer than 64 KiB.
        let [high, low] = (length as u16).to_be_bytes();
        addresses.with(&[high, low, 0, protocol])
    }

    /// The sum itself, as it stands in the field of a packet whose checksum somebody else completes.
    #[must_use]
    pub fn folded(self) -> [u8; 2] {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (sum as u16).to_ne_bytes()
    }

    /// The checksum: the complement of the sum.
    #[must_use]
    pub fn checksum(self) -> [u8; 2] {
        self.folded().map(|byte| !byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plainly(bytes: &[u8]) -> [u8; 2] {
        let words =
            bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
        let sum = words.fold(0u32, |sum, word| (sum + word) % 0xffff);
        (sum as u16).to_be_bytes()
    }

    #[test]
    fn agrees_with_the_plain_rule_for_all_lengths() {
        let bytes: Vec<u8> = (0..3000u32).map(|n| (n * 31 % 251) as u8).collect();
        for length in (0..100).chain([1420, 2999, 3000]) {
            let sum = Sum::default().with(&bytes[..length]);
            let (folded, plain) = (sum.folded(), plainly(&bytes[..length]));
            assert!(folded == plain || (folded == [255, 255] && plain == [0, 0]), "{length}");
            assert_eq!(sum.checksum(), folded.map(|byte| !byte));
        }
    }

    #[test]
    fn parts_add_up() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(
            Sum::default().with(&bytes[..6]).with(&bytes[6..]).folded(),
            Sum::default().with(&bytes).folded()
        );
        // The example of RFC 1071 section 3.
        assert_eq!(Sum::default().with(&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]).folded(), [0xdd, 0xf2]);
    }

    #[test]
    fn a_pseudo_header_is_addresses_length_and_protocol() {
        let (a, b) = ("10.1.2.3".parse().unwrap(), "10.4.5.6".parse().unwrap());
        let plain = plainly(&[10, 1, 2, 3, 10, 4, 5, 6, 0, 17, 1, 44]);
        assert_eq!(Sum::of_pseudo_header(a, b, 17, 300).folded(), plain);
        let c: IpAddr = "fd00::1:2".parse().unwrap();
        let IpAddr::V6(octets) = c else { panic!() };
        let plain = plainly(&[&octets.octets()[..], &octets.octets(), &[0, 6, 1, 44]].concat());
        assert_eq!(Sum::of_pseudo_header(c, c, 6, 300).folded(), plain);
    }
}
