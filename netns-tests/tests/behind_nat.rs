//! Nodes behind routers that share addresses, forget, reboot and move. That they meet at all is the matrix's business.

use std::net::IpAddr;
use std::time::Duration;

use netns_tests::{Conduct, Internet, Machine, NatKind, PathKind, Plan, Router, Up, await_path};

/// A path that nothing stands in the way of is found within this.
const FOUND: Duration = Duration::from_secs(20);

fn remote(path: &PathKind) -> Option<IpAddr> {
    match path {
        PathKind::Direct(remote) => Some(remote.ip()),
        PathKind::Via(_) | PathKind::None => None,
    }
}

fn home(internet: &Internet, kind: NatKind) -> Router {
    internet.home(Plan::new(kind).wire(Conduct::delay_ms(10)))
}

/// Two machines that join the network of `anchor`.
fn join(anchor: &Machine, machines: [&Machine; 2]) -> [Up; 2] {
    machines.map(|machine| machine.join(&anchor.invite(&[])))
}

#[test]
fn two_machines_of_one_home_talk_inside_it() {
    let internet = Internet::new();
    let [anchor] = internet.anchors(["anchor"]);
    let router = home(&internet, NatKind::PortRestricted);
    let (a, b) = (router.machine("a"), router.machine("b"));
    let [up, joined] = join(&anchor, [&a, &b]);
    a.must_ping(joined.v4.into());
    b.must_ping(up.v4.into());
    let inside = |machine: &Machine| machine.underlay4().map(IpAddr::from);
    await_path(&a, "b", FOUND, |path| remote(path) == inside(&b));
    await_path(&b, "a", FOUND, |path| remote(path) == inside(&a));
}
