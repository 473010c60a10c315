//! fastd with the method and the MTU that its manual recommends.

use std::fs;

use netns_tests::Machine;

use super::{Peer, Program, Tunnel, address, start, underlay};

pub(crate) const PEER: Peer = Peer {
    name: "fastd",
    program: Program::Other { name: "fastd", with: &[], from: "Debian package fastd" },
    up,
};

/// What its manual recommends over a path of 1500 bytes.
const MTU: u16 = 1406;
const DEVICE: &str = "fastd0";

/// A pair of keys.
struct Keys {
    secret: String,
    public: String,
}

fn up(machines: &[Machine; 2], mtu: Option<u16>) -> Tunnel {
    let keys = machines.each_ref().map(|machine| {
        let said = machine.run(&["fastd", "--generate-key"]).ok();
        keys(&said).expect("fastd prints a secret and a public key")
    });
    let running = (0..2).map(|i| {
        let (own, other) = (&machines[i], underlay(&machines[1 - i]));
        let path = own.folder().join("fastd.conf");
        let text = configuration(&keys[i].secret, &keys[1 - i].public, &other, mtu.unwrap_or(MTU));
        fs::write(&path, text).expect("the folder is ours");
        start(own, &["fastd", "--config", &path.display().to_string()])
    });
    let tunnel = Tunnel::of(running.collect());
    for (i, machine) in machines.iter().enumerate() {
        address(machine, DEVICE, i, None);
    }
    tunnel
}

fn configuration(secret: &str, public: &str, other: &str, mtu: u16) -> String {
    format!(
        "log level warn;\ninterface \"{DEVICE}\";\nmode tun;\nmethod \"salsa2012+umac\";\nbind any:10000;\nmtu {mtu};\n\
         secret \"{secret}\";\npeer \"other\" {{ key \"{public}\"; remote ipv4 \"{other}\":10000; }}\n"
    )
}

fn keys(said: &str) -> Option<Keys> {
    let behind =
        |label: &str| said.lines().find_map(|line| Some(line.strip_prefix(label)?.trim().to_owned()));
    Some(Keys { secret: behind("Secret:")?, public: behind("Public:")? })
}

#[cfg(test)]
mod tests {
    use super::keys;

    #[test]
    fn reads_the_keys_that_fastd_makes() {
        let made = keys("2026-01-01 00:00:00 +0000 --- Info: Reading 32 bytes\nSecret: 00ff\nPublic: 11ee\n")
            .unwrap();
        assert_eq!((made.secret.as_str(), made.public.as_str()), ("00ff", "11ee"));
        assert!(keys("Secret: 00ff\n").is_none());
    }
}
