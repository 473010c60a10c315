//! What lets two machines behind NATs meet besides punching: a member that vouches, a mapped port, IPv6.

use std::time::Duration;

use netns_tests::{
    Asked, Conduct, Internet, Ipv6, Machine, NatKind, PathKind, Plan, Router, Underlay, await_path,
    wait_until,
};

/// A path that nothing stands in the way of is found within this.
const FOUND: Duration = Duration::from_secs(20);
/// UPnP is asked for when the other two have been silent for a while.
const MAPPED: Duration = Duration::from_secs(60);

fn home(internet: &Internet, plan: impl Into<Plan>) -> Router {
    internet.home(plan.into().wire(Conduct::delay_ms(10)))
}

/// Nobody can dial the issuer, and nothing that the two send reaches the other: an anchor puts the joiner through.
#[test]
fn a_machine_joins_by_an_invite_from_behind_a_nat() {
    let internet = Internet::new();
    let [founder, anchor] = internet.anchors(["founder", "anchor"]);
    let routers = [NatKind::PortRestricted, NatKind::PortRestrictedX].map(|kind| home(&internet, kind));
    let (issuer, joiner) = (routers[0].machine("issuer"), routers[1].machine("joiner"));
    let up = issuer.join(&founder.invite(&["--role", "admin"]));
    for known in [&founder, &anchor] {
        await_path(&issuer, known.name(), FOUND, PathKind::is_direct);
    }
    internet.cut(&routers[0], &routers[1]);
    let invite = issuer.invite(&[]);
    // The founder could put it through as well; that an anchor is enough is what this is about.
    founder.stop();
    let joined = joiner.join(&invite);
    joiner.must_ping(up.v4.into());
    await_path(&joiner, "issuer", FOUND, |path| *path == PathKind::Via(vec!["anchor".into()]));
    internet.mend(&routers[0], &routers[1]);
    await_path(&joiner, "issuer", Duration::from_secs(60), PathKind::is_direct);
    issuer.must_ping(joined.v6.into());
    let said = issuer.stop().stderr;
    assert!(said.contains("enrolled node=joiner"), "somebody else has enrolled it: {said}");
}

/// Two NATs that no punch opens; one of them is asked for a port.
#[test]
fn a_mapped_port_makes_a_path_direct_that_punching_does_not() {
    for (asked, protocol) in [(Asked::ByPcp, "PCP"), (Asked::ByUpnp, "UPnP")] {
        let internet = Internet::new();
        let [anchor] = internet.anchors(["anchor"]);
        let routers = [home(&internet, NatKind::SymRandom), home(&internet, NatKind::SymRandom)];
        let (a, b) = (routers[0].machine("a"), routers[1].machine("b"));
        let _daemon = routers[0].map_ports(asked);
        let up = a.join(&anchor.invite(&[]));
        let external = wait_until("the router has mapped a port", MAPPED, || {
            let told = a.json(&["netcheck"])["port_mapping"].clone();
            (told["protocol"] == protocol).then(|| told["external"].as_str().map(str::to_owned))?
        });
        assert_eq!(external, format!("{}:{}", routers[0].wan4(), up.port));
        b.join(&anchor.invite(&[]));
        b.must_ping(up.v4.into());
        let external = external.parse().expect("IP:PORT");
        await_path(&b, "a", FOUND, |path| *path == PathKind::Direct(external));
        await_path(&a, "b", FOUND, PathKind::is_direct);
    }
}

/// What IPv4 forbids, IPv6 allows: both firewalls let in what answers.
#[test]
fn two_homes_with_ipv6_firewalls_meet_over_ipv6() {
    let internet = Internet::new();
    let anchor = internet.public_on("anchor", Underlay::Dual, None);
    anchor.up();
    let plan = Plan::new(NatKind::SymRandom).ipv6(Ipv6::Firewall);
    let routers = [home(&internet, plan.clone()), home(&internet, plan)];
    let (a, b) = (routers[0].machine("a"), routers[1].machine("b"));
    let ups = [&a, &b].map(|machine| machine.join(&anchor.invite(&[])));
    a.must_ping(ups[1].v4.into());
    let to = |machine: &Machine, path: &PathKind| match path {
        PathKind::Direct(remote) => machine.underlay6().is_some_and(|own| remote.ip() == own),
        PathKind::Via(_) | PathKind::None => false,
    };
    await_path(&a, "b", FOUND, |path| to(&b, path));
    await_path(&b, "a", FOUND, |path| to(&a, path));
    b.must_ping(ups[0].v6.into());
}
