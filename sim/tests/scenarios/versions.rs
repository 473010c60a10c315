//! A network whose machines are upgraded one by one while it runs, and set back again.

use super::*;
use overlay::{DropReason, GuestRequest};
use sim::Random;
use std::collections::BTreeSet;
use wire::record::RouteOffer;
use wire::{GuestKey, NodeId, Revision, Revisions};

const MACHINES: usize = 6;

fn version(highest: Revision) -> Revisions {
    Revisions::new(Revision::LOWEST, highest).unwrap()
}

fn is_new(world: &World, machine: usize) -> bool {
    world.machines()[machine].revisions.highest() == Revision::CURRENT
}

/// Machines of the earliest version, each with a guest and a subnet of which its version knows nothing yet.
fn early(seed: u64) -> World {
    let mut world = World::new(seed);
    for machine in 0..MACHINES {
        add(&mut world);
        world.machine_mut(machine).revisions = version(Revision::LOWEST);
    }
    world.found(0, "10.77.0.0/24");
    for machine in 1..MACHINES {
        let invite = world.invite(0, &any_member()).unwrap();
        world.join(machine, &invite);
        assert!(world.run_until(5 * SECOND, |world| world.is_up(machine)).unwrap());
    }
    come_together(&mut world, 5 * SECOND);
    for machine in 0..MACHINES {
        let name = format!("phone-{machine}").parse().unwrap();
        let guest = GuestRequest { name, key: GuestKey([machine as u8 + 1; 32]), address: None };
        world.command(machine, |node, now| node.add_guest(guest, now)).unwrap().unwrap();
        offer(&mut world, machine);
    }
    world
}

/// What the daemon tells its Node after each start.
fn offer(world: &mut World, machine: usize) {
    let prefix = format!("192.168.{machine}.0/24").parse().unwrap();
    let offers = vec![RouteOffer { prefix, behind: None, is_masqueraded: true }];
    let told = world.command(machine, |node, now| {
        node.handle_offers(offers, now);
        Ok(())
    });
    told.unwrap().unwrap();
}

/// Ends a machine's daemon, one way or the other, and starts it as another version.
fn install(world: &mut World, machine: usize, highest: Revision, random: &mut Random) {
    if random.below(2) == 0 {
        world.stop(machine)
    } else {
        world.kill(machine)
    }
    world.machine_mut(machine).revisions = version(highest);
    world.run_for(SECOND / 2).unwrap();
    world.start(machine);
    offer(world, machine);
    world.run_for(SECOND * random.below(8) as u32).unwrap();
}

/// The hosts of guests that a machine knows, and the routers.
fn known(world: &World, machine: usize) -> [BTreeSet<NodeId>; 2] {
    let node = world.machines()[machine].node().unwrap();
    let routes = node.routes();
    let routers = routes.iter().flat_map(|route| &route.routers).filter(|router| router.offer.is_some());
    [node.guests().iter().map(|guest| guest.host).collect(), routers.map(|router| router.node).collect()]
}

/// Those of a version that knows them know what the machines have said that were ever of it; the others nothing.
fn knows_its_share(world: &World, machine: usize, ever: &BTreeSet<NodeId>) -> bool {
    let nothing = BTreeSet::new();
    let expected = if is_new(world, machine) { ever } else { &nothing };
    known(world, machine).iter().all(|known| known == expected)
}

/// What was sent to compare records, and the records, by all machines together.
fn compared(world: &World) -> u64 {
    let kinds = ["have", "want", "digests", "record", "news"];
    let nodes = world.machines().iter().filter_map(|machine| machine.node());
    let sent = nodes.flat_map(|node| node.sent().iter());
    sent.filter(|(kind, _)| kinds.contains(kind)).map(|(_, tally)| tally.datagrams).sum()
}

/// Everybody is together, has what it should have, and after that asks nobody for anything.
fn settle(world: &mut World, ever: &BTreeSet<NodeId>, what: &str) {
    let has_all = |world: &World| (0..MACHINES).all(|machine| knows_its_share(world, machine, ever));
    let done = world.run_until(120 * SECOND, |world| is_together(world) && has_all(world)).unwrap();
    let seen: Vec<_> = (0..MACHINES).map(|machine| known(world, machine).map(|known| known.len())).collect();
    assert!(done, "{what}: {:?}, guests and routers {seen:?} of {}", apart(world), ever.len());
    world.run_for(60 * SECOND).unwrap();
    let before = compared(world);
    world.run_for(120 * SECOND).unwrap();
    assert_eq!(compared(world), before, "{what}: comparison is at rest");
    for machine in 0..MACHINES {
        let node = world.machines()[machine].node().unwrap();
        assert_eq!(node.drops().of(DropReason::Record), 0, "{what}: at {machine}");
    }
    for to in 1..MACHINES {
        assert!(reaches(world, 0, to, Family::V4) && reaches(world, to, 0, Family::V6), "{what}: {to}");
    }
}

#[test]
fn machines_that_are_upgraded_one_by_one_and_set_back_have_all_that_they_should() {
    for seed in 0..4 {
        let mut world = early(seed);
        let mut random = Random::new(seed);
        let loss = [0, 50][seed as usize % 2];
        let mut ever = BTreeSet::new();
        settle(&mut world, &ever, &format!("seed {seed}, early"));
        for highest in [Revision::CURRENT, Revision::LOWEST] {
            let mut left: Vec<usize> = (0..MACHINES).collect();
            while !left.is_empty() {
                let machine = left.remove(random.below(left.len()));
                world.network.conditions = Conditions { loss, ..Conditions::GOOD };
                install(&mut world, machine, highest, &mut random);
                if highest == Revision::CURRENT {
                    ever.insert(world.machines()[machine].id());
                }
                world.network.conditions = Conditions::GOOD;
                if left.len().is_multiple_of(3) {
                    settle(&mut world, &ever, &format!("seed {seed}, {machine} is of revision {highest}"));
                }
            }
        }
    }
}
