//! `route`: its arguments, its JSON, and what people read.

use std::sync::mpsc;

use serde_json::json;
use wire::record::RouteOffer;

use super::FakeDaemon;
use super::usage::some_answer;
use crate::control::{Command, Reply};

/// What is told of two subnets.
fn routes() -> api::RoutesReply {
    let text = str::to_owned;
    let router = |node: &str, is_approved, is_offered| api::SubnetRouter {
        node: text(node),
        id: format!("{node}0{node}1"),
        is_approved,
        is_offered,
        ..api::SubnetRouter::default()
    };
    let mapped =
        api::SubnetRouter { behind: Some(text("192.168.1.0/24")), no_snat: true, ..router("b", true, true) };
    api::RoutesReply {
        routes: vec![
            api::Route {
                prefix: text("10.50.1.0/24"),
                state: api::RouteState::Taken.into(),
                via: text("b"),
                reason: String::new(),
                routers: vec![mapped, router("c", true, true), router("d", false, true)],
            },
            api::Route {
                prefix: text("192.168.9.0/24"),
                state: api::RouteState::Refused.into(),
                reason: text("it overlaps with 192.168.0.0/16"),
                routers: vec![router("b", true, true)],
                ..api::Route::default()
            },
        ],
    }
}

#[test]
fn routes_are_told_and_decided_about() {
    let daemon = FakeDaemon::new(|command| match command {
        Command::Routes => Ok(Reply::Routes(routes())),
        Command::AdvertiseRoute { offer } => {
            assert_eq!(offer.prefix.to_string(), "10.50.1.0/24");
            assert_eq!(offer.behind.map(|behind| behind.to_string()).as_deref(), Some("192.168.1.0/24"));
            assert!(!offer.is_masqueraded);
            let (node, prefix) = ("b".to_owned(), offer.prefix.to_string());
            Ok(Reply::Advertised(api::AdvertiseRouteReply { node, prefix, is_approved: false }))
        }
        Command::WithdrawRoute { .. } => Ok(Reply::Done),
        Command::ApproveRoute { node, .. } => Ok(Reply::Approved(node, "b0b1".to_owned())),
        Command::Status
        | Command::Invite { .. }
        | Command::Ping { .. }
        | Command::Assign { .. }
        | Command::Delegate { .. }
        | Command::Revoke { .. }
        | Command::Netcheck
        | Command::Why { .. }
        | Command::Mesh
        | Command::Publish { .. }
        | Command::Unpublish { .. }
        | Command::AddGuest { .. }
        | Command::Services
        | Command::Guests
        | Command::RemoveGuest { .. }
        | Command::Zone
        | Command::Find { .. }
        | Command::Watch
        | Command::Reload
        | Command::Metrics
        | Command::OfferExit { .. }
        | Command::UseExit { .. }
        | Command::Exits
        | Command::Down
        | Command::Leave { .. } => panic!("{command:?}"),
    });
    let listed = daemon.run(&["route", "list", "--json"]).json();
    assert_eq!(
        listed["routes"][0],
        json!({
            "prefix": "10.50.1.0/24", "state": "taken", "via": "b", "reason": null,
            "routers": [
                { "node": "b", "id": "b0b1", "is_approved": true, "is_offered": true,
                  "behind": "192.168.1.0/24", "no_snat": true },
                { "node": "c", "id": "c0c1", "is_approved": true, "is_offered": true, "behind": null, "no_snat": false },
                { "node": "d", "id": "d0d1", "is_approved": false, "is_offered": true, "behind": null, "no_snat": false },
            ],
        })
    );
    assert_eq!(listed["routes"][1]["reason"], "it overlaps with 192.168.0.0/16");
    let advertise = ["route", "advertise", "192.168.1.0/24", "--as", "10.50.1.0/24", "--no-snat", "--json"];
    assert_eq!(
        daemon.run(&advertise).json(),
        json!({ "node": "b", "prefix": "10.50.1.0/24", "is_approved": false })
    );
    for (word, is) in [("approve", "is approved"), ("reject", "is no router")] {
        let arguments = ["route", word, "b", "10.50.1.0/24"];
        assert!(daemon.run(&arguments).out.starts_with(&format!("b {is}")), "{word}");
        assert_eq!(
            daemon.run(&[&["--json"], &arguments[..]].concat()).json(),
            json!({ "node": "b", "id": "b0b1", "prefix": "10.50.1.0/24" })
        );
    }
    assert_eq!(
        daemon.run(&["route", "withdraw", "10.50.1.0/24"]).out,
        "10.50.1.0/24 is not offered any more\n"
    );
}

#[test]
fn routes_have_a_line_for_each_router() {
    let daemon = FakeDaemon::new(|_| Ok(Reply::Routes(routes())));
    let golden = "\
PREFIX          ROUTER  OFFERED  APPROVED  HOW                            HERE
10.50.1.0/24    b       yes      yes       no snat, 192.168.1.0/24 there  used
10.50.1.0/24    c       yes      yes       snat                           standby
10.50.1.0/24    d       yes      no        snat                           -
192.168.9.0/24  b       yes      yes       snat                           refused: it overlaps with 192.168.0.0/16
";
    assert_eq!(daemon.run(&["route", "list"]).out, golden);
    let none = FakeDaemon::new(|_| Ok(Reply::Routes(<_>::default())));
    assert!(none.run(&["route", "list"]).out.starts_with("no routes: `hopmesh --state-dir "));
}

#[test]
fn what_is_said_of_routes_reaches_the_daemon() {
    let (sender, asked) = mpsc::channel();
    let daemon = FakeDaemon::new(move |command| {
        sender.send(command.clone()).unwrap();
        Ok(some_answer(&command))
    });
    let (node, prefix) = (|| "b".to_owned(), || "10.9.0.0/16".parse().unwrap());
    let offer = RouteOffer { prefix: prefix(), behind: None, is_masqueraded: true };
    let known_as =
        RouteOffer { prefix: prefix(), behind: "192.168.0.0/16".parse().ok(), is_masqueraded: false };
    for (words, command) in [
        (&["route", "list"][..], Command::Routes),
        (&["route", "withdraw", "10.9.0.0/16"], Command::WithdrawRoute { prefix: prefix() }),
        (&["route", "advertise", "10.9.0.0/16"], Command::AdvertiseRoute { offer }),
        (&["route", "advertise", "10.9.0.0/16", "--snat"], Command::AdvertiseRoute { offer }),
        (
            &["route", "advertise", "192.168.0.0/16", "--as", "10.9.0.0/16", "--no-snat"],
            Command::AdvertiseRoute { offer: known_as },
        ),
        (
            &["route", "approve", "b", "10.9.0.0/16"],
            Command::ApproveRoute { node: node(), prefix: prefix(), is_approved: true },
        ),
        (
            &["route", "reject", "b", "10.9.0.0/16"],
            Command::ApproveRoute { node: node(), prefix: prefix(), is_approved: false },
        ),
    ] {
        assert_eq!(daemon.run(words).code, 0, "{words:?}");
        assert_eq!(asked.recv().unwrap(), command, "{words:?}");
    }
}
