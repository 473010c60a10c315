//! What is measured of a tunnel that is up, one file each.

mod idle;
mod memory;
mod ping;
mod sojourn;
mod tcp;
mod udp;

use netns_tests::{Machine, cpu_seconds};

use crate::figure::Figures;
use crate::peers::Tunnel;

/// A tunnel between two machines, and how long to look at it.
pub(crate) struct Subject<'a> {
    pub(crate) machines: &'a [Machine; 2],
    pub(crate) tunnel: &'a Tunnel,
    pub(crate) seconds: u32,
    pub(crate) is_quick: bool,
}

impl Subject<'_> {
    /// What the daemons have used so far, in seconds.
    fn cpu_s(&self) -> f64 {
        self.tunnel.daemons.iter().map(|pid| cpu_seconds(*pid)).sum()
    }
}

/// One measurement: its name, whether a noisy one is worth repeating, and how; it panics when it fails.
pub(crate) type Measure = (&'static str, bool, fn(&Subject<'_>) -> Figures);

/// In the order of running: what is loaded comes behind what is idle.
pub(crate) const ALL: [Measure; 10] = [
    ("memory idle", false, memory::idle),
    ("idle", false, idle::measure),
    ("ping", true, ping::measure),
    ("tcp", true, tcp::forward),
    ("tcp reverse", true, tcp::reverse),
    ("tcp 4", true, tcp::four),
    ("udp 1200", true, udp::large),
    ("udp 64", true, udp::small),
    ("sojourn", true, sojourn::measure),
    ("memory peak", false, memory::peak),
];
