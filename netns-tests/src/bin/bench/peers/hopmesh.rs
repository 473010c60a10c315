//! Hopmesh by its own command line. It asks nobody outside: there is no router and no DHT on the cable.

use netns_tests::{Machine, Up};

use super::{CLEAN, Peer, Program, Tunnel};

pub(crate) const PEER: Peer = Peer { name: "hopmesh", program: Program::Hopmesh, up };

fn up(machines: &[Machine; 2], mtu: Option<u16>) -> Tunnel {
    let mtu = mtu.map_or_else(String::new, |mtu| format!("[interface]\nmtu = {mtu}\n"));
    let [a, b] = machines;
    let founded = node(a, &mtu, &["up"]);
    let joined = node(b, &mtu, &["join", &a.invite(&[])]);
    Tunnel {
        targets: [founded.v4.into(), joined.v4.into()],
        daemons: vec![a.pid(), b.pid()],
        running: vec![],
    }
}

/// Starts a node with these words, which asks nobody outside and has this `besides` in its configuration.
pub(crate) fn node(machine: &Machine, besides: &str, words: &[&str]) -> Up {
    machine.configure(&format!("[dht]\nenabled = false\n[port_mapping]\nenabled = false\n{besides}"));
    let words = [words, &["--node-name", machine.name()]].concat();
    machine.adopt(machine.launch(&CLEAN, &words, None))
}
