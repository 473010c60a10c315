//! Cutting a superpacket: the parts are packets, and hold together what went in.

use crate::plain::{CWR, FIN, PSH, is_header_right, parsed, word};
use overlay::fastpath::Split;
use wire::offload::{OFFLOAD_LENGTH, Offload};
use wire::transport::{Transport, TransportKind};

/// What a TUN gives: what stands before a packet, and the packet. True when it is one that is cut.
pub(crate) fn split(bytes: &[u8]) -> bool {
    let Some((header, bytes)) = bytes.split_first_chunk::<OFFLOAD_LENGTH>() else { return false };
    let Ok(offload) = Offload::parse(header) else { return false };
    let Some((packet, transport)) = parsed(bytes) else { return false };
    let Some(split) = Split::of(offload, packet, bytes) else { return false };
    let transport = transport.expect("only TCP and UDP are cut");
    let segments = offload.segments.expect("only what is to be cut is cut");
    assert_eq!(segments.kind, transport.segment_kind(&packet));
    let mut payload: Vec<u8> = Vec::new();
    for number in 0..split.count() {
        let mut part = vec![0xee; split.length(number)];
        split.write(number, bytes, &mut part);
        let is_last = number + 1 == split.count();
        check_headers(bytes, &part, &transport, (number, payload.len(), is_last));
        let own = &part[transport.headers..];
        assert!(if is_last {
            own.len() <= usize::from(segments.size)
        } else {
            own.len() == usize::from(segments.size)
        });
        assert!(!own.is_empty(), "no part is empty");
        payload.extend(own);
    }
    assert!(payload == bytes[transport.headers..], "the parts reassemble to what went in");
    true
}

/// All of a part's headers, but the checksum of the transport, which is left out.
fn check_headers(
    whole: &[u8],
    part: &[u8],
    transport: &Transport,
    (number, behind, is_last): (usize, usize, bool),
) {
    let (packet, own) = parsed(part).expect("a part is a packet");
    assert_eq!((packet.length, own), (part.len(), Some(*transport)), "alike but for its length");
    assert!(is_header_right(part), "the checksum of the header");
    let mut expected = whole[..transport.headers].to_vec();
    let mut told = part[..transport.headers].to_vec();
    let start = transport.start;
    if part[0] >> 4 == 4 {
        let identification = word(whole, 4).wrapping_add(u16::try_from(number).expect("64 KiB have no more"));
        assert_eq!(word(part, 4), identification);
        blank(&mut expected, &mut told, &[2, 4, 10]);
    } else {
        blank(&mut expected, &mut told, &[4]);
    }
    match transport.kind {
        TransportKind::Udp => blank(&mut expected, &mut told, &[start + 4, start + 6]),
        TransportKind::Tcp => {
            let sequence = |bytes: &[u8]| u32::from_be_bytes([4, 5, 6, 7].map(|at| bytes[start + at]));
            let behind = u32::try_from(behind).expect("a superpacket is short");
            assert_eq!(sequence(part), sequence(whole).wrapping_add(behind));
            let mut flags = whole[start + 13];
            flags &= if number == 0 { 0xff } else { !CWR };
            flags &= if is_last { 0xff } else { !(FIN | PSH) };
            assert_eq!(part[start + 13], flags);
            (expected[start + 13], told[start + 13]) = (0, 0);
            blank(&mut expected, &mut told, &[start + 4, start + 6, start + 16]);
        }
    }
    assert_eq!(told, expected, "and all else is as it was");
}

/// Takes 16-bit fields out of the comparison.
fn blank(one: &mut [u8], other: &mut [u8], fields: &[usize]) {
    for &at in fields {
        one[at..at + 2].fill(0);
        other[at..at + 2].fill(0);
    }
}
