//! One punch by itself: what it sends when.

use crate::punch::{Punch, PunchOutput, PunchParams, Role, Side, Strategy};
use crate::remote::SocketId;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use wire::{Candidate, Dependence};

/// The probes that are wanted at this instant.
fn probes(punch: &mut Punch, now: Instant) -> Vec<(SocketAddr, Option<u8>)> {
    let mut probes = Vec::new();
    loop {
        match punch.poll_output(now) {
            PunchOutput::Probe { address, ttl, .. } => probes.push((address, ttl)),
            PunchOutput::OpenSockets { .. } | PunchOutput::CloseSockets { .. } => {}
            PunchOutput::Wait(_) | PunchOutput::Over(_) => return probes,
        }
    }
}

fn params(strategy: Strategy) -> PunchParams {
    #[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
    let start = Instant::now() + Duration::from_secs(1);
    let candidate = |text: &str| Candidate::new(text.parse().unwrap()).unwrap();
    let theirs = Side {
        candidates: [candidate("203.0.113.2:7"), candidate("[2001:db8::2]:7")].to_vec(),
        public: Some(candidate("203.0.113.2:7")),
        ..Side::default()
    };
    let ours = Side::default();
    let first_socket = SocketId(9);
    PunchParams { ours, theirs, strategy, first_socket, seed: 1, start, is_double: true }
}

#[test]
fn who_polls_late_makes_up_for_little() {
    let params = params(Strategy::Birthday { role: Role::Sprays, ports: 1024 });
    let mut punch = Punch::new(&params);
    let late = probes(&mut punch, params.start + Duration::from_secs(2));
    let sprayed = late.iter().filter(|(address, _)| address.is_ipv4()).count();
    assert_eq!(sprayed, 9, "20 ms at 400 a second, and the one that is due");
}

#[test]
fn sources_that_are_probed_back_are_bounded() {
    let params = params(Strategy::Birthday { role: Role::Opens, ports: 1024 });
    let mut punch = Punch::new(&params);
    let end = params.start + Duration::from_secs(4);
    let before = probes(&mut punch, params.start).len();
    for port in 1..=200 {
        punch.handle_probe(SocketId(9), SocketAddr::new([198, 51, 100, 9].into(), port), params.start);
    }
    let steps = (1..400).map(|step| params.start + Duration::from_millis(10 * step)).filter(|now| *now < end);
    let sent: Vec<_> = steps.flat_map(|now| probes(&mut punch, now)).collect();
    let back = sent.iter().filter(|(address, _)| address.ip().to_string() == "198.51.100.9").count();
    assert!(before > 0);
    assert_eq!(back, 16 * 5);
}

#[test]
fn ipv6_is_tried_first_and_beside_hard_strategies() {
    for strategy in [Strategy::Plain, Strategy::Birthday { role: Role::Sprays, ports: 1024 }] {
        let params = params(strategy);
        let first = probes(&mut Punch::new(&params), params.start);
        assert!(first.iter().any(|(address, _)| address.is_ipv6()), "{strategy:?}");
    }
    let params = params(Strategy::Plain);
    assert!(probes(&mut Punch::new(&params), params.start)[0].0.is_ipv6());
}

#[test]
fn openers_get_farther_behind_two_nats() {
    let mut params = params(Strategy::LowTtl);
    let openers = |params: &PunchParams| {
        let mut punch = Punch::new(params);
        let steps =
            (0..100).map(|step| params.start - Duration::from_millis(200) + Duration::from_millis(step));
        steps.flat_map(|now| probes(&mut punch, now)).map(|(_, ttl)| ttl).collect::<Vec<_>>()
    };
    assert_eq!(openers(&params), [Some(4); 4], "two to each address, before the start");
    params.is_double = false;
    assert_eq!(openers(&params), [Some(2); 4]);
}

#[test]
fn from_a_port_that_nobody_expects_only_openers_go_to_a_nat_that_admits_no_strangers() {
    let mut params = params(Strategy::LowTtl);
    params.ours.profile.mapping = Dependence::AddressAndPortDependent;
    let ttls = |params: &PunchParams| {
        let mut punch = Punch::new(params);
        let steps = (0..300).map(|step| params.start + Duration::from_millis(10 * step));
        let sent: Vec<_> = steps.flat_map(|now| probes(&mut punch, now)).collect();
        let to = |is_ipv6| sent.iter().filter(move |(address, _)| address.is_ipv6() == is_ipv6);
        [false, true].map(|is_ipv6| to(is_ipv6).filter(|(_, ttl)| ttl.is_none()).count())
    };
    let [ipv4, ipv6] = ttls(&params);
    assert!(ipv4 == 0 && ipv6 > 10, "{ipv4} and {ipv6}: no NAT is before the IPv6 address");
    for admits in [Dependence::EndpointIndependent, Dependence::AddressDependent] {
        params.theirs.profile.filtering = admits;
        assert!(ttls(&params)[0] > 10);
    }
}
