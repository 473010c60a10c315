//! Whether everybody is together: connected, and of one mind about who is a member, by what name and address.

use crate::machine::Machine;
use crate::world::World;
use overlay::{PeerState, View};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use wire::{Name, NodeId};

/// What a node believes of all members: name and addresses.
type Beliefs = BTreeMap<NodeId, (Name, Vec<IpAddr>)>;

fn beliefs(view: &View) -> Beliefs {
    let addresses = vec![IpAddr::V4(view.own.ipv4.addr()), IpAddr::V6(view.own.ipv6())];
    let own = (view.own.node, (view.own.name.clone(), addresses));
    let others = view.peers.iter().filter(|peer| peer.state != PeerState::Revoked);
    let others = others.map(|peer| (peer.node, (peer.name.clone(), peer.addresses.clone())));
    others.chain((!view.is_revoked).then_some(own)).collect()
}

/// Machines that must be together: those that run and are members in the eyes of machine 0, whose role nobody can take.
pub(super) fn required(world: &World) -> Vec<usize> {
    let Some(view) = world.view(0) else { return vec![] };
    let state = |node: &NodeId| view.peers.iter().find(|peer| peer.node == *node).map(|peer| peer.state);
    let is_out = |node: &NodeId| state(node) == Some(PeerState::Revoked);
    let counts = |machine: &Machine| match state(&machine.id()) {
        _ if !machine.is_up() || is_out(&machine.id()) || knows_only(world, machine, is_out) => false,
        Some(_) => true,
        // Out from the beginning are those whom an admin has enrolled that was revoked and did not know it yet, and
        // those that were revoked before they told anybody of themselves.
        None => {
            !machine.signer().is_some_and(|admin| is_out(&admin)) && !is_revoked_somewhere(world, machine)
        }
    };
    (0..world.machines().len()).filter(|number| *number == 0 || counts(&world.machines()[*number])).collect()
}

/// Whether all that a machine has ever heard of are of a kind: who met but a node that was then revoked is lost until
/// nodes find each other by other means.
fn knows_only(world: &World, machine: &Machine, is_such: impl Fn(&NodeId) -> bool) -> bool {
    let view = machine.node().map(|node| node.view(world.now()));
    view.is_some_and(|view| !view.peers.is_empty() && view.peers.iter().all(|peer| is_such(&peer.node)))
}

fn is_revoked_somewhere(world: &World, machine: &Machine) -> bool {
    let id = machine.id();
    let mut views = (0..world.machines().len()).filter_map(|number| world.view(number));
    views.any(|view| view.peers.iter().any(|peer| peer.node == id && peer.state == PeerState::Revoked))
}

/// Whether everybody is together.
#[must_use]
pub fn is_together(world: &World) -> bool {
    apart(world).is_none()
}

/// Why not everybody is together.
#[must_use]
pub fn apart(world: &World) -> Option<String> {
    let views: BTreeMap<usize, View> =
        required(world).into_iter().filter_map(|machine| Some((machine, world.view(machine)?))).collect();
    let Some(founder) = views.get(&0) else { return Some("machine 0 is down".to_owned()) };
    // A joiner that never got its answer, or left at once, is a member in the eyes of its issuer alone.
    let is_up = |node: &NodeId| world.machine_of(node).is_some_and(|machine| world.is_up(machine));
    let beliefs =
        |view: &View| -> Beliefs { beliefs(view).into_iter().filter(|(node, _)| is_up(node)).collect() };
    let truth = beliefs(founder);
    for (machine, view) in &views {
        let mine = beliefs(view);
        if mine != truth {
            let differs = |node: &&NodeId| mine.get(*node) != truth.get(*node);
            let node = mine.keys().chain(truth.keys()).find(differs);
            let of = |beliefs: &Beliefs| node.and_then(|node| beliefs.get(node)).cloned();
            return Some(format!("machine {machine} believes {:?}, 0 {:?}", of(&mine), of(&truth)));
        }
        for other in views.keys().filter(|other| *other != machine) {
            let id = world.machines()[*other].id();
            let state = view.peers.iter().find(|peer| peer.node == id).map(|peer| peer.state);
            if state != Some(PeerState::Connected) {
                return Some(format!("machine {other} is {state:?} at {machine}"));
            }
        }
    }
    claimed_twice(&truth)
        .or_else(|| not_expelled(world, views.keys().copied()))
        .or_else(|| not_of_one_epoch(world, &views))
}

/// A machine that was revoked and is still talked to.
fn not_expelled(world: &World, mut members: impl Iterator<Item = usize>) -> Option<String> {
    let founder = world.view(0)?;
    let revoked = founder.peers.iter().filter(|peer| peer.state == PeerState::Revoked);
    let revoked: BTreeSet<usize> = revoked.filter_map(|peer| world.machine_of(&peer.node)).collect();
    members.find_map(|member| {
        let id = world.machines()[member].id();
        let connected = |outcast: &&usize| {
            let peers = world.view(**outcast).map(|view| view.peers).unwrap_or_default();
            peers.iter().any(|peer| peer.node == id && peer.state == PeerState::Connected)
        };
        let outcast = revoked.iter().find(connected)?;
        Some(format!("machine {outcast}, which is revoked, is connected to {member}"))
    })
}

/// A machine with another network secret than the founder's, or one that is revoked and has the same.
fn not_of_one_epoch(world: &World, views: &BTreeMap<usize, View>) -> Option<String> {
    let founder = world.view(0)?;
    let behind = views.iter().find(|(_, view)| view.commitment != founder.commitment);
    let revoked = founder.peers.iter().filter(|peer| peer.state == PeerState::Revoked);
    let mut revoked = revoked.filter_map(|peer| world.machine_of(&peer.node));
    let of = |machine: usize| world.view(machine).map(|view| view.commitment);
    let in_the_know = revoked.find(|machine| of(*machine) == Some(founder.commitment));
    behind
        .map(|(machine, view)| {
            format!("machine {machine} is in epoch {}, 0 in {}", view.epoch, founder.epoch)
        })
        .or_else(|| {
            in_the_know.map(|machine| format!("machine {machine}, which is revoked, has the secret of 0"))
        })
}

fn claimed_twice(truth: &Beliefs) -> Option<String> {
    let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for (name, owned) in truth.values() {
        if !names.insert(name) {
            return Some(format!("two nodes are called {name}"));
        }
        if let Some(address) = owned.iter().find(|address| !addresses.insert(**address)) {
            return Some(format!("two nodes own {address}"));
        }
    }
    None
}
