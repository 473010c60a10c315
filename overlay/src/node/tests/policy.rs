//! Policies: who may sign them, which one counts, and how they are kept.

use super::lab::Lab;
use crate::CommandError;
use std::time::Duration;
use wire::Kind;
use wire::record::Policy;

const SECOND: Duration = Duration::from_secs(1);

fn policy(name: &str, document: &str) -> Policy {
    Policy {
        name: name.parse().unwrap(),
        media_type: "application/rego".to_owned(),
        document: document.as_bytes().to_vec(),
    }
}

fn publish(lab: &mut Lab, at: usize, policy: Policy) -> Result<(), CommandError> {
    let outcome = lab.command(at, |node, now| node.publish_policy(policy, now));
    lab.run(2 * SECOND);
    outcome
}

fn document(lab: &mut Lab, at: usize, name: &str) -> Option<String> {
    let policies = lab.command(at, |node, _| node.policies());
    policies.get(&name.parse().unwrap()).map(|policy| String::from_utf8(policy.document.clone()).unwrap())
}

#[test]
fn what_an_admin_signs_is_held_by_all_and_after_a_restart() {
    let mut lab = Lab::with_two_admins();
    publish(&mut lab, 0, policy("access", "package access")).unwrap();
    for at in 0..3 {
        assert_eq!(document(&mut lab, at, "access").as_deref(), Some("package access"), "{at}");
    }
    lab.machines[0].is_up = false;
    lab.machines[1].is_up = false;
    lab.restart(2);
    assert_eq!(document(&mut lab, 2, "access").as_deref(), Some("package access"));
}

#[test]
fn the_latest_counts_whichever_admin_has_signed_it() {
    let mut lab = Lab::with_two_admins();
    for (at, text) in [(0, "one"), (1, "two"), (0, "three"), (1, "four")] {
        publish(&mut lab, at, policy("access", text)).unwrap();
        for other in 0..3 {
            assert_eq!(document(&mut lab, other, "access").as_deref(), Some(text), "{other}");
        }
    }
    publish(&mut lab, 0, policy("access", "")).unwrap();
    assert_eq!(document(&mut lab, 2, "access"), None, "withdrawn");
    publish(&mut lab, 1, policy("access", "five")).unwrap();
    assert_eq!(document(&mut lab, 2, "access").as_deref(), Some("five"));
}

#[test]
fn of_two_that_were_signed_apart_all_have_the_same() {
    let mut lab = Lab::with_two_admins();
    let alone = lab.machines[1].remote;
    lab.lose = Box::new(move |flight| flight.from == alone || flight.to == alone);
    publish(&mut lab, 0, policy("access", "one")).unwrap();
    publish(&mut lab, 1, policy("access", "two")).unwrap();
    lab.lose = Box::new(|_| false);
    lab.run(60 * SECOND);
    let all: Vec<_> = (0..3).map(|at| document(&mut lab, at, "access")).collect();
    assert!(all[0].is_some() && all.iter().all(|text| *text == all[0]), "{all:?}");
}

#[test]
fn members_sign_none_and_those_of_a_revoked_admin_are_forgotten() {
    let mut lab = Lab::with_two_admins();
    assert_eq!(publish(&mut lab, 2, policy("access", "mine")), Err(CommandError::NotAdmin));
    publish(&mut lab, 0, policy("access", "one")).unwrap();
    publish(&mut lab, 1, policy("access", "two")).unwrap();
    publish(&mut lab, 1, policy("other", "three")).unwrap();
    lab.command(0, |node, now| node.revoke("b", now)).unwrap();
    lab.run(2 * SECOND);
    for at in [0, 2] {
        assert_eq!(document(&mut lab, at, "access").as_deref(), Some("one"), "{at}");
        assert_eq!(document(&mut lab, at, "other"), None);
        assert_eq!(lab.command(at, |node, _| node.registry.of_kind(Kind::Policy).count()), 1);
    }
    // And stay forgotten after a restart.
    lab.restart(2);
    assert_eq!(document(&mut lab, 2, "other"), None);
}

#[test]
fn what_finds_no_room_is_refused_and_changes_nothing() {
    let mut lab = Lab::new();
    let refused = [
        Policy { media_type: "rego".to_owned(), ..policy("access", "one") },
        policy("access", &"x".repeat(2000)),
    ];
    for policy in refused {
        assert_eq!(publish(&mut lab, 0, policy), Err(CommandError::Policy));
    }
    for n in 0..registry::limits::OWNER_POLICIES_MAX {
        publish(&mut lab, 0, policy(&format!("p{n}"), "one")).unwrap();
    }
    assert_eq!(publish(&mut lab, 0, policy("one-more", "one")), Err(CommandError::Policy));
    publish(&mut lab, 0, policy("p3", "two")).unwrap();
    assert_eq!(document(&mut lab, 0, "p3").as_deref(), Some("two"));
    assert_eq!(document(&mut lab, 0, "access"), None);
}
