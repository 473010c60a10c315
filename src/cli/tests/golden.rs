//! The JSON of every command, field by field: programs depend on it.

use std::net::SocketAddr;

use serde_json::json;

use super::super::Global;
use super::super::context::Context;
use super::super::lifecycle::announce;
use super::{FakeDaemon, status};
use crate::control::{Command, Refusal, RefusalKind, Reply};
use crate::daemon::Ready;

#[test]
fn status_and_peers() {
    let daemon = FakeDaemon::new(|_| Ok(Reply::Status(Box::new(status()))));
    let none = json!({ "kind": "none", "remote": null, "rtt_ms": null, "loss_per_mille": null });
    let peers = json!([
        { "name": "c", "id": "c0c1", "addresses": ["10.7.0.3", "fd12::3"], "state": "offline", "path": none,
          "rx_bytes": 0, "tx_bytes": 0, "rx_packets": 0, "tx_packets": 0, "last_handshake_s": null },
        { "name": "b", "id": "b0b1b2b3b4b5b6b7", "addresses": ["10.7.0.2", "fd12::2"], "state": "connected",
          "path": { "kind": "direct", "remote": "203.0.113.5:41641", "rtt_ms": 0.812, "loss_per_mille": 15, "mtu": 1440 },
          "rx_bytes": 1_250_000, "tx_bytes": 812, "rx_packets": 900, "tx_packets": 8, "last_handshake_s": 61.5 },
        { "name": "d", "id": "d0d1", "addresses": ["10.7.0.4", "fd12::4"], "state": "revoked", "path": none,
          "rx_bytes": 0, "tx_bytes": 0, "rx_packets": 0, "tx_packets": 0, "last_handshake_s": null },
    ]);
    let done = daemon.run(&["status", "--json"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert_eq!(
        done.json(),
        json!({
            "version": "0.1.0",
            "network": { "name": "home", "id": "00112233445566778899aabbccddeeff",
                         "ipv4_range": "10.7.0.0/16", "ipv6_prefix": "fd12::/48", "epoch": 3 },
            "node": { "name": "a", "id": "a0a1a2a3a4a5a6a7", "addresses": ["10.7.0.1", "fd12::1"],
                      "roles": ["admin"] },
            "interface": { "name": "hm-home", "mtu": 1420 },
            "listen": ["0.0.0.0:41641", "[::]:41641"],
            "uptime_s": 7500,
            "peers": peers,
            "drops": { "no route": 30, "replay": 2 },
            "names": { "domain": "home.internal", "listen": ["10.7.0.1:53"],
                       "host": "names under home.internal are resolved by systemd-resolved" },
            "held": { "records": 812, "shared_out": 790, "full_replication_max": 1000, "parts": 4, "is_complete": true },
            "fronts": vec![json!({ "name": "printer", "version": "2", "protocol": "tcp", "port": 631,
                "to": "192.168.1.9:80", "connections": 3, "passed": 40, "refused": 7, "unreached": 0 }); 4],
            "exit": { "node": "b", "id": "b0b1b2", "state": "reached", "ipv4": true, "ipv6": false, "is_chosen": true },
            "allow_lan": true,
            "problems": ["UDP is blocked: open port 41641"],
        })
    );
    assert_eq!(daemon.run(&["--json", "peers"]).json(), json!({ "peers": peers, "guests": [] }));
}

#[test]
fn metrics_and_reload() {
    let text = "# HELP hopmesh_epoch Number.\n# TYPE hopmesh_epoch gauge\nhopmesh_epoch 3\n";
    let daemon = FakeDaemon::new(move |command| {
        if command == Command::Metrics {
            return Ok(Reply::Metrics(text.to_owned()));
        }
        assert_eq!(command, Command::Reload);
        Ok(Reply::Reloaded(api::ReloadReply {
            applied: vec!["log.level".to_owned()],
            at_start: vec!["listen.port".to_owned()],
            at_joining: vec![],
        }))
    });
    assert_eq!(daemon.run(&["metrics"]).out, text);
    assert_eq!(daemon.run(&["metrics", "--json"]).json(), json!({ "text": text }));
    let reloaded = json!({ "applied": ["log.level"], "at_start": ["listen.port"], "at_joining": [] });
    assert_eq!(daemon.run(&["reload", "--json"]).json(), reloaded);
    let refused = FakeDaemon::new(|_| {
        Err(Refusal::new(
            RefusalKind::Precondition,
            "the configuration stays as it was: line 2: no".to_owned(),
        ))
    });
    let done = refused.run(&["reload"]);
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    assert_eq!(done.err, "hopmesh: the configuration stays as it was: line 2: no\n");
}

#[test]
fn every_kind_of_path() {
    let remote = || Some("203.0.113.5:443".to_owned());
    let hops = || vec!["b".to_owned(), "c".to_owned()];
    let plain = api::Path::default;
    for (kind, path, golden) in [
        (api::PathKind::None, plain(), json!({ "kind": "none", "remote": null })),
        (
            api::PathKind::Direct,
            api::Path { remote: remote(), ..plain() },
            json!({ "kind": "direct", "remote": "203.0.113.5:443" }),
        ),
        (
            api::PathKind::Stream,
            api::Path { remote: remote(), ..plain() },
            json!({ "kind": "stream", "remote": "203.0.113.5:443" }),
        ),
        (
            api::PathKind::Hop,
            api::Path { hops: hops(), ..plain() },
            json!({ "kind": "via", "remote": null, "hops": ["b", "c"] }),
        ),
        (
            api::PathKind::Hop,
            api::Path { hops: hops(), pending: true, ..plain() },
            json!({ "kind": "via", "remote": null, "hops": ["b", "c"], "pending": true }),
        ),
    ] {
        let path = api::Path { kind: kind.into(), ..path };
        let daemon = FakeDaemon::new(move |_| {
            let state = api::PeerState::Connecting.into();
            let peer = api::Peer { state, path: Some(path.clone()), ..api::Peer::default() };
            Ok(Reply::Status(Box::new(api::StatusReply { peers: vec![peer], ..<_>::default() })))
        });
        let mut peer = daemon.run(&["peers", "--json"]).json()["peers"][0].take();
        assert_eq!(peer["state"], "connecting");
        let said = peer["path"].as_object_mut().unwrap();
        assert_eq!(
            (said.remove("rtt_ms"), said.remove("loss_per_mille")),
            (Some(json!(null)), Some(json!(null)))
        );
        assert_eq!(peer["path"], golden);
    }
}

#[test]
fn invite_assign_revoke_down_leave() {
    let text = str::to_owned;
    let daemon = FakeDaemon::new(move |command| match command {
        Command::Invite { .. } => {
            Ok(Reply::Invite(api::InviteReply { invite: text("hopmesh1x"), expires_unix: 1_800_000_000 }))
        }
        Command::Assign { node, address } => {
            Ok(Reply::Assigned(api::AssignReply { node, id: text("b0"), address: address.to_string() }))
        }
        Command::Delegate { node, services } => Ok(Reply::Delegated(api::DelegateReply {
            node,
            id: "b0".to_owned(),
            services: services.iter().map(ToString::to_string).collect(),
        })),
        Command::Revoke { node } => Ok(Reply::Revoked(api::RevokeReply { node, id: text("b0") })),
        Command::Down | Command::Leave { .. } => Ok(Reply::Done),
        Command::Status
        | Command::Ping { .. }
        | Command::Netcheck
        | Command::Why { .. }
        | Command::Mesh
        | Command::Publish { .. }
        | Command::Unpublish { .. }
        | Command::AddGuest { .. }
        | Command::Guests
        | Command::RemoveGuest { .. }
        | Command::Services
        | Command::Zone
        | Command::Find { .. }
        | Command::Watch
        | Command::AdvertiseRoute { .. }
        | Command::WithdrawRoute { .. }
        | Command::ApproveRoute { .. }
        | Command::Routes
        | Command::OfferExit { .. }
        | Command::UseExit { .. }
        | Command::Exits
        | Command::Metrics
        | Command::Reload => Err(Refusal::new(RefusalKind::Internal, "not asked for")),
    });
    for (arguments, golden) in [
        (&["invite"][..], json!({ "invite": "hopmesh1x", "expires_unix": 1_800_000_000 })),
        (&["assign", "b", "10.7.0.9"], json!({ "node": "b", "address": "10.7.0.9" })),
        (&["delegate", "b", "web"], json!({ "node": "b", "id": "b0", "services": ["web"] })),
        (&["revoke", "b"], json!({ "ok": true, "node": "b", "id": "b0" })),
        (&["down"], json!({ "ok": true })),
        (&["leave"], json!({ "ok": true })),
    ] {
        let done = daemon.run(&[arguments, &["--json"]].concat());
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(done.json(), golden, "{arguments:?}");
    }
}

#[test]
fn ping_counts_what_came_back() {
    let mut sent = 0;
    let daemon = FakeDaemon::new(move |command| {
        assert!(matches!(&command, Command::Ping { node, .. } if node == "10.7.0.2"), "{command:?}");
        sent += 1;
        if sent == 2 {
            return Err(Refusal::new(RefusalKind::Timeout, "no answer"));
        }
        Ok(Reply::Ping(pong()))
    });
    let done = daemon.run(&["ping", "10.7.0.2", "-c", "3", "--interval-ms", "0", "--json"]);
    assert_eq!(done.code, 0);
    let path =
        json!({ "kind": "direct", "remote": "203.0.113.5:41641", "rtt_ms": null, "loss_per_mille": null });
    assert_eq!(
        done.json(),
        json!({ "node": "b", "sent": 3, "received": 2, "replies": [
            { "sequence": 1, "rtt_ms": 0.813, "path": path },
            { "sequence": 3, "rtt_ms": 0.813, "path": path },
        ]})
    );
}

#[test]
fn ping_of_the_silent_and_of_the_unknown_fails() {
    let silent = FakeDaemon::new(|_| Err(Refusal::new(RefusalKind::Timeout, "no answer")));
    let done = silent.run(&["ping", "b", "-c", "1", "--json"]);
    assert_eq!((done.code, done.err.as_str()), (1, ""));
    assert_eq!(done.json(), json!({ "node": "b", "sent": 1, "received": 0, "replies": [] }));
    let unknown = FakeDaemon::new(|_| Err(Refusal::new(RefusalKind::NotFound, "no node is called b")));
    let done = unknown.run(&["ping", "b", "--json"]);
    assert_eq!((done.code, done.err.as_str()), (1, "hopmesh: no node is called b\n"));
    assert_eq!(done.json(), json!({ "error": "no node is called b" }));
}

pub(super) fn pong() -> api::PingReply {
    api::PingReply {
        node: "b".to_owned(),
        id: "b0".to_owned(),
        address: "10.7.0.2".to_owned(),
        rtt_ms: 0.8131,
        path: Some(api::Path {
            kind: api::PathKind::Direct.into(),
            remote: Some("203.0.113.5:41641".to_owned()),
            ..api::Path::default()
        }),
    }
}

pub(super) fn ready() -> Ready {
    let listen = ["0.0.0.0:41641", "[::]:41641"].map(|address| address.parse::<SocketAddr>().unwrap());
    Ready {
        network_name: "home".to_owned(),
        network_id: "0011".to_owned(),
        ipv4_range: "10.7.0.0/16".to_owned(),
        ipv6_prefix: "fd12::/48".to_owned(),
        node_name: "a".to_owned(),
        node_id: "a0".to_owned(),
        addresses: vec!["10.7.0.1".parse().unwrap(), "fd12::1".parse().unwrap()],
        roles: vec!["admin".to_owned()],
        interface: "hm-home".to_owned(),
        mtu: 1420,
        listen: listen.to_vec(),
        invite: Some("hopmesh1abc".to_owned()),
    }
}

#[test]
fn up() {
    let print = |ready: &Ready| {
        let mut out = Vec::new();
        let global = Global { json: true, ..Global::default() };
        announce(&mut Context::new(global, &mut out), ready).unwrap();
        assert_eq!(out.iter().filter(|&&byte| byte == b'\n').count(), 1, "one line");
        serde_json::from_slice::<serde_json::Value>(&out).unwrap()
    };
    let golden = json!({
        "network": { "name": "home", "id": "0011", "ipv4_range": "10.7.0.0/16", "ipv6_prefix": "fd12::/48" },
        "node": { "name": "a", "id": "a0", "addresses": ["10.7.0.1", "fd12::1"], "roles": ["admin"] },
        "interface": { "name": "hm-home", "mtu": 1420 },
        "listen": ["0.0.0.0:41641", "[::]:41641"],
        "invite": "hopmesh1abc",
    });
    assert_eq!(print(&ready()), golden);
    assert_eq!(print(&Ready { invite: None, ..ready() })["invite"], json!(null));
}

#[test]
fn version_and_completions() {
    let version = super::hopmesh(&["version", "--json"]);
    assert_eq!((version.code, version.json()), (0, json!({ "version": env!("CARGO_PKG_VERSION") })));
    let script = super::hopmesh(&["completions", "zsh", "--json"]).json();
    assert_eq!(script["shell"], "zsh");
    assert!(script["script"].as_str().unwrap().starts_with("#compdef hopmesh"));
}
