//! An own Mainline DHT in the lab, which stands for the internet's: twenty nodes, each public and on a network of its
//! own, of two implementations that know nothing of each other.
//!
//! libtorrent's nodes are entered by libtorrent's alone: the crate that `hopmesh dht-node` rests on answers only
//! transaction ids of four bytes, and libtorrent's have two. Questions the other way are answered, so that whoever
//! enters by a node of ours comes to both.

use std::path::Path;
use std::time::Duration;

use crate::{Internet, Machine, Process};

/// Nodes of each kind, twenty in all: as many as the closest set of a lookup, so that each value is on most of them.
const OURS: usize = 12;
const LIBTORRENTS: usize = 8;
/// By so many nodes of a kind one enters.
const ENTRIES: usize = 3;
/// A node of libtorrent's serves when it knows so many others.
const KNOWN: usize = (LIBTORRENTS - 1) / 2;
/// The port of BitTorrent's DHT.
const PORT: u16 = 6881;
/// For whatever a busy machine takes to start twenty programs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose program a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Implementation {
    /// `hopmesh dht-node`.
    Ours,
    /// libtorrent, in a Python of the system (Debian: python3-libtorrent).
    Libtorrent,
}

/// A DHT. Dropping it ends all of its nodes.
pub struct Mainline {
    ours: Vec<(Machine, Process)>,
    libtorrents: Vec<(Machine, Process)>,
}

impl Internet {
    /// A DHT of twenty nodes on this internet; it is whole when this returns.
    ///
    /// # Panics
    /// When a node does not come up, or libtorrent's do not find each other.
    #[must_use]
    pub fn mainline(&self) -> Mainline {
        let machines: Vec<Machine> =
            (0..LIBTORRENTS).map(|number| self.public(&format!("lt{number}"))).collect();
        let listen: Vec<String> = machines.iter().map(listen).collect();
        let started = machines.into_iter().enumerate().map(|(own, machine)| {
            let process = libtorrent(&machine, own, &listen);
            (machine, process)
        });
        let libtorrents: Vec<(Machine, Process)> = started.collect();
        for (_, process) in &libtorrents {
            said(process, |text| text.lines().filter_map(known).next_back() >= Some(KNOWN));
        }
        let mut ours: Vec<(Machine, Process)> = Vec::new();
        for number in 0..OURS {
            let machine = self.public(&format!("dht{number}"));
            let process = dht_node(&machine, &[entries(&ours), entries(&libtorrents)].concat());
            ours.push((machine, process));
        }
        for (_, process) in &ours {
            said(process, |text| text.contains("listen"));
        }
        Mainline { ours, libtorrents }
    }
}

impl Mainline {
    /// Nodes to enter by, as `dht.bootstrap` wants them; all of one kind.
    #[must_use]
    pub fn entries(&self, of: Implementation) -> Vec<String> {
        entries(match of {
            Implementation::Ours => &self.ours,
            Implementation::Libtorrent => &self.libtorrents,
        })
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.ours.len() + self.libtorrents.len()
    }
}

fn entries(nodes: &[(Machine, Process)]) -> Vec<String> {
    nodes.iter().take(ENTRIES).map(|(machine, _)| listen(machine)).collect()
}

fn listen(machine: &Machine) -> String {
    format!("{}:{PORT}", machine.underlay4().expect("public machines have IPv4"))
}

fn dht_node(machine: &Machine, entries: &[String]) -> Process {
    let listen = listen(machine);
    let mut words = vec!["dht-node", "--listen", &listen];
    words.extend(entries.iter().flat_map(|entry| ["--bootstrap", entry]));
    machine.launch(&[], &words, None)
}

fn libtorrent(machine: &Machine, own: usize, all: &[String]) -> Process {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("dht_node.py");
    let script = script.to_str().expect("a plain path");
    // The Python of Debian, for which the package is; there may be another one before it in the PATH.
    let mut words = vec!["/usr/bin/python3", script, &all[own]];
    let others = all.iter().enumerate().filter(|(number, _)| *number != own);
    words.extend(others.map(|(_, listen)| listen.as_str()));
    machine.start(&words)
}

/// The count in a line of a node of libtorrent's.
fn known(line: &str) -> Option<usize> {
    line.strip_prefix("knows ")?.parse().ok()
}

fn said(process: &Process, enough: impl Fn(&str) -> bool) {
    let found = process.wait_stdout(PATIENCE, |text| enough(text).then_some(()));
    assert!(found.is_some(), "{} does not serve: {}{}", process.what(), process.stdout(), process.stderr());
}
