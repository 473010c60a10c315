//! Homes behind NATs of every kind, and what their machines reach without help of others.

use super::{SECOND, come_together, state};
use overlay::PeerState;
use sim::nat::{Behaviour, Kind};
use sim::{Family, Home, Realm, World, any_member};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Homes with so many machines each; the first machine of the first founds the network, and the others join it.
fn settle(homes: &[(Kind, usize)]) -> (World, Vec<Home>) {
    settle_by(11, homes)
}

fn settle_by(seed: u64, homes: &[(Kind, usize)]) -> (World, Vec<Home>) {
    let mut world = World::new(seed);
    let homes = world.homes(homes);
    let founder = homes[0].machines[0];
    world.found(founder, "10.77.0.0/24");
    for machine in homes.iter().flat_map(|home| home.machines.clone()).filter(|m| *m != founder) {
        enrol(&mut world, founder, machine);
    }
    (world, homes)
}

fn enrol(world: &mut World, issuer: usize, machine: usize) {
    let invite = world.invite(issuer, &any_member()).unwrap();
    world.join(machine, &invite);
    assert!(world.run_until(5 * SECOND, |world| world.is_up(machine)).unwrap(), "machine {machine}");
}

fn are_connected(world: &World, a: usize, b: usize) -> bool {
    [(a, b), (b, a)].iter().all(|(at, of)| state(world, *at, *of) == Some(PeerState::Connected))
}

/// Whether packets get through both ways within a second.
fn talk(world: &mut World, a: usize, b: usize) -> bool {
    let numbers = [(a, b), (b, a)].map(|(from, to)| world.send(from, to, Family::V4).unwrap());
    world.run_for(SECOND).unwrap();
    numbers.iter().all(|number| world.ledger().packet(*number).arrived.is_some())
}

#[test]
fn machines_of_every_home_join_and_talk_with_public_ones() {
    for kind in Kind::ALL {
        let (mut world, homes) = settle(&[(Kind::Open, 2), (kind, 1)]);
        let (public, home) = (&homes[0].machines, homes[1].machines[0]);
        for machine in public {
            let together = |world: &World| are_connected(world, *machine, home);
            assert!(world.run_until(10 * SECOND, together).unwrap(), "{kind:?} and {machine}");
            assert!(talk(&mut world, *machine, home), "{kind:?} and {machine}");
        }
    }
}

#[test]
fn neighbours_talk_without_leaving_their_home() {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.profile().translates) {
        let (mut world, homes) = settle(&[(Kind::Open, 1), (kind, 2)]);
        let [a, b] = homes[1].machines[..] else { panic!("two machines") };
        assert!(world.run_until(10 * SECOND, |world| are_connected(world, a, b)).unwrap(), "{kind:?}");
        // Without their router, nothing but the home is left.
        let wan = IpAddr::from([198, 51, 100, 1]);
        world.nat_mut(homes[1].realm).unwrap().readdress(wan);
        world.network.groups = vec![0, 1, 1];
        assert!(talk(&mut world, a, b), "{kind:?}");
        assert!(!talk(&mut world, 0, a), "{kind:?}");
    }
}

#[test]
fn an_idle_path_outlives_mappings_of_thirty_seconds() {
    let (mut world, homes) = settle(&[(Kind::Open, 1), (Kind::SymRandom, 1)]);
    let home = homes[1].machines[0];
    assert!(world.run_until(10 * SECOND, |world| are_connected(world, 0, home)).unwrap());
    world.run_for(300 * SECOND).unwrap();
    assert!(talk(&mut world, 0, home));
}

#[test]
fn machines_measure_how_long_mappings_live_with_a_neighbour_that_can_hear_them() {
    let homes = [(Kind::Open, 2), (Kind::PortRestricted, 1), (Kind::PortRestricted, 1)];
    // Whoever has the lowest id: those behind NATs hear nothing of a socket that only measures, and nothing follows from that.
    for seed in 0..8 {
        let (mut world, homes) = settle_by(seed, &homes);
        world.run_for(300 * SECOND).unwrap();
        for machine in homes[1].machines.iter().chain(&homes[2].machines) {
            let netcheck = world.machines()[*machine].node().unwrap().netcheck(world.now());
            assert!(netcheck.keepalive > Some(25 * SECOND), "{seed}, {machine}: {:?}", netcheck.keepalive);
        }
    }
}

#[test]
fn a_router_that_restarts_or_moves_is_left_behind_within_seconds() {
    for moves in [false, true] {
        let (mut world, homes) = settle(&[(Kind::Open, 1), (Kind::SymRandom, 1)]);
        let (home, realm) = (homes[1].machines[0], homes[1].realm);
        assert!(world.run_until(10 * SECOND, |world| are_connected(world, 0, home)).unwrap());
        let wan = world.new_public_address();
        let router = world.nat_mut(realm).unwrap();
        if moves {
            router.readdress(wan)
        } else {
            router.restart()
        }
        // The home speaks first: nobody else could get in.
        let number = world.send(home, 0, Family::V4).unwrap();
        world.run_for(SECOND).unwrap();
        assert!(world.ledger().packet(number).arrived.is_some(), "moves: {moves}");
        assert!(talk(&mut world, 0, home), "moves: {moves}");
    }
}

#[test]
fn a_machine_behind_two_nats_talks_with_public_ones() {
    let mut world = World::new(5);
    let founder = world.homes(&[(Kind::Open, 1)])[0].machines[0];
    let wan = world.new_public_address();
    let carrier = world.add_router(Kind::SymBlock512, Realm::INTERNET, wan);
    let home = world.add_router(Kind::PortRestricted, carrier, [100, 64, 0, 2].into());
    let address = SocketAddr::from(([192, 168, 1, 10], 41641));
    let machine = world.add_machine_in(home, "inner".parse().unwrap(), vec![address]);
    world.found(founder, "10.77.0.0/24");
    enrol(&mut world, founder, machine);
    come_together(&mut world, 10 * SECOND);
    assert!(talk(&mut world, founder, machine));
    assert!([home, carrier].iter().all(|realm| world.nat_mut(*realm).unwrap().flows() > 0));
}

#[test]
fn a_machine_that_is_carried_home_is_found_there() {
    let (mut world, homes) = settle(&[(Kind::Open, 2), (Kind::PortRestricted, 1)]);
    let (laptop, host) = (1, homes[1].machines[0]);
    come_together(&mut world, 10 * SECOND);
    world.carry_to(laptop, homes[1].realm, vec![SocketAddr::from(([192, 168, 1, 77], 41641))]);
    come_together(&mut world, 10 * SECOND);
    world.run_for(3 * SECOND).unwrap();
    for other in [0, host] {
        assert!(talk(&mut world, laptop, other), "{other}");
    }
}

#[test]
fn a_mapping_that_lives_five_seconds_is_the_behaviour_of_its_home_alone() {
    let mut world = World::new(3);
    let home = world.add_home(Kind::SymRandom, Behaviour::from(Kind::SymRandom).with_lifetime(5 * SECOND), 1);
    assert_eq!(world.nat_mut(home.realm).unwrap().behaviour().replied_lifetime, 5 * SECOND);
    let other = &world.homes(&[(Kind::SymRandom, 1)])[0];
    assert_eq!(world.nat_mut(other.realm).unwrap().behaviour().replied_lifetime, 120 * SECOND);
    assert!(world.nat_mut(Realm::INTERNET).is_none());
}

/// `a` asks every 50 ms and `b` answers, for this long; the longest time without an answer.
fn converse(world: &mut World, a: usize, b: usize, duration: Duration) -> Duration {
    let (end, step) = (world.at() + duration, Duration::from_millis(10));
    let (mut asked, mut answered, mut answers) = (vec![], 0, vec![]);
    let (mut last, mut longest) = (world.at(), Duration::ZERO);
    for turn in 0.. {
        if world.at() >= end {
            break;
        }
        if turn % 5 == 0 {
            asked.extend(world.send(a, b, Family::V4));
        }
        world.run_for(step).unwrap();
        let arrived = |world: &World, number: usize| world.ledger().packet(number).arrived;
        let heard: Vec<usize> =
            asked.iter().copied().filter(|number| arrived(world, *number).is_some()).collect();
        asked.retain(|number| !heard.contains(number));
        answers.extend(heard.iter().filter_map(|_| world.send(b, a, Family::V4)));
        if answers.iter().any(|number| arrived(world, *number).is_some()) {
            answers.retain(|number| arrived(world, *number).is_none());
            answered += 1;
            longest = longest.max(world.at() - last);
            last = world.at();
        }
    }
    assert!(answered > 0);
    longest.max(end - last)
}

#[test]
fn a_conversation_between_two_homes_stands_still_for_less_than_a_second_when_one_moves() {
    for moves in [false, true] {
        for kind in [Kind::PortRestricted, Kind::SymRandom] {
            let (mut world, homes) = settle(&[(Kind::Open, 3), (Kind::PortRestricted, 1), (kind, 1)]);
            let [a, b] = [homes[1].machines[0], homes[2].machines[0]];
            world.network.conditions.delay = Duration::from_millis(20);
            converse(&mut world, a, b, 10 * SECOND);
            let wan = world.new_public_address();
            let router = world.nat_mut(homes[1].realm).unwrap();
            if moves {
                router.readdress(wan)
            } else {
                router.restart()
            }
            let gap = converse(&mut world, a, b, 10 * SECOND);
            assert!(gap < SECOND, "moves: {moves}, {kind:?}: {gap:?}");
        }
    }
}
