//! Services: published, claimed, renewed, withdrawn, and seen by others.

use super::lab::{Lab, any_member};
use crate::state::StateFile;
use crate::{Event, HealthCheck, InviteRequest, Publication, PublishError, Sharing, Standing};
use std::time::Duration;
use wire::record::{LabelError, key_of_service};
use wire::service::Protocol;
use wire::{Name, NodeId};

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(super) fn web() -> Publication {
    Publication {
        name: name("web"),
        version: None,
        protocol: Protocol::Tcp,
        port: 80,
        labels: [("tier".to_owned(), "a".to_owned())].into(),
        ttl_s: 60,
        sharing: Sharing::Owner,
        health: HealthCheck::None,
        target: None,
    }
}

fn shared() -> Publication {
    Publication { sharing: Sharing::Members, ..web() }
}

pub(super) fn publish(lab: &mut Lab, at: usize, publication: Publication) -> Result<(), PublishError> {
    lab.command(at, |node, now| node.publish(publication, now))
}

/// Who holds the name `web` as a machine sees it, and whose instances count there, the first one first.
pub(super) fn seen(lab: &Lab, at: usize) -> Option<(NodeId, Vec<NodeId>)> {
    let zone = lab.machines[at].node.zone();
    let service = zone.services.get(&name("web"))?;
    Some((service.owner, service.instances.iter().map(|instance| instance.node).collect()))
}

#[test]
fn a_publication_is_seen_by_everybody_and_withdrawn_it_is_gone() {
    let mut lab = Lab::with(&["b", "c"]);
    publish(&mut lab, 1, web()).unwrap();
    lab.run(SECOND);
    let b = lab.id(1);
    for at in 0..3 {
        assert_eq!(seen(&lab, at), Some((b, vec![b])), "{at}");
        let zone = lab.machines[at].node.zone();
        let instance = &zone.services[&name("web")].instances[0];
        assert_eq!((instance.port, instance.is_healthy, instance.ttl_s), (80, true, 5));
        assert_eq!((instance.node_name.as_str(), &instance.labels), ("b", &web().labels));
        assert_eq!(zone.nodes.len(), 3);
    }
    lab.command(1, |node, now| node.unpublish(&name("web"), None, now)).unwrap();
    lab.run(SECOND);
    assert!((0..3).all(|at| seen(&lab, at).is_none()), "the name is free again");
    publish(&mut lab, 2, web()).unwrap();
    lab.run(SECOND);
    assert_eq!(seen(&lab, 0), Some((lab.id(2), vec![lab.id(2)])));
    let again = lab.command(1, |node, now| node.unpublish(&name("web"), None, now));
    assert_eq!(again, Err(PublishError::NotPublished("web".to_owned())));
}

#[test]
fn what_is_not_well_is_told_at_once_and_comes_last() {
    let mut lab = Lab::with(&["b"]);
    publish(&mut lab, 0, shared()).unwrap();
    lab.run(SECOND);
    publish(&mut lab, 1, shared()).unwrap();
    lab.run(SECOND);
    let (a, b) = (lab.id(0), lab.id(1));
    assert_eq!(seen(&lab, 0), Some((a, vec![a, b])), "the own instance is nearest");
    lab.command(0, |node, now| node.handle_health(&name("web"), None, false, now));
    lab.run(SECOND / 4);
    for at in 0..2 {
        assert_eq!(seen(&lab, at), Some((a, vec![b, a])), "{at}");
        let zone = lab.machines[at].node.zone();
        assert_eq!(zone.services[&name("web")].healthy().map(|i| i.node).collect::<Vec<_>>(), [b]);
    }
}

#[test]
fn a_name_that_somebody_holds_is_refused_with_a_word_on_whose_it_is() {
    let mut lab = Lab::with(&["b", "c"]);
    publish(&mut lab, 1, web()).unwrap();
    lab.run(SECOND);
    let taken = PublishError::Taken { name: name("web"), holder: name("b") };
    assert_eq!(publish(&mut lab, 2, web()), Err(taken.clone()));
    assert!(taken.to_string().contains("belongs to b"));
    assert_eq!(lab.machines[2].node.publications().count(), 0);
    let c = lab.id(2);
    publish(&mut lab, 1, Publication { sharing: Sharing::Nodes(vec![c]), ..web() }).unwrap();
    lab.run(SECOND);
    assert_eq!(publish(&mut lab, 0, web()), Err(taken));
    assert_eq!(publish(&mut lab, 2, web()), Ok(()), "it is shared with this one");
    lab.run(SECOND);
    assert_eq!(lab.machines[2].node.standing(&name("web")), Standing::Shared(lab.id(1)));
    let (owner, instances) = seen(&lab, 0).unwrap();
    assert_eq!((owner, instances.len()), (lab.id(1), 2));
}

#[test]
fn what_cannot_be_published_is_refused() {
    let mut lab = Lab::with(&["b"]);
    let mut ask = |publication| publish(&mut lab, 0, publication).unwrap_err();
    assert_eq!(ask(Publication { name: name("b"), ..web() }), PublishError::NodeName(name("b")));
    assert_eq!(ask(Publication { port: 0, ..web() }), PublishError::Port);
    assert_eq!(ask(Publication { ttl_s: 4, ..web() }), PublishError::Ttl);
    assert_eq!(ask(Publication { ttl_s: 3601, ..web() }), PublishError::Ttl);
    let label = |value: &str| [("k".to_owned(), value.to_owned())].into();
    let escape = ask(Publication { labels: label("\u{1b}[0m"), ..web() });
    assert_eq!(escape, PublishError::Label(LabelError::Value("k".to_owned())));
    let many = Sharing::Nodes(vec![NodeId([0; 32]); 25]);
    assert_eq!(ask(Publication { sharing: many, ..web() }), PublishError::TooManyShared);
    let long = (0..10).map(|n| (n.to_string(), "x".repeat(150))).collect();
    assert_eq!(ask(Publication { labels: long, ..web() }), PublishError::TooLong);
    for n in 0..registry::limits::OWNER_SERVICES_MAX {
        let service = Publication { name: name(&format!("s{n}")), ..web() };
        lab.command(0, |node, now| node.publish(service, now)).unwrap();
    }
    assert_eq!(publish(&mut lab, 0, web()), Err(PublishError::TooMany));
    lab.command(0, |node, now| node.unpublish(&name("s0"), None, now)).unwrap();
    assert_eq!(publish(&mut lab, 0, web()), Err(PublishError::TooMany), "its tombstone takes the place");
    assert_eq!(publish(&mut lab, 0, Publication { name: name("s0"), ..web() }), Ok(()));
}

#[test]
fn delegation_takes_a_name_and_its_loser_waits_for_it() {
    let mut lab = Lab::with(&["b"]);
    publish(&mut lab, 1, web()).unwrap();
    let invite = lab.invite(0, &InviteRequest { services: vec![name("web")], ..any_member() });
    let applicant = lab.apply(&invite, "c");
    lab.run(SECOND);
    let c = lab.move_in(applicant);
    lab.run(3 * SECOND);
    publish(&mut lab, c, web()).unwrap();
    lab.run(2 * SECOND);
    let (b, c_id) = (lab.id(1), lab.id(c));
    assert!((0..3).all(|at| seen(&lab, at) == Some((c_id, vec![c_id]))));
    assert!(lab.machines[1].events.contains(&Event::NameLost(name("web"), c_id, name("c"))));
    assert_eq!(lab.machines[1].node.standing(&name("web")), Standing::Taken(c_id));
    assert!(lab.view(1).problems.iter().any(|problem| problem.contains("web belongs to c")));
    lab.command(c, |node, now| node.unpublish(&name("web"), None, now)).unwrap();
    lab.run(SECOND);
    assert!((0..3).all(|at| seen(&lab, at) == Some((b, vec![b]))), "and it comes back");
    assert!(lab.machines[1].events.contains(&Event::NameWon(name("web"))));
    lab.command(0, |node, now| node.delegate("b", vec![name("db")], now)).unwrap();
    lab.run(SECOND);
    let service = Publication { name: name("db"), ..web() };
    publish(&mut lab, 0, service.clone()).unwrap();
    lab.run(SECOND);
    publish(&mut lab, 1, service).unwrap();
    lab.run(SECOND);
    assert_eq!(lab.machines[0].node.zone().services[&name("db")].owner, b, "the network says so");
}

#[test]
fn a_name_stays_the_owners_while_others_publish_under_it() {
    let mut lab = Lab::with(&["b", "c"]);
    publish(&mut lab, 1, shared()).unwrap();
    lab.run(SECOND);
    publish(&mut lab, 2, shared()).unwrap();
    lab.run(SECOND);
    lab.command(1, |node, now| node.unpublish(&name("web"), None, now)).unwrap();
    lab.run(SECOND);
    let (b, c) = (lab.id(1), lab.id(2));
    assert_eq!(seen(&lab, 0), Some((b, vec![c])));
    lab.command(2, |node, now| node.unpublish(&name("web"), None, now)).unwrap();
    lab.run(SECOND);
    assert_eq!(seen(&lab, 0), None);
}

#[test]
fn leases_are_renewed_and_a_crashed_publisher_leaves_with_its_own() {
    let mut lab = Lab::with(&["b"]);
    publish(&mut lab, 1, web()).unwrap();
    lab.run(600 * SECOND);
    let b = lab.id(1);
    assert_eq!(seen(&lab, 0), Some((b, vec![b])));
    lab.machines[1].is_up = false;
    lab.run(29 * SECOND);
    assert_eq!(seen(&lab, 0), Some((b, vec![b])), "half of its life is left at least");
    lab.run(32 * SECOND);
    assert_eq!(seen(&lab, 0), Some((b, vec![])), "the name is the owner's, who may be back");
    assert!(matches!(publish(&mut lab, 0, web()), Err(PublishError::Taken { .. })));
    lab.run(3600 * SECOND);
    assert_eq!(seen(&lab, 0), None, "but not for ever");
    assert_eq!(publish(&mut lab, 0, web()), Ok(()));
}

#[test]
fn who_goes_down_withdraws_and_comes_back_with_what_was_published() {
    let mut lab = Lab::with(&["b"]);
    publish(&mut lab, 1, web()).unwrap();
    let configured = Publication { name: name("db"), ..web() };
    lab.command(1, |node, now| node.publish_configured(configured, now)).unwrap();
    lab.run(SECOND);
    let b = lab.id(1);
    lab.command(1, |node, now| node.close(now));
    lab.machines[1].is_up = false;
    lab.run(SECOND);
    assert_eq!(seen(&lab, 0), Some((b, vec![])));
    lab.restart(1);
    lab.run(3 * SECOND);
    assert_eq!(seen(&lab, 0), Some((b, vec![b])));
    let zone = lab.machines[0].node.zone();
    assert!(!zone.services.contains_key(&name("db")), "the configuration says it no more: {zone:?}");
}

#[test]
fn an_instance_that_was_left_behind_by_a_crash_is_withdrawn() {
    let mut lab = Lab::with(&["b"]);
    let configured = Publication { ttl_s: 3600, ..web() };
    lab.command(1, |node, now| node.publish_configured(configured, now)).unwrap();
    lab.run(SECOND);
    assert!(seen(&lab, 0).is_some());
    lab.restart(1);
    lab.run(3 * SECOND);
    assert_eq!(seen(&lab, 0), None, "its configuration says it no more");
}

#[test]
fn a_withdrawal_that_reached_nobody_before_a_crash_is_said_again() {
    let mut lab = Lab::with(&["b"]);
    publish(&mut lab, 1, Publication { ttl_s: 3600, ..web() }).unwrap();
    lab.run(SECOND);
    lab.machines[0].is_up = false;
    lab.command(1, |node, now| node.unpublish(&name("web"), None, now)).unwrap();
    // Long enough for what ended to be written.
    lab.run(60 * SECOND);
    lab.restart(1);
    lab.machines[0].is_up = true;
    let key = key_of_service(lab.id(1), &name("web"), None);
    let is_held = |lab: &Lab| lab.machines[0].node.registry.get(&key).is_some_and(|r| !r.is_tombstone());
    assert!(is_held(&lab), "it has not heard of it");
    lab.run(10 * SECOND);
    assert!(!is_held(&lab));
}

#[test]
fn who_has_just_started_claims_nothing_before_it_knows_what_others_hold() {
    let mut lab = Lab::with(&["b"]);
    publish(&mut lab, 1, web()).unwrap();
    lab.run(SECOND);
    // The founder is the older member: had it claimed the name, it would hold it.
    lab.machines[0].files.remove(&StateFile::Leases);
    lab.restart(0);
    lab.command(0, |node, now| node.publish_configured(web(), now)).unwrap();
    lab.run(20 * SECOND);
    let b = lab.id(1);
    assert_eq!(seen(&lab, 0), Some((b, vec![b])));
    assert_eq!(lab.machines[0].node.standing(&name("web")), Standing::Taken(b));
    lab.command(1, |node, now| node.unpublish(&name("web"), None, now)).unwrap();
    lab.run(SECOND);
    assert_eq!(seen(&lab, 1), Some((lab.id(0), vec![lab.id(0)])), "then its turn has come");
}

#[test]
fn a_name_outlives_a_restart_of_all_nodes() {
    let mut lab = Lab::with(&["b", "c"]);
    publish(&mut lab, 1, web()).unwrap();
    lab.run(40 * SECOND);
    (0..3).for_each(|at| lab.machines[at].is_up = false);
    lab.run(SECOND);
    lab.restart(0);
    lab.restart(2);
    lab.run(15 * SECOND);
    assert_eq!(seen(&lab, 2), Some((lab.id(1), vec![])));
    assert!(matches!(publish(&mut lab, 0, web()), Err(PublishError::Taken { .. })));
}

#[test]
fn a_revoked_owner_loses_its_names_at_once() {
    let mut lab = Lab::with(&["b", "c"]);
    publish(&mut lab, 1, web()).unwrap();
    lab.run(SECOND);
    lab.command(0, |node, now| node.revoke("b", now)).unwrap();
    lab.run(SECOND);
    assert!([0, 2].into_iter().all(|at| seen(&lab, at).is_none()));
    let node = &lab.machines[0].node;
    assert!(!node.zone().nodes.contains_key(&name("b")));
    assert!(node.services.is_empty(), "nothing of it is kept");
    assert!(node.registry.iter().all(|record| !record.body().kind.is_lease()));
    assert_eq!(publish(&mut lab, 2, web()), Ok(()));
    let refused = publish(&mut lab, 1, web());
    assert_eq!(refused, Err(PublishError::Revoked));
}

#[test]
fn old_records_are_not_believed_by_who_saw_the_new_one() {
    let mut lab = Lab::with(&["b"]);
    publish(&mut lab, 1, web()).unwrap();
    lab.run(SECOND);
    let (b, key) = (lab.id(1), key_of_service(lab.id(1), &name("web"), None));
    let old = lab.machines[0].node.registry.get(&key).unwrap().bytes().to_vec();
    let inject = |lab: &mut Lab, age_s| {
        lab.command(0, |node, now| node.consume_record((&old, age_s), Some(b), now));
    };
    lab.command(1, |node, now| node.unpublish(&name("web"), None, now)).unwrap();
    lab.run(SECOND);
    for _ in 0..3 {
        inject(&mut lab, Some(0));
        assert_eq!(seen(&lab, 0), None);
        // The tombstone ends after an hour, what is remembered of it after another.
        lab.run(3500 * SECOND);
    }
    lab.restart(0);
    inject(&mut lab, None);
    lab.run(SECOND);
    assert_eq!(seen(&lab, 0), None, "over for more than an hour by the wall clock");
    let key = key_of_service(b, &name("web"), None);
    assert!(lab.machines[0].node.registry.get(&key).is_none());
}

#[test]
fn what_was_withdrawn_is_remembered_over_a_restart() {
    let mut lab = Lab::with(&["b"]);
    publish(&mut lab, 1, web()).unwrap();
    lab.run(SECOND);
    let (b, key) = (lab.id(1), key_of_service(lab.id(1), &name("web"), None));
    let old = lab.machines[0].node.registry.get(&key).unwrap().bytes().to_vec();
    lab.command(1, |node, now| node.unpublish(&name("web"), None, now)).unwrap();
    lab.run(60 * SECOND);
    lab.machines[1].is_up = false;
    lab.restart(0);
    lab.command(0, |node, now| node.consume_record((&old, None), Some(b), now));
    assert!(lab.machines[0].node.registry.get(&key).is_none(), "nobody has told it again");
}
