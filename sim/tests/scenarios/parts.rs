//! More services than each machine is to hold: everybody finds everything all the same.

use super::SECOND;
use overlay::{HealthCheck, Publication, Sharing, Standing, Zone};
use sim::{World, any_member};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use wire::Name;
use wire::service::Protocol;

/// More than a machine keeps sessions with.
const MACHINES: usize = 30;
/// Services that each publishes under a name of its own.
const EACH: usize = 8;
/// Services and claims that a machine holds, of the 480 that there are.
const MAX: usize = 200;
/// Names that a machine asks for at the same time.
const AT_ONCE: usize = 40;

fn name(machine: usize, n: usize) -> Name {
    format!("service-{machine}-{n}").parse().expect("a label")
}

fn service(name: Name) -> Publication {
    Publication {
        name,
        version: None,
        protocol: Protocol::Tcp,
        port: 80,
        labels: [].into(),
        ttl_s: 60,
        sharing: Sharing::Owner,
        health: HealthCheck::None,
        target: None,
    }
}

/// A network of machines that all publish.
fn crowded(seed: u64) -> World {
    let mut world = World::new(seed);
    for number in 0..MACHINES {
        let address = SocketAddr::from(([198, 18, 0, number as u8 + 1], 7000));
        let machine = world.add_machine(format!("m{number}").parse().unwrap(), vec![address]);
        world.machine_mut(machine).full_replication_max = MAX;
        if number == 0 {
            world.found(machine, "10.77.0.0/16");
            continue;
        }
        let invite = world.invite(0, &any_member()).unwrap();
        world.join(machine, &invite);
        assert!(world.run_until(10 * SECOND, |world| world.is_up(machine)).unwrap());
    }
    world.run_for(60 * SECOND).unwrap();
    for n in 0..EACH {
        for machine in 0..MACHINES {
            world.publish(machine, service(name(machine, n))).unwrap().unwrap();
        }
        world.run_for(3 * SECOND).unwrap();
    }
    world.run_for(60 * SECOND).unwrap();
    world
}

fn names_of(machines: impl Iterator<Item = usize>) -> Vec<Name> {
    machines.flat_map(|machine| (0..EACH).map(move |n| name(machine, n))).collect()
}

/// What a machine is told of names.
fn ask(world: &mut World, machine: usize, names: &[Name]) -> BTreeMap<Name, Arc<Zone>> {
    let mut told = BTreeMap::new();
    for some in names.chunks(AT_ONCE) {
        assert!(some.iter().all(|name| world.find(machine, name)));
        let is_told = |world: &World| some.iter().all(|n| world.machines()[machine].found.contains_key(n));
        assert!(world.run_until(5 * SECOND / 2, is_told).unwrap(), "an answer comes within two seconds");
        for name in some {
            let zone = world.machines()[machine].found[name].clone();
            told.insert(
                name.clone(),
                zone.unwrap_or_else(|| panic!("nobody answers {machine} about {name}")),
            );
        }
    }
    told
}

/// Whether a machine sees one instance of a name, that of another machine.
fn is_found(world: &World, told: &BTreeMap<Name, Arc<Zone>>, name: &Name, of: usize) -> bool {
    let id = world.machines()[of].id();
    told[name].services.get(name).is_some_and(|service| {
        service.owner == id && service.instances.iter().map(|instance| instance.node).eq([id])
    })
}

fn check_held(world: &World) {
    let up = (0..MACHINES).filter_map(|machine| world.held(machine));
    let held: Vec<_> = up.map(|held| (held.parts, held.shared_out, held.records)).collect();
    println!("parts, services and claims of the part, all records: {held:?}");
    assert!(held.iter().all(|(parts, shared_out, _)| *parts >= 2 && *shared_out <= MAX));
}

#[test]
fn everybody_finds_every_name_though_nobody_holds_all() {
    let mut world = crowded(11);
    check_held(&world);
    let names = names_of(0..MACHINES);
    for machine in 0..MACHINES {
        let told = ask(&mut world, machine, &names);
        for of in 0..MACHINES {
            assert!((0..EACH).all(|n| is_found(&world, &told, &name(of, n), of)), "{machine} of {of}");
        }
        let nobodys: Name = "nobodys".parse().unwrap();
        let told = ask(&mut world, machine, std::slice::from_ref(&nobodys));
        assert!(told[&nobodys].services.is_empty());
    }
    check_held(&world);
}

#[test]
fn with_a_third_dead_every_name_of_the_living_is_found() {
    let mut world = crowded(12);
    let is_dead = |machine: &usize| machine % 3 == 1;
    (0..MACHINES).filter(is_dead).for_each(|machine| world.kill(machine));
    let living: Vec<usize> = (0..MACHINES).filter(|machine| !is_dead(machine)).collect();
    world.run_for(20 * SECOND).unwrap();
    let names = names_of(living.iter().copied());
    for machine in &living {
        let told = ask(&mut world, *machine, &names);
        for of in &living {
            assert!((0..EACH).all(|n| is_found(&world, &told, &name(*of, n), *of)), "{machine} of {of}");
        }
    }
    // Their instances have ended by now, their names are kept for an hour.
    world.run_for(60 * SECOND).unwrap();
    let told = ask(&mut world, 0, &names_of((0..MACHINES).filter(is_dead)));
    assert!(told.iter().all(|(name, zone)| zone.services[name].instances.is_empty()));
    check_held(&world);
}

#[test]
fn two_that_claim_a_name_while_apart_settle_alike() {
    let mut world = crowded(13);
    for round in 0..3 {
        let contested: Name = format!("contested-{round}").parse().unwrap();
        world.network.groups = (0..MACHINES).map(|machine| usize::from(machine % 2 == 1)).collect();
        world.run_for(20 * SECOND).unwrap();
        let (a, b) = (round * 2, MACHINES - 1 - round * 2);
        world.publish(a, service(contested.clone())).unwrap().unwrap();
        world.publish(b, service(contested.clone())).unwrap().unwrap();
        world.run_for(20 * SECOND).unwrap();
        for machine in [a, b] {
            assert_eq!(world.standing(machine, &contested), Some(Standing::Held), "{round} {machine}");
        }
        world.network.heal();
        let standings = |world: &World| [a, b].map(|machine| world.standing(machine, &contested));
        let is_settled = |world: &World| standings(world) != [Some(Standing::Held); 2];
        let healed = world.at();
        assert!(world.run_until(10 * SECOND, is_settled).unwrap());
        println!("settled after {:?}", world.at() - healed);
        world.run_for(2 * SECOND).unwrap();
        let standings = standings(&world);
        let id = |machine: usize| world.machines()[machine].id();
        let owner = match standings {
            [Some(Standing::Held), Some(Standing::Taken(owner))] if owner == id(a) => owner,
            [Some(Standing::Taken(owner)), Some(Standing::Held)] if owner == id(b) => owner,
            _ => panic!("{round}: {standings:?}"),
        };
        for machine in 0..MACHINES {
            let told = ask(&mut world, machine, std::slice::from_ref(&contested));
            assert_eq!(told[&contested].services[&contested].owner, owner, "{round} {machine}");
        }
    }
}

#[test]
fn after_a_power_cut_everything_is_found_again() {
    let mut world = crowded(14);
    (0..MACHINES).for_each(|machine| world.stop(machine));
    world.run_for(SECOND).unwrap();
    (0..MACHINES).for_each(|machine| world.start(machine));
    world.run_for(Duration::from_secs(90)).unwrap();
    check_held(&world);
    let names = names_of(0..MACHINES);
    for machine in (0..MACHINES).step_by(5) {
        let told = ask(&mut world, machine, &names);
        for of in 0..MACHINES {
            assert!((0..EACH).all(|n| is_found(&world, &told, &name(of, n), of)), "{machine} of {of}");
        }
    }
}
