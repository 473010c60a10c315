//! What comes from those who have no business here, and packets that have nowhere to go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use netns_tests::{
    Dice, Lab, Machine, Up, captured_udp, drops, peer, ping, receives, rss_kib, stop_ping, wait_until,
};

/// Memory may grow by this under any rubbish, in KiB.
const GROWTH_KIB: u64 = 16 * 1024;
/// First bytes of Hopmesh's own datagrams, and of STUN and WireGuard, which share the port.
const FIRST_BYTES: [u8; 12] = [0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0, 1, 2, 3, 4, 0xff];
const LONGEST: usize = 65_507;

/// An address of the mesh that nobody has.
fn nobodys(up: &Up) -> [IpAddr; 2] {
    let [a, b, c, d] = up.v4.octets();
    let v6 = u128::from(up.v6) ^ 0xffff;
    [Ipv4Addr::new(a, b, c, if d == 231 { 232 } else { 231 }).into(), Ipv6Addr::from(v6).into()]
}

#[test]
fn an_address_nobody_has_is_unreachable_at_once() {
    let lab = Lab::new();
    let (a, founder, b, _joiner) = lab.pair();
    for from in [&a, &b] {
        for target in nobodys(&founder) {
            let start = Instant::now();
            let result = ping(from, target, 1);
            assert_eq!(result.received, 0);
            assert!(
                result.text.to_lowercase().contains("unreachable"),
                "{} to {target}:\n{}",
                from.name(),
                result.text
            );
            assert!(start.elapsed() < Duration::from_millis(1500), "told after {:?}", start.elapsed());
            let start = Instant::now();
            let error = from.enter(|| {
                TcpStream::connect_timeout(&SocketAddr::new(target, 80), Duration::from_secs(5))
                    .expect_err("nobody listens there")
            });
            assert!(start.elapsed() < Duration::from_secs(2), "TCP waited {:?}: {error}", start.elapsed());
        }
    }
    // The same holds for what an odd route sends into the mesh.
    b.ip("route add 203.0.113.9/32 dev hm-home");
    let result = ping(&b, "203.0.113.9".parse().unwrap(), 1);
    assert!(result.text.to_lowercase().contains("unreachable"), "{}", result.text);
}

#[test]
fn a_spoofed_inner_source_goes_nowhere() {
    let lab = Lab::new();
    let (a, founder, b, joiner) = lab.pair();
    let c = lab.machine("c");
    let third = c.join(&a.invite(&[]));
    c.must_ping(joiner.v4.into());
    let [alien4, alien6] = nobodys(&founder);
    // Nobody's, outside the mesh, another member's.
    let sources = [alien4, alien6, "203.0.113.7".parse().unwrap(), "2001:db8:77::7".parse().unwrap()];
    for source in sources.into_iter().chain(third.addresses()) {
        let (length, honest, target) = if source.is_ipv4() {
            (32, IpAddr::from(joiner.v4), IpAddr::from(founder.v4))
        } else {
            (128, joiner.v6.into(), founder.v6.into())
        };
        let flags = if source.is_ipv6() { "nodad" } else { "" };
        b.ip(&format!("addr add {source}/{length} dev hm-home {flags}"));
        let before = drops(&a.status()) + drops(&b.status());
        let arrived = receives(&b, &a, source, honest, target);
        assert_eq!(arrived, [[0_u8; 0]; 0], "{source} got through");
        let counted = drops(&a.status()) + drops(&b.status()) - before;
        assert!(counted >= 10, "only {counted} of 10 spoofed packets were counted");
        b.ip(&format!("addr del {source}/{length} dev hm-home"));
    }
    a.must_ping(joiner.v4.into());
}

/// Sends each datagram to `target` from a socket of `from`, in steps that a node can take in.
fn pour(from: &Machine, target: SocketAddr, datagrams: impl Iterator<Item = Vec<u8>> + Send) -> usize {
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    from.enter(|| {
        let socket = UdpSocket::bind(any).expect("any port");
        let mut burst = 0;
        datagrams
            .inspect(|datagram| {
                // A node that closed its port would answer with an error here, and fail the test later.
                let _refused = socket.send_to(datagram, target);
                // Half of what a default receive buffer takes, so that most get in.
                burst += datagram.len() + 500;
                if burst > 64 * 1024 {
                    burst = 0;
                    std::thread::sleep(Duration::from_millis(2));
                }
            })
            .count()
    })
}

fn lengths() -> impl Iterator<Item = usize> {
    (0..=2000).chain((2001..LONGEST).step_by(509)).chain([8192, 16_384, 32_768, LONGEST - 1, LONGEST])
}

#[test]
fn rubbish_of_every_length_is_dropped_and_counted() {
    let lab = Lab::new();
    let (a, founder, b, joiner) = lab.pair();
    let stranger = lab.machine("stranger");
    let (pid, memory, before) = (a.pid(), rss_kib(a.pid()), drops(&a.status()));
    let steady = b.ping_on(founder.v4.into(), 100);
    let mut poured = 0;
    for target in a.underlay() {
        let mut dice = Dice::new(7);
        let rubbish = lengths().flat_map(move |length| {
            let mut plain = vec![0; length];
            dice.fill(&mut plain);
            let mut typed = plain.clone();
            if let [kind, version, ..] = typed.as_mut_slice() {
                *kind = FIRST_BYTES[dice.below(FIRST_BYTES.len())];
                *version = 1;
            }
            [plain, typed]
        });
        poured += pour(&stranger, SocketAddr::new(target, founder.port), rubbish);
    }
    assert!(poured > 8000);
    unharmed(&a, pid, memory);
    let counted = drops(&a.status()) - before;
    assert!(counted > poured as u64 / 2, "{poured} were sent and {counted} counted as dropped");
    assert_eq!(stop_ping(steady).lost(), [0; 0], "members do not notice");
    a.must_ping(joiner.v6.into());
}

/// Still the same process, it answers, and it has not grown.
fn unharmed(node: &Machine, pid: u32, memory_kib: u64) {
    assert!(node.runs() && node.pid() == pid, "{} has died", node.name());
    assert!(node.status()["uptime_s"].is_u64());
    let grown = rss_kib(pid).saturating_sub(memory_kib);
    assert!(grown < GROWTH_KIB, "{} has grown by {grown} KiB", node.name());
}

/// Whole, cut, and with a flipped bit: what an eavesdropper can make of a datagram.
fn variations(datagram: &[u8], dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut all = vec![datagram.to_vec(), [datagram, &[0]].concat()];
    let size = datagram.len();
    all.extend((0..size.min(80)).map(|end| datagram[..end].to_vec()));
    for _ in 0..80.min(size) {
        let mut flipped = datagram.to_vec();
        flipped[dice.below(size)] ^= 1 << dice.below(8);
        all.push(flipped);
    }
    for _ in 0..20.min(size) {
        all.push(datagram[..dice.below(size)].to_vec());
    }
    all
}

/// One datagram of each kind and length, in the order they came.
fn assorted(datagrams: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut seen = std::collections::BTreeSet::new();
    let fresh = |datagram: &Vec<u8>| seen.insert((datagram.first().copied(), datagram.len()));
    datagrams.into_iter().filter(fresh).take(60).collect()
}

#[test]
fn captured_datagrams_do_no_harm_when_they_come_again() {
    let lab = Lab::new();
    let (a, b, stranger) = (lab.machine("a"), lab.machine("b"), lab.machine("stranger"));
    let founder = a.up();
    // Enrolment, handshakes of both directions, data, a farewell.
    let capture = a.capture("udp");
    let joiner = b.join(&a.invite(&[]));
    a.must_ping(joiner.v4.into());
    b.kill();
    b.up();
    b.must_ping(founder.v6.into());
    a.stop();
    a.up();
    a.must_ping(joiner.v4.into());
    let captured = assorted(captured_udp(&capture.stop()));
    assert!(captured.len() >= 5, "only {} kinds of datagrams were captured", captured.len());

    let nodes = [(&a, founder.port), (&b, joiner.port)];
    let before = nodes.map(|(node, _)| (node.pid(), rss_kib(node.pid()), drops(&node.status())));
    let steady = b.ping_on(founder.v4.into(), 100);
    for (node, port) in nodes {
        for target in node.underlay() {
            let mut dice = Dice::new(11);
            let replayed =
                captured.clone().into_iter().flat_map(move |datagram| variations(&datagram, &mut dice));
            pour(&stranger, SocketAddr::new(target, port), replayed);
        }
    }
    for ((node, _), (pid, memory, dropped)) in nodes.into_iter().zip(before) {
        unharmed(node, pid, memory);
        assert!(drops(&node.status()) - dropped > 1000, "{} counted too few drops", node.name());
    }
    assert_eq!(stop_ping(steady).lost(), [0; 0], "members do not notice");
    // What was replayed from another address moved no path there.
    for (from, to) in [(&a, &b), (&b, &a)] {
        let status = from.status();
        let remote: SocketAddr =
            peer(&status, to.name())["path"]["remote"].as_str().unwrap().parse().unwrap();
        assert!(to.underlay().contains(&remote.ip()), "the path to {} leads to {remote}", to.name());
    }
    replayed_from_its_own_address(&a, &founder, &b, &joiner, captured);
}

/// While b is away, somebody with its address and port replays what b once sent; b must still get back in.
fn replayed_from_its_own_address(
    a: &Machine,
    founder: &Up,
    b: &Machine,
    joiner: &Up,
    captured: Vec<Vec<u8>>,
) {
    b.kill();
    let target = SocketAddr::new(a.underlay()[0], founder.port);
    let port = joiner.port;
    b.enter(|| {
        let socket = UdpSocket::bind(("0.0.0.0", port)).expect("b gave it up");
        for datagram in &captured {
            socket.send_to(datagram, target).expect("a takes what comes");
        }
    });
    b.up();
    wait_until("b is back", Duration::from_secs(5), || {
        (peer(&a.status(), "b")["state"] == "connected").then_some(())
    });
    a.must_ping(joiner.v4.into());
}
