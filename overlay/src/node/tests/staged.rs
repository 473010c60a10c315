//! Packets that wait for a session.

use super::lab::Lab;
use crate::DropReason;
use crate::fastpath::Outbound;
use crate::limits::{REJECT_AFTER, STAGED_LIFE, STAGED_PACKETS_MAX, STAGED_PACKETS_TOTAL_MAX};
use std::time::Duration;
use wire::datagram::Datagram;
use wire::icmp::Unreachable;

const SECOND: Duration = Duration::from_secs(1);

/// `a` and others, of whom `a` knows where they are and that nobody has answered for a while.
fn silent(names: &[&str]) -> Lab {
    let mut lab = Lab::with(names);
    lab.lose = Box::new(|_| true);
    lab.machines[1..].iter_mut().for_each(|other| other.is_up = false);
    lab.send(0, 1, b"lost");
    lab.run(60 * SECOND);
    lab.machines[0].unreachable.clear();
    lab
}

fn heal(lab: &mut Lab) {
    lab.lose = Box::new(|_| false);
    lab.machines[1..].iter_mut().for_each(|other| other.is_up = true);
}

#[test]
fn packets_wait_for_the_session_and_leave_in_order() {
    let mut lab = silent(&["b"]);
    heal(&mut lab);
    for n in 0..10u8 {
        assert!(matches!(lab.send(0, 1, &[n]), Outbound::Stage(_)), "{n}");
    }
    lab.run(SECOND / 4);
    assert_eq!(lab.received(1), (0..10u8).map(|n| vec![n]).collect::<Vec<_>>());
    assert!(lab.machines[0].unreachable.is_empty());
}

#[test]
fn the_first_packet_wakes_the_handshake_that_has_become_rare() {
    let mut lab = silent(&["b"]);
    let sent = lab.sent.len();
    lab.send(0, 1, b"hurry");
    assert!(lab.sent.len() > sent, "asked at once");
    let sent = lab.sent.len();
    lab.send(0, 1, b"hurry");
    assert_eq!(lab.sent.len(), sent, "but not for every packet");
}

#[test]
fn a_lost_initiation_is_sent_again_while_packets_wait() {
    let mut lab = silent(&["b"]);
    lab.run(REJECT_AFTER);
    lab.machines[1].is_up = true;
    let (a, mut left) = (lab.machines[0].remote, 1);
    lab.lose = Box::new(move |flight| {
        let is_initiation = matches!(Datagram::parse(&flight.bytes), Some(Datagram::Initiation(_)));
        let is_first = is_initiation && flight.from == a && left > 0;
        left -= usize::from(is_first);
        is_first || is_initiation && flight.from != a
    });
    lab.send(0, 1, b"in spite of it");
    lab.run(STAGED_LIFE);
    assert_eq!(lab.received(1), [b"in spite of it"]);
}

#[test]
fn the_oldest_goes_when_too_many_wait() {
    let mut lab = silent(&["b"]);
    for n in 0..STAGED_PACKETS_MAX as u8 + 2 {
        lab.send(0, 1, &[n]);
    }
    let refused: Vec<_> = lab.machines[0].unreachable.drain(..).collect();
    assert_eq!(refused.iter().map(|(packet, _)| packet[20]).collect::<Vec<_>>(), [0, 1]);
    assert!(refused.iter().all(|(_, reason)| *reason == Unreachable::HostUnreachable));
    assert_eq!(lab.drops(0, DropReason::StagedFull), 2);
    heal(&mut lab);
    lab.run(2 * SECOND);
    assert_eq!(lab.received(1).len(), STAGED_PACKETS_MAX);
}

#[test]
fn who_waits_too_long_is_told() {
    let mut lab = silent(&["b"]);
    let offline = lab.drops(0, DropReason::PeerOffline);
    lab.send(0, 1, b"patient");
    lab.run(STAGED_LIFE - SECOND / 100);
    assert!(lab.machines[0].unreachable.is_empty());
    lab.run(SECOND / 50);
    let (packet, reason) = &lab.machines[0].unreachable[0];
    assert_eq!((&packet[20..], *reason), (&b"patient"[..], Unreachable::HostUnreachable));
    assert_eq!(lab.drops(0, DropReason::PeerOffline), offline + 1);
    heal(&mut lab);
    lab.run(60 * SECOND);
    assert!(lab.received(1).is_empty(), "and it does not come after all");
}

#[test]
fn all_peers_together_have_a_limit_too() {
    let names: Vec<String> =
        (0..STAGED_PACKETS_TOTAL_MAX / STAGED_PACKETS_MAX + 1).map(|n| format!("n{n}")).collect();
    let mut lab = silent(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for to in 1..lab.machines.len() {
        for n in 0..STAGED_PACKETS_MAX as u8 {
            lab.send(0, to, &[n]);
        }
    }
    assert_eq!(lab.drops(0, DropReason::StagedFull), STAGED_PACKETS_MAX as u64);
    assert_eq!(lab.machines[0].unreachable.len(), STAGED_PACKETS_MAX);
    lab.run(STAGED_LIFE);
    assert_eq!(lab.machines[0].unreachable.len(), names.len() * STAGED_PACKETS_MAX, "each sender is told");
    assert!(matches!(lab.send(0, 1, b"room again"), Outbound::Stage(_)));
    assert_eq!(lab.machines[0].unreachable.len(), names.len() * STAGED_PACKETS_MAX);
}

#[test]
fn packets_for_a_node_that_is_revoked_meanwhile_are_refused() {
    let mut lab = silent(&["b"]);
    lab.send(0, 1, b"waiting");
    lab.command(0, |node, now| node.revoke("b", now)).unwrap();
    assert_eq!(lab.machines[0].unreachable.len(), 1);
    assert_eq!(lab.machines[0].unreachable[0].1, Unreachable::NoRoute);
}
