use super::*;
use std::net::SocketAddr;

use overlay::{AnchorView, DhtView, Ipv6View, Observed, PathView, Reach, Remote};
use wire::{Candidate, Name, NodeId};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn mapped() -> PortMappingView {
    PortMappingView::Mapped { protocol: "UPnP", external: address("198.51.100.1:41820") }
}

const HARD: NatProfile = NatProfile {
    translates: true,
    mapping: Dependence::AddressAndPortDependent,
    filtering: Dependence::AddressAndPortDependent,
    ports: Ports::Block { first: 10240, last: 10751 },
};

/// A Node behind a hard NAT, with an anchor.
fn view() -> Netcheck {
    let candidate = Candidate::new(address("192.168.1.5:41820")).unwrap();
    Netcheck {
        profile: HARD,
        observed: vec![Observed { address: address("198.51.100.1:10300"), by: "b".to_owned() }],
        reflexive: vec![candidate],
        candidates: vec![candidate],
        udp: Reach::Works,
        ipv6: Ipv6View { has_address: true, reach: Reach::Blocked },
        anchors: vec![AnchorView {
            node: NodeId([2; 32]),
            name: name("b"),
            remote: Remote::Stream(7),
            round_trip: Some(Duration::from_millis(12)),
        }],
        beacons: Some(3),
        keepalive: Some(Duration::from_secs(25)),
        ..Netcheck::default()
    }
}

#[test]
fn every_part_finds_its_field() {
    let outside = Outside {
        port_mapping: mapped(),
        dht: Some(DhtView {
            is_enabled: true,
            nodes: 120,
            is_bootstrapped: true,
            last_published: Some(Duration::from_mins(1)),
        }),
        streams: [(7, address("203.0.113.5:443"))].into(),
    };
    let reply = netcheck(&view(), &outside);
    let nat = reply.nat.clone().unwrap();
    assert_eq!((nat.ports(), nat.port_first, nat.port_last), (api::Ports::Block, Some(10240), Some(10751)));
    assert_eq!((nat.mapping(), nat.translates), (api::Dependence::AddressAndPortDependent, true));
    assert!(nat.words.contains("out of a block"), "{}", nat.words);
    assert_eq!(
        reply.observed,
        [api::Observed { address: "198.51.100.1:10300".to_owned(), by: "b".to_owned() }]
    );
    assert_eq!(
        (&reply.reflexive, &reply.candidates),
        (&reply.candidates, &vec!["192.168.1.5:41820".to_owned()])
    );
    assert_eq!((reply.udp(), reply.tcp()), (api::Reach::Works, api::Reach::Unspecified));
    assert_eq!(reply.ipv6.map(|ipv6| (ipv6.has_address, ipv6.reach())), Some((true, api::Reach::Blocked)));
    let path = reply.anchors[0].path.clone().unwrap();
    assert_eq!(
        (path.kind(), path.remote.as_deref(), path.rtt_ms),
        (api::PathKind::Stream, Some("203.0.113.5:443"), Some(12.0))
    );
    let mapping = reply.port_mapping.unwrap();
    assert_eq!((mapping.state(), mapping.protocol()), (api::PortMappingState::Mapped, "UPnP"));
    assert_eq!(
        (mapping.words.as_str(), mapping.external()),
        ("198.51.100.1:41820 by UPnP", "198.51.100.1:41820")
    );
    assert_eq!(reply.dht.map(|dht| (dht.nodes, dht.last_published_s)), Some((120, Some(60.0))));
    assert_eq!((reply.lan, reply.keepalive_s), (Some(api::Lan { beacons: 3 }), Some(25.0)));
    assert_eq!(reply.problems, Vec::<String>::new(), "a mapped port makes up for the NAT");
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let said = |view: &Netcheck, outside: &Outside| problems(view, outside);
    let none = Outside::default();
    let hard = said(&view(), &none);
    assert!(hard.len() == 1 && hard[0].contains("UPnP"), "{hard:?}");
    let lonely = said(&Netcheck { anchors: vec![], ..view() }, &none);
    assert!(lonely.len() == 2 && lonely[1].starts_with("No anchor"), "{lonely:?}");
    assert_eq!(said(&Netcheck { anchors: vec![], is_anchor: true, ..view() }, &none), hard);
    for (tcp, words) in [
        (Reach::Works, "by TCP"),
        (Reach::Blocked, "Neither"),
        (Reach::Unknown, "leaves this network: allow"),
    ] {
        let blocked = said(&Netcheck { udp: Reach::Blocked, tcp, ..view() }, &none);
        assert!(blocked[0].contains(words), "the worst first: {blocked:?}");
    }
    let unplugged = said(&Netcheck::default(), &none);
    assert!(unplugged.len() == 1 && unplugged[0].contains("no address"), "{unplugged:?}");
    let silent =
        Outside { dht: Some(DhtView { is_enabled: true, ..DhtView::default() }), ..Outside::default() };
    assert!(said(&view(), &silent)[1].contains("DHT does not answer"));
    let off = Outside { dht: Some(DhtView::default()), ..Outside::default() };
    assert_eq!(said(&view(), &off), hard, "what is off is not wrong");
}

#[test]
fn a_port_mapping_has_its_words() {
    use api::PortMappingState::{Asking, Failed, Off, Unspecified};
    let failed = PortMappingView::Failed { why: "no router answers".to_owned() };
    for (view, state, words) in [
        (PortMappingView::Unknown, Unspecified, "not known"),
        (PortMappingView::Off, Off, "off in the configuration"),
        (PortMappingView::Asking, Asking, "asking the router"),
        (failed, Failed, "none: no router answers"),
    ] {
        let mapping = port_mapping(&view);
        assert_eq!((mapping.state(), mapping.words.as_str()), (state, words));
        assert_eq!((mapping.external, mapping.protocol), (None, None));
    }
}

#[test]
fn a_why_keeps_what_was_tried() {
    let second = Duration::from_secs(1);
    let view = Why {
        node: NodeId([2; 32]),
        name: name("b"),
        ours: HARD,
        theirs: Some(NatProfile { ports: Ports::Sequential { step: -2 }, ..HARD }),
        path: PathView::Via { hops: vec![(NodeId([3; 32]), name("c"))], is_established: false },
        round_trip: Some(2 * second),
        loss_per_mille: Some(15),
        mtu: Some(1440),
        attempts: vec![WhyAttempt {
            strategy: "plain".to_owned(),
            probes: 30,
            took: 3 * second,
            result: "no answer".to_owned(),
            ago: 4 * second,
        }],
        next_try: Some(5 * second),
        reason: "so".to_owned(),
        advice: vec!["Do.".to_owned()],
    };
    let reply = why(&view, &Outside::default());
    assert_eq!((reply.node.as_str(), reply.id), ("b", NodeId([2; 32]).to_string()));
    let path = reply.path.unwrap();
    assert_eq!((path.kind(), path.hops, path.pending), (api::PathKind::Hop, vec!["c".to_owned()], true));
    assert_eq!((path.rtt_ms, path.loss_per_mille, path.mtu), (Some(2000.0), Some(15), Some(1440)));
    let theirs = reply.theirs.unwrap();
    assert_eq!((theirs.ports(), theirs.port_step), (api::Ports::Sequential, Some(-2)));
    let attempt = api::Attempt {
        strategy: "plain".to_owned(),
        probes: 30,
        took_s: 3.0,
        result: "no answer".to_owned(),
        ago_s: 4.0,
    };
    assert_eq!((reply.attempts, reply.next_try_s), (vec![attempt], Some(5.0)));
    assert_eq!((reply.reason.as_str(), reply.advice), ("so", vec!["Do.".to_owned()]));
}

#[test]
fn every_path_has_its_kind() {
    use api::PathKind::{Direct, Hop, None as Nowhere, Stream};
    let direct = |remote| PathView::Direct { remote };
    let outside = Outside { streams: [(7, address("203.0.113.5:443"))].into(), ..Outside::default() };
    for (view, kind, remote) in [
        (PathView::None, Nowhere, None),
        (direct(Remote::udp(address("203.0.113.5:1"))), Direct, Some("203.0.113.5:1")),
        (direct(Remote::Stream(7)), Stream, Some("203.0.113.5:443")),
        (direct(Remote::Stream(8)), Stream, None),
        (direct(Remote::Circuit(1)), Hop, None),
    ] {
        let path = path(&view, None, (None, None), &outside);
        assert_eq!((path.kind(), path.remote.as_deref(), path.pending), (kind, remote, false), "{view:?}");
    }
}
