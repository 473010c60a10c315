//! `guest`: what is asked of the daemon, and what people and programs are shown.

use std::sync::mpsc;

use boringtun::x25519::{PublicKey, StaticSecret};
use data_encoding::BASE64;
use overlay::GuestRequest;
use serde_json::json;

use super::{FakeDaemon, hopmesh};
use crate::control::{Command, Refusal, RefusalKind, Reply};

fn phone() -> api::Guest {
    api::Guest {
        name: "phone".to_owned(),
        host: "a".to_owned(),
        addresses: vec!["10.7.255.224".to_owned(), "fd12::9".to_owned()],
        public_key: vec![5; 32],
        is_own: true,
        remote: Some("198.51.100.7:51820".to_owned()),
        last_handshake_s: Some(61.5),
        rx_bytes: 1_250_000,
        tx_bytes: 812,
    }
}

fn others() -> api::Guest {
    api::Guest {
        name: "tablet".to_owned(),
        host: "nas".to_owned(),
        addresses: vec!["fd12::a".to_owned()],
        public_key: vec![6; 32],
        ..api::Guest::default()
    }
}

fn added(key: [u8; 32]) -> api::AddGuestReply {
    api::AddGuestReply {
        guest: Some(api::Guest { public_key: key.to_vec(), is_own: true, ..phone() }),
        host_public_key: vec![7; 32],
        endpoints: vec!["198.51.100.1:41820".to_owned()],
        allowed_ips: vec!["10.7.0.0/16".to_owned(), "fd12::/48".to_owned()],
        dns: vec!["10.7.0.1".to_owned()],
        domain: "home.internal".to_owned(),
        mtu: 1280,
        warning: None,
    }
}

/// A daemon that takes every guest in, and what it was asked.
fn daemon() -> (FakeDaemon, mpsc::Receiver<GuestRequest>) {
    let (sender, asked) = mpsc::channel();
    let daemon = FakeDaemon::new(move |command| {
        let Command::AddGuest { guest: request, .. } = command else { panic!("{command:?}") };
        sender.send(request.clone()).unwrap();
        Ok(Reply::GuestAdded(Box::new(added(request.key.0))))
    });
    (daemon, asked)
}

#[test]
fn a_guest_sends_everything_by_its_host_when_that_is_wished() {
    let daemon = FakeDaemon::new(|command| {
        let Command::AddGuest { guest, is_full } = command else { panic!("{command:?}") };
        assert_eq!(is_full, guest.name.as_str() == "full");
        Ok(Reply::GuestAdded(Box::new(added(guest.key.0))))
    });
    assert_eq!(daemon.run(&["guest", "add", "full", "--full-tunnel"]).code, 0);
    assert_eq!(daemon.run(&["guest", "add", "phone"]).code, 0);
}

#[test]
fn a_key_is_made_here_and_its_secret_half_is_printed_once() {
    let (daemon, asked) = daemon();
    let done = daemon.run(&["guest", "add", "Phone"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let request = asked.recv().unwrap();
    assert_eq!((request.name.as_str(), request.address), ("phone", None));
    let secret = done.out.lines().find_map(|line| line.strip_prefix("PrivateKey = ")).unwrap();
    let secret: [u8; 32] = BASE64.decode(secret.as_bytes()).unwrap().try_into().unwrap();
    assert_eq!(
        PublicKey::from(&StaticSecret::from(secret)).to_bytes(),
        request.key.0,
        "it belongs to the key"
    );
    let code: Vec<&str> = done.out.lines().filter(|line| line.contains('█')).collect();
    assert!(code.len() > 20 && code.iter().all(|line| line.starts_with("# ")), "{}", done.out);
    assert!(code.iter().all(|line| line.chars().count() <= 80), "it fits a terminal");
    let other = daemon.run(&["guest", "add", "phone"]);
    assert_ne!(asked.recv().unwrap().key, request.key, "each has its own: {}", other.out);
}

#[test]
fn a_key_that_is_given_has_its_secret_half_elsewhere() {
    let (daemon, asked) = daemon();
    let key = BASE64.encode(&[5; 32]);
    let done = daemon.run(&["guest", "add", "phone", "--public-key", &key, "--address", "10.7.0.9"]);
    let request = asked.recv().unwrap();
    assert_eq!((request.key.0, request.address), ([5; 32], Some("10.7.0.9".parse().unwrap())));
    assert!(done.out.contains("\n# PrivateKey = the secret key of this guest\n"), "{}", done.out);
    assert!(!done.out.contains('█'), "there is nothing to scan");
    for wrong in ["x", "BQUFBQ==", &BASE64.encode(&[5; 33])] {
        let done = hopmesh(&["guest", "add", "phone", "--public-key", wrong]);
        assert_eq!(done.code, 2);
        assert!(done.err.contains("as `wg pubkey` prints it"), "{}", done.err);
    }
}

#[test]
fn programs_get_the_configuration_in_one_piece() {
    let (daemon, _asked) = daemon();
    let json = daemon.run(&["guest", "add", "phone", "--json"]).json();
    assert_eq!(json["guest"]["addresses"], json!(["10.7.255.224", "fd12::9"]));
    assert!(json["configuration"].as_str().unwrap().starts_with("[Interface]\nPrivateKey = "));
    assert_eq!((&json["endpoints"], &json["warning"]), (&json!(["198.51.100.1:41820"]), &json!(null)));
}

#[test]
fn guests_are_listed_and_stand_behind_their_hosts_among_the_peers() {
    let daemon = FakeDaemon::new(|command| {
        let guests = vec![phone(), others()];
        if command == Command::Guests {
            return Ok(Reply::Guests(api::GuestsReply { guests }));
        }
        assert_eq!(command, Command::Status);
        Ok(Reply::Status(Box::new(api::StatusReply { guests, ..api::StatusReply::default() })))
    });
    let table = "GUEST   OF   LAST HANDSHAKE  FROM                RECEIVED  SENT   ADDRESSES\n\
        phone   a    1 min 1 s ago   198.51.100.7:51820  1.2 MB    812 B  10.7.255.224 fd12::9\n\
        tablet  nas  -               -                   -         -      fd12::a\n";
    assert_eq!(daemon.run(&["guest", "list"]).out, table);
    assert_eq!(daemon.run(&["peers"]).out, format!("\n{table}"));
    let status = daemon.run(&["status"]).out;
    assert!(status.contains("guests     1 here, 1 of them connected; 1 of others\n"), "{status}");
    let golden = json!([
        { "name": "phone", "host": "a", "addresses": ["10.7.255.224", "fd12::9"],
          "public_key": BASE64.encode(&[5; 32]),
          "tunnel": { "remote": "198.51.100.7:51820", "last_handshake_s": 61.5, "rx_bytes": 1_250_000, "tx_bytes": 812 } },
        { "name": "tablet", "host": "nas", "addresses": ["fd12::a"], "public_key": BASE64.encode(&[6; 32]) },
    ]);
    for words in [["guest", "list"], ["peers", "--json"], ["status", "--json"]] {
        assert_eq!(
            daemon.run(&[&words[..], &["--json"][..usize::from(words[1] == "list")]].concat()).json()["guests"],
            golden
        );
    }
}

#[test]
fn a_guest_is_removed_or_it_is_said_where_it_is() {
    let daemon = FakeDaemon::new(|command| {
        let Command::RemoveGuest { name } = command else { panic!("{command:?}") };
        if name.as_str() == "phone" {
            return Ok(Reply::GuestRemoved(api::RemoveGuestReply { name: name.to_string() }));
        }
        Err(Refusal::new(RefusalKind::NotFound, "tablet is a guest of nas: remove it there"))
    });
    assert_eq!(daemon.run(&["guest", "remove", "phone"]).out, "phone is no guest any more\n");
    let json = daemon.run(&["guest", "remove", "phone", "--json"]).json();
    assert_eq!(json, json!({ "ok": true, "name": "phone" }));
    let done = daemon.run(&["guest", "remove", "tablet"]);
    assert_eq!((done.code, done.err.as_str()), (1, "hopmesh: tablet is a guest of nas: remove it there\n"));
}
