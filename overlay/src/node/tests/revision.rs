//! Nodes that speak other revisions of the protocol: earlier ones, later ones, and those with which there is none in common.

use super::lab::Lab;
use crate::fastpath::SlowInput;
use crate::limits::REJECT_AFTER;
use crate::{DropReason, Event, GuestRequest};
use std::time::Duration;
use wire::control::{HaveEntry, Message};
use wire::datagram::Datagram;
use wire::handshake::Refusal;
use wire::news::NewsMessage;
use wire::record::RouteOffer;
use wire::{GuestKey, Kind, Record, Revision, Revisions};

const SECOND: Duration = Duration::from_secs(1);
const FIRST: (u16, u16) = (1, 1);
const BOTH: (u16, u16) = (1, 2);

pub(super) fn range((lowest, highest): (u16, u16)) -> Revisions {
    Revisions::new(Revision::new(lowest).unwrap(), Revision::new(highest).unwrap()).unwrap()
}

/// Starts a machine again as a version that speaks these revisions.
fn start_as(lab: &mut Lab, at: usize, revisions: (u16, u16)) {
    lab.machines[at].revisions = range(revisions);
    lab.restart(at);
}

/// The founder and members that speak these revisions, all connected.
fn lab_of(revisions: &[(u16, u16)]) -> Lab {
    let names = ["b", "c", "d", "e", "f"];
    let mut lab = Lab::with(&names[..revisions.len() - 1]);
    (0..revisions.len()).for_each(|at| start_as(&mut lab, at, revisions[at]));
    lab.run(3 * SECOND);
    lab
}

/// Each machine has a guest and offers a subnet, if its version knows such things.
fn publish(lab: &mut Lab) {
    for at in 0..lab.machines.len() {
        let name = format!("phone-{at}").parse().unwrap();
        let guest = GuestRequest { name, key: GuestKey([at as u8 + 1; 32]), address: None };
        lab.command(at, |node, now| node.add_guest(guest, now)).unwrap();
        offer(lab, at, at);
    }
}

fn offer(lab: &mut Lab, at: usize, subnet: usize) {
    let prefix = format!("192.168.{subnet}.0/24").parse().unwrap();
    let offers = vec![RouteOffer { prefix, behind: None, is_masqueraded: true }];
    lab.command(at, |node, now| node.handle_offers(offers, now));
}

/// How many records of a kind a machine holds.
fn held(lab: &Lab, at: usize, kind: Kind) -> usize {
    lab.machines[at].node.registry.of_kind(kind).count()
}

/// Messages that a machine has sent to compare records, and the records.
fn compared(lab: &Lab, at: usize) -> u64 {
    let kinds = ["have", "want", "digests", "record", "news"];
    let sent = lab.machines[at].node.sent().clone();
    sent.iter().filter(|(kind, _)| kinds.contains(kind)).map(|(_, tally)| tally.datagrams).sum()
}

/// Everybody has a session with everybody by whichever revision both speak, and packets arrive.
fn talk(lab: &mut Lab) {
    let count = lab.machines.len();
    for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
        if from == to {
            continue;
        }
        let spoken = lab.machines[from].revisions.common(lab.machines[to].revisions);
        let peer = lab.peer(from, to).unwrap();
        assert!(lab.connected(from, to), "{from} to {to}: {:?}", peer.state);
        assert_eq!((peer.revision, peer.revisions), (spoken, Some(lab.machines[to].revisions)));
        lab.send(from, to, b"x");
    }
    lab.run(SECOND);
    (0..count).for_each(|at| assert_eq!(lab.received(at).len(), count - 1, "at {at}"));
}

/// Nobody misses anything, and nobody asks for anything any more.
fn rest(lab: &mut Lab) {
    lab.run(5 * SECOND);
    let count = |lab: &Lab| (0..lab.machines.len()).map(|at| compared(lab, at)).collect::<Vec<_>>();
    let before = count(lab);
    lab.run(60 * SECOND);
    assert_eq!(count(lab), before, "comparison is at rest");
    for at in 0..lab.machines.len() {
        assert_eq!(lab.drops(at, DropReason::Record), 0, "at {at}");
        assert_eq!(lab.view(at).problems, [""; 0], "at {at}");
    }
}

#[test]
fn earlier_and_later_versions_are_one_network() {
    let versions = [BOTH, FIRST, BOTH, FIRST, BOTH];
    let mut lab = lab_of(&versions);
    publish(&mut lab);
    // What both know is told to all, whoever is in between.
    lab.restart(3);
    rest(&mut lab);
    talk(&mut lab);
    for (at, version) in versions.into_iter().enumerate() {
        let expected = if version == BOTH { 3 } else { 0 };
        assert_eq!(
            (held(&lab, at, Kind::Guest), held(&lab, at, Kind::Routes)),
            (expected, expected),
            "at {at}"
        );
        assert_eq!(held(&lab, at, Kind::Member), versions.len());
        let name = format!("phone-{at}").parse().unwrap();
        let is_known = lab.machines[0].node.guests().iter().any(|guest| guest.name == name);
        assert_eq!(is_known, version == BOTH, "{name}");
    }
}

/// Messages of a kind that a machine has sent.
fn sent(lab: &Lab, at: usize, kind: &str) -> u64 {
    let sent = lab.machines[at].node.sent();
    sent.iter().find(|(name, _)| *name == kind).map_or(0, |(_, tally)| tally.datagrams)
}

#[test]
fn an_earlier_version_asks_for_nothing_that_it_does_not_know() {
    let mut lab = lab_of(&[BOTH, FIRST, BOTH, FIRST, BOTH]);
    publish(&mut lab);
    rest(&mut lab);
    // News of others is only offered by now, where the tree of links does not lead.
    let before = [1, 3].map(|at| compared(&lab, at));
    for subnet in 50..60 {
        offer(&mut lab, subnet % 5, subnet);
        lab.run(2 * SECOND);
    }
    assert_eq!([1, 3].map(|at| compared(&lab, at)), before, "nothing of it concerns them");
    // A summary has what one of them lacks, and not what neither of them could take.
    let wants = sent(&lab, 1, "want");
    lab.lose = Box::new(|_| true);
    let moved = wire::Candidate::new("192.0.2.99:1".parse().unwrap()).unwrap();
    lab.command(1, |node, now| node.handle_candidates(vec![moved], now));
    lab.run(SECOND);
    lab.lose = Box::new(|_| false);
    lab.run(30 * SECOND);
    assert!((0..5).all(|at| sent(&lab, at, "have") > 0), "they have compared");
    assert_eq!(sent(&lab, 1, "want"), wants, "others lacked something, not this one");
}

#[test]
fn what_is_not_known_is_not_offered_and_not_taken() {
    let mut lab = lab_of(&[BOTH, FIRST, BOTH]);
    publish(&mut lab);
    rest(&mut lab);
    let registry = &lab.machines[0].node.registry;
    let of = |kind| registry.of_kind(kind).next().unwrap();
    let entry = |record: &Record| HaveEntry { key: record.key_hash(), sequence: record.body().sequence };
    let (known, unknown) = (entry(of(Kind::Member)), entry(of(Kind::Routes)));
    let bytes = of(Kind::Routes).bytes().to_vec();
    let offer = |news: &[HaveEntry]| NewsMessage::Offer { news: news.to_vec() };
    let offered = |to, news: &[HaveEntry]| lab.machines[0].node.known_news(&lab.id(to), offer(news));
    assert_eq!(offered(1, &[known, unknown]), Some(offer(&[known])));
    assert_eq!(offered(1, &[unknown]), None);
    assert_eq!(offered(2, &[unknown]), Some(offer(&[unknown])));
    let session = lab.session(1, 0).unwrap().local_index;
    let message = wire::cbor::encode(&Message::Record { bytes: bytes.into(), age_s: None });
    let from = lab.machines[0].remote;
    lab.command(1, |node, now| node.handle_slow(SlowInput::Control { session, message }, from, now));
    assert_eq!((held(&lab, 1, Kind::Routes), lab.drops(1, DropReason::Record)), (0, 1));
}

#[test]
fn who_is_upgraded_gets_what_it_missed_and_who_is_downgraded_forgets_it() {
    let mut lab = lab_of(&[BOTH, FIRST, BOTH]);
    publish(&mut lab);
    rest(&mut lab);
    start_as(&mut lab, 1, BOTH);
    offer(&mut lab, 1, 1);
    rest(&mut lab);
    (0..3).for_each(|at| {
        assert_eq!((held(&lab, at, Kind::Guest), held(&lab, at, Kind::Routes)), (3, 3), "at {at}");
    });
    start_as(&mut lab, 1, FIRST);
    rest(&mut lab);
    talk(&mut lab);
    assert_eq!((held(&lab, 1, Kind::Guest), held(&lab, 1, Kind::Routes)), (0, 0));
    // What the others have of it stands until it is there again.
    assert_eq!((held(&lab, 0, Kind::Guest), held(&lab, 2, Kind::Routes)), (3, 3));
    start_as(&mut lab, 1, BOTH);
    rest(&mut lab);
    assert_eq!((held(&lab, 1, Kind::Guest), held(&lab, 1, Kind::Routes)), (3, 3));
}

#[test]
fn a_later_version_that_still_speaks_ours_is_talked_to() {
    let mut lab = lab_of(&[BOTH, (1, 9), (2, 9)]);
    publish(&mut lab);
    rest(&mut lab);
    talk(&mut lab);
    assert_eq!(lab.peer(0, 1).unwrap().revision, Some(Revision::CURRENT));
    assert_eq!(lab.peer(1, 2).unwrap().revision, Revision::new(9));
    (0..3).for_each(|at| assert_eq!(held(&lab, at, Kind::Routes), 3, "at {at}"));
}

#[test]
fn with_whom_there_is_no_revision_people_see_who_is_to_be_upgraded() {
    // Whoever asks, both machines know of it.
    for asks in [0, 1] {
        let mut lab = Lab::with(&["b"]);
        lab.machines[0].is_up = false;
        lab.machines[1].revisions = range((7, 9));
        lab.run(REJECT_AFTER + SECOND);
        let other = 1 - asks;
        let asker = lab.machines[asks].remote;
        lab.lose = Box::new(move |flight| {
            let is_initiation = matches!(Datagram::parse(&flight.bytes), Some(Datagram::Initiation(_)));
            is_initiation && flight.from != asker
        });
        lab.restart(other);
        lab.restart(asks);
        lab.run(2 * SECOND);
        assert!(!lab.connected(0, 1) && !lab.connected(1, 0));
        assert!(lab.drops(other, DropReason::Revision) > 0, "it is refused, and told so");
        assert_eq!(lab.drops(asks, DropReason::Revision), 0);
        let name = lab.view(other).own.name;
        assert!(lab.machines[asks].events.contains(&Event::RefusedBy(name, Refusal::Revision)));
        for (at, words) in [
            (
                0,
                [
                    "b speaks revisions 7 to 9 of the protocol, this machine 1 to 2",
                    "Upgrade Hopmesh on this machine.",
                ],
            ),
            (1, ["a speaks revisions 1 to 2 of the protocol, this machine 7 to 9", "Upgrade Hopmesh on a."]),
        ] {
            let problems = lab.view(at).problems;
            let sentence = format!("{}, so there is no session. {}", words[0], words[1]);
            assert!(problems.contains(&sentence), "{asks} asks: {problems:?}");
            let why = lab.machines[at].node.why(&lab.id(1 - at), lab.now).unwrap();
            assert_eq!((&why.reason[..], &why.advice[..]), (words[0], &[words[1].to_owned()][..]));
            assert_eq!(lab.peer(at, 1 - at).unwrap().revision, None);
        }
        lab.lose = Box::new(|_| false);
        start_as(&mut lab, 0, (2, 8));
        lab.run(3 * SECOND);
        assert!(lab.connected(0, 1) && lab.connected(1, 0), "upgraded");
        (0..2).for_each(|at| assert!(!lab.view(at).problems.iter().any(|p| p.contains("revision")), "{at}"));
    }
}
