//! The first of WireGuard's family in userspace; Debian's is older than its offload.

use netns_tests::Machine;

use super::{Peer, Program, Tunnel, wireguard};

pub(crate) const PEER: Peer = Peer {
    name: "wireguard-go",
    program: Program::Other {
        name: "wireguard-go",
        with: &["wg"],
        from: "Debian packages wireguard-go and wireguard-tools",
    },
    up,
};

fn up(machines: &[Machine; 2], mtu: Option<u16>) -> Tunnel {
    wireguard::up(machines, mtu, |device| vec!["env", "LOG_LEVEL=error", "wireguard-go", "-f", device])
}
