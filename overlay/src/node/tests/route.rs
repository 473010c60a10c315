//! Subnets behind nodes: offered, approved, taken or refused, and led to another router when one is lost.

use super::lab::{Lab, packet};
use crate::fastpath::Outbound;
use crate::{CommandError, DropReason, RouteRefusal, RouteState};
use ipnet::IpNet;
use std::net::IpAddr;
use std::time::Duration;
use wire::record::RouteOffer;

const SECOND: Duration = Duration::from_secs(1);
const OFFICE: &str = "192.168.9.0/24";
const PRINTER: &str = "192.168.9.10";

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn offer(lab: &mut Lab, at: usize, prefixes: &[&str]) {
    let of = |prefix: &&str| RouteOffer { prefix: net(prefix), behind: None, is_masqueraded: false };
    let offers = prefixes.iter().map(of).collect();
    lab.command(at, |node, now| node.handle_offers(offers, now));
}

fn approve(lab: &mut Lab, router: &str, prefix: &str) {
    lab.command(0, |node, now| node.approve_route(router, net(prefix), now)).unwrap();
    lab.run(SECOND);
}

/// What a machine does with packets to a prefix.
fn state(lab: &Lab, at: usize, prefix: &str) -> Option<RouteState> {
    let views = lab.machines[at].node.routes();
    views.into_iter().find(|view| view.prefix == net(prefix)).map(|view| view.state)
}

/// The founder `a`, the routers `b` and `c` of the office, and `d`.
fn office() -> Lab {
    let mut lab = Lab::with(&["b", "c", "d"]);
    for router in [1, 2] {
        offer(&mut lab, router, &[OFFICE]);
    }
    approve(&mut lab, "b", OFFICE);
    approve(&mut lab, "c", OFFICE);
    lab
}

/// Sends from a machine to the printer, and says through whose interface it came.
fn came_by(lab: &mut Lab, from: usize) -> Option<usize> {
    let printed = packet(lab.mesh(from)[0], ip(PRINTER), b"print");
    lab.outbound(from, &printed);
    lab.run(SECOND / 10);
    (0..lab.machines.len()).find(|at| lab.received(*at) == [b"print"])
}

#[test]
fn an_offer_waits_until_an_admin_approves_it_and_ends_with_either_word() {
    let mut lab = Lab::with(&["b", "c"]);
    offer(&mut lab, 1, &[OFFICE]);
    lab.run(SECOND);
    assert_eq!(state(&lab, 2, OFFICE), Some(RouteState::Waiting));
    assert_eq!(came_by(&mut lab, 2), None);
    approve(&mut lab, "b", OFFICE);
    assert_eq!(state(&lab, 2, OFFICE), Some(RouteState::Taken(lab.id(1))));
    assert_eq!(state(&lab, 1, OFFICE), Some(RouteState::Served));
    assert_eq!(lab.machines[2].host_routes.taken, [net(OFFICE)]);
    assert_eq!(lab.machines[1].host_routes.served.len(), 1);
    assert_eq!(came_by(&mut lab, 2), Some(1));
    // And back: the router's packets have sources in the subnet.
    let answer = packet(ip(PRINTER), lab.mesh(2)[0], b"done");
    lab.outbound(1, &answer);
    lab.run(SECOND / 10);
    assert_eq!(lab.received(2), [b"done"]);
    offer(&mut lab, 1, &[]);
    lab.run(SECOND);
    assert_eq!(state(&lab, 2, OFFICE), Some(RouteState::Waiting));
    assert_eq!((came_by(&mut lab, 2), lab.machines[2].host_routes.taken.len()), (None, 0));
    assert!(matches!(lab.outbound(1, &answer), Outbound::Drop(DropReason::ForeignSource)));
    offer(&mut lab, 1, &[OFFICE]);
    lab.run(SECOND);
    assert_eq!(came_by(&mut lab, 2), Some(1));
    lab.command(0, |node, now| node.reject_route("b", net(OFFICE), now)).unwrap();
    lab.run(SECOND);
    assert_eq!(state(&lab, 2, OFFICE), Some(RouteState::Waiting));
    assert_eq!(came_by(&mut lab, 2), None);
    assert!(matches!(lab.outbound(1, &answer), Outbound::Drop(DropReason::ForeignSource)));
}

#[test]
fn a_lost_router_is_left_for_the_other_within_3_s() {
    let mut lab = office();
    let first = came_by(&mut lab, 3).expect("one of two");
    let other = 3 - first;
    lab.machines[first].is_up = false;
    let lost = lab.now;
    let found = std::iter::from_fn(|| {
        lab.run(SECOND / 10);
        Some(came_by(&mut lab, 3))
    });
    assert_eq!(found.take(30).flatten().next(), Some(other));
    assert!(lab.now - lost <= 3 * SECOND, "{:?}", lab.now - lost);
    lab.restart(first);
    offer(&mut lab, first, &[OFFICE]);
    lab.run(20 * SECOND);
    assert_eq!(came_by(&mut lab, 3), Some(other), "one that works as well is no reason to move");
}

#[test]
fn the_source_check_takes_a_subnet_from_each_of_its_routers_and_from_nobody_else() {
    let mut lab = office();
    let answer = packet(ip(PRINTER), lab.mesh(3)[0], b"done");
    for router in [1, 2] {
        lab.outbound(router, &answer);
        lab.run(SECOND / 10);
        assert_eq!(lab.received(3), [b"done"], "router {router}");
    }
    let liar = lab.machines[0].tables.lying(ip(PRINTER), lab.mesh(3)[0], lab.mesh(3)[0]);
    lab.machines[0].tables = liar.into();
    lab.outbound(0, &answer);
    lab.run(SECOND / 10);
    assert_eq!(lab.received(3), Vec::<Vec<u8>>::new());
    assert_eq!(lab.drops(3, DropReason::SourceCheck), 1);
    // Nor may a router of the whole speak for a part that is another's.
    offer(&mut lab, 0, &["192.168.9.8/29"]);
    approve(&mut lab, "a", "192.168.9.8/29");
    lab.outbound(1, &answer);
    lab.run(SECOND / 10);
    assert_eq!(lab.received(3), Vec::<Vec<u8>>::new());
    assert_eq!(lab.drops(3, DropReason::SourceCheck), 2);
}

#[test]
fn what_would_lead_packets_astray_is_refused_and_said() {
    let mut lab = office();
    let refused = |lab: &Lab, prefix: &str| match state(lab, 3, prefix) {
        Some(RouteState::Refused(refusal)) => Some(refusal),
        _ => None,
    };
    let everything = vec![net("0.0.0.0/0"), net("::/0")];
    for local in ["192.168.0.0/16", "192.168.9.128/25", "192.168.9.77/32"] {
        lab.command(3, |node, _| node.handle_host_prefixes(vec![net(local)], everything.clone()));
        assert_eq!(refused(&lab, OFFICE), Some(RouteRefusal::Local(net(local))));
        assert!(lab.view(3).problems.iter().any(|problem| problem.contains(OFFICE)), "{local}");
        assert_eq!(lab.machines[3].host_routes.taken, []);
        assert_eq!(came_by(&mut lab, 3), None, "{local}");
        let answer = packet(ip(PRINTER), lab.mesh(3)[0], b"done");
        lab.outbound(1, &answer);
        lab.run(SECOND / 10);
        assert_eq!(lab.received(3), Vec::<Vec<u8>>::new(), "nothing is believed of a prefix that is refused");
    }
    lab.command(3, |node, _| node.handle_host_prefixes(vec![], vec![net("10.0.0.0/8")]));
    assert_eq!(refused(&lab, OFFICE), Some(RouteRefusal::NotAccepted));
    lab.command(3, |node, _| node.handle_host_prefixes(vec![net("192.168.8.0/24")], everything));
    assert!(matches!(state(&lab, 3, OFFICE), Some(RouteState::Taken(_))));
}

#[test]
fn a_prefix_with_the_address_of_a_peer_is_refused_whatever_an_admin_says() {
    let mut lab = Lab::with(&["b", "c"]);
    // Where all of the lab's machines are dialled.
    for prefix in ["192.0.2.0/24", "192.0.0.0/8"] {
        offer(&mut lab, 1, &[prefix]);
        approve(&mut lab, "b", prefix);
        let state = state(&lab, 2, prefix);
        assert!(
            matches!(state, Some(RouteState::Refused(RouteRefusal::Underlay(..)))),
            "{prefix}: {state:?}"
        );
        assert!(lab.connected(2, 0) && lab.connected(2, 1));
        assert_eq!(lab.machines[2].host_routes.taken, []);
    }
}

#[test]
fn nobody_is_approved_for_what_cannot_be_routed() {
    let mut lab = Lab::with(&["b"]);
    let mut asked = |at: usize, prefix: &str| {
        lab.command(at, |node, now| node.approve_route("b", net(prefix), now)).map(drop).unwrap_err()
    };
    for prefix in ["0.0.0.0/0", "::/0", "128.0.0.0/1", "192.168.9.1/24", "224.0.0.0/8", "127.0.0.0/8"] {
        assert_eq!(asked(0, prefix), CommandError::Prefix(net(prefix)));
    }
    for prefix in ["10.7.0.0/25", "10.0.0.0/8", "10.7.0.2/32"] {
        assert!(matches!(asked(0, prefix), CommandError::PrefixOfNetwork(..)), "{prefix}");
    }
    assert_eq!(asked(1, OFFICE), CommandError::NotAdmin);
    let none = lab.command(0, |node, now| node.reject_route("b", net(OFFICE), now)).unwrap_err();
    assert_eq!(none, CommandError::NoSuchRoute("b".parse().unwrap(), net(OFFICE)));
}

#[test]
fn a_credential_never_outgrows_what_others_read() {
    let mut lab = Lab::with(&["b"]);
    let names: Vec<_> = (0..8).map(|n| format!("service-{n}").parse().unwrap()).collect();
    lab.command(0, |node, now| node.delegate("b", names, now)).unwrap();
    for router in ["a", "b"] {
        let mut routed = 0;
        let refused = loop {
            let prefix = net(&format!("fd00:{routed}::/64"));
            match lab.command(0, |node, now| node.approve_route(router, prefix, now)) {
                Ok(_) => routed += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, CommandError::TooManyRoutes(router.parse().unwrap()));
        assert!((2..=8).contains(&routed), "{router}: {routed}");
        lab.run(2 * SECOND);
        let known = lab.machines[1].node.routes().into_iter();
        let of_router = known.filter(|view| view.routers.iter().any(|r| r.name.as_str() == router));
        assert_eq!(of_router.count(), routed, "{router}");
    }
    assert!(lab.connected(0, 1));
}

#[test]
fn routes_are_there_again_after_a_restart_and_go_with_their_router() {
    let mut lab = office();
    lab.restart(3);
    assert!(matches!(state(&lab, 3, OFFICE), Some(RouteState::Taken(_))), "from the disk");
    lab.run(SECOND);
    assert!(came_by(&mut lab, 3).is_some());
    for router in ["b", "c"] {
        lab.command(0, |node, now| node.revoke(router, now)).unwrap();
        lab.run(SECOND);
    }
    assert_eq!(state(&lab, 3, OFFICE), None);
    assert_eq!(lab.machines[3].host_routes.taken, []);
}
