//! Networks of more machines than each keeps sessions with.

use super::SECOND;
use overlay::PeerState;
use sim::nat::Kind;
use sim::{Family, World, any_member};

/// More than a node keeps sessions with.
const MACHINES: usize = 32;
/// Of them can be dialled.
const OPEN: usize = 8;
/// Neighbours, those whose neighbour it is, and its anchors; a hop of somebody's.
const SESSIONS_MAX: usize = 14;
/// An anchor keeps the other anchors besides, and is kept by three of eight of those that are none.
const SESSIONS_OF_ANCHOR_MAX: usize = 28;

/// So many machines, some of which can be dialled, that have had nothing to say for so long that sessions rest.
fn idle() -> World {
    let mut world = World::new(3);
    let homes =
        [&[(Kind::Open, OPEN)][..], &[(Kind::PortRestricted, 3); 6], &[(Kind::SymRandom, 3); 2]].concat();
    let machines: Vec<usize> = world.homes(&homes).into_iter().flat_map(|home| home.machines).collect();
    assert_eq!(machines.len(), MACHINES);
    world.found(machines[0], "10.77.0.0/16");
    for machine in &machines[1..] {
        let invite = world.invite(machines[0], &any_member()).unwrap();
        world.join(*machine, &invite);
        assert!(world.run_until(10 * SECOND, |world| world.is_up(*machine)).unwrap());
    }
    world.run_for(600 * SECOND).unwrap();
    world
}

fn states(world: &World, machine: usize, state: PeerState) -> usize {
    world.view(machine).unwrap().peers.iter().filter(|peer| peer.state == state).count()
}

#[test]
fn nobody_keeps_sessions_with_all_and_every_packet_arrives() {
    let mut world = idle();
    for machine in 0..MACHINES {
        let connected = states(&world, machine, PeerState::Connected);
        let is_anchor = world.machines()[machine].node().unwrap().netcheck(world.now()).is_anchor;
        assert_eq!(is_anchor, machine < OPEN);
        let most = if is_anchor { SESSIONS_OF_ANCHOR_MAX } else { SESSIONS_MAX };
        assert!((1..=most).contains(&connected), "{machine} is connected to {connected}");
        let resting = states(&world, machine, PeerState::Resting);
        assert_eq!(connected + resting, MACHINES - 1, "{machine} calls nobody offline whom it has not asked");
    }
    for from in 0..MACHINES {
        let to = (from + MACHINES / 2) % MACHINES;
        let number = world.send(from, to, Family::V4).unwrap();
        world.run_for(2 * SECOND).unwrap();
        assert!(world.ledger().packet(number).arrived.is_some(), "{from} to {to}");
    }
}

#[test]
fn a_session_that_is_used_stays_and_one_that_is_not_ends_at_both_ends() {
    let mut world = idle();
    let resting = |world: &World, of: usize| {
        let view = world.view(0).unwrap();
        let peer = view.peers.iter().find(|peer| peer.node == world.machines()[of].id()).unwrap();
        peer.state == PeerState::Resting
    };
    let other = (1..MACHINES).find(|machine| resting(&world, *machine)).unwrap();
    // A packet a minute is enough.
    for _ in 0..10 {
        let number = world.send(0, other, Family::V4).unwrap();
        world.run_for(60 * SECOND).unwrap();
        assert!(world.ledger().packet(number).arrived.is_some());
        assert!(!resting(&world, other));
    }
    // It may have become a neighbour meanwhile, which changes now and then.
    assert!(world.run_until(3600 * SECOND, |world| resting(world, other)).unwrap());
    let number = world.send(other, 0, Family::V4).unwrap();
    world.run_for(SECOND).unwrap();
    assert!(world.ledger().packet(number).arrived.is_some(), "the first packet makes a session");
}
