//! Fronts on loopback: real sockets, and a target that the test plays.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::Instant;

use arc_swap::ArcSwap;
use overlay::{HealthCheck, Sharing, Zone, ZoneNode};
use wire::NodeId;

use super::limits::{ASSOCIATIONS_PER_SOURCE_MAX, CONNECTIONS_PER_SOURCE_MAX};
use super::*;

/// Where fronts listen: what other machines call the mesh address.
const MESH: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
const MESH_V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
/// Nothing here takes longer, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// The way to targets in a network of one node, which is called `b` and has the address 127.0.0.9.
fn reach() -> Reach {
    let mut zone = Zone::empty("home".parse().unwrap(), NodeId([1; 32]));
    let (name, v4): (Name, _) = ("b".parse().unwrap(), [127, 0, 0, 9].into());
    zone.nodes.insert(name.clone(), ZoneNode { node: NodeId([2; 32]), v4, v6: Ipv6Addr::UNSPECIFIED });
    let guest = IpAddr::from([127, 0, 0, 10]);
    zone.addresses.extend([(IpAddr::V4(v4), name.clone()), (guest, name)]);
    Reach::new(Arc::new(ArcSwap::from_pointee(zone)))
}

fn fronts() -> Fronts {
    Fronts::by(vec![None], reach(), PATIENCE)
}

fn service(name: &str, protocol: Protocol, port: u16, target: impl ToString) -> Publication {
    Publication {
        name: name.parse().unwrap(),
        version: None,
        protocol,
        port,
        labels: BTreeMap::new(),
        ttl_s: 60,
        sharing: Sharing::Owner,
        health: HealthCheck::None,
        target: Some(target.to_string().parse().unwrap()),
    }
}

/// A port that is free at the mesh address.
fn free_port() -> u16 {
    TcpListener::bind((MESH, 0)).unwrap().local_addr().unwrap().port()
}

fn target() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // It counts for connections that do not come.
    socket2::SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let stream = listener.accept().unwrap().0;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn connect(address: IpAddr, port: u16) -> TcpStream {
    let stream = TcpStream::connect((address, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Says a word, so that both are known to be connected to each other.
fn talk(client: &mut TcpStream, there: &mut TcpStream) {
    client.write_all(b"x").unwrap();
    there.read_exact(&mut [0]).unwrap();
}

fn udp(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn hear(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    buffer.truncate(length);
    (buffer, from)
}

/// Waits for what another thread does.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

/// Whether a connection was reset, and not ended politely.
fn is_reset(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn connections_of_either_family_go_to_the_target_and_end_one_side_at_a_time() {
    let ((listener, address), port) = (target(), free_port());
    let mut fronts = fronts();
    fronts.open(&service("printer", Protocol::Tcp, port, address), &[MESH, MESH_V6]).unwrap();
    for mesh in [MESH, MESH_V6] {
        let mut client = connect(mesh, port);
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut printer = accept(&listener);
        let mut asked = Vec::new();
        printer.read_to_end(&mut asked).unwrap();
        assert_eq!(asked, b"question", "the end of one side is passed on");
        printer.write_all(&vec![7; 1 << 20]).unwrap();
        drop(printer);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer.len(), 1 << 20, "while the other goes on to its end");
    }
    until("places are given back", || fronts.taken() == (0, 0));
    assert_eq!(fronts.counted(), Counted { passed: 2, ..Counted::default() });
}

#[test]
fn who_cannot_be_passed_on_knows_it_at_once() {
    let ((listener, address), port) = (target(), free_port());
    drop(listener);
    let mut fronts = fronts();
    fronts.open(&service("printer", Protocol::Tcp, port, address), &[MESH]).unwrap();
    assert!(is_reset(&mut connect(MESH, port)));
    until("it is counted", || fronts.counted() == Counted { unreached: 1, ..Counted::default() });
}

#[test]
fn what_is_withdrawn_ends_with_its_connections_and_gives_its_port_back() {
    let ((listener, address), port) = (target(), free_port());
    let mut fronts = fronts();
    let printer = service("printer", Protocol::Tcp, port, address);
    fronts.keep([&printer].into_iter(), &[MESH]);
    let (mut client, mut there) = (connect(MESH, port), accept(&listener));
    talk(&mut client, &mut there);
    // Who is kept is not interrupted.
    fronts.keep([&printer].into_iter(), &[MESH]);
    talk(&mut client, &mut there);
    fronts.keep([].into_iter(), &[MESH]);
    assert!(is_reset(&mut client) && is_reset(&mut there));
    until("nobody listens", || TcpStream::connect((MESH, port)).is_err());
    assert_eq!(fronts.views().count(), 0);
    for _ in 0..50 {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            fronts.open(&service("printer", protocol, port, address), &[MESH, MESH_V6]).unwrap();
        }
    }
}

#[test]
fn another_target_and_other_addresses_are_followed() {
    let ((first, to_first), (second, to_second), port) = (target(), target(), free_port());
    let mut fronts = fronts();
    fronts.open(&service("printer", Protocol::Tcp, port, to_first), &[MESH]).unwrap();
    let (mut before, mut there) = (connect(MESH, port), accept(&first));
    talk(&mut before, &mut there);
    fronts.open(&service("printer", Protocol::Tcp, port, to_second), &[MESH]).unwrap();
    assert!(is_reset(&mut before), "nobody stays with the old one");
    let (mut client, mut there) = (connect(MESH, port), accept(&second));
    talk(&mut client, &mut there);
    let moved = IpAddr::from([127, 0, 0, 3]);
    fronts.keep([&service("printer", Protocol::Tcp, port, to_second)].into_iter(), &[moved]);
    assert!(is_reset(&mut client) && is_reset(&mut there), "the old address is nobody's any more");
    until("nobody listens there", || TcpStream::connect((MESH, port)).is_err());
    let (_client, _there) = (connect(moved, port), accept(&second));
}

#[test]
fn one_source_has_so_many_connections_and_others_have_theirs() {
    let ((listener, address), port) = (target(), free_port());
    let mut fronts = fronts();
    fronts.open(&service("printer", Protocol::Tcp, port, address), &[MESH]).unwrap();
    let mut open: Vec<_> =
        (0..CONNECTIONS_PER_SOURCE_MAX).map(|_| (connect(MESH, port), accept(&listener))).collect();
    assert!(is_reset(&mut connect(MESH, port)));
    assert_eq!(fronts.counted().refused, 1);
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    other.bind(&SocketAddr::from(([127, 0, 0, 4], 0)).into()).unwrap();
    other.connect(&SocketAddr::new(MESH, port).into()).unwrap();
    let _another = accept(&listener);
    open.pop();
    until("a place is given back", || fronts.taken().0 == CONNECTIONS_PER_SOURCE_MAX);
    let (_client, _there) = (connect(MESH, port), accept(&listener));
}

#[test]
fn each_client_has_its_answers_and_nobody_else_speaks_to_it() {
    let (printer, port) = (udp("127.0.0.1:0"), free_port());
    let mut fronts = fronts();
    let syslog = service("syslog", Protocol::Udp, port, printer.local_addr().unwrap());
    fronts.open(&syslog, &[MESH, MESH_V6]).unwrap();
    let clients = [(udp("127.0.0.1:0"), MESH), (udp("127.0.0.1:0"), MESH), (udp("[::1]:0"), MESH_V6)];
    let mut seen = Vec::new();
    for (number, (client, mesh)) in clients.iter().enumerate() {
        let length = [3, 0, 60_000][number];
        client.send_to(&vec![u8::try_from(number).unwrap(); length], (*mesh, port)).unwrap();
        let (datagram, from) = hear(&printer);
        assert_eq!(datagram, vec![u8::try_from(number).unwrap(); length]);
        seen.push(from);
    }
    let stranger = udp("127.0.0.1:0");
    for (client, from) in clients.iter().map(|(client, _)| client).zip(&seen).rev() {
        stranger.send_to(b"forged", from).unwrap();
        printer.send_to(&from.port().to_be_bytes(), from).unwrap();
        assert_eq!(hear(client).0, from.port().to_be_bytes(), "the target alone answers, each client");
    }
    clients[0].0.send_to(b"again", (MESH, port)).unwrap();
    assert_eq!(hear(&printer), (b"again".to_vec(), seen[0]), "the same socket as before");
    assert_eq!(fronts.taken(), (0, 3));
    fronts.keep([].into_iter(), &[MESH, MESH_V6]);
    until("clients are forgotten", || fronts.taken() == (0, 0));
}

#[test]
fn who_is_silent_is_forgotten_and_who_listens_nowhere_is_not_the_end() {
    let (printer, port) = (udp("127.0.0.1:0"), free_port());
    let address = printer.local_addr().unwrap();
    let mut fronts = Fronts::by(vec![None], reach(), Duration::from_millis(100));
    fronts.open(&service("syslog", Protocol::Udp, port, address), &[MESH]).unwrap();
    let client = udp("127.0.0.1:0");
    client.send_to(b"one", (MESH, port)).unwrap();
    let (_, first) = hear(&printer);
    until("it is forgotten", || fronts.taken() == (0, 0));
    client.send_to(b"two", (MESH, port)).unwrap();
    assert_ne!(hear(&printer).1, first, "it begins anew");
    drop(printer);
    client.send_to(b"into the void", (MESH, port)).unwrap();
    let again = UdpSocket::bind(address).unwrap();
    again.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(b"three", (MESH, port)).unwrap();
    while hear(&again).0 != b"three" {}
}

#[test]
fn a_source_with_too_many_ports_gives_up_its_oldest() {
    let (printer, port) = (udp("127.0.0.1:0"), free_port());
    let mut fronts = fronts();
    let target = printer.local_addr().unwrap();
    fronts.open(&service("syslog", Protocol::Udp, port, target), &[MESH]).unwrap();
    let clients: Vec<_> = (0..=ASSOCIATIONS_PER_SOURCE_MAX).map(|_| udp("127.0.0.1:0")).collect();
    let mut seen = Vec::new();
    for client in &clients {
        client.send_to(b"x", (MESH, port)).unwrap();
        seen.push(hear(&printer).1);
    }
    let counted = Counted { passed: clients.len() as u64, refused: 1, unreached: 0 };
    assert_eq!((fronts.counted(), fronts.taken().1), (counted, ASSOCIATIONS_PER_SOURCE_MAX));
    clients[1].send_to(b"x", (MESH, port)).unwrap();
    assert_eq!(hear(&printer).1, seen[1], "the second is still there");
    clients[0].send_to(b"x", (MESH, port)).unwrap();
    assert_ne!(hear(&printer).1, seen[0], "the first has begun anew");
}

#[test]
fn a_port_that_is_taken_is_refused_with_what_to_do_and_tried_again() {
    let ((listener, address), taken) = (target(), TcpListener::bind((MESH, 0)).unwrap());
    let port = taken.local_addr().unwrap().port();
    let mut fronts = fronts();
    let printer = service("printer", Protocol::Tcp, port, address);
    let error = fronts.open(&printer, &[MESH]).unwrap_err();
    assert!(matches!(error, FrontError::InUse { .. }));
    let said = error.to_string();
    assert!(said.contains(&format!("ss -lnp sport = :{port}")) && said.contains("another --port"), "{said}");
    let identity = identity(&printer);
    fronts.keep([&printer].into_iter(), &[MESH]);
    let problem = fronts.views().next().unwrap().problem;
    assert_eq!((problem, fronts.is_open(&identity)), (Some(said), false));
    drop(taken);
    fronts.keep([&printer].into_iter(), &[MESH]);
    assert!(fronts.is_open(&identity));
    let (_client, _there) = (connect(MESH, port), accept(&listener));
    let other = service("other", Protocol::Tcp, port, address);
    assert!(matches!(fronts.open(&other, &[MESH]), Err(FrontError::InUse { .. })), "nor to another of ours");
    let beside = service("beside", Protocol::Udp, port, address);
    fronts.open(&beside, &[MESH]).expect("UDP is another matter");
}

#[test]
fn nodes_are_no_targets_by_whatever_name() {
    let mut fronts = fronts();
    let own = [MESH, MESH_V6, IpAddr::from([127, 0, 0, 1])];
    for target in ["127.0.0.9:80", "127.0.0.2:80", "[::1]:80", "[::ffff:127.0.0.9]:80"] {
        let error = fronts.open(&service("loop", Protocol::Tcp, free_port(), target), &own).unwrap_err();
        assert!(matches!(error, FrontError::Reach(ReachError::Node(_))), "{target}: {error}");
    }
    fronts.open(&service("guest", Protocol::Tcp, free_port(), "127.0.0.10:80"), &own).unwrap();
    // Known only when the name is resolved.
    let port = free_port();
    fronts.open(&service("name", Protocol::Tcp, port, format!("localhost:{port}")), &own).unwrap();
    assert!(is_reset(&mut connect(MESH, port)));
    until("it is counted", || fronts.counted().unreached == 1);
}

#[test]
fn names_are_resolved_for_each_connection() {
    let ((listener, address), port) = (target(), free_port());
    let mut fronts = fronts();
    let named = format!("localhost:{}", address.port());
    fronts.open(&service("printer", Protocol::Tcp, port, &named), &[MESH]).unwrap();
    let (_client, _there) = (connect(MESH, port), accept(&listener));
    // Whichever family the resolver prefers.
    let (v4, v6) = (UdpSocket::bind(address).unwrap(), UdpSocket::bind((MESH_V6, address.port())));
    fronts.open(&service("syslog", Protocol::Udp, port, &named), &[MESH]).unwrap();
    let client = udp("127.0.0.1:0");
    // The second comes while the name is being resolved.
    for text in [b"1", b"2"] {
        client.send_to(text, (MESH, port)).unwrap();
    }
    let heard = |socket: &UdpSocket| {
        let mut buffer = [0; 8];
        socket.set_nonblocking(true).unwrap();
        socket.recv(&mut buffer).ok().map(|_| buffer[0])
    };
    let mut all = Vec::new();
    until("both come, in order", || {
        all.extend(heard(&v4));
        all.extend(v6.iter().filter_map(heard));
        all == b"12"
    });
}
