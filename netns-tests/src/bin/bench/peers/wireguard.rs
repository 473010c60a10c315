//! What all programs of WireGuard's family have in common: keys, and `wg set` through their socket.

use std::path::Path;

use netns_tests::{Machine, wait_until};

use super::{INSIDE, PATIENCE, Tunnel, address, start, underlay};

/// What wg-quick gives an interface over a path of 1500 bytes.
const MTU: u16 = 1420;
const PORT: &str = "51820";

/// Two ends of a program that is started with the words that `words` makes of an interface's name.
pub(super) fn up(machines: &[Machine; 2], mtu: Option<u16>, words: fn(&str) -> Vec<&str>) -> Tunnel {
    // The interface's name is also that of a socket in /run/wireguard, which all namespaces share.
    let devices = ["a", "b"].map(|side| format!("hw{}{side}", std::process::id()));
    let keys = machines.each_ref().map(|machine| {
        let path = machine.folder().join("key").display().to_string();
        let _said = machine.run(&["sh", "-c", &format!("umask 077; wg genkey > {path}")]).ok();
        (path.clone(), machine.run(&["sh", "-c", &format!("wg pubkey < {path}")]).ok().trim().to_owned())
    });
    let running = (0..2).map(|i| start(&machines[i], &words(&devices[i]))).collect();
    let tunnel = Tunnel::of(running);
    for (i, device) in devices.iter().enumerate() {
        let socket = format!("/run/wireguard/{device}.sock");
        wait_until(&format!("{socket} is there"), PATIENCE, || Path::new(&socket).exists().then_some(()));
        let endpoint = format!("{}:{PORT}", underlay(&machines[1 - i]));
        let peer = ["peer", &keys[1 - i].1, "allowed-ips", INSIDE[1 - i], "endpoint", &endpoint];
        let set = ["wg", "set", device, "listen-port", PORT, "private-key", &keys[i].0];
        let _said = machines[i].run(&[&set[..], &peer].concat()).ok();
        address(&machines[i], device, i, Some(mtu.unwrap_or(MTU)));
    }
    tunnel
}
