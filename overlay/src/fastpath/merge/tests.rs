use super::*;
use crate::fastpath::header::sum_ipv4;
use crate::fastpath::split::Split;
use crate::random::Random;
use wire::offload::{PartialChecksum, SegmentKind};

/// One flow's headers.
#[derive(Debug, Clone, Copy)]
struct Flow {
    is_ipv6: bool,
    kind: TransportKind,
    port: u8,
}

const TCP: Flow = Flow { is_ipv6: false, kind: TransportKind::Tcp, port: 1 };
const UDP: Flow = Flow { kind: TransportKind::Udp, ..TCP };
const ACK: u8 = 0x10;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

/// A packet of a flow, its checksums right; TCP with a timestamp option.
fn packet(flow: Flow, (identification, sequence, flags): (u16, u32, u8), payload: &[u8]) -> Vec<u8> {
    let transport = match flow.kind {
        TransportKind::Tcp => {
            let head = [0, flow.port, 0, 80];
            let rest = [0x80, flags, 1, 0, 0, 0, 0, 0, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
            [&head[..], &sequence.to_be_bytes(), &[0, 0, 0, 9], &rest].concat()
        }
        TransportKind::Udp => {
            let [high, low] = (8 + payload.len() as u16).to_be_bytes();
            vec![0, flow.port, 0, 80, high, low, 0, 0]
        }
    };
    let protocol = if flow.kind == TransportKind::Tcp { 6 } else { 17 };
    let length = (transport.len() + payload.len()) as u16;
    let ip = if flow.is_ipv6 {
        let [high, low] = length.to_be_bytes();
        let mut ip = vec![0x60, 0, 0, 0, high, low, protocol, 64];
        ip.extend([0xfd, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        ip.extend([0xfd, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        ip
    } else {
        let ([high, low], [id_high, id_low]) = ((20 + length).to_be_bytes(), identification.to_be_bytes());
        let mut ip = vec![0x45, 0, high, low, id_high, id_low, 0, 0, 64, protocol, 0, 0];
        ip.extend([10, 7, 0, 1, 10, 7, 0, 2]);
        sum_ipv4(&mut ip);
        ip
    };
    summed([ip, transport, payload.to_vec()].concat())
}

/// The packet with the right checksum.
fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    let parsed = Packet::parse(&bytes).unwrap();
    if let Some(transport) = Transport::of(&parsed, &bytes) {
        transport.complete(&parsed, &mut bytes);
    }
    bytes
}

/// The packet with something changed and the checksums right again.
fn with(mut bytes: Vec<u8>, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    change(&mut bytes);
    if bytes[0] >> 4 == 4 {
        sum_ipv4(&mut bytes[..20]);
    }
    summed(bytes)
}

/// What is written for packets, each with what stands before it.
fn merged(packets: &[(Vec<u8>, bool)]) -> Vec<(Offload, Vec<u8>)> {
    let mut merger = Merger::with_room_for(0, Joins::TcpAndUdp);
    let (mut bytes, mut all) = (vec![], vec![]);
    for (packet, is_unsummed) in packets {
        bytes.extend([0xee; 16]);
        let range = bytes.len()..bytes.len() + packet.len();
        bytes.extend(packet);
        bytes.extend([0xdd; 16]);
        let packet = Packet::parse(&bytes[range.clone()]).unwrap();
        let transport = Transport::of(&packet, &bytes[range.clone()]);
        all.push(Opened { range, packet, transport, is_unsummed: *is_unsummed, guest: None });
    }
    all.iter().for_each(|opened| merger.push(opened, &bytes));
    merger.finish(&mut bytes);
    let gather = |written: Written<'_>| {
        let parts: Vec<&[u8]> = written.parts().map(|range| &bytes[range]).collect();
        assert_eq!(parts.len(), written.count());
        (written.offload(), parts.concat())
    };
    let written = merger.written().map(gather).collect();
    merger.clear();
    assert_eq!(merger.written().count(), 0);
    written
}

/// Numbers of packets that are written together.
fn counts(packets: &[Vec<u8>]) -> Vec<usize> {
    let packets: Vec<(Vec<u8>, bool)> = packets.iter().map(|packet| (packet.clone(), false)).collect();
    let segments = |(offload, bytes): &(Offload, Vec<u8>)| {
        let parsed = Packet::parse(bytes).unwrap();
        assert_eq!(parsed.length, bytes.len());
        let payload = Transport::of(&parsed, bytes).map_or(0, |t| bytes.len() - t.headers);
        offload.segments.map_or(1, |segments| payload.div_ceil(segments.size.into()))
    };
    merged(&packets).iter().map(segments).collect()
}

fn flows() -> impl Iterator<Item = Flow> {
    let kinds = [TransportKind::Tcp, TransportKind::Udp];
    kinds.into_iter().flat_map(|kind| [false, true].map(|is_ipv6| Flow { is_ipv6, kind, port: 1 }))
}

#[test]
fn what_was_cut_becomes_whole_again() {
    let mut random = Random::new([5; 32]);
    for flow in flows() {
        for length in [1, 2, 99, 100, 101, 200, 1000, 1368, 5000, 6400] {
            let payload: Vec<u8> = (0..length).map(|_| random.u64() as u8).collect();
            let whole = packet(flow, (65_530, u32::MAX - 150, ACK | PSH | FIN), &payload);
            let parsed = Packet::parse(&whole).unwrap();
            let transport = Transport::of(&parsed, &whole).unwrap();
            let kind = match (flow.kind, flow.is_ipv6) {
                (TransportKind::Udp, _) => SegmentKind::Udp,
                (TransportKind::Tcp, false) => SegmentKind::Tcp4,
                (TransportKind::Tcp, true) => SegmentKind::Tcp6,
            };
            let segments = Segments { kind, size: 100, headers: transport.headers as u16 };
            let offload = Offload { checksum: None, segments: Some(segments) };
            let split = Split::of(offload, parsed, &whole).unwrap();
            let parts: Vec<(Vec<u8>, bool)> = (0..split.count())
                .map(|number| {
                    let mut part = vec![0; split.length(number)];
                    split.write(number, &whole, &mut part);
                    (part, true)
                })
                .collect();
            let [(offload, again)] = &merged(&parts)[..] else { panic!("{flow:?} {length}") };
            assert_eq!(summed(again.clone()), whole, "{flow:?} {length}");
            let start = transport.start as u16;
            let offset = transport.checksum_offset() as u16;
            assert_eq!(offload.checksum, Some(PartialChecksum { start, offset }));
            let at = usize::from(start + offset);
            assert_eq!(again[at..at + 2], transport.pseudo_header(&parsed).folded());
            assert_eq!(offload.segments, (length > 100).then_some(segments));
        }
    }
}

#[test]
fn every_part_is_what_the_kernel_would_cut() {
    let whole = packet(TCP, (7, 1000, ACK | PSH | FIN | CWR), &[3; 250]);
    let parsed = Packet::parse(&whole).unwrap();
    let segments = Some(Segments { kind: SegmentKind::Tcp4, size: 100, headers: 52 });
    let split = Split::of(Offload { checksum: None, segments }, parsed, &whole).unwrap();
    let part = |number: usize| {
        let mut part = vec![0; split.length(number)];
        split.write(number, &whole, &mut part);
        summed(part)
    };
    assert_eq!(split.count(), 3);
    assert_eq!(part(0), packet(TCP, (7, 1000, ACK | CWR), &[3; 100]));
    assert_eq!(part(1), packet(TCP, (8, 1100, ACK), &[3; 100]));
    assert_eq!(part(2), packet(TCP, (9, 1200, ACK | PSH | FIN), &[3; 50]));
    let wrong = |kind| Some(Segments { kind, size: 100, headers: 52 });
    for segments in
        [wrong(SegmentKind::Tcp6), wrong(SegmentKind::Udp), segments.map(|s| Segments { size: 0, ..s })]
    {
        assert!(Split::of(Offload { checksum: None, segments }, parsed, &whole).is_none());
    }
}

#[test]
fn a_lone_packet_stays_as_it_is() {
    for flow in flows() {
        let packet = packet(flow, (1, 2, ACK), b"alone");
        assert_eq!(merged(&[(packet.clone(), false)]), [(Offload::NONE, packet)]);
    }
    let mut icmp = packet(UDP, (1, 2, 0), b"what");
    icmp[9] = 1;
    sum_ipv4(&mut icmp[..20]);
    assert_eq!(merged(&[(icmp.clone(), false), (icmp.clone(), false)]), vec![(Offload::NONE, icmp); 2]);
}

/// The n-th of equal packets of a flow.
fn nth(flow: Flow, n: u16) -> Vec<u8> {
    packet(flow, (n, u32::from(n) * 10, ACK), &[n as u8; 10])
}

#[test]
fn only_what_goes_on_is_joined() {
    for flow in flows() {
        let of = |numbers: &[u16]| counts(&numbers.iter().map(|n| nth(flow, *n)).collect::<Vec<_>>());
        assert_eq!(of(&[0, 1, 2, 3]), [4], "{flow:?}");
        if flow.kind == TransportKind::Tcp {
            assert_eq!(of(&[0, 1, 3, 2, 4]), [2, 1, 1, 1], "out of order: {flow:?}");
            assert_eq!(of(&[0, 1, 1, 2]), [2, 2], "twice: {flow:?}");
        }
        let short = packet(flow, (1, 10, ACK), b"short");
        let next = packet(flow, (2, 15, ACK), b"five5");
        assert_eq!(counts(&[nth(flow, 0), short, next]), [2, 1], "a shorter one is the last: {flow:?}");
        let long = packet(flow, (1, 10, ACK), b"more than ten");
        assert_eq!(counts(&[nth(flow, 0), long]), [1, 1], "{flow:?}");
    }
}

#[test]
fn flags_end_runs_or_stand_alone() {
    let then = |flags: u8, next: u8| {
        counts(&[
            packet(TCP, (0, 0, flags), &[0; 10]),
            packet(TCP, (1, 10, next), &[1; 10]),
            packet(TCP, (2, 20, ACK), &[2; 10]),
        ])
    };
    assert_eq!(then(ACK, ACK | PSH), [2, 1]);
    assert_eq!(then(ACK, ACK | FIN), [2, 1]);
    assert_eq!(then(ACK | PSH, ACK), [1, 2]);
    assert_eq!(then(ACK | CWR, ACK), [1, 2]);
    for alone in [ACK | SYN, ACK | 4, ACK | 0x20, ACK | CWR] {
        assert_eq!(then(ACK, alone), [1, 1, 1], "{alone:#x}");
    }
    assert_eq!(then(ACK, 0x40 | ACK), [1, 1, 1], "ECE");
    let pure = packet(TCP, (1, 10, ACK), b"");
    assert_eq!(counts(&[nth(TCP, 0), pure, nth(TCP, 1)]), [1, 1, 1], "an acknowledgement is not overtaken");
}

#[test]
fn other_headers_end_a_run() {
    let tcp_fields =
        [("acknowledgement", 28), ("window", 34), ("option", 48), ("type of service", 1), ("ttl", 8)];
    for (what, at) in tcp_fields {
        let other = with(nth(TCP, 1), |bytes| bytes[at] ^= 1);
        assert_eq!(counts(&[nth(TCP, 0), other]), [1, 1], "{what}");
    }
    let six = Flow { is_ipv6: true, ..TCP };
    for (what, at) in [("flow label", 3), ("traffic class", 1), ("hop limit", 7)] {
        let other = with(nth(six, 1), |bytes| bytes[at] ^= 1);
        assert_eq!(counts(&[nth(six, 0), other]), [1, 1], "{what}");
    }
}

#[test]
fn identification_goes_on_or_stays_where_nothing_is_cut() {
    let dont = |n: u16, id: u16| {
        with(nth(TCP, n), |bytes| {
            bytes[4..6].copy_from_slice(&id.to_be_bytes());
            bytes[6] |= 0x40;
        })
    };
    assert_eq!(counts(&[dont(0, 5), dont(1, 6), dont(2, 7)]), [3]);
    assert_eq!(counts(&[dont(0, 5), dont(1, 5), dont(2, 5)]), [3]);
    assert_eq!(counts(&[dont(0, 5), dont(1, 5), dont(2, 7)]), [2, 1], "one way or the other");
    assert_eq!(counts(&[dont(0, 5), dont(1, 9)]), [1, 1]);
    let may = |n: u16, id: u16| with(nth(TCP, n), |bytes| bytes[4..6].copy_from_slice(&id.to_be_bytes()));
    assert_eq!(counts(&[may(0, 5), may(1, 5)]), [1, 1]);
}

#[test]
fn a_wrong_checksum_is_never_hidden() {
    for flow in flows() {
        let mut broken = nth(flow, 1);
        *broken.last_mut().unwrap() ^= 1;
        for packets in [[nth(flow, 0), broken.clone()], [with(nth(flow, 0), |_| {}), broken.clone()]] {
            let written = merged(&packets.clone().map(|packet| (packet, false)));
            assert_eq!(written, packets.map(|packet| (Offload::NONE, packet)), "{flow:?}");
        }
        let first_broken = [with(nth(flow, 0), |_| {}), nth(flow, 1)].map(|mut packet| {
            if packet == nth(flow, 0) {
                *packet.last_mut().unwrap() ^= 1;
            }
            packet
        });
        assert_eq!(counts(&first_broken), [1, 1], "{flow:?}");
    }
    let mut header = nth(TCP, 1);
    header[10] ^= 1;
    assert_eq!(counts(&[nth(TCP, 0), header]), [1, 1]);
    let zero = {
        let mut zero = nth(UDP, 1);
        zero[26..28].fill(0);
        zero
    };
    assert_eq!(counts(&[nth(UDP, 0), zero]), [1, 1], "UDP without a checksum");
}

#[test]
fn flows_alternate_and_each_is_joined() {
    let flow = |port: u8| Flow { port, ..TCP };
    let packets: Vec<Vec<u8>> = (0..6).flat_map(|n| (0..4).map(move |port| nth(flow(port), n))).collect();
    assert_eq!(counts(&packets), [6; 4]);
    let many: Vec<Vec<u8>> = (0..3).flat_map(|n| (0..20).map(move |port| nth(flow(port), n))).collect();
    assert_eq!(counts(&many), [1; 60], "too many to look for");
    let mixed = [nth(TCP, 0), nth(UDP, 0), nth(TCP, 1), nth(UDP, 1)];
    assert_eq!(counts(&mixed), [2, 2]);
}

#[test]
fn runs_have_an_end() {
    let many: Vec<Vec<u8>> = (0..150).map(|n| nth(TCP, n)).collect();
    assert_eq!(counts(&many), [RUN_MAX, RUN_MAX, 22]);
    let long = |n: u16| packet(TCP, (n, u32::from(n) * 9000, ACK), &[0; 9000]);
    assert_eq!(counts(&(0..8).map(long).collect::<Vec<_>>()), [7, 1], "64 KiB is the longest");
}

#[test]
fn any_order_of_any_packets_keeps_every_byte_of_every_flow_in_order() {
    let mut random = Random::new([9; 32]);
    for _ in 0..300 {
        let mut next = [0u16; 3];
        let packets: Vec<(Vec<u8>, bool)> = (0..random.u64() % 60)
            .map(|_| {
                let port = (random.u64() % 3) as u8;
                let lost = u16::from(random.u64().is_multiple_of(7));
                let n = next[usize::from(port)] + lost;
                next[usize::from(port)] = n + 1;
                let flags = if random.u64().is_multiple_of(9) { ACK | PSH } else { ACK };
                let bytes = packet(Flow { port, ..TCP }, (n, u32::from(n) * 10, flags), &[n as u8; 10]);
                (bytes, random.u64().is_multiple_of(2))
            })
            .collect();
        let bytes_of = |all: &[(usize, Vec<u8>)], port: u8| -> Vec<u8> {
            all.iter().filter(|(_, packet)| packet[21] == port).flat_map(|(_, p)| p[52..].to_vec()).collect()
        };
        let sent: Vec<(usize, Vec<u8>)> = packets.iter().map(|(p, _)| (1, p.clone())).collect();
        let written: Vec<(usize, Vec<u8>)> = merged(&packets).into_iter().map(|(_, p)| (1, p)).collect();
        for port in 0..3 {
            assert_eq!(bytes_of(&written, port), bytes_of(&sent, port));
        }
    }
}
