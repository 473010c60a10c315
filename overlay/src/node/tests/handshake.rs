//! Session handshakes: what makes a session, and what does not even make an answer.

use super::lab::{Flight, Lab};
use crate::limits::INITIATIONS_WITHOUT_COOKIE;
use crate::session::Role;
use crate::{DropReason, Event};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use wire::datagram::{Datagram, INITIATION_LENGTH, UNPROVED_REPLY_LENGTH_MAX};
use wire::gate::MAC_LENGTH;
use wire::handshake::{Refusal, Suite};

const SECOND: Duration = Duration::from_secs(1);

fn is_initiation(flight: &Flight) -> bool {
    matches!(Datagram::parse(&flight.bytes), Some(Datagram::Initiation(_)))
}

fn is_response(flight: &Flight) -> bool {
    matches!(Datagram::parse(&flight.bytes), Some(Datagram::Response(_)))
}

fn is_cookie_reply(flight: &Flight) -> bool {
    matches!(Datagram::parse(&flight.bytes), Some(Datagram::CookieReply(_)))
}

/// Two connected machines, of which `b` has just been started again; what was sent before is forgotten.
fn restarted_b() -> Lab {
    let mut lab = Lab::with(&["b"]);
    lab.sent.clear();
    lab.restart(1);
    lab
}

fn talk_both_ways(lab: &mut Lab) {
    lab.send(0, 1, b"ping");
    lab.send(1, 0, b"pong");
    lab.run(SECOND);
    assert_eq!(lab.received(1), [b"ping"]);
    assert_eq!(lab.received(0), [b"pong"]);
}

#[test]
fn both_may_begin_at_once_and_agree_on_one_session() {
    // Two members: both want a cookie first, so that their initiations still cross.
    let mut lab = Lab::with(&["b", "c"]);
    lab.run(SECOND);
    lab.machines[0].is_up = false;
    lab.sent.clear();
    lab.restart(1);
    lab.restart(2);
    lab.run(SECOND);
    assert_eq!(lab.sent.iter().filter(|flight| is_response(flight)).count(), 2);
    let (a, b) = (lab.session(1, 2).unwrap(), lab.session(2, 1).unwrap());
    assert_eq!(
        (a.local_index, a.remote_index),
        (b.remote_index, b.local_index),
        "both seal by the same session"
    );
    let initiators = [a.role, b.role].into_iter().filter(|role| *role == Role::Initiator).count();
    assert_eq!(initiators, 1, "so that one of them begins the rekey");
}

#[test]
fn a_restart_is_noticed_at_once_by_the_other_side() {
    let mut lab = restarted_b();
    lab.run(SECOND / 10);
    assert!(lab.connected(1, 0));
    talk_both_ways(&mut lab);
}

#[test]
fn a_replayed_initiation_gets_no_answer_and_changes_nothing() {
    let mut lab = restarted_b();
    lab.run(SECOND);
    let old = lab.sent.iter().find(|flight| is_initiation(flight)).unwrap().clone();
    lab.sent.clear();
    let refused = lab.drops(0, DropReason::Handshake);
    let session = lab.session(0, 1).unwrap();
    lab.arrive(&old);
    lab.arrive(&Flight { from: nat::Remote::udp("198.51.100.1:9".parse().unwrap()), ..old });
    assert_eq!(lab.drops(0, DropReason::Handshake), refused + 2);
    assert!(lab.sent.is_empty());
    assert_eq!(lab.session(0, 1).unwrap().local_index, session.local_index);
    talk_both_ways(&mut lab);
}

#[test]
fn a_tampered_response_leaves_the_attempt_alive() {
    let mut lab = restarted_b();
    let caught = Rc::new(RefCell::new(vec![]));
    let catch = caught.clone();
    lab.lose = Box::new(move |flight| {
        let is_response = is_response(flight);
        if is_response {
            catch.borrow_mut().push(flight.clone());
        }
        is_response
    });
    lab.run(SECOND / 2);
    let truth = caught.borrow()[0].clone();
    let gated = lab.drops(1, DropReason::Gate);
    for at in 0..truth.bytes.len() - 2 * MAC_LENGTH {
        let mut bytes = truth.bytes.clone();
        bytes[at] ^= 1;
        let tampered = Flight { bytes, ..truth.clone() };
        lab.arrive(&tampered);
        // The mark of the epoch and the sender's index are no part of the Noise message: only the gate covers them.
        if !(3..8).contains(&at) {
            lab.arrive_past_the_gate(&tampered);
        }
        assert!(!lab.connected(1, 0), "byte {at}");
    }
    assert!(lab.drops(1, DropReason::Gate) > gated);
    lab.lose = Box::new(|_| false);
    lab.arrive(&truth);
    assert!(lab.connected(1, 0));
    lab.run(SECOND / 4);
    talk_both_ways(&mut lab);
}

#[test]
fn garbage_of_a_member_never_gets_an_answer() {
    let mut lab = restarted_b();
    lab.run(SECOND);
    let old = lab.sent.iter().find(|flight| is_initiation(flight)).unwrap().clone();
    lab.sent.clear();
    for at in (10..400).step_by(3) {
        lab.run(SECOND / 20);
        let mut bytes = old.bytes.clone();
        bytes[at] ^= 1;
        lab.arrive_past_the_gate(&Flight { bytes, ..old.clone() });
    }
    assert!(!lab.sent.iter().any(|flight| is_response(flight) || is_cookie_reply(flight)));
}

#[test]
fn a_cookie_reply_is_answered_at_once() {
    let mut lab = Lab::with(&["b"]);
    lab.run(SECOND);
    lab.machines[1].is_up = false;
    let a = lab.machines[0].remote;
    let old = lab.sent.iter().find(|flight| flight.to == a && is_initiation(flight)).unwrap().clone();
    for _ in 0..INITIATIONS_WITHOUT_COOKIE {
        lab.arrive(&old);
    }
    lab.sent.clear();
    lab.restart(1);
    lab.run(SECOND / 10);
    let b = lab.machines[1].remote;
    let initiations: Vec<_> = lab.sent.iter().filter(|f| f.from == b && is_initiation(f)).cloned().collect();
    assert_eq!(lab.sent.iter().filter(|flight| is_cookie_reply(flight)).count(), 1);
    assert_eq!(initiations.len(), 2);
    let (body, shown) = (INITIATION_LENGTH - 2 * MAC_LENGTH, INITIATION_LENGTH - MAC_LENGTH);
    assert_eq!(initiations[0].bytes[..body], initiations[1].bytes[..body], "the same message, with a cookie");
    assert_eq!(initiations[0].bytes[shown..], [0; MAC_LENGTH]);
    assert_ne!(initiations[1].bytes[shown..], [0; MAC_LENGTH]);
    assert!(lab.connected(1, 0));
    talk_both_ways(&mut lab);
}

#[test]
fn a_cookie_reply_sends_nothing_to_whom_was_not_asked() {
    let mut lab = Lab::with(&["b"]);
    lab.run(SECOND);
    lab.machines[1].is_up = false;
    let (a, b) = (lab.machines[0].remote, lab.machines[1].remote);
    let old = lab.sent.iter().find(|flight| flight.to == a && is_initiation(flight)).unwrap().clone();
    for _ in 0..INITIATIONS_WITHOUT_COOKIE {
        lab.arrive(&old);
    }
    lab.sent.clear();
    lab.lose = Box::new(is_cookie_reply);
    lab.restart(1);
    lab.run(SECOND / 10);
    let reply = lab.sent.iter().find(|flight| is_cookie_reply(flight)).unwrap().clone();
    lab.sent.clear();
    lab.arrive(&Flight { from: nat::Remote::udp("203.0.113.9:9".parse().unwrap()), ..reply.clone() });
    assert!(lab.sent.is_empty(), "a victim was shouted at");
    for _ in 0..20 {
        lab.arrive(&reply);
    }
    let answers = lab.sent.iter().filter(|flight| flight.from == b && is_initiation(flight)).count();
    assert!((1..=8).contains(&answers), "{answers} answers to one cookie reply that was copied");
}

#[test]
fn a_forged_cookie_reply_calls_forth_nothing() {
    let mut lab = restarted_b();
    let reply = {
        let Some(Datagram::Initiation(initiation)) = Datagram::parse(&lab.sent[0].bytes) else { panic!() };
        let receiver = initiation.sender;
        wire::datagram::write_cookie_reply(&wire::datagram::CookieReply {
            mark: 1,
            receiver,
            nonce: [1; 16],
            sealed: [2; 32],
            mac: [3; 16],
        })
    };
    let (from, to) = (lab.machines[0].remote, lab.machines[1].remote);
    lab.sent.clear();
    lab.arrive(&Flight { from, to, bytes: reply });
    assert!(lab.sent.is_empty());
    assert_eq!(lab.drops(1, DropReason::Gate), 1);
}

#[test]
fn no_reply_to_an_unproved_address_is_longer_than_half_of_the_initiation() {
    let long = |c: &str| c.repeat(63);
    let mut lab = Lab::with(&[&long("b"), &long("c")]);
    for at in 0..3 {
        lab.restart(at);
        lab.run(SECOND);
    }
    let mut asked_for_cookies = 0;
    for (at, reply) in lab.sent.iter().enumerate().filter(|(_, f)| is_response(f) || is_cookie_reply(f)) {
        let initiation = lab.sent[..at].iter().rfind(|f| is_initiation(f) && f.from == reply.to).unwrap();
        let proved = initiation.bytes[INITIATION_LENGTH - MAC_LENGTH..] != [0; MAC_LENGTH];
        assert!(proved || reply.bytes.len() <= UNPROVED_REPLY_LENGTH_MAX, "{} bytes", reply.bytes.len());
        assert!(reply.bytes.len() < INITIATION_LENGTH);
        asked_for_cookies += usize::from(is_cookie_reply(reply));
    }
    assert!(asked_for_cookies > 0, "the longest credentials do not fit into half");
}

#[test]
fn the_cipher_is_one_that_both_are_quick_at() {
    let both = vec![Suite::Aes256Gcm, Suite::ChaCha20Poly1305];
    for (suites, agreed) in [
        (both.clone(), Suite::Aes256Gcm),
        (vec![Suite::ChaCha20Poly1305], Suite::ChaCha20Poly1305),
        (vec![], Suite::ChaCha20Poly1305),
    ] {
        for slow in [0, 1] {
            let mut lab = Lab::with(&["b"]);
            lab.machines[slow].suites.clone_from(&suites);
            lab.restart(0);
            lab.restart(1);
            lab.run(SECOND);
            assert_eq!(lab.session(0, 1).unwrap().suite, agreed);
            talk_both_ways(&mut lab);
        }
    }
}

#[test]
fn a_machine_that_was_revoked_while_it_was_down_is_told_why_nobody_answers() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.machines[1].is_up = false;
    lab.command(0, |node, now| node.revoke("b", now)).unwrap();
    lab.run(SECOND);
    lab.restart(1);
    lab.run(SECOND);
    assert!(!lab.connected(0, 1) && !lab.connected(1, 0));
    let problems = lab.view(1).problems;
    assert!(problems.iter().any(|p| p.starts_with("a, c say that this machine was revoked")), "{problems:?}");
    let refused = Event::RefusedBy("a".parse().unwrap(), Refusal::Revoked);
    assert_eq!(lab.machines[1].events.iter().filter(|event| **event == refused).count(), 1);
    lab.run(60 * SECOND);
    assert_eq!(lab.machines[1].events.iter().filter(|event| **event == refused).count(), 1, "said once");
}

#[test]
fn a_round_trip_longer_than_the_first_wait_still_makes_a_session() {
    let mut lab = Lab::with(&["b"]);
    lab.machines[0].is_up = false;
    lab.run(SECOND);
    lab.latency = SECOND * 9 / 10;
    lab.restart(1);
    lab.machines[0].is_up = true;
    lab.run(15 * SECOND);
    assert!(lab.connected(1, 0) && lab.connected(0, 1));
    let before = lab.machines[1].events.iter().filter(|e| matches!(e, Event::Lost(..))).count();
    lab.received(0);
    for n in 0..10u8 {
        lab.send(1, 0, &[n]);
        lab.run(SECOND);
    }
    lab.run(2 * SECOND);
    assert_eq!(lab.received(0).len(), 10);
    let after = lab.machines[1].events.iter().filter(|e| matches!(e, Event::Lost(..))).count();
    assert_eq!(after, before, "and it holds");
}
