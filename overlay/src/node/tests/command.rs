//! What people want of a node, and what they are refused.

use super::lab::{Lab, any_member};
use crate::limits::PINGS_MAX;
use crate::{CommandError, Event, Identity, InviteRequest, Selected};
use routing::range::AddressError;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use wire::invite::InviteRole;

const SECOND: Duration = Duration::from_secs(1);

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The founder `a`, the admin `b` and the member `c` that `b` has invited.
fn with_an_admin() -> Lab {
    let mut lab = Lab::new();
    let invite = lab.invite(0, &InviteRequest { role: InviteRole::Admin, ..any_member() });
    let b = lab.apply(&invite, "b");
    lab.run(SECOND);
    let b = lab.move_in(b);
    let invite = lab.invite(b, &any_member());
    let c = lab.apply(&invite, "c");
    lab.run(SECOND);
    lab.move_in(c);
    lab.run(3 * SECOND);
    lab
}

#[test]
fn an_address_that_cannot_be_had_is_not_assigned() {
    let mut lab = Lab::with(&["b", "c"]);
    let promised = InviteRequest { address: Some(address("10.7.0.60")), ..any_member() };
    lab.invite(0, &promised);
    let mut assign = |to: &str| lab.command(0, |node, now| node.assign("b", address(to), now)).unwrap_err();
    for taken in ["10.7.0.1", "10.7.0.3", "10.7.0.60"] {
        assert!(matches!(assign(taken), CommandError::Address(AddressError::Taken { .. })), "{taken}");
    }
    assert!(matches!(assign("10.8.0.1"), CommandError::Address(AddressError::OutsideRange { .. })));
    assert!(matches!(assign("10.7.0.0"), CommandError::Address(AddressError::Reserved { .. })));
    assert!(matches!(assign("fd00::5"), CommandError::Ipv6(..)));
    lab.run(SECOND);
    assert_eq!(lab.mesh(1)[0], address("10.7.0.2"));
    let kept = lab.command(0, |node, now| node.assign("b", address("10.7.0.2"), now));
    assert!(kept.is_ok(), "what it has already it may have");
}

#[test]
fn only_admins_invite_assign_and_revoke() {
    let mut lab = Lab::with(&["b", "c"]);
    let invite = lab.command(1, |node, now| node.invite(&any_member(), now)).unwrap_err();
    let assign = lab.command(1, |node, now| node.assign("c", address("10.7.0.9"), now)).unwrap_err();
    let revoke = lab.command(1, |node, now| node.revoke("c", now)).unwrap_err();
    assert_eq!(
        [invite, assign, revoke],
        [CommandError::NotAdmin, CommandError::NotAdmin, CommandError::NotAdmin]
    );
}

#[test]
fn an_admin_is_revoked_by_the_root_alone_and_whom_it_invited_stays() {
    let mut lab = with_an_admin();
    let refused = lab.command(1, |node, now| node.revoke("a", now)).unwrap_err();
    assert_eq!(refused, CommandError::NotRoot);
    let oneself = lab.command(0, |node, now| node.revoke("a", now)).unwrap_err();
    assert_eq!(oneself, CommandError::Oneself("a".parse().unwrap()));
    lab.command(0, |node, now| node.revoke("b", now)).unwrap();
    lab.run(2 * SECOND);
    assert!(lab.view(1).is_revoked);
    assert!(!lab.connected(0, 1) && !lab.connected(2, 1));
    assert!(lab.connected(0, 2) && lab.connected(2, 0), "c's credentials were signed anew");
    lab.restart(0);
    lab.restart(2);
    lab.run(2 * SECOND);
    lab.send(0, 2, b"still friends");
    lab.run(SECOND);
    assert_eq!(lab.received(2), [b"still friends"]);
}

#[test]
fn what_an_admin_signs_before_it_hears_of_its_revocation_is_taken_back() {
    let mut lab = Lab::with_two_admins();
    let before = lab.mesh(2)[0];
    let founder = lab.machines[0].remote;
    lab.lose = Box::new(move |flight| flight.from == founder || flight.to == founder);
    lab.command(0, |node, now| node.revoke("b", now)).unwrap();
    lab.command(1, |node, now| node.assign("c", address("10.7.0.99"), now)).unwrap();
    lab.run(SECOND);
    assert_eq!(lab.mesh(2)[0], address("10.7.0.99"), "c has not heard of it either");
    lab.lose = Box::new(|_| false);
    lab.run(60 * SECOND);
    assert!(lab.view(1).is_revoked && lab.connected(0, 2) && lab.connected(2, 0));
    assert_eq!(lab.mesh(2)[0], before);
    let c = lab.id(2);
    assert!(lab.view(0).peers.iter().any(|peer| peer.node == c && peer.addresses.contains(&before)));
    lab.restart(2);
    assert_eq!(lab.mesh(2)[0], before);
}

#[test]
fn who_leaves_is_gone_for_everybody() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.command(1, |node, now| node.leave(false, now)).unwrap();
    lab.run(SECOND);
    assert_eq!(lab.machines[1].events.last(), Some(&Event::SelfRevoked));
    for at in [0, 2] {
        assert!(!lab.connected(at, 1));
        assert!(lab.machines[at].tables.routes.table.lookup(address("10.7.0.2")).is_none());
    }
    assert!(lab.connected(0, 2));
    let again = lab.command(1, |node, now| node.ping("a", SECOND, now)).unwrap_err();
    assert_eq!(again, CommandError::Revoked);
    let d = lab.enrol("d");
    assert_eq!(lab.mesh(d)[0], address("10.7.0.2"), "its address is free again");
}

#[test]
fn the_last_root_leaves_only_by_force() {
    let mut lab = Lab::new();
    lab.command(0, |node, now| node.leave(false, now)).expect("alone there is nobody to ask");
    let mut lab = Lab::with(&["b"]);
    assert_eq!(lab.command(0, |node, now| node.leave(false, now)), Err(CommandError::LastRoot));
    assert!(lab.connected(0, 1));
    lab.command(0, |node, now| node.leave(true, now)).unwrap();
    lab.run(SECOND);
    assert!(lab.view(0).is_revoked && !lab.connected(1, 0));
}

#[test]
fn a_node_is_named_by_name_address_or_the_beginning_of_its_id() {
    let mut lab = Lab::with(&["b", "c"]);
    let id = lab.id(1).to_string();
    let expected = Selected { node: lab.id(1), name: "b".parse().unwrap() };
    let [ipv4, ipv6] = lab.mesh(1).map(|address| address.to_string());
    for selector in ["b", &ipv4, &ipv6, &id, &id[..8], &id[..4].to_ascii_uppercase()] {
        let (_, selected) = lab.command(0, |node, now| node.ping(selector, SECOND, now)).unwrap();
        assert_eq!(selected, expected, "{selector}");
    }
    for selector in ["d", "10.7.0.99", "fd00::9", &id[..3], "", "2222222222"] {
        let error = lab.command(0, |node, now| node.ping(selector, SECOND, now)).unwrap_err();
        assert_eq!(error, CommandError::NoSuchNode(selector.to_owned()));
    }
    let oneself = lab.command(0, |node, now| node.ping("a", SECOND, now)).unwrap_err();
    assert_eq!(oneself, CommandError::Oneself("a".parse().unwrap()));
}

#[test]
fn an_id_prefix_that_fits_two_nodes_names_none() {
    let mut seen: BTreeMap<String, Identity> = BTreeMap::new();
    let mut twins = None;
    for n in 0..10_000u32 {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&n.to_be_bytes());
        let identity = Identity::generate(seed);
        let prefix = identity.node().to_string()[..4].to_owned();
        twins = seen.insert(prefix.clone(), identity.clone()).map(|other| (prefix, [identity, other]));
        if twins.is_some() {
            break;
        }
    }
    let (prefix, identities) = twins.expect("among ten thousand ids two begin with the same 20 bits");
    let mut lab = Lab::new();
    let ids = identities.map(|identity| {
        let (invite, id) = (lab.invite(0, &any_member()), identity.node().to_string());
        lab.apply_as(identity, &invite, ("twin", false));
        lab.run(SECOND);
        id
    });
    let mut select = |selector: &str| lab.command(0, |node, now| node.ping(selector, SECOND, now));
    assert_eq!(select(&prefix), Err(CommandError::Ambiguous(prefix.clone())));
    for id in ids {
        assert_eq!(select(&id[..16]).unwrap().1.node.to_string(), id);
    }
}

#[test]
fn a_ping_measures_the_path_and_ends_when_nobody_answers() {
    let mut lab = Lab::with(&["b"]);
    let (ticket, _) = lab.command(0, |node, now| node.ping("b", SECOND, now)).unwrap();
    lab.run(SECOND / 10);
    assert_eq!(lab.machines[0].pings, [(ticket, Some((2 * lab.latency, lab.machines[1].remote)))]);
    lab.machines[1].is_up = false;
    let (ticket, _) = lab.command(0, |node, now| node.ping("b", SECOND, now)).unwrap();
    lab.run(SECOND - SECOND / 100);
    assert_eq!(lab.machines[0].pings.len(), 1);
    lab.run(SECOND / 50);
    assert_eq!(lab.machines[0].pings[1], (ticket, None));
}

#[test]
fn a_ping_waits_for_the_session() {
    let mut lab = Lab::with(&["b"]);
    lab.machines[1].is_up = false;
    lab.run(200 * SECOND);
    lab.machines[1].is_up = true;
    assert!(!lab.connected(0, 1));
    let (ticket, _) = lab.command(0, |node, now| node.ping("b", 2 * SECOND, now)).unwrap();
    lab.run(SECOND);
    let [(done, Some((round_trip, _)))] = lab.machines[0].pings[..] else {
        panic!("{:?}", lab.machines[0].pings)
    };
    assert_eq!((done, round_trip), (ticket, 2 * lab.latency), "measured from when it could leave");
}

#[test]
fn pings_have_a_limit() {
    let mut lab = Lab::with(&["b"]);
    lab.machines[1].is_up = false;
    for _ in 0..PINGS_MAX {
        lab.command(0, |node, now| node.ping("b", SECOND, now)).unwrap();
    }
    assert_eq!(lab.command(0, |node, now| node.ping("b", SECOND, now)), Err(CommandError::TooManyPings));
    lab.run(2 * SECOND);
    assert_eq!(lab.machines[0].pings.len(), PINGS_MAX);
    assert!(lab.command(0, |node, now| node.ping("b", SECOND, now)).is_ok());
}
