//! Nodes behind routers that share addresses, forget, reboot and move. That they meet at all is the matrix's business.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use netns_tests::{
    Conduct, Internet, Machine, NatKind, PathKind, Plan, Process, Router, Up, await_path, ping, stop_ping,
};

/// A path that nothing stands in the way of is found within this.
const FOUND: Duration = Duration::from_secs(20);
/// Traffic goes on so long after a router has forgotten or moved, in seconds.
const RESUMED_S: f64 = 1.0;
/// Where the peer's NAT lets nobody in from a new address, another path takes over within this, in seconds.
const REPLACED_S: f64 = 2.0;
/// Keepalive of mappings that live for five seconds.
const SHORTEST_S: f64 = 4.0;
/// It is measured downwards from 25 s, and each silence takes its time.
const MEASURED: Duration = Duration::from_secs(180);

/// Waits until a machine knows how short its mappings live.
fn await_keepalive(machine: &Machine) {
    let start = Instant::now();
    loop {
        let told = machine.json(&["netcheck"])["keepalive_s"].as_f64();
        if told.is_some_and(|s| s <= SHORTEST_S) {
            return;
        }
        assert!(start.elapsed() < MEASURED, "{} keeps mappings alive every {told:?} s", machine.name());
        std::thread::sleep(Duration::from_millis(500));
    }
}

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

/// Pings that go on, the first of them answered.
fn pings(from: &Machine, to: Ipv4Addr) -> Process {
    let running = from.ping_on(to.into(), 20);
    more(&running, 1);
    running
}

/// Waits for so many more answers.
fn more(running: &Process, count: usize) {
    let answers = |text: &str| text.matches("bytes from").count();
    let goal = answers(&running.stdout()) + count;
    let found = running.wait_stdout(Duration::from_secs(30), |text| (answers(text) >= goal).then_some(()));
    assert!(found.is_some(), "no answers: {}", running.stdout());
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

#[test]
fn two_homes_with_one_range_behind_one_carrier() {
    for (kind, hairpin) in [(NatKind::FullConeHairpin, true), (NatKind::PortRestricted, false)] {
        let internet = Internet::new();
        let [anchor] = internet.anchors(["anchor"]);
        let carrier = internet.home(Plan::new(kind).carrier().wire(Conduct::delay_ms(10)));
        let homes = [carrier.home(NatKind::PortRestricted), carrier.home(NatKind::PortRestricted)];
        let (a, b) = (homes[0].machine("a"), homes[1].machine("b"));
        assert_eq!(a.underlay(), b.underlay(), "each is at home where the other seems to be");
        let [up, joined] = join(&anchor, [&a, &b]);
        a.must_ping(joined.v4.into());
        b.must_ping(up.v4.into());
        if hairpin {
            await_path(&a, "b", FOUND, |path| remote(path) == Some(carrier.wan4().into()));
        } else {
            await_path(&a, "b", FOUND, |path| *path == PathKind::Via(vec!["anchor".into()]));
        }
    }
}

#[test]
fn a_mapping_that_lives_for_five_seconds_is_kept() {
    let internet = Internet::new();
    let [anchor, public] = internet.anchors(["anchor", "public"]);
    let routers = [home(&internet, NatKind::PortRestricted), home(&internet, NatKind::PortRestricted)];
    for router in &routers {
        router.set_lifetime_s(5);
    }
    let (a, b) = (routers[0].machine("a"), routers[1].machine("b"));
    let [up, joined] = join(&anchor, [&a, &b]);
    a.must_ping(joined.v4.into());
    await_path(&a, "b", FOUND, PathKind::is_direct);
    for machine in [&a, &b] {
        await_keepalive(machine);
    }
    // Nobody says anything for two lifetimes: that time is what this is about.
    std::thread::sleep(Duration::from_secs(10));
    for from in [&public, &b] {
        let text = ping(from, up.v4.into(), 3);
        assert_eq!(text.received, 3, "{} does not reach a: {}", from.name(), text.text);
    }
}

/// Traffic from a home to `far` goes on when something happens to the home's router.
fn survives(
    internet: &Internet,
    anchor: &Machine,
    far: (&Machine, Ipv4Addr),
    resumed_s: f64,
    happens: impl Fn(&Router),
) {
    let router = home(internet, NatKind::PortRestricted);
    let a = router.machine("a");
    let up = a.join(&anchor.invite(&[]));
    let running = pings(&a, far.1);
    let mut away = Duration::ZERO;
    for _ in 0..2 {
        await_path(&a, far.0.name(), FOUND, PathKind::is_direct);
        more(&running, 50);
        let start = Instant::now();
        happens(&router);
        away = away.max(start.elapsed());
        more(&running, 50);
        await_path(far.0, "a", FOUND, |path| remote(path) == Some(router.wan4().into()));
    }
    far.0.must_ping(up.v4.into());
    let told = stop_ping(running);
    let (gap_s, away_s) = (told.longest_gap_s(), away.as_secs_f64());
    assert!(gap_s <= away_s + resumed_s, "stood still for {gap_s} s, the router for {away_s} s");
}

/// What a router may do: forget everything, get another address.
const HAPPENS: [fn(&Router); 2] = [Router::reboot, Router::renumber];

#[test]
fn a_router_reboots_or_moves_while_its_machine_talks_to_a_public_one() {
    for happens in HAPPENS {
        let internet = Internet::new();
        let [anchor] = internet.anchors(["anchor"]);
        let public = internet.public("public");
        let joined = public.join(&anchor.invite(&[]));
        survives(&internet, &anchor, (&public, joined.v4), RESUMED_S, happens);
    }
}

#[test]
fn a_router_reboots_or_moves_while_its_machine_talks_to_one_in_another_home() {
    for happens in HAPPENS {
        let internet = Internet::new();
        let [anchor] = internet.anchors(["anchor"]);
        let router = home(&internet, NatKind::PortRestrictedX);
        let other = router.machine("other");
        let joined = other.join(&anchor.invite(&[]));
        survives(&internet, &anchor, (&other, joined.v4), REPLACED_S, happens);
    }
}

#[test]
fn a_machine_is_carried_from_one_home_to_another() {
    let internet = Internet::new();
    let [anchor] = internet.anchors(["anchor"]);
    let kinds = [NatKind::PortRestricted, NatKind::FullCone, NatKind::SymRandom];
    let routers = kinds.map(|kind| home(&internet, kind));
    let (a, b) = (routers[0].machine("a"), routers[1].machine("b"));
    let [_, joined] = join(&anchor, [&a, &b]);
    let running = pings(&a, joined.v4);
    for next in [2, 0] {
        a.carry_to(&routers[next]);
        more(&running, 50);
        await_path(&b, "a", FOUND, |path| remote(path) == Some(routers[next].wan4().into()));
    }
    // Besides what the cable's own change takes.
    let told = stop_ping(running);
    assert!(told.longest_gap_s() <= 2.0 * RESUMED_S, "stood still for {} s", told.longest_gap_s());
}
