//! Per packet: seal, open, `ring` alone; per stranger's datagram: the refusal.

use crate::pair::{Pair, SEGMENT, SEGMENTS, remote};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use overlay::fastpath::{Inbound, Joins, Merger, Outbound, Trains, inbound, outbound};
use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use std::fmt;
use wire::datagram::{HEADER_LENGTH, TAG_LENGTH};
use wire::handshake::Suite;
use wire::offload::Offload;

/// A cipher and the length of an inner packet in bytes.
struct Case(Suite, usize);

const CASES: [Case; 4] = [
    Case(Suite::ChaCha20Poly1305, 64),
    Case(Suite::ChaCha20Poly1305, 1420),
    Case(Suite::Aes256Gcm, 64),
    Case(Suite::Aes256Gcm, 1420),
];

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.name(), self.1)
    }
}

/// A packet from the TUN becomes a datagram.
#[divan::bench(args = CASES)]
fn seal(bencher: Bencher, case: &Case) {
    let pair = Pair::connected(case.0);
    let (tables, mut trains) = (&pair.tables[0], Trains::new());
    let mut packet = pair.packet(0, case.1);
    let mut seal = || outbound(tables, Offload::NONE, &mut packet, &mut trains, &mut |_| {});
    assert_eq!(seal(), Outbound::Sealed);
    bencher.counter(BytesCount::new(case.1)).counter(ItemsCount::new(1usize)).bench_local(seal);
}

/// A superpacket of 64 kB becomes datagrams; the time is for one of its 46 packets.
#[divan::bench(args = [Suite::ChaCha20Poly1305, Suite::Aes256Gcm], sample_count = 500)]
fn seal_superpacket(bencher: Bencher, suite: Suite) {
    let pair = Pair::connected(suite);
    let (tables, mut trains) = (&pair.tables[0], Trains::new());
    let (offload, mut packet) = pair.superpacket(0);
    let mut seal = || outbound(tables, offload, &mut packet, &mut trains, &mut |_| {});
    assert_eq!(seal(), Outbound::Sealed);
    bencher.counter(BytesCount::new(SEGMENTS * SEGMENT)).counter(ItemsCount::new(SEGMENTS)).bench_local(seal);
}

/// Packets of one flow, opened already, are joined and made ready to be written; the time is for all 46.
#[divan::bench]
fn merge(bencher: Bencher) {
    let pair = Pair::connected(Suite::Aes256Gcm);
    let (mut bytes, opened) = pair.parts();
    let mut merger = Merger::with_room_for(SEGMENTS, Joins::TcpAndUdp);
    let mut merge = || {
        opened.iter().for_each(|opened| merger.push(opened, &bytes));
        merger.finish(&mut bytes);
        let written = merger.written().count();
        merger.clear();
        written
    };
    assert_eq!(merge(), 1);
    bencher
        .counter(BytesCount::new(SEGMENTS * SEGMENT))
        .counter(ItemsCount::new(SEGMENTS))
        .bench_local(merge);
}

/// The same bytes through the cipher alone.
#[divan::bench(args = CASES)]
fn seal_by_ring_alone(bencher: Bencher, case: &Case) {
    let algorithm = match case.0 {
        Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        Suite::Aes256Gcm => &AES_256_GCM,
    };
    let key =
        LessSafeKey::new(UnboundKey::new(algorithm, &[7; 32]).expect("both ciphers have keys of 32 bytes"));
    let packet = vec![0; HEADER_LENGTH + case.1 + TAG_LENGTH];
    let mut counter = 0u64;
    bencher
        .counter(BytesCount::new(case.1))
        .counter(ItemsCount::new(1usize))
        .with_inputs(|| packet.clone())
        .bench_local_refs(|buffer| {
            counter += 1;
            let mut nonce = [0; 12];
            nonce[4..].copy_from_slice(&counter.to_le_bytes());
            let (header, rest) = buffer.split_at_mut(HEADER_LENGTH);
            let (body, tag) = rest.split_at_mut(rest.len() - TAG_LENGTH);
            let made = key
                .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&*header), body)
                .expect("a packet is within the cipher's limit");
            tag.copy_from_slice(made.as_ref());
        });
}

/// A datagram from the network becomes a packet for the TUN.
#[divan::bench(args = CASES)]
fn open(bencher: Bencher, case: &Case) {
    let pair = Pair::connected(case.0);
    let [sender, receiver] = &pair.tables;
    let mut packet = pair.packet(0, case.1);
    let mut trains = Trains::new();
    let mut sealed = || {
        outbound(sender, Offload::NONE, &mut packet, &mut trains, &mut |_| {});
        trains.take().remove(0).1
    };
    assert!(matches!(inbound(receiver, &mut sealed(), remote(0)), Inbound::Packet(_, None)));
    bencher
        .counter(BytesCount::new(case.1))
        .counter(ItemsCount::new(1usize))
        .with_inputs(sealed)
        .bench_local_refs(|datagram| inbound(receiver, datagram, remote(0)));
}

/// Datagrams of strangers, by their first byte: another protocol, a guessed session, a handshake without the secret.
#[divan::bench(args = [0x16, 0xa4, 0xa1])]
fn refuse(bencher: Bencher, first: u8) {
    let pair = Pair::connected(Suite::Aes256Gcm);
    let mut datagram = vec![0; wire::datagram::INITIATION_LENGTH];
    datagram[0] = first;
    if first == 0xa1 {
        datagram[1] = wire::datagram::VERSION;
        datagram[3] = 1;
    }
    assert!(matches!(inbound(&pair.tables[0], &mut datagram, remote(1)), Inbound::Drop(_)));
    bencher
        .counter(ItemsCount::new(1usize))
        .bench_local(|| inbound(&pair.tables[0], divan::black_box(&mut datagram), remote(1)));
}

/// A handshake without any secret, where so many earlier ones are kept: it bears the mark of the latest.
#[divan::bench(args = [0, 16])]
fn refuse_beside_earlier_secrets(bencher: Bencher, earlier: u32) {
    let tables = Pair::with_earlier_secrets(earlier);
    let mut datagram = vec![0; wire::datagram::INITIATION_LENGTH];
    datagram[..4].copy_from_slice(&[0xa1, wire::datagram::VERSION, 0, 1 + earlier as u8]);
    assert!(matches!(inbound(&tables, &mut datagram, remote(1)), Inbound::Drop(_)));
    bencher
        .counter(ItemsCount::new(1usize))
        .bench_local(|| inbound(&tables, divan::black_box(&mut datagram), remote(1)));
}
