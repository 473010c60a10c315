//! Invites and the DHT: who meets by word that is left there, and what such word must not do.

use super::lab::{Flight, Lab, Store, UNIX_S, any_member, enter_dht, entered, ping_answer, tell};
use crate::joiner::JoinError;
use crate::limits::{
    CLOCK_SKEW_S, ENROLMENT_PATIENCE, MAILBOX_LOOK_OLD, MAILBOX_PATIENCE, MAILBOX_YOUNG_TIME, MAILBOXES_MAX,
    OPENER_ADDRESSES_MAX, OPENER_INTERVAL, OPENER_TTLS, OPENERS_PER_INVITE_MAX, OPENERS_TIME,
};
use crate::{DhtEvent, DhtRequest, DropReason, Identity, MailboxParams, Output};
use nat::{Remote, SocketId};
use std::collections::BTreeSet;
use std::time::Duration;
use wire::hint::{Hint, HintBody};
use wire::mailbox::Slot;
use wire::{Candidate, Invite};

const SECOND: Duration = Duration::from_secs(1);

/// A founder where the addresses of its invite do not lead any more, in a DHT.
fn moved() -> (Lab, Invite) {
    let mut lab = Lab::new();
    enter_dht(&mut lab);
    let invite = lab.invite(0, &any_member());
    lab.carry(0, 100);
    (lab, invite)
}

/// Each machine hears only addresses to which it has sent something itself.
fn behind_nats(lab: &mut Lab) {
    let mut open: BTreeSet<(Remote, Remote)> = BTreeSet::new();
    lab.lose = Box::new(move |flight| {
        open.insert((flight.from, flight.to));
        !open.contains(&(flight.to, flight.from))
    });
}

/// Lets an applicant enter the DHT, at an address of its own.
fn enter(lab: &mut Lab, applicant: usize) {
    let local = lab.applicants[applicant].remote.candidate().into_iter().collect();
    let params = MailboxParams { socket: SocketId::MAIN, local, unix_s: UNIX_S };
    lab.ask_applicant(applicant, |joiner, now| joiner.handle_mailbox(params, now));
    lab.ask_applicant(applicant, |joiner, now| joiner.handle_dht(DhtEvent::State(entered()), now));
}

fn candidates(addresses: &[&str]) -> Vec<Candidate> {
    addresses.iter().map(|address| Candidate::new(address.parse().unwrap()).unwrap()).collect()
}

/// Word by a machine with these keys, which says that it is there, made at this time.
fn word(invite: &Invite, identity: &Identity, addresses: &[&str], unix_s: u64) -> Hint {
    let (node, noise_key) = (identity.node(), identity.noise_key());
    let body = HintBody { node, noise_key, candidates: candidates(addresses), unix_s, stream: None };
    Hint::sign(&body, &invite.network, &identity.signing).unwrap()
}

/// Leaves a word for the founder, which reads it.
fn leave(lab: &mut Lab, invite: &Invite, addresses: &[&str], unix_s: u64) {
    let slot = Slot::to_issuer(&invite.secret);
    let bytes = word(invite, &Identity::generate([9; 32]), addresses, unix_s).seal(slot.seal_key(), [4; 12]);
    tell(lab, 0, DhtEvent::Value { seed: *slot.seed(), bytes });
}

/// Where openers were sent since the last look.
fn opened(lab: &mut Lab) -> Vec<String> {
    let sent = std::mem::take(&mut lab.sent);
    let openers = sent.iter().filter(|flight| flight.bytes == [0; 16]);
    openers.map(|flight| flight.to.address().unwrap().to_string()).collect()
}

/// What was put into a slot.
fn put(requests: &[DhtRequest], slot: &Slot) -> Vec<Vec<u8>> {
    let values = requests.iter().filter_map(|request| {
        let DhtRequest::Put { seed, value, .. } = request else { return None };
        (seed == slot.seed()).then(|| value.clone())
    });
    values.collect()
}

fn puts_to(lab: &Lab, slot: &Slot) -> Vec<Vec<u8>> {
    put(&lab.machines[0].dht, slot)
}

#[test]
fn two_machines_behind_nats_meet_by_an_invite_whose_addresses_are_dead() {
    let (mut lab, invite) = moved();
    behind_nats(&mut lab);
    let applicant = lab.apply(&invite, "b");
    let mut store = Store::default();
    store.run(&mut lab, 5);
    assert!(lab.applicants[applicant].outcome.is_none());
    enter(&mut lab, applicant);
    store.run(&mut lab, 20);
    let b = lab.move_in(applicant);
    store.run(&mut lab, 3);
    assert!(lab.connected(0, b) && lab.connected(b, 0));
}

#[test]
fn without_openers_the_issuers_nat_stays_closed() {
    let (mut lab, invite) = moved();
    behind_nats(&mut lab);
    let mut nats = std::mem::replace(&mut lab.lose, Box::new(|_| false));
    lab.lose = Box::new(move |flight| flight.bytes == [0; 16] || nats(flight));
    let applicant = lab.apply(&invite, "b");
    enter(&mut lab, applicant);
    let mut store = Store::default();
    store.run(&mut lab, MAILBOX_PATIENCE.as_secs() as u32 - 1);
    assert!(lab.applicants[applicant].outcome.is_none(), "it has left word, and waits for long");
    store.run(&mut lab, 2);
    assert_eq!(lab.refusal_of(applicant), JoinError::NoWord);
}

#[test]
fn who_finds_no_dht_gives_up_as_soon_as_without_one() {
    let (mut lab, invite) = moved();
    let applicant = lab.apply(&invite, "b");
    let params = MailboxParams { socket: SocketId::MAIN, local: vec![], unix_s: UNIX_S };
    lab.ask_applicant(applicant, |joiner, now| joiner.handle_mailbox(params, now));
    lab.run(ENROLMENT_PATIENCE + SECOND);
    assert_eq!(lab.refusal_of(applicant), JoinError::NoAnswer);
    assert!(lab.applicants[applicant].dht.is_empty());
}

#[test]
fn mailboxes_of_the_latest_open_invites_are_looked_into_often_while_they_are_young() {
    let mut lab = Lab::new();
    enter_dht(&mut lab);
    let invites: Vec<Invite> = (0..MAILBOXES_MAX + 2).map(|_| lab.invite(0, &any_member())).collect();
    let mut store = Store::default();
    store.run(&mut lab, 60);
    let looks = |store: &mut Store, invite: &Invite| {
        store.gets.iter().filter(|seed| *seed == Slot::to_issuer(&invite.secret).seed()).count()
    };
    let counts: Vec<usize> = invites.iter().map(|invite| looks(&mut store, invite)).collect();
    assert_eq!(counts[..2], [0, 0]);
    assert!(counts[2..].iter().all(|count| (8..=12).contains(count)), "{counts:?}");
    let applicant = lab.apply(&invites[MAILBOXES_MAX + 1], "b");
    store.run(&mut lab, 30);
    assert!(lab.applicants[applicant].outcome.is_some());
    store.gets.clear();
    store.run(&mut lab, 60);
    assert_eq!(looks(&mut store, &invites[MAILBOXES_MAX + 1]), 0, "it is used");
    assert!(looks(&mut store, &invites[1]) > 0, "another has its place");
    store.run(&mut lab, MAILBOX_YOUNG_TIME.as_secs() as u32);
    store.gets.clear();
    store.run(&mut lab, 10 * MAILBOX_LOOK_OLD.as_secs() as u32);
    let late = looks(&mut store, &invites[1]);
    assert!((7..=10).contains(&late), "{late}");
}

#[test]
fn word_has_openers_sent_to_a_few_addresses_for_a_time_and_once() {
    let (mut lab, invite) = moved();
    let named = ["55.0.0.1:1", "10.7.0.9:7", "55.0.0.2:2", "55.0.0.3:3", "55.0.0.4:4", "55.0.0.5:5"];
    opened(&mut lab);
    leave(&mut lab, &invite, &named, UNIX_S);
    assert_eq!(
        opened(&mut lab),
        ["55.0.0.1:1", "55.0.0.2:2", "55.0.0.3:3", "55.0.0.4:4"],
        "none in the mesh"
    );
    lab.run(2 * OPENERS_TIME);
    let rounds = OPENERS_TIME.as_secs() / OPENER_INTERVAL.as_secs() - 1;
    assert_eq!(opened(&mut lab).len() as u64, rounds * OPENER_ADDRESSES_MAX as u64);
    leave(&mut lab, &invite, &named, UNIX_S);
    leave(&mut lab, &invite, &named, UNIX_S - 1);
    leave(&mut lab, &invite, &named, UNIX_S + CLOCK_SKEW_S + 300);
    assert_eq!(opened(&mut lab), [""; 0], "read before, older, or of no clock's time");
    let slot = Slot::to_issuer(&invite.secret);
    for bytes in [vec![], vec![7; 352]] {
        tell(&mut lab, 0, DhtEvent::Value { seed: *slot.seed(), bytes });
    }
    assert_eq!(lab.drops(0, DropReason::Hint), 2);
    assert_eq!(opened(&mut lab), [""; 0]);
    leave(&mut lab, &invite, &named[..1], UNIX_S + 1);
    assert_eq!(opened(&mut lab), ["55.0.0.1:1"]);
}

#[test]
fn the_first_openers_do_not_get_far_and_later_ones_do() {
    let (mut lab, invite) = moved();
    let slot = Slot::to_issuer(&invite.secret);
    let (mut limits, mut now) = (vec![], lab.now);
    for n in 0..4 {
        // The joiner repeats itself, and is no nearer for that.
        let word = word(&invite, &Identity::generate([9; 32]), &["55.0.0.1:1"], UNIX_S + n);
        let bytes = word.seal(slot.seal_key(), [4; 12]);
        lab.machines[0].node.handle_dht(DhtEvent::Value { seed: *slot.seed(), bytes }, now);
        for _ in 0..4 {
            now += OPENER_INTERVAL;
            let mut output = lab.machines[0].node.poll_output(now);
            while !matches!(output, Output::Wait(..)) {
                if let Output::Transmit { bytes, ttl, .. } = &output
                    && *bytes == [0; 16]
                {
                    limits.push(*ttl);
                }
                output = lab.machines[0].node.poll_output(now);
            }
        }
    }
    let (first, later) = limits.split_at(OPENER_TTLS.len());
    assert_eq!(first, OPENER_TTLS.map(Some));
    assert!(later.len() > 4 && later.iter().all(Option::is_none), "{later:?}");
}

#[test]
fn who_shows_an_invite_again_and_again_has_no_more_sent_for_it() {
    let (mut lab, invite) = moved();
    let named = ["55.0.0.1:1", "55.0.0.2:2", "55.0.0.3:3", "55.0.0.4:4"];
    opened(&mut lab);
    let mut count = 0;
    for n in 0..u64::from(OPENERS_PER_INVITE_MAX) / 4 + 10 {
        leave(&mut lab, &invite, &named, UNIX_S + n);
        count += opened(&mut lab).len();
    }
    assert_eq!(count, OPENERS_PER_INVITE_MAX as usize);
}

#[test]
fn the_answer_is_for_who_left_that_word_and_is_left_again_when_it_is_another() {
    let (mut lab, invite) = moved();
    leave(&mut lab, &invite, &["55.0.0.1:1"], UNIX_S);
    let slot = Slot::to_joiner(&invite.secret);
    let [sealed] = &puts_to(&lab, &slot)[..] else { panic!("one answer") };
    let key = slot.seal_key().answer_to(&[4; 12]);
    let hint = Hint::open(&key, &invite.network, sealed).unwrap();
    assert_eq!((hint.body().node, &hint.body().candidates), (lab.id(0), &lab.view(0).candidates));
    assert!(Hint::open(slot.seal_key(), &invite.network, sealed).is_err());
    assert!(Hint::open(&slot.seal_key().answer_to(&[5; 12]), &invite.network, sealed).is_err());
    lab.run(6 * SECOND);
    assert_eq!(puts_to(&lab, &slot).len(), 1);
    lab.carry(0, 101);
    lab.run(6 * SECOND);
    assert_eq!(puts_to(&lab, &slot).len(), 2, "we have moved");
    tell(&mut lab, 0, DhtEvent::Put { seed: *slot.seed(), nodes: 0 });
    lab.run(6 * SECOND);
    assert_eq!(puts_to(&lab, &slot).len(), 3, "nobody took it");
    lab.run(OPENERS_TIME);
    lab.carry(0, 102);
    lab.run(6 * SECOND);
    assert_eq!(puts_to(&lab, &slot).len(), 3, "nobody waits any more");
}

/// The latest word that an applicant has left.
fn left(lab: &Lab, applicant: usize, invite: &Invite) -> Option<(Hint, [u8; 12])> {
    let slot = Slot::to_issuer(&invite.secret);
    let sealed = put(&lab.applicants[applicant].dht, &slot).pop()?;
    let hint = Hint::open(slot.seal_key(), &invite.network, &sealed).unwrap();
    Some((hint, *sealed.first_chunk().unwrap()))
}

#[test]
fn a_joiner_says_where_dht_nodes_see_it() {
    let (mut lab, invite) = moved();
    let applicant = lab.apply(&invite, "b");
    let fresh = SocketId(7);
    let params = MailboxParams { socket: fresh, local: candidates(&["55.9.9.9:9"]), unix_s: UNIX_S };
    lab.ask_applicant(applicant, |joiner, now| joiner.handle_mailbox(params, now));
    lab.sent.clear();
    lab.ask_applicant(applicant, |joiner, now| joiner.handle_dht(DhtEvent::State(entered()), now));
    let pings: Vec<Flight> = lab.sent.iter().filter(|flight| flight.bytes[0] == b'd').cloned().collect();
    assert_eq!(pings.len(), 3);
    let is_from_it = |ping: &Flight| matches!(ping.to, Remote::Udp { socket, .. } if socket == fresh);
    assert!(pings.iter().all(is_from_it));
    let answer = |lab: &mut Lab, ping: &Flight, from: Remote, seen: &str| {
        let bytes = ping_answer(ping, seen.parse().unwrap()).bytes;
        lab.ask_applicant(applicant, |joiner, now| joiner.handle_datagram(&bytes, from, now));
    };
    let other_socket = Remote::udp(pings[0].to.address().unwrap());
    for stranger in [other_socket, pings[1].to, Remote::udp("15.0.0.1:6881".parse().unwrap())] {
        answer(&mut lab, &pings[0], stranger, "66.0.0.1:1");
    }
    assert!(left(&lab, applicant, &invite).is_none(), "nobody who was asked has said anything");
    for (ping, seen) in pings.iter().zip(["55.1.1.1:1", "55.1.1.1:2", "55.1.1.1:2"]) {
        answer(&mut lab, ping, ping.to, seen);
    }
    lab.run(6 * SECOND);
    let (hint, _) = left(&lab, applicant, &invite).unwrap();
    let body = hint.body();
    assert_eq!(body.candidates, candidates(&["55.1.1.1:2", "55.1.1.1:1", "55.9.9.9:9"]), "by majority");
    assert_eq!(body.node, lab.identity_of(applicant).node());
}

#[test]
fn a_joiner_knocks_only_where_its_issuer_answers_its_word() {
    let (mut lab, invite) = moved();
    let applicant = lab.apply(&invite, "b");
    enter(&mut lab, applicant);
    lab.run(4 * SECOND);
    let (_, nonce) = left(&lab, applicant, &invite).expect("word");
    let slot = Slot::to_joiner(&invite.secret);
    let issuer = lab.machines[0].identity();
    let asked = |lab: &Lab, to: &str| lab.sent.iter().any(|f| f.to == Remote::udp(to.parse().unwrap()));
    let tell_it = |lab: &mut Lab, identity: &Identity, nonce: [u8; 12], to: &str, unix_s: u64| {
        let key = slot.seal_key().answer_to(&nonce);
        let bytes = word(&invite, identity, &[to], unix_s).seal(&key, [6; 12]);
        let event = DhtEvent::Value { seed: *slot.seed(), bytes };
        lab.ask_applicant(applicant, |joiner, now| joiner.handle_dht(event, now));
        lab.run(SECOND);
        asked(lab, to)
    };
    assert!(!tell_it(&mut lab, &issuer, [8; 12], "55.0.0.1:1", UNIX_S), "an answer to an older word");
    assert!(!tell_it(&mut lab, &Identity::generate([9; 32]), nonce, "55.0.0.2:1", UNIX_S), "another's");
    assert!(tell_it(&mut lab, &issuer, nonce, "55.0.0.3:1", UNIX_S));
    assert!(!tell_it(&mut lab, &issuer, nonce, "55.0.0.4:1", UNIX_S - 1), "an older answer");
    assert!(tell_it(&mut lab, &issuer, nonce, "55.0.0.5:1", UNIX_S + 1));
}
