//! From the start of `join` to the first ping that is answered.

use std::net::IpAddr;
use std::time::Instant;

use netns_tests::{Internet, Lab, Machine, NatKind, PathKind, await_path};

use super::{PATIENCE, address, attempt, home, p50_p95};

/// Its name in the table, and a run, which gives seconds.
type Scenario = (&'static str, fn() -> f64);
const SCENARIOS: [Scenario; 7] = [
    ("open – open", open),
    ("both behind port_restricted, an anchor issues", || behind(NatKind::PortRestricted)),
    ("the issuer behind port_restricted, an anchor vouches; joiner behind port_restricted", vouched),
    ("joiner with UDP blocked (WebSocket), an anchor issues", udp_blocked),
    ("sym_random × sym_random, over a hop", || behind(NatKind::SymRandom)),
    ("one LAN", || lan(false)),
    ("one LAN, the invite's addresses are dead (beacons alone)", || lan(true)),
];

/// Prints the table.
pub(crate) fn measure(runs: usize) {
    let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); SCENARIOS.len()];
    for _ in 0..runs {
        for ((_, run), seconds) in SCENARIOS.iter().zip(&mut seconds) {
            seconds.extend(attempt(run));
        }
    }
    println!("\n| `join` to the first answered ping | runs | p50, s | p95, s |\n|---|---|---|---|");
    for ((name, _), seconds) in SCENARIOS.iter().zip(&seconds) {
        println!("| {name} | {} of {runs} | {} |", seconds.len(), p50_p95(seconds, 2));
    }
}

/// Joins and pings, and tells how long that took.
fn join(joiner: &Machine, invite: &str, target: IpAddr) -> f64 {
    let start = Instant::now();
    joiner.join(invite);
    let pings = joiner.ping_on(target, 10);
    let answered = pings.wait_stdout(PATIENCE, |text| text.contains("bytes from").then_some(()));
    assert!(answered.is_some(), "{} gets no answer: {}", joiner.name(), pings.stdout());
    start.elapsed().as_secs_f64()
}

/// Three public members, of which the first is the founder.
fn anchors(internet: &Internet) -> [Machine; 3] {
    internet.anchors(["anchor1", "anchor2", "anchor3"])
}

/// A member that was there before, with a direct path to each anchor.
fn settle(member: &Machine, anchors: &[Machine; 3]) {
    for anchor in anchors {
        await_path(member, anchor.name(), PATIENCE, PathKind::is_direct);
        await_path(anchor, member.name(), PATIENCE, PathKind::is_direct);
    }
}

fn open() -> f64 {
    let internet = Internet::new();
    let [founder] = internet.anchors(["founder"]);
    let joiner = home(&internet, NatKind::Open).machine("joiner");
    join(&joiner, &founder.invite(&[]), address(&founder))
}

fn behind(kind: NatKind) -> f64 {
    let internet = Internet::new();
    let anchors = anchors(&internet);
    let (member, joiner) = (home(&internet, kind).machine("member"), home(&internet, kind).machine("joiner"));
    let target = member.join(&anchors[0].invite(&[])).v4;
    settle(&member, &anchors);
    join(&joiner, &anchors[0].invite(&[]), target.into())
}

fn vouched() -> f64 {
    let internet = Internet::new();
    let anchors = anchors(&internet);
    let kind = NatKind::PortRestricted;
    let (issuer, joiner) = (home(&internet, kind).machine("issuer"), home(&internet, kind).machine("joiner"));
    let target = issuer.join(&anchors[0].invite(&["--role", "admin"])).v4;
    settle(&issuer, &anchors);
    join(&joiner, &issuer.invite(&[]), target.into())
}

fn udp_blocked() -> f64 {
    let internet = Internet::new();
    let anchors = anchors(&internet);
    let joiner = home(&internet, NatKind::UdpBlocked).machine("joiner");
    join(&joiner, &anchors[0].invite(&[]), address(&anchors[0]))
}

fn lan(is_dead: bool) -> f64 {
    let lab = Lab::new();
    let (founder, joiner) = (lab.machine("founder"), lab.machine("joiner"));
    let target = founder.up().v4;
    let invite = founder.invite(&[]);
    if is_dead {
        founder.stop();
        founder.roam();
        joiner.roam();
        founder.up();
    }
    join(&joiner, &invite, target.into())
}
