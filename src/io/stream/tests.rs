//! Streams over loopback: between two of ours, and against who does not keep to the rules.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;

/// What does not come in this time does not come.
const PATIENCE: Duration = Duration::from_secs(30);
/// A deadline that a test waits for.
const SHORT: Duration = Duration::from_millis(100);

async fn next(streams: &mut Streams) -> StreamEvent {
    timeout(PATIENCE, streams.next_event()).await.expect("something happens")
}

fn server(timing: Timing) -> (Streams, SocketAddr) {
    let server = StreamServer::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = (Ipv4Addr::LOCALHOST, server.port()).into();
    (Streams::with_timing(Some(server), timing), address)
}

/// Who was dialled and who dialled, each with its number for the stream between them.
async fn pair() -> ((Streams, u32), (Streams, u32)) {
    let (mut there, address) = server(Timing::default());
    let mut here = Streams::new(None);
    let ours = here.dial(address).unwrap();
    assert_eq!(next(&mut here).await, StreamEvent::Opened { number: ours, remote: address, dialled: true });
    let StreamEvent::Opened { number: theirs, remote, dialled: false } = next(&mut there).await else {
        panic!("not opened");
    };
    assert_eq!(remote.ip(), Ipv4Addr::LOCALHOST);
    ((there, theirs), (here, ours))
}

/// A client that is upgraded, and then does what a test wants.
async fn stranger(streams: &mut Streams, address: SocketAddr) -> (TcpStream, u32) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert!(upgrade::ask(&mut stream, address).await.unwrap().is_empty());
    let StreamEvent::Opened { number, dialled: false, .. } = next(streams).await else {
        panic!("not opened");
    };
    (stream, number)
}

/// A frame as a client sends it, with a mask that changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length as u8),
        Ok(length) => {
            frame.push(0xfe);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0xff);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Reads to the end, which may be a reset.
async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![];
    let _reset = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the connection ends");
    bytes
}

/// Waits until all places are given back.
async fn until_empty(streams: &Streams) {
    let empty = async {
        while streams.counts() != (0, 0) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, empty).await.expect("all places are given back");
}

#[tokio::test]
async fn datagrams_of_every_length_go_both_ways() {
    let ((mut there, theirs), (mut here, ours)) = pair().await;
    for length in [0, 1, 125, 126, 1420, 65_507, 65_535] {
        let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        here.sender().try_send(ours, bytes.clone()).unwrap();
        assert_eq!(next(&mut there).await, StreamEvent::Datagram { number: theirs, bytes: bytes.clone() });
        there.sender().try_send(theirs, bytes.clone()).unwrap();
        assert_eq!(next(&mut here).await, StreamEvent::Datagram { number: ours, bytes });
    }
    assert_eq!((there.counts(), here.counts()), ((1, 0), (0, 1)));
}

#[tokio::test]
async fn another_thread_sends_and_a_slow_receiver_loses_nothing_that_was_queued() {
    const COUNT: u32 = 20_000;
    let ((mut there, theirs), (here, ours)) = pair().await;
    let sender = here.sender();
    let thread = std::thread::spawn(move || {
        let mut full = 0;
        for i in 0..COUNT {
            let bytes = i.to_be_bytes().repeat(256);
            while let Err(error) = sender.try_send(ours, bytes.clone()) {
                assert_eq!(error, SendError::Full);
                full += 1;
                std::thread::yield_now();
            }
        }
        (full, sender.dropped())
    });
    for i in 0..COUNT {
        let bytes = i.to_be_bytes().repeat(256);
        assert_eq!(next(&mut there).await, StreamEvent::Datagram { number: theirs, bytes });
    }
    let (full, dropped) = thread.join().unwrap();
    assert_eq!(full, dropped);
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let here = Streams::new(None);
    let number = here.dial(silent.local_addr().unwrap()).unwrap();
    let sender = here.sender();
    let queued = (0..).take_while(|_| sender.try_send(number, vec![0; 1000]).is_ok()).count();
    assert_eq!((queued, sender.dropped()), (limits::QUEUE_BYTES_MAX / 1000, 1));
    assert_eq!(sender.try_send(number, vec![0; 1000]), Err(SendError::Full));
    assert_eq!(sender.dropped(), 2);
}

#[tokio::test]
async fn what_is_sent_before_it_is_open_arrives() {
    let (mut there, address) = server(Timing::default());
    let here = Streams::new(None);
    let number = here.dial(address).unwrap();
    here.sender().try_send(number, b"early".to_vec()).unwrap();
    assert!(matches!(next(&mut there).await, StreamEvent::Opened { .. }));
    assert!(matches!(next(&mut there).await, StreamEvent::Datagram { bytes, .. } if bytes == b"early"));
}

#[tokio::test]
async fn who_is_too_slow_to_say_what_it_wants_is_cut_off() {
    let (there, address) = server(Timing { handshake: SHORT, ..Timing::default() });
    for said in [&b""[..], b"GET /hopmesh HTTP/1.1\r\nHost: x\r\n"] {
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(said).await.unwrap();
        assert_eq!(read_to_end(&mut slow).await, b"");
    }
    until_empty(&there).await;
}

#[tokio::test]
async fn garbage_is_refused_and_nobody_hears_of_it() {
    let (mut there, address) = server(Timing::default());
    for garbage in [vec![0xff; 3000], vec![b'\n'; 10_000], b"GET /other HTTP/1.1\r\n\r\n".to_vec()] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _cut_off = stream.write_all(&garbage).await;
        let _end = stream.shutdown().await;
        let said = read_to_end(&mut stream).await;
        assert!(said.starts_with(b"HTTP/1.1 404 "), "{}", String::from_utf8_lossy(&said));
    }
    until_empty(&there).await;
    let _good = stranger(&mut there, address).await;
}

#[tokio::test]
async fn one_address_has_sixteen_streams_and_a_node_dials_sixteen() {
    let (mut there, address) = server(Timing::default());
    let here = Streams::new(None);
    let numbers: Vec<_> = (0..16).map(|_| here.dial(address).unwrap()).collect();
    assert_eq!(here.dial(address), None);
    for _ in 0..16 {
        assert!(matches!(next(&mut there).await, StreamEvent::Opened { .. }));
    }
    assert_eq!((there.counts(), here.counts()), ((16, 0), (0, 16)));
    let mut one_more = TcpStream::connect(address).await.unwrap();
    assert!(upgrade::ask(&mut one_more, address).await.is_err());
    here.close(numbers[3]);
    assert!(matches!(next(&mut there).await, StreamEvent::Closed { reason: CloseReason::Ended, .. }));
    let _again = stranger(&mut there, address).await;
}

#[tokio::test]
async fn what_is_no_datagram_ends_the_stream() {
    let (mut there, address) = server(Timing::default());
    let too_long = frame(0x82, &[0; 65_536]);
    let too_long_in_parts = [frame(0x02, &[0; 40_000]), frame(0x80, &[0; 40_000])].concat();
    let unmasked = vec![0x82, 1, 7];
    for bytes in [frame(0x81, b"text"), frame(0xf2, b"reserved bits"), too_long, too_long_in_parts, unmasked]
    {
        let (mut stream, number) = stranger(&mut there, address).await;
        let _cut_off = stream.write_all(&bytes).await;
        let closed = StreamEvent::Closed { number, reason: CloseReason::NoDatagrams };
        assert_eq!(next(&mut there).await, closed);
        read_to_end(&mut stream).await;
    }
    until_empty(&there).await;
}

#[tokio::test]
async fn a_datagram_may_come_in_parts_and_pings_are_answered_between_them() {
    let (mut there, address) = server(Timing::default());
    let (mut stream, number) = stranger(&mut there, address).await;
    for part in [frame(0x02, b"one "), frame(0x89, b"there?"), frame(0x80, b"datagram")] {
        stream.write_all(&part).await.unwrap();
    }
    let bytes = b"one datagram".to_vec();
    assert_eq!(next(&mut there).await, StreamEvent::Datagram { number, bytes });
    let mut pong = [0; 8];
    timeout(PATIENCE, stream.read_exact(&mut pong)).await.unwrap().unwrap();
    assert_eq!(&pong, b"\x8a\x06there?");
}

#[tokio::test]
async fn both_ends_ask_whether_the_other_is_there() {
    let (mut there, address) = server(Timing { ping: SHORT, ..Timing::default() });
    let (mut stream, _) = stranger(&mut there, address).await;
    let mut ping = [1; 2];
    timeout(PATIENCE, stream.read_exact(&mut ping)).await.unwrap().unwrap();
    assert_eq!(ping, [0x89, 0]);

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let here = Streams::with_timing(None, Timing { ping: SHORT, ..Timing::default() });
    let _number = here.dial(listener.local_addr().unwrap()).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    upgrade::answer(&mut stream).await.unwrap();
    timeout(PATIENCE, stream.read_exact(&mut ping)).await.unwrap().unwrap();
    assert_eq!(ping, [0x89, 0x80], "a client's are masked");
}

#[tokio::test]
async fn who_is_silent_is_given_up() {
    let (mut there, address) = server(Timing { idle: SHORT, ..Timing::default() });
    let (mut stream, number) = stranger(&mut there, address).await;
    assert_eq!(next(&mut there).await, StreamEvent::Closed { number, reason: CloseReason::Idle });
    assert_eq!(read_to_end(&mut stream).await, b"");
}

#[tokio::test]
async fn who_takes_nothing_is_given_up() {
    let (mut there, address) = server(Timing { write: SHORT, ..Timing::default() });
    let (_deaf, number) = stranger(&mut there, address).await;
    let sender = there.sender();
    let flood = async {
        loop {
            while sender.try_send(number, vec![0; 1400]).is_ok() {}
            tokio::task::yield_now().await;
        }
    };
    let closed = tokio::select! {
        closed = next(&mut there) => closed,
        () = flood => unreachable!("it never ends"),
    };
    assert_eq!(closed, StreamEvent::Closed { number, reason: CloseReason::Stuck });
    assert_eq!(sender.try_send(number, vec![]), Err(SendError::NoStream));
}

#[tokio::test]
async fn closing_is_silent_here_and_told_there() {
    let ((mut there, theirs), (mut here, ours)) = pair().await;
    here.close(ours);
    here.close(ours);
    assert_eq!(next(&mut there).await, StreamEvent::Closed { number: theirs, reason: CloseReason::Ended });
    until_empty(&here).await;
    until_empty(&there).await;
    here.close(ours);
    assert!(timeout(Duration::ZERO, here.next_event()).await.is_err());
    assert_eq!(here.sender().try_send(ours, vec![]), Err(SendError::NoStream));
}

#[tokio::test]
async fn all_ends_with_the_owner() {
    let ((there, _), (mut here, ours)) = pair().await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, there.port().unwrap()));
    let mut half_way = TcpStream::connect(address).await.unwrap();
    while there.counts() != (2, 0) {
        tokio::task::yield_now().await;
    }
    drop(there);
    assert_eq!(next(&mut here).await, StreamEvent::Closed { number: ours, reason: CloseReason::Ended });
    assert_eq!(read_to_end(&mut half_way).await, b"");
    StreamServer::bind(address).unwrap();
}

#[tokio::test]
async fn a_dial_that_comes_to_nothing_says_why() {
    let mut here = Streams::with_timing(None, Timing { dial: SHORT, ..Timing::default() });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();

    let number = here.dial(address).unwrap();
    assert_eq!(next(&mut here).await, StreamEvent::Closed { number, reason: CloseReason::NoAnswer });
    let (_the_first, _) = listener.accept().await.unwrap();

    let mut here = Streams::new(None);
    for answer in ["HTTP/1.1 404 Not Found\r\n\r\n", "SSH-2.0-x\r\n", ""] {
        let number = here.dial(address).unwrap();
        let (mut web_server, _) = listener.accept().await.unwrap();
        web_server.write_all(answer.as_bytes()).await.unwrap();
        web_server.shutdown().await.unwrap();
        assert_eq!(next(&mut here).await, StreamEvent::Closed { number, reason: CloseReason::NoNode });
    }

    drop(listener);
    let number = here.dial(address).unwrap();
    let reason = CloseReason::Os(io::ErrorKind::ConnectionRefused);
    assert_eq!(next(&mut here).await, StreamEvent::Closed { number, reason });
    until_empty(&here).await;
}

#[tokio::test]
async fn a_dial_can_be_called_off() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut here = Streams::new(None);
    let number = here.dial(silent.local_addr().unwrap()).unwrap();
    here.close(number);
    until_empty(&here).await;
    assert!(timeout(Duration::ZERO, here.next_event()).await.is_err());
}

#[tokio::test]
async fn a_taken_port_is_left_to_its_owner_and_0_is_none() {
    let web_server = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).await.unwrap();
    let taken = web_server.local_addr().unwrap().port();
    let server = StreamServer::on_port(taken, 0).unwrap();
    assert!(![0, taken].contains(&server.port()));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
    let mut there = Streams::new(Some(server));
    // By IPv4 and by IPv6, on one socket; nobody sees a mapped address.
    for address in [address, (Ipv6Addr::LOCALHOST, address.port()).into()] {
        let here = Streams::new(None);
        let _number = here.dial(address).unwrap();
        let StreamEvent::Opened { remote, .. } = next(&mut there).await else { panic!("not opened") };
        assert_eq!(remote.ip(), address.ip());
        drop(here);
        assert!(matches!(next(&mut there).await, StreamEvent::Closed { .. }));
    }
    assert!(StreamServer::on_port(taken, taken).is_none());
    assert!(StreamServer::on_port(0, 0).is_none());
    assert_eq!(Streams::new(None).port(), None);
}
