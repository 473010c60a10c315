//! The server on loopback, and upstreams that the test plays.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

use tokio::sync::mpsc;

use super::*;
use crate::dns::limits::FORWARDS_PER_SOURCE_MAX;
use crate::dns::{Counted, Dns, Domain, world};

/// Nothing here takes longer, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);
/// Who is permitted.
const GUEST: &str = "127.0.0.5:0";
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const REFUSED: u8 = 5;

/// A server for the guest, with these upstreams, each of which may take so long.
fn server(upstreams: &[&UdpSocket], timeout: Duration) -> (Dns, SocketAddr, Forwarding) {
    let these = upstreams.iter().map(|upstream| upstream.local_addr().unwrap()).collect();
    let forwarding = Forwarding::to(To::These(these), timeout);
    forwarding.permit(&["127.0.0.5/32".parse().unwrap()]);
    let (v4, v6) = world::RANGES;
    let zone = world::home();
    let domain = Domain::new(&zone.network, "internal", v4.parse().unwrap(), v6.parse().unwrap()).unwrap();
    let zone = Arc::new(ArcSwap::from_pointee(zone));
    let (nobody, _) = mpsc::channel(1);
    let own = ["127.0.0.1:0".parse().unwrap()];
    let dns = Dns::start_asking(zone, domain, own, (nobody, forwarding.clone())).unwrap();
    let address = dns.addresses()[0];
    (dns, address, forwarding)
}

fn upstream() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn client(of: &str, server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(of).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A question of type A, with an OPT record that has an option nobody knows.
fn question(id: u16, name: &str) -> Vec<u8> {
    let header: Vec<u8> = [id, 0x0100, 1, 0, 0, 1].into_iter().flat_map(u16::to_be_bytes).collect();
    let labels = name.split('.').filter(|label| !label.is_empty());
    let labels = labels.flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat());
    let kind = b"\0\0\x01\0\x01";
    let opt = b"\0\0\x29\x10\0\0\0\0\0\0\x06\xfd\xe9\0\x02ab";
    [header, labels.collect(), kind.to_vec(), opt.to_vec()].concat()
}

/// An answer to what an upstream has heard, with this code, and with bytes that nobody understands behind it.
fn answer(heard: &[u8], code: u8) -> Vec<u8> {
    let mut answer = heard.to_vec();
    answer[2] |= 0x80;
    answer[3] = 0x80 | code;
    [&answer[..], b"whatever"].concat()
}

fn hear(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 4096];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

fn code(answer: &[u8]) -> u8 {
    answer[3] & 15
}

fn counted(dns: &Dns) -> (u64, u64, u64, u64, u64) {
    let Counted { forwarded, forward_answered, forward_failed, forward_refused, forward_unfit, .. } =
        dns.counted();
    (forwarded, forward_answered, forward_failed, forward_refused, forward_unfit)
}

#[test]
fn what_a_guest_asks_passes_untouched_but_for_the_id() {
    let upstream = upstream();
    let (dns, server, _) = server(&[&upstream], PATIENCE);
    let guest = client(GUEST, server);
    let mut seen = BTreeSet::new();
    for _ in 1..=20 {
        let asked = question(7, "www.Example.org");
        guest.send(&asked).unwrap();
        let (heard, from) = hear(&upstream);
        assert_eq!(heard[2..], asked[2..], "options and case too");
        let said = answer(&heard, NXDOMAIN);
        upstream.send_to(&said, from).unwrap();
        let (got, _) = hear(&guest);
        assert_eq!((&got[..2], &got[2..]), (&[0, 7][..], &said[2..]));
        seen.insert((heard[..2].to_vec(), from.port()));
    }
    let ids: BTreeSet<_> = seen.iter().map(|(id, _)| id).collect();
    assert!(ids.len() > 15, "ids are of chance: {ids:?}");
    let ports: BTreeSet<_> = seen.iter().map(|(_, port)| port).collect();
    assert!(ports.len() > 5, "and so are ports: {ports:?}");
    assert_eq!(counted(&dns), (20, 20, 0, 0, 0));
}

#[test]
fn all_questions_go_to_the_exit_while_there_is_one() {
    let (host, exit) = (upstream(), upstream());
    let (dns, server, forwarding) = server(&[&host], PATIENCE);
    let (guest, own, other) =
        (client(GUEST, server), client("127.0.0.1:0", server), client("127.0.0.9:0", server));
    own.send(&question(1, "example.org")).unwrap();
    assert_eq!(code(&hear(&own).0), REFUSED, "this machine's own resolver may ask us");
    forwarding.lead(Some(vec![exit.local_addr().unwrap()]));
    // Loopback is this machine, whatever the address.
    for asker in [&guest, &own, &other] {
        asker.send(&question(2, "example.org")).unwrap();
        let (heard, from) = hear(&exit);
        exit.send_to(&answer(&heard, NXDOMAIN), from).unwrap();
        assert_eq!(code(&hear(asker).0), NXDOMAIN);
    }
    own.send(&question(3, "printer.local")).unwrap();
    assert_eq!(code(&hear(&own).0), NXDOMAIN, "what is inside stays inside");
    forwarding.lead(Some(vec![]));
    own.send(&question(4, "example.org")).unwrap();
    assert_eq!(code(&hear(&own).0), SERVFAIL, "an exit without an address is no reason to ask another");
    forwarding.lead(None);
    own.send(&question(5, "example.org")).unwrap();
    assert_eq!(code(&hear(&own).0), REFUSED);
    guest.send(&question(6, "example.org")).unwrap();
    let (heard, from) = hear(&host);
    host.send_to(&answer(&heard, 0), from).unwrap();
    assert_eq!(code(&hear(&guest).0), 0);
    assert_eq!(counted(&dns), (5, 4, 1, 0, 0));
}

#[test]
fn what_is_no_answer_of_the_upstream_is_not_believed() {
    let (upstream, other) = (upstream(), upstream());
    let (dns, server, _) = server(&[&upstream], PATIENCE);
    let guest = client(GUEST, server);
    guest.send(&question(7, "example.org")).unwrap();
    let (heard, from) = hear(&upstream);
    let good = answer(&heard, 0);
    other.send_to(&answer(&heard, REFUSED), from).unwrap();
    let mut wrong_id = good.clone();
    wrong_id[0] ^= 1;
    let other_name = answer(&question(u16::from_be_bytes([heard[0], heard[1]]), "example.com"), 0);
    for forged in [&wrong_id[..], &other_name, &heard, b"x"] {
        upstream.send_to(forged, from).unwrap();
    }
    upstream.send_to(&good, from).unwrap();
    assert_eq!(hear(&guest).0[2..], good[2..]);
    assert_eq!(counted(&dns), (1, 1, 0, 0, 4));
    guest.send(&question(8, "example.org")).unwrap();
    let (_, from) = hear(&upstream);
    for _ in 0..crate::dns::limits::UNFIT_ANSWERS_MAX {
        upstream.send_to(&wrong_id, from).unwrap();
    }
    assert_eq!(code(&hear(&guest).0), SERVFAIL, "who guesses gets no further");
}

#[test]
fn who_is_silent_or_cannot_answer_leaves_it_to_the_next() {
    let (silent, unwilling, good) = (upstream(), upstream(), upstream());
    let (dns, server, _) = server(&[&silent, &unwilling, &good], Duration::from_millis(100));
    let guest = client(GUEST, server);
    guest.send(&question(7, "example.org")).unwrap();
    hear(&silent);
    let (heard, from) = hear(&unwilling);
    unwilling.send_to(&answer(&heard, REFUSED), from).unwrap();
    let (heard, from) = hear(&good);
    good.send_to(&answer(&heard, 0), from).unwrap();
    assert_eq!(code(&hear(&guest).0), 0);
    // The best that anybody has said, and if nobody says anything, that we cannot say.
    guest.send(&question(8, "example.org")).unwrap();
    let (heard, from) = hear(&unwilling);
    unwilling.send_to(&answer(&heard, REFUSED), from).unwrap();
    let (got, _) = hear(&guest);
    assert_eq!((code(&got), &got[got.len() - 8..]), (REFUSED, &b"whatever"[..]));
    drop(unwilling);
    guest.send(&question(9, "example.org")).unwrap();
    let (got, _) = hear(&guest);
    assert_eq!((got[1], code(&got)), (9, SERVFAIL));
    assert_eq!(counted(&dns), (3, 2, 1, 0, 0));
}

#[test]
fn inner_names_stay_and_ours_are_answered_here() {
    let upstream = upstream();
    let (dns, server, _) = server(&[&upstream], PATIENCE);
    let guest = client(GUEST, server);
    let ask = |name: &str| {
        guest.send(&question(1, name)).unwrap();
        let (got, _) = hear(&guest);
        (code(&got), got[7])
    };
    assert_eq!(ask("laptop.home.internal"), (0, 1));
    for nowhere in
        ["no.home.internal", "9.9.77.10.in-addr.arpa", "printer", "localhost", "nas.local", "a.b.internal"]
    {
        assert_eq!(ask(nowhere), (NXDOMAIN, 0), "{nowhere}");
    }
    upstream.set_nonblocking(true).unwrap();
    assert!(upstream.recv(&mut [0; 8]).is_err());
    assert_eq!(counted(&dns).0, 0);
    upstream.set_nonblocking(false).unwrap();
    guest.send(&question(2, "1.0.168.192.in-addr.arpa")).unwrap();
    let (heard, from) = hear(&upstream);
    upstream.send_to(&answer(&heard, 0), from).unwrap();
    assert_eq!(hear(&guest).0[1], 2, "the office's own names are the office's to answer");
}

#[test]
fn nobody_is_permitted_unless_somebody_says_so_and_this_machine_never() {
    let upstream = upstream();
    let (dns, server, forwarding) = server(&[&upstream], PATIENCE);
    let refused = |of: &str| {
        let socket = client(of, server);
        socket.send(&question(1, "example.org")).unwrap();
        code(&hear(&socket).0) == REFUSED
    };
    assert!(refused("127.0.0.1:0") && refused("127.0.0.6:0"));
    for everybody in [&["0.0.0.0/0", "::/0"][..], &["127.0.0.1/32"], &[]] {
        let prefixes: Vec<IpNet> = everybody.iter().map(|prefix| prefix.parse().unwrap()).collect();
        forwarding.permit(&prefixes);
        assert_eq!(*forwarding.permitted(), prefixes);
        assert!(refused("127.0.0.1:0"), "where we answer ourselves: {everybody:?}");
        assert!(refused(GUEST), "loopback is meant where it is named: {everybody:?}");
    }
    assert_eq!(counted(&dns).0, 0);
    let permits = |source: &str| forwarding.is_permitted(source.parse().unwrap());
    forwarding.permit(&["10.77.0.0/16".parse().unwrap(), "fd77::/48".parse().unwrap()]);
    forwarding.set_own(["10.77.0.1:53".parse().unwrap(), "[fd77::1]:53".parse().unwrap()].into_iter());
    assert!(permits("10.77.0.2") && permits("fd77::2"));
    assert!(!permits("10.77.0.1") && !permits("fd77::1") && !permits("10.78.0.1") && !permits("::1"));
}

#[test]
fn by_tcp_it_is_asked_by_tcp() {
    let upstream = upstream();
    let listener = TcpListener::bind(upstream.local_addr().unwrap()).unwrap();
    // It counts for connections that do not come.
    socket2::SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).unwrap();
    let (dns, server, _) = server(&[&upstream], PATIENCE);
    let guest = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    guest.bind(&GUEST.parse::<SocketAddr>().unwrap().into()).unwrap();
    guest.connect(&server.into()).unwrap();
    let mut guest = TcpStream::from(guest);
    guest.set_read_timeout(Some(PATIENCE)).unwrap();
    let say = |stream: &mut TcpStream, message: &[u8]| {
        let length = u16::try_from(message.len()).unwrap();
        stream.write_all(&[&length.to_be_bytes(), message].concat()).unwrap();
    };
    let hear = |stream: &mut TcpStream| {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut message).unwrap();
        message
    };
    for id in 1..=2 {
        say(&mut guest, &question(id, "example.org"));
        let mut there = listener.accept().unwrap().0;
        let heard = hear(&mut there);
        let long = [answer(&heard, 0), vec![9; 60_000]].concat();
        say(&mut there, &long);
        let got = hear(&mut guest);
        assert_eq!((&got[..2], &got[2..]), (&id.to_be_bytes()[..], &long[2..]));
    }
    say(&mut guest, &question(3, "example.org"));
    let mut there = listener.accept().unwrap().0;
    let mut forged = answer(&hear(&mut there), 0);
    forged[1] ^= 1;
    say(&mut there, &forged);
    assert_eq!(code(&hear(&mut guest)), SERVFAIL);
    assert_eq!(counted(&dns), (3, 2, 1, 0, 1));
}

#[test]
fn one_source_has_so_many_questions_on_their_way() {
    let upstream = upstream();
    let (dns, server, forwarding) = server(&[&upstream], PATIENCE);
    forwarding.permit(&["127.0.0.5/32".parse().unwrap(), "127.0.0.6/32".parse().unwrap()]);
    let (guest, other) = (client(GUEST, server), client("127.0.0.6:0", server));
    for id in 0..=FORWARDS_PER_SOURCE_MAX {
        guest.send(&question(u16::try_from(id).unwrap(), "example.org")).unwrap();
    }
    let (got, _) = hear(&guest);
    assert_eq!(code(&got), SERVFAIL, "one too many");
    other.send(&question(1, "example.org")).unwrap();
    let mut answered = BTreeSet::new();
    for _ in 0..=FORWARDS_PER_SOURCE_MAX {
        let (heard, from) = hear(&upstream);
        upstream.send_to(&answer(&heard, 0), from).unwrap();
    }
    for _ in 0..FORWARDS_PER_SOURCE_MAX {
        answered.insert(hear(&guest).0[..2].to_vec());
    }
    assert_eq!((answered.len(), code(&hear(&other).0)), (FORWARDS_PER_SOURCE_MAX, 0));
    let all = FORWARDS_PER_SOURCE_MAX as u64 + 1;
    assert_eq!(counted(&dns), (all, all, 0, 1, 0));
    guest.send(&question(2, "example.org")).unwrap();
    let (heard, from) = hear(&upstream);
    upstream.send_to(&answer(&heard, 0), from).unwrap();
    assert_eq!(code(&hear(&guest).0), 0, "a place is given back");
}
