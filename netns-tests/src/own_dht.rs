//! A DHT of our own: `hopmesh dht-node` on public machines of the internet.

use std::net::SocketAddrV4;

use crate::{DEADLINE, Internet, Machine, Process};

/// What `dht-node` listens on.
const PORT: u16 = 6881;

/// Three nodes that know each other.
pub struct OwnDht {
    nodes: Vec<(Machine, Process)>,
    entry: SocketAddrV4,
}

impl OwnDht {
    /// Starts them on machines of their own.
    ///
    /// # Panics
    /// When one does not come up.
    #[must_use]
    pub fn new(internet: &Internet) -> Self {
        let mut nodes: Vec<(Machine, Process)> = vec![];
        let mut entry: Option<SocketAddrV4> = None;
        for name in ["dht1", "dht2", "dht3"] {
            let machine = internet.public(name);
            let listen = SocketAddrV4::new(machine.underlay4().expect("all of them have IPv4"), PORT);
            let listens = listen.to_string();
            let mut words = vec!["dht-node", "--listen", &listens];
            let first = entry.map(|entry| entry.to_string());
            if let Some(first) = &first {
                words.extend(["--bootstrap", first]);
            }
            let process = machine.launch(&[], &words, None);
            let said = process.wait_stdout(DEADLINE, |text| text.contains("listen").then_some(()));
            said.expect("a DHT node says where it listens");
            entry.get_or_insert(listen);
            nodes.push((machine, process));
        }
        Self { nodes, entry: entry.expect("there are three") }
    }

    /// A configuration that enters it, and knows no other carrier.
    #[must_use]
    pub fn toml(&self) -> String {
        format!(
            "[lan]\nenabled = false\n[dht]\nbootstrap = [\"{}\"]\n[port_mapping]\nenabled = false\n",
            self.entry
        )
    }

    /// Takes the node away by which the configuration enters it.
    pub fn lose_entry(&mut self) {
        self.nodes.remove(0);
    }
}
