//! `netcheck` and `why`: the JSON that programs depend on, and what people read.

use serde_json::json;

use super::FakeDaemon;
use crate::control::{Command, Refusal, RefusalKind, Reply};

fn text(text: &str) -> String {
    text.to_owned()
}

fn hard_nat() -> api::NatProfile {
    api::NatProfile {
        words: text("a NAT that is hard"),
        translates: true,
        mapping: api::Dependence::AddressAndPortDependent.into(),
        filtering: api::Dependence::AddressDependent.into(),
        ports: api::Ports::Block.into(),
        port_first: Some(10240),
        port_last: Some(10751),
        ..api::NatProfile::default()
    }
}

fn path(kind: api::PathKind) -> api::Path {
    api::Path { kind: kind.into(), rtt_ms: Some(12.4), ..api::Path::default() }
}

fn netcheck() -> api::NetcheckReply {
    let seen = |address, by| api::Observed { address: text(address), by: text(by) };
    let anchor = api::Anchor { name: text("b"), id: text("b0"), path: Some(path(api::PathKind::Direct)) };
    api::NetcheckReply {
        nat: Some(hard_nat()),
        observed: vec![
            seen("198.51.100.1:3462", "d"),
            seen("198.51.100.1:10300", "b"),
            seen("198.51.100.1:10300", "c"),
        ],
        reflexive: vec![text("198.51.100.1:10300")],
        candidates: vec![text("192.168.1.5:41820"), text("198.51.100.1:10300")],
        port_mapping: Some(api::PortMapping {
            state: api::PortMappingState::Mapped.into(),
            words: text("198.51.100.1:41820 by UPnP"),
            external: Some(text("198.51.100.1:41820")),
            protocol: Some(text("UPnP")),
        }),
        udp: api::Reach::Works.into(),
        tcp: api::Reach::Blocked.into(),
        ipv6: Some(api::Ipv6 { has_address: true, reach: api::Reach::Unspecified.into() }),
        anchors: vec![anchor],
        is_anchor: false,
        lan: Some(api::Lan { beacons: 2 }),
        dht: Some(api::Dht { enabled: true, nodes: 120, bootstrapped: true, last_published_s: Some(305.0) }),
        keepalive_s: Some(25.0),
        problems: vec![text("The NAT is hard: do something.")],
    }
}

fn why() -> api::WhyReply {
    let hops = vec![text("c")];
    api::WhyReply {
        node: text("b"),
        id: text("b0"),
        path: Some(api::Path { hops, loss_per_mille: Some(0), ..path(api::PathKind::Hop) }),
        ours: Some(hard_nat()),
        theirs: Some(api::NatProfile { words: text("a NAT at b"), ..api::NatProfile::default() }),
        attempts: vec![
            api::Attempt {
                strategy: text("birthday"),
                probes: 1024,
                took_s: 3.5,
                result: text("no answer"),
                ago_s: 61.0,
            },
            api::Attempt {
                strategy: text("plain"),
                probes: 30,
                took_s: 0.15,
                result: text("no answer"),
                ago_s: 70.0,
            },
        ],
        next_try_s: Some(250.0),
        reason: text("both NATs are hard"),
        advice: vec![text("Forward a port."), text("Give both IPv6.")],
    }
}

fn daemon() -> FakeDaemon {
    FakeDaemon::new(|command| {
        if command == Command::Netcheck {
            Ok(Reply::Netcheck(Box::new(netcheck())))
        } else if command == (Command::Why { node: text("b") }) {
            Ok(Reply::Why(Box::new(why())))
        } else {
            Err(Refusal::new(RefusalKind::NotFound, "no node is called so"))
        }
    })
}

#[test]
fn netcheck_as_json() {
    let done = daemon().run(&["netcheck", "--json"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let nat = json!({
        "words": "a NAT that is hard", "translates": true, "mapping": "address-and-port-dependent",
        "filtering": "address-dependent", "ports": "block", "port_step": null,
        "port_first": 10240, "port_last": 10751,
    });
    let path = json!({ "kind": "direct", "remote": null, "rtt_ms": 12.4, "loss_per_mille": null });
    assert_eq!(
        done.json(),
        json!({
            "nat": nat,
            "observed": [
                { "address": "198.51.100.1:3462", "by": "d" },
                { "address": "198.51.100.1:10300", "by": "b" },
                { "address": "198.51.100.1:10300", "by": "c" },
            ],
            "reflexive": ["198.51.100.1:10300"],
            "candidates": ["192.168.1.5:41820", "198.51.100.1:10300"],
            "port_mapping": { "state": "mapped", "words": "198.51.100.1:41820 by UPnP",
                              "external": "198.51.100.1:41820", "protocol": "UPnP" },
            "udp": "works",
            "tcp": "blocked",
            "ipv6": { "has_address": true, "reach": "unknown" },
            "anchors": [{ "name": "b", "id": "b0", "path": path }],
            "is_anchor": false,
            "lan": { "beacons": 2 },
            "dht": { "enabled": true, "nodes": 120, "bootstrapped": true, "last_published_s": 305.0 },
            "keepalive_s": 25.0,
            "problems": ["The NAT is hard: do something."],
        })
    );
}

#[test]
fn why_as_json() {
    let done = daemon().run(&["why", "b", "--json"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let nat = |words, mapping, filtering, ports, translates, [first, last]: [Option<u32>; 2]| {
        json!({ "words": words, "translates": translates, "mapping": mapping, "filtering": filtering,
                "ports": ports, "port_step": null, "port_first": first, "port_last": last })
    };
    let (apdm, adm) = ("address-and-port-dependent", "address-dependent");
    assert_eq!(
        done.json(),
        json!({
            "node": "b",
            "id": "b0",
            "path": { "kind": "via", "remote": null, "rtt_ms": 12.4, "loss_per_mille": 0, "hops": ["c"] },
            "ours": nat("a NAT that is hard", apdm, adm, "block", true, [Some(10240), Some(10751)]),
            "theirs": nat("a NAT at b", "unknown", "unknown", "unknown", false, [None; 2]),
            "attempts": [
                { "strategy": "birthday", "probes": 1024, "took_s": 3.5, "result": "no answer", "ago_s": 61.0 },
                { "strategy": "plain", "probes": 30, "took_s": 0.15, "result": "no answer", "ago_s": 70.0 },
            ],
            "next_try_s": 250.0,
            "reason": "both NATs are hard",
            "advice": ["Forward a port.", "Give both IPv6."],
        })
    );
}

#[test]
fn netcheck_says_first_what_is_wrong() {
    let golden = "\
! The NAT is hard: do something.

NAT           a NAT that is hard
              mapping address-and-port-dependent, filtering address-dependent, ports block 10240 to 10751
UDP           works
TCP           blocked
IPv6          global address, unknown
seen as       198.51.100.1:10300 by b, c; 198.51.100.1:3462 by d
dialled at    192.168.1.5:41820  198.51.100.1:10300
port mapping  198.51.100.1:41820 by UPnP
anchors       b 12.4 ms
LAN           2 beacons heard
DHT           120 nodes known, published 5 min 5 s ago
keepalive     every 25 s
";
    assert_eq!(daemon().run(&["netcheck"]).out, golden);
}

#[test]
fn netcheck_says_what_is_not_known() {
    let daemon = FakeDaemon::new(|_| Ok(Reply::Netcheck(<_>::default())));
    let golden = "\
Nothing is known to be wrong.

NAT           not known yet
UDP           unknown
TCP           unknown
IPv6          no global address
seen as       nobody has told yet
dialled at    nowhere
port mapping  not known
anchors       none known
LAN           not listened to
DHT           not known
keepalive     not known yet
";
    assert_eq!(daemon.run(&["netcheck"]).out, golden);
    let json = daemon.run(&["netcheck", "--json"]).json();
    for absent in ["nat", "lan", "dht", "keepalive_s"] {
        assert_eq!(json[absent], json!(null), "{absent}");
    }
    assert_eq!(json["port_mapping"]["state"], "unknown");
}

#[test]
fn an_anchor_says_so_and_a_dht_says_how_far_it_is() {
    let said = |reply: api::NetcheckReply| {
        FakeDaemon::new(move |_| Ok(Reply::Netcheck(Box::new(reply.clone())))).run(&["netcheck"]).out
    };
    let out = said(api::NetcheckReply { is_anchor: true, ..<_>::default() });
    assert!(out.contains("anchors       this node is one; others: none known\n"), "{out}");
    let seen = |n| api::Observed { address: format!("192.0.2.{n}:7"), by: text("b") };
    let out = said(api::NetcheckReply { observed: (1..=9).map(seen).collect(), ..<_>::default() });
    assert!(out.contains("192.0.2.4:7 by b; and 5 more\n"), "{out}");
    for (dht, words) in [
        (api::Dht::default(), "DHT           off\n"),
        (api::Dht { enabled: true, ..<_>::default() }, "DHT           does not answer yet\n"),
        (
            api::Dht { enabled: true, bootstrapped: true, nodes: 3, ..<_>::default() },
            "DHT           3 nodes known, not published yet\n",
        ),
    ] {
        let out = said(api::NetcheckReply { dht: Some(dht), ..<_>::default() });
        assert!(out.contains(words), "{out}");
    }
}

#[test]
fn why_says_the_reason_and_what_to_do_before_the_facts() {
    let golden = "\
b: via c (RTT 12.4 ms, loss 0 %)

because   both NATs are hard
to do     Forward a port.
or        Give both IPv6.
here      a NAT that is hard
there     a NAT at b
next try  in 4 min 10 s

TRIED     DATAGRAMS  TOOK    RESULT     BEGAN
birthday  1024       3 s     no answer  1 min 1 s ago
plain     30         150 ms  no answer  1 min 10 s ago
";
    assert_eq!(daemon().run(&["why", "b"]).out, golden);
    let done = daemon().run(&["why", "x"]);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (1, "", "hopmesh: no node is called so\n"));
}

#[test]
fn a_direct_path_needs_no_reason_and_a_silent_node_has_no_figures() {
    let said = |reply: api::WhyReply| {
        FakeDaemon::new(move |_| Ok(Reply::Why(Box::new(reply.clone())))).run(&["why", "b"]).out
    };
    let remote = Some(text("203.0.113.5:41641"));
    let direct = api::Path { remote, mtu: Some(1440), ..path(api::PathKind::Direct) };
    let reply = api::WhyReply {
        node: text("b"),
        path: Some(direct),
        reason: text("the path is direct"),
        ..api::WhyReply::default()
    };
    let golden = "\
b: direct 203.0.113.5:41641 (RTT 12.4 ms, MTU 1440)

here   not known yet
there  not told yet
";
    assert_eq!(said(reply), golden);
    let out = said(api::WhyReply { node: text("b"), reason: text("silence"), ..<_>::default() });
    assert!(out.starts_with("b: not reached\n\nbecause  silence\n"), "{out}");
    let out = said(api::WhyReply { attempts: vec![api::Attempt::default(); 13], ..<_>::default() });
    assert!(out.ends_with("\nand 3 before: see them with --json\n"), "{out}");
    let evil = api::Attempt { result: text("\x1b[2J"), took_s: f64::NAN, ago_s: -1.0, ..<_>::default() };
    let out = said(api::WhyReply { node: text("b\x1b"), attempts: vec![evil], ..<_>::default() });
    assert!(!out.contains(|c: char| c != '\n' && c.is_control()), "{out:?}");
}

#[test]
fn peers_show_hops_and_streams() {
    let shown = |path: api::Path| {
        let peer = api::Peer { name: text("b"), path: Some(path), ..api::Peer::default() };
        let reply = api::StatusReply { peers: vec![peer], ..<_>::default() };
        let daemon = FakeDaemon::new(move |_| Ok(Reply::Status(Box::new(reply.clone()))));
        ["peers", "status"].map(|command| daemon.run(&[command]).out)
    };
    let hops = vec![text("b"), text("c")];
    let via = api::Path { hops, ..path(api::PathKind::Hop) };
    let stream = api::Path { remote: Some(text("203.0.113.5:443")), ..path(api::PathKind::Stream) };
    for (path, words) in [
        (via.clone(), " via b, c  12.4 ms "),
        (api::Path { pending: true, ..via }, " via b, c (being set up)  12.4 ms "),
        (stream, " stream (TCP) 203.0.113.5:443  12.4 ms "),
    ] {
        for out in shown(path) {
            assert!(out.contains(words), "no {words:?} in\n{out}");
        }
    }
}
