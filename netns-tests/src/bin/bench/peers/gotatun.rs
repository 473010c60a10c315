//! Mullvad's WireGuard in Rust.

use netns_tests::Machine;

use super::{Peer, Program, Tunnel, wireguard};

pub(crate) const PEER: Peer = Peer {
    name: "gotatun",
    program: Program::Other {
        name: "gotatun",
        with: &["wg"],
        from: "built from its sources, Debian package wireguard-tools",
    },
    up,
};

fn up(machines: &[Machine; 2], mtu: Option<u16>) -> Tunnel {
    wireguard::up(machines, mtu, |device| {
        vec!["env", "WG_SUDO=1", "gotatun", "-f", "--disable-drop-privileges", "-v", "error", device]
    })
}
