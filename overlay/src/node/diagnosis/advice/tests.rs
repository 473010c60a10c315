use super::*;
use wire::NodeId;

const EIM: Dependence = Dependence::EndpointIndependent;
const ADM: Dependence = Dependence::AddressDependent;
const APDM: Dependence = Dependence::AddressAndPortDependent;

const fn nat(mapping: Dependence, filtering: Dependence, ports: Ports) -> NatProfile {
    NatProfile { translates: true, mapping, filtering, ports }
}

/// The kinds of routers that the lab has, and what is known of none.
const KINDS: [(&str, NatProfile); 12] = [
    ("unknown", nat(Dependence::Unknown, Dependence::Unknown, Ports::Unknown)),
    ("open", NatProfile { translates: false, ..nat(EIM, EIM, Ports::Preserved) }),
    ("firewall", NatProfile { translates: false, ..nat(EIM, APDM, Ports::Preserved) }),
    ("full_cone", nat(EIM, EIM, Ports::Preserved)),
    ("addr_restricted", nat(EIM, ADM, Ports::Preserved)),
    ("port_restricted", nat(EIM, APDM, Ports::Fixed)),
    ("sym_addr", nat(ADM, ADM, Ports::Random)),
    ("sym_eif", nat(APDM, EIM, Ports::Random)),
    ("sym_seq", nat(APDM, APDM, Ports::Sequential { step: 1 })),
    ("sym_random", nat(APDM, APDM, Ports::Random)),
    ("sym_block512", nat(APDM, APDM, Ports::Block { first: 10240, last: 10751 })),
    ("sym_wide", nat(APDM, APDM, Ports::Block { first: 10240, last: 30240 })),
];

fn side(kind: &str) -> Side {
    let profile = KINDS.iter().find(|(name, _)| *name == kind).map(|(_, profile)| *profile);
    assert!(profile.is_some(), "{kind}");
    Side { profile, ..Side::default() }
}

fn name() -> Name {
    "b".parse().unwrap()
}

fn via() -> PathView {
    PathView::Via { hops: vec![(NodeId([3; 32]), "c".parse().unwrap())], is_established: true }
}

fn direct() -> PathView {
    PathView::Direct { remote: Remote::udp("203.0.113.5:41641".parse().unwrap()) }
}

/// What is said of two ends with an anchor and a path.
fn said(path: &PathView, ours: Side, theirs: Side) -> (String, Vec<String>) {
    let peer = name();
    let state = if *path == PathView::None { PeerState::Offline } else { PeerState::Connected };
    let situation = Situation { peer: &peer, path, state, ours, theirs, has_anchor: true, addresses: 2 };
    (reason(&situation), advise(&situation))
}

#[test]
fn pairs_meet_as_in_the_lab() {
    use Meeting::{Hopeless, Plain, Search, Unknown};
    for (ours, theirs, expected) in [
        ("open", "sym_random", Plain),
        ("open", "unknown", Plain),
        ("full_cone", "sym_block512", Plain),
        ("sym_eif", "sym_random", Plain),
        ("addr_restricted", "sym_random", Plain),
        ("addr_restricted", "sym_addr", Plain),
        ("firewall", "port_restricted", Plain),
        ("port_restricted", "port_restricted", Plain),
        ("firewall", "sym_seq", Search),
        ("port_restricted", "sym_random", Search),
        ("port_restricted", "sym_addr", Search),
        ("sym_seq", "sym_seq", Search),
        ("sym_block512", "sym_block512", Search),
        ("sym_wide", "sym_block512", Hopeless),
        ("sym_seq", "sym_random", Hopeless),
        ("sym_random", "sym_random", Hopeless),
        ("sym_random", "sym_block512", Hopeless),
        ("sym_addr", "sym_addr", Hopeless),
        ("port_restricted", "unknown", Unknown),
        ("unknown", "sym_random", Unknown),
    ] {
        assert_eq!(meeting(&side(ours), &side(theirs)), expected, "{ours} x {theirs}");
        assert_eq!(meeting(&side(theirs), &side(ours)), expected, "{theirs} x {ours}");
    }
    let untold = Side::default();
    assert_eq!(meeting(&side("port_restricted"), &untold), Unknown);
}

#[test]
fn a_port_mapping_or_ipv6_on_both_sides_ends_the_search() {
    let hard = side("sym_random");
    let mapped = Side { has_port_mapping: true, ..hard };
    let ipv6 = Side { has_ipv6: true, ..hard };
    assert_eq!(meeting(&hard, &mapped), Meeting::Plain);
    assert_eq!(meeting(&ipv6, &ipv6), Meeting::Plain);
    assert_eq!(meeting(&ipv6, &hard), Meeting::Hopeless, "one side's IPv6 is not enough");
}

#[test]
fn every_kind_has_words_that_say_how_hard_it_is() {
    for (kind, part) in [
        ("open", "everybody can dial"),
        ("firewall", "a firewall without NAT"),
        ("full_cone", "lets everybody in"),
        ("port_restricted", "direct paths come easily"),
        ("sym_seq", "take a guess"),
        ("sym_block512", "long search"),
        ("sym_random", "at random"),
        ("unknown", "not known yet"),
    ] {
        let words = side(kind).profile.map(|profile| nat_words(&profile)).unwrap();
        assert!(words.contains(part), "{kind}: {words}");
    }
    assert_eq!(nat_words(&NatProfile::default()), "not known yet", "silence is not the absence of a NAT");
    let half = NatProfile { mapping: EIM, ..NatProfile::default() };
    assert!(nat_words(&half).contains("whether there is a firewall is not known"));
}

#[test]
fn two_hard_nats_are_told_what_would_help() {
    let (reason, advice) = said(&via(), side("sym_random"), side("sym_random"));
    assert!(reason.contains("neither side can foretell"), "{reason}");
    assert_eq!(advice.len(), 2, "{advice:?}");
    assert!(advice[0].contains("UPnP") && advice[0].contains("`addresses.advertise`"));
    assert_eq!(advice[1], "Give both machines IPv6.");
    let ipv6 = |side| Side { has_ipv6: true, ..side };
    let (_, advice) = said(&via(), ipv6(side("sym_random")), side("sym_random"));
    assert_eq!(advice[1], "Give b IPv6, which this machine has.");
    let (_, advice) = said(&via(), side("sym_random"), ipv6(side("sym_random")));
    assert_eq!(advice[1], "Give this machine IPv6, which b has.");
    let mapped = Side { has_port_mapping: true, ..side("sym_random") };
    assert_eq!(said(&via(), side("sym_random"), mapped).1, Vec::<String>::new(), "it comes by itself");
}

#[test]
fn what_works_needs_no_advice() {
    for (kind, _) in KINDS {
        let (reason, advice) = said(&direct(), side(kind), side("sym_random"));
        assert_eq!((reason.as_str(), advice), ("the path is direct", vec![]), "{kind}");
    }
    let (reason, advice) = said(&via(), side("port_restricted"), side("firewall"));
    assert!(reason.contains("still being tried"), "{reason}");
    assert_eq!(advice, Vec::<String>::new());
}

#[test]
fn blocked_udp_comes_before_all_else() {
    let blocked = Side { udp: Reach::Blocked, ..side("sym_random") };
    let (reason, advice) = said(&via(), blocked, side("sym_random"));
    assert!(reason.contains("this machine"), "{reason}");
    assert_eq!(advice, ["Allow outgoing UDP on the network that this machine is on."]);
    let (reason, advice) = said(&via(), side("open"), blocked);
    assert!(reason.contains("that b is on"), "{reason}");
    assert_eq!(advice, ["Allow outgoing UDP on the network that b is on."]);
    let stream = PathView::Direct { remote: Remote::Stream(1) };
    let (reason, advice) = said(&stream, side("open"), blocked);
    assert!(reason.contains("TCP"), "{reason}");
    assert_eq!(advice, ["Allow outgoing UDP on the network that b is on."]);
    assert!(said(&stream, side("open"), side("open")).1[0].starts_with("Allow UDP between"));
}

#[test]
fn a_silent_peer_is_looked_for_first() {
    let (reason, advice) = said(&PathView::None, side("firewall"), Side::default());
    assert_eq!(reason, "b answers at none of the 2 addresses that are known of it");
    assert_eq!(advice, ["Check that b is up and on a network: `hopmesh status` there."]);
    let peer = name();
    let alone = Situation {
        peer: &peer,
        path: &PathView::None,
        state: PeerState::Offline,
        ours: side("unknown"),
        theirs: Side::default(),
        has_anchor: false,
        addresses: 0,
    };
    assert_eq!(super::reason(&alone), "no address of b is known yet");
    let advice = advise(&alone);
    assert!(advice[0].contains("is up") && advice[1].contains("becomes an anchor"), "{advice:?}");
}

#[test]
fn who_was_removed_is_not_looked_for() {
    let peer = name();
    let removed = Situation {
        peer: &peer,
        path: &PathView::None,
        state: PeerState::Revoked,
        ours: side("sym_random"),
        theirs: side("sym_random"),
        has_anchor: false,
        addresses: 0,
    };
    assert_eq!(reason(&removed), "b was removed from the network");
    let advice = advise(&removed);
    assert!(advice.len() == 1 && advice[0].contains("new invite"), "{advice:?}");
}

#[test]
fn words_are_sentences() {
    let paths = [PathView::None, via(), direct()];
    let sides = KINDS.map(|(kind, _)| side(kind));
    for path in &paths {
        for (ours, theirs) in sides.iter().flat_map(|ours| sides.iter().map(move |theirs| (ours, theirs))) {
            let (reason, advice) = said(path, *ours, *theirs);
            assert!(!reason.is_empty() && !reason.ends_with('.'), "{reason}");
            assert!(advice.iter().all(|line| line.ends_with('.') && line.len() < 200), "{advice:?}");
            assert!(advice.len() <= 4, "{advice:?}");
        }
    }
}
