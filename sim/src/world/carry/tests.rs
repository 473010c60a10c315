//! What the wire does that no Node asks for yet, or that a Node could not tell from outside.

use crate::nat::Kind;
use crate::world::World;
use overlay::{Remote, SocketId};
use std::time::Duration;

fn group() -> Remote {
    Remote::udp(([224, 0, 0, 251], 41640).into())
}

/// Who got something in the trace, in order.
fn receivers(world: &World) -> Vec<String> {
    let gets = world.trace.lines().filter(|line| line.contains("gets"));
    gets.filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
}

fn world() -> World {
    let mut world = World::new(1);
    world.trace.keep_lines();
    world.homes(&[(Kind::PortRestricted, 3), (Kind::PortRestricted, 1), (Kind::Open, 2)]);
    world
}

#[test]
fn a_group_is_the_neighbours_at_home_and_nobody_on_the_internet() {
    let mut world = world();
    world.transmit(1, group(), None, vec![1]);
    world.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(receivers(&world), ["m0", "m2"]);
    for alone in [3, 4] {
        world.transmit(alone, group(), None, vec![1]);
    }
    world.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(receivers(&world), ["m0", "m2"]);
}

#[test]
fn a_home_is_near_and_the_internet_loses_nothing_of_it() {
    let mut world = world();
    world.network.conditions.loss = 1000;
    let [neighbour, public] = [2, 4].map(|machine| Remote::udp(world.machines()[machine].addresses[0]));
    for remote in [neighbour, public] {
        world.transmit(0, remote, None, vec![1]);
    }
    world.run_for(Duration::from_millis(1)).unwrap();
    assert_eq!(receivers(&world), ["m2"]);
    world.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(receivers(&world), ["m2"]);
}

#[test]
fn of_a_home_only_those_get_something_whom_the_partition_leaves() {
    let mut world = world();
    for machine in 0..3 {
        world.transmit(machine, Remote::udp(world.machines()[4].addresses[0]), None, vec![1]);
    }
    world.run_for(Duration::from_secs(1)).unwrap();
    world.network.groups = vec![1, 0, 0];
    let seen: Vec<_> = (0..3)
        .map(|machine| {
            let (now, to) = (world.now(), world.machines()[4].addresses[0]);
            let (inner, realm) = (world.machines()[machine].addresses[0], world.machines()[machine].realm);
            world.nat_mut(realm).unwrap().outbound(inner, to, now).unwrap()
        })
        .collect();
    let before = receivers(&world).len();
    for address in seen {
        world.transmit(4, Remote::udp(address), None, vec![1]);
    }
    world.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(receivers(&world)[before..], ["m1", "m2"]);
}

#[test]
fn spare_sockets_have_ports_of_their_own_until_they_are_closed() {
    let mut world = world();
    world.open_sockets(4, SocketId(1), 256);
    let ports: std::collections::BTreeSet<u16> = world.machines()[4].sockets.values().copied().collect();
    assert_eq!(ports.len(), 256);
    world.close_sockets(4, SocketId(2), 255);
    assert_eq!(world.machines()[4].sockets.keys().copied().collect::<Vec<_>>(), [SocketId(1)]);
    let remote = |socket| Remote::Udp { socket, address: world.machines()[5].addresses[0] };
    let [open, closed] = [1, 2].map(|id| remote(SocketId(id)));
    world.transmit(4, closed, None, vec![1]);
    world.run_for(Duration::from_secs(1)).unwrap();
    assert!(receivers(&world).is_empty());
    world.transmit(4, open, None, vec![1]);
    world.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(receivers(&world), ["m5"]);
}
