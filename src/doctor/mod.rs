//! What is wrong with this machine as a place for a node, and what to do about it.
//!
//! One file per check. Each has its facts, `judge`, which is pure and tested with real examples, and `gather`, which
//! fills the facts from the machine. **Invariant:** nothing is changed and nothing leaves the machine; what cannot be
//! seen is said to be skipped, never taken for good.

mod capability;
mod clock;
mod daemon;
mod dht;
mod dns;
mod firewall;
mod mtu;
mod outcome;
mod port;
mod route;
mod state;
mod tun;
mod version;

pub use outcome::{Finding, Outcome, Trouble};

use config::Settings;

use crate::paths::Paths;

/// All that the checks are told; what the daemon says is absent where it was not asked or did not answer.
#[derive(Debug)]
pub struct Surroundings {
    /// The network that is meant.
    pub network: String,
    /// How the command is called for it: `hopmesh`, with `--network` where it is not the usual one.
    pub program: String,
    /// Where its files are.
    pub paths: Paths,
    /// The configuration, or why it cannot be told.
    pub settings: Result<Settings, String>,
    /// The process of the daemon and its user; `None`: it is down, or this user may not ask it.
    pub daemon: Option<(u32, u32)>,
    /// How far the daemon was reached.
    pub reached: Reached,
}

/// How far the daemon was reached.
#[derive(Debug)]
pub enum Reached {
    /// It answers.
    Up(Box<Answers>),
    /// None is running.
    Down,
    /// This user may not ask it.
    NotPermitted,
    /// It runs, and did not answer: why.
    Silent(String),
}

/// What the daemon says.
#[derive(Debug)]
pub struct Answers {
    /// To `status`.
    pub status: api::StatusReply,
    /// To `netcheck`.
    pub netcheck: api::NetcheckReply,
}

impl Surroundings {
    /// What the daemon says, or why there is nothing of it.
    fn answers(&self) -> Result<&Answers, Outcome> {
        match &self.reached {
            Reached::Up(answers) => Ok(answers),
            Reached::Down => Err(Outcome::skipped("the daemon is not running")),
            Reached::NotPermitted => Err(Outcome::skipped("this user may not ask the daemon")),
            Reached::Silent(_) => Err(Outcome::skipped("the daemon does not answer")),
        }
    }
}

/// A check and its name.
type Check = (&'static str, fn(&Surroundings) -> Outcome);

/// All checks, in the order in which what depends on what is looked at.
const CHECKS: [Check; 12] = [
    ("daemon", daemon::check),
    ("TUN", tun::check),
    ("capabilities", capability::check),
    ("clock", clock::check),
    ("state", state::check),
    ("port", port::check),
    ("firewall", firewall::check),
    ("routes", route::check),
    ("MTU", mtu::check),
    ("names", dns::check),
    ("DHT", dht::check),
    ("version", version::check),
];

/// Makes every check. Takes seconds at most: each that waits for something has a bound.
#[must_use]
pub fn examine(around: &Surroundings) -> Vec<Finding> {
    CHECKS.iter().map(|&(check, look)| Finding { check, outcome: look(around) }).collect()
}
