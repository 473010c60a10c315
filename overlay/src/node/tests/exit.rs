//! Exits: offered by whoever wants to be one, chosen by whoever trusts it, and nothing goes or comes by another.

use super::lab::{Lab, packet};
use crate::fastpath::Outbound;
use crate::{ByFamily, CommandError, DropReason, ExitState};
use ipnet::IpNet;
use std::net::IpAddr;
use std::time::Duration;
use wire::record::RouteOffer;

const SECOND: Duration = Duration::from_secs(1);
const SITES: [&str; 2] = ["21.1.2.3", "2a00:1::7"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn offer(lab: &mut Lab, at: usize, defaults: &[&str]) {
    let offers = defaults.iter().map(|default| RouteOffer::exit(default.parse::<IpNet>().unwrap())).collect();
    lab.command(at, |node, now| node.handle_offers(offers, now));
    lab.run(SECOND);
}

fn choose(lab: &mut Lab, at: usize, exit: Option<usize>) {
    let exit = exit.map(|exit| lab.id(exit));
    lab.command(at, |node, _| node.handle_exit(exit));
}

/// Sends to a site, and says through whose interface it came.
fn came_by(lab: &mut Lab, from: usize, site: &str) -> Option<usize> {
    let own = lab.mesh(from).into_iter().find(|own| own.is_ipv4() == ip(site).is_ipv4()).unwrap();
    lab.outbound(from, &packet(own, ip(site), b"hello"));
    lab.run(SECOND / 10);
    (0..lab.machines.len()).find(|at| lab.received(*at) == [b"hello"])
}

/// Whether a packet to a site goes to nobody, and whoever sent it is told so.
fn stays(lab: &mut Lab, from: usize, site: &str) -> bool {
    let own = lab.mesh(from).into_iter().find(|own| own.is_ipv4() == ip(site).is_ipv4()).unwrap();
    matches!(lab.outbound(from, &packet(own, ip(site), b"hello")), Outbound::Unreachable(..))
}

/// The site answers by a machine; whether it comes.
fn is_answered(lab: &mut Lab, by: usize, to: usize, site: &str) -> bool {
    let own = lab.mesh(to).into_iter().find(|own| own.is_ipv4() == ip(site).is_ipv4()).unwrap();
    lab.outbound(by, &packet(ip(site), own, b"welcome"));
    lab.run(SECOND / 10);
    lab.received(to) == [b"welcome"]
}

#[test]
fn what_is_for_the_internet_leaves_by_the_chosen_exit_and_comes_back() {
    let mut lab = Lab::with(&["b", "c"]);
    offer(&mut lab, 1, &["0.0.0.0/0", "::/0"]);
    for site in SITES {
        assert_eq!(came_by(&mut lab, 2, site), None, "an offer alone moves nothing");
        assert!(!is_answered(&mut lab, 1, 2, site), "nor is anything believed of who was not chosen");
    }
    assert_eq!(lab.drops(2, DropReason::SourceCheck), 2);
    assert_eq!(lab.machines[1].host_routes.served.len(), 2);
    let selected = lab.machines[2].node.select_exit("b").unwrap();
    assert_eq!(selected.node, lab.id(1));
    choose(&mut lab, 2, Some(1));
    for site in SITES {
        assert_eq!(came_by(&mut lab, 2, site), Some(1));
        assert!(is_answered(&mut lab, 1, 2, site));
    }
    let view = lab.machines[2].node.exit().unwrap();
    assert_eq!((view.state, view.families), (ExitState::Reached, ByFamily { v4: true, v6: true }));
    assert!(lab.machines[2].node.routes().is_empty(), "an exit is no subnet");
    choose(&mut lab, 2, None);
    assert_eq!(came_by(&mut lab, 2, SITES[0]), None);
    assert!(!is_answered(&mut lab, 1, 2, SITES[0]));
}

#[test]
fn nothing_near_and_nothing_of_the_mesh_goes_by_an_exit() {
    let mut lab = Lab::with(&["b", "c"]);
    offer(&mut lab, 1, &["0.0.0.0/0", "::/0"]);
    choose(&mut lab, 2, Some(1));
    for near in ["192.168.1.1", "10.99.1.1", "169.254.169.254", "100.64.0.1", "fd00::1", "10.7.0.200"] {
        assert_eq!(came_by(&mut lab, 2, near), None, "{near}");
        assert!(!is_answered(&mut lab, 1, 2, near), "{near}");
    }
    // Who sends them nevertheless gets nowhere: the exit drops them.
    let (own, near) = (lab.mesh(2)[0], ip("192.168.1.1"));
    let liar = lab.machines[2].tables.lying(own, near, lab.mesh(1)[0]);
    lab.machines[2].tables = liar.into();
    lab.outbound(2, &packet(own, near, b"router"));
    lab.run(SECOND / 10);
    assert_eq!(lab.received(1), Vec::<Vec<u8>>::new());
    assert_eq!(lab.drops(1, DropReason::Destination), 1);
}

#[test]
fn who_is_not_the_chosen_exit_speaks_for_no_site() {
    let mut lab = Lab::with(&["b", "c"]);
    for exit in [0, 1] {
        offer(&mut lab, exit, &["0.0.0.0/0", "::/0"]);
    }
    choose(&mut lab, 2, Some(1));
    assert!(!is_answered(&mut lab, 0, 2, SITES[0]));
    assert_eq!(lab.drops(2, DropReason::SourceCheck), 1);
    assert!(is_answered(&mut lab, 1, 2, SITES[0]));
}

#[test]
fn a_lost_exit_is_replaced_by_nothing_and_said() {
    let mut lab = Lab::with(&["b", "c", "d"]);
    for exit in [1, 3] {
        offer(&mut lab, exit, &["0.0.0.0/0"]);
    }
    choose(&mut lab, 2, Some(1));
    assert_eq!(came_by(&mut lab, 2, SITES[1]), None, "a family that the exit does not have goes nowhere");
    let problem =
        |lab: &Lab| lab.view(2).problems.into_iter().find(|problem| problem.contains("leaves by b"));
    assert_eq!(problem(&lab), None);
    lab.machines[1].is_up = false;
    lab.run(60 * SECOND);
    assert_eq!(came_by(&mut lab, 2, SITES[0]), None);
    assert!(problem(&lab).unwrap().contains("does not answer"));
    lab.restart(1);
    offer(&mut lab, 1, &["0.0.0.0/0"]);
    lab.run(20 * SECOND);
    lab.received(1);
    assert_eq!(came_by(&mut lab, 2, SITES[0]), Some(1));
    offer(&mut lab, 1, &[]);
    assert!(stays(&mut lab, 2, SITES[0]), "it is not even sent");
    assert!(problem(&lab).unwrap().contains("does not offer"));
    lab.command(0, |node, now| node.revoke("b", now)).unwrap();
    lab.run(SECOND);
    assert!(stays(&mut lab, 2, SITES[0]));
    assert_eq!(lab.machines[2].node.exit().unwrap().state, ExitState::Gone);
    choose(&mut lab, 2, Some(3));
    assert_eq!((came_by(&mut lab, 2, SITES[0]), problem(&lab)), (Some(3), None));
}

#[test]
fn only_who_offers_to_be_an_exit_can_be_chosen() {
    let mut lab = Lab::with(&["b", "c"]);
    offer(&mut lab, 1, &["::/0"]);
    let node = &lab.machines[2].node;
    assert_eq!(node.select_exit("a"), Err(CommandError::NoExit("a".parse().unwrap())));
    assert_eq!(node.select_exit("c"), Err(CommandError::Oneself("c".parse().unwrap())));
    assert!(matches!(node.select_exit("nobody"), Err(CommandError::NoSuchNode(_))));
    assert!(node.select_exit("b").is_ok());
    let exits: Vec<_> =
        node.exits().into_iter().map(|exit| (exit.name.to_string(), exit.is_chosen)).collect();
    assert_eq!(exits, [("b".to_owned(), false)]);
    assert!(stays(&mut lab, 0, SITES[0]));
    choose(&mut lab, 2, Some(1));
    assert!(stays(&mut lab, 2, SITES[0]), "a family that the exit does not have");
    assert_eq!(came_by(&mut lab, 2, SITES[1]), Some(1));
}
