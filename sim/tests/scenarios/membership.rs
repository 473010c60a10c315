//! Who is a member, and who is not any more.

use super::*;

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
fn what_could_not_be_written_is_written_later() {
    let mut world = network(2, 120 * SECOND);
    world.machine_mut(0).disk.failure = 1000;
    world.network.groups = vec![0, 1];
    let id = world.machines()[1].id().to_string();
    world.command(0, |node, now| node.revoke(&id, now)).unwrap().unwrap();
    world.command(0, |node, now| node.assign("m0", "10.77.0.9".parse().unwrap(), now)).unwrap().unwrap();
    world.run_for(SECOND).unwrap();
    world.machine_mut(0).disk.failure = 0;
    world.run_for(10 * SECOND).unwrap();
    world.kill(0);
    world.start(0);
    assert_eq!(state(&world, 0, 1), Some(PeerState::Revoked));
    assert_eq!(world.mesh_address(0, Family::V4), "10.77.0.9".parse().ok());
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
fn a_joiner_that_never_got_its_answer_holds_its_address_in_everybodys_eyes() {
    let mut world = network(1, 120 * SECOND);
    let admin = enrol(&mut world, 0, &InviteRequest { role: InviteRole::Admin, ..any_member() });
    come_together(&mut world, 5 * SECOND);
    let invite = world.invite(admin, &any_member()).unwrap();
    let lost = add(&mut world);
    world.join(lost, &invite);
    // Its request is on its way to the admin; the answer will not come back.
    world.run_for(Duration::from_millis(12)).unwrap();
    // Nor by way of a member that vouches.
    world.network.blocked.extend((0..lost).map(|at| (at, lost)));
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
fn members_that_were_away_in_turn_are_brought_up_to_date_by_each_other() {
    let mut world = network(5, 120 * SECOND);
    let revoke = |world: &mut World, machine: usize| {
        let id = world.machines()[machine].id().to_string();
        world.command(0, |node, now| node.revoke(&id, now)).unwrap().unwrap();
    };
    world.kill(2);
    revoke(&mut world, 3);
    world.run_for(15 * SECOND).unwrap();
    world.kill(1);
    revoke(&mut world, 4);
    world.run_for(15 * SECOND).unwrap();
    assert_eq!(world.view(0).unwrap().epoch, 3);
    // In the first epoch the one, in the second the other; who has revoked is gone.
    world.kill(0);
    world.start(2);
    world.start(1);
    let is_second = |world: &World| world.view(2).is_some_and(|view| view.epoch == 2);
    assert!(world.run_until(5 * SECOND, is_second).unwrap());
    assert!(reaches(&mut world, 1, 2, Family::V4) && reaches(&mut world, 2, 1, Family::V6));
    world.start(0);
    come_together(&mut world, 5 * SECOND);
    assert_eq!(world.view(2).unwrap().epoch, 3);
}
