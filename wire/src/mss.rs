//! The maximum segment size that the ends of a TCP connection tell each other in their SYNs (RFC 9293 section 3.7.1),
//! lowered to what fits on the way.

use crate::checksum::Sum;
use crate::packet::{IPV4_HEADER_LENGTH, IPV6_HEADER_LENGTH, Packet, protocol};
use crate::transport::{Transport, TransportKind};

/// Bytes of a TCP header without options, which are no part of a segment's size.
const TCP_LENGTH: usize = 20;
/// Where the flags stand in it, and the one of a SYN.
const FLAGS_AT: usize = 13;
const SYN: u8 = 0x02;

const OPTION_END: u8 = 0;
const OPTION_NONE: u8 = 1;
const OPTION_MSS: u8 = 2;
const OPTION_MSS_LENGTH: usize = 4;

/// Whether the packet at the begin of `bytes` begins a TCP connection, from either side.
#[must_use]
pub fn is_syn(packet: &Packet, bytes: &[u8]) -> bool {
    let flags = || bytes.get(packet.payload_offset + FLAGS_AT);
    packet.protocol == protocol::TCP && !packet.is_fragment && flags().is_some_and(|flags| flags & SYN != 0)
}

/// Lowers the segment size in a SYN at the begin of `bytes`, so that packets have at most `mtu` bytes; says whether it was
/// greater. Where `is_summed`, the checksum goes with it (RFC 1624); a field that holds the sum of the pseudo-header
/// alone, or nothing, has nothing of it in it.
pub fn clamp_mss(packet: &Packet, bytes: &mut [u8], mtu: u16, is_summed: bool) -> bool {
    let Some(transport) = Transport::of(packet, bytes).filter(|t| t.kind == TransportKind::Tcp) else {
        return false;
    };
    let ip = if packet.source.is_ipv4() { IPV4_HEADER_LENGTH } else { IPV6_HEADER_LENGTH };
    let most = usize::from(mtu).saturating_sub(ip + TCP_LENGTH) as u16;
    let header = &mut bytes[transport.start..transport.headers];
    let Some(at) = find_mss(header) else { return false };
    let before = [header[at], header[at + 1]];
    if u16::from_be_bytes(before) <= most {
        return false;
    }
    let after = most.to_be_bytes();
    header[at..at + 2].copy_from_slice(&after);
    if is_summed {
        // Words are counted from the header's begin: at an odd place the bytes lie in two of them, the other way round.
        let word = |[high, low]: [u8; 2]| if at.is_multiple_of(2) { [high, low] } else { [low, high] };
        let field = transport.checksum_offset();
        let sum = adjusted([header[field], header[field + 1]], word(before), word(after));
        header[field..field + 2].copy_from_slice(&sum);
    }
    true
}

/// Where the size stands in a TCP header.
fn find_mss(header: &[u8]) -> Option<usize> {
    let mut at = TCP_LENGTH;
    loop {
        match *header.get(at)? {
            OPTION_END => return None,
            OPTION_NONE => at += 1,
            kind => {
                let length = usize::from(*header.get(at + 1)?);
                if kind == OPTION_MSS && length == OPTION_MSS_LENGTH && at + length <= header.len() {
                    return Some(at + 2);
                }
                // An option that says it has no length would be found for ever.
                at += length.max(2);
            }
        }
    }
}

/// A checksum after one word was replaced by another (RFC 1624, equation 3).
fn adjusted(sum: [u8; 2], before: [u8; 2], after: [u8; 2]) -> [u8; 2] {
    let not = |word: [u8; 2]| word.map(|byte| !byte);
    Sum::default().with(&not(sum)).with(&not(before)).with(&after).checksum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A SYN with these options, its checksum right.
    fn syn(is_ipv4: bool, options: &[u8]) -> Vec<u8> {
        let tcp_length = TCP_LENGTH + options.len();
        let mut tcp =
            vec![0x9c, 0x40, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, (tcp_length as u8 / 4) << 4, SYN, 0xff, 0xff];
        tcp.extend([0; 4]);
        tcp.extend(options);
        let ip = if is_ipv4 {
            let length = (20 + tcp_length as u16).to_be_bytes();
            let head = [0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, 6, 0, 0];
            [&head[..], &[10, 7, 0, 1], &[10, 7, 0, 2]].concat()
        } else {
            let length = (tcp_length as u16).to_be_bytes();
            let head = [0x60, 0, 0, 0, length[0], length[1], 6, 64];
            [&head[..], &[0xfd; 16], &[0xfc; 16]].concat()
        };
        let mut bytes = [ip, tcp].concat();
        let packet = Packet::parse(&bytes).unwrap();
        Transport::of(&packet, &bytes).unwrap().complete(&packet, &mut bytes);
        bytes
    }

    fn verifies(bytes: &[u8]) -> bool {
        let packet = Packet::parse(bytes).unwrap();
        Transport::of(&packet, bytes).unwrap().verifies(&packet, bytes)
    }

    /// The size in a SYN after it was clamped, and whether it was greater.
    fn clamped(bytes: &mut [u8], mtu: u16) -> (Option<u16>, bool) {
        let packet = Packet::parse(bytes).unwrap();
        assert!(is_syn(&packet, bytes));
        let was_greater = clamp_mss(&packet, bytes, mtu, true);
        let header = &bytes[packet.payload_offset..];
        (find_mss(header).map(|at| u16::from_be_bytes([header[at], header[at + 1]])), was_greater)
    }

    #[test]
    fn the_size_is_lowered_and_never_raised() {
        for (is_ipv4, headers) in [(true, 40), (false, 60)] {
            for mtu in [1280, 1420, 1441, 8940] {
                for size in [1000u16, 1240, 1380, 1460, 8960, 65_535] {
                    let [high, low] = size.to_be_bytes();
                    let usual = [2, 4, high, low, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7];
                    // At an odd place, and behind another option.
                    let odd = [1, 2, 4, high, low, 0, 0, 0];
                    for options in [&usual[..], &odd] {
                        let mut bytes = syn(is_ipv4, options);
                        let before = bytes.clone();
                        let most = mtu - headers;
                        assert_eq!(clamped(&mut bytes, mtu), (Some(size.min(most)), size > most));
                        assert!(verifies(&bytes), "{is_ipv4} {mtu} {size}");
                        assert_eq!(bytes == before, size <= most);
                    }
                }
            }
        }
    }

    #[test]
    fn a_sum_that_is_not_made_stays_as_it_is() {
        let mut bytes = syn(true, &[2, 4, 0x22, 0xd8]);
        bytes[36..38].copy_from_slice(&[0xab, 0xcd]);
        let packet = Packet::parse(&bytes).unwrap();
        assert!(clamp_mss(&packet, &mut bytes, 1420, false));
        assert_eq!((&bytes[36..38], &bytes[42..44]), (&[0xab, 0xcd][..], &1380u16.to_be_bytes()[..]));
    }

    #[test]
    fn what_says_no_size_is_left_alone() {
        let options: [&[u8]; 7] = [
            &[],
            &[0, 2, 4, 0xff, 0xff, 0, 0, 0],
            &[2, 3, 0xff, 0xff],
            &[1, 1, 2, 4],
            &[8, 0, 2, 4],
            &[8, 255, 2, 4],
            &[1, 1, 1, 2],
        ];
        for options in options {
            let mut bytes = syn(true, options);
            let before = bytes.clone();
            assert!(!clamped(&mut bytes, 1280).1, "{options:?}");
            assert_eq!(bytes, before);
        }
        let mut data = syn(false, &[2, 4, 0xff, 0xff]);
        data[40 + FLAGS_AT] = 0x10;
        assert!(!is_syn(&Packet::parse(&data).unwrap(), &data));
        let mut fragment = syn(true, &[2, 4, 0xff, 0xff]);
        fragment[6] = 0x20;
        assert!(!is_syn(&Packet::parse(&fragment).unwrap(), &fragment));
        let mut other = syn(true, &[2, 4, 0xff, 0xff]);
        other[9] = 17;
        assert!(!is_syn(&Packet::parse(&other).unwrap(), &other));
    }
}
