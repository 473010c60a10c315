//! No tunnel: what the cable alone carries.

use netns_tests::Machine;

use super::{Peer, Program, Tunnel, underlay};

pub(crate) const PEER: Peer = Peer { name: "veth", program: Program::Kernel, up };

fn up(machines: &[Machine; 2], _mtu: Option<u16>) -> Tunnel {
    let targets = machines.each_ref().map(|machine| underlay(machine).parse().expect("an address"));
    Tunnel { targets, daemons: Vec::new(), running: Vec::new() }
}
