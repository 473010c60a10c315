mod guest;
mod mtu;

use super::*;
use crate::node::tests::lab::{Flight, Lab, packet};
use crate::session::Kind;
use crate::state::StateFile;
use crate::tables::Tables;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use wire::datagram::{Datagram, HEADER_LENGTH, TAG_LENGTH};
use wire::offload::{Offload, PartialChecksum, SegmentKind, Segments};

const SECOND: Duration = Duration::from_secs(1);

fn buffer(packet: &[u8]) -> Vec<u8> {
    [&[0; HEADER_LENGTH], packet, &[0; TAG_LENGTH]].concat()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Two connected machines: what `a` seals, `b` opens.
struct Pair {
    lab: Lab,
    a: [IpAddr; 2],
    b: [IpAddr; 2],
}

impl Pair {
    fn new() -> Self {
        let lab = Lab::with(&["b"]);
        Self { a: lab.mesh(0), b: lab.mesh(1), lab }
    }

    fn tables(&self, at: usize) -> Arc<Tables> {
        self.lab.machines[at].tables.clone()
    }

    /// What becomes of a packet, and the datagrams that go out for it.
    fn outbound(&self, packet: &[u8]) -> (Outbound, Vec<(Remote, Vec<u8>)>) {
        self.outbound_with(Offload::NONE, packet)
    }

    fn outbound_with(&self, offload: Offload, packet: &[u8]) -> (Outbound, Vec<(Remote, Vec<u8>)>) {
        let (mut trains, mut sent) = (Trains::new(), vec![]);
        let mut send = |train: &Train| {
            sent.extend(train.datagrams().map(|datagram| (train.remote(), datagram.to_vec())));
        };
        let outcome = outbound(&self.tables(0), offload, &mut packet.to_vec(), &mut trains, &mut send);
        trains.flush(&mut send);
        (outcome, sent)
    }

    /// Seals any bytes with `a`'s session for `b`, as an `a` that means harm could.
    fn sealed(&self, kind: Kind, plaintext: &[u8]) -> Vec<u8> {
        let mut buffer = buffer(plaintext);
        self.lab.session(0, 1).unwrap().seal(kind, &mut buffer).unwrap();
        buffer
    }

    fn inbound(&self, datagram: &[u8]) -> Inbound {
        self.inbound_from(datagram, self.lab.machines[0].remote)
    }

    fn inbound_from(&self, datagram: &[u8], remote: Remote) -> Inbound {
        inbound(&self.tables(1), &mut datagram.to_vec(), remote)
    }

    fn forged_packet(&self, source: IpAddr, destination: IpAddr) -> Inbound {
        self.inbound(&self.sealed(Kind::Data, &packet(source, destination, b"x")))
    }

    /// The first datagram of this kind that went from machine to machine.
    fn sent(&self, is_wanted: impl Fn(&Datagram<'_>) -> bool, to: usize) -> Flight {
        let to = self.lab.machines[to].remote;
        let wanted = |f: &&Flight| f.to == to && Datagram::parse(&f.bytes).is_some_and(|d| is_wanted(&d));
        self.lab.sent.iter().find(wanted).unwrap().clone()
    }
}

#[test]
fn a_packet_becomes_a_datagram_and_the_same_packet_again() {
    let pair = Pair::new();
    for family in [0, 1] {
        for length in [1, 100, 1400] {
            let packet = packet(pair.a[family], pair.b[family], &vec![7; length]);
            let (outcome, sent) = pair.outbound(&packet);
            assert_eq!(outcome, Outbound::Sealed);
            let [(remote, datagram)] = &sent[..] else { panic!("{} datagrams", sent.len()) };
            assert_eq!(*remote, pair.lab.machines[1].remote);
            assert!(!datagram.windows(20).any(|part| part == &packet[..20]), "no plaintext");
            let mut buffer = datagram.clone();
            let from = pair.lab.machines[0].remote;
            let Inbound::Packet(opened, None) = inbound(&pair.tables(1), &mut buffer, from) else { panic!() };
            assert_eq!(buffer[opened.range], packet);
        }
    }
}

#[test]
fn both_sides_count_packets_and_their_bytes() {
    let mut pair = Pair::new();
    let counted = |lab: &Lab| {
        let (sender, receiver) = (lab.peer(0, 1).unwrap(), lab.peer(1, 0).unwrap());
        [sender.tx_bytes, receiver.rx_bytes, sender.tx_packets, receiver.rx_packets]
    };
    let before = counted(&pair.lab);
    pair.lab.send(0, 1, &[0; 80]);
    pair.lab.run(SECOND);
    let [sent, received, packets_sent, packets_received] = before;
    let after = [sent + 100, received + 100, packets_sent + 1, packets_received + 1];
    assert_eq!(counted(&pair.lab), after);
}

#[test]
fn a_packet_without_a_session_is_handed_over_untouched() {
    let mut pair = Pair::new();
    pair.lab.lose = Box::new(|_| true);
    pair.lab.run(200 * SECOND);
    let packet = packet(pair.a[0], pair.b[0], b"wait");
    let (outcome, sent) = pair.outbound(&packet);
    assert!(matches!(outcome, Outbound::Stage(_)), "{outcome:?}");
    assert_eq!(sent, []);
}

#[test]
fn packets_that_must_not_leave_are_dropped_for_a_reason() {
    let pair = Pair::new();
    let outcome =
        |source: IpAddr, destination: &str| pair.outbound(&packet(source, address(destination), b"x")).0;
    let no_route = Outbound::Unreachable(Unreachable::NoRoute, DropReason::NoRoute);
    assert_eq!(outcome(pair.a[0], "10.7.0.99"), no_route, "nobody's address of the range");
    assert_eq!(outcome(pair.a[0], "192.0.2.1"), no_route);
    assert_eq!(outcome(pair.a[1], "fd00::1"), no_route);
    assert_eq!(
        outcome(pair.a[0], &pair.a[0].to_string()),
        no_route,
        "our own address is the kernel's business"
    );
    for foreign in ["10.7.0.2", "10.7.0.99", "192.168.1.1"] {
        let foreign = outcome(address(foreign), "10.7.0.2");
        assert_eq!(foreign, Outbound::Drop(DropReason::ForeignSource));
    }
    for (source, group) in [(0, "224.0.0.1"), (0, "255.255.255.255"), (1, "ff02::2")] {
        assert_eq!(outcome(pair.a[source], group), Outbound::Drop(DropReason::Multicast), "{group}");
    }
    for nowhere in ["127.0.0.1", "169.254.1.1", "0.0.0.0"] {
        assert_eq!(outcome(pair.a[0], nowhere), Outbound::Drop(DropReason::MalformedPacket), "{nowhere}");
    }
    for nowhere in ["::1", "fe80::1", "::ffff:10.7.0.2"] {
        assert_eq!(outcome(pair.a[1], nowhere), Outbound::Drop(DropReason::MalformedPacket), "{nowhere}");
    }
}

#[test]
fn buffers_of_any_length_are_survived() {
    let pair = Pair::new();
    let whole = packet(pair.a[0], pair.b[0], b"payload");
    for length in 0..whole.len() {
        let outcome = pair.outbound(&whole[..length]).0;
        assert_eq!(outcome, Outbound::Drop(DropReason::MalformedPacket), "{length}");
    }
    let datagram = pair.sealed(Kind::Data, &whole);
    for length in 0..datagram.len() {
        assert!(matches!(pair.inbound(&datagram[..length]), Inbound::Drop(_)), "{length}");
    }
    for first in 0..=255 {
        for length in [1, 4, 31, 32, 33, 500, 1232, 1233, 65_507] {
            let mut garbage = vec![0x5a; length];
            garbage[0] = first;
            assert!(matches!(pair.inbound(&garbage), Inbound::Drop(_)), "{first} {length}");
        }
    }
    assert!(matches!(pair.inbound(&[]), Inbound::Drop(DropReason::Unknown)));
    assert!(matches!(pair.inbound(&datagram), Inbound::Packet(..)), "and nothing has moved");
}

#[test]
fn the_inner_source_must_belong_to_the_sender() {
    let mut pair = Pair::new();
    let c = pair.lab.enrol("c");
    pair.lab.run(3 * SECOND);
    let [c4, c6] = pair.lab.mesh(c);
    let spoofed = Inbound::Drop(DropReason::SourceCheck);
    for source in [c4, pair.b[0], address("10.7.0.99"), address("192.168.1.1"), address("127.0.0.1")] {
        assert_eq!(pair.forged_packet(source, pair.b[0]), spoofed, "{source}");
    }
    let IpAddr::V4(a4) = pair.a[0] else { panic!() };
    for source in [c6, pair.b[1], address("fd00::1"), address("::1"), a4.to_ipv6_mapped().into()] {
        assert_eq!(pair.forged_packet(source, pair.b[1]), spoofed, "{source}");
    }
    let from_c = pair.lab.peer(1, c).unwrap().rx_bytes;
    assert_eq!(from_c, 0, "nothing is counted for whom it pretends to be");
}

#[test]
fn the_inner_destination_must_be_ours() {
    let pair = Pair::new();
    let elsewhere = Inbound::Drop(DropReason::Destination);
    for destination in ["10.7.0.1", "10.7.0.3", "192.168.1.1", "8.8.8.8"] {
        assert_eq!(pair.forged_packet(pair.a[0], address(destination)), elsewhere, "{destination}");
    }
    assert_eq!(pair.forged_packet(pair.a[1], address("fd00::9")), elsewhere);
    for nowhere in ["127.0.0.1", "224.0.0.1", "255.255.255.255"] {
        let outcome = pair.forged_packet(pair.a[0], address(nowhere));
        assert_eq!(outcome, Inbound::Drop(DropReason::MalformedPacket), "{nowhere}");
    }
}

#[test]
fn sealed_garbage_is_no_packet() {
    let pair = Pair::new();
    let good = packet(pair.a[0], pair.b[0], b"x");
    for plaintext in [&b""[..], b"\x45", b"hello, this is no packet", &good[..good.len() - 1]] {
        let outcome = pair.inbound(&pair.sealed(Kind::Data, plaintext));
        assert_eq!(outcome, Inbound::Drop(DropReason::MalformedPacket));
    }
}

#[test]
fn forged_replayed_and_homeless_datagrams_are_told_apart() {
    let pair = Pair::new();
    let good = pair.sealed(Kind::Data, &packet(pair.a[0], pair.b[0], b"x"));
    for at in 0..good.len() {
        let mut forged = good.clone();
        forged[at] ^= 0x40;
        let expected = match at {
            0..4 => DropReason::Unknown,
            4..8 => DropReason::NoSession,
            // A counter that no session ever reaches.
            13..16 => DropReason::Unknown,
            _ => DropReason::Forged,
        };
        assert_eq!(pair.inbound(&forged), Inbound::Drop(expected), "byte {at}");
    }
    assert!(matches!(pair.inbound(&good), Inbound::Packet(..)));
    assert_eq!(pair.inbound(&good), Inbound::Drop(DropReason::Replayed));
    let control = pair.sealed(Kind::Control, b"anything");
    assert!(matches!(pair.inbound(&control), Inbound::Slow(SlowInput::Control { .. }, _)));
    assert_eq!(pair.inbound(&control), Inbound::Drop(DropReason::Replayed));
    let mut forged = pair.sealed(Kind::Control, b"anything");
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(pair.inbound(&forged), Inbound::Drop(DropReason::Forged));
}

#[test]
fn a_new_address_is_told_once_until_the_node_has_looked() {
    let mut pair = Pair::new();
    let elsewhere = Remote::udp("198.51.100.1:9".parse().unwrap());
    let inner = packet(pair.a[0], pair.b[0], b"x");
    let session = pair.lab.session(0, 1).unwrap().remote_index;
    let Inbound::Packet(_, news) = pair.inbound_from(&pair.sealed(Kind::Data, &inner), elsewhere) else {
        panic!()
    };
    let news = news.expect("a new address is news");
    assert_eq!(news, (SlowInput::Notice { session }, elsewhere));
    let again = pair.inbound_from(&pair.sealed(Kind::Data, &inner), elsewhere);
    assert!(matches!(again, Inbound::Packet(_, None)), "{again:?}");
    assert!(matches!(pair.inbound(&pair.sealed(Kind::Data, &inner)), Inbound::Packet(_, None)));
    pair.lab.command(1, |node, now| node.handle_slow(news.0, news.1, now));
    let later = pair.inbound_from(&pair.sealed(Kind::Data, &inner), elsewhere);
    assert!(matches!(later, Inbound::Packet(_, Some(_))), "{later:?}");
}

#[test]
fn the_first_use_of_a_session_is_told_once() {
    let mut pair = Pair::new();
    pair.lab.machines[0].is_up = false;
    pair.lab.lose = Box::new(|f| matches!(Datagram::parse(&f.bytes), Some(Datagram::Control(_))));
    pair.lab.restart(0);
    pair.lab.run(SECOND / 4);
    let inner = packet(pair.a[0], pair.b[0], b"x");
    let session = pair.lab.session(0, 1).unwrap().remote_index;
    let first = pair.inbound(&pair.sealed(Kind::Data, &inner));
    let Inbound::Packet(_, Some((SlowInput::Notice { session: told }, _))) = first else {
        panic!("{first:?}")
    };
    assert_eq!(told, session);
    assert!(matches!(pair.inbound(&pair.sealed(Kind::Data, &inner)), Inbound::Packet(_, None)));
}

#[test]
fn handshake_messages_pass_the_gate_only_of_whom_they_are_for() {
    let mut pair = Pair::new();
    pair.lab.restart(0);
    pair.lab.run(SECOND);
    let initiation = pair.sent(|d| matches!(d, Datagram::Initiation(_)), 1);
    let response = pair.sent(|d| matches!(d, Datagram::Response(_)), 0);
    for (flight, to) in [(&initiation, 1), (&response, 0)] {
        for at in [0, 1] {
            let outcome = inbound(&pair.tables(at), &mut flight.bytes.clone(), flight.from);
            let slow = Inbound::Slow(SlowInput::Datagram(flight.bytes.clone()), flight.from);
            let expected = if at == to { slow } else { Inbound::Drop(DropReason::Gate) };
            assert_eq!(outcome, expected);
        }
        let mut altered = flight.bytes.clone();
        altered[5] ^= 1;
        let outcome = inbound(&pair.tables(to), &mut altered, flight.from);
        assert_eq!(outcome, Inbound::Drop(DropReason::Gate));
    }
}

#[test]
fn an_enrolment_passes_only_with_an_invite_of_ours() {
    let mut pair = Pair::new();
    let first = pair.sent(|d| matches!(d, Datagram::Enrolment(e) if e.stage == 1), 0);
    let at_issuer = inbound(&pair.tables(0), &mut first.bytes.clone(), first.from);
    assert_eq!(
        at_issuer,
        Inbound::Slow(SlowInput::Datagram(first.bytes.clone()), first.from),
        "known, though used"
    );
    assert_eq!(pair.inbound(&first.bytes), Inbound::Drop(DropReason::Gate), "another node's invite");
    let Some(Datagram::Enrolment(enrolment)) = Datagram::parse(&first.bytes) else { panic!() };
    let id = enrolment.invite;
    pair.lab.command(0, |node, _| node.forget_invite(&id));
    let forgotten = inbound(&pair.tables(0), &mut first.bytes.clone(), first.from);
    assert_eq!(forgotten, Inbound::Drop(DropReason::Gate));
    assert!(pair.lab.machines[0].files.contains_key(&StateFile::Invites));
}

/// A TCP packet between two addresses, its checksum right.
fn tcp(source: IpAddr, destination: IpAddr, payload: &[u8]) -> Vec<u8> {
    let head = [0, 9, 0, 80, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x18, 1, 0, 0, 0, 0, 0];
    let mut bytes = packet(source, destination, &[&head, payload].concat());
    match source {
        IpAddr::V4(_) => {
            bytes[9] = 6;
            header::sum_ipv4(&mut bytes[..20]);
        }
        IpAddr::V6(_) => bytes[6] = 6,
    }
    summed(bytes)
}

fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    let parsed = Packet::parse(&bytes).unwrap();
    Transport::of(&parsed, &bytes).unwrap().complete(&parsed, &mut bytes);
    bytes
}

/// What the kernel says of a TCP packet whose checksum it has not made.
fn left_out(packet: &[u8], size: Option<u16>) -> Offload {
    let start = if packet[0] >> 4 == 4 { 20 } else { 40 };
    let kind = if start == 20 { SegmentKind::Tcp4 } else { SegmentKind::Tcp6 };
    let segments = size.map(|size| Segments { kind, size, headers: start + 20 });
    Offload { checksum: Some(PartialChecksum { start, offset: 16 }), segments }
}

#[test]
fn a_superpacket_crosses_as_datagrams_and_is_whole_again() {
    let pair = Pair::new();
    let mut counted = pair.lab.peer(0, 1).unwrap().tx_packets;
    for family in [0, 1] {
        for length in [1usize, 999, 1000, 1001, 64_000] {
            let payload: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let whole = tcp(pair.a[family], pair.b[family], &payload);
            let (outcome, sent) = pair.outbound_with(left_out(&whole, Some(1000)), &whole);
            assert_eq!((outcome, sent.len()), (Outbound::Sealed, length.div_ceil(1000)));
            counted += sent.len() as u64;
            assert_eq!(pair.lab.peer(0, 1).unwrap().tx_packets, counted, "as many as were cut");
            let (mut bytes, mut merger) = (vec![], Merger::with_room_for(64, Joins::Tcp));
            for (_, datagram) in sent {
                let begin = bytes.len();
                bytes.extend(datagram);
                let from = pair.lab.machines[0].remote;
                let verdict = inbound(&pair.tables(1), &mut bytes[begin..], from);
                let Inbound::Packet(opened, None) = verdict else { panic!("{verdict:?}") };
                let range = begin + opened.range.start..begin + opened.range.end;
                merger.push(&Opened { range, ..opened }, &bytes);
            }
            merger.finish(&mut bytes);
            let written: Vec<_> = merger.written().collect();
            let [written] = &written[..] else { panic!("{} packets", written.len()) };
            let again: Vec<u8> = written.parts().flat_map(|range| bytes[range].to_vec()).collect();
            assert_eq!(summed(again), whole);
            assert_eq!(written.offload(), left_out(&whole, (length > 1000).then_some(1000)));
        }
    }
}

#[test]
fn a_checksum_is_left_out_only_where_the_receiver_knows_it() {
    let pair = Pair::new();
    let kind_of = |offload: Offload, packet: &[u8]| pair.outbound_with(offload, packet).1[0].1[0];
    let tcp = tcp(pair.a[0], pair.b[0], b"x");
    assert_eq!(kind_of(Offload::NONE, &tcp), 0xa4);
    assert_eq!(kind_of(left_out(&tcp, None), &tcp), 0xa9);
    // What is neither TCP nor UDP is completed: the field holds a part of the sum.
    let other = packet(pair.a[0], pair.b[0], &[1, 2, 0, 0, 5, 6]);
    let offload = Offload { checksum: Some(PartialChecksum { start: 20, offset: 2 }), segments: None };
    let (from, mut datagram) = pair.outbound_with(offload, &other).1.remove(0);
    let Inbound::Packet(opened, _) = inbound(&pair.tables(1), &mut datagram, from) else { panic!() };
    assert!(!opened.is_unsummed);
    let sum = wire::checksum::Sum::default().with(&[1, 2, 0, 0, 5, 6]).checksum();
    assert_eq!(datagram[opened.range][22..24], sum);
}

#[test]
fn offloads_that_lie_are_survived() {
    let pair = Pair::new();
    let tcp = tcp(pair.a[0], pair.b[0], &[7; 100]);
    let malformed = Outbound::Drop(DropReason::MalformedPacket);
    let beyond =
        |start, offset| Offload { checksum: Some(PartialChecksum { start, offset }), segments: None };
    for (start, offset) in [(140, 16), (139, 0), (u16::MAX, 0), (20, u16::MAX), (0, 139)] {
        assert_eq!(pair.outbound_with(beyond(start, offset), &tcp).0, malformed, "{start} {offset}");
    }
    for (kind, size) in [(SegmentKind::Tcp4, 0), (SegmentKind::Tcp6, 50), (SegmentKind::Udp, 50)] {
        let segments = Some(Segments { kind, size, headers: 40 });
        assert_eq!(pair.outbound_with(Offload { checksum: None, segments }, &tcp).0, malformed, "{kind:?}");
    }
    let ones = Some(Segments { kind: SegmentKind::Tcp4, size: 1, headers: 40 });
    assert_eq!(pair.outbound_with(Offload { checksum: None, segments: ones }, &tcp).1.len(), 100);
}

#[test]
fn what_has_no_checksum_that_we_know_is_no_unsummed_packet() {
    let pair = Pair::new();
    let [icmp, cut] = [packet(pair.a[0], pair.b[0], b"other"), {
        let mut cut = packet(pair.a[0], pair.b[0], b"short");
        cut[9] = 6;
        cut
    }];
    for plaintext in [icmp, cut] {
        let outcome = pair.inbound(&pair.sealed(Kind::Unsummed, &plaintext));
        assert_eq!(outcome, Inbound::Drop(DropReason::MalformedPacket));
    }
    let good = tcp(pair.a[0], pair.b[0], b"x");
    let Inbound::Packet(opened, _) = pair.inbound(&pair.sealed(Kind::Unsummed, &good)) else { panic!() };
    assert!(opened.is_unsummed);
    let spoofed = tcp(pair.b[0], pair.b[0], b"x");
    let outcome = pair.inbound(&pair.sealed(Kind::Unsummed, &spoofed));
    assert_eq!(outcome, Inbound::Drop(DropReason::SourceCheck));
}

#[test]
fn what_waits_for_a_session_waits_as_whole_packets() {
    let pair = Pair::new();
    let whole = tcp(pair.a[0], pair.b[0], &[9; 250]);
    let mut parts = vec![];
    whole_packets(left_out(&whole, Some(100)), &mut whole.clone(), |part| parts.push(part.to_vec()));
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [140, 140, 90]);
    for part in &parts {
        let parsed = Packet::parse(part).unwrap();
        assert!(Transport::of(&parsed, part).unwrap().verifies(&parsed, part));
    }
    let mut one = vec![];
    let mut partial = whole.clone();
    let parsed = Packet::parse(&partial).unwrap();
    let transport = Transport::of(&parsed, &partial).unwrap();
    partial[36..38].copy_from_slice(&transport.pseudo_header(&parsed).folded());
    whole_packets(left_out(&whole, None), &mut partial, |part| one.push(part.to_vec()));
    assert_eq!(one, [whole]);
}
