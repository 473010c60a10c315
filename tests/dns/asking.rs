//! Names that this machine does not know: a question waits for what others say, and nobody waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hopmesh::dns::{Ask, Dns, Domain, Forwarding};
use overlay::Zone;
use tokio::sync::mpsc;

use super::{Served, ask, hear, laptop, outcome, question, say, world};

const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;

/// A server that knows nothing but what is in its zone, and what is asked of others.
fn served() -> (Served, mpsc::Receiver<Ask>) {
    let (v4, v6) = world::RANGES;
    let zone = Zone { known: wire::Part::NOTHING, ..world::home() };
    let domain = Domain::new(&zone.network, "internal", v4.parse().unwrap(), v6.parse().unwrap()).unwrap();
    let zone = Arc::new(ArcSwap::from_pointee(zone));
    let (asks, asked) = mpsc::channel(256);
    let dns = Dns::start_asking(
        zone.clone(),
        domain,
        ["127.0.0.1:0".parse().unwrap()],
        (asks, Forwarding::default()),
    )
    .unwrap();
    let address = dns.addresses()[0];
    (Served { zone, dns, address }, asked)
}

/// A zone with one service that is not in the other one.
fn found(service: &str) -> Option<Arc<Zone>> {
    let mut zone = world::home();
    zone.services.clear();
    world::add_service(&mut zone, service, [world::instance("nas", 80)]);
    Some(Arc::new(zone))
}

fn nothing() -> Option<Arc<Zone>> {
    Some(Arc::new(Zone { services: [].into(), ..world::home() }))
}

fn service(id: u16, name: &[u8]) -> Vec<u8> {
    question(id, &[name, b"home", b"internal"])
}

#[test]
fn a_question_waits_for_what_others_say_while_others_are_answered() {
    let (served, mut asked) = served();
    let (waiting, other) = (served.udp(), served.udp());
    waiting.send(&service(1, b"far")).unwrap();
    let first = asked.blocking_recv().unwrap();
    assert_eq!(first.name.as_str(), "far");
    assert_eq!(outcome(&ask(&other, &laptop(2))), (0, 1), "it is answered meanwhile");
    assert_eq!(outcome(&ask(&other, &service(3, b"web"))), (0, 2), "and what is in the zone");
    first.reply.send(found("far")).unwrap();
    let mut answer = [0; 1232];
    let length = waiting.recv(&mut answer).unwrap();
    assert_eq!((answer[1], outcome(&answer[..length])), (1, (0, 1)));
}

#[test]
fn over_tcp_a_question_waits_as_well() {
    let (served, mut asked) = served();
    let mut stream = served.tcp();
    say(&mut stream, &service(1, b"far"));
    asked.blocking_recv().unwrap().reply.send(found("far")).unwrap();
    assert_eq!(outcome(&hear(&mut stream)), (0, 1));
}

#[test]
fn nxdomain_is_what_others_have_said_and_not_what_nobody_has() {
    let (served, mut asked) = served();
    let udp = served.udp();
    udp.send(&service(1, b"nowhere")).unwrap();
    asked.blocking_recv().unwrap().reply.send(nothing()).unwrap();
    let mut answer = [0; 1232];
    let length = udp.recv(&mut answer).unwrap();
    assert_eq!(outcome(&answer[..length]), (NXDOMAIN, 0));
    udp.send(&service(2, b"unclear")).unwrap();
    asked.blocking_recv().unwrap().reply.send(None).unwrap();
    let length = udp.recv(&mut answer).unwrap();
    assert_eq!(outcome(&answer[..length]), (SERVFAIL, 0));
    // Nobody says anything.
    let began = Instant::now();
    udp.send(&service(3, b"silent")).unwrap();
    let ask = asked.blocking_recv().unwrap();
    let length = udp.recv(&mut answer).unwrap();
    assert_eq!(outcome(&answer[..length]), (SERVFAIL, 0));
    assert!((Duration::from_secs(2)..Duration::from_secs(20)).contains(&began.elapsed()));
    drop(ask);
}

#[test]
fn what_depends_on_a_service_is_asked_for_by_its_name() {
    let (served, mut asked) = served();
    let udp = served.udp();
    let below: [&[&[u8]]; 5] = [
        &[b"far", b"nas"],
        &[b"nas", b"far"],
        &[b"v2", b"far"],
        &[b"_far", b"_tcp"],
        &[b"far on nas", b"_far", b"_tcp"],
    ];
    for (id, labels) in below.into_iter().enumerate() {
        let labels: Vec<&[u8]> = labels.iter().copied().chain([&b"home"[..], b"internal"]).collect();
        udp.send(&question(id as u16, &labels)).unwrap();
        let ask = asked.blocking_recv().unwrap();
        assert_eq!(ask.name.as_str(), "far", "{labels:?}");
        ask.reply.send(found("far")).unwrap();
        udp.recv(&mut [0; 1232]).unwrap();
    }
    for known in [
        laptop(1),
        question(2, &[b"home", b"internal"]),
        question(3, &[b"_services", b"_dns-sd", b"_udp", b"home", b"internal"]),
    ] {
        let answer = ask(&udp, &known);
        assert_ne!(outcome(&answer).0, SERVFAIL);
    }
    assert!(asked.try_recv().is_err());
}

#[test]
fn questions_that_wait_are_bounded() {
    let (served, mut asked) = served();
    let udp = served.udp();
    for id in 0..300 {
        udp.send(&service(id, format!("far-{id}").as_bytes())).unwrap();
    }
    let mut answer = [0; 1232];
    for _ in 0..300 - 256 {
        let length = udp.recv(&mut answer).unwrap();
        assert_eq!(outcome(&answer[..length]), (SERVFAIL, 0));
    }
    for _ in 0..256 {
        let ask = asked.blocking_recv().unwrap();
        ask.reply.send(found(ask.name.as_str())).unwrap();
        let length = udp.recv(&mut answer).unwrap();
        assert_eq!(outcome(&answer[..length]), (0, 1));
    }
}
