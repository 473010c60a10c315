//! The tunnels that are measured, one file each: how its two ends come up on two machines with a cable between them.

mod boringtun;
mod fastd;
mod gotatun;
pub(crate) mod hopmesh;
mod veth;
mod vpncloud;
mod wireguard;
mod wireguard_go;

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use netns_tests::{Machine, Process, wait_until};
use rustix::process::Signal;

use crate::needs::is_on_path;

/// How long a tunnel may take until its interface is there, and to go.
const PATIENCE: Duration = Duration::from_secs(10);
/// In front of every daemon: backtraces and logs of the caller's wishing would be measured too.
pub(crate) const CLEAN: [&str; 7] =
    ["env", "-u", "RUST_BACKTRACE", "-u", "RUST_LIB_BACKTRACE", "-u", "RUST_LOG"];
/// Addresses in the tunnels that have none of their own.
const INSIDE: [&str; 2] = ["10.99.0.1", "10.99.0.2"];

/// One program.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    /// Brings it up on both machines, with that MTU if one is asked for; panics when it does not come up.
    pub(crate) up: fn(&[Machine; 2], Option<u16>) -> Tunnel,
}

/// What runs.
#[derive(Debug)]
pub(crate) enum Program {
    /// Nothing.
    Kernel,
    /// The binary under test.
    Hopmesh,
    /// A program of others that is looked for on PATH.
    Other {
        name: &'static str,
        /// What else it needs.
        with: &'static [&'static str],
        /// Where to get it.
        from: &'static str,
    },
}

/// In the order of the table.
pub(crate) static ALL: [Peer; 7] = [
    veth::PEER,
    hopmesh::PEER,
    wireguard_go::PEER,
    fastd::PEER,
    vpncloud::PEER,
    boringtun::PEER,
    gotatun::PEER,
];

/// The peer of that name.
pub(crate) fn named(name: &str) -> Option<&'static Peer> {
    ALL.iter().find(|peer| peer.name == name)
}

impl Peer {
    /// What it lacks to be run here, and where that is to be had.
    pub(crate) fn lacks(&self) -> Option<String> {
        let Program::Other { name, with, from } = &self.program else { return None };
        let missing: Vec<&str> =
            std::iter::once(name).chain(*with).copied().filter(|n| !is_on_path(n)).collect();
        (!missing.is_empty()).then(|| format!("no {} ({from})", missing.join(", no ")))
    }

    /// What it says of its version; empty where there is none.
    pub(crate) fn version(&self) -> String {
        let program = match &self.program {
            Program::Kernel => return String::new(),
            Program::Hopmesh => netns_tests::hopmesh(),
            Program::Other { name, .. } => (*name).into(),
        };
        let said = Command::new(program).arg("--version").output();
        let text = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
        text.lines().next().unwrap_or_default().trim().to_owned()
    }
}

/// A tunnel that is up.
pub(crate) struct Tunnel {
    /// The address of each end.
    pub(crate) targets: [IpAddr; 2],
    /// The programs whose CPU and memory count.
    pub(crate) daemons: Vec<u32>,
    running: Vec<Process>,
}

impl Tunnel {
    /// Of daemons with the addresses [`INSIDE`].
    fn of(running: Vec<Process>) -> Self {
        let targets = INSIDE.map(|address| address.parse().expect("a literal"));
        Self { targets, daemons: running.iter().map(Process::pid).collect(), running }
    }
}

impl Drop for Tunnel {
    /// Politely, so that nothing stays that lies outside of the lab, as the sockets of WireGuard's family.
    fn drop(&mut self) {
        for mut process in self.running.drain(..) {
            process.signal(Signal::TERM);
            // One that does not go is killed; that must not end the measurement.
            let _ended = crate::attempt(|| process.done(PATIENCE));
        }
    }
}

/// Starts a daemon without what the caller's environment asks of such programs.
fn start(machine: &Machine, words: &[&str]) -> Process {
    machine.start(&[&CLEAN[..], words].concat())
}

/// Waits for an interface, gives it its address and, where one is asked for, its MTU.
fn address(machine: &Machine, device: &str, which: usize, mtu: Option<u16>) {
    wait_until(&format!("{device} is there"), PATIENCE, || {
        (machine.run(&["ip", "link", "show", device]).code == Some(0)).then_some(())
    });
    let mtu = mtu.map_or_else(String::new, |mtu| format!("mtu {mtu}"));
    machine.ip(&format!("addr replace {}/24 dev {device}\nlink set {device} {mtu} up", INSIDE[which]));
}

/// The underlay's address.
fn underlay(machine: &Machine) -> String {
    machine.underlay4().expect("a crossover has IPv4").to_string()
}
