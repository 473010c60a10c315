//! Superpackets to be cut, and trains of packets to be joined.

use super::{Seed, ipv4, ipv6};
use crate::merge::{HEADER, NEXT, TRANSPORT, UNSUMMED};
use wire::offload::{Offload, SegmentKind, Segments};

const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
/// Where the flags of TCP stand in a packet over IPv4.
const FLAGS_AT: u8 = 33;

/// All of them.
pub(super) fn seeds() -> Vec<Seed> {
    [cut(), joined()].concat()
}

/// A TCP header with timestamps before a payload.
fn tcp(flags: u8, payload: &[u8]) -> Vec<u8> {
    let header = [0, 7, 0, 80, 0xff, 0xff, 0xff, 0, 0, 0, 0, 9, 8 << 4, flags, 1, 0, 0, 0, 0, 0];
    let timestamps = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    [&header[..], &timestamps, payload].concat()
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(payload.len() + 8).expect("short").to_be_bytes();
    [&[0, 7, 0, 80, high, low, 0, 0][..], payload].concat()
}

fn cut() -> Vec<Seed> {
    let payload: Vec<u8> = (0..=99).collect();
    let superpacket = |kind, size, headers, bytes: Vec<u8>| {
        let offload = Offload { checksum: None, segments: Some(Segments { kind, size, headers }) };
        [&offload.encode()[..], &bytes].concat()
    };
    let whole = tcp(ACK | PSH | 0x81, &payload);
    let lone = [&Offload::NONE.encode()[..], &ipv4(6, &[], &whole)].concat();
    [
        ("tcp4", superpacket(SegmentKind::Tcp4, 30, 52, ipv4(6, &[], &whole))),
        ("tcp4-options", superpacket(SegmentKind::Tcp4, 50, 56, ipv4(6, &[1, 1, 1, 0], &whole))),
        ("tcp6", superpacket(SegmentKind::Tcp6, 99, 72, ipv6(6, &whole))),
        ("udp4", superpacket(SegmentKind::Udp, 7, 28, ipv4(17, &[], &udp(&payload)))),
        ("udp6", superpacket(SegmentKind::Udp, 100, 48, ipv6(17, &udp(&payload)))),
        ("refused-lone", lone),
        ("refused-other-kind", superpacket(SegmentKind::Tcp6, 30, 52, ipv4(6, &[], &whole))),
        ("refused-size-0", superpacket(SegmentKind::Tcp4, 0, 52, ipv4(6, &[], &whole))),
        ("refused-no-payload", superpacket(SegmentKind::Tcp4, 30, 52, ipv4(6, &[], &tcp(ACK, &[])))),
    ]
    .map(|(name, bytes)| ("split", name, bytes))
    .to_vec()
}

/// A packet of a train.
fn item(flags: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("short").to_le_bytes();
    [&[flags][..], &length, bytes].concat()
}

fn joined() -> Vec<Seed> {
    const RIGHT: u8 = HEADER | TRANSPORT;
    let first = ipv4(6, &[], &tcp(ACK, &[3; 20]));
    let next = item(NEXT | RIGHT, &[]);
    let unsummed = item(NEXT | HEADER | UNSUMMED, &[]);
    let last = item(NEXT | RIGHT, &[FLAGS_AT, PSH]);
    let other_port = item(NEXT | RIGHT, &[21, 1]);
    let begin = item(RIGHT, &first);
    let datagram = item(RIGHT, &ipv4(17, &[], &udp(&[4; 12])));
    let six = item(RIGHT, &ipv6(6, &tcp(ACK, &[5; 9])));
    [
        ("tcp4", [&begin[..], &next, &next, &last, &next].concat()),
        ("tcp4-unsummed", [&begin[..], &unsummed, &next, &unsummed].concat()),
        ("tcp6", [&six[..], &next, &next].concat()),
        ("udp4", [&datagram[..], &next, &unsummed].concat()),
        ("two-flows", [&begin[..], &other_port, &begin, &next, &datagram, &next, &begin].concat()),
        ("many", [&begin[..], &next.repeat(70)].concat()),
        ("refused-alone", begin.clone()),
        ("refused-wrong-checksum", [&begin[..], &item(NEXT | HEADER, &[60, 1])].concat()),
        ("refused-acknowledgements", [item(RIGHT, &ipv4(6, &[], &tcp(ACK, &[]))), next].concat()),
    ]
    .map(|(name, bytes)| ("merge", name, bytes))
    .to_vec()
}
