//! A whole run from a seed: set up a network, disturb it, heal it, and see whether everybody comes together again.

mod actions;
mod together;

use crate::machine::State;
use crate::network::Conditions;
use crate::random::Random;
use crate::world::{Family, Violation, World, any_member};
use overlay::JoinError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
pub use together::{apart, is_together};
use wire::handshake::Suite;
use wire::invite::InviteRole;

/// Machines at the beginning, and at most.
const MACHINES_MAX: usize = 6;
/// After healing, everybody must have come together in this time: the longest wait between two initiations and what
/// follows it.
const TOGETHER: Duration = Duration::from_secs(60);
/// A path that died is given up in this time when packets go to it.
const NOTICE: Duration = Duration::from_secs(10);
/// A datagram of an idle peer is a probe or its answer, each every 25 s from both sides; and one round of link states, which come
/// every 30 s at most, may fall into the time with the news and summaries that follow it.
const IDLE_DATAGRAMS_PER_PEER: u64 = 13;
/// One that is found gone meanwhile is probed four times and asked five times, each at its address of either family and at
/// the one where it was before.
const IDLE_DATAGRAMS_PER_GONE: u64 = 27;
/// An idle peer is looked at every 3 s, and answers; the rest is the admin's review.
const IDLE_WAKES_PER_PEER: u64 = 25;
/// How long idleness is watched.
const IDLE: Duration = Duration::from_secs(30);

/// What a run was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Hash over everything that happened.
    pub trace: u64,
    /// Inner packets sent.
    pub sent: usize,
    /// Inner packets that arrived.
    pub arrived: usize,
    /// Virtual time that passed.
    pub took: Duration,
}

/// A run that went wrong.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub violation: Violation,
    /// The last lines of the trace, if they were kept.
    pub lines: Vec<String>,
}

struct Scenario {
    world: World,
    random: Random,
    families: Vec<Family>,
    /// Counts addresses that were given out, so that no two are alike.
    addresses: u16,
    left: Vec<usize>,
}

/// Runs the scenario of a seed.
///
/// # Errors
/// The first broken promise.
pub fn run(seed: u64, keep_lines: bool) -> Result<Outcome, Failure> {
    let mut random = Random::new(seed);
    let families = match random.below(4) {
        0 => vec![Family::V4],
        1 => vec![Family::V6],
        _ => vec![Family::V4, Family::V6],
    };
    let mut world = World::new(random.u64());
    if keep_lines {
        world.trace.keep_lines();
    }
    let mut scenario = Scenario { world, random, families, addresses: 0, left: vec![] };
    match scenario.play() {
        Ok(()) => Ok(scenario.outcome()),
        Err(violation) => {
            let lines = scenario.world.trace.lines().map(str::to_owned).collect();
            Err(Failure { violation, lines })
        }
    }
}

impl Scenario {
    fn play(&mut self) -> Result<(), Violation> {
        self.set_up()?;
        for _ in 0..self.random.below(30) + 5 {
            let pause = self.random.duration(Duration::ZERO, Duration::from_millis(1200));
            self.world.run_for(pause)?;
            self.act();
        }
        self.heal()?;
        self.meet()?;
        self.idle()
    }

    fn outcome(&self) -> Outcome {
        let packets = self.world.ledger().packets();
        Outcome {
            trace: self.world.trace.hash(),
            sent: packets.len(),
            arrived: packets.iter().filter(|packet| packet.arrived.is_some()).count(),
            took: self.world.at(),
        }
    }

    /// Founds the network and enrols everybody, over a network that is not good either.
    fn set_up(&mut self) -> Result<(), Violation> {
        self.world.network.conditions = self.conditions(100);
        let founder = self.add_machine();
        self.world.found(founder, "10.77.0.0/24");
        for _ in 0..self.random.below(MACHINES_MAX - 1) + 1 {
            let joiner = self.add_machine();
            let is_admin = self.random.per_mille(250);
            let issuer = if is_admin { founder } else { self.any_admin() };
            let role = if is_admin { InviteRole::Admin } else { InviteRole::Member };
            let request = overlay::InviteRequest { role, ..any_member() };
            let Some(invite) = self.world.invite(issuer, &request) else { continue };
            while !self.world.machines()[joiner].is_enrolled() {
                self.world.join(joiner, &invite);
                let over = |world: &World| world.machines()[joiner].joined.is_some();
                self.world.run_until(Duration::from_secs(30), over)?;
                match self.world.machines()[joiner].joined {
                    Some(Ok(_) | Err(JoinError::NoAnswer)) => {}
                    other => return Err(Violation(format!("machine {joiner} cannot join: {other:?}"))),
                }
            }
        }
        Ok(())
    }

    fn add_machine(&mut self) -> usize {
        let number = self.world.machines().len();
        // Some want the same name, and are numbered.
        let name = if self.random.per_mille(300) { "twin".to_owned() } else { format!("m{number}") };
        let addresses = self.new_addresses();
        let machine = self.world.add_machine(name.parse().expect("a label"), addresses);
        let rekey_after = [3, 20, 120, 120][self.random.below(4)];
        let aes = self.random.per_mille(500);
        let ahead = self.random.below(1800) as u64;
        let added = self.world.machine_mut(machine);
        added.rekey_after = Duration::from_secs(rekey_after);
        added.clock_ahead_s = ahead;
        if !aes {
            added.suites = vec![Suite::ChaCha20Poly1305];
        }
        machine
    }

    /// Addresses of the scenario's families that nobody has had.
    fn new_addresses(&mut self) -> Vec<SocketAddr> {
        self.addresses += 1;
        let [high, low] = self.addresses.to_be_bytes();
        let port = 1024 + self.random.below(60_000) as u16;
        let address = |family: &Family| match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(198, 18, high, low)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.addresses)),
        };
        self.families.iter().map(|family| SocketAddr::new(address(family), port)).collect()
    }

    /// Conditions of which no chance is above `worst` out of a thousand.
    fn conditions(&mut self, worst: usize) -> Conditions {
        let mut chance = || self.random.below(2) as u32 * self.random.below(worst + 1) as u32;
        let (loss, duplication, damage) = (chance(), chance(), chance());
        let jitter = [0, 1, 20, 200][self.random.below(4)];
        Conditions {
            delay: self.random.duration(Duration::from_micros(200), Duration::from_millis(150)),
            jitter: Duration::from_millis(jitter),
            loss,
            duplication,
            damage,
        }
    }

    /// Makes the world good again and waits until everybody is together.
    fn heal(&mut self) -> Result<(), Violation> {
        self.world.network.conditions = Conditions::GOOD;
        self.world.network.heal();
        for machine in 0..self.world.machines().len() {
            let disk = &mut self.world.machine_mut(machine).disk;
            (disk.failure, disk.slowness) = (0, None);
            if !self.left.contains(&machine) && matches!(self.world.machines()[machine].state, State::Off) {
                self.world.start(machine);
            }
        }
        self.come_together()?;
        // Some may believe in a path that died unnoticed: packets show.
        self.greet();
        self.world.run_for(NOTICE)?;
        self.come_together()
    }

    fn come_together(&mut self) -> Result<(), Violation> {
        if self.world.run_until(TOGETHER, is_together)? {
            return Ok(());
        }
        let why = apart(&self.world).unwrap_or_default();
        Err(Violation(format!("{TOGETHER:?} after healing: {why}")))
    }

    /// Everybody sends everybody a packet in both families.
    fn greet(&mut self) -> Vec<usize> {
        let members = together::required(&self.world);
        let mut greetings = vec![];
        for &from in &members {
            for &to in members.iter().filter(|to| **to != from) {
                for family in [Family::V4, Family::V6] {
                    greetings.extend(self.world.send(from, to, family));
                }
            }
        }
        greetings
    }

    /// Every greeting arrives.
    fn meet(&mut self) -> Result<(), Violation> {
        let greetings = self.greet();
        self.world.run_for(Duration::from_millis(500))?;
        for number in greetings {
            let sent = self.world.ledger().packet(number);
            if sent.arrived.is_none() {
                let text = format!("packet {number} from {} to {} is lost", sent.from, sent.to);
                return Err(Violation(text));
            }
        }
        Ok(())
    }

    /// Nobody does much when there is nothing to do, and nothing is left over.
    fn idle(&mut self) -> Result<(), Violation> {
        self.world.run_for(Duration::from_secs(5))?;
        for machine in 0..self.world.machines().len() {
            let staged = self.world.machine_mut(machine).up().map_or(0, |up| up.staged);
            if staged > 0 {
                return Err(Violation(format!("idle machine {machine} keeps {staged} packets")));
            }
        }
        let up = self.world.machines().iter().filter(|machine| machine.is_up());
        if up.clone().any(|machine| machine.rekey_after < IDLE * 3) {
            return Ok(());
        }
        let others = up.count() as u64;
        let gone = self.world.machines().len() as u64 - others;
        let datagrams_max = others * IDLE_DATAGRAMS_PER_PEER + gone * IDLE_DATAGRAMS_PER_GONE;
        let before: Vec<_> = self.world.machines().iter().map(|machine| machine.activity).collect();
        self.world.run_for(IDLE)?;
        for machine in together::required(&self.world) {
            let after = self.world.machines()[machine].activity;
            let wakes = after.wakes - before[machine].wakes;
            let datagrams = after.datagrams - before[machine].datagrams;
            if wakes > 15 + others * IDLE_WAKES_PER_PEER || datagrams > datagrams_max {
                let text =
                    format!("idle machine {machine} wakes {wakes} times, sends {datagrams} in {IDLE:?}");
                return Err(Violation(text));
            }
        }
        Ok(())
    }
}
