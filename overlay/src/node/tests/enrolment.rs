//! How a machine becomes a member by an invite, and how it does not.

use super::lab::{Flight, Lab, UNIX_S, any_member};
use crate::joiner::JoinError;
use crate::limits::ENROLMENTS_MAX;
use crate::state::{StateFile, decode_invites};
use crate::{CommandError, DropReason, Event, Identity, InviteRequest};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use wire::datagram::Datagram;
use wire::enrolment::Refusal;
use wire::invite::InviteRole;
use wire::{Invite, InviteId};

const SECOND: Duration = Duration::from_secs(1);

fn stage(flight: &Flight) -> Option<u8> {
    let Some(Datagram::Enrolment(enrolment)) = Datagram::parse(&flight.bytes) else { return None };
    Some(enrolment.stage)
}

fn stages_sent(lab: &Lab) -> Vec<u8> {
    lab.sent.iter().filter_map(stage).collect()
}

#[test]
fn a_founder_and_a_joiner_become_a_network() {
    let mut lab = Lab::new();
    let b = lab.enrol("b");
    lab.run(SECOND);
    assert_eq!(stages_sent(&lab), [1, 2, 3, 4]);
    let own = lab.view(b).own;
    assert_eq!((own.name.as_str(), own.ipv4.to_string().as_str()), ("b", "10.7.0.2/24"));
    assert_eq!((own.roles.admin, lab.view(b).has_root_key), (false, false));
    assert!(lab.connected(0, b) && lab.connected(b, 0));
    let enrolled = Event::Enrolled(lab.id(b), own.name);
    assert!(lab.machines[0].events.contains(&enrolled));
    lab.send(0, b, b"welcome");
    lab.send(b, 0, b"thanks");
    lab.run(SECOND);
    assert_eq!(lab.received(b), [b"welcome"]);
    assert_eq!(lab.received(0), [b"thanks"]);
}

#[test]
fn a_used_invite_is_refused_to_others_and_gives_its_own_machine_the_same_again() {
    let mut lab = Lab::new();
    let invite = lab.invite(0, &any_member());
    let first = lab.apply(&invite, "b");
    lab.run(SECOND);
    let other = lab.apply(&invite, "c");
    lab.run(SECOND);
    assert_eq!(lab.refusal_of(other), JoinError::Refused(Refusal::Used));
    let again = lab.apply_as(lab.identity_of(first), &invite, ("b", false));
    lab.run(SECOND);
    lab.restart(0);
    let later = lab.apply_as(lab.identity_of(first), &invite, ("another-wish", false));
    lab.run(SECOND);
    let chains = [first, again, later].map(|a| match &lab.applicants[a].outcome {
        Some(Ok((network, _))) => network.chain.clone(),
        _ => panic!("applicant {a} was not accepted"),
    });
    assert_eq!(chains[0], chains[1]);
    assert_eq!(chains[0], chains[2], "also after a restart of the issuer");
}

#[test]
fn an_address_that_was_given_before_the_joiner_had_its_answer_counts_for_all() {
    let mut lab = Lab::with(&["d"]);
    let invite = lab.invite(0, &any_member());
    let lost = lab.apply(&invite, "b");
    lab.run(SECOND);
    let address = "10.7.0.77".parse().unwrap();
    lab.command(0, |node, now| node.assign("b", address, now)).unwrap();
    let again = lab.apply_as(lab.identity_of(lost), &invite, ("b", false));
    lab.run(SECOND);
    let b = lab.move_in(again);
    lab.run(3 * SECOND);
    assert_eq!(lab.mesh(b)[0], address);
    let id = lab.id(b);
    for at in [0, 1] {
        let view = lab.view(at);
        let peer = view.peers.iter().find(|peer| peer.node == id).unwrap();
        assert_eq!(peer.addresses[0], address, "at {at}");
    }
}

#[test]
fn an_invite_expires_by_the_issuers_clock() {
    let mut lab = Lab::new();
    let invite = lab.invite(0, &InviteRequest { life: 60 * SECOND, ..any_member() });
    assert_eq!(invite.expires_s, UNIX_S + 60);
    lab.run(62 * SECOND);
    let late = lab.apply(&invite, "b");
    lab.run(SECOND);
    assert_eq!(lab.refusal_of(late), JoinError::Refused(Refusal::Expired));
}

#[test]
fn who_does_not_know_the_secret_gets_no_answer() {
    let mut lab = Lab::new();
    let invite = lab.invite(0, &any_member());
    let guessed = Invite { secret: [7; 16].into(), ..invite.clone() };
    let unknown = Invite { id: InviteId([7; 16]), ..invite };
    let applicants = [lab.apply(&guessed, "b"), lab.apply(&unknown, "c")];
    lab.run(21 * SECOND);
    for applicant in applicants {
        assert_eq!(lab.refusal_of(applicant), JoinError::NoAnswer);
    }
    assert!(stages_sent(&lab).iter().all(|stage| *stage == 1));
    assert_eq!(lab.drops(0, DropReason::Gate), stages_sent(&lab).len() as u64);
}

#[test]
fn a_taken_name_is_refused_when_it_is_firm_and_numbered_when_not() {
    let mut lab = Lab::new();
    let invites = [0; 3].map(|_| lab.invite(0, &any_member()));
    let firm = lab.apply_as(Identity::generate([50; 32]), &invites[0], ("a", true));
    let soft = lab.apply_as(Identity::generate([51; 32]), &invites[1], ("a", false));
    lab.run(SECOND);
    assert_eq!(lab.refusal_of(firm), JoinError::Refused(Refusal::NameTaken));
    let second = lab.move_in(soft);
    assert_eq!(lab.view(second).own.name.as_str(), "a-2");
    let other = lab.apply_as(Identity::generate([50; 32]), &invites[0], ("b", true));
    lab.run(SECOND);
    let other = lab.move_in(other);
    assert_eq!(lab.view(other).own.name.as_str(), "b", "the refusal has not used the invite up");
}

#[test]
fn an_invite_keeps_what_it_promises() {
    let mut lab = Lab::new();
    let (name, address) = (Some("printer".parse().unwrap()), Some("10.7.0.2".parse().unwrap()));
    let promise = InviteRequest { name, address, ..any_member() };
    let invite = lab.invite(0, &promise);
    let again = lab.command(0, |node, now| node.invite(&promise, now)).unwrap_err();
    assert_eq!(again, CommandError::NameTaken("printer".parse().unwrap()));
    let unnamed = InviteRequest { name: None, ..promise };
    let again = lab.command(0, |node, now| node.invite(&unnamed, now)).unwrap_err();
    assert!(matches!(again, CommandError::Address(_)), "{again}");
    let b = lab.enrol("printer");
    assert_eq!(lab.view(b).own.name.as_str(), "printer-2");
    assert_eq!(lab.view(b).own.ipv4.to_string(), "10.7.0.3/24");
    let promised = lab.apply(&invite, "whatever");
    lab.run(SECOND);
    let promised = lab.move_in(promised);
    assert_eq!(lab.view(promised).own.name.as_str(), "printer");
    assert_eq!(lab.view(promised).own.ipv4.to_string(), "10.7.0.2/24");
}

#[test]
fn an_invite_that_cannot_be_kept_is_not_made() {
    let mut lab = Lab::new();
    let mut ask =
        |request: InviteRequest| lab.command(0, |node, now| node.invite(&request, now)).unwrap_err();
    for address in ["10.7.0.1", "10.7.0.255", "10.8.0.1"] {
        let request = InviteRequest { address: Some(address.parse().unwrap()), ..any_member() };
        assert!(matches!(ask(request), CommandError::Address(_)), "{address}");
    }
    let request = InviteRequest { address: Some("fd00::1".parse().unwrap()), ..any_member() };
    assert!(matches!(ask(request), CommandError::Ipv6(..)));
    assert_eq!(ask(InviteRequest { life: 31 * 24 * 3600 * SECOND, ..any_member() }), CommandError::Expiry);
    assert_eq!(ask(InviteRequest { life: Duration::ZERO, ..any_member() }), CommandError::Expiry);
}

#[test]
fn an_admin_by_invite_invites_members_and_no_admins() {
    let mut lab = Lab::new();
    let admin = InviteRequest { role: InviteRole::Admin, ..any_member() };
    let invite = lab.invite(0, &admin);
    let b = lab.apply(&invite, "b");
    lab.run(SECOND);
    let b = lab.move_in(b);
    assert!(lab.view(b).own.roles.admin);
    let refused = lab.command(b, |node, now| node.invite(&admin, now)).unwrap_err();
    assert_eq!(refused, CommandError::NotRoot);
    let invite = lab.invite(b, &any_member());
    let c = lab.apply(&invite, "c");
    lab.run(SECOND);
    let c = lab.move_in(c);
    lab.run(3 * SECOND);
    assert!(lab.connected(c, b) && lab.connected(c, 0), "the founder believes what its admin has signed");
    let refused = lab.command(c, |node, now| node.invite(&any_member(), now)).unwrap_err();
    assert_eq!(refused, CommandError::NotAdmin);
}

#[test]
fn the_credential_waits_for_the_journal() {
    let mut lab = Lab::new();
    let invite = lab.invite(0, &any_member());
    lab.machines[0].disk = None;
    let b = lab.apply(&invite, "b");
    lab.run(2 * SECOND);
    assert!(!stages_sent(&lab).contains(&4), "nothing leaves before the mark is on disk");
    assert!(lab.view(0).peers.is_empty(), "nor is anybody a member before");
    let ticket = lab.machines[0].held_writes[0];
    lab.command(0, |node, now| node.handle_persisted(ticket, true, now));
    lab.run(SECOND);
    assert!(matches!(lab.applicants[b].outcome, Some(Ok(_))));
}

#[test]
fn a_failed_write_refuses_the_joiner_and_leaves_the_invite_usable() {
    let mut lab = Lab::new();
    let invite = lab.invite(0, &any_member());
    lab.machines[0].disk = Some(false);
    let b = lab.apply(&invite, "b");
    lab.run(SECOND);
    assert_eq!(lab.refusal_of(b), JoinError::Refused(Refusal::Unable));
    lab.machines[0].disk = Some(true);
    let c = lab.apply(&invite, "c");
    lab.run(SECOND);
    let c = lab.move_in(c);
    assert_eq!(lab.view(c).own.name.as_str(), "c", "another machine may use it now");
}

#[test]
fn a_mark_that_was_taken_back_does_not_stay_on_disk() {
    let mut lab = Lab::new();
    let invite = lab.invite(0, &any_member());
    lab.run(SECOND);
    lab.machines[0].disk = None;
    lab.apply(&invite, "b");
    lab.run(SECOND);
    lab.invite(0, &any_member());
    let [mark, other] = lab.machines[0].held_writes[..] else { panic!("two writes of the invites") };
    lab.machines[0].disk = Some(true);
    lab.command(0, |node, now| node.handle_persisted(mark, false, now));
    lab.command(0, |node, now| node.handle_persisted(other, true, now));
    let written = decode_invites(&lab.machines[0].files[&StateFile::Invites]).unwrap();
    assert_eq!(written.len(), 2);
    assert!(written.iter().all(|invite| invite.used_by.is_none()));
}

#[test]
fn each_lost_message_costs_a_retry_and_no_more() {
    for lost in 1..=4 {
        let mut lab = Lab::new();
        let mut left = 2;
        lab.lose = Box::new(move |flight| {
            let hit = left > 0 && stage(flight) == Some(lost);
            left -= usize::from(hit);
            hit
        });
        let b = lab.enrol_within("b", 3 * SECOND);
        lab.run(SECOND);
        assert!(lab.connected(0, b), "message {lost} lost twice");
        assert_eq!(lab.view(0).peers.len(), 1);
    }
}

#[test]
fn of_two_joiners_at_the_same_instant_exactly_one_gets_in() {
    // Whichever of the two sends its third message first; and the journal of the first may still be open.
    for slow_disk in [false, true] {
        let mut lab = Lab::new();
        let invite = lab.invite(0, &any_member());
        lab.machines[0].disk = if slow_disk { None } else { Some(true) };
        let both = [lab.apply(&invite, "b"), lab.apply(&invite, "c")];
        lab.run(SECOND);
        for ticket in lab.machines[0].held_writes.split_off(0) {
            lab.command(0, |node, now| node.handle_persisted(ticket, true, now));
        }
        lab.run(SECOND);
        let accepted = both.map(|a| matches!(lab.applicants[a].outcome, Some(Ok(_))));
        assert_eq!(accepted.iter().filter(|accepted| **accepted).count(), 1, "slow disk: {slow_disk}");
        let refused = both[accepted.iter().position(|accepted| !accepted).unwrap()];
        assert_eq!(lab.refusal_of(refused), JoinError::Refused(Refusal::Used));
        assert_eq!(lab.view(0).peers.len(), 1);
    }
}

#[test]
fn who_was_answered_makes_room_for_who_waits() {
    let mut lab = Lab::new();
    let invite = lab.invite(0, &any_member());
    for n in 0..ENROLMENTS_MAX + 4 {
        let applicant = lab.apply(&invite, "b");
        lab.run(SECOND / 10);
        assert!(lab.applicants[applicant].outcome.is_some(), "applicant {n}");
    }
}

#[test]
fn altered_messages_change_nothing_and_true_ones_still_work() {
    let mut lab = Lab::new();
    let invite = lab.invite(0, &any_member());
    let flights = Rc::new(RefCell::new(vec![]));
    let caught = flights.clone();
    lab.lose = Box::new(move |flight| {
        let is_enrolment = stage(flight).is_some();
        if is_enrolment {
            caught.borrow_mut().push(flight.clone());
        }
        is_enrolment
    });
    let b = lab.apply(&invite, "b");
    for _ in 1..=4 {
        let flight = flights.borrow_mut().remove(0);
        for at in (0..flight.bytes.len()).step_by(7) {
            let mut bytes = flight.bytes.clone();
            bytes[at] ^= 1;
            lab.arrive(&Flight { bytes, ..flight.clone() });
        }
        assert!(flights.borrow().is_empty() && lab.applicants[b].outcome.is_none(), "no answer to garbage");
        lab.arrive(&flight);
    }
    assert!(matches!(lab.applicants[b].outcome, Some(Ok(_))));
}
