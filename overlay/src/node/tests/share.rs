//! More services than a node holds: each holds a part, and asks others for the rest.

use super::lab::Lab;
use crate::{HealthCheck, Publication, Sharing, Standing, Zone};
use std::sync::Arc;
use std::time::Duration;
use wire::service::Protocol;
use wire::{Kind, Name};

const SECOND: Duration = Duration::from_secs(1);
/// Machines of a lab.
const MACHINES: usize = 12;
/// Services that each publishes under a name of its own.
const EACH: usize = 6;
/// Services and claims that a machine holds of the 144 that there are.
const MAX: usize = 100;

fn name(machine: usize, n: usize) -> Name {
    format!("service-{machine}-{n}").parse().unwrap()
}

fn service(name: Name, port: u16) -> Publication {
    Publication {
        name,
        version: None,
        protocol: Protocol::Tcp,
        port,
        labels: [].into(),
        ttl_s: 3600,
        sharing: Sharing::Owner,
        health: HealthCheck::None,
        target: None,
    }
}

/// Machines without services.
fn machines() -> Lab {
    let mut lab = Lab::new();
    lab.full_replication_max = MAX;
    lab.machines[0].full_replication_max = MAX;
    lab.restart(0);
    for n in 1..MACHINES {
        lab.enrol(&format!("m{n}"));
    }
    lab.run(15 * SECOND);
    lab
}

/// Machines that publish more than each of them holds.
fn crowded() -> Lab {
    let mut lab = machines();
    for at in 0..MACHINES {
        publish_all(&mut lab, at);
    }
    lab.run(20 * SECOND);
    lab
}

fn publish_all(lab: &mut Lab, at: usize) {
    for n in 0..EACH {
        lab.command(at, |node, now| node.publish(service(name(at, n), 80), now)).unwrap();
        lab.run(SECOND / 20);
    }
}

/// What a machine finds out of a name.
fn find(lab: &mut Lab, at: usize, name: &Name) -> Option<Arc<Zone>> {
    assert!(lab.command(at, |node, now| node.find(name, now)));
    for _ in 0..25 {
        if let Some(place) = lab.machines[at].found.iter().position(|(found, _)| found == name) {
            return lab.machines[at].found.swap_remove(place).1;
        }
        lab.run(SECOND / 10);
    }
    panic!("{at} is told nothing of {name} within 2.5 s");
}

/// Whether a machine finds a name of another, with its instance.
fn finds(lab: &mut Lab, at: usize, of: usize, n: usize) -> bool {
    let zone = find(lab, at, &name(of, n));
    let service = zone.as_ref().and_then(|zone| zone.services.get(&name(of, n)));
    service.is_some_and(|service| {
        service.owner == lab.id(of) && service.instances.iter().map(|i| i.node).eq([lab.id(of)])
    })
}

#[test]
fn nobody_holds_more_than_it_is_to_and_everybody_finds_everything() {
    let mut lab = crowded();
    for at in 0..MACHINES {
        let held = lab.machines[at].node.held();
        assert!(held.shared_out <= MAX && held.parts >= 2 && held.is_complete, "{held:?}");
        let zone = lab.machines[at].node.zone();
        assert!(zone.services.len() < MACHINES * EACH && zone.knows(&name(at, 0)));
        assert!((0..EACH).all(|n| zone.services.contains_key(&name(at, n))), "its own are there: {at}");
    }
    for at in 0..MACHINES {
        for of in 0..MACHINES {
            assert!((0..EACH).all(|n| finds(&mut lab, at, of, n)), "{at} {of}");
        }
    }
    let nothing = find(&mut lab, 3, &"nobody".parse().unwrap()).expect("somebody has answered");
    assert!(nothing.services.is_empty());
}

#[test]
fn what_was_asked_for_is_kept_for_a_while_and_true_meanwhile() {
    let mut lab = crowded();
    let other = (1..MACHINES).find(|of| !lab.machines[0].node.zone().knows(&name(*of, 0))).unwrap();
    assert!(finds(&mut lab, 0, other, 0));
    let shows = |lab: &Lab| lab.machines[0].node.zone().services.contains_key(&name(other, 0));
    lab.run(SECOND);
    assert!(shows(&lab));
    lab.command(other, |node, now| node.unpublish(&name(other, 0), None, now)).unwrap();
    lab.run(SECOND);
    assert!(!shows(&lab), "news of it is heard");
    assert!(find(&mut lab, 0, &name(other, 0)).unwrap().services.is_empty());
    lab.command(other, |node, now| node.publish(service(name(other, 0), 81), now)).unwrap();
    lab.run(SECOND);
    assert!(shows(&lab), "also of its coming back");
    lab.run(40 * SECOND);
    assert!(!shows(&lab), "it is kept no longer than it is asked for");
    assert!(finds(&mut lab, 0, other, 0));
}

#[test]
fn a_name_in_the_part_of_others_is_not_claimed_by_two() {
    let mut lab = crowded();
    let taken = name(5, 0);
    let other = (0..MACHINES).find(|at| !lab.machines[*at].node.zone().knows(&taken)).unwrap();
    // It does not know, and is not told no; but it asks before it claims.
    lab.command(other, |node, now| node.publish(service(taken.clone(), 9), now)).unwrap();
    lab.run(5 * SECOND);
    assert_eq!(lab.machines[other].node.standing(&taken), Standing::Taken(lab.id(5)));
    let claims = |lab: &Lab, at: usize| {
        let registry = &lab.machines[at].node.registry;
        registry.of_kind(Kind::Claim).filter(|record| record.body().name == taken.as_str()).count()
    };
    assert!((0..MACHINES).all(|at| claims(&lab, at) <= 1));
    let free: Name = "free".parse().unwrap();
    let third = (0..MACHINES).find(|at| !lab.machines[*at].node.zone().knows(&free)).unwrap();
    lab.command(third, |node, now| node.publish(service(free.clone(), 9), now)).unwrap();
    lab.run(3 * SECOND);
    assert_eq!(lab.machines[third].node.standing(&free), Standing::Held);
    for at in 0..MACHINES {
        assert!(find(&mut lab, at, &free).unwrap().services.contains_key(&free), "{at}");
    }
}

#[test]
fn who_starts_anew_takes_the_part_of_its_like_and_learns_it() {
    let mut lab = crowded();
    for at in [1, 4, 7] {
        lab.restart(at);
        lab.run(20 * SECOND);
        let held = lab.machines[at].node.held();
        assert!(held.shared_out <= MAX && held.parts >= 2, "{held:?}");
        for of in 0..MACHINES {
            assert!((0..EACH).all(|n| finds(&mut lab, at, of, n)), "{at} {of}");
            assert!((0..EACH).all(|n| finds(&mut lab, of, at, n)), "{of} {at}");
        }
    }
}

#[test]
fn where_all_that_hold_a_part_start_anew_it_is_known_again() {
    let mut lab = crowded();
    let part = lab.machines[0].node.registry.part();
    let (like, unlike): (Vec<usize>, Vec<usize>) =
        (0..MACHINES).partition(|at| part.covers(lab.machines[*at].node.registry.position()));
    assert!(!unlike.is_empty(), "others hold the rest, and stay");
    like.iter().for_each(|at| lab.machines[*at].is_up = false);
    lab.run(30 * SECOND);
    like.iter().for_each(|at| lab.restart(*at));
    lab.run(30 * SECOND);
    for of in like {
        assert!((0..EACH).all(|n| finds(&mut lab, unlike[0], of, n)), "{of}");
    }
}

#[test]
fn records_are_compared_to_an_end() {
    let mut lab = crowded();
    lab.run(60 * SECOND);
    let tally = |lab: &Lab| -> u64 {
        let kinds = ["have", "digests", "want", "record"];
        let sent = lab.machines.iter().flat_map(|machine| machine.node.sent().iter());
        sent.filter(|(kind, _)| kinds.contains(kind)).map(|(_, tally)| tally.datagrams).sum()
    };
    let before = tally(&lab);
    lab.run(300 * SECOND);
    assert_eq!(tally(&lab), before, "everybody has what it should, and nothing is published");
}

#[test]
fn with_room_again_everything_is_held_again_and_nothing_old_comes_back() {
    let mut lab = crowded();
    for at in 0..MACHINES {
        for n in 1..EACH {
            lab.command(at, |node, now| node.unpublish(&name(at, n), None, now)).unwrap();
        }
    }
    // Tombstones live an hour, and are remembered for another.
    lab.run(3 * 3600 * SECOND);
    for at in 0..MACHINES {
        let (held, zone) = (lab.machines[at].node.held(), lab.machines[at].node.zone());
        assert_eq!((held.parts, held.is_complete, zone.services.len()), (1, true, MACHINES), "{at} {held:?}");
        assert!((0..MACHINES).all(|of| zone.services.contains_key(&name(of, 0))), "{at}");
    }
}

#[test]
fn whoever_asks_too_much_is_not_answered() {
    let mut lab = crowded();
    let (at, other) = (1, lab.id(2));
    for nonce in 0..2000 {
        let name = name(3, usize::from(nonce) % EACH);
        lab.command(at, |node, _| node.send(&other, &wire::control::Message::Find { nonce, name }, None));
    }
    let answers = |lab: &Lab| {
        let sent = lab.machines[2].node.sent().iter().find(|(kind, _)| *kind == "found");
        sent.map_or(0, |(_, tally)| tally.datagrams)
    };
    let before = answers(&lab);
    lab.run(SECOND / 2);
    assert!(answers(&lab) - before <= u64::from(crate::limits::TOLD_PER_SECOND));
}
