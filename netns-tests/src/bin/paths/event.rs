//! How long traffic stands still after something has happened to a machine or its router, once that is over.

use std::net::IpAddr;
use std::time::Duration;

use netns_tests::{Internet, Machine, NatKind, PathKind, Router, await_path, quantile, resumed_after_s};

use super::{PATIENCE, attempt, home};

const DOWN: Duration = Duration::from_secs(3);
const ASLEEP: Duration = Duration::from_secs(10);

/// Its name in the table, and how to do it to a machine behind `port_restricted`, or to its router.
type Event = (&'static str, fn(&Machine, &Router));
const EVENTS: [Event; 4] = [
    ("its interface is down for 3 s", |machine, _| machine.flap(DOWN)),
    ("its daemon is stopped for 10 s", |machine, _| machine.sleep(ASLEEP)),
    ("its router forgets everything", |_, router| router.reboot()),
    ("its router gets another address", |_, router| router.renumber()),
];

/// A machine in a home, and whom it talks to.
struct Scene {
    _internet: Internet,
    _anchor: Machine,
    router: Router,
    machine: Machine,
    peers: [(Machine, IpAddr); 2],
}

/// Prints the table.
pub(crate) fn measure(runs: usize) {
    println!(
        "\n| what happens to a node behind port_restricted | peer | runs | resumed after p50, s | longest, s |"
    );
    println!("|---|---|---|---|---|");
    for (name, happens) in EVENTS {
        let scene = scene(NatKind::PortRestricted);
        for (peer, target) in &scene.peers {
            let run = || {
                for (from, to) in [(&scene.machine, peer), (peer, &scene.machine)] {
                    await_path(from, to.name(), PATIENCE, PathKind::is_direct);
                }
                resumed_after_s(&scene.machine, *target, || happens(&scene.machine, &scene.router))
            };
            row(name, peer, runs, &(0..runs).filter_map(|_| attempt(run)).collect::<Vec<_>>());
        }
    }
    let scene = scene(NatKind::Open);
    let (peer, target) = &scene.peers[1];
    let run = || {
        await_path(&scene.machine, peer.name(), PATIENCE, PathKind::is_direct);
        resumed_after_s(&scene.machine, *target, || scene.machine.readdress())
    };
    let seconds: Vec<f64> = (0..runs).filter_map(|_| attempt(run)).collect();
    row("an open node gets another address", peer, runs, &seconds);
}

fn scene(kind: NatKind) -> Scene {
    let internet = Internet::new();
    let [anchor] = internet.anchors(["anchor"]);
    let (router, other) = (home(&internet, kind), home(&internet, NatKind::PortRestrictedX));
    let machine = router.machine("a");
    let _up = machine.join(&anchor.invite(&[]));
    let peers = [internet.public("public"), other.machine("athome")].map(|peer| {
        let joined = peer.join(&anchor.invite(&[]));
        (peer, IpAddr::from(joined.v4))
    });
    Scene { _internet: internet, _anchor: anchor, router, machine, peers }
}

fn row(what: &str, peer: &Machine, runs: usize, seconds: &[f64]) {
    let figures = if seconds.is_empty() {
        "– | –".to_owned()
    } else {
        format!("{:.2} | {:.2}", quantile(seconds, 0.5), quantile(seconds, 1.0))
    };
    let peer = if peer.name() == "public" { "public" } else { "in another home" };
    println!("| {what} | {peer} | {} of {runs} | {figures} |", seconds.len());
}
