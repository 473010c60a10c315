//! Cloudflare's WireGuard in Rust.

use netns_tests::Machine;

use super::{Peer, Program, Tunnel, wireguard};

pub(crate) const PEER: Peer = Peer {
    name: "boringtun",
    program: Program::Other {
        name: "boringtun-cli",
        with: &["wg"],
        from: "`cargo install boringtun-cli`, Debian package wireguard-tools",
    },
    up,
};

fn up(machines: &[Machine; 2], mtu: Option<u16>) -> Tunnel {
    wireguard::up(machines, mtu, |device| {
        vec!["env", "WG_SUDO=1", "boringtun-cli", "-f", "--disable-drop-privileges", device]
    })
}
