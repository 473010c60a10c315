//! The wires of a lab: a switch with two subnets and a router between them, all in a namespace of their own.
//!
//! ```text
//! machine a ─ eth0 ══ veth ══ p1 ┐
//! machine b ─ eth0 ══ veth ══ p2 ┴ br0: 192.0.2.254/24 2001:db8::fe/64 · 198.51.100.254/24 2001:db8:1::fe/64
//! ```
//!
//! Machines start in the first subnet; [`Machine::roam`] moves one to the second.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Machine, Process};

/// Labs made by this process so far: two tests of one process must not meet.
static LABS: AtomicU32 = AtomicU32::new(0);

/// Which families a machine has an underlay address of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Underlay {
    /// IPv4 and IPv6.
    Dual,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

/// A switch to plug machines into.
pub struct Lab {
    switch: Arc<Switch>,
    plugged: AtomicU32,
}

impl Lab {
    /// A lab without machines.
    ///
    /// # Panics
    /// When not root, or when the kernel refuses.
    #[must_use]
    pub fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "the netns tests make network namespaces: run them as root"
        );
        sweep();
        let prefix = format!("hm{}x{}", std::process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(&prefix);
        fs::create_dir(&folder).unwrap_or_else(|error| panic!("cannot make {}: {error}", folder.display()));
        let switch = Switch { namespace: format!("{prefix}switch"), prefix, folder };
        ip(&format!("netns add {}", switch.namespace));
        ip_batch(
            &switch.namespace,
            "link set lo up
             link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
             addr add 192.0.2.254/24 dev br0
             addr add 198.51.100.254/24 dev br0
             addr add 2001:db8::fe/64 dev br0 nodad
             addr add 2001:db8:1::fe/64 dev br0 nodad
             link set br0 up",
        );
        in_namespace(&switch.namespace, &["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]);
        in_namespace(&switch.namespace, &["sysctl", "-q", "-w", "net.ipv6.conf.all.forwarding=1"]);
        Self { switch: Arc::new(switch), plugged: AtomicU32::new(0) }
    }

    /// A machine with IPv4 and IPv6.
    #[must_use]
    pub fn machine(&self, name: &str) -> Machine {
        self.machine_on(name, Underlay::Dual)
    }

    /// A machine with the given families only.
    #[must_use]
    pub fn machine_on(&self, name: &str, underlay: Underlay) -> Machine {
        let machine = Machine::new(Arc::clone(&self.switch), name, self.number(), underlay);
        machine.connect();
        machine
    }

    /// Two machines with both families and one cable between them, for measurements: nothing else is on the way.
    #[must_use]
    pub fn crossover(&self, names: [&str; 2]) -> [Machine; 2] {
        let new = |name| Machine::new(Arc::clone(&self.switch), name, self.number(), Underlay::Dual);
        let pair = names.map(new);
        pair[0].connect_to(&pair[1]);
        pair
    }

    fn number(&self) -> u32 {
        self.plugged.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

/// The switch; lives as long as its lab or a machine of it.
pub(crate) struct Switch {
    pub(crate) namespace: String,
    pub(crate) prefix: String,
    pub(crate) folder: PathBuf,
}

impl Drop for Switch {
    fn drop(&mut self) {
        remove_namespace(&self.namespace);
        let _already_gone = fs::remove_dir_all(&self.folder);
    }
}

/// Removes the namespaces of labs whose process was killed before it could do so.
fn sweep() {
    let Ok(listed) = fs::read_dir("/run/netns") else { return };
    for name in listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        let owner = name.strip_prefix("hm").and_then(|rest| rest.split_once('x')).map(|(pid, _)| pid);
        let Some(Ok(pid)) = owner.map(str::parse::<u32>) else { continue };
        if !Path::new(&format!("/proc/{pid}")).exists() {
            remove_namespace(&name);
        }
    }
}

pub(crate) fn remove_namespace(name: &str) {
    // Another process may have swept it already, and a panicking test must not panic again.
    let _gone = std::process::Command::new("ip").args(["netns", "del", name]).output();
}

/// Runs `ip` with the words of `line`.
pub(crate) fn ip(line: &str) {
    in_words(&std::iter::once("ip").chain(line.split_whitespace()).collect::<Vec<_>>(), None);
}

/// Runs lines of `ip` commands in a namespace.
pub(crate) fn ip_batch(namespace: &str, lines: &str) {
    in_words(&["ip", "-n", namespace, "-batch", "-"], Some(lines.as_bytes()));
}

fn in_namespace(namespace: &str, words: &[&str]) {
    in_words(&[&["ip", "netns", "exec", namespace], words].concat(), None);
}

fn in_words(words: &[&str], input: Option<&[u8]>) {
    let words: Vec<_> = words.iter().map(Into::into).collect();
    let _said = Process::start(&words, input).done(std::time::Duration::from_secs(20)).ok();
}
