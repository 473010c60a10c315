//! Hopmesh by its own command line. It asks nobody outside: there is no router and no DHT on the cable.

use netns_tests::Machine;

use super::{CLEAN, Peer, Program, Tunnel};

pub(crate) const PEER: Peer = Peer { name: "hopmesh", program: Program::Hopmesh, up };

fn up(machines: &[Machine; 2], mtu: Option<u16>) -> Tunnel {
    let mtu = mtu.map_or_else(String::new, |mtu| format!("[interface]\nmtu = {mtu}\n"));
    for machine in machines {
        machine.configure(&format!("[dht]\nenabled = false\n[port_mapping]\nenabled = false\n{mtu}"));
    }
    let [a, b] = machines;
    let run = |machine: &Machine, words: &[&str]| {
        let words = [words, &["--node-name", machine.name()]].concat();
        machine.adopt(machine.launch(&CLEAN, &words, None))
    };
    let founded = run(a, &["up"]);
    let joined = run(b, &["join", &a.invite(&[])]);
    Tunnel {
        targets: [founded.v4.into(), joined.v4.into()],
        daemons: vec![a.pid(), b.pid()],
        running: vec![],
    }
}
