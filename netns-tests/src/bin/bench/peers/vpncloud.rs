//! vpncloud between TUN devices, with the cipher that it finds the fastest.

use netns_tests::Machine;

use super::{INSIDE, Peer, Program, Tunnel, address, start, underlay};

pub(crate) const PEER: Peer = Peer {
    name: "vpncloud",
    program: Program::Other { name: "vpncloud", with: &[], from: "package vpncloud of its project" },
    up,
};

const DEVICE: &str = "vpncloud0";
const PORT: &str = "3210";

fn up(machines: &[Machine; 2], mtu: Option<u16>) -> Tunnel {
    let [a, b] = machines;
    let first = format!("{}:{PORT}", underlay(a));
    let running = vec![start_end(a, 0, &[]), start_end(b, 1, &["-c", &first])];
    let tunnel = Tunnel::of(running);
    for (i, machine) in machines.iter().enumerate() {
        // Its own `--ip` sets a wrong address when it was built by a present compiler.
        address(machine, DEVICE, i, mtu);
    }
    tunnel
}

fn start_end(machine: &Machine, which: usize, besides: &[&str]) -> netns_tests::Process {
    let claim = format!("{}/32", INSIDE[which]);
    let words = ["vpncloud", "-t", "tun", "-d", DEVICE, "--no-auto-claim", "--claim", &claim, "-p", "bench"];
    start(machine, &[&words[..], &["-l", PORT, "--no-port-forwarding"], besides].concat())
}
