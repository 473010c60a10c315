//! Partitions, roaming, restarts, rekeying: who is connected, and what is lost.

use super::*;

#[test]
fn a_partition_is_noticed_and_heals() {
    let mut world = network(4, 120 * SECOND);
    world.network.groups = vec![0, 0, 1, 1];
    for (from, to) in [(0, 1), (0, 2), (1, 3), (2, 3)] {
        world.send(from, to, Family::V4);
    }
    world.run_for(10 * SECOND).unwrap();
    assert_eq!(state(&world, 0, 1), Some(PeerState::Connected));
    assert_ne!(state(&world, 0, 2), Some(PeerState::Connected), "packets have shown that it is gone");
    let lost = world.send(0, 2, Family::V6).unwrap();
    world.run_for(5 * SECOND).unwrap();
    let lost = world.ledger().packet(lost);
    assert!(lost.refused && lost.arrived.is_none(), "its sender is told");
    world.network.heal();
    world.run_for(45 * SECOND).unwrap();
    assert!(reaches(&mut world, 0, 2, Family::V4) && reaches(&mut world, 3, 1, Family::V6));
}

#[test]
fn a_node_that_roams_is_found_within_a_second() {
    let mut world = network(3, 120 * SECOND);
    world.roam(1, addresses(1, 1), true);
    world.run_for(SECOND).unwrap();
    for (from, to) in [(0, 1), (1, 0), (2, 1), (1, 2)] {
        assert!(reaches(&mut world, from, to, Family::V4), "{from} to {to}");
    }
    assert!(is_together(&world));
}

#[test]
fn a_nat_that_forgets_costs_no_session() {
    let mut world = network(2, 120 * SECOND);
    let mut moved = addresses(1, 0);
    moved.iter_mut().for_each(|address| address.set_port(9999));
    world.roam(1, moved, false);
    assert!(reaches(&mut world, 1, 0, Family::V4), "its packets arrive from the new port");
    assert!(reaches(&mut world, 0, 1, Family::V4), "and so does the answer");
}

#[test]
fn rekeying_loses_no_packet() {
    for (name, jitter) in [("in order", Duration::ZERO), ("out of order", Duration::from_millis(30))] {
        let mut world = network(2, 2 * SECOND);
        world.network.conditions =
            Conditions { delay: Duration::from_millis(20), jitter, ..Conditions::GOOD };
        for _ in 0..6000 {
            world.send(0, 1, Family::V4);
            world.send(1, 0, Family::V6);
            world.run_for(Duration::from_millis(10)).unwrap();
        }
        world.run_for(SECOND).unwrap();
        let packets = world.ledger().packets();
        let lost = packets.iter().filter(|packet| packet.arrived.is_none()).count();
        assert_eq!((lost, packets.len()), (0, 12_000), "{name}");
    }
}

#[test]
fn rekeying_over_a_bad_network_loses_no_more_than_the_network() {
    let mut world = network(2, 2 * SECOND);
    let delay = Duration::from_millis(20);
    world.network.conditions = Conditions { delay, loss: 100, duplication: 50, ..Conditions::GOOD };
    for _ in 0..6000 {
        world.send(0, 1, Family::V4);
        world.run_for(Duration::from_millis(10)).unwrap();
    }
    world.run_for(SECOND).unwrap();
    let arrived = world.ledger().packets().iter().filter(|packet| packet.arrived.is_some()).count();
    assert!(arrived > 5_250, "{arrived} of 6000 where 90 % and some duplicates get through");
}

#[test]
fn a_node_that_was_killed_is_back_within_two_seconds() {
    let mut world = network(3, 120 * SECOND);
    world.run_for(SECOND).unwrap();
    world.kill(1);
    world.start(1);
    world.run_for(2 * SECOND).unwrap();
    for (from, to) in [(0, 1), (1, 0), (2, 1), (1, 2)] {
        assert!(reaches(&mut world, from, to, Family::V4), "{from} to {to}");
    }
}

#[test]
fn state_that_could_not_be_written_is_learnt_again() {
    let mut world = network(3, 120 * SECOND);
    world.machine_mut(1).disk.failure = 1000;
    let wish = "10.77.0.99".parse().unwrap();
    let id = world.machines()[1].id().to_string();
    world.command(0, |node, now| node.assign(&id, wish, now)).unwrap().unwrap();
    world.run_for(SECOND).unwrap();
    assert_eq!(world.mesh_address(1, Family::V4), Some(wish));
    world.kill(1);
    world.machine_mut(1).disk.failure = 0;
    world.start(1);
    assert_ne!(world.mesh_address(1, Family::V4), Some(wish), "the new credentials were not written");
    come_together(&mut world, 10 * SECOND);
    assert_eq!(world.mesh_address(1, Family::V4), Some(wish));
}

#[test]
fn whoever_hears_of_a_peers_new_address_asks_there_at_once() {
    for cut_s in (20..100).step_by(7) {
        let mut world = network(3, 120 * SECOND);
        // 1 and 2 lose sight of each other, and 1 moves; 2 can reach nobody else for a while.
        world.network.groups = vec![0, 0, 1];
        for (from, to) in [(0, 2), (2, 0), (2, 1), (1, 2)] {
            world.send(from, to, Family::V4);
        }
        world.run_for(10 * SECOND).unwrap();
        world.roam(1, addresses(1, 1), true);
        world.run_for(cut_s * SECOND).unwrap();
        world.network.heal();
        // What 1 asks 2 by itself is lost for now.
        world.network.blocked.insert((1, 2));
        let is_connected = |other| move |world: &World| state(world, 2, other) == Some(PeerState::Connected);
        assert!(world.run_until(40 * SECOND, is_connected(0)).unwrap());
        world.network.heal();
        assert!(world.run_until(2 * SECOND, is_connected(1)).unwrap(), "after {cut_s} s");
    }
}

#[test]
fn a_hop_that_is_no_member_any_more_is_left_behind() {
    let mut world = network(4, 120 * SECOND);
    for pair in [(0, 1), (1, 0), (1, 2), (2, 1)] {
        world.network.blocked.insert(pair);
    }
    // A packet shows that the path is dead.
    reaches(&mut world, 0, 1, Family::V4);
    world.run_for(10 * SECOND).unwrap();
    assert!(reaches(&mut world, 0, 1, Family::V4), "by way of 3");
    let hop = world.machines()[3].id().to_string();
    world.command(0, |node, now| node.revoke(&hop, now)).unwrap().unwrap();
    // The machine is not busy with a packet that has no way any more.
    assert!(!reaches(&mut world, 0, 1, Family::V4));
    world.network.heal();
    world.run_for(30 * SECOND).unwrap();
    assert!(reaches(&mut world, 0, 1, Family::V4));
}
