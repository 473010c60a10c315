//! Epochs of the network secret: who gets the new one, who does not, and how members that were away come back.

use super::lab::{Flight, Lab, Store, UNIX_S, enter_dht};
use crate::limits::{EARLIER_SECRETS_MAX, EPOCH_PAUSE, SECRET_LOST_AFTER};
use crate::state::StateFile;
use crate::{DropReason, Event, Node};
use std::time::Duration;
use wire::control::Message;
use wire::datagram::{Datagram, HintStage, write_initiation};
use wire::epoch::EpochMessage;
use wire::gate::GateKeys;
use wire::record::{Content, Epoch};
use wire::{Commitment, Kind, NetworkSecret};

const SECOND: Duration = Duration::from_secs(1);

fn epoch(lab: &Lab, at: usize) -> u32 {
    lab.view(at).epoch
}

fn secret(lab: &mut Lab, at: usize) -> [u8; 32] {
    lab.command(at, |node, _| *node.members.network.secrets.current().bytes())
}

fn records_of_epochs(lab: &mut Lab, at: usize) -> Vec<u64> {
    lab.command(at, |node, _| node.registry.of_kind(Kind::Epoch).map(|r| r.body().sequence).collect())
}

fn cut_off(lab: &mut Lab, at: usize) {
    let remote = lab.machines[at].remote;
    lab.lose = Box::new(move |flight| flight.from == remote || flight.to == remote);
}

fn heal(lab: &mut Lab) {
    lab.lose = Box::new(|_| false);
}

/// Makes a member of that name and revokes it: there is another epoch.
fn roll(lab: &mut Lab, name: &str) {
    let before = epoch(lab, 0);
    lab.enrol(name);
    lab.command(0, |node, now| node.revoke(name, now)).unwrap();
    lab.run(EPOCH_PAUSE + SECOND);
    assert_eq!(epoch(lab, 0), before + 1);
}

fn tell(lab: &mut Lab, from: usize, to: usize, message: EpochMessage) {
    let to = lab.id(to);
    lab.command(from, |node, _| node.send(&to, &Message::Epoch(message), None));
    lab.run(SECOND / 10);
}

#[test]
fn a_revocation_gives_all_others_a_new_secret_at_once() {
    let mut lab = Lab::with(&["b", "c", "d"]);
    let before = secret(&mut lab, 0);
    lab.command(0, |node, now| node.revoke("d", now)).unwrap();
    lab.run(SECOND);
    assert_eq!((0..4).map(|at| epoch(&lab, at)).collect::<Vec<_>>(), [2, 2, 2, 1]);
    assert_ne!(secret(&mut lab, 0), before);
    for at in 1..3 {
        assert_eq!(secret(&mut lab, at), secret(&mut lab, 0));
        assert_eq!(records_of_epochs(&mut lab, at), [2]);
        assert!(lab.machines[at].events.contains(&Event::Epoch(2)));
    }
    assert_eq!(secret(&mut lab, 3), before, "who was revoked has not got it");
    lab.send(1, 2, b"as before");
    lab.run(SECOND);
    assert_eq!(lab.received(2), [b"as before"]);
}

#[test]
fn the_secret_is_on_disk_before_anybody_hears_of_it() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.machines[0].disk = None;
    lab.command(0, |node, now| node.revoke("c", now)).unwrap();
    lab.run(SECOND);
    assert_eq!(epoch(&lab, 0), 1, "not written yet");
    assert!(records_of_epochs(&mut lab, 1).is_empty());
    let tickets = std::mem::take(&mut lab.machines[0].held_writes);
    lab.machines[0].disk = Some(true);
    tickets.iter().for_each(|ticket| lab.command(0, |node, now| node.handle_persisted(*ticket, true, now)));
    lab.run(SECOND);
    assert_eq!((epoch(&lab, 0), epoch(&lab, 1)), (2, 2));
}

#[test]
fn secret_and_record_survive_a_kill_at_any_moment() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.command(0, |node, now| node.revoke("c", now)).unwrap();
    for at in [0, 1, 0, 1] {
        lab.restart(at);
        lab.run(SECOND / 50);
    }
    lab.run(3 * SECOND);
    for at in 0..2 {
        lab.restart(at);
        assert_eq!((epoch(&lab, at), records_of_epochs(&mut lab, at)), (2, vec![2]));
        lab.run(SECOND);
    }
    assert!(lab.connected(0, 1));
    assert_eq!(secret(&mut lab, 0), secret(&mut lab, 1));
    assert_eq!(lab.machines[1].files.get(&StateFile::Network).unwrap()[0], 0x87, "with the one before it");
}

#[test]
fn a_full_disk_delays_the_secret_and_loses_none() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.machines[0].disk = Some(false);
    lab.command(0, |node, now| node.revoke("c", now)).unwrap();
    lab.run(10 * SECOND);
    assert_eq!((epoch(&lab, 0), epoch(&lab, 1)), (1, 1));
    lab.machines[0].disk = Some(true);
    lab.run(20 * SECOND);
    assert_eq!((epoch(&lab, 0), epoch(&lab, 1)), (2, 2));
    assert_eq!(secret(&mut lab, 0), secret(&mut lab, 1));
}

#[test]
fn many_revocations_in_a_short_time_have_few_secrets_between_them() {
    let names = ["b", "c", "d", "e", "f"];
    let mut lab = Lab::with(&names);
    for name in &names[1..] {
        lab.command(0, |node, now| node.revoke(name, now)).unwrap();
        lab.run(SECOND / 2);
    }
    lab.run(2 * EPOCH_PAUSE);
    assert_eq!((epoch(&lab, 0), epoch(&lab, 1)), (3, 3), "one at once, and one for the rest");
    lab.run(60 * SECOND);
    assert_eq!(epoch(&lab, 1), 3, "and no more");
}

#[test]
fn who_leaves_has_an_admin_make_a_new_secret() {
    let mut lab = Lab::with_two_admins();
    lab.enrol("d");
    lab.run(3 * SECOND);
    lab.command(3, |node, now| node.leave(false, now)).unwrap();
    lab.run(10 * SECOND);
    for at in 0..3 {
        assert_eq!(epoch(&lab, at), 2, "{at}");
        assert_eq!(secret(&mut lab, at), secret(&mut lab, 0));
    }
    assert_eq!(epoch(&lab, 3), 1);
    lab.run(60 * SECOND);
    assert_eq!(epoch(&lab, 0), 2, "one admin has done it, and no other");
}

#[test]
fn an_admin_that_vanishes_after_it_has_revoked_is_stood_in_for() {
    let mut lab = Lab::with_two_admins();
    lab.enrol("d");
    lab.run(3 * SECOND);
    lab.machines[0].disk = None;
    lab.command(0, |node, now| node.revoke("d", now)).unwrap();
    lab.run(SECOND);
    lab.machines[0].is_up = false;
    lab.run(15 * SECOND);
    assert_eq!((epoch(&lab, 1), epoch(&lab, 2)), (2, 2));
    lab.machines[0].disk = Some(true);
    lab.restart(0);
    lab.run(10 * SECOND);
    assert_eq!(secret(&mut lab, 0), secret(&mut lab, 1));
    assert_eq!(epoch(&lab, 0), 2);
}

#[test]
fn who_was_away_for_one_epoch_or_many_comes_back() {
    for rolls in [1, 3, EARLIER_SECRETS_MAX] {
        let mut lab = Lab::with(&["b", "c"]);
        lab.machines[2].is_up = false;
        (0..rolls).for_each(|n| roll(&mut lab, &format!("x{n}")));
        lab.restart(2);
        lab.run(3 * SECOND);
        let expected = 1 + rolls as u32;
        assert_eq!((epoch(&lab, 2), epoch(&lab, 1)), (expected, expected));
        assert!(lab.connected(2, 0) && lab.connected(2, 1), "{rolls}");
        assert_eq!(secret(&mut lab, 2), secret(&mut lab, 0));
        lab.send(2, 1, b"back");
        lab.run(SECOND);
        assert_eq!(lab.received(1), [b"back"]);
    }
}

#[test]
fn who_shows_an_earlier_secret_is_given_the_latest_at_once() {
    let mut lab = Lab::with(&["b"]);
    lab.machines[1].is_up = false;
    roll(&mut lab, "x");
    lab.restart(1);
    // A cookie, the handshake, the first datagram of the session, and the answer to that: records are not compared yet.
    lab.run(SECOND / 5);
    assert_eq!(epoch(&lab, 1), 2);
}

#[test]
fn who_was_away_is_found_by_whom_it_cannot_find_itself() {
    for rolls in [1, 4] {
        let mut lab = Lab::with(&["b", "c"]);
        lab.machines[2].is_up = false;
        (0..rolls).for_each(|n| roll(&mut lab, &format!("x{n}")));
        // They have been started anew meanwhile, and know nothing of what it has shown last.
        lab.restart(0);
        lab.restart(1);
        let c = lab.machines[2].remote;
        let begins = move |flight: &Flight| {
            flight.from == c && matches!(Datagram::parse(&flight.bytes), Some(Datagram::Initiation(_)))
        };
        lab.lose = Box::new(begins);
        lab.restart(2);
        lab.run(5 * SECOND);
        assert!(lab.connected(2, 0) || lab.connected(2, 1), "{rolls}");
        assert_eq!(epoch(&lab, 2), 1 + rolls);
    }
}

#[test]
fn who_was_away_for_too_many_is_told_what_that_may_mean() {
    let mut lab = Lab::with(&["b"]);
    lab.machines[1].is_up = false;
    (0..=EARLIER_SECRETS_MAX).for_each(|n| roll(&mut lab, &format!("x{n}")));
    lab.restart(1);
    lab.run(30 * SECOND);
    assert!(!lab.connected(1, 0));
    let problems = lab.view(1).problems;
    assert!(problems.iter().any(|problem| problem.contains("new invite")), "{problems:?}");
}

#[test]
fn two_that_were_apart_from_the_rest_meet_under_the_secret_that_both_have() {
    let mut lab = Lab::with(&["b", "c", "d"]);
    let apart = [lab.machines[2].remote, lab.machines[3].remote];
    lab.lose = Box::new(move |flight| apart.contains(&flight.from) != apart.contains(&flight.to));
    roll(&mut lab, "x");
    lab.send(2, 3, b"still here");
    lab.run(SECOND);
    assert_eq!(lab.received(3), [b"still here"]);
    heal(&mut lab);
    lab.run(40 * SECOND);
    assert_eq!((0..4).map(|at| epoch(&lab, at)).collect::<Vec<_>>(), [2; 4]);
    assert!(lab.connected(0, 3) && lab.connected(1, 2));
}

#[test]
fn two_admins_that_begin_an_epoch_apart_settle_it_alike() {
    let mut lab = Lab::with_two_admins();
    let (d, e) = (lab.enrol("d"), lab.enrol("e"));
    lab.run(5 * SECOND);
    let side = [lab.machines[0].remote, lab.machines[2].remote, lab.machines[d].remote];
    lab.lose = Box::new(move |flight| side.contains(&flight.from) != side.contains(&flight.to));
    lab.command(0, |node, now| node.revoke("d", now)).unwrap();
    lab.command(1, |node, now| node.revoke("e", now)).unwrap();
    lab.run(5 * SECOND);
    assert_eq!((epoch(&lab, 0), epoch(&lab, 1), epoch(&lab, 2)), (2, 2, 2));
    assert_ne!(secret(&mut lab, 0), secret(&mut lab, 1));
    assert_eq!(secret(&mut lab, 0), secret(&mut lab, 2));
    lab.machines[d].is_up = false;
    lab.machines[e].is_up = false;
    heal(&mut lab);
    lab.run(90 * SECOND);
    for at in 0..3 {
        // Neither knew of the other's revocation: a third secret is for both.
        assert_eq!(epoch(&lab, at), 3, "{at}");
        assert_eq!(secret(&mut lab, at), secret(&mut lab, 0));
        assert_eq!(records_of_epochs(&mut lab, at), [3]);
    }
}

/// The record of an epoch that the founder signs, whatever its secret is.
fn founders_word(lab: &mut Lab, number: u32, commitment: Commitment) -> Vec<u8> {
    lab.command(0, |node, _| {
        let epoch = Epoch { number, commitment, nodes: vec![], revocations: 9 };
        let content = Content::Epoch { epoch, by: Box::new(node.members.own().clone()) };
        content.sign(number.into(), UNIX_S, &node.identity.signing, None).unwrap().bytes().to_vec()
    })
}

fn hear(lab: &mut Lab, at: usize, bytes: &[u8]) {
    lab.command(at, |node: &mut Node, now| node.consume_record((bytes, None), None, now));
}

#[test]
fn of_two_secrets_of_one_epoch_the_lower_commitment_holds_whatever_the_order() {
    let of = |lab: &Lab, byte: u8| {
        let secret = NetworkSecret::new(2, [byte; 32]);
        (
            Commitment::of(&lab.view(0).own.network, &secret),
            EpochMessage::Secret { epoch: 2, secret: [byte; 32].into() },
        )
    };
    for order in [[1, 2], [2, 1]] {
        let mut lab = Lab::with(&["b"]);
        let lowest = [1, 2].into_iter().min_by_key(|byte| of(&lab, *byte).0).unwrap();
        for byte in order {
            let (commitment, secret) = of(&lab, byte);
            let record = founders_word(&mut lab, 2, commitment);
            hear(&mut lab, 1, &record);
            tell(&mut lab, 0, 1, secret);
        }
        assert_eq!(secret(&mut lab, 1), [lowest; 32], "{order:?}");
        assert_eq!(records_of_epochs(&mut lab, 1), [2, 2]);
    }
}

#[test]
fn a_secret_that_no_record_commits_to_is_not_believed() {
    let mut lab = Lab::with(&["b", "c"]);
    let before = secret(&mut lab, 1);
    let lie = || EpochMessage::Secret { epoch: 2, secret: [9; 32].into() };
    let refused = lab.drops(1, DropReason::Control);
    tell(&mut lab, 2, 1, lie());
    assert_eq!((epoch(&lab, 1), lab.drops(1, DropReason::Control)), (1, refused + 1));
    // Nor where another secret is waited for, nor under another number.
    let commitment = Commitment::of(&lab.view(0).own.network, &NetworkSecret::new(2, [8; 32]));
    let record = founders_word(&mut lab, 2, commitment);
    hear(&mut lab, 1, &record);
    tell(&mut lab, 2, 1, lie());
    tell(&mut lab, 2, 1, EpochMessage::Secret { epoch: 3, secret: [8; 32].into() });
    assert_eq!(secret(&mut lab, 1), before);
    tell(&mut lab, 2, 1, EpochMessage::Secret { epoch: 2, secret: [8; 32].into() });
    assert_eq!((epoch(&lab, 1), secret(&mut lab, 1)), (2, [8; 32]));
}

#[test]
fn nobody_gives_the_secret_to_who_is_revoked_or_named() {
    let mut lab = Lab::with(&["b", "c"]);
    let c = lab.id(2);
    // The record names `c` and no revocation has come yet: at `b` it is a member with a session.
    let secret = NetworkSecret::new(2, [8; 32]);
    let commitment = Commitment::of(&lab.view(0).own.network, &secret);
    let record = lab.command(0, |node, _| {
        let epoch = Epoch { number: 2, commitment, nodes: vec![c], revocations: 0 };
        let content = Content::Epoch { epoch, by: Box::new(node.members.own().clone()) };
        content.sign(2, UNIX_S, &node.identity.signing, None).unwrap().bytes().to_vec()
    });
    hear(&mut lab, 1, &record);
    tell(&mut lab, 0, 1, EpochMessage::Secret { epoch: 2, secret: [8; 32].into() });
    assert_eq!(epoch(&lab, 1), 2);
    assert!(lab.connected(1, 2));
    for _ in 0..5 {
        tell(&mut lab, 2, 1, EpochMessage::Ask { commitment });
        lab.run(SECOND);
    }
    assert_eq!(epoch(&lab, 2), 1);
    // Its new session is under the first secret, and it is given nothing for that.
    lab.restart(2);
    lab.run(5 * SECOND);
    assert_eq!(epoch(&lab, 2), 1);
    // The founder has the record, too, and not the secret: it is told by `b` when it asks.
    lab.run(10 * SECOND);
    assert_eq!(epoch(&lab, 0), 2);
}

#[test]
fn nobody_gives_the_secret_before_it_has_heard_of_all_revocations_that_it_was_made_for() {
    let mut lab = Lab::with(&["b", "c", "d"]);
    let (c, d) = (lab.id(2), lab.id(3));
    let secret = NetworkSecret::new(2, [8; 32]);
    let commitment = Commitment::of(&lab.view(0).own.network, &secret);
    let word = |lab: &mut Lab, content: &dyn Fn(&Node) -> Content| {
        lab.command(0, |node, _| {
            content(node).sign(2, UNIX_S, &node.identity.signing, None).unwrap().bytes().to_vec()
        })
    };
    let by = |node: &Node| Box::new(node.members.own().clone());
    let record = word(&mut lab, &|node| {
        let epoch = Epoch { number: 2, commitment, nodes: vec![], revocations: 1 };
        Content::Epoch { epoch, by: by(node) }
    });
    hear(&mut lab, 1, &record);
    tell(&mut lab, 0, 1, EpochMessage::Secret { epoch: 2, secret: [8; 32].into() });
    assert_eq!(epoch(&lab, 1), 2);
    // Whoever asks may be the one that was revoked.
    for _ in 0..5 {
        tell(&mut lab, 2, 1, EpochMessage::Ask { commitment });
        lab.run(SECOND);
    }
    assert_eq!((epoch(&lab, 2), epoch(&lab, 3)), (1, 1));
    let revocation = word(&mut lab, &|node| Content::Revocation { node: d, by: by(node), by_root: false });
    hear(&mut lab, 1, &revocation);
    lab.run(10 * SECOND);
    assert_eq!((epoch(&lab, 2), epoch(&lab, 3)), (2, 1), "{c} gets it and {d} does not");
}

#[test]
fn who_was_revoked_passes_no_gate_but_the_narrow_one() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.command(0, |node, now| node.revoke("c", now)).unwrap();
    lab.run(SECOND);
    lab.machines[2].is_up = false;
    let old = lab.command(2, |node, _| node.members.network.secrets.current().clone());
    let (from, to) = (lab.machines[2].remote, lab.machines[1].remote);
    let keys = GateKeys::of_receiver(&old, &lab.machines[1].noise_key());
    let flood = |lab: &mut Lab, count: u32| {
        for sender in 0..count {
            let bytes = write_initiation(sender, b"", &keys, None);
            lab.arrive(&Flight { from, to, bytes });
        }
    };
    // It cannot even pretend to be under the new one.
    let mut pretended = write_initiation(1, b"", &keys, None);
    pretended[3] = 2;
    let gated = lab.drops(1, DropReason::Gate);
    lab.arrive(&Flight { from, to, bytes: pretended });
    assert_eq!(lab.drops(1, DropReason::Gate), gated + 1);
    let floods = lab.drops(1, DropReason::HandshakeFlood);
    flood(&mut lab, 200);
    assert!(lab.drops(1, DropReason::HandshakeFlood) >= floods + 100);
    // Others are let in at once all the same.
    lab.restart(0);
    lab.run(SECOND / 5);
    assert!(lab.connected(0, 1) && lab.connected(1, 0));
}

#[test]
fn who_was_revoked_while_it_was_down_is_refused_by_name_and_told_nothing() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.machines[2].is_up = false;
    lab.command(0, |node, now| node.revoke("c", now)).unwrap();
    lab.run(SECOND);
    lab.restart(2);
    lab.run(20 * SECOND);
    assert_eq!(epoch(&lab, 2), 1);
    assert!(!lab.connected(2, 0) && !lab.connected(2, 1));
    assert!(lab.view(2).problems.iter().any(|problem| problem.contains("that this machine was revoked")));
}

#[test]
fn hints_of_who_was_revoked_open_nothing_and_those_of_who_was_away_do() {
    let mut lab = Lab::with(&["b", "c", "d"]);
    lab.machines[3].is_up = false;
    lab.command(0, |node, now| node.revoke("c", now)).unwrap();
    lab.run(SECOND);
    lab.machines[2].is_up = false;
    let beacon = |lab: &mut Lab, at: usize| {
        lab.sent.clear();
        let carriers = crate::Carriers { lan: true, dht: false };
        lab.command(at, |node, now| node.handle_carriers(carriers, now));
        let is_beacon = |flight: &&Flight| matches!(Datagram::parse(&flight.bytes), Some(Datagram::Hint(h)) if h.stage == HintStage::Beacon);
        let found = lab.sent.iter().find(is_beacon).cloned();
        found.expect("a beacon")
    };
    let news = beacon(&mut lab, 0);
    let old_word = {
        let first = lab.command(3, |node, _| node.members.network.secrets.current().clone());
        wire::SealKey::lan(&first)
    };
    let Some(Datagram::Hint(hint)) = Datagram::parse(&news.bytes) else { panic!() };
    assert!(!old_word.opens(hint.sealed), "who has the first secret only cannot read it");
    // The member that was away reads nothing either, but is read.
    let c = lab.machines[3].remote;
    lab.lose = Box::new(move |flight| {
        flight.from == c && matches!(Datagram::parse(&flight.bytes), Some(Datagram::Initiation(_)))
    });
    lab.restart(3);
    lab.carry(3, 77);
    beacon(&mut lab, 3);
    lab.run(5 * SECOND);
    assert_eq!(epoch(&lab, 3), 2);
}

#[test]
fn epochs_of_an_admin_that_was_revoked_end_with_it() {
    let mut lab = Lab::with_two_admins();
    lab.enrol("d");
    lab.run(3 * SECOND);
    lab.command(1, |node, now| node.revoke("d", now)).unwrap();
    lab.run(EPOCH_PAUSE + SECOND);
    assert_eq!(epoch(&lab, 2), 2);
    let b = lab.id(1);
    lab.command(0, |node, now| node.revoke("b", now)).unwrap();
    lab.run(SECOND);
    let owners = |node: &mut Node, _| -> Vec<_> {
        node.registry.of_kind(Kind::Epoch).map(|record| record.body().owner).collect()
    };
    for at in [0, 2] {
        assert_eq!(epoch(&lab, at), 3, "{at}");
        assert!(!lab.command(at, owners).contains(&b));
        assert_eq!(records_of_epochs(&mut lab, at), [3]);
    }
    // What it says now is not listened to.
    let word = lab.command(1, |node, _| {
        let epoch = Epoch { number: 9, commitment: Commitment([1; 32]), nodes: vec![], revocations: 0 };
        let content = Content::Epoch { epoch, by: Box::new(node.members.own().clone()) };
        content.sign(9, UNIX_S, &node.identity.signing, None).unwrap().bytes().to_vec()
    });
    hear(&mut lab, 2, &word);
    assert_eq!(records_of_epochs(&mut lab, 2), [3]);
}

#[test]
fn a_secret_that_nobody_has_is_replaced() {
    let mut lab = Lab::with_two_admins();
    let nobodys = Commitment::of(&lab.view(0).own.network, &NetworkSecret::new(2, [7; 32]));
    let record = founders_word(&mut lab, 2, nobodys);
    for at in 0..3 {
        hear(&mut lab, at, &record);
    }
    lab.run(6 * SECOND);
    assert_eq!(epoch(&lab, 2), 1);
    assert!(lab.view(2).problems.iter().any(|problem| problem.contains("epoch 2")));
    lab.run(SECRET_LOST_AFTER + 10 * SECOND);
    for at in 0..3 {
        assert_eq!(epoch(&lab, at), 3, "{at}");
        assert_eq!(secret(&mut lab, at), secret(&mut lab, 0));
    }
    assert!(lab.view(2).problems.is_empty());
}

#[test]
fn a_newcomer_gets_the_latest_secret_and_talks_to_all() {
    let mut lab = Lab::with(&["b"]);
    roll(&mut lab, "x");
    cut_off(&mut lab, 1);
    roll(&mut lab, "y");
    let n = lab.enrol("n");
    heal(&mut lab);
    lab.run(40 * SECOND);
    assert_eq!((epoch(&lab, n), epoch(&lab, 1)), (3, 3));
    assert!(lab.connected(n, 1) && lab.connected(n, 0));
}

#[test]
fn an_anchor_is_found_in_the_dht_by_who_was_away() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.machines[2].is_up = false;
    (0..3).for_each(|n| roll(&mut lab, &format!("x{n}")));
    // Nobody is where it was, and only the anchor can be dialled.
    lab.carry(0, 70);
    lab.carry(1, 71);
    lab.carry(2, 72);
    lab.run(10 * SECOND);
    for (is_anchor, rounds) in [(false, 40), (true, 200)] {
        lab.command(0, |node, _| node.reach.is_anchor = is_anchor);
        lab.restart(2);
        enter_dht(&mut lab);
        let mut store = Store::default();
        for _ in 0..rounds {
            if lab.connected(2, 0) {
                break;
            }
            lab.command(0, |node, _| node.reach.is_anchor = is_anchor);
            store.run(&mut lab, 8);
        }
        assert_eq!(lab.connected(2, 0), is_anchor);
    }
    assert_eq!(epoch(&lab, 2), 4);
    lab.run(20 * SECOND);
    assert!(lab.connected(2, 1), "and by it the others");
}

#[test]
fn an_admin_whom_another_calls_revoked_gets_the_secret_all_the_same() {
    let mut lab = Lab::with_two_admins();
    let founder = lab.id(0);
    // Without the root's word it counts for nothing.
    let word = lab.command(1, |node, _| {
        let content =
            Content::Revocation { node: founder, by: Box::new(node.members.own().clone()), by_root: false };
        content.sign(1 << 40, UNIX_S, &node.identity.signing, None).unwrap().bytes().to_vec()
    });
    for at in 0..3 {
        hear(&mut lab, at, &word);
    }
    lab.run(30 * SECOND);
    assert_eq!(epoch(&lab, 0), epoch(&lab, 2));
    assert_eq!(secret(&mut lab, 0), secret(&mut lab, 1));
    let named = lab.command(2, |node, _| -> Vec<usize> {
        let contents = node.registry.of_kind(Kind::Epoch).map(|record| record.content(&node.members.id()));
        let count = |content| match content {
            Ok(Content::Epoch { epoch, .. }) => epoch.nodes.len(),
            other => panic!("{other:?}"),
        };
        contents.map(count).collect()
    });
    assert_eq!(named, [0]);
    assert!(lab.connected(0, 1) && lab.connected(0, 2));
}

#[test]
fn a_peer_that_is_off_is_asked_under_few_secrets_at_a_time() {
    let mut lab = Lab::with(&["b"]);
    lab.machines[1].is_up = false;
    (0..4).for_each(|n| roll(&mut lab, &format!("x{n}")));
    lab.run(60 * SECOND);
    lab.sent.clear();
    lab.run(120 * SECOND);
    let to = lab.machines[1].remote;
    let is_initiation = |flight: &&Flight| {
        flight.to == to && matches!(Datagram::parse(&flight.bytes), Some(Datagram::Initiation(_)))
    };
    let count = lab.sent.iter().filter(is_initiation).count();
    // Every 30 s to 37.5 s: under the latest, under the one that it has shown last, and perhaps under one more.
    assert!((4..=15).contains(&count), "{count}");
}
