//! What must hold in particular situations, one by one.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

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
fn both_restart_at_once_and_need_no_invite() {
    let mut world = network(2, 120 * SECOND);
    world.run_for(SECOND).unwrap();
    world.kill(0);
    world.kill(1);
    world.run_for(SECOND).unwrap();
    world.start(0);
    world.start(1);
    come_together(&mut world, 3 * SECOND);
    assert!(reaches(&mut world, 0, 1, Family::V4) && reaches(&mut world, 1, 0, Family::V6));
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
fn of_two_joiners_with_one_invite_exactly_one_gets_in() {
    for (delay_ms, jitter_ms, loss) in [(5, 0, 0), (50, 100, 0), (5, 50, 200)] {
        let mut world = network(1, 120 * SECOND);
        let invite = world.invite(0, &any_member()).unwrap();
        let (first, second) = (add(&mut world), add(&mut world));
        let (delay, jitter) = (Duration::from_millis(delay_ms), Duration::from_millis(jitter_ms));
        world.network.conditions = Conditions { delay, jitter, loss, ..Conditions::GOOD };
        world.join(first, &invite);
        world.join(second, &invite);
        world.run_for(25 * SECOND).unwrap();
        let outcomes = [first, second].map(|machine| world.machines()[machine].joined);
        let accepted = outcomes.iter().filter(|outcome| matches!(outcome, Some(Ok(_)))).count();
        let refused = Some(Err(JoinError::Refused(Refusal::Used)));
        assert!(accepted == 1 && outcomes.contains(&refused), "{outcomes:?}");
    }
}

#[test]
fn an_invite_is_not_used_when_its_journal_cannot_be_written() {
    let mut world = network(1, 120 * SECOND);
    let invite = world.invite(0, &any_member()).unwrap();
    let machine = add(&mut world);
    world.machine_mut(0).disk.failure = 1000;
    world.join(machine, &invite);
    world.run_for(SECOND).unwrap();
    assert_eq!(world.machines()[machine].joined, Some(Err(JoinError::Refused(Refusal::Unable))));
    world.machine_mut(0).disk.failure = 0;
    world.join(machine, &invite);
    come_together(&mut world, 3 * SECOND);
    let late = add(&mut world);
    world.join(late, &invite);
    world.run_for(SECOND).unwrap();
    assert_eq!(world.machines()[late].joined, Some(Err(JoinError::Refused(Refusal::Used))));
}

#[test]
fn an_invite_stays_used_whenever_its_issuer_is_killed() {
    for kill_after_ms in 0..40 {
        let mut world = network(1, 120 * SECOND);
        world.network.conditions.delay = Duration::from_millis(3);
        let invite = world.invite(0, &any_member()).unwrap();
        let (first, second) = (add(&mut world), add(&mut world));
        world.machine_mut(0).disk.slowness = Some(Duration::from_millis(6));
        world.join(first, &invite);
        world.run_for(Duration::from_millis(kill_after_ms)).unwrap();
        world.kill(0);
        world.start(0);
        world.join(second, &invite);
        // Two Nodes with credentials by one invite are a violation, which ends the run.
        world.run_for(25 * SECOND).unwrap();
        let joined = [first, second].map(|machine| world.is_up(machine));
        assert!(joined[0] || joined[1], "killed after {kill_after_ms} ms");
    }
}

#[test]
fn a_revoked_node_is_out_everywhere_and_stays_out() {
    let mut world = network(4, 120 * SECOND);
    let id = world.machines()[3].id().to_string();
    world.command(0, |node, now| node.revoke(&id, now)).unwrap().unwrap();
    world.run_for(SECOND).unwrap();
    for at in 0..3 {
        assert_eq!(state(&world, at, 3), Some(PeerState::Revoked));
    }
    assert!(world.view(3).unwrap().is_revoked, "it was told");
    world.kill(3);
    world.start(3);
    world.run_for(60 * SECOND).unwrap();
    for at in 0..3 {
        assert_eq!(state(&world, at, 3), Some(PeerState::Revoked));
        let number = world.send(at, 3, Family::V6);
        world.run_for(SECOND).unwrap();
        assert!(number.is_none_or(|number| world.ledger().packet(number).arrived.is_none()));
    }
    assert!(is_together(&world));
}

#[test]
fn a_live_session_ends_when_its_peer_is_revoked_whatever_the_peer_knows() {
    let mut world = network(3, 120 * SECOND);
    // It hears nothing of its revocation, and goes on as if nothing had happened.
    world.network.blocked.extend([(0, 2), (1, 2)]);
    let id = world.machines()[2].id().to_string();
    world.command(0, |node, now| node.revoke(&id, now)).unwrap().unwrap();
    world.run_for(SECOND).unwrap();
    world.network.heal();
    assert!(!world.view(2).unwrap().is_revoked && state(&world, 2, 1) == Some(PeerState::Connected));
    let other = world.machines()[1].id().to_string();
    world.command(2, |node, now| node.ping(&other, SECOND, now)).unwrap().unwrap();
    let packets = [Family::V4, Family::V6].map(|family| world.send(2, 1, family).unwrap());
    world.run_for(2 * SECOND).unwrap();
    assert_eq!(world.machines()[2].pings, (0, 1));
    assert!(packets.iter().all(|number| world.ledger().packet(*number).arrived.is_none()));
}

/// An admin and a member that it has enrolled; then the admin is revoked by the founder.
fn revoke_an_admin(prepare: impl FnOnce(&mut World, usize)) -> World {
    let mut world = network(2, 120 * SECOND);
    let admin = enrol(&mut world, 0, &InviteRequest { role: InviteRole::Admin, ..any_member() });
    let member = enrol(&mut world, admin, &any_member());
    come_together(&mut world, 5 * SECOND);
    world.run_for(SECOND).unwrap();
    prepare(&mut world, member);
    let id = world.machines()[admin].id().to_string();
    world.command(0, |node, now| node.revoke(&id, now)).unwrap().unwrap();
    world.run_for(SECOND).unwrap();
    world.network.heal();
    world.network.conditions = Conditions::GOOD;
    world.start(member);
    come_together(&mut world, 60 * SECOND);
    assert_eq!(state(&world, 0, admin), Some(PeerState::Revoked));
    for (from, to) in [(0, member), (member, 0), (1, member), (member, 1)] {
        assert!(reaches(&mut world, from, to, Family::V4), "{from} to {to}");
    }
    world
}

#[test]
fn a_member_outlives_the_admin_that_signed_it() {
    revoke_an_admin(|_, _| {});
}

#[test]
fn a_member_outlives_its_admin_whatever_news_comes_first() {
    for jitter_ms in [1, 10, 100] {
        revoke_an_admin(|world, _| world.network.conditions.jitter = Duration::from_millis(jitter_ms));
    }
}

#[test]
fn a_member_that_was_away_outlives_its_admin() {
    revoke_an_admin(|world, member| world.kill(member));
    revoke_an_admin(|world, member| {
        world.network.groups = (0..4).map(|m| usize::from(m == member)).collect()
    });
}

#[test]
fn addresses_of_others_are_not_taken_from_a_liar() {
    let mut world = network(3, 120 * SECOND);
    let mut lies = vec![];
    for family in [Family::V4, Family::V6] {
        let source = world.mesh_address(2, family).unwrap();
        lies.extend(world.spoof(1, 0, source));
        lies.extend(world.misdirect(1, 0, source));
        let own = world.mesh_address(0, family).unwrap();
        lies.extend(world.spoof(1, 0, own));
    }
    lies.extend(world.spoof(1, 0, "10.77.0.200".parse().unwrap()));
    lies.extend(world.spoof(1, 0, "192.0.2.77".parse().unwrap()));
    lies.extend(world.misdirect(1, 0, "192.168.1.1".parse().unwrap()));
    world.run_for(SECOND).unwrap();
    assert_eq!(lies.len(), 9);
    for number in lies {
        let lie = world.ledger().packet(number);
        assert!(!lie.refused && lie.arrived.is_none(), "it was sent, and refused at the other end");
    }
    assert!(reaches(&mut world, 1, 0, Family::V4), "what it sends from its own address arrives");
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
fn a_joiner_that_never_got_its_answer_holds_its_address_in_everybodys_eyes() {
    let mut world = network(1, 120 * SECOND);
    let admin = enrol(&mut world, 0, &InviteRequest { role: InviteRole::Admin, ..any_member() });
    come_together(&mut world, 5 * SECOND);
    let invite = world.invite(admin, &any_member()).unwrap();
    let lost = add(&mut world);
    world.join(lost, &invite);
    // Its request is on its way to the admin; the answer will not come back.
    world.run_for(Duration::from_millis(12)).unwrap();
    world.network.blocked.insert((admin, lost));
    world.run_for(30 * SECOND).unwrap();
    assert_eq!(world.machines()[lost].joined, Some(Err(JoinError::NoAnswer)));
    let id = world.machines()[lost].id();
    let addresses = |world: &World, at| {
        let view = world.view(at).unwrap();
        view.peers.iter().find(|peer| peer.node == id).map(|peer| peer.addresses.clone())
    };
    assert_eq!(addresses(&world, 0).unwrap(), addresses(&world, admin).unwrap());
    let taken = addresses(&world, 0).unwrap();
    let other = enrol(&mut world, 0, &any_member());
    assert_ne!(world.mesh_address(other, Family::V4), taken.first().copied());
    world.network.heal();
    world.join(lost, &invite);
    assert!(world.run_until(5 * SECOND, |world| world.is_up(lost)).unwrap());
    come_together(&mut world, 5 * SECOND);
    assert_eq!(world.mesh_address(lost, Family::V4), taken.first().copied());
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
