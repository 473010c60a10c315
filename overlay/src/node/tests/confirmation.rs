//! Confirmations: no older member takes a name over, whoever is away, and names come free all the same.

use super::lab::Lab;
use super::service::{name, publish, seen, web};
use crate::state::StateFile;
use crate::{DropReason, Publication, Sharing};
use registry::claim::Title;
use registry::limits::{CONFIRMATIONS_PER_CLAIMANT, OWNER_CLAIMS_MAX};
use std::collections::BTreeMap;
use std::time::Duration;
use wire::record::{Content, TTL_S_MAX, key_of_claim, key_of_confirmation};
use wire::{Kind, Name, NodeId};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The founder `a`, and `b`, which is older than `c`.
fn lab() -> Lab {
    Lab::with(&["b", "c"])
}

/// Adds an admin; its position.
fn add_admin(lab: &mut Lab, called: &str) -> usize {
    let at = lab.enrol_admin(called);
    lab.run(3 * SECOND);
    at
}

/// Claims `web` as no honest node does: though another holds it.
fn claim_anyway(lab: &mut Lab, at: usize) {
    let node = lab.id(at);
    let content = Content::Claim { node, name: name("web"), sharing: Sharing::Owner };
    let key = key_of_claim(node, &name("web"));
    lab.command(at, |node, now| node.publish_lease(&content, &key, (TTL_S_MAX, BTreeMap::new()), now));
}

fn unpublish(lab: &mut Lab, at: usize) {
    lab.command(at, |node, now| node.unpublish(&name("web"), None, now)).unwrap();
}

/// Who holds `web`, and why, as a machine sees it.
fn held(lab: &Lab, at: usize) -> Option<(NodeId, Title)> {
    lab.machines[at].node.zone().services.get(&name("web")).map(|service| (service.owner, service.title))
}

/// Whether all that are up see this holder.
fn all_see(lab: &Lab, holder: usize, title: Title) -> bool {
    let up = (0..lab.machines.len()).filter(|at| lab.machines[*at].is_up);
    up.into_iter().all(|at| held(lab, at) == Some((lab.id(holder), title)))
}

/// Confirmations that a machine has: who says them, of which name, and whose claim they confirm; without tombstones.
fn confirmations(lab: &Lab, at: usize) -> Vec<(NodeId, Name, NodeId)> {
    let node = &lab.machines[at].node;
    let said = |record: &wire::Record| match record.content(&node.members.id()) {
        Ok(Content::Confirmation { by, node, name }) => Some((by, name, node)),
        _ => None,
    };
    node.registry.of_kind(Kind::Confirmation).filter_map(said).collect()
}

#[test]
fn an_older_member_does_not_take_a_confirmed_name() {
    let mut lab = lab();
    publish(&mut lab, 2, web()).unwrap();
    lab.run(SECOND);
    assert!(all_see(&lab, 2, Title::Claimed));
    lab.run(5 * SECOND);
    assert!(all_see(&lab, 2, Title::Confirmed));
    claim_anyway(&mut lab, 1);
    for _ in 0..30 {
        lab.run(SECOND);
        assert!(all_see(&lab, 2, Title::Confirmed), "not for a moment");
    }
    let c = lab.id(2);
    assert!((0..3).all(|at| seen(&lab, at) == Some((c, vec![c]))));
}

#[test]
fn without_an_admin_the_older_member_holds_the_name_and_is_confirmed_when_one_comes() {
    let mut lab = lab();
    lab.machines[0].is_up = false;
    publish(&mut lab, 2, web()).unwrap();
    lab.run(10 * SECOND);
    assert!(all_see(&lab, 2, Title::Claimed));
    claim_anyway(&mut lab, 1);
    lab.run(2 * SECOND);
    assert!(all_see(&lab, 1, Title::Claimed));
    lab.restart(0);
    lab.run(60 * SECOND);
    assert!(all_see(&lab, 1, Title::Confirmed));
}

#[test]
fn a_confirmation_outlives_its_admins_absence_and_everybodys_restart() {
    let mut lab = lab();
    publish(&mut lab, 2, web()).unwrap();
    lab.run(20 * SECOND);
    lab.machines[0].is_up = false;
    lab.run(3 * HOUR);
    claim_anyway(&mut lab, 1);
    lab.run(2 * SECOND);
    assert!(all_see(&lab, 2, Title::Confirmed), "longer away than any lease lives");
    lab.run(60 * SECOND);
    lab.restart(0);
    lab.run(60 * SECOND);
    assert!(all_see(&lab, 2, Title::Confirmed), "it is back");
    (1..3).for_each(|at| lab.restart(at));
    lab.run(60 * SECOND);
    assert!(all_see(&lab, 2, Title::Confirmed));
    let (a, c) = (lab.id(0), lab.id(2));
    assert!((0..3).all(|at| confirmations(&lab, at) == [(a, name("web"), c)]));
    lab.run(40 * SECOND);
    (0..3).for_each(|at| lab.machines[at].is_up = false);
    lab.run(60 * SECOND);
    (1..3).for_each(|at| lab.restart(at));
    lab.run(20 * SECOND);
    assert!(all_see(&lab, 2, Title::Confirmed), "and all have written it");
}

#[test]
fn an_admin_writes_what_it_says() {
    let mut lab = lab();
    publish(&mut lab, 2, web()).unwrap();
    lab.run(6 * SECOND);
    lab.lose = Box::new(|_| true);
    lab.restart(0);
    assert_eq!(confirmations(&lab, 0), [(lab.id(0), name("web"), lab.id(2))]);
}

#[test]
fn a_withdrawn_name_is_free_at_once_and_confirmed_for_the_next() {
    let mut lab = lab();
    publish(&mut lab, 2, web()).unwrap();
    lab.run(6 * SECOND);
    assert!(all_see(&lab, 2, Title::Confirmed));
    unpublish(&mut lab, 2);
    lab.run(SECOND / 2);
    assert!((0..3).all(|at| held(&lab, at).is_none()));
    publish(&mut lab, 1, web()).unwrap();
    lab.run(6 * SECOND);
    assert!(all_see(&lab, 1, Title::Confirmed));
    claim_anyway(&mut lab, 2);
    lab.run(6 * SECOND);
    assert!(all_see(&lab, 1, Title::Confirmed), "who had it once has no more of a right");
    let (a, b) = (lab.id(0), lab.id(1));
    assert!((0..3).all(|at| confirmations(&lab, at) == [(a, name("web"), b)]), "one word at a time");
}

#[test]
fn nothing_is_left_of_a_name_that_nobody_wants() {
    let mut lab = lab();
    publish(&mut lab, 2, web()).unwrap();
    lab.run(6 * SECOND);
    unpublish(&mut lab, 2);
    lab.run(3 * SECOND);
    assert!((0..3).all(|at| confirmations(&lab, at).is_empty()));
    publish(&mut lab, 2, web()).unwrap();
    lab.run(6 * SECOND);
    lab.machines[2].is_up = false;
    lab.run(HOUR + 30 * SECOND);
    assert!((0..2).all(|at| held(&lab, at).is_none()));
    lab.run(90 * SECOND);
    assert!((0..2).all(|at| confirmations(&lab, at).is_empty()), "the crashed owner's lease has ended");
}

#[test]
fn the_second_admin_confirms_while_the_first_is_away_and_one_word_is_enough() {
    let mut lab = lab();
    let d = add_admin(&mut lab, "d");
    publish(&mut lab, 2, web()).unwrap();
    lab.run(20 * SECOND);
    let (a, c, d_id) = (lab.id(0), lab.id(2), lab.id(d));
    assert_eq!(confirmations(&lab, 2), [(a, name("web"), c)], "the other has seen that it is done");
    lab.machines[0].is_up = false;
    let db = Publication { name: name("db"), ..web() };
    publish(&mut lab, 2, db).unwrap();
    lab.run(20 * SECOND);
    lab.restart(0);
    lab.run(20 * SECOND);
    let mut both = [(a, name("web"), c), (d_id, name("db"), c)];
    both.sort();
    for at in 0..4 {
        let mut all = confirmations(&lab, at);
        all.sort();
        assert_eq!(all, both, "{at}");
    }
}

#[test]
fn of_two_that_admins_have_confirmed_apart_the_older_admins_holds_the_name() {
    let mut lab = lab();
    let d = add_admin(&mut lab, "d");
    let side = [lab.machines[0].remote, lab.machines[2].remote];
    lab.lose = Box::new(move |flight| side.contains(&flight.from) != side.contains(&flight.to));
    publish(&mut lab, 2, web()).unwrap();
    publish(&mut lab, 1, web()).unwrap();
    lab.run(20 * SECOND);
    assert_eq!(held(&lab, 0), Some((lab.id(2), Title::Confirmed)));
    assert_eq!(held(&lab, d), Some((lab.id(1), Title::Confirmed)));
    lab.lose = Box::new(|_| false);
    lab.run(90 * SECOND);
    assert!(all_see(&lab, 2, Title::Confirmed), "the founder's, though the other member is older");
    unpublish(&mut lab, 2);
    lab.run(10 * SECOND);
    assert!(all_see(&lab, 1, Title::Confirmed));
}

#[test]
fn who_claims_all_it_may_leaves_room_for_others() {
    let mut lab = lab();
    for n in 0..OWNER_CLAIMS_MAX {
        let service = Publication { name: name(&format!("a{n}")), ..web() };
        lab.command(1, |node, now| node.publish(service, now)).unwrap();
    }
    lab.run(30 * SECOND);
    publish(&mut lab, 2, web()).unwrap();
    lab.run(10 * SECOND);
    assert!(all_see(&lab, 2, Title::Confirmed));
    let of = |node| confirmations(&lab, 0).iter().filter(|(.., of)| *of == node).count();
    assert_eq!((of(lab.id(1)), of(lab.id(2))), (CONFIRMATIONS_PER_CLAIMANT, 1));
}

#[test]
fn names_that_are_delegated_or_a_nodes_are_not_confirmed() {
    let mut lab = lab();
    lab.command(0, |node, now| node.delegate("b", vec![name("web")], now)).unwrap();
    lab.run(2 * SECOND);
    publish(&mut lab, 2, web()).unwrap();
    lab.run(20 * SECOND);
    assert!(all_see(&lab, 2, Title::Claimed), "another may come for it");
    publish(&mut lab, 1, web()).unwrap();
    lab.run(20 * SECOND);
    assert!(all_see(&lab, 1, Title::Delegated));
    assert!((0..3).all(|at| confirmations(&lab, at).is_empty()));
}

#[test]
fn an_admin_that_has_met_nobody_confirms_nothing() {
    let mut lab = lab();
    publish(&mut lab, 2, web()).unwrap();
    lab.run(SECOND);
    lab.machines[0].files.remove(&StateFile::Leases);
    lab.lose = Box::new(|_| true);
    lab.restart(0);
    lab.command(0, |node, now| node.publish_configured(web(), now)).unwrap();
    lab.run(900 * SECOND);
    assert_eq!(held(&lab, 0), Some((lab.id(0), Title::Claimed)), "it knows of no other");
    lab.lose = Box::new(|_| false);
    lab.run(60 * SECOND);
    assert_eq!(confirmations(&lab, 2).len(), 1);
    // The founder is the oldest of all, and nobody had confirmed the other: that is the rule without admins.
    assert!(all_see(&lab, 0, Title::Confirmed));
}

#[test]
fn only_admins_confirm() {
    let mut lab = lab();
    publish(&mut lab, 2, web()).unwrap();
    lab.run(6 * SECOND);
    claim_anyway(&mut lab, 1);
    let b = lab.id(1);
    let content = Content::Confirmation { by: b, node: b, name: name("web") };
    let lease = wire::record::Lease { sequence: 1, not_before_s: 1, ttl_s: 0, labels: BTreeMap::new() };
    let record = content.sign_lease(lease, &lab.machines[1].identity().signing).unwrap();
    let before = lab.drops(0, DropReason::Record);
    lab.command(0, |node, now| node.consume_record((record.bytes(), None), Some(b), now));
    assert_eq!(lab.drops(0, DropReason::Record), before + 1);
    assert!(all_see(&lab, 2, Title::Confirmed));
}

#[test]
fn an_old_confirmation_brings_no_name_back() {
    let mut lab = lab();
    let d = add_admin(&mut lab, "d");
    publish(&mut lab, 1, web()).unwrap();
    lab.run(10 * SECOND);
    let key = key_of_confirmation(lab.id(0), &name("web"));
    let old = lab.machines[0].node.registry.get(&key).unwrap().clone();
    unpublish(&mut lab, 1);
    // Until nobody remembers its tombstone.
    lab.run(2 * HOUR + 60 * SECOND);
    assert!((0..4).all(|at| lab.machines[at].node.registry.next_sequence(&key) == 1));
    lab.machines[0].is_up = false;
    publish(&mut lab, 2, web()).unwrap();
    lab.run(30 * SECOND);
    assert_eq!(held(&lab, d), Some((lab.id(2), Title::Confirmed)), "by the second admin");
    claim_anyway(&mut lab, 1);
    let b = lab.id(1);
    lab.command(d, |node, now| node.consume_record((old.bytes(), None), Some(b), now));
    lab.restart(0);
    lab.run(60 * SECOND);
    assert!(all_see(&lab, 2, Title::Confirmed), "the first is back and takes its old word back");
    let now = lab.now;
    let next = lab.machines[0].node.next_sequence(&key, now);
    assert!(next > old.body().sequence, "and what it says next counts for more");
}

#[test]
fn an_admin_that_was_away_takes_no_name_for_free() {
    let mut lab = lab();
    publish(&mut lab, 2, web()).unwrap();
    lab.run(10 * SECOND);
    // The admin starts again, cut off from the owner, and meets only the one that wants the name.
    lab.machines[0].is_up = false;
    let c = lab.machines[2].remote;
    lab.lose = Box::new(move |flight| flight.from == c || flight.to == c);
    lab.run(2 * HOUR);
    publish(&mut lab, 1, web()).unwrap();
    lab.restart(0);
    lab.run(300 * SECOND);
    assert!(lab.connected(0, 1));
    assert_eq!(held(&lab, 0), Some((lab.id(1), Title::Claimed)));
    lab.lose = Box::new(|_| false);
    lab.run(60 * SECOND);
    assert!(all_see(&lab, 2, Title::Confirmed));
}
