//! Services of a network whose machines come and go.

use super::*;
use overlay::{Publication, Sharing, Standing};
use sim::names::{self, is_of_one_mind, numbered, picture};
use sim::{Random, Violation};
use wire::{Name, NodeId};

/// Rounds in which two nodes claim one name apart.
const ROUNDS: u64 = 200;
/// Rounds in which the oldest member claims what another has.
const SPITEFUL_ROUNDS: u64 = 50;

fn web() -> Name {
    "web".parse().unwrap()
}

/// Machines whose instances of `web` a machine sees that are well, the first one first.
fn seen(world: &World, at: usize) -> Vec<usize> {
    let zone = world.zone(at).unwrap();
    let instances = zone.services.get(&web()).into_iter().flat_map(|service| service.healthy());
    instances.map(|instance| world.machine_of(&instance.node).unwrap()).collect()
}

fn all_see(world: &World, instances: &[usize]) -> bool {
    (0..world.machines().len()).filter(|at| world.is_up(*at)).all(|at| seen(world, at) == instances)
}

fn publish(world: &mut World, machine: usize, publication: Publication) {
    world.publish(machine, publication).unwrap().unwrap();
}

#[test]
fn what_is_published_changed_or_withdrawn_is_known_to_all_soon() {
    let mut world = network(4, 120 * SECOND);
    publish(&mut world, 1, numbered("web", 1, Sharing::Owner));
    assert!(world.run_until(3 * SECOND, |world| all_see(world, &[1])).unwrap());
    world.tell_health(1, &web(), false);
    assert!(world.run_until(3 * SECOND, |world| all_see(world, &[])).unwrap());
    world.tell_health(1, &web(), true);
    assert!(world.run_until(3 * SECOND, |world| all_see(world, &[1])).unwrap());
    world.unpublish(1, &web(), None).unwrap().unwrap();
    assert!(world.run_until(3 * SECOND, |world| all_see(world, &[])).unwrap());
    assert!((0..4).all(|at| world.zone(at).unwrap().services.is_empty()), "nobody owns it");
}

#[test]
fn whose_word_is_lost_is_not_believed_for_longer() {
    let mut world = network(4, 120 * SECOND);
    publish(&mut world, 1, numbered("web", 1, Sharing::Owner));
    assert!(world.run_until(3 * SECOND, |world| all_see(world, &[1])).unwrap());
    // Cut off it says that it is not well, which nobody hears; once it is back, all do.
    world.network.groups = vec![0, 1];
    world.tell_health(1, &web(), false);
    world.run_for(5 * SECOND).unwrap();
    world.network.heal();
    assert!(world.run_until(15 * SECOND, |world| all_see(world, &[])).unwrap());
}

#[test]
fn a_crashed_publisher_leaves_when_its_lease_ends_and_is_back_after_its_restart() {
    let mut world = network(4, 120 * SECOND);
    publish(&mut world, 1, Publication { ttl_s: 20, ..numbered("web", 1, Sharing::Owner) });
    world.run_for(60 * SECOND).unwrap();
    world.kill(1);
    world.run_for(9 * SECOND).unwrap();
    assert!(all_see(&world, &[1]), "it may be back in a moment");
    assert!(world.run_until(13 * SECOND, |world| all_see(world, &[])).unwrap());
    world.start(1);
    assert!(world.run_until(3 * SECOND, |world| all_see(world, &[1])).unwrap(), "it was written");
    world.stop(1);
    assert!(world.run_until(SECOND, |world| all_see(world, &[])).unwrap(), "who goes down says so");
}

#[test]
fn the_instance_in_use_stays_first_while_it_is_well_and_then_the_nearest_is() {
    let mut world = network(4, 120 * SECOND);
    let shared = |number| numbered("web", number, Sharing::Members);
    publish(&mut world, 1, shared(1));
    assert!(world.run_until(3 * SECOND, |world| all_see(world, &[1])).unwrap());
    world.run_for(10 * SECOND).unwrap();
    publish(&mut world, 2, shared(2));
    publish(&mut world, 3, shared(3));
    world.run_for(10 * SECOND).unwrap();
    assert_eq!(seen(&world, 0)[0], 1);
    assert_eq!(seen(&world, 3)[0], 1, "though its own would be nearer");
    world.tell_health(1, &web(), false);
    world.run_for(SECOND).unwrap();
    assert_eq!(seen(&world, 3), [3, 2]);
    world.tell_health(1, &web(), true);
    world.run_for(SECOND).unwrap();
    assert_eq!(seen(&world, 3)[0], 3, "there is a reason to change, or there is no change");
    assert_ne!(seen(&world, 1)[0], 1, "also for the machine itself");
}

/// Two claim one name while they are apart; how long it takes all to agree once they are together again.
fn claim_apart(seed: u64) -> Result<Duration, Violation> {
    let mut random = Random::new(seed);
    let machines = 3 + random.below(3);
    let mut world = names::network(machines, &mut random)?;
    let first = random.below(machines);
    let second = (first + 1 + random.below(machines - 1)) % machines;
    let mut groups: Vec<usize> = (0..machines).map(|_| random.below(2)).collect();
    (groups[first], groups[second]) = (0, 1);
    world.network.groups = groups;
    world.run_for(random.duration(Duration::ZERO, 8 * SECOND))?;
    let publish = |world: &mut World, machine: usize, random: &mut Random| {
        let sharing = [Sharing::Owner, Sharing::Members][random.below(2)].clone();
        let number = machine as u64 + 1;
        world
            .publish(machine, numbered("web", number, sharing))
            .unwrap()
            .map_err(|e| Violation(e.to_string()))
    };
    publish(&mut world, first, &mut random)?;
    world.run_for(random.duration(Duration::ZERO, 2 * SECOND))?;
    publish(&mut world, second, &mut random)?;
    world.run_for(random.duration(Duration::ZERO, 2 * SECOND))?;
    world.network.heal();
    if !world.run_until(60 * SECOND, is_together)? {
        return Err(Violation("not together".to_owned()));
    }
    let healed = world.at();
    let settled = |world: &World| {
        let holders = [first, second].map(|machine| world.standing(machine, &web()) == Some(Standing::Held));
        is_of_one_mind(world) && holders.iter().filter(|holds| **holds).count() == 1
    };
    if !world.run_until(10 * SECOND, settled)? {
        let pictures: Vec<_> = (0..machines).map(|machine| picture(&world, machine)).collect();
        return Err(Violation(format!("10 s after healing: {pictures:#?}")));
    }
    let took = world.at() - healed;
    let owner = |world: &World| -> NodeId { world.zone(0).unwrap().services[&web()].owner };
    let (holder, loser) =
        if owner(&world) == world.machines()[first].id() { (first, second) } else { (second, first) };
    // It stays so, until the holder does not want the name any more.
    world.run_for(40 * SECOND)?;
    if owner(&world) != world.machines()[holder].id() || !settled(&world) {
        return Err(Violation("the name changes hands by itself".to_owned()));
    }
    world.unpublish(holder, &web(), None).unwrap().unwrap();
    let passes_on = |world: &World| {
        (0..machines).all(|at| {
            let zone = world.zone(at).unwrap();
            zone.services.get(&web()).is_some_and(|service| {
                let is_kept = service.owner == world.machines()[holder].id();
                let instances = service.instances.iter().filter(|i| i.node == world.machines()[loser].id());
                // Shared with the loser, it stays the holder's for the sake of that one's instance.
                (is_kept || service.owner == world.machines()[loser].id()) && instances.count() == 1
            })
        })
    };
    if !world.run_until(5 * SECOND, passes_on)? {
        let pictures: Vec<_> = (0..machines).map(|machine| picture(&world, machine)).collect();
        return Err(Violation(format!("the loser does not get the name: {pictures:#?}")));
    }
    Ok(took)
}

#[test]
fn two_that_claim_one_name_apart_settle_alike_everywhere() {
    let outcomes =
        (0..ROUNDS).map(|seed| claim_apart(seed).map_err(|violation| format!("seed {seed}: {violation}")));
    let took = outcomes.collect::<Result<Vec<Duration>, String>>().unwrap();
    assert_eq!(took.len(), ROUNDS as usize);
}

/// The oldest member claims a name that another has, alone or with some it is cut off with, while the admin is up or not.
fn claim_in_spite(seed: u64) -> Result<(), Violation> {
    let mut random = Random::new(seed);
    let machines = 4;
    let mut world = names::network(machines, &mut random)?;
    publish(&mut world, 2, numbered("web", 1, Sharing::Owner));
    let holder = world.machines()[2].id();
    let held = |world: &World, at: usize| {
        let zone = world.zone(at).unwrap();
        zone.services.get(&web()).is_some_and(|service| service.owner == holder)
    };
    let all_up = |world: &World| (0..machines).filter(|at| world.is_up(*at)).collect::<Vec<_>>();
    world.run_for(10 * SECOND)?;
    if random.per_mille(500) {
        world.kill(0);
    }
    let groups = [vec![0, 0, 0, 0], vec![0, 1, 0, 0], vec![1, 1, 0, 0], vec![0, 1, 0, 1], vec![1, 1, 0, 1]];
    world.network.groups = groups[random.below(groups.len())].clone();
    world.squat(1, numbered("web", 2, Sharing::Owner));
    for _ in 0..random.below(200) {
        world.run_for(SECOND / 10)?;
        // The evil one itself is told by those whom it meets.
        if all_up(&world).into_iter().any(|at| at != 1 && !held(&world, at)) {
            return Err(Violation("somebody believed it".to_owned()));
        }
    }
    world.network.heal();
    world.start(0);
    if !world.run_until(60 * SECOND, is_together)? {
        return Err(Violation("not together".to_owned()));
    }
    if !world.run_until(10 * SECOND, |world| (0..machines).all(|at| held(world, at)))? {
        return Err(Violation("not all see the holder".to_owned()));
    }
    world.run_for(30 * SECOND)?;
    if (0..machines).all(|at| held(&world, at)) {
        Ok(())
    } else {
        Err(Violation("later it was taken over".to_owned()))
    }
}

#[test]
fn nobody_takes_over_a_name_that_an_admin_has_confirmed() {
    for seed in 0..SPITEFUL_ROUNDS {
        claim_in_spite(seed).map_err(|violation| format!("seed {seed}: {violation}")).unwrap();
    }
}

#[test]
fn an_old_disk_brings_no_name_back_to_who_knows_better() {
    let mut world = network(3, 120 * SECOND);
    publish(&mut world, 1, numbered("web", 1, Sharing::Owner));
    // Time enough for everything to be written, in what a malicious member will show again.
    world.run_for(40 * SECOND).unwrap();
    let old = world.machines()[2].disk.files().clone();
    world.unpublish(1, &web(), None).unwrap().unwrap();
    assert!(world.run_until(3 * SECOND, |world| world.zone(0).unwrap().services.is_empty()).unwrap());
    publish(&mut world, 0, numbered("web", 2, Sharing::Owner));
    assert!(world.run_until(3 * SECOND, |world| all_see(world, &[0])).unwrap());
    world.kill(2);
    world.machine_mut(2).disk.restore(old);
    world.start(2);
    for _ in 0..100 {
        world.run_for(SECOND / 10).unwrap();
        assert!([0, 1].into_iter().all(|at| seen(&world, at) == [0]));
    }
    assert!(all_see(&world, &[0]), "and it has learnt what is true");
}
