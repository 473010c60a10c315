//! Sessions in use: confirmation, rekeys, ends, paths.

use super::lab::{Flight, Lab, packet};
use crate::fastpath::{Outbound, Trains, outbound};
use crate::limits::{IDLE_REKEY_AFTER, REJECT_AFTER, REKEY_AFTER, RESPONDER_REKEY_DELAY};
use crate::{DropReason, Event};
use std::time::Duration;
use wire::datagram::Datagram;
use wire::offload::Offload;

const SECOND: Duration = Duration::from_secs(1);

/// Seals a packet with the session that is current now, to arrive whenever the test likes.
fn sealed(lab: &Lab, from: usize, to: usize, payload: &[u8]) -> Flight {
    let packet = packet(lab.mesh(from)[0], lab.mesh(to)[0], payload);
    let (tables, mut trains) = (&lab.machines[from].tables, Trains::new());
    let outcome = outbound(tables, Offload::NONE, &mut packet.clone(), &mut trains, &mut |_| {});
    assert_eq!(outcome, Outbound::Sealed, "no session");
    let (to, bytes) = trains.take().pop().unwrap();
    Flight { from: lab.machines[from].remote, to, bytes }
}

/// Sends a numbered packet each way every 12 ms; how many did not come out.
fn lost_in(lab: &mut Lab, duration: Duration) -> usize {
    let rounds = (duration.as_millis() / 12) as u16;
    let (a, b) = (lab.machines.len() - 2, lab.machines.len() - 1);
    for n in 0..rounds {
        lab.send(a, b, &n.to_be_bytes());
        lab.send(b, a, &n.to_be_bytes());
        lab.run(Duration::from_millis(12));
    }
    lab.run(SECOND);
    2 * usize::from(rounds) - lab.received(a).len() - lab.received(b).len()
}

#[test]
fn the_responder_seals_once_the_initiator_has_used_the_session() {
    let mut lab = Lab::with(&["b"]);
    lab.run(SECOND);
    lab.machines[1].is_up = false;
    lab.run(REJECT_AFTER);
    lab.lose = Box::new(|flight| matches!(Datagram::parse(&flight.bytes), Some(Datagram::Control(_))));
    lab.restart(1);
    lab.run(SECOND / 4);
    assert!(lab.connected(1, 0), "the initiator has the response");
    assert!(!lab.connected(0, 1), "the responder has nothing yet that proves that it came");
    assert!(matches!(lab.send(0, 1, b"early"), Outbound::Stage(_)));
    lab.send(1, 0, b"first");
    lab.run(SECOND / 4);
    assert!(lab.connected(0, 1));
    assert_eq!(lab.received(0), [b"first"]);
    assert_eq!(lab.received(1), [b"early"], "what waited has left");
}

#[test]
fn a_rekey_changes_the_session_on_both_sides_and_loses_nothing() {
    let mut lab = Lab::with(&["b"]);
    let before = lab.session(0, 1).unwrap().local_index;
    assert_eq!(lost_in(&mut lab, REKEY_AFTER + 2 * SECOND), 0);
    let after = lab.session(0, 1).unwrap();
    assert_ne!(after.local_index, before);
    assert_eq!(after.remote_index, lab.session(1, 0).unwrap().local_index);
    let connects = |event: &&Event| matches!(event, Event::Connected(..));
    assert_eq!(lab.machines[0].events.iter().filter(connects).count(), 1, "a rekey is no news");
}

#[test]
fn a_rekey_loses_nothing_when_both_had_begun_at_once() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.restart(1);
    lab.restart(2);
    lab.run(SECOND);
    assert_eq!(lost_in(&mut lab, REKEY_AFTER + RESPONDER_REKEY_DELAY + 2 * SECOND), 0);
}

#[test]
fn what_was_sealed_before_a_rekey_opens_after_it_and_a_session_later_no_more() {
    let mut lab = Lab::with(&["b"]);
    let old = [sealed(&lab, 0, 1, b"late"), sealed(&lab, 1, 0, b"late"), sealed(&lab, 0, 1, b"too late")];
    lab.run(REKEY_AFTER + SECOND);
    lab.arrive(&old[0]);
    lab.arrive(&old[1]);
    assert_eq!((lab.received(1), lab.received(0)), (vec![b"late".to_vec()], vec![b"late".to_vec()]));
    lab.arrive(&old[0]);
    assert_eq!(lab.drops(1, DropReason::Replayed), 1, "the old session keeps its window");
    lab.run(REKEY_AFTER);
    lab.arrive(&old[2]);
    assert!(lab.received(1).is_empty());
    assert_eq!(lab.drops(1, DropReason::NoSession), 1);
}

#[test]
fn a_shorter_rekey_interval_is_kept() {
    let mut lab = Lab::with(&["b"]);
    for at in [0, 1] {
        lab.machines[at].rekey_after = 5 * SECOND;
        lab.restart(at);
        lab.run(SECOND);
    }
    let before = lab.session(0, 1).unwrap().local_index;
    assert_eq!(lost_in(&mut lab, 30 * SECOND), 0);
    assert_ne!(lab.session(0, 1).unwrap().local_index, before);
}

#[test]
fn a_session_ends_at_its_age_when_nobody_replaces_it() {
    let mut lab = Lab::with(&["b"]);
    assert_eq!(lost_in(&mut lab, 3 * SECOND), 0);
    let old = [sealed(&lab, 0, 1, b"in time"), sealed(&lab, 0, 1, b"too late")];
    lab.lose = Box::new(|_| true);
    // The session is some seconds old already.
    lab.run(REJECT_AFTER - 10 * SECOND);
    lab.arrive(&old[0]);
    assert_eq!(lab.received(1), [b"in time"]);
    lab.run(10 * SECOND);
    lab.arrive(&old[1]);
    assert!(lab.received(1).is_empty());
    assert_eq!(lab.drops(1, DropReason::NoSession), 1);
    let sessions = |lab: &Lab| lab.machines[1].tables.sessions.iter().flatten().count();
    assert_eq!(sessions(&lab), 0, "nothing of it is kept");
}

#[test]
fn a_session_that_carries_nothing_is_kept_until_it_does() {
    let mut lab = Lab::with(&["b"]);
    // What was sent while the two met was sent before these keys.
    lab.restart(1);
    lab.run(SECOND);
    let before = lab.session(0, 1).unwrap().local_index;
    lab.run(IDLE_REKEY_AFTER - 10 * SECOND);
    assert_eq!(lab.session(0, 1).unwrap().local_index, before);
    assert_eq!(lost_in(&mut lab, RESPONDER_REKEY_DELAY + 4 * SECOND), 0);
    let after = lab.session(0, 1).unwrap().local_index;
    assert_ne!(after, before);
    lab.run(IDLE_REKEY_AFTER + RESPONDER_REKEY_DELAY + SECOND);
    assert_ne!(lab.session(0, 1).unwrap().local_index, after, "not for ever");
}

#[test]
fn a_silent_peer_is_lost_within_seconds_and_found_again() {
    let mut lab = Lab::with(&["b"]);
    lab.lose = Box::new(|_| true);
    lab.send(0, 1, b"into the void");
    lab.run(8 * SECOND);
    assert!(!lab.connected(0, 1));
    let (id, name) = (lab.id(1), "b".parse().unwrap());
    assert!(lab.machines[0].events.contains(&Event::Lost(id, name)));
    lab.run(60 * SECOND);
    lab.lose = Box::new(|_| false);
    lab.run(40 * SECOND);
    assert!(lab.connected(0, 1) && lab.connected(1, 0));
    assert_eq!(lost_in(&mut lab, SECOND), 0);
}

#[test]
fn a_peer_that_moves_to_another_address_is_followed_within_a_second() {
    let mut lab = Lab::with(&["b"]);
    let moved = nat::Remote::udp("198.51.100.7:9".parse().unwrap());
    lab.machines[1].remote = moved;
    lab.send(1, 0, b"from elsewhere");
    lab.run(SECOND);
    assert_eq!(lab.received(0), [b"from elsewhere"]);
    assert_eq!(lab.peer(0, 1).unwrap().remote, Some(moved));
    assert_eq!(lost_in(&mut lab, SECOND), 0);
}

#[test]
fn a_copied_datagram_from_another_address_moves_nothing() {
    let mut lab = Lab::with(&["b"]);
    let truth = lab.machines[1].remote;
    let copied =
        Flight { from: nat::Remote::udp("198.51.100.7:9".parse().unwrap()), ..sealed(&lab, 1, 0, b"copied") };
    lab.arrive(&copied);
    lab.run(3 * SECOND);
    assert_eq!(lab.peer(0, 1).unwrap().remote, Some(truth));
    assert_eq!(lab.received(0), [b"copied"], "it is true, after all");
    assert_eq!(lost_in(&mut lab, SECOND), 0);
}

#[test]
fn a_node_that_goes_down_says_so() {
    let mut lab = Lab::with(&["b"]);
    lab.command(1, |node, now| node.close(now));
    lab.machines[1].is_up = false;
    lab.run(SECOND / 10);
    assert!(!lab.connected(0, 1));
    assert!(lab.machines[0].events.contains(&Event::Closed(lab.id(1), "b".parse().unwrap())));
    lab.restart(1);
    lab.run(SECOND);
    assert_eq!(lost_in(&mut lab, SECOND), 0);
}

#[test]
fn after_a_restart_from_what_was_written_no_invite_is_needed() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.run(SECOND);
    (0..3).for_each(|at| lab.machines[at].is_up = false);
    (0..3).for_each(|at| lab.restart(at));
    lab.run(3 * SECOND);
    for (i, j) in [(0, 1), (0, 2), (1, 2), (2, 1)] {
        assert!(lab.connected(i, j), "{i} and {j}");
    }
    assert_eq!(lost_in(&mut lab, SECOND), 0);
}

#[test]
fn other_settings_count_while_a_node_runs() {
    let mut lab = Lab::with(&["b"]);
    let is_hop = |lab: &Lab, seen_by: usize| {
        let own = lab.view(0).own.node;
        let mesh = lab.machines[seen_by].node.mesh();
        mesh.nodes.iter().find(|node| node.node == own).map(|node| node.is_hop)
    };
    assert_eq!((is_hop(&lab, 0), is_hop(&lab, 1)), (Some(true), Some(true)));
    let age = |lab: &Lab| lab.view(0).peers[0].last_handshake.unwrap();
    assert_eq!(lost_in(&mut lab, 30 * SECOND), 0);
    assert!(age(&lab) > 20 * SECOND, "no rekey is due yet");
    let hop = crate::HopParams { enabled: false, rate_max: None };
    let exit = crate::ExitParams::default();
    lab.command(0, |node, now| node.handle_settings(5 * SECOND, hop, exit, now));
    assert_eq!(lost_in(&mut lab, 30 * SECOND), 0);
    assert!(age(&lab) < 15 * SECOND, "keys are replaced more often: {:?}", age(&lab));
    assert_eq!((is_hop(&lab, 0), is_hop(&lab, 1)), (Some(false), Some(false)), "and others hear of it");
}
