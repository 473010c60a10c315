//! Many nodes behind NATs and firewalls of all kinds: some come and go, the network is divided and loses a fifth of all
//! datagrams. Half a minute after it has healed, everybody reaches everybody.

use overlay::Node;
use sim::nat::Kind;
use sim::{Conditions, Home, World, any_member};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// Nodes of an ordinary run, which takes a minute of one core; `HOPMESH_SIM_NODES` makes it more, for those who have
/// time (docs/paths.md says how much).
const NODES: usize = 36;
/// Machines on the internet itself.
const OPEN: usize = 8;
/// By then those that can be dialled know it.
const ANCHORS_AFTER: Duration = Duration::from_secs(10);
/// Machines that join at the same time.
const JOINERS: usize = 8;
/// How long the network is disturbed.
const TROUBLE_S: usize = 40;
/// A packet of everybody has come to everybody this long after it has healed.
const TOGETHER: Duration = Duration::from_secs(30);
/// Of so many pairs without a packet it is shown what they see.
const SHOWN: usize = 12;
/// Pairs that talk all the time, for each machine: with packets, a dead path shows.
const TALKS: usize = 3;

fn nodes() -> usize {
    #[expect(clippy::disallowed_methods, reason = "a person who has time says how many")]
    let wish = std::env::var("HOPMESH_SIM_NODES").ok();
    wish.map_or(NODES, |wish| wish.parse().expect("a number"))
}

/// Some open machines, then homes of every kind in turn, of one to three machines.
fn settle(world: &mut World, nodes: usize) -> Vec<Home> {
    let mut plan = vec![(Kind::Open, OPEN)];
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Open).cycle();
    let mut left = nodes - OPEN;
    for (number, kind) in kinds.enumerate() {
        let machines = (number % 3 + 1).min(left);
        if machines == 0 {
            break;
        }
        plan.push((kind, machines));
        left -= machines;
    }
    let homes = world.homes(&plan);
    let founder = homes[0].machines[0];
    world.found(founder, "10.77.0.0/16");
    let others: Vec<usize> = (0..nodes).filter(|machine| *machine != founder).collect();
    for joiners in others.chunks(JOINERS) {
        for machine in joiners {
            let invite = world.invite(founder, &any_member()).expect("the founder is an admin");
            world.join(*machine, &invite);
        }
        let are_up = |world: &World| joiners.iter().all(|machine| world.is_up(*machine));
        assert!(world.run_until(10 * SECOND, are_up).expect("no promise is broken"), "{joiners:?}");
    }
    homes
}

/// Everybody sends a packet to some others, which are others each time; the numbers of the packets.
fn talk(world: &mut World, round: usize) -> Vec<usize> {
    let nodes = world.machines().len();
    let up: Vec<usize> = (0..nodes).filter(|machine| world.is_up(*machine)).collect();
    let mut packets = vec![];
    for (place, from) in up.iter().enumerate() {
        for talk in 0..TALKS {
            let to = up[(place + 1 + (round * TALKS + talk) * 7) % up.len()];
            if to != *from {
                packets.extend(world.send(*from, to, sim::Family::V4));
            }
        }
    }
    packets
}

/// What goes on in one second of trouble.
fn disturb(world: &mut World, homes: &[Home], second: usize) {
    let nodes = world.machines().len();
    let victim = 1 + second * 13 % (nodes - 1);
    match second % 8 {
        // Everybody is in one of three parts, other ones each time.
        0 => world.network.groups = (0..nodes).map(|machine| machine * (second + 3) / 5 % 3).collect(),
        2 => world.network.heal(),
        4 => {
            let realm = homes[1 + second % (homes.len() - 1)].realm;
            world.nat_mut(realm).expect("it has a router").restart();
        }
        1 | 5 => world.kill(victim),
        3 => world.stop(victim),
        _ => (0..nodes).step_by(2).for_each(|machine| world.start(machine)),
    }
}

#[test]
fn many_nodes_come_together_within_half_a_minute() {
    let mut world = World::new(200);
    let nodes = nodes();
    let homes = settle(&mut world, nodes);
    world.run_for(ANCHORS_AFTER).expect("no promise is broken");
    let anchors = anchors(&world).len();
    assert!(anchors >= OPEN, "only {anchors} are anchors of {OPEN} that everybody can dial");
    world.network.conditions =
        Conditions { delay: SECOND / 50, jitter: SECOND / 50, loss: 200, duplication: 5, damage: 1 };
    for second in 0..TROUBLE_S {
        disturb(&mut world, &homes, second);
        talk(&mut world, second);
        world.run_for(SECOND).expect("no promise is broken");
    }
    world.network.heal();
    world.network.conditions = Conditions { loss: 0, duplication: 0, damage: 0, ..world.network.conditions };
    (0..nodes).for_each(|machine| world.start(machine));
    let healed = world.at();
    let mut missing: Vec<(usize, usize)> = (0..nodes)
        .flat_map(|from| (1..nodes).map(move |distance| (from, (from + distance) % nodes)))
        .collect();
    let pairs = missing.len();
    while !missing.is_empty() && world.at() < healed + TOGETHER {
        missing = unreached(&mut world, &missing);
        println!("{:?} after healing {} of {pairs} pairs are apart", world.at() - healed, missing.len());
    }
    assert!(
        missing.is_empty(),
        "{} of {pairs} pairs: {missing:?}\n{}",
        missing.len(),
        missing.iter().take(SHOWN).map(|(from, to)| sight(&world, *from, *to)).collect::<String>()
    );
}

/// What a machine says of its way to another, for whoever has to find out why there is none.
fn sight(world: &World, from: usize, to: usize) -> String {
    let [Some(node), Some(other)] = [from, to].map(|machine| world.machines()[machine].node()) else {
        return format!("{from} or {to} does not run\n");
    };
    let now = world.now();
    let netcheck = node.netcheck(now);
    let ways: Vec<String> = anchors(world).into_iter().map(|anchor| way(node, anchor, now)).collect();
    format!(
        "{from} to {to}: keeps {:?}, ways to anchors {ways:?}, {:#?}\n",
        netcheck.anchors.iter().map(|anchor| anchor.name.to_string()).collect::<Vec<_>>(),
        node.why(&other.view(now).own.node, now)
    )
}

/// The machines that are anchors by their own word.
fn anchors(world: &World) -> Vec<&Node> {
    let now = world.now();
    let nodes = world.machines().iter().filter_map(sim::Machine::node);
    nodes.filter(|node| node.netcheck(now).is_anchor).collect()
}

/// How one node reaches another.
fn way(from: &Node, to: &Node, now: Instant) -> String {
    let own = to.view(now).own;
    let peer = from.view(now).peers.into_iter().find(|peer| peer.node == own.node);
    peer.map_or("unknown".to_owned(), |peer| format!("{} {:?} {:?}", peer.name, peer.state, peer.path))
}

/// One packet for each of some ordered pairs, as many at a time as there are nodes; those of which it does not arrive.
fn unreached(world: &mut World, pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut packets = vec![];
    for some in pairs.chunks(world.machines().len()) {
        let numbers = some.iter().map(|(from, to)| world.send(*from, *to, sim::Family::V4));
        packets.extend(numbers.map(|number| number.expect("all run")));
        world.run_for(SECOND / 20).expect("no promise is broken");
    }
    world.run_for(SECOND).expect("no promise is broken");
    let sent = packets.iter().map(|number| world.ledger().packet(*number));
    sent.filter(|packet| packet.arrived.is_none()).map(|packet| (packet.from, packet.to)).collect()
}
