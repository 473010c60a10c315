//! How a machine joins through a member, and what that member does not let happen.

use super::lab::{Flight, Lab, any_member};
use crate::joiner::JoinError;
use crate::limits::{
    ENROLMENT_LIFE, JOINERS_MAX, JOINERS_PER_INVITE_MAX, PUT_THROUGH_PER_SECOND, VOUCHED_PER_ADMIN_MAX,
    VOUCHING_MEMBERS_MAX,
};
use crate::{DropReason, InviteRequest};
use nat::Remote;
use std::time::Duration;
use wire::control::Message;
use wire::datagram::{Datagram, ENROLMENT_FIRST_LENGTH, OVERHEAD, write_enrolment};
use wire::enrolment::Refusal;
use wire::invite::{ADDRESSES_MAX, InviteRole};
use wire::{Candidate, Invite, InviteId, cbor};

const SECOND: Duration = Duration::from_secs(1);

/// A lab in which the enrolments of these members are over and forgotten.
fn settled(names: &[&str]) -> Lab {
    let mut lab = Lab::with(names);
    lab.run(ENROLMENT_LIFE + SECOND);
    (0..lab.machines.len()).for_each(|at| assert_eq!(vouched(&lab, at), 0));
    lab
}

/// Lets nothing pass between a machine and everybody who is about to join.
fn cut_off(lab: &mut Lab, at: usize) {
    let issuer = lab.machines[at].remote;
    let members: Vec<Remote> = lab.machines.iter().map(|machine| machine.remote).collect();
    lab.lose = Box::new(move |flight| {
        let other = if flight.from == issuer { flight.to } else { flight.from };
        (flight.from == issuer || flight.to == issuer) && !members.contains(&other)
    });
}

fn is_enrolment(flight: &Flight) -> bool {
    matches!(Datagram::parse(&flight.bytes), Some(Datagram::Enrolment(_)))
}

fn vouched(lab: &Lab, at: usize) -> usize {
    lab.machines[at].node.vouching_for().0
}

fn numbers(lab: &Lab, at: usize) -> Vec<u64> {
    lab.machines[at].node.vouching_for().1
}

/// A first enrolment datagram of somebody at 198.51.100.`n`, who holds an invite with this MAC key.
fn first(lab: &Lab, at: usize, n: u8, (invite, key): (InviteId, [u8; 32])) -> Flight {
    let bytes = write_enrolment(1, &invite, u32::from(n), &[7; 32], &key);
    Flight { from: Remote::udp(([198, 51, 100, n], 9).into()), to: lab.machines[at].remote, bytes }
}

fn sent_to(lab: &Lab, remote: Remote) -> usize {
    lab.sent.iter().filter(|flight| flight.to == remote).count()
}

#[test]
fn a_machine_joins_through_a_member_and_reaches_the_issuer_over_it() {
    let mut lab = settled(&["b"]);
    cut_off(&mut lab, 0);
    let invite = lab.invite(0, &any_member());
    lab.run(SECOND);
    assert_eq!(vouched(&lab, 1), 1);
    let [a, b] = [0, 1].map(|at| lab.machines[at].remote.candidate().unwrap());
    assert_eq!(invite.addresses, [a, b]);
    let applicant = lab.apply(&invite, "c");
    lab.run(SECOND);
    let Some(Ok((_, contacts))) = &lab.applicants[applicant].outcome else { panic!("not accepted") };
    let contacts: Vec<_> = contacts.iter().map(|c| (c.node, c.candidates.clone())).collect();
    assert_eq!(contacts, [(lab.id(0), vec![a]), (lab.id(1), vec![b])]);
    let c = lab.move_in(applicant);
    lab.run(5 * SECOND);
    assert!(lab.connected(c, 1) && lab.connected(c, 0) && lab.connected(0, c));
    let remote = lab.peer(c, 0).unwrap().remote;
    assert!(matches!(remote, Some(Remote::Circuit(_))), "{remote:?}");
    lab.send(c, 0, b"thanks");
    lab.run(SECOND);
    assert_eq!(lab.received(0), [b"thanks"]);
}

#[test]
fn a_new_member_is_not_sent_to_knock_at_nats() {
    let mut lab = settled(&["b", "c"]);
    let [b, c] = [1, 2].map(|at| lab.id(at));
    lab.command(0, |node, _| {
        let mut state = node.topology.state(&b).expect("b has told of its links").clone();
        (state.is_anchor, state.profile.translates) = (false, true);
        node.topology.handle_state(b, Some(state));
    });
    let invite = lab.invite(0, &any_member());
    let [at_a, at_c] = [0, 2].map(|at| lab.machines[at].remote.candidate().unwrap());
    assert_eq!(invite.addresses, [at_a, at_c]);
    let applicant = lab.apply(&invite, "d");
    lab.run(SECOND);
    let Some(Ok((_, contacts))) = &lab.applicants[applicant].outcome else { panic!("not accepted") };
    let contacts: Vec<_> = contacts.iter().map(|contact| (contact.node, &contact.candidates[..])).collect();
    assert_eq!(contacts, [(lab.id(0), &[at_a][..]), (c, &[at_c])]);
}

#[test]
fn three_members_are_told_and_another_when_one_goes() {
    let mut lab = settled(&["b", "c", "d", "e"]);
    lab.invite(0, &any_member());
    lab.run(SECOND);
    let telling = |lab: &Lab| -> Vec<usize> { (1..5).filter(|at| vouched(lab, *at) == 1).collect() };
    let told = telling(&lab);
    assert_eq!(told.len(), VOUCHING_MEMBERS_MAX);
    lab.command(told[0], |node, now| node.close(now));
    lab.machines[told[0]].is_up = false;
    lab.run(SECOND);
    assert_eq!(telling(&lab).len(), VOUCHING_MEMBERS_MAX + 1, "{told:?} and one more");
}

#[test]
fn a_member_that_was_started_again_is_told_again() {
    let mut lab = settled(&["b"]);
    lab.invite(0, &any_member());
    lab.run(SECOND);
    lab.restart(1);
    assert_eq!(vouched(&lab, 1), 0);
    lab.run(3 * SECOND);
    assert_eq!(vouched(&lab, 1), 1);
}

#[test]
fn an_invite_that_is_taken_back_lets_nobody_through() {
    let mut lab = settled(&["b"]);
    cut_off(&mut lab, 0);
    let invite = lab.invite(0, &any_member());
    lab.run(SECOND);
    lab.command(0, |node, _| node.forget_invite(&invite.id));
    lab.run(SECOND);
    assert_eq!(vouched(&lab, 1), 0);
    let applicant = lab.apply(&invite, "c");
    lab.run(21 * SECOND);
    assert_eq!(lab.refusal_of(applicant), JoinError::NoAnswer);
    assert!(lab.drops(1, DropReason::Gate) > 0, "the member's worker has refused it");
}

#[test]
fn a_used_invite_is_refused_and_soon_not_heard_any_more() {
    let mut lab = settled(&["b"]);
    cut_off(&mut lab, 0);
    let invite = lab.invite(0, &any_member());
    lab.run(SECOND);
    let applicants = [lab.apply(&invite, "c"), lab.apply(&invite, "d")];
    lab.run(2 * SECOND);
    let accepted = applicants.map(|a| matches!(lab.applicants[a].outcome, Some(Ok(_))));
    assert_eq!(accepted.iter().filter(|accepted| **accepted).count(), 1);
    let refused = applicants[usize::from(accepted[0])];
    assert_eq!(lab.refusal_of(refused), JoinError::Refused(Refusal::Used));
    assert_eq!(vouched(&lab, 1), 1, "who was accepted may have to ask for the answer again");
    lab.run(ENROLMENT_LIFE + SECOND);
    assert_eq!((vouched(&lab, 1), numbers(&lab, 1).len()), (0, 0));
}

#[test]
fn the_answer_is_asked_for_again_through_the_member() {
    let mut lab = settled(&["b"]);
    cut_off(&mut lab, 0);
    let mut cut = std::mem::replace(&mut lab.lose, Box::new(|_| false));
    let mut left = 2;
    lab.lose = Box::new(move |flight| {
        let is_fourth =
            matches!(Datagram::parse(&flight.bytes), Some(Datagram::Enrolment(e)) if e.stage == 4);
        let hit = is_fourth && left > 0;
        left -= usize::from(hit);
        hit || cut(flight)
    });
    let invite = lab.invite(0, &any_member());
    let applicant = lab.apply(&invite, "c");
    lab.run(4 * SECOND);
    assert!(matches!(lab.applicants[applicant].outcome, Some(Ok(_))));
}

#[test]
fn an_invite_expires_at_the_member_too() {
    let mut lab = settled(&["b"]);
    lab.invite(0, &InviteRequest { life: 60 * SECOND, ..any_member() });
    lab.run(SECOND);
    lab.machines[0].is_up = false;
    lab.run(58 * SECOND);
    assert_eq!(vouched(&lab, 1), 1);
    lab.run(3 * SECOND);
    assert_eq!(vouched(&lab, 1), 0);
}

#[test]
fn a_member_that_is_no_admin_cannot_vouch() {
    let mut lab = settled(&["b", "c"]);
    let to = lab.id(2);
    let message = Message::Vouch { invite: InviteId([9; 16]), mac_key: [9; 32].into(), open_s: 60 };
    lab.command(1, |node, _| node.send(&to, &message, None));
    lab.run(SECOND);
    assert_eq!((vouched(&lab, 2), lab.drops(2, DropReason::Control)), (0, 1));
    lab.arrive(&first(&lab, 2, 1, (InviteId([9; 16]), [9; 32])));
    assert_eq!(lab.drops(2, DropReason::Gate), 1);
    let to = lab.id(2);
    lab.command(0, |node, _| node.send(&to, &message, None));
    lab.run(SECOND);
    assert_eq!(vouched(&lab, 2), 1, "an admin can");
}

#[test]
fn a_revoked_admins_vouching_ends() {
    let mut lab = settled(&["b"]);
    let admin = InviteRequest { role: InviteRole::Admin, ..any_member() };
    let invite = lab.invite(0, &admin);
    let d = lab.apply(&invite, "d");
    lab.run(SECOND);
    let d = lab.move_in(d);
    lab.run(ENROLMENT_LIFE + 3 * SECOND);
    assert!(lab.connected(d, 1));
    let invite = lab.invite(d, &any_member());
    lab.run(SECOND);
    assert_eq!(vouched(&lab, 1), 1);
    let flight = first(&lab, 1, 1, (invite.id, invite.mac_key()));
    lab.arrive(&flight);
    assert_eq!((numbers(&lab, 1).len(), lab.drops(1, DropReason::Gate)), (1, 0));
    lab.command(0, |node, now| node.revoke("d", now)).unwrap();
    lab.run(SECOND);
    assert_eq!((vouched(&lab, 1), numbers(&lab, 1).len()), (0, 0));
    lab.arrive(&flight);
    assert_eq!(lab.drops(1, DropReason::Gate), 1);
}

#[test]
fn nobody_fills_a_members_tables() {
    let mut lab = settled(&["b"]);
    let to = lab.id(1);
    let invites: Vec<_> =
        (0..VOUCHED_PER_ADMIN_MAX as u8 + 10).map(|n| (InviteId([n; 16]), [n; 32])).collect();
    for (invite, key) in &invites {
        let message = Message::Vouch { invite: *invite, mac_key: (*key).into(), open_s: u64::MAX };
        lab.command(0, |node, _| node.send(&to, &message, None));
    }
    lab.run(SECOND);
    assert_eq!(vouched(&lab, 1), VOUCHED_PER_ADMIN_MAX);
    for n in 0..10 {
        lab.arrive(&first(&lab, 1, n, invites[0]));
    }
    assert_eq!(numbers(&lab, 1).len(), JOINERS_PER_INVITE_MAX);
    lab.run(SECOND);
    let before = sent_to(&lab, lab.machines[0].remote);
    for n in 0..60 {
        lab.arrive(&first(&lab, 1, n, invites[1 + usize::from(n % 50)]));
    }
    assert_eq!(numbers(&lab, 1).len(), JOINERS_MAX);
    let known = first(&lab, 1, 0, invites[1]);
    (0..100).for_each(|_| lab.arrive(&known));
    let passed_on = sent_to(&lab, lab.machines[0].remote) - before;
    assert_eq!(passed_on, PUT_THROUGH_PER_SECOND as usize);
    lab.run(ENROLMENT_LIFE);
    assert_eq!(numbers(&lab, 1).len(), 0);
}

#[test]
fn a_member_sends_no_more_than_came_and_to_nobody_else() {
    let mut lab = settled(&["b"]);
    let to = lab.id(1);
    let (invite, key) = (InviteId([9; 16]), [9; 32]);
    let message = Message::Vouch { invite, mac_key: key.into(), open_s: 60 };
    lab.command(0, |node, _| node.send(&to, &message, None));
    lab.run(SECOND);
    let forged = first(&lab, 1, 1, (invite, [8; 32]));
    lab.arrive(&forged);
    assert_eq!(numbers(&lab, 1), [], "whose MAC is wrong gets no place");
    let flight = first(&lab, 1, 1, (invite, key));
    lab.arrive(&flight);
    lab.run(SECOND);
    let [joiner] = numbers(&lab, 1)[..] else { panic!("one joiner") };
    let mut answer = |joiner: u64, conversation: u32, stage: u8, length: usize, key: &[u8; 32]| {
        let bytes = write_enrolment(stage, &invite, conversation, &vec![1; length], key).into();
        lab.command(0, |node, _| node.send(&to, &Message::Enrolment { joiner, bytes }, None));
        lab.run(SECOND);
        sent_to(&lab, flight.from)
    };
    assert_eq!(answer(joiner + 1, 1, 2, 96, &key), 0, "another number");
    assert_eq!(answer(joiner, 2, 2, 96, &key), 0, "another conversation");
    assert_eq!(answer(joiner, 1, 2, 96, &[8; 32]), 0, "another key");
    assert_eq!(answer(joiner, 1, 2, ENROLMENT_FIRST_LENGTH / 2, &key), 0, "more than half of what came");
    assert_eq!(answer(joiner, 1, 2, 96, &key), 1);
    assert_eq!(answer(joiner, 1, 2, 96, &key), 1, "one for one");
}

#[test]
fn an_issuer_checks_what_no_worker_has_seen() {
    let mut lab = settled(&["b"]);
    let invite = lab.invite(0, &any_member());
    lab.run(SECOND);
    let (sent, to, member) = (lab.sent.len(), lab.id(0), lab.machines[1].remote);
    lab.lose = Box::new(is_enrolment);
    lab.apply(&invite, "c");
    let good = lab.sent[sent].bytes.clone();
    let forged = [&good[..good.len() - 1], &[good[good.len() - 1] ^ 1]].concat();
    // The second message, 96 bytes of Noise, inside a session.
    let second = write_enrolment(2, &invite.id, 1, &[0; 96], &[0; 32]).into();
    let length = cbor::encode(&Message::Enrolment { joiner: 1, bytes: second }).len() + OVERHEAD;
    let mut answers = |bytes: Vec<u8>| {
        let message = Message::Enrolment { joiner: 1, bytes: bytes.into() };
        lab.command(1, |node, _| node.send(&to, &message, None));
        lab.run(SECOND / 10);
        lab.sent.iter().filter(|flight| flight.to == member && flight.bytes.len() == length).count()
    };
    assert_eq!(answers(forged), 0);
    assert_eq!(answers(good), 1);
    assert_eq!(lab.drops(0, DropReason::Enrolment), 1);
}

#[test]
fn when_the_first_to_answer_falls_silent_all_are_asked_again() {
    let mut lab = settled(&["b"]);
    let invite = lab.invite(0, &any_member());
    lab.run(SECOND);
    let [issuer, member] = [0, 1].map(|at| lab.machines[at].remote);
    // The member answers first, and hears no more from then on.
    lab.lose = Box::new(move |flight| match Datagram::parse(&flight.bytes) {
        Some(Datagram::Enrolment(message)) => {
            (flight.to == issuer && message.stage == 1) || (flight.to == member && message.stage == 3)
        }
        _ => false,
    });
    let applicant = lab.apply(&invite, "c");
    lab.run(SECOND);
    assert_eq!(lab.applicants[applicant].joiner.answered_by(), Some(member));
    lab.run(2 * SECOND);
    assert!(matches!(lab.applicants[applicant].outcome, Some(Ok(_))), "the issuer itself was asked");
    assert!(lab.sent.iter().filter(|flight| is_enrolment(flight)).count() < 30);
}

#[test]
fn when_the_issuer_has_forgotten_the_joiner_it_begins_anew() {
    let mut lab = settled(&["b"]);
    cut_off(&mut lab, 0);
    let invite = lab.invite(0, &any_member());
    lab.run(SECOND);
    let applicant = lab.apply(&invite, "c");
    lab.run(lab.latency * 4);
    assert!(lab.applicants[applicant].joiner.answered_by().is_some());
    lab.restart(0);
    lab.run(15 * SECOND);
    assert!(matches!(lab.applicants[applicant].outcome, Some(Ok(_))));
}

#[test]
fn an_invite_names_public_addresses_first_and_two_of_members_at_least() {
    let mut lab = settled(&["b"]);
    let list = |texts: &[&str]| -> Vec<Candidate> {
        texts.iter().map(|text| Candidate::new(text.parse().unwrap()).unwrap()).collect()
    };
    let own: Vec<String> = (1..=6).map(|n| format!("203.0.113.{n}:1")).collect();
    let own =
        [&["192.168.1.1:1", "[fd12::1]:1"][..], &own.iter().map(String::as_str).collect::<Vec<_>>()].concat();
    lab.command(0, |node, now| node.handle_candidates(list(&own), now));
    let theirs = ["10.0.0.1:2", "198.51.100.1:2", "192.168.7.1:2"];
    lab.command(1, |node, now| node.handle_candidates(list(&theirs), now));
    lab.run(SECOND);
    let Invite { addresses, .. } = lab.invite(0, &any_member());
    let expected = [&own[2..], &["198.51.100.1:2", "10.0.0.1:2"]].concat();
    assert_eq!((addresses.len(), addresses), (ADDRESSES_MAX, list(&expected)));
}
