//! A port mapped by a real router: miniupnpd over nftables, which speaks PCP, NAT-PMP and UPnP.
//!
//! ```text
//! home 192.168.1.7 ── lan [router, a symmetric NAT with random ports] eth0 45.83.7.1 ── switch ── outside
//! ```
//!
//! The actor runs in the test itself, whose thread lives at home: leases of seconds stand for those of hours.

#![expect(clippy::unwrap_used, reason = "in a test, a panic that names the line is what is wanted")]

mod house;

use std::net::{Ipv4Addr, SocketAddr};

use hopmesh::io::netlink::Netlink;
use hopmesh::reach::port_mapping::{Answer, Event, Network, Outcome, Params, PortMapping, Protocol};
use netns_tests::{Process, wait_until};

use house::{ADDRESS, ALL_PROTOCOLS, ALLOW, DENY, GATEWAY, HOME, House, OUTSIDE, PATIENCE, PORT, SHORT_S};

/// The whole life of a mapping.
fn is_kept_and_given_back(protocol: Protocol) {
    let mut house = House::new();
    house.serve(&[ADDRESS, ALL_PROTOCOLS, ALLOW]);
    let to = SocketAddr::from((OUTSIDE, PORT));
    house.expect_closed(to);

    let mut actor = house.actor(SHORT_S, &[protocol], HOME);
    let first = house.mapped(&mut actor);
    assert_eq!((first.external, first.protocol), (to, protocol));
    assert!(!first.is_behind_another_nat());
    house.expect_open(to);

    // Every 2 s: after the third renewal, the first lease of 4 s is over.
    let mut before = first;
    for _ in 0..3 {
        let renewed = house.mapped(&mut actor);
        assert_eq!(renewed.external, to);
        assert!(renewed.expires > before.expires, "{renewed:?} after {before:?}");
        before = renewed;
    }
    house.expect_open(to);
    assert_eq!(house.mapped_ports(), 1);

    house.close(actor);
    assert_eq!(house.mapped_ports(), 0);
    house.expect_closed(to);
}

#[test]
fn a_port_mapped_by_pcp_is_kept_and_given_back() {
    is_kept_and_given_back(Protocol::Pcp);
}

#[test]
fn a_port_mapped_by_nat_pmp_is_kept_and_given_back() {
    is_kept_and_given_back(Protocol::NatPmp);
}

#[test]
fn a_port_mapped_by_upnp_is_kept_and_given_back() {
    is_kept_and_given_back(Protocol::Upnp);
}

#[test]
fn without_us_a_mapping_ends_by_itself() {
    let mut house = House::new();
    house.serve(&[ADDRESS, ALL_PROTOCOLS, ALLOW]);
    for protocol in Protocol::ALL {
        let mut actor = house.actor(SHORT_S, &[protocol], HOME);
        let _ = house.mapped(&mut actor);
        assert_eq!(house.mapped_ports(), 1, "{protocol:?}");
        drop(actor);
        let gone = || (house.mapped_ports() == 0).then_some(());
        wait_until("the lease ends", PATIENCE, gone);
    }
}

#[test]
fn a_router_with_upnp_alone_is_found_after_the_others() {
    let mut house = House::new();
    house.serve(&[ADDRESS, "enable_upnp=yes\nenable_natpmp=no\n", ALLOW]);
    // As the driver does it.
    let found = house.runtime.block_on(async { Netlink::open().unwrap().default_gateway().await.unwrap() });
    let found = found.expect("home has a default route");
    assert_eq!((found.gateway, found.local), (GATEWAY, HOME));
    let mut actor = {
        let _runtime = house.runtime.enter();
        PortMapping::start(Params::new(PORT.try_into().expect("not 0")))
    };
    actor.set_network(Some(Network { gateway: found.gateway, local: found.local }));
    let report = house.result(&mut actor);
    let answers = [
        (Protocol::Pcp, Answer::Silent),
        (Protocol::NatPmp, Answer::Silent),
        (Protocol::Upnp, Answer::Given),
    ];
    assert_eq!(report.answers, answers, "{report}");
    house.expect_open(SocketAddr::from((OUTSIDE, PORT)));
    house.close(actor);
    assert_eq!(house.mapped_ports(), 0);
}

/// Asks, expects no from each of `protocols`, and gives the report's sentence.
fn refused(parts: &[&str], protocols: &[Protocol]) -> String {
    let mut house = House::new();
    house.serve(parts);
    let mut actor = house.actor(SHORT_S, protocols, HOME);
    let report = house.result(&mut actor);
    let said = report.to_string();
    assert!(matches!(report.outcome, Outcome::Failed { .. }), "{report:?}");
    assert_eq!(report.answers.iter().map(|(protocol, _)| *protocol).collect::<Vec<_>>(), protocols);
    let refused = report.answers.iter().all(|(_, answer)| matches!(answer, Answer::Refused(_)));
    let log = || house.daemon.as_ref().map(Process::stderr).unwrap_or_default();
    assert!(refused, "{said}\n{}", log());
    assert_eq!(house.mapped_ports(), 0);
    house.close(actor);
    said
}

#[test]
fn a_router_that_may_not_is_quoted() {
    // For the other protocols miniupnpd first looks through all 65,535 ports for one that is not denied.
    let said = refused(&[ADDRESS, ALL_PROTOCOLS, DENY], &[Protocol::Upnp]);
    assert!(said.starts_with("192.168.1.1 maps no port to us: UPnP says: "), "{said}");
    assert!(said.contains("not authorized"), "{said}");
}

#[test]
fn a_router_behind_another_nat_is_quoted() {
    // Its only address outside is one for documentation, which miniupnpd takes for private.
    let said = refused(&[ALL_PROTOCOLS, ALLOW], &Protocol::ALL);
    assert!(
        said.contains("PCP says: ") && said.contains("; NAT-PMP says: ") && said.contains("; UPnP says: "),
        "{said}"
    );
}

#[test]
fn a_port_that_somebody_else_has_is_replaced_by_another() {
    for protocol in Protocol::ALL {
        let mut house = House::new();
        house.serve(&[ADDRESS, ALL_PROTOCOLS, ALLOW, "secure_mode=no\n"]);
        // A neighbour, whom UPnP without secure mode lets us speak for.
        house.home.ip("addr add 192.168.1.8/24 dev eth0");
        let mut neighbour = house.actor(7200, &[Protocol::Upnp], Ipv4Addr::new(192, 168, 1, 8));
        assert_eq!(house.mapped(&mut neighbour).external.port(), PORT);
        let mut actor = house.actor(7200, &[protocol], HOME);
        let external = house.mapped(&mut actor).external;
        assert_ne!(external.port(), PORT, "{protocol:?}");
        house.expect_open(external);
        house.close(actor);
        assert_eq!(house.mapped_ports(), 1, "{protocol:?}: the neighbour keeps his");
        house.close(neighbour);
    }
}

#[test]
fn a_router_that_restarted_is_asked_again() {
    for protocol in Protocol::ALL {
        let mut house = House::new();
        house.serve(&[ADDRESS, ALL_PROTOCOLS, ALLOW]);
        let mut actor = house.actor(SHORT_S, &[protocol], HOME);
        let _ = house.mapped(&mut actor);
        house.daemon = None;
        let _gone = house.router.run(&["nft", "flush", "table", "inet", "mini"]).ok();
        assert_eq!(house.mapped_ports(), 0);
        house.serve(&[ADDRESS, ALL_PROTOCOLS, ALLOW]);
        // By a renewal, or from the beginning where the daemon is at another port than before.
        let external = loop {
            if let Event::Mapped(mapping) = house.event(&mut actor) {
                break mapping.external;
            }
        };
        house.expect_open(external);
        house.close(actor);
        assert_eq!(house.mapped_ports(), 0, "{protocol:?}");
    }
}
