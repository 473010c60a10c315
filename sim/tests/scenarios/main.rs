//! What must hold in particular situations, one by one.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

mod company;
mod homes;
mod membership;
mod parts;
mod paths;
mod services;
mod versions;

use overlay::{InviteRequest, JoinError, PeerState};
use sim::scenario::{self, apart, is_together};
use sim::{Conditions, Family, World, any_member};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wire::enrolment::Refusal;
use wire::invite::InviteRole;

const SECOND: Duration = Duration::from_secs(1);

fn addresses(number: usize, generation: u8) -> Vec<SocketAddr> {
    let v4 = IpAddr::from([198, 18, generation, number as u8 + 1]);
    let v6 = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, generation.into(), number as u16 + 1]);
    [v4, v6].map(|ip| SocketAddr::new(ip, 7000)).to_vec()
}

/// A machine that is off.
fn add(world: &mut World) -> usize {
    let number = world.machines().len();
    world.add_machine(format!("m{number}").parse().unwrap(), addresses(number, 0))
}

fn enrol(world: &mut World, issuer: usize, request: &InviteRequest) -> usize {
    let invite = world.invite(issuer, request).unwrap();
    let machine = add(world);
    world.join(machine, &invite);
    assert!(world.run_until(5 * SECOND, |world| world.is_up(machine)).unwrap());
    machine
}

/// Machines in one network, all together, whose sessions live that long.
fn network(machines: usize, rekey_after: Duration) -> World {
    let mut world = World::new(7);
    let founder = add(&mut world);
    world.machine_mut(founder).rekey_after = rekey_after;
    world.found(founder, "10.77.0.0/24");
    for _ in 1..machines {
        let invite = world.invite(founder, &any_member()).unwrap();
        let machine = add(&mut world);
        world.machine_mut(machine).rekey_after = rekey_after;
        world.join(machine, &invite);
        assert!(world.run_until(5 * SECOND, |world| world.is_up(machine)).unwrap());
    }
    come_together(&mut world, 5 * SECOND);
    world
}

fn come_together(world: &mut World, patience: Duration) {
    let done = world.run_until(patience, is_together).unwrap();
    assert!(done, "{:?}", apart(world));
}

fn state(world: &World, at: usize, of: usize) -> Option<PeerState> {
    let id = world.machines()[of].id();
    world.view(at)?.peers.iter().find(|peer| peer.node == id).map(|peer| peer.state)
}

/// Sends a packet and says whether it arrives within a second.
fn reaches(world: &mut World, from: usize, to: usize, family: Family) -> bool {
    let number = world.send(from, to, family).unwrap();
    world.run_for(SECOND).unwrap();
    world.ledger().packet(number).arrived.is_some()
}

#[test]
fn the_same_seed_does_the_same_again_and_another_does_not() {
    let run = |seed| scenario::run(seed, false).unwrap();
    for seed in [0, 1, 2] {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(0).trace, run(1).trace);
}
