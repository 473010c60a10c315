//! The lab: the real `hopmesh` binary on machines made of network namespaces.
//!
//! A [`Lab`] is a switch with two subnets and a router; an [`Internet`] routes between networks, on which there are
//! [`Router`]s of every [`NatKind`]. A [`Machine`] is a namespace plugged into one of them, with its own state
//! directory, on which the binary, `ping`, `iperf3` and sockets of the test itself run.
//! Everything a lab makes is removed when it is dropped, also after a panic; processes die with the test.
//!
//! A failed expectation of the lab itself panics with a sentence: there is nobody to hand an error to but the
//! reader of the test's output. When a test panics, each machine prints the logs of its daemons.
//!
//! Must never: touch the machine's own network namespace, signal a process that it did not start.

mod binary;
mod booted;
mod capture;
mod dice;
mod fault;
mod frame;
mod ground;
mod guest;
mod igd;
mod internet;
mod lab;
mod machine;
mod mainline;
mod meter;
mod nat_kind;
mod node;
mod observe;
mod office;
mod own_clock;
mod own_dht;
mod own_disk;
mod own_etc;
mod path;
mod ping;
mod process;
mod refusal;
mod resolver;
mod router;
mod segment;
mod traffic;
mod wire;

use std::time::{Duration, Instant};

pub use binary::hopmesh;
pub use booted::{Booted, debian};
pub use capture::{Capture, captured_udp};
pub use dice::Dice;
pub use fault::{as_nobody, with_mount};
pub use guest::Guest;
pub use igd::Asked;
pub use internet::{Internet, Public};
pub use lab::{Lab, Underlay};
pub use machine::Machine;
pub use mainline::{Implementation, Mainline};
pub use meter::{cpu_seconds, cpu_seconds_exact, median, peak_rss_kib, quantile, rss_kib, stat_ticks};
pub use nat_kind::NatKind;
pub use node::{DEADLINE, Up, drops, peer};
pub use observe::{Dependence, Observed, Outside, Ports, gets_in, heard_until, hears, mapping};
pub use office::Office;
pub use own_clock::OwnClock;
pub use own_dht::OwnDht;
pub use own_disk::OwnDisk;
pub use own_etc::OwnEtc;
pub use path::{PathKind, await_path, path_kind};
pub use ping::{Ping, ping, resumed_after_s, stop_ping};
pub use process::{Done, Process};
pub use refusal::refused;
pub use resolver::RESOLVER;
pub use router::{Ipv6, Plan, Router};
pub use traffic::{hashed_transfer, iperf_server, iperf_tcp, iperf_udp, receives};
pub use wire::{Conduct, Mischief, Tally, Wire};

/// How often a condition outside this process is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Asks `look` until it gives something, and returns it.
///
/// # Panics
/// When `patience` is over; the message names `what` was awaited.
pub fn wait_until<T>(what: &str, patience: Duration, look: impl FnMut() -> Option<T>) -> T {
    wait_for(patience, look).unwrap_or_else(|| panic!("waited {patience:?} in vain until {what}"))
}

/// Asks `look` until it gives something, and returns it; `None` when `patience` is over.
fn wait_for<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let found = look();
        if found.is_some() || start.elapsed() >= patience {
            return found;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
