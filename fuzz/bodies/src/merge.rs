//! Joining packets: what is written, cut up again as the kernel would, is what came, in the order of each flow, byte for byte.
//!
//! An input is a train of packets, each behind a byte of the flags below and the length of what follows, so that a fuzzer comes
//! deeper than to checksums that it cannot guess.

use crate::plain::{cut, is_header_right, is_transport_right, parsed, put, sum_header, sum_transport, word};
use overlay::fastpath::{Joins, Merger, Opened, RUN_MAX};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use wire::transport::{Transport, TransportKind};

/// Its checksum was left out.
pub(crate) const UNSUMMED: u8 = 1;
/// The checksum of its IPv4 header is made.
pub(crate) const HEADER: u8 = 2;
/// The checksum of its transport is made.
pub(crate) const TRANSPORT: u8 = 4;
/// What follows are places in the packet that would come after the one before, each with what is changed there.
pub(crate) const NEXT: u8 = 8;

/// More than several runs of the greatest length.
const PACKETS_MAX: usize = 3 * RUN_MAX;

/// A packet as it was opened.
#[derive(Debug, Clone)]
struct Given {
    bytes: Vec<u8>,
    is_unsummed: bool,
}

/// A packet as it was cut from what was written.
struct Taken {
    bytes: Vec<u8>,
    /// The identification of the first of those that it was joined with, if it was.
    joined: Option<u16>,
}

/// Packets of one flow stay in order.
type Flow = (IpAddr, IpAddr, u8, Option<[u8; 4]>);

/// True when something was joined.
pub(crate) fn merge(bytes: &[u8]) -> bool {
    let train = train(bytes);
    let joined = [Joins::Nothing, Joins::Tcp, Joins::TcpAndUdp].map(|joins| check(&train, joins));
    assert!(!joined[0], "nothing is joined where nothing may be");
    joined[2]
}

/// The packets of an input; what is none is left out, as a node would drop it.
fn train(mut bytes: &[u8]) -> Vec<Given> {
    let mut all: Vec<Given> = Vec::new();
    while let [flags, low, high, rest @ ..] = bytes {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (own, rest) = rest.split_at(length);
        bytes = rest;
        let mut packet = match all.last().filter(|_| flags & NEXT != 0) {
            None => own.to_vec(),
            Some(last) => changed(next(&last.bytes), own),
        };
        let Some((parsed_packet, transport)) = parsed(&packet) else { continue };
        packet.truncate(parsed_packet.length);
        if flags & HEADER != 0 {
            sum_header(&mut packet);
        }
        if let Some(transport) = transport.filter(|_| flags & TRANSPORT != 0) {
            sum_transport(&mut packet, &transport);
        }
        // A packet without a checksum that is known cannot have left it out: the node drops it.
        let is_unsummed = flags & UNSUMMED != 0 && transport.is_some();
        all.push(Given { bytes: packet, is_unsummed });
        if all.len() == PACKETS_MAX {
            break;
        }
    }
    all
}

/// The packet that the sender would send next, with the same payload.
fn next(last: &[u8]) -> Vec<u8> {
    let mut next = last.to_vec();
    let Some((_, Some(transport))) = parsed(last) else { return next };
    if next[0] >> 4 == 4 {
        put(&mut next, 4, word(last, 4).wrapping_add(1));
    }
    if transport.kind == TransportKind::Tcp {
        let at = transport.start + 4;
        let sequence = u32::from_be_bytes([0, 1, 2, 3].map(|offset| last[at + offset]));
        let behind = u32::try_from(last.len() - transport.headers).expect("a packet is short");
        next[at..at + 4].copy_from_slice(&sequence.wrapping_add(behind).to_be_bytes());
    }
    next
}

fn changed(mut packet: Vec<u8>, changes: &[u8]) -> Vec<u8> {
    for change in changes.chunks_exact(2) {
        let at = usize::from(change[0]) % packet.len();
        packet[at] ^= change[1];
    }
    packet
}

/// Joins, cuts, compares; true when something was joined.
fn check(train: &[Given], joins: Joins) -> bool {
    let mut given: BTreeMap<Flow, Vec<&Given>> = BTreeMap::new();
    for packet in train {
        given.entry(flow(&packet.bytes)).or_default().push(packet);
    }
    let mut taken: BTreeMap<Flow, Vec<Taken>> = BTreeMap::new();
    for packet in joined_and_cut(train, joins) {
        taken.entry(flow(&packet.bytes)).or_default().push(packet);
    }
    assert!(given.keys().eq(taken.keys()), "flows come and go");
    let mut has_joined = false;
    for (given, taken) in given.values().zip(taken.values()) {
        assert_eq!(given.len(), taken.len(), "no packet is lost, none comes twice");
        for (given, taken) in given.iter().zip(taken) {
            compare(given, taken);
            has_joined |= taken.joined.is_some();
        }
    }
    has_joined
}

fn flow(bytes: &[u8]) -> Flow {
    let (packet, transport) = parsed(bytes).expect("only packets are here");
    let ports = transport.map(|transport| [0, 1, 2, 3].map(|at| bytes[transport.start + at]));
    (packet.source, packet.destination, packet.protocol, ports)
}

/// What is written for a train, cut up again, in the order of writing.
fn joined_and_cut(train: &[Given], joins: Joins) -> Vec<Taken> {
    let (mut bytes, mut all) = (Vec::new(), Vec::new());
    for given in train {
        // Between two packets of a batch stand tags and headers.
        bytes.extend([0xee; 16]);
        let range = bytes.len()..bytes.len() + given.bytes.len();
        bytes.extend(&given.bytes);
        let (packet, transport) = parsed(&given.bytes).expect("only packets are here");
        all.push(Opened { range, packet, transport, is_unsummed: given.is_unsummed, guest: None });
    }
    let mut merger = Merger::with_room_for(0, joins);
    all.iter().for_each(|opened| merger.push(opened, &bytes));
    merger.finish(&mut bytes);
    let mut taken = Vec::new();
    for written in merger.written() {
        let parts: Vec<Range<usize>> = written.parts().collect();
        assert!(parts.len() == written.count() && parts.len() <= RUN_MAX);
        let whole: Vec<u8> = parts.into_iter().flat_map(|range| bytes[range].to_vec()).collect();
        let packets = cut(written.offload(), &whole);
        assert_eq!(packets.len(), written.count());
        let first = if whole[0] >> 4 == 4 { word(&whole, 4) } else { 0 };
        let joined = (written.count() > 1).then_some(first);
        taken.extend(packets.into_iter().map(|bytes| Taken { bytes, joined }));
    }
    taken
}

fn compare(given: &Given, taken: &Taken) {
    let (_, transport) = parsed(&given.bytes).expect("only packets are here");
    let mut expected = given.bytes.clone();
    let mut told = taken.bytes.clone();
    match (transport, taken.joined) {
        (Some(transport), Some(first)) => {
            assert!(is_header_right(&expected), "a wrong header is never hidden");
            let is_right = given.is_unsummed || is_transport_right(&expected, &transport);
            assert!(is_right, "a wrong checksum is never hidden");
            same_identification(&expected, &mut told, first);
            canonical(&mut expected, &transport);
            canonical(&mut told, &transport);
        }
        (Some(transport), None) if given.is_unsummed => sum_transport(&mut expected, &transport),
        (_, None) => {}
        (None, Some(_)) => panic!("only TCP and UDP are joined"),
    }
    assert!(told == expected, "{told:02x?} was {expected:02x?}");
}

/// Where fragmentation is forbidden, identifications that all are the first one's mean as much as those that grow (RFC 6864).
fn same_identification(expected: &[u8], told: &mut [u8], first: u16) {
    const DONT_FRAGMENT: u8 = 0x40;
    if expected[0] >> 4 == 4 && expected[6] & DONT_FRAGMENT != 0 && word(expected, 4) == first {
        put(told, 4, first);
    }
}

/// Sums that are right are made the one of two that is usual: to a one's complement 0 and 0xffff are the same.
fn canonical(bytes: &mut [u8], transport: &Transport) {
    sum_header(bytes);
    sum_transport(bytes, transport);
}
