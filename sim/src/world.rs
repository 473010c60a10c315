//! The World: machines, the network between them, virtual time, and the queue of what will happen.
//!
//! ```text
//! happening ─▶ machine: fast path, slow path ─▶ poll until Wait ─▶ datagrams, writes, a deadline ─▶ happenings
//! ```
//!
//! The files beside this one: `homes` builds the world, `carry` carries datagrams, `drive` does what the daemon does,
//! `people` what people do to machines, `services` what they publish there, `check` looks for broken promises after each step.

mod carry;
mod check;
mod drive;
mod homes;
mod people;
mod services;

pub use homes::Home;
pub use people::{Family, any_member};

use crate::ledger::Ledger;
use crate::machine::{Machine, State};
use crate::network::Network;
use crate::random::Random;
use crate::secrets::Secrets;
use crate::trace::Trace;
use crate::underlay::{Transit, Underlay};
use overlay::fastpath::Trains;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use wire::{InviteId, NodeId};

/// Wall clock at the beginning, seconds since 1970.
const UNIX_S: u64 = 1_800_000_000;

/// A promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Violation {}

/// Something that will happen.
enum Happening {
    Datagram { sender: usize, at: Transit, bytes: Vec<u8>, is_damaged: bool },
    Multicast { to: usize, from: SocketAddr, bytes: Vec<u8>, is_damaged: bool },
    Wake { machine: usize, incarnation: u32 },
    Written { machine: usize, incarnation: u32 },
}

/// The simulated world.
pub struct World {
    /// The network.
    pub network: Network,
    /// What happened.
    pub trace: Trace,
    machines: Vec<Machine>,
    underlay: Underlay,
    /// Counts addresses of the internet that were given out.
    public_addresses: u16,
    ledger: Ledger,
    secrets: Secrets,
    random: Random,
    start: Instant,
    at: Duration,
    sequence: u64,
    queue: BTreeMap<(Duration, u64), Happening>,
    /// Which machine each invite has made a member.
    enrolled: BTreeMap<InviteId, NodeId>,
    /// The latest datagrams, for those who replay them.
    overheard: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    violation: Option<Violation>,
    /// Of whichever machine sends.
    trains: Trains,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            network: Network::new(random.u64()),
            trace: Trace::default(),
            machines: vec![],
            underlay: Underlay::default(),
            public_addresses: 0,
            ledger: Ledger::new(random.bytes()),
            secrets: Secrets::default(),
            start: beginning(),
            random,
            at: Duration::ZERO,
            sequence: 0,
            queue: BTreeMap::new(),
            enrolled: BTreeMap::new(),
            overheard: vec![],
            violation: None,
            trains: Trains::new(),
        }
    }

    /// Virtual time since the beginning.
    #[must_use]
    pub fn at(&self) -> Duration {
        self.at
    }

    /// Virtual time as the Nodes see it.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.start + self.at
    }

    /// All machines.
    #[must_use]
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// A machine, to change how it behaves.
    ///
    /// # Panics
    /// When there is none of this number.
    pub fn machine_mut(&mut self, machine: usize) -> &mut Machine {
        &mut self.machines[machine]
    }

    /// All inner packets.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// The first broken promise.
    pub fn run_for(&mut self, duration: Duration) -> Result<(), Violation> {
        let end = self.at + duration;
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= end
        {
            let ((at, _), happening) = entry.remove_entry();
            self.at = at;
            self.happen(happening);
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
        }
        self.at = end;
        self.violation.take().map_or(Ok(()), Err)
    }

    /// Lets time pass until something is true, but not longer than `patience`; whether it is.
    ///
    /// # Errors
    /// The first broken promise.
    pub fn run_until(
        &mut self,
        patience: Duration,
        mut is_true: impl FnMut(&Self) -> bool,
    ) -> Result<bool, Violation> {
        let end = self.at + patience;
        while !is_true(self) {
            if self.at >= end {
                return Ok(false);
            }
            self.run_for(Duration::from_millis(100))?;
        }
        Ok(true)
    }

    fn plan(&mut self, after: Duration, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((self.at + after, self.sequence), happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Datagram { sender, at, bytes, is_damaged } => {
                self.come(sender, at, bytes, is_damaged);
            }
            Happening::Multicast { to, from, bytes, is_damaged } => {
                self.come_to_all(to, from, bytes, is_damaged);
            }
            Happening::Wake { machine, incarnation } => self.wake(machine, incarnation),
            Happening::Written { machine, incarnation } => {
                if self.machines[machine].incarnation == incarnation {
                    self.finish_write(machine);
                    self.drive(machine);
                }
            }
        }
    }

    fn wake(&mut self, machine: usize, incarnation: u32) {
        let now = self.now();
        let asleep = &mut self.machines[machine];
        if asleep.incarnation == incarnation && asleep.wake.is_some_and(|at| at <= now) {
            asleep.wake = None;
            asleep.activity.wakes += 1;
            self.trace.note(self.at, machine, "wakes", &[]);
            self.drive(machine);
        }
    }

    fn note_datagram(&mut self, machine: usize, what: &str, bytes: &[u8]) {
        let kind = bytes.first().copied().unwrap_or(0);
        self.trace.note(self.at, machine, &format!("{what} {kind:02x}"), bytes);
    }

    /// Notes a broken promise; the first one counts.
    fn violate(&mut self, text: String) {
        let at = self.at.as_secs_f64();
        self.violation.get_or_insert(Violation(format!("at {at:.6} s: {text}")));
    }

    fn unix_s(&self, machine: usize) -> u64 {
        UNIX_S + self.at.as_secs() + self.machines[machine].clock_ahead_s
    }

    fn deadline(&mut self, machine: usize, deadline: Instant) {
        let now = self.now();
        if deadline <= now {
            self.violate(format!("machine {machine} waits for a moment that is not in the future"));
            return;
        }
        let asleep = &mut self.machines[machine];
        if asleep.wake != Some(deadline) {
            asleep.wake = Some(deadline);
            let incarnation = asleep.incarnation;
            self.plan(deadline - now, Happening::Wake { machine, incarnation });
        }
    }

    /// Whether the Node of a machine runs.
    #[must_use]
    pub fn is_up(&self, machine: usize) -> bool {
        matches!(self.machines[machine].state, State::Up(_))
    }
}

#[expect(clippy::disallowed_methods, reason = "virtual time counts from an instant that does not matter")]
pub(crate) fn beginning() -> Instant {
    Instant::now()
}
