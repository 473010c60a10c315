//! Records: how every node learns of every other, and what follows from it.

use super::lab::{Flight, Lab};
use crate::{DropReason, Event, Node};
use std::time::Duration;
use wire::datagram::Datagram;
use wire::{Candidate, Kind, Name};

const SECOND: Duration = Duration::from_secs(1);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn is_control(flight: &Flight) -> bool {
    matches!(Datagram::parse(&flight.bytes), Some(Datagram::Control(_)))
}

/// What a node knows of all members: name and IPv4 address, itself included.
fn known(lab: &Lab, at: usize) -> Vec<(String, String)> {
    let view = lab.view(at);
    let own = (view.own.name.to_string(), view.own.ipv4.addr().to_string());
    let peers = view.peers.iter().map(|peer| (peer.name.to_string(), peer.addresses[0].to_string()));
    let mut all: Vec<_> = peers.chain([own]).collect();
    all.sort();
    all
}

#[test]
fn members_learn_of_each_other_and_talk_directly() {
    let mut lab = Lab::with(&["b", "c", "d"]);
    for at in 1..4 {
        assert_eq!(known(&lab, at), known(&lab, 0));
    }
    lab.machines[0].is_up = false;
    lab.send(1, 3, b"without the founder");
    lab.run(SECOND);
    assert_eq!(lab.received(3), [b"without the founder"]);
    assert_eq!(lab.peer(1, 3).unwrap().remote, Some(lab.machines[3].remote));
}

#[test]
fn news_pass_through_nodes_that_are_no_admins() {
    let mut lab = Lab::with(&["b", "c"]);
    let (a, c) = (lab.machines[0].remote, lab.machines[2].remote);
    lab.lose =
        Box::new(move |flight| (flight.from, flight.to) == (a, c) || (flight.from, flight.to) == (c, a));
    lab.command(0, |node, now| node.assign("b", "10.7.0.77".parse().unwrap(), now)).unwrap();
    lab.run(SECOND);
    assert_eq!(lab.peer(2, 1).unwrap().addresses[0].to_string(), "10.7.0.77");
}

#[test]
fn a_lost_record_is_found_by_comparing() {
    let mut lab = Lab::with(&["b", "c"]);
    let c = lab.machines[2].remote;
    lab.lose = Box::new(move |flight| flight.to == c && is_control(flight));
    lab.command(0, |node, now| node.assign("b", "10.7.0.77".parse().unwrap(), now)).unwrap();
    lab.run(SECOND / 10);
    assert_eq!(lab.peer(2, 1).unwrap().addresses[0].to_string(), "10.7.0.2", "it was lost");
    lab.lose = Box::new(|_| false);
    lab.run(30 * SECOND);
    assert_eq!(lab.peer(2, 1).unwrap().addresses[0].to_string(), "10.7.0.77");
    for at in 1..3 {
        assert_eq!(known(&lab, at), known(&lab, 0));
    }
}

#[test]
fn what_happened_on_both_sides_of_a_cut_is_known_on_both_after_it() {
    let mut lab = Lab::with(&["b", "c"]);
    let c = lab.machines[2].remote;
    lab.lose = Box::new(move |flight| flight.from == c || flight.to == c);
    lab.command(0, |node, now| node.assign("b", "10.7.0.77".parse().unwrap(), now)).unwrap();
    let moved = vec![Candidate::new("192.0.2.12:7000".parse().unwrap()).unwrap()];
    lab.command(2, |node, now| node.handle_candidates(moved, now));
    lab.run(200 * SECOND);
    assert!(!lab.connected(0, 2));
    lab.lose = Box::new(|_| false);
    lab.run(60 * SECOND);
    for at in 1..3 {
        assert_eq!(known(&lab, at), known(&lab, 0));
        assert!(lab.connected(0, at));
    }
}

#[test]
fn records_that_prove_nothing_are_dropped() {
    let mut lab = Lab::with(&["b"]);
    let message = wire::control::Message::Record { bytes: vec![1, 2, 3].into(), age_s: None };
    let session = lab.session(0, 1).unwrap().local_index;
    let from = lab.machines[1].remote;
    for (message, reason) in
        [(wire::cbor::encode(&message), DropReason::Record), (vec![0xff], DropReason::Control)]
    {
        let input = crate::fastpath::SlowInput::Control { session, message };
        lab.command(0, |node, now| node.handle_slow(input, from, now));
        assert_eq!(lab.drops(0, reason), 1, "{reason:?}");
    }
}

#[test]
fn an_address_is_assigned_and_everybody_follows() {
    let mut lab = Lab::with(&["b", "c"]);
    let old = lab.mesh(1)[0];
    lab.command(0, |node, now| node.assign("b", "10.7.0.77".parse().unwrap(), now)).unwrap();
    lab.run(SECOND);
    let new = lab.mesh(1)[0];
    assert_eq!(new.to_string(), "10.7.0.77");
    assert_eq!(lab.machines[1].addresses, [lab.mesh(1).to_vec()], "the interface is told");
    assert_eq!(lab.machines[1].tables.own_addresses(), lab.mesh(1));
    assert!(lab.machines[0].events.contains(&Event::Reissued(lab.id(1), name("b"), new)));
    for at in [0, 2] {
        lab.send(at, 1, b"by the new address");
        let late = super::lab::packet(lab.mesh(at)[0], old, b"by the old one");
        lab.outbound(at, &late);
    }
    lab.run(SECOND);
    assert_eq!(lab.received(1), [b"by the new address", b"by the new address"]);
    assert_eq!(lab.drops(0, DropReason::NoRoute), 1, "the old address is nobody's");
    lab.restart(1);
    lab.run(SECOND);
    assert_eq!(lab.mesh(1)[0], new, "also after a restart");
}

#[test]
fn an_own_address_is_assigned_like_anybodys() {
    let mut lab = Lab::with(&["b"]);
    lab.command(0, |node, now| node.assign("a", "10.7.0.9".parse().unwrap(), now)).unwrap();
    lab.run(SECOND);
    assert_eq!(lab.mesh(0)[0].to_string(), "10.7.0.9");
    assert_eq!(lab.machines[0].addresses.len(), 1);
    lab.send(1, 0, b"hello");
    lab.run(SECOND);
    assert_eq!(lab.received(0), [b"hello"]);
}

#[test]
fn a_revocation_ends_all_sessions_and_the_node_is_told() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.command(0, |node, now| node.revoke("c", now)).unwrap();
    lab.run(SECOND / 10);
    for at in [0, 1] {
        assert!(!lab.connected(at, 2), "{at}");
        assert!(lab.session(at, 2).is_none());
        assert!(lab.machines[at].events.contains(&Event::Revoked(lab.id(2), name("c"))));
    }
    assert!(lab.view(2).is_revoked);
    assert_eq!(lab.machines[2].events.last(), Some(&Event::SelfRevoked));
    assert!(lab.view(2).problems[0].contains("revoked"));
    assert!(lab.machines[2].tables.own_addresses().is_empty());
    lab.sent.clear();
    lab.run(300 * SECOND);
    let c = lab.machines[2].remote;
    assert!(!lab.sent.iter().any(|flight| flight.from == c || flight.to == c), "nobody talks to it any more");
    lab.restart(2);
    assert!(lab.view(2).is_revoked, "nor does a restart help");
}

#[test]
fn a_revoked_node_that_missed_it_learns_it_by_asking() {
    let mut lab = Lab::with(&["b", "c"]);
    let c = lab.machines[2].remote;
    lab.lose = Box::new(move |flight| flight.from == c || flight.to == c);
    lab.command(0, |node, now| node.revoke("c", now)).unwrap();
    lab.run(SECOND);
    lab.lose = Box::new(|_| false);
    lab.run(60 * SECOND);
    assert!(!lab.connected(2, 0) && !lab.connected(2, 1));
    assert!(lab.view(2).problems.iter().any(|p| p.contains("that this machine was revoked")));
    lab.send(2, 0, b"still here?");
    lab.run(SECOND);
    assert!(lab.received(0).is_empty());
}

#[test]
fn two_nodes_that_were_given_one_address_apart_settle_it() {
    // Two admins, cut off from each other, assign the same address.
    let mut lab = Lab::new();
    let admin = crate::InviteRequest { role: wire::invite::InviteRole::Admin, ..super::lab::any_member() };
    let invite = lab.invite(0, &admin);
    let b = lab.apply(&invite, "b");
    lab.run(SECOND);
    let b = lab.move_in(b);
    let (c, invite) = (lab.enrol("c"), lab.invite(b, &super::lab::any_member()));
    let d = lab.apply(&invite, "d");
    lab.run(SECOND);
    let d = lab.move_in(d);
    lab.run(5 * SECOND);
    let side = [lab.machines[0].remote, lab.machines[c].remote];
    lab.lose = Box::new(move |flight| side.contains(&flight.from) != side.contains(&flight.to));
    let wish = "10.7.0.50".parse().unwrap();
    lab.command(0, |node, now| node.assign("c", wish, now)).unwrap();
    lab.run(2 * SECOND);
    lab.command(b, |node, now| node.assign("d", wish, now)).unwrap();
    lab.run(SECOND);
    assert_eq!(lab.mesh(c)[0], lab.mesh(d)[0]);
    lab.lose = Box::new(|_| false);
    lab.run(90 * SECOND);
    assert_eq!(lab.mesh(c)[0], wish, "the earlier one keeps it");
    assert_ne!(lab.mesh(d)[0], wish);
    for at in 1..4 {
        assert_eq!(known(&lab, at), known(&lab, 0));
    }
    lab.send(c, d, b"one owner each");
    lab.run(SECOND);
    assert_eq!(lab.received(d), [b"one owner each"]);
}

#[test]
fn who_is_no_member_any_more_leaves_no_links_behind() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.run(5 * SECOND);
    let c = lab.id(2);
    let tells = |node: &mut Node, _| {
        node.registry.iter().any(|r| r.body().kind == Kind::LinkState && r.body().owner == c)
    };
    assert!((0..2).all(|at| lab.command(at, tells)));
    lab.command(0, |node, now| node.revoke("c", now)).unwrap();
    lab.run(SECOND);
    // Else whoever has heard of the revocation first has other records for ever than who has heard of the links first.
    assert!((0..2).all(|at| !lab.command(at, tells)));
    assert!((0..2).all(|at| lab.command(at, |node, _| node.topology.state(&c).is_none())));
}
