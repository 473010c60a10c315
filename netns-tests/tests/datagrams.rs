//! What programs send in trains of datagrams (UDP_SEGMENT), or in superpackets of TCP, arrives as what it was: each by itself, whole,
//! whatever the wire does. The kernel at both ends is the judge of what is cut and joined in between.

use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use hopmesh::io::udp::{TEST, Udp};
use netns_tests::{Conduct, Dice, Internet, Lab, Machine, Mischief, Underlay, hashed_transfer};

/// Datagrams of a train.
const TRAIN: usize = 20;
/// Trains of a test: some hundreds of kilobytes.
const TRAINS: u64 = 60;
/// Nothing that was sent comes later than this.
const QUIET: Duration = Duration::from_millis(500);
/// Longest content of a datagram that fits the mesh by IPv6.
const LONGEST: usize = 1372;

/// The content of a datagram: its number, and what follows from it.
fn content(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Dice::new(number).fill(&mut bytes);
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// Sends trains of datagrams of random lengths, each train to the address that is its turn, and tells which datagrams arrived.
fn send_trains(from: &Machine, to: &Machine, addresses: &[IpAddr]) -> BTreeSet<u64> {
    let inboxes: Vec<UdpSocket> = addresses
        .iter()
        .map(|address| to.enter(|| UdpSocket::bind((*address, 0)).expect("a mesh address")))
        .collect();
    let outbox = from.enter(|| Udp::bind(0).expect("sockets"));
    let mut dice = Dice::new(7);
    let mut arrived = BTreeSet::new();
    for train in 0..TRAINS {
        let inbox = &inboxes[usize::try_from(train).expect("few") % inboxes.len()];
        let length = dice.below(LONGEST - 8) + 9;
        let numbers = train * TRAIN as u64..(train + 1) * TRAIN as u64;
        let bytes: Vec<u8> = numbers.clone().flat_map(|number| content(number, length)).collect();
        // The last one is shorter.
        let bytes = &bytes[..bytes.len() - dice.below(length - 8)];
        let target = inbox.local_addr().expect("it is bound");
        outbox.send_segments(TEST, target, bytes, length).expect("the kernel takes it");
        inbox.set_read_timeout(Some(QUIET)).expect("not zero");
        let mut buffer = vec![0; 65_536];
        for _ in 0..TRAIN {
            let Ok(got) = inbox.recv(&mut buffer) else { break };
            let number = u64::from_le_bytes(buffer[..8].try_into().expect("eight bytes"));
            let is_last = number % TRAIN as u64 == TRAIN as u64 - 1;
            assert!(got == length || is_last, "datagram {number} of {length} bytes came with {got}");
            assert!(buffer[..got] == content(number, length)[..got], "datagram {number} came altered");
            assert!(arrived.insert(number), "datagram {number} came twice");
        }
    }
    arrived
}

#[test]
fn trains_of_datagrams_arrive_one_by_one() {
    let lab = Lab::new();
    let (a, founder, b, joiner) = lab.pair();
    for (from, to, up) in [(&a, &b, &joiner), (&b, &a, &founder)] {
        let arrived = send_trains(from, to, &up.addresses());
        assert_eq!(arrived.len() as u64, TRAINS * TRAIN as u64, "nothing is lost on a good wire");
    }
}

#[test]
fn flows_keep_their_bytes_through_loss_and_another_order() {
    let internet = Internet::new();
    let a = internet.public("a");
    let b = internet.public_on("b", Underlay::V4, Some(&Conduct::default()));
    a.up();
    let joiner = b.join(&a.invite(&[]));
    a.must_ping(joiner.v4.into());
    let late = Duration::from_millis(3);
    let mischief = Mischief { reordered: 0.1, late, duplicated: 0.05, dropped: 0.01, ..Mischief::default() };
    b.on_wire(|wire| wire.behave(Conduct { mischief: Some(mischief), ..Conduct::default() }));
    let arrived = send_trains(&a, &b, &joiner.addresses());
    let sent = TRAINS * TRAIN as u64;
    assert!(arrived.len() as u64 > sent * 9 / 10, "{} of {sent} datagrams", arrived.len());
    for address in joiner.addresses() {
        hashed_transfer(&a, &b, address, 3_000_000);
    }
    let tally = b.on_wire(netns_tests::Wire::tally);
    assert!(tally.reordered > 100 && tally.duplicated > 50 && tally.lost > 0, "{tally:?}");
}
