//! What an idle node behind a NAT sends and receives, by the counters of its own namespace.

use std::time::{Duration, Instant};

use netns_tests::{Internet, Machine, NatKind, Up};

use super::home;

/// After joining much is told and tried; a mapping's lifetime is being measured for longer.
const SETTLED: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(360);
/// Discovery has its own traffic, which does not grow with the number of peers.
const QUIET: &str = "[lan]\nenabled = false\n[dht]\nenabled = false\n[port_mapping]\nenabled = false\n";

/// Bytes of IP and packets, each sent and received.
#[derive(Clone, Copy)]
struct Count {
    bytes: [f64; 2],
    packets: [f64; 2],
}

/// Prints the table. Both nodes are idle at the same time.
pub(crate) fn measure(_runs: usize) {
    let internet = Internet::new();
    let few = lonely(&internet, ["x1"]);
    let other = Internet::new();
    let many = lonely(&other, ["y1", "y2", "y3", "y4"]);
    std::thread::sleep(SETTLED);
    let start = Instant::now();
    let before = [&few, &many].map(|(_, node, _)| count(node));
    std::thread::sleep(IDLE);
    let after = [&few, &many].map(|(_, node, _)| count(node));
    let hours = start.elapsed().as_secs_f64() / 3600.0;
    println!(
        "\nIdle for {:.0} s, from {:.0} s after joining on; bytes of IP at the data port, both ways.",
        hours * 3600.0,
        SETTLED.as_secs_f64()
    );
    println!(
        "\n| peers | bytes counted | per hour | per peer and hour | datagrams out, per peer and minute | keepalive interval, s |"
    );
    println!("|---|---|---|---|---|---|");
    for (((_, node, _), before), (after, peers)) in
        [&few, &many].into_iter().zip(before).zip(after.into_iter().zip([1.0, 4.0]))
    {
        let bytes: f64 = after.bytes.iter().sum::<f64>() - before.bytes.iter().sum::<f64>();
        let out = after.packets[0] - before.packets[0];
        let interval =
            node.json(&["netcheck"])["keepalive_s"].as_f64().map_or("–".to_owned(), |s| format!("{s:.1}"));
        println!(
            "| {peers} | {bytes:.0} | {:.0} | {:.0} | {:.1} | {interval} |",
            bytes / hours,
            bytes / hours / peers,
            out / hours / 60.0 / peers
        );
    }
}

/// A node behind a NAT whose peers are these.
fn lonely<const N: usize>(internet: &Internet, peers: [&str; N]) -> (Vec<Machine>, Machine, Up) {
    let peers: Vec<Machine> = peers.map(|name| internet.public(name)).into();
    for (number, machine) in peers.iter().enumerate() {
        machine.configure(QUIET);
        if number == 0 {
            machine.up()
        } else {
            machine.join(&peers[0].invite(&[]))
        };
    }
    let node = home(internet, NatKind::PortRestricted).machine("idle");
    node.configure(QUIET);
    let up = node.join(&peers[0].invite(&[]));
    let port = up.port;
    let rules = format!(
        "table inet idle {{
            counter out {{ }}
            counter in {{ }}
            chain out {{ type filter hook output priority 0; udp sport {port} counter name out; }}
            chain in {{ type filter hook input priority 0; udp dport {port} counter name in; }}
        }}"
    );
    let path = node.folder().join("idle.nft");
    std::fs::write(&path, rules).expect("the folder is ours");
    let _said = node.run(&["nft", "-f", path.to_str().expect("a plain path")]).ok();
    (peers, node, up)
}

fn count(node: &Machine) -> Count {
    let counter = |name: &str| {
        let told = node.run(&["nft", "-j", "list", "counter", "inet", "idle", name]).ok();
        let told: serde_json::Value = serde_json::from_str(&told).expect("nft -j prints JSON");
        let counter =
            told["nftables"].as_array().and_then(|all| all.iter().find_map(|one| one.get("counter")));
        let counter = counter.expect("it was made").clone();
        ["bytes", "packets"].map(|key| counter[key].as_f64().expect("a number"))
    };
    let [out, into] = [counter("out"), counter("in")];
    Count { bytes: [out[0], into[0]], packets: [out[1], into[1]] }
}
