//! What ends a wait, and what it says: over loopback.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::*;
use crate::io::clock;
use crate::io::udp::{ReceiveBuffers, SPARE_FIRST, TEST};

/// A spare that another thread opened, and has something, is waited for no longer than this before a test fails.
const PATIENCE: Duration = Duration::from_secs(10);

fn loopback(udp: &Udp, socket: SocketId) -> std::net::SocketAddr {
    (Ipv4Addr::LOCALHOST, udp.port_of(socket).unwrap()).into()
}

#[test]
fn a_wake_before_the_wait_is_not_lost_and_counts_once() {
    let (udp, wake) = (Udp::bind(0).unwrap(), Wake::new().unwrap());
    let mut poll = Poll::new(None, &udp, &wake).unwrap();
    wake.wake();
    wake.wake();
    assert_eq!(poll.wait(None).unwrap(), Ready { wake: true, ..Ready::default() });
    assert_eq!(poll.wait(Some(Duration::ZERO)).unwrap(), Ready::default());
}

#[test]
fn another_thread_ends_the_wait() {
    let (udp, wake) = (Udp::bind(0).unwrap(), Arc::new(Wake::new().unwrap()));
    let other = std::thread::spawn({
        let wake = Arc::clone(&wake);
        move || wake.wake()
    });
    assert!(Poll::new(None, &udp, &wake).unwrap().wait(None).unwrap().wake);
    other.join().unwrap();
}

#[test]
fn each_socket_is_told_apart() {
    let (udp, wake) = (Udp::bind(0).unwrap(), Wake::new().unwrap());
    let mut poll = Poll::new(None, &udp, &wake).unwrap();
    let mut buffers = ReceiveBuffers::new();
    udp.send((Ipv4Addr::LOCALHOST, udp.port()).into(), b"x").unwrap();
    assert_eq!(poll.wait(None).unwrap(), Ready { udp_v4: true, ..Ready::default() });
    assert_eq!(udp.receive(Family::V4, &mut buffers, |_, _| {}).unwrap(), 1);
    udp.send((Ipv6Addr::LOCALHOST, udp.port()).into(), b"x").unwrap();
    assert_eq!(poll.wait(None).unwrap(), Ready { udp_v6: true, ..Ready::default() });
    assert_eq!(udp.receive(Family::V6, &mut buffers, |_, _| {}).unwrap(), 1);
    udp.send((Ipv4Addr::LOCALHOST, udp.test_port()).into(), b"x").unwrap();
    assert_eq!(poll.wait(None).unwrap(), Ready { others: &[(TEST, Family::V4)], ..Ready::default() });
    assert_eq!(udp.receive_on(TEST, Family::V4, &mut buffers, |_, _| {}).unwrap(), 1);
    udp.send((Ipv6Addr::LOCALHOST, udp.test_port()).into(), b"x").unwrap();
    assert_eq!(poll.wait(None).unwrap(), Ready { others: &[(TEST, Family::V6)], ..Ready::default() });
}

#[test]
fn what_is_not_read_is_told_again() {
    let (udp, wake) = (Udp::bind(0).unwrap(), Wake::new().unwrap());
    let mut poll = Poll::new(None, &udp, &wake).unwrap();
    udp.send((Ipv4Addr::LOCALHOST, udp.port()).into(), b"x").unwrap();
    for _ in 0..3 {
        assert!(poll.wait(Some(PATIENCE)).unwrap().udp_v4);
    }
}

#[test]
fn a_wait_ends_when_its_time_is_over() {
    let (udp, wake) = (Udp::bind(0).unwrap(), Wake::new().unwrap());
    let mut poll = Poll::new(None, &udp, &wake).unwrap();
    assert_eq!(poll.wait(Some(Duration::from_millis(5))).unwrap(), Ready::default());
}

#[test]
fn of_256_spares_exactly_the_ready_ones_are_named() {
    let (udp, wake) = (Udp::bind(0).unwrap(), Wake::new().unwrap());
    let mut poll = Poll::new(None, &udp, &wake).unwrap();
    let mut buffers = ReceiveBuffers::new();
    let spares: Vec<SocketId> = (0..256).map(|i| SocketId(SPARE_FIRST.0 + i)).collect();
    spares.iter().for_each(|&id| udp.open_spare(id).unwrap());
    assert_eq!(poll.wait(Some(Duration::ZERO)).unwrap(), Ready::default());

    let some: Vec<SocketId> = spares.iter().copied().step_by(50).collect();
    for wanted in [&some, &spares] {
        wanted.iter().for_each(|&id| udp.send(loopback(&udp, id), &id.0.to_be_bytes()).unwrap());
        let expected: Vec<_> = wanted.iter().map(|&id| (id, Family::V4)).collect();
        let (mut named, since) = (vec![], clock::now());
        // Loopback may deliver later than `send` returns: then they are named one after the other.
        while named.len() < expected.len() {
            named = poll.wait(Some(PATIENCE)).unwrap().others.to_vec();
            named.sort_by_key(|(id, _)| *id);
            assert!(since.elapsed() < PATIENCE, "no more than {} are named at once", named.len());
            assert!(!named.is_empty() && named.iter().all(|one| expected.contains(one)), "{named:?}");
        }
        assert_eq!(named, expected);
        for (id, family) in named {
            let mut got = vec![];
            let count =
                udp.receive_on(id, family, &mut buffers, |from, bytes| got.push((from, bytes.to_vec())));
            assert_eq!(count.unwrap(), 1);
            assert_eq!(got, [(loopback(&udp, SocketId::MAIN), id.0.to_be_bytes().to_vec())]);
        }
        assert_eq!(poll.wait(Some(Duration::ZERO)).unwrap(), Ready::default());
    }
}

#[test]
fn a_spare_that_is_opened_during_the_wait_ends_it() {
    let (udp, wake) = (Udp::bind(0).unwrap(), Wake::new().unwrap());
    let mut poll = Poll::new(None, &udp, &wake).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            udp.open_spare(SPARE_FIRST).unwrap();
            udp.send(loopback(&udp, SPARE_FIRST), b"x").unwrap();
        });
        let ready = poll.wait(Some(PATIENCE)).unwrap();
        assert_eq!(ready, Ready { others: &[(SPARE_FIRST, Family::V4)], ..Ready::default() });
    });
}

#[test]
fn a_closed_spare_is_not_waited_for() {
    let (udp, wake) = (Udp::bind(0).unwrap(), Wake::new().unwrap());
    let mut poll = Poll::new(None, &udp, &wake).unwrap();
    udp.open_spare(SPARE_FIRST).unwrap();
    udp.send(loopback(&udp, SPARE_FIRST), b"x").unwrap();
    udp.close_spare(SPARE_FIRST);
    assert_eq!(poll.wait(Some(Duration::ZERO)).unwrap(), Ready::default());
}
