//! Machines whose network goes away and comes back, or which sleep: traffic goes on as soon as it can.

use std::time::Duration;

use netns_tests::{
    Conduct, Internet, Machine, NatKind, PathKind, Plan, Router, await_path, resumed_after_s, wait_until,
};

/// A path that nothing stands in the way of is found within this.
const FOUND: Duration = Duration::from_secs(20);
/// Traffic goes on so long after the network is back, in seconds.
const RESUMED_S: f64 = 1.0;

/// Somebody in a home, and whom it talks to: a public machine, and one in another home.
struct Scene {
    _internet: Internet,
    _routers: [Router; 2],
    anchor: Machine,
    a: Machine,
    others: [Machine; 2],
}

fn scene() -> Scene {
    let internet = Internet::new();
    let [anchor] = internet.anchors(["anchor"]);
    let routers = [NatKind::PortRestricted, NatKind::PortRestrictedX]
        .map(|kind| internet.home(Plan::new(kind).wire(Conduct::delay_ms(10))));
    let a = routers[0].machine("a");
    let others = [internet.public("public"), routers[1].machine("other")];
    Scene { _internet: internet, _routers: routers, anchor, a, others }
}

/// Lets something happen to a machine in a home twice for each peer, while one of the two talks.
fn survives(happens: fn(&Machine)) {
    let scene = scene();
    let up = scene.a.join(&scene.anchor.invite(&[]));
    for other in &scene.others {
        let joined = other.join(&scene.anchor.invite(&[]));
        for (from, to, target) in [(&scene.a, other, joined.v4), (other, &scene.a, up.v4)] {
            from.await_ping(target.into(), FOUND);
            await_path(from, to.name(), FOUND, PathKind::is_direct);
            await_path(to, from.name(), FOUND, PathKind::is_direct);
            let pid = scene.a.pid();
            let resumed_s = resumed_after_s(from, target.into(), || happens(&scene.a));
            assert!(
                resumed_s <= RESUMED_S,
                "{} does not reach {} for {resumed_s:.2} s after it is back",
                from.name(),
                to.name()
            );
            assert_eq!(scene.a.pid(), pid);
        }
    }
}

#[test]
fn an_interface_goes_down_and_comes_up() {
    survives(|machine| machine.flap(Duration::from_secs(3)));
}

#[test]
fn a_machine_sleeps_and_wakes() {
    survives(|machine| machine.sleep(Duration::from_secs(10)));
}

/// As a provider does it that gives another address; nobody but the machine itself knows.
#[test]
fn an_open_machine_gets_another_address() {
    let internet = Internet::new();
    let [anchor, open] = internet.anchors(["anchor", "open"]);
    let other =
        internet.home(Plan::new(NatKind::PortRestricted).wire(Conduct::delay_ms(10))).machine("other");
    let joined = other.join(&anchor.invite(&[]));
    let up = open.status();
    let own: std::net::IpAddr =
        up["node"]["addresses"][0].as_str().expect("it has addresses").parse().expect("an address");
    for (from, to, target) in [(&open, "other", joined.v4.into()), (&other, "open", own)] {
        from.await_ping(target, FOUND);
        await_path(from, to, FOUND, PathKind::is_direct);
        let resumed_s = resumed_after_s(from, target, || open.readdress());
        assert!(
            resumed_s <= RESUMED_S,
            "{} does not reach {to} for {resumed_s:.2} s after the change",
            from.name()
        );
        wait_until("the other end says the new address", FOUND, || {
            let PathKind::Direct(remote) = netns_tests::path_kind(&other, "open") else { return None };
            open.underlay().contains(&remote.ip()).then_some(())
        });
    }
}
