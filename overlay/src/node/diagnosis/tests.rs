use super::*;
use crate::node::tests::lab::Lab;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_connected_peer_is_direct_and_needs_no_advice() {
    let lab = Lab::with(&["b"]);
    let remote = lab.machines[1].remote;
    let path = PathView::Direct { remote };
    assert_eq!(lab.peer(0, 1).unwrap().path, path);
    let why = lab.machines[0].node.why(&lab.id(1), lab.now).unwrap();
    assert_eq!((why.name.as_str(), &why.path), ("b", &path));
    assert_eq!((why.reason.as_str(), why.advice.len(), why.next_try), ("the path is direct", 0, None));
    assert_eq!(why.round_trip, Some(2 * lab.latency));
    assert_eq!(why.attempts, []);
    let netcheck = lab.machines[0].node.netcheck(lab.now);
    assert_eq!(netcheck.udp, Reach::Works);
    assert_eq!(netcheck.candidates, [lab.machines[0].remote.candidate().unwrap()]);
    assert_eq!((netcheck.tcp, netcheck.ipv6), (Reach::Unknown, Ipv6View::default()));
}

#[test]
fn a_silent_peer_shows_what_was_tried_and_when_next() {
    let mut lab = Lab::with(&["b"]);
    lab.machines[1].is_up = false;
    lab.run(60 * SECOND);
    assert_eq!(lab.peer(0, 1).unwrap().path, PathView::None);
    let why = lab.machines[0].node.why(&lab.id(1), lab.now).unwrap();
    assert_eq!(why.reason, "b does not answer at the one address that is known of it");
    assert!(why.advice[0].contains("b is up"), "{:?}", why.advice);
    let [attempt] = &why.attempts[..] else { panic!("{:?}", why.attempts) };
    assert!(attempt.probes > 2 && attempt.took > 10 * SECOND && attempt.result == "no answer yet");
    assert!(why.next_try.is_some_and(|wait| wait <= 60 * SECOND), "{:?}", why.next_try);
    assert_eq!(lab.machines[0].node.netcheck(lab.now).udp, Reach::Unknown, "silence proves nothing");
}

#[test]
fn strangers_and_ourselves_have_no_why_and_outcasts_no_next_try() {
    let mut lab = Lab::with(&["b"]);
    let node = &lab.machines[0].node;
    assert_eq!(node.why(&lab.id(0), lab.now), None);
    assert_eq!(node.why(&NodeId([9; 32]), lab.now), None);
    lab.command(0, |node, now| node.revoke("b", now)).unwrap();
    lab.run(SECOND);
    let why = lab.machines[0].node.why(&lab.id(1), lab.now).unwrap();
    assert_eq!((why.reason.as_str(), why.next_try), ("b was removed from the network", None));
}

#[test]
fn an_ipv6_address_counts_when_it_is_routed_between_networks() {
    let mut lab = Lab::new();
    for (address, is_global) in [("[2001:db8::1]:7", true), ("[fd00::1]:7", false), ("192.0.2.1:7", false)] {
        let candidates = vec![Candidate::new(address.parse().unwrap()).unwrap()];
        lab.command(0, |node, now| node.handle_candidates(candidates, now));
        let ipv6 = lab.machines[0].node.netcheck(lab.now).ipv6;
        assert_eq!((ipv6.has_address, ipv6.reach), (is_global, Reach::Unknown), "{address}");
    }
}
