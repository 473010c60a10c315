//! Five machines that all joined through the first: each talks to each directly, and needs the first no more.

use std::net::SocketAddr;
use std::time::Duration;

use netns_tests::{DEADLINE, Lab, Machine, Underlay, Up, peer, wait_until};

/// Two of the five have no IPv4 underlay, so their paths are IPv6.
const UNDERLAYS: [Underlay; 5] = [Underlay::Dual, Underlay::Dual, Underlay::Dual, Underlay::V6, Underlay::V6];
const NAMES: [&str; 5] = ["one", "two", "three", "four", "five"];

fn network(lab: &Lab) -> Vec<(Machine, Up)> {
    let mut nodes: Vec<(Machine, Up)> = Vec::new();
    for (name, underlay) in NAMES.into_iter().zip(UNDERLAYS) {
        let machine = lab.machine_on(name, underlay);
        let up = match nodes.first() {
            None => machine.up(),
            Some((first, _)) => machine.join(&first.invite(&[])),
        };
        nodes.push((machine, up));
    }
    nodes
}

fn all_pairs_ping(nodes: &[(Machine, Up)]) {
    for (from, _) in nodes {
        for (to, up) in nodes {
            if from.name() != to.name() {
                up.addresses().into_iter().for_each(|address| from.must_ping(address));
            }
        }
    }
}

/// Waits until `from` sees `to` connected directly, at an address that `to` has.
fn is_direct(from: &Machine, to: &(Machine, Up)) {
    let what = format!("{} has a direct path to {}", from.name(), to.0.name());
    let remote: SocketAddr = wait_until(&what, DEADLINE, || {
        let status = from.status();
        let found = peer(&status, to.0.name());
        let direct = found["state"] == "connected" && found["path"]["kind"] == "direct";
        direct
            .then(|| found["path"]["remote"].as_str().map(str::parse))?
            .map(|parsed| parsed.expect("IP:PORT"))
    });
    assert!(to.0.underlay().contains(&remote.ip()), "{what}, but at {remote}");
    assert_eq!(remote.port(), to.1.port);
}

#[test]
fn each_talks_to_each_and_the_founder_is_not_needed() {
    let lab = Lab::new();
    let mut nodes = network(&lab);
    let mut addresses: Vec<_> = nodes.iter().flat_map(|(_, up)| up.addresses()).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 10, "no address is given twice: {addresses:?}");
    for (machine, _) in &nodes {
        let what = format!("{} knows all others", machine.name());
        wait_until(&what, DEADLINE, || {
            (machine.status()["peers"].as_array()?.len() == nodes.len() - 1).then_some(())
        });
    }
    all_pairs_ping(&nodes);
    for (from, _) in &nodes {
        nodes.iter().filter(|to| to.0.name() != from.name()).for_each(|to| is_direct(from, to));
    }

    let (founder, _) = nodes.remove(0);
    founder.kill();
    all_pairs_ping(&nodes);
    // Also a node that starts anew finds the others without the founder.
    let (three, before) = &nodes[1];
    three.stop();
    let again = three.up();
    assert_eq!(again.id, before.id);
    all_pairs_ping(&nodes);
    let status = nodes[0].0.status();
    wait_until("the killed founder counts as offline", Duration::from_secs(60), || {
        (peer(&nodes[0].0.status(), "one")["state"] != "connected").then_some(())
    });
    assert_eq!(status["problems"], serde_json::json!([]), "one node away is no problem of another");
}
