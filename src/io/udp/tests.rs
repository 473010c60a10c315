//! Over loopback: every length, both families, trains, and what must not break the sockets.

use std::cell::Cell;
use std::io::IoSliceMut;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use super::pair::FREE_PORT_ATTEMPTS;
use super::*;
use crate::io::poll::{Poll, Wake};
use rustix::net::sockopt::socket_recv_buffer_size;

const PATIENCE: Duration = Duration::from_secs(5);

fn loopback(udp: &Udp, family: Family) -> SocketAddr {
    match family {
        Family::V4 => SocketAddr::from((Ipv4Addr::LOCALHOST, udp.port())),
        Family::V6 => SocketAddr::from((Ipv6Addr::LOCALHOST, udp.port())),
    }
}

/// The next `count` datagrams of `family`, with their senders.
fn collect(udp: &Udp, family: Family, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let wake = Wake::new().unwrap();
    let mut poll = Poll::new(None, udp, &wake).unwrap();
    let mut buffers = ReceiveBuffers::new();
    let mut datagrams = Vec::new();
    while datagrams.len() < count {
        let ready = poll.wait(Some(PATIENCE)).unwrap();
        assert!(ready.udp_v4 || ready.udp_v6, "{} of {count} datagrams came", datagrams.len());
        udp.receive(family, &mut buffers, |remote, bytes| datagrams.push((remote, bytes.to_vec()))).unwrap();
    }
    datagrams
}

#[test]
fn both_families_share_a_port_and_carry_datagrams() {
    let (a, b) = (Udp::bind(0).unwrap(), Udp::bind(0).unwrap());
    let port = a.port();
    assert_eq!(
        a.local_addresses(),
        [format!("0.0.0.0:{port}"), format!("[::]:{port}")].map(|s| s.parse().unwrap())
    );
    for family in [Family::V4, Family::V6] {
        a.send(loopback(&b, family), b"hello").unwrap();
        assert_eq!(collect(&b, family, 1), [(loopback(&a, family), b"hello".to_vec())]);
    }
}

#[test]
fn a_port_in_use_is_named_in_either_family() {
    let other = Udp::bind(0).unwrap();
    let error = Udp::bind(other.port()).unwrap_err();
    assert!(matches!(error, BindError::PortInUse { port } if port == other.port()), "{error}");
    assert!(error.to_string().contains("listen.port"), "{error}");

    let taken = loop {
        let v6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let port = v6.local_addr().unwrap().port();
        if UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            break v6;
        }
    };
    let port = taken.local_addr().unwrap().port();
    assert!(matches!(Udp::bind(port), Err(BindError::PortInUse { .. })));
}

#[test]
fn datagrams_of_extreme_lengths_survive() {
    let (a, b) = (Udp::bind(0).unwrap(), Udp::bind(0).unwrap());
    // A stranger's socket, which fragments: ours would refuse what is longer than loopback's MTU.
    let strangers = [
        (Family::V4, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), 65_507),
        (Family::V6, UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap(), 65_527),
    ];
    for (family, stranger, longest) in strangers {
        for length in [0, 1, 1200, 1472, 9000, 65_488, 65_506, 65_507, longest] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            stranger.send_to(&bytes, loopback(&b, family)).unwrap();
            let received = collect(&b, family, 1).remove(0).1;
            assert!(received == bytes, "{length} bytes came as {}", received.len());
        }
        a.send(loopback(&b, family), &[7; 65_488]).unwrap();
        assert_eq!(collect(&b, family, 1)[0].1.len(), 65_488);
        let error = a.send(loopback(&b, family), &[7; 65_528]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::MSGSIZE.raw_os_error()), "{error}");
    }
}

#[test]
fn what_is_sent_whole_is_refused_when_the_interface_is_narrower_and_leaves_no_trace() {
    let (a, b) = (Udp::bind(0).unwrap(), Udp::bind(0).unwrap());
    for family in [Family::V4, Family::V6] {
        let to = loopback(&b, family);
        let headers = if family == Family::V4 { 28 } else { 48 };
        // Loopback takes packets of 65,536 bytes, and IP has none that are longer than 65,535.
        assert!(a.send_whole(SocketId::MAIN, to, &[7; 65_000]).unwrap());
        assert_eq!(collect(&b, family, 1)[0].1.len(), 65_000);
        assert!(!a.send_whole(SocketId::MAIN, to, &vec![7; 65_536 - headers + 1]).unwrap());
        a.send_in_fragments(SocketId::MAIN, to, &[8; 5000], 2000).unwrap();
        let lengths: Vec<usize> = collect(&b, family, 3).iter().map(|(_, bytes)| bytes.len()).collect();
        assert_eq!(lengths, [2000, 2000, 1000]);
        // As ever afterwards: a train in one call.
        assert_eq!(a.send_segments(SocketId::MAIN, to, &[9; 3000], 1400).unwrap(), Sent::Whole);
        assert_eq!(collect(&b, family, 3).len(), 3);
    }
}

#[test]
fn trains_that_are_known_to_be_too_long_are_told_of() {
    let too_long = |batch: &[u8]| if batch.len() > 100 { Err(Errno::MSGSIZE.into()) } else { Ok(()) };
    assert_eq!(send_in_batches(&[0; 250], 100, || 64, too_long).unwrap(), Sent::InFragments);
    assert_eq!(send_in_batches(&[0; 90], 100, || 64, too_long).unwrap(), Sent::Whole);
}

#[test]
fn segments_come_as_the_datagrams_they_are() {
    let (a, b) = (Udp::bind(0).unwrap(), Udp::bind(0).unwrap());
    // The second has more bytes in 64 segments than one system call takes.
    for (family, size) in [(Family::V4, 400), (Family::V6, 400), (Family::V4, 1400), (Family::V6, 1400)] {
        let bytes: Vec<u8> = (0..150 * size + 17).map(|i| (i % 253) as u8).collect();
        a.send_segments(SocketId::MAIN, loopback(&b, family), &bytes, size).unwrap();
        let received = collect(&b, family, 151);
        assert!(received[..150].iter().all(|(_, datagram)| datagram.len() == size));
        assert_eq!(received[150].1.len(), 17);
        assert!(received.into_iter().flat_map(|(_, datagram)| datagram).eq(bytes));
    }
    assert!(a.send_segments(SocketId::MAIN, loopback(&b, Family::V4), b"x", 0).is_err());
}

#[test]
fn segments_go_again_one_by_one_where_segmentation_is_refused() {
    let (segments_max, mut sent) = (Cell::new(64), Vec::new());
    let refuse_batches = |batch: &[u8]| {
        if batch.len() > 100 {
            segments_max.set(1);
            return Err(Errno::IO.into());
        }
        sent.push(batch.to_vec());
        Ok(())
    };
    let bytes: Vec<u8> = (0..=255).collect();
    send_in_batches(&bytes, 100, || segments_max.get(), refuse_batches).unwrap();
    assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 56]);
    assert_eq!(sent.concat(), bytes);
}

#[test]
fn an_error_that_is_not_about_segmentation_ends_the_batches() {
    let mut calls = 0;
    let unreachable = |_: &[u8]| {
        calls += 1;
        if calls == 2 { Err(Errno::NETUNREACH.into()) } else { Ok(()) }
    };
    let error = send_in_batches(&[0; 64 * 1000 * 3], 1000, || 64, unreachable).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::NETUNREACH.raw_os_error()));
    assert_eq!(calls, 2);
}

#[test]
fn an_address_that_cannot_be_does_not_cost_us_segmentation() {
    let udp = Udp::bind(0).unwrap();
    let before = (udp.main.v4.segments_max(), udp.main.v6.as_ref().unwrap().segments_max());
    for remote in
        ["127.0.0.1:0", "0.0.0.0:9", "0.1.2.3:9", "[::]:9", "[::1]:0", "[fe80::1]:9", "[::ffff:0.0.0.0]:9"]
    {
        let error = udp.send(remote.parse().unwrap(), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{remote}: {error}");
    }
    // Not refused by us: whatever the kernel says is a result.
    for remote in [
        "255.255.255.255:9",
        "240.0.0.1:9",
        "224.0.0.1:9",
        "[ff02::1]:9",
        "[2001:db8::1]:9",
        "198.51.100.1:9",
    ] {
        let _ = udp.send(remote.parse().unwrap(), b"x");
    }
    let after = (udp.main.v4.segments_max(), udp.main.v6.as_ref().unwrap().segments_max());
    assert_eq!(before, after);
}

#[test]
fn nobody_at_the_other_end_is_an_ordinary_result() {
    let udp = Udp::bind(0).unwrap();
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for _ in 0..3 {
        let _ = udp.send(closed, b"x");
    }
    udp.send(loopback(&udp, Family::V4), b"to myself").unwrap();
    assert_eq!(collect(&udp, Family::V4, 1)[0].1, b"to myself");
}

#[test]
fn a_mapped_address_goes_out_and_comes_back_as_ipv4() {
    let (a, b) = (Udp::bind(0).unwrap(), Udp::bind(0).unwrap());
    let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), b.port()));
    a.send(mapped, b"x").unwrap();
    assert_eq!(collect(&b, Family::V4, 1)[0].0, loopback(&a, Family::V4));
}

#[test]
fn an_empty_socket_gives_no_datagrams() {
    let udp = Udp::bind(0).unwrap();
    let mut buffers = ReceiveBuffers::new();
    for family in [Family::V4, Family::V6] {
        assert_eq!(udp.receive(family, &mut buffers, |_, _| panic!("nobody sent")).unwrap(), 0);
    }
}

#[test]
fn two_threads_send_at_once() {
    let (a, b) = (Arc::new(Udp::bind(0).unwrap()), Udp::bind(0).unwrap());
    let remote = loopback(&b, Family::V4);
    let threads = [1u8, 2].map(|id| {
        let a = Arc::clone(&a);
        std::thread::spawn(move || (0..100).for_each(|_| a.send(remote, &[id; 100]).unwrap()))
    });
    let received = collect(&b, Family::V4, 200);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(received.iter().filter(|(_, bytes)| bytes == &[1; 100]).count(), 100);
    assert_eq!(received.iter().filter(|(_, bytes)| bytes == &[2; 100]).count(), 100);
}

#[test]
fn the_test_port_is_the_next_one_or_any_other() {
    // Some other program may have the next port: then ours is another one.
    let a = loop {
        let a = Udp::bind(0).unwrap();
        if Some(a.test_port()) == a.port().checked_add(1) {
            break a;
        }
    };
    let blocked = (1..=FREE_PORT_ATTEMPTS).find_map(|_| {
        let taken = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        Udp::bind(taken.local_addr().unwrap().port() - 1).ok().map(|udp| (taken, udp))
    });
    let (taken, udp) = blocked.expect("one of these ports is free");
    assert!(udp.test_port() != 0 && udp.test_port() != taken.local_addr().unwrap().port());
    for family in [Family::V4, Family::V6] {
        let to = SocketAddr::new(loopback(&udp, family).ip(), udp.test_port());
        a.send_from(TEST, to, b"which port?", None).unwrap();
        let from = SocketAddr::new(to.ip(), a.test_port());
        assert_eq!(collect_on(&udp, TEST, family), [(from, b"which port?".to_vec())]);
    }
}

/// The next datagrams of a socket that is not a main one.
fn collect_on(udp: &Udp, socket: SocketId, family: Family) -> Vec<(SocketAddr, Vec<u8>)> {
    let wake = Wake::new().unwrap();
    let ready = Poll::new(None, udp, &wake).unwrap().wait(Some(PATIENCE)).unwrap().others.to_vec();
    assert_eq!(ready, [(socket, family)]);
    let mut datagrams = vec![];
    let each = |remote, bytes: &mut [u8]| datagrams.push((remote, bytes.to_vec()));
    udp.receive_on(socket, family, &mut ReceiveBuffers::new(), each).unwrap();
    datagrams
}

#[test]
fn a_spare_sends_and_receives_on_a_port_of_its_own() {
    let (a, b) = (Udp::bind(0).unwrap(), Udp::bind(0).unwrap());
    let (here, there) = (SPARE_FIRST, SocketId(77));
    a.open_spare(here).unwrap();
    b.open_spare(there).unwrap();
    let address = |udp: &Udp, id| SocketAddr::from((Ipv4Addr::LOCALHOST, udp.port_of(id).unwrap()));
    assert!(![a.port(), a.test_port()].contains(&a.port_of(here).unwrap()));
    a.send_from(here, address(&b, there), b"hello", None).unwrap();
    assert_eq!(collect_on(&b, there, Family::V4), [(address(&a, here), b"hello".to_vec())]);
    b.send_from(SocketId::MAIN, address(&a, here), b"and back", None).unwrap();
    assert_eq!(collect_on(&a, here, Family::V4), [(loopback(&b, Family::V4), b"and back".to_vec())]);
}

#[test]
fn spares_are_numbered_counted_and_limited() {
    let udp = Udp::bind(0).unwrap();
    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(udp.open_spare(SocketId::MAIN)), io::ErrorKind::InvalidInput);
    assert_eq!(kind(udp.open_spare(TEST)), io::ErrorKind::InvalidInput);
    let ids: Vec<_> = (SPARE_FIRST.0..).map(SocketId).take(SPARES_MAX).collect();
    ids.iter().for_each(|&id| udp.open_spare(id).unwrap());
    assert_eq!(udp.spare_count(), SPARES_MAX);
    assert_eq!(kind(udp.open_spare(ids[0])), io::ErrorKind::AlreadyExists);
    assert_eq!(kind(udp.open_spare(SocketId(9999))), io::ErrorKind::QuotaExceeded);
    let ports: std::collections::BTreeSet<_> = ids.iter().map(|&id| udp.port_of(id).unwrap()).collect();
    assert_eq!(ports.len(), SPARES_MAX);

    udp.close_spare(ids[0]);
    udp.close_spare(ids[0]);
    assert_eq!((udp.spare_count(), udp.port_of(ids[0])), (SPARES_MAX - 1, None));
    let to = loopback(&udp, Family::V4);
    assert_eq!(kind(udp.send_from(ids[0], to, b"x", None)), io::ErrorKind::NotFound);
    let mut buffers = ReceiveBuffers::new();
    assert_eq!(udp.receive_on(ids[0], Family::V4, &mut buffers, |_, _| panic!("closed")).unwrap(), 0);
    udp.open_spare(SocketId(9999)).unwrap();
}

#[test]
fn a_spare_has_small_buffers_until_it_carries_data_and_no_ipv6() {
    let udp = Udp::bind(0).unwrap();
    udp.open_spare(SPARE_FIRST).unwrap();
    let size =
        || udp.spares.with(SPARE_FIRST, |half| socket_recv_buffer_size(&half.socket).unwrap()).unwrap();
    // The kernel doubles what it is asked for.
    assert!(size() <= 128 << 10, "{}", size());
    udp.enlarge_spare(SPARE_FIRST);
    assert!(size() > 128 << 10, "{}", size());
    let error = udp.send_from(SPARE_FIRST, loopback(&udp, Family::V6), b"x", None).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::AFNOSUPPORT.raw_os_error()));
}

/// A stranger's socket that is told the time to live of what it receives.
fn observer(family: Family) -> UdpSocket {
    use nix::sys::socket::{setsockopt, sockopt};
    let local = match family {
        Family::V4 => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        Family::V6 => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
    };
    let socket = UdpSocket::bind(local).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    match family {
        Family::V4 => setsockopt(&socket, sockopt::Ipv4RecvTtl, &true).unwrap(),
        Family::V6 => setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true).unwrap(),
    }
    socket
}

/// The next datagram's content and time to live.
fn observe(socket: &UdpSocket) -> (Vec<u8>, i32) {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
    let (mut bytes, mut control) = ([0; 64], nix::cmsg_space!(i32));
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let received =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())
            .unwrap();
    let mut told = None;
    for message in received.cmsgs().unwrap() {
        if let ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) = message {
            told = Some(ttl);
        }
    }
    let length = received.bytes;
    (bytes[..length].to_vec(), told.expect("the kernel tells it"))
}

#[test]
fn a_time_to_live_is_one_datagrams_own() {
    let udp = Udp::bind(0).unwrap();
    udp.open_spare(SPARE_FIRST).unwrap();
    for family in [Family::V4, Family::V6] {
        let stranger = observer(family);
        let to = stranger.local_addr().unwrap();
        for socket in [SocketId::MAIN, TEST, SPARE_FIRST] {
            if (socket, family) == (SPARE_FIRST, Family::V6) {
                continue;
            }
            udp.send_from(socket, to, b"usual", None).unwrap();
            let (_, usual) = observe(&stranger);
            assert!(usual > 7, "{usual}");
            for (contents, ttl, expected) in
                [(b"two", Some(2), 2), (b"max", Some(255), 255), (b"few", Some(7), 7), (b"end", None, usual)]
            {
                udp.send_from(socket, to, contents, ttl).unwrap();
                assert_eq!(observe(&stranger), (contents.to_vec(), expected), "{socket:?} {family:?}");
            }
            let error = udp.send_from(socket, to, b"x", Some(0)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}

#[test]
fn data_of_another_thread_keeps_its_time_to_live() {
    // Enough for one of the two threads to be interrupted anywhere.
    const OPENERS: usize = 20_000;
    let udp = Udp::bind(0).unwrap();
    let (stranger, far) = (observer(Family::V4), UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let (to, openers_to) = (stranger.local_addr().unwrap(), far.local_addr().unwrap());
    udp.send(to, b"usual").unwrap();
    let (_, usual) = observe(&stranger);
    std::thread::scope(|scope| {
        let openers = scope.spawn(|| {
            (0..OPENERS).for_each(|_| {
                udp.send_from(SocketId::MAIN, openers_to, b"opener", Some(2)).unwrap();
            });
        });
        while !openers.is_finished() {
            udp.send(to, b"data").unwrap();
            assert_eq!(observe(&stranger), (b"data".to_vec(), usual));
        }
    });
}

/// What has come to a lane of `udp`, or to the first for none, with the ports it came from.
fn came(udp: &Udp, lane: Option<&Lane>) -> Vec<(u16, u8)> {
    let mut buffers = ReceiveBuffers::new();
    let mut came = vec![];
    loop {
        let trains = match lane {
            Some(lane) => lane.receive_batch(Family::V4, &mut buffers).unwrap(),
            None => udp.receive_batch(SocketId::MAIN, Family::V4, &mut buffers).unwrap(),
        };
        if trains == 0 {
            return came;
        }
        for position in 0..trains {
            let train = buffers.train(position);
            for datagram in train.datagrams() {
                came.push((train.remote.port(), buffers.bytes()[datagram.start]));
            }
        }
    }
}

#[test]
fn lanes_share_out_remotes_and_keep_what_each_sends_in_order() {
    let udp = Udp::bind(0).unwrap();
    let lanes = [None, Some(udp.open_lane().unwrap()), Some(udp.open_lane().unwrap())];
    let remotes: Vec<Udp> = (0..40).map(|_| Udp::bind(0).unwrap()).collect();
    for number in 0..5 {
        remotes.iter().for_each(|remote| remote.send(loopback(&udp, Family::V4), &[number]).unwrap());
    }
    let came = lanes.each_ref().map(|lane| came(&udp, lane.as_ref()));
    assert!(came.iter().all(|came| !came.is_empty()), "40 remotes leave no lane of three empty");
    for remote in &remotes {
        let of_remote =
            came.each_ref().map(|came| came.iter().filter(|(port, _)| *port == remote.port()).count());
        assert_eq!(of_remote.iter().max(), Some(&5), "one lane has all: {of_remote:?}");
        let numbers = came.iter().flatten().filter(|(port, _)| *port == remote.port());
        assert!(numbers.map(|(_, number)| *number).eq(0..5));
    }
    assert!(
        matches!(Udp::bind(udp.port()), Err(BindError::PortInUse { .. })),
        "nobody else comes in between"
    );
    drop(lanes);
    remotes[0].send(loopback(&udp, Family::V4), &[9]).unwrap();
    assert_eq!(self::came(&udp, None).len(), 1, "the first lane takes over what others leave");
}
