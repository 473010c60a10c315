//! What nodes send while nobody has anything to say, by kind. `--nocapture` prints it.

use sim::nat::Kind;
use sim::{World, any_member};
use std::collections::BTreeMap;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// After this long all attempts at better paths are over.
const CALM: Duration = Duration::from_secs(600);
/// How long it is looked at: fifty probes.
const LOOK_S: u32 = 1200;
/// UDP payload a second for each peer: probes and their answers, and new keys every half an hour.
const BYTES_PER_PEER_MAX: f64 = 8.0;

/// Bytes that all nodes have sent, by kind.
fn sent(world: &World) -> BTreeMap<&'static str, u64> {
    let mut sum = BTreeMap::new();
    for node in world.machines().iter().filter_map(sim::Machine::node) {
        for (kind, tally) in node.sent().iter() {
            *sum.entry(kind).or_default() += tally.bytes;
        }
    }
    sum
}

/// A node among many sends at most so many bytes of UDP payload a second, to all together: neighbours, anchors, and news of them.
/// It was 274 for probes and keys alone when everybody kept sessions with everybody, and grew with the network.
const BYTES_AMONG_MANY_MAX: f64 = 500.0;

/// Machines of some homes, in one network.
fn network(homes: &[(Kind, usize)]) -> World {
    let mut world = World::new(11);
    let machines: Vec<usize> = world.homes(homes).into_iter().flat_map(|home| home.machines).collect();
    world.found(machines[0], "10.77.0.0/16");
    for machine in &machines[1..] {
        let invite = world.invite(machines[0], &any_member()).expect("the founder is an admin");
        world.join(*machine, &invite);
        assert!(world.run_until(10 * SECOND, |world| world.is_up(*machine)).expect("no promise is broken"));
    }
    world.run_for(CALM).expect("no promise is broken");
    world
}

/// Bytes a second that each node sends, in the mean of so many seconds.
fn idle_rate(name: &str, homes: &[(Kind, usize)], look_s: u32) -> f64 {
    let mut world = network(homes);
    let before = sent(&world);
    world.run_for(SECOND * look_s).expect("no promise is broken");
    let nodes = world.machines().len() as f64;
    let per_node = |bytes: u64| bytes as f64 / (f64::from(look_s) * nodes);
    let mut total = 0;
    for (kind, bytes) in sent(&world) {
        let bytes = bytes - before.get(kind).copied().unwrap_or(0);
        total += bytes;
        let rate = per_node(bytes);
        println!("{name}: {kind:12} {rate:6.2} B/s, {:6.2} for each peer", rate / (nodes - 1.0));
    }
    println!("{name}: {:12} {:6.2} B/s", "all", per_node(total));
    per_node(total)
}

#[test]
fn an_idle_node_sends_little_to_each_peer() {
    let rate = idle_rate("open", &[(Kind::Open, 8)], LOOK_S) / 7.0;
    assert!(rate < BYTES_PER_PEER_MAX, "{rate} B/s for each peer");
}

#[test]
fn nor_does_one_behind_a_nat() {
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Open);
    let homes: Vec<_> = [(Kind::Open, 3)].into_iter().chain(kinds.map(|kind| (kind, 1))).collect();
    let peers = homes.iter().map(|(_, machines)| machines).sum::<usize>() - 1;
    let rate = idle_rate("homes", &homes, LOOK_S) / peers as f64;
    assert!(rate < BYTES_PER_PEER_MAX, "{rate} B/s for each peer");
}

#[test]
fn nor_does_one_among_many() {
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Open);
    let homes: Vec<_> = [(Kind::Open, 8)].into_iter().chain(kinds.map(|kind| (kind, 3))).collect();
    let rate = idle_rate("many", &homes, LOOK_S / 2);
    assert!(rate < BYTES_AMONG_MANY_MAX, "{rate} B/s");
}
