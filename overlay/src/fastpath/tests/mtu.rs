//! Packets that are longer than the path carries.

use super::*;
use nat::Mtu;
use wire::datagram::{Half, LABEL_LENGTH, WHOLE_LENGTH_MIN};

const MEASURED: Mtu = Mtu { length: 1300, is_measured: true, is_narrow: false };
const ASSUMED: Mtu = Mtu { length: 1300, is_measured: false, is_narrow: false };
const NARROW: Mtu = Mtu { length: 1280, is_measured: true, is_narrow: true };

/// A pair whose path carries so much, in both directions.
struct Path {
    pair: Pair,
    mtu: Mtu,
}

impl Path {
    fn new(mtu: Mtu) -> Self {
        Self { pair: Pair::new(), mtu }
    }

    fn tables(&self, at: usize) -> Tables {
        let mut tables = (*self.pair.tables(at)).clone();
        tables.peers.iter_mut().flatten().for_each(|row| row.mtu = self.mtu);
        tables
    }

    /// What becomes of a packet, and the packets that come out at the other end, with what is said of their checksums.
    fn cross(&self, offload: Offload, packet: &[u8]) -> (Outbound, Vec<(Vec<u8>, bool)>) {
        let (mut trains, mut out) = (Trains::new(), vec![]);
        let mut send = |train: &Train| {
            assert_eq!(train.in_fragments(), self.mtu.is_narrow);
            for datagram in train.datagrams() {
                let mut bytes = datagram.to_vec();
                let from = self.pair.lab.machines[0].remote;
                assert!(!self.mtu.is_narrow || bytes.len() <= 1232 - LABEL_LENGTH, "{}", bytes.len());
                let (opened, bytes) = match inbound(&self.tables(1), &mut bytes, from) {
                    Inbound::Packet(opened, None) => (opened, bytes),
                    Inbound::Half(Some(joined), None) => joined,
                    Inbound::Half(None, None) => continue,
                    other @ (Inbound::Packet(..)
                    | Inbound::Half(..)
                    | Inbound::Slow(..)
                    | Inbound::Forward(..)
                    | Inbound::WireGuard
                    | Inbound::Drop(_)) => panic!("{other:?}"),
                };
                out.push((bytes[opened.range].to_vec(), opened.is_unsummed));
            }
        };
        let outcome = outbound(&self.tables(0), offload, &mut packet.to_vec(), &mut trains, &mut send);
        trains.flush(&mut send);
        (outcome, out)
    }

    /// The same, of which nothing may be longer than the path carries.
    fn fits(&self, offload: Offload, packet: &[u8]) -> Vec<(Vec<u8>, bool)> {
        let (outcome, out) = self.cross(offload, packet);
        assert_eq!(outcome, Outbound::Sealed);
        let longest = out.iter().map(|(packet, _)| packet.len()).max().unwrap();
        assert!(longest <= self.mtu.whole().into() && longest + 8 > self.mtu.whole().into(), "{longest}");
        out
    }
}

/// A TCP packet with a SYN and a segment size.
pub(super) fn syn(source: IpAddr, destination: IpAddr, size: u16) -> Vec<u8> {
    let [high, low] = size.to_be_bytes();
    let mut bytes = tcp(source, destination, &[2, 4, high, low]);
    let at = if source.is_ipv4() { 20 } else { 40 };
    (bytes[at + 12], bytes[at + 13]) = (0x60, 0x02);
    summed(bytes)
}

pub(super) fn size_of(syn: &[u8]) -> u16 {
    u16::from_be_bytes(*syn.last_chunk().unwrap())
}

/// A packet as the kernel gives it whose checksum is left out: the field holds the sum of the pseudo-header.
pub(super) fn partial(packet: &[u8]) -> Vec<u8> {
    let mut bytes = packet.to_vec();
    let parsed = Packet::parse(&bytes).unwrap();
    let transport = Transport::of(&parsed, &bytes).unwrap();
    let at = transport.start + transport.checksum_offset();
    bytes[at..at + 2].copy_from_slice(&transport.pseudo_header(&parsed).folded());
    bytes
}

/// The bytes that segments of TCP carry, one behind the other by their sequence numbers.
fn stream(segments: &[(Vec<u8>, bool)]) -> Vec<u8> {
    let mut stream = vec![];
    for (segment, _) in segments {
        let headers = if segment[0] >> 4 == 4 { 40 } else { 60 };
        let sequence = u32::from_be_bytes(segment[headers - 16..headers - 12].try_into().unwrap());
        assert_eq!(sequence as usize, 7 + stream.len());
        stream.extend(&segment[headers..]);
    }
    stream
}

#[test]
fn what_is_too_long_for_a_measured_path_is_refused_with_its_length() {
    let path = Path::new(MEASURED);
    for family in [0, 1] {
        let (a, b) = (path.pair.a[family], path.pair.b[family]);
        let header = if family == 0 { 20 } else { 40 };
        let mut forbids = packet(a, b, &vec![7; 1300 - header]);
        if family == 0 {
            forbids[6] = 0x40;
        }
        assert_eq!(path.cross(Offload::NONE, &forbids).0, Outbound::Sealed, "as long as it may be");
        let longer = [&forbids[..], &[0]].concat();
        let mut longer = longer;
        let at = if family == 0 { 2 } else { 4 };
        let length = (u16::from_be_bytes([longer[at], longer[at + 1]]) + 1).to_be_bytes();
        longer[at..at + 2].copy_from_slice(&length);
        assert_eq!(path.cross(Offload::NONE, &longer), (Outbound::TooBig(1300), vec![]));
        let assumed = Path::new(ASSUMED);
        let whole = assumed.cross(Offload::NONE, &longer);
        assert_eq!(whole, (Outbound::Sealed, vec![(longer, false)]), "unless it was not measured");
    }
}

#[test]
fn a_superpacket_of_tcp_is_cut_into_segments_that_fit() {
    for mtu in [MEASURED, ASSUMED, NARROW] {
        let path = Path::new(mtu);
        for family in [0, 1] {
            let payload: Vec<u8> = (0..20_000).map(|n| (n % 249) as u8).collect();
            let whole = tcp(path.pair.a[family], path.pair.b[family], &payload);
            for size in [1380, 8900, 65_000] {
                let out = path.fits(left_out(&whole, Some(size)), &whole);
                assert!(out.iter().all(|(_, is_unsummed)| *is_unsummed));
                assert_eq!(stream(&out), payload);
            }
            let (_, shorter) = path.cross(left_out(&whole, Some(500)), &whole);
            assert_eq!(shorter.len(), 40, "what fits stays as it is");
        }
    }
}

#[test]
fn a_segment_of_tcp_is_cut_until_the_path_was_measured() {
    let (assumed, measured) = (Path::new(ASSUMED), Path::new(MEASURED));
    for family in [0, 1] {
        let payload: Vec<u8> = (0..8900).map(|n| (n % 249) as u8).collect();
        let mut whole = tcp(assumed.pair.a[family], assumed.pair.b[family], &payload);
        if family == 0 {
            whole[6] = 0x40;
            header::sum_ipv4(&mut whole[..20]);
        }
        let out = assumed.fits(Offload::NONE, &whole);
        assert_eq!(stream(&out), payload);
        assert_eq!(stream(&assumed.fits(left_out(&whole, None), &partial(&whole))), payload);
        assert_eq!(measured.cross(Offload::NONE, &whole).0, Outbound::TooBig(1300));
        // What is wrong must stay wrong, and what has no parts is not parted.
        let at = whole.len() - 8900 - 20;
        for (position, value) in
            [(at + 16, whole[at + 16] ^ 1), (at + 13, 0x02), (at + 13, 0x14), (at + 13, 0x30)]
        {
            let mut other = whole.clone();
            other[position] = value;
            let other = if position == at + 13 { summed(other) } else { other };
            assert_eq!(assumed.cross(Offload::NONE, &other).1.len(), 1, "{value:x}");
        }
    }
}

#[test]
fn superpackets_of_udp_are_not_cut_otherwise() {
    for (mtu, expected) in [(MEASURED, (Outbound::TooBig(1300), 0)), (ASSUMED, (Outbound::Sealed, 2))] {
        let path = Path::new(mtu);
        let payload = [&[0, 9, 0, 80, 0x0f, 0xa8, 0, 0][..], &[5; 4000]].concat();
        let mut whole = packet(path.pair.a[0], path.pair.b[0], &payload);
        whole[9] = 17;
        let segments = |size| Some(Segments { kind: SegmentKind::Udp, size, headers: 28 });
        let checksum = Some(PartialChecksum { start: 20, offset: 6 });
        let outcome = path.cross(Offload { checksum, segments: segments(2000) }, &whole);
        assert_eq!((outcome.0, outcome.1.len()), expected);
        let outcome = path.cross(Offload { checksum, segments: segments(1000) }, &whole);
        assert_eq!((outcome.0, outcome.1.len()), (Outbound::Sealed, 4));
    }
}

#[test]
fn ipv4_that_may_be_fragmented_is_and_with_its_checksum() {
    for mtu in [MEASURED, NARROW] {
        let path = Path::new(mtu);
        let payload: Vec<u8> = (0..5000).map(|n| (n % 249) as u8).collect();
        let whole = tcp(path.pair.a[0], path.pair.b[0], &payload);
        for (offload, packet) in [(Offload::NONE, whole.clone()), (left_out(&whole, None), partial(&whole))] {
            let out = path.fits(offload, &packet);
            assert_eq!(out.len(), if mtu.is_narrow { 5 } else { 4 });
            let mut joined = whole[..20].to_vec();
            for (fragment, is_unsummed) in out {
                assert!(!is_unsummed);
                let offset = usize::from(u16::from_be_bytes([fragment[6], fragment[7]]) & 0x1fff) * 8;
                assert_eq!(offset + 20, joined.len());
                joined.extend(&fragment[20..]);
            }
            assert_eq!(joined, whole, "checksum of TCP included");
        }
    }
}

#[test]
fn by_a_narrow_path_what_is_long_goes_in_halves() {
    for narrow in [NARROW, Mtu { is_measured: false, ..NARROW }] {
        let path = Path::new(narrow);
        for family in [0, 1] {
            let payload: Vec<u8> = (0..1280).map(|n| (n % 249) as u8).collect();
            for length in [1100, 1144, 1145, 1180, 1201, 1219, 1220] {
                let whole = tcp(path.pair.a[family], path.pair.b[family], &payload[..length]);
                if whole.len() > 1280 {
                    continue;
                }
                let wholes = [(Offload::NONE, whole.clone()), (left_out(&whole, None), partial(&whole))];
                for (number, (offload, packet)) in wholes.into_iter().enumerate() {
                    let (outcome, out) = path.cross(offload, &packet);
                    // One half has no checksum that could be left out.
                    let is_unsummed = number == 1 && packet.len() <= WHOLE_LENGTH_MIN;
                    let expected = if is_unsummed { packet } else { whole.clone() };
                    assert_eq!((outcome, out), (Outbound::Sealed, vec![(expected, is_unsummed)]), "{length}");
                }
            }
        }
    }
}

#[test]
fn segments_of_udp_go_in_halves_each() {
    let path = Path::new(NARROW);
    let payload = [&[0, 9, 0, 80, 0x0e, 0x7c, 0, 0][..], &[5; 3700]].concat();
    let mut whole = packet(path.pair.a[0], path.pair.b[0], &payload);
    whole[9] = 17;
    let segments = Some(Segments { kind: SegmentKind::Udp, size: 1252, headers: 28 });
    let checksum = Some(PartialChecksum { start: 20, offset: 6 });
    let (outcome, out) = path.cross(Offload { checksum, segments }, &whole);
    assert_eq!(outcome, Outbound::Sealed);
    let lengths: Vec<_> = out.iter().map(|(packet, is_unsummed)| (packet.len(), *is_unsummed)).collect();
    assert_eq!(lengths, [(1280, false), (1280, false), (3700 - 2 * 1252 + 28, false)]);
    for (packet, _) in out {
        assert_eq!(summed(packet.clone()), packet);
    }
}

#[test]
fn a_half_that_says_too_much_is_none() {
    let path = Path::new(NARROW);
    let from = path.pair.lab.machines[0].remote;
    let whole = packet(path.pair.a[0], path.pair.b[0], &[7; 2000]);
    let mut long = path.pair.sealed(Kind::Half(Half::First), &whole[..=WHOLE_LENGTH_MIN]);
    let outcome = inbound(&path.tables(1), &mut long, from);
    assert_eq!(outcome, Inbound::Drop(DropReason::MalformedPacket));
    // Together they are judged as any packet is.
    let spoofed = packet(path.pair.b[0], path.pair.b[0], &[7; 100]);
    let (first, second) = spoofed.split_at(60);
    let mut first = path.pair.sealed(Kind::Half(Half::First), first);
    assert_eq!(inbound(&path.tables(1), &mut first, from), Inbound::Half(None, None));
    let mut second = path.pair.sealed(Kind::Half(Half::Second), second);
    assert_eq!(inbound(&path.tables(1), &mut second, from), Inbound::Drop(DropReason::SourceCheck));
}

#[test]
fn the_segment_size_of_a_syn_is_lowered_both_ways() {
    let path = Path::new(MEASURED);
    for (family, most) in [(0, 1260), (1, 1240)] {
        for (said, expected) in [(8900, most), (most, most), (600, 600)] {
            let whole = syn(path.pair.a[family], path.pair.b[family], said);
            let (outcome, out) = path.cross(Offload::NONE, &whole);
            assert_eq!(outcome, Outbound::Sealed);
            assert_eq!((size_of(&out[0].0), out[0].1), (expected, false));
            assert_eq!(summed(out[0].0.clone()), out[0].0, "the checksum goes with it");
            let (_, out) = path.cross(left_out(&whole, None), &partial(&whole));
            assert_eq!((size_of(&out[0].0), out[0].1), (expected, true));
            // From a sender that does not lower it.
            for kind in [Kind::Data, Kind::Unsummed] {
                let mut bytes = path.pair.sealed(kind, &whole);
                let from = path.pair.lab.machines[0].remote;
                let Inbound::Packet(opened, _) = inbound(&path.tables(1), &mut bytes, from) else { panic!() };
                let packet = bytes[opened.range].to_vec();
                assert_eq!(size_of(&packet), expected);
                assert!(kind == Kind::Unsummed || summed(packet.clone()) == packet);
            }
        }
        let whole = syn(path.pair.a[family], path.pair.b[family], 8900);
        let assumed = Path::new(ASSUMED).cross(Offload::NONE, &whole);
        assert_eq!(size_of(&assumed.1[0].0), 8900, "not before it was measured");
    }
}
