//! Checksums and superpackets as the standards say them, one byte after the other: what the quick code is held against.

use wire::offload::Offload;
use wire::packet::Packet;
use wire::transport::{Transport, TransportKind};

pub(crate) const FIN: u8 = 0x01;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const CWR: u8 = 0x80;

/// RFC 1071, plainly.
pub(crate) fn ones_complement_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0u64;
    for pair in bytes.chunks(2) {
        sum += u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded to 16 bits")
}

/// A packet and where its transport stands, if it has one.
pub(crate) fn parsed(bytes: &[u8]) -> Option<(Packet, Option<Transport>)> {
    let packet = Packet::parse(bytes).ok()?;
    Some((packet, Transport::of(&packet, &bytes[..packet.length])))
}

/// Reads a big-endian 16-bit number.
pub(crate) fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Writes a big-endian 16-bit number.
pub(crate) fn put(bytes: &mut [u8], at: usize, number: u16) {
    bytes[at..at + 2].copy_from_slice(&number.to_be_bytes());
}

/// Whether the header of an IPv4 packet has a right checksum; IPv6 has none.
pub(crate) fn is_header_right(bytes: &[u8]) -> bool {
    bytes[0] >> 4 != 4 || ones_complement_sum(&bytes[..header_length(bytes)]) == 0xffff
}

/// Makes the checksum of an IPv4 packet's header.
pub(crate) fn sum_header(bytes: &mut [u8]) {
    if bytes[0] >> 4 == 4 {
        let length = header_length(bytes);
        put(bytes, 10, 0);
        let sum = !ones_complement_sum(&bytes[..length]);
        put(bytes, 10, sum);
    }
}

fn header_length(bytes: &[u8]) -> usize {
    usize::from(bytes[0] & 0xf) * 4
}

/// What TCP and UDP sum in front of themselves (RFC 9293 section 3.1, RFC 8200 section 8.1).
pub(crate) fn pseudo_header(bytes: &[u8], transport: &Transport) -> Vec<u8> {
    let addresses = if bytes[0] >> 4 == 4 { &bytes[12..20] } else { &bytes[8..40] };
    let protocol = match transport.kind {
        TransportKind::Tcp => 6,
        TransportKind::Udp => 17,
    };
    let length = u32::try_from(bytes.len() - transport.start).expect("a packet is short");
    [addresses, &length.to_be_bytes(), &[0, 0, 0, protocol]].concat()
}

/// Whether the checksum of TCP or UDP is there and right.
pub(crate) fn is_transport_right(bytes: &[u8], transport: &Transport) -> bool {
    let is_there = transport.kind == TransportKind::Tcp
        || word(bytes, transport.start + transport.checksum_offset()) != 0;
    let summed = [&pseudo_header(bytes, transport)[..], &bytes[transport.start..]].concat();
    is_there && ones_complement_sum(&summed) == 0xffff
}

/// Makes the checksum of TCP or UDP.
pub(crate) fn sum_transport(bytes: &mut [u8], transport: &Transport) {
    let at = transport.start + transport.checksum_offset();
    put(bytes, at, 0);
    let summed = [&pseudo_header(bytes, transport)[..], &bytes[transport.start..]].concat();
    let sum = !ones_complement_sum(&summed);
    let is_none = transport.kind == TransportKind::Udp && sum == 0;
    put(bytes, at, if is_none { 0xffff } else { sum });
}

/// What the kernel makes of a packet that is written with this offload: cut and summed, in order.
pub(crate) fn cut(offload: Offload, bytes: &[u8]) -> Vec<Vec<u8>> {
    let Some(checksum) = offload.checksum else {
        assert_eq!(offload.segments, None, "nothing is cut whose checksums are not made anew");
        return vec![bytes.to_vec()];
    };
    let (packet, transport) = parsed(bytes).expect("what is written is a packet");
    let transport = transport.expect("a checksum is made for TCP and UDP alone");
    assert_eq!((packet.length, checksum), (bytes.len(), transport.partial_checksum()));
    let partial = word(bytes, transport.start + transport.checksum_offset());
    assert_eq!(partial, ones_complement_sum(&pseudo_header(bytes, &transport)), "the sum begins with this");
    let payload = &bytes[transport.headers..];
    let size = match offload.segments {
        None => payload.len().max(1),
        Some(segments) => {
            assert_eq!(segments.kind, transport.segment_kind(&packet));
            assert_eq!(usize::from(segments.headers), transport.headers);
            assert!(payload.len() > usize::from(segments.size), "what is cut is more than one");
            usize::from(segments.size)
        }
    };
    let count = payload.len().div_ceil(size).max(1);
    let part = |number: usize| {
        let payload = &payload[(number * size).min(payload.len())..((number + 1) * size).min(payload.len())];
        let mut part = [&bytes[..transport.headers], payload].concat();
        if count > 1 {
            number_part(&mut part, &transport, (number, count, size));
        }
        sum_transport(&mut part, &transport);
        part
    };
    (0..count).map(part).collect()
}

/// Makes the headers of a superpacket those of one of its parts.
fn number_part(part: &mut [u8], transport: &Transport, (number, count, size): (usize, usize, usize)) {
    let length = u16::try_from(part.len()).expect("a packet is short");
    let start = transport.start;
    if part[0] >> 4 == 4 {
        put(part, 2, length);
        let identification = word(part, 4).wrapping_add(u16::try_from(number).expect("few parts"));
        put(part, 4, identification);
        sum_header(part);
    } else {
        put(part, 4, length - 40);
    }
    match transport.kind {
        TransportKind::Udp => put(part, start + 4, length - u16::try_from(start).expect("short headers")),
        TransportKind::Tcp => {
            let sequence = u32::from_be_bytes([4, 5, 6, 7].map(|at| part[start + at]));
            let behind = u32::try_from(number * size).expect("a superpacket is short");
            part[start + 4..start + 8].copy_from_slice(&sequence.wrapping_add(behind).to_be_bytes());
            part[start + 13] &= if number > 0 { !CWR } else { 0xff };
            part[start + 13] &= if number + 1 < count { !(FIN | PSH) } else { 0xff };
        }
    }
}
