//! A history of names from a seed: machines register, resolve and withdraw, are cut off, killed and started, and the history is
//! judged.
//!
//! * **Monotonic reads.** A machine that has seen an instance never sees an older one of it again, nor one that it saw
//!   withdrawn; what it remembers of that outlives `hopmesh down`, but not a crash.
//! * **Nobody takes a name over.** The oldest member is evil and claims what others hold; once all have seen that an admin has
//!   confirmed a claim, its owner holds the name in the end, unless it has withdrawn, or all have crashed that knew of it.
//! * **Convergence.** When all are together again, all see the same within ten seconds, and it is what was published.
//!
//! In some histories each machine is to hold so little that it holds a part, and asks others for the names that it does not know.

use crate::network::Conditions;
use crate::random::Random;
use crate::scenario::{Failure, is_together};
use crate::world::{Violation, World, any_member};
use overlay::{HealthCheck, Publication, Sharing, Standing, Title, Zone};
use registry::limits::FULL_REPLICATION_MAX;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;
use wire::service::Protocol;
use wire::{Name, NodeId, Position};

/// Machines of a history.
const MACHINES: usize = 4;
/// Of one in which each holds a part: enough that every half is left to some.
const MACHINES_OF_PARTS: usize = 12;
/// Services and claims that each of them holds.
const PART_MAX: usize = 20;
/// One of so many histories is such a one.
const PARTS_EVERY: u64 = 12;
/// A machine that asks is told in this time.
const ANSWER: Duration = Duration::from_millis(2500);
/// The founder is the admin, and the oldest member after it is evil.
const EVIL: usize = 1;
/// Names that they fight for.
const NAMES: [&str; 3] = ["web", "db", "mail"];
/// Of the machines that hold parts.
const NAMES_OF_PARTS: [&str; 10] =
    ["web", "db", "mail", "wiki", "chat", "git", "music", "photos", "print", "backup"];
/// The label that says which publication of a machine an instance is.
const NUMBER: &str = "number";
/// All must see the same in this time once they are connected.
const CONVERGENCE: Duration = Duration::from_secs(10);
/// And they are connected this long after healing: the longest wait between two initiations and what follows it.
const TOGETHER: Duration = Duration::from_secs(60);

/// An instance as a history names it: its name, its publisher.
type Key = (Name, NodeId);

/// What a machine sees: owners of names; and numbers of instances, and whether they are well.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Picture {
    /// Whose each name is.
    pub owners: BTreeMap<Name, NodeId>,
    /// Number and health of each instance that counts.
    pub instances: BTreeMap<(Name, NodeId), (u64, bool)>,
}

/// What a machine sees of names, while it runs.
#[must_use]
pub fn picture(world: &World, machine: usize) -> Option<Picture> {
    let zone = world.zone(machine)?;
    let mut picture = Picture::default();
    zone.services.keys().for_each(|name| picture.take(name, &zone));
    Some(picture)
}

impl Picture {
    /// Takes what a zone says of a name, and nothing else of it.
    fn take(&mut self, name: &Name, zone: &Zone) {
        self.owners.remove(name);
        self.instances.retain(|(other, _), _| other != name);
        let Some(service) = zone.services.get(name) else { return };
        self.owners.insert(name.clone(), service.owner);
        for instance in &service.instances {
            let number = instance.labels.get(NUMBER).and_then(|number| number.parse().ok());
            let seen = (number.unwrap_or_default(), instance.is_healthy);
            self.instances.insert((name.clone(), instance.node), seen);
        }
    }
}

/// What a machine sees when it asks for the names that it does not know; nothing when it was not told all.
fn whole_picture(world: &World, machine: usize) -> Option<Picture> {
    let mut whole = picture(world, machine)?;
    for name in unknown(world, machine) {
        let told = world.machines()[machine].found.get(&name)?.as_ref()?;
        whole.take(&name, told);
    }
    Some(whole)
}

/// Names that a machine has to ask for, while it runs.
fn unknown(world: &World, machine: usize) -> Vec<Name> {
    let Some(zone) = world.zone(machine) else { return vec![] };
    let names = NAMES_OF_PARTS.iter().filter_map(|name| name.parse().ok());
    names.filter(|name: &Name| !zone.known.covers(Position::of_name(name.as_str()))).collect()
}

/// Whether all machines that run see the same.
#[must_use]
pub fn is_of_one_mind(world: &World) -> bool {
    let mut pictures = (0..world.machines().len()).filter_map(|machine| picture(world, machine));
    let first = pictures.next();
    pictures.all(|picture| Some(picture) == first)
}

/// A publication with a number of its own.
#[must_use]
pub fn numbered(name: &str, number: u64, sharing: Sharing) -> Publication {
    Publication {
        name: name.parse().expect("a label"),
        version: None,
        protocol: Protocol::Tcp,
        port: 80,
        labels: [(NUMBER.to_owned(), number.to_string())].into(),
        ttl_s: 60,
        sharing,
        health: HealthCheck::None,
        target: None,
    }
}

/// A network of machines whose clocks differ by most of an hour, all together.
///
/// # Errors
/// The first broken promise.
pub fn network(machines: usize, random: &mut Random) -> Result<World, Violation> {
    network_of(machines, FULL_REPLICATION_MAX, random)
}

/// The same of machines that hold so many services and claims.
fn network_of(machines: usize, full_replication_max: usize, random: &mut Random) -> Result<World, Violation> {
    let mut world = World::new(random.u64());
    for number in 0..machines {
        let address = SocketAddr::from(([198, 18, 0, number as u8 + 1], 7000));
        let machine = world.add_machine(format!("m{number}").parse().expect("a label"), vec![address]);
        world.machine_mut(machine).full_replication_max = full_replication_max;
        world.machine_mut(machine).clock_ahead_s = random.below(3000) as u64;
        if number == 0 {
            world.found(machine, "10.77.0.0/24");
            continue;
        }
        let Some(invite) = world.invite(0, &any_member()) else { continue };
        world.join(machine, &invite);
        world.run_until(Duration::from_secs(10), |world| world.is_up(machine))?;
    }
    if world.run_until(TOGETHER, is_together)? {
        return Ok(world);
    }
    Err(Violation("the network does not come together".to_owned()))
}

/// What a machine has seen of an instance: the lowest number that it may see from now on, and whether it sees it since its
/// start. Instances are not written, so that one is not there after a start says nothing of it.
type Floors = BTreeMap<Key, (u64, bool)>;

struct History {
    world: World,
    random: Random,
    /// What is published where, and as which number.
    published: Vec<BTreeMap<Name, (u64, bool)>>,
    floors: Vec<Floors>,
    /// Who holds a name that is confirmed, and the machines that have known so ever since.
    confirmed: BTreeMap<Name, (NodeId, BTreeSet<usize>)>,
    numbers: u64,
    /// Whether more was published than the machines may hold: then some of it is lost, and nothing is promised.
    overflows: bool,
}

/// Plays the history of a seed.
///
/// # Errors
/// The first broken promise.
pub fn run(seed: u64, keep_lines: bool) -> Result<(), Failure> {
    let mut random = Random::new(seed);
    let has_parts = seed.is_multiple_of(PARTS_EVERY);
    let (machines, max) =
        if has_parts { (MACHINES_OF_PARTS, PART_MAX) } else { (MACHINES, FULL_REPLICATION_MAX) };
    let world =
        network_of(machines, max, &mut random).map_err(|violation| Failure { violation, lines: vec![] })?;
    let mut history = History {
        world,
        random,
        published: vec![BTreeMap::new(); machines],
        floors: vec![Floors::new(); machines],
        confirmed: BTreeMap::new(),
        numbers: 0,
        overflows: false,
    };
    if keep_lines {
        history.world.trace.keep_lines();
    }
    history.play().map_err(|violation| {
        let lines = history.world.trace.lines().map(str::to_owned).collect();
        Failure { violation, lines }
    })
}

impl History {
    fn play(&mut self) -> Result<(), Violation> {
        let chance = |random: &mut Random| (random.below(2) * random.below(100)) as u32;
        self.world.network.conditions = Conditions {
            delay: self.random.duration(Duration::from_millis(1), Duration::from_millis(100)),
            jitter: Duration::from_millis([0, 20, 200][self.random.below(3)]),
            loss: chance(&mut self.random),
            duplication: chance(&mut self.random),
            damage: 0,
        };
        let acts = (self.random.below(30) + 10) * self.published.len() / MACHINES;
        for _ in 0..acts {
            self.act();
            let pause = self.random.duration(Duration::ZERO, Duration::from_millis(1500));
            self.pass(pause)?;
        }
        self.heal()?;
        self.converge()?;
        self.check_confirmed()?;
        // And so it stays, though every lease ends several times.
        self.pass(Duration::from_secs(100))?;
        self.converge()?;
        self.check_confirmed()
    }

    fn act(&mut self) {
        let machines = self.published.len();
        let machine = self.random.below(machines);
        let names: &[&str] = if machines == MACHINES { &NAMES } else { &NAMES_OF_PARTS };
        let name = *self.random.one_of(names);
        match self.random.below(20) {
            0..=6 => self.register(machine, name),
            7..=9 => self.withdraw(machine, name),
            10..=12 => self.change_health(machine, name),
            13 => self.world.network.groups = (0..machines).map(|_| self.random.below(2)).collect(),
            14 => self.world.network.heal(),
            15 => {
                self.world.kill(machine);
                self.floors[machine].clear();
                self.forget(machine);
            }
            16 => {
                self.world.stop(machine);
                self.forget(machine);
                self.floors[machine].values_mut().for_each(|(_, is_there)| *is_there = false);
            }
            17 if machines == MACHINES => self.squat(name),
            _ => (0..machines).for_each(|machine| self.world.start(machine)),
        }
    }

    fn register(&mut self, machine: usize, name: &str) {
        self.numbers += 1;
        let sharing = [Sharing::Owner, Sharing::Members][self.random.below(2)].clone();
        let publication = numbered(name, self.numbers, sharing);
        let key = publication.name.clone();
        if let Some(Ok(())) = self.world.publish(machine, publication) {
            let published = self.published[machine].entry(key).or_insert((0, true));
            published.0 = self.numbers;
        }
    }

    /// The evil one claims a name, whoever has it, in a daemon that is killed for that.
    fn squat(&mut self, name: &str) {
        self.numbers += 1;
        let publication = numbered(name, self.numbers, Sharing::Owner);
        self.published[EVIL].insert(publication.name.clone(), (self.numbers, true));
        self.world.squat(EVIL, publication);
        self.floors[EVIL].clear();
        self.forget(EVIL);
        for (name, (_, is_healthy)) in &mut self.published[EVIL] {
            *is_healthy = true;
            self.world.tell_health(EVIL, name, true);
        }
    }

    /// What a machine knew of confirmed names may not be written.
    fn forget(&mut self, machine: usize) {
        self.confirmed.retain(|_, (_, knowing)| {
            knowing.remove(&machine);
            !knowing.is_empty()
        });
    }

    /// Takes note of the names that all see confirmed.
    fn note_confirmed(&mut self) {
        if self.published.len() != MACHINES {
            // Not all know all names, whose they are.
            return;
        }
        let zones: Option<Vec<_>> = (0..MACHINES).map(|machine| self.world.zone(machine)).collect();
        let Some(zones) = zones else { return };
        for (name, service) in &zones[0].services {
            let is_same = |zone: &Zone| {
                let other = zone.services.get(name);
                other.is_some_and(|other| (other.owner, other.title) == (service.owner, Title::Confirmed))
            };
            // One that its owner has withdrawn may be seen for a moment more.
            let owner = self.world.machine_of(&service.owner).expect("nodes are machines");
            let is_wanted = self.published[owner].contains_key(name);
            if is_wanted && zones.iter().all(|zone| is_same(zone)) {
                self.confirmed.insert(name.clone(), (service.owner, (0..MACHINES).collect()));
            }
        }
    }

    fn check_confirmed(&self) -> Result<(), Violation> {
        let owners = picture(&self.world, 0).unwrap_or_default().owners;
        let lost = self.confirmed.iter().find(|(name, (owner, _))| owners.get(*name) != Some(owner));
        lost.map_or(Ok(()), |(name, (owner, _))| {
            Err(Violation(format!("{name} was confirmed to be {owner:?}'s, and is {:?}'s", owners.get(name))))
        })
    }

    fn withdraw(&mut self, machine: usize, name: &str) {
        let name: Name = name.parse().expect("a label");
        if let Some(Ok(())) = self.world.unpublish(machine, &name, None) {
            self.published[machine].remove(&name);
            let node = self.world.machines()[machine].id();
            self.confirmed.retain(|other, (owner, _)| *other != name || *owner != node);
        }
    }

    fn change_health(&mut self, machine: usize, name: &str) {
        let name: Name = name.parse().expect("a label");
        let is_healthy = self.random.per_mille(500);
        if self.world.is_up(machine)
            && let Some(published) = self.published[machine].get_mut(&name)
        {
            published.1 = is_healthy;
            self.world.tell_health(machine, &name, is_healthy);
        }
    }

    /// Lets time pass, with a look at everybody every now and then.
    fn pass(&mut self, duration: Duration) -> Result<(), Violation> {
        let end = self.world.at() + duration;
        while self.world.at() < end {
            let step = Duration::from_millis(100).min(end - self.world.at());
            self.world.run_for(step)?;
            for machine in 0..self.published.len() {
                self.overflows |= self.world.held(machine).is_some_and(|held| held.overflows);
                self.read(machine)?;
            }
            self.note_confirmed();
        }
        Ok(())
    }

    /// A machine looks at all names: nothing goes back.
    fn read(&mut self, machine: usize) -> Result<(), Violation> {
        let (Some(picture), Some(zone)) = (picture(&self.world, machine), self.world.zone(machine)) else {
            return Ok(());
        };
        let floors = &mut self.floors[machine];
        for (key, (number, _)) in &picture.instances {
            let (floor, is_there) = floors.entry(key.clone()).or_default();
            if number < floor {
                let text = format!("machine {machine} sees {} {number} of {:?} after {floor}", key.0, key.1);
                return Err(Violation(text));
            }
            (*floor, *is_there) = (*number, true);
        }
        for ((name, node), (floor, was_there)) in floors.iter_mut() {
            let publisher = self.world.machine_of(node).expect("nodes are machines");
            let is_current = self.published[publisher].get(name).is_some_and(|(number, _)| number >= floor);
            // Instances of a name's owner count in any case: that one is not there means that it was seen to go.
            // Unless the machine does not hold the name's part any more.
            let is_known = zone.known.covers(Position::of_name(name.as_str()));
            let would_count = is_known && picture.owners.get(name) == Some(node);
            let is_there = picture.instances.contains_key(&(name.clone(), *node));
            if would_count && !is_there && *was_there {
                // One that is still published has gone with its publisher, and comes again with it.
                (*floor, *was_there) = (*floor + u64::from(!is_current), false);
            }
        }
        Ok(())
    }

    fn heal(&mut self) -> Result<(), Violation> {
        self.world.network.conditions = Conditions::GOOD;
        self.world.network.heal();
        (0..self.published.len()).for_each(|machine| self.world.start(machine));
        // What a run does not write is how its instances are.
        for (machine, published) in self.published.iter_mut().enumerate() {
            for (name, (_, is_healthy)) in published {
                *is_healthy = true;
                self.world.tell_health(machine, name, true);
            }
        }
        if self.world.run_until(TOGETHER, is_together)? {
            return Ok(());
        }
        Err(Violation(format!("not together {TOGETHER:?} after healing")))
    }

    fn converge(&mut self) -> Result<(), Violation> {
        let end = self.world.at() + CONVERGENCE;
        while !self.overflows {
            self.ask()?;
            let machines = 0..self.published.len();
            let pictures: Vec<_> = machines.map(|machine| whole_picture(&self.world, machine)).collect();
            let truth = pictures[0].as_ref().and_then(|picture| self.picture_of_truth(&picture.owners));
            if truth.is_some() && pictures.iter().all(|picture| *picture == truth) {
                return Ok(());
            }
            if self.world.at() >= end {
                for m in 0..self.published.len() {
                    let w = &self.world;
                    let z = w.zone(m).map(|z| z.known);
                    eprintln!(
                        "m{m} known {z:?} unknown {:?} found {:?}",
                        unknown(w, m).iter().map(|n| n.to_string()).collect::<Vec<_>>(),
                        w.machines()[m]
                            .found
                            .iter()
                            .map(|(n, f)| (n.to_string(), f.is_some()))
                            .collect::<Vec<_>>()
                    );
                }
                return Err(Violation(format!("{truth:#?} is published, {pictures:#?} is seen")));
            }
            self.pass(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// Every machine asks for the names that it does not know, and is told.
    fn ask(&mut self) -> Result<(), Violation> {
        let machines = 0..self.published.len();
        let asks: Vec<(usize, Name)> =
            machines.flat_map(|m| unknown(&self.world, m).into_iter().map(move |name| (m, name))).collect();
        for (machine, name) in &asks {
            self.world.find(*machine, name);
        }
        let end = self.world.at() + ANSWER;
        let is_told = |world: &World, (machine, name): &(usize, Name)| {
            world.machines()[*machine].found.contains_key(name)
        };
        while !asks.iter().all(|ask| is_told(&self.world, ask)) && self.world.at() < end {
            self.world.run_for(Duration::from_millis(50))?;
        }
        Ok(())
    }

    /// What all must see: of what is published that which counts, as its publisher knows; one owner for each name of it.
    fn picture_of_truth(&self, owners: &BTreeMap<Name, NodeId>) -> Option<Picture> {
        let mut truth = Picture { owners: owners.clone(), ..Picture::default() };
        let mut owned = BTreeSet::new();
        for (machine, published) in self.published.iter().enumerate() {
            let node = self.world.machines()[machine].id();
            for (name, seen) in published {
                match self.world.standing(machine, name)? {
                    Standing::Held if truth.owners.get(name) == Some(&node) && owned.insert(name) => {}
                    Standing::Shared(owner) if truth.owners.get(name) == Some(&owner) => {}
                    Standing::Taken(owner) if truth.owners.get(name) == Some(&owner) => continue,
                    Standing::Held
                    | Standing::Shared(_)
                    | Standing::Taken(_)
                    | Standing::Waiting
                    | Standing::NodeName(_) => return None,
                }
                truth.instances.insert((name.clone(), node), *seen);
            }
        }
        Some(truth)
    }
}
