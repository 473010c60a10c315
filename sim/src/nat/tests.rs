//! Every kind, measured from outside as the lab measures the real ones.

use super::flows::FLOWS_MAX;
use super::{Behaviour, Kind, Nat};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use wire::Dependence;

const WAN: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 19, 0, 1));
const SECOND: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
fn beginning() -> Instant {
    Instant::now()
}

fn inner(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 168, 1, host], 41641))
}

fn remote(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, host], port))
}

/// The ports that three remote sockets see, the first two of one address.
fn ports(nat: &mut Nat, now: Instant) -> [u16; 3] {
    let remotes = [remote(1, 1), remote(1, 2), remote(2, 1)];
    remotes.map(|to| nat.outbound(inner(1), to, now).unwrap().port())
}

fn mapping(kind: Kind, now: Instant) -> &'static str {
    match ports(&mut Nat::new(kind, WAN, 1), now) {
        [a, b, c] if a == b && b == c => "EIM",
        [a, b, c] if a == b && b != c => "ADM",
        [a, b, c] if a != b && b != c && c != a => "APDM",
        other => panic!("{kind:?}: {other:?}"),
    }
}

fn filtering(kind: Kind, now: Instant) -> &'static str {
    let mut nat = Nat::new(kind, WAN, 1);
    let outer = nat.outbound(inner(1), remote(1, 1), now).unwrap();
    assert_eq!(nat.inbound(outer, remote(1, 1), now), Some(inner(1)), "{kind:?}");
    let mut passes = |from| nat.inbound(outer, from, now).is_some();
    match [passes(remote(1, 2)), passes(remote(2, 1))] {
        [true, true] => "EIF",
        [true, false] => "ADF",
        [false, false] => "APDF",
        other @ [false, true] => panic!("{kind:?}: {other:?}"),
    }
}

fn port_choice(kind: Kind, now: Instant) -> &'static str {
    let mut nat = Nat::new(kind, WAN, 1);
    let seen: Vec<u16> =
        (0..100).map(|number| nat.outbound(inner(1), remote(1 + number, 1), now).unwrap().port()).collect();
    let steps: Vec<i32> = seen.windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0])).collect();
    let (low, high) = (*seen.iter().min().unwrap(), *seen.iter().max().unwrap());
    match (seen[0] == inner(1).port(), high - low) {
        (true, 0) => "preserved",
        (false, 0) => "fixed",
        (false, 99) if steps.iter().all(|step| *step == 1) => "+1",
        (false, 300..512) => "block",
        (false, 20_000..) => "random",
        other => panic!("{kind:?}: {other:?}"),
    }
}

#[test]
fn every_kind_is_what_the_lab_measured() {
    let now = beginning();
    let measured = |kind| (kind, mapping(kind, now), filtering(kind, now), port_choice(kind, now));
    let expected = [
        (Kind::FullCone, "EIM", "EIF", "preserved"),
        (Kind::FullConeX, "EIM", "EIF", "fixed"),
        (Kind::AddrRestricted, "EIM", "ADF", "preserved"),
        (Kind::AddrRestrictedX, "EIM", "ADF", "fixed"),
        (Kind::PortRestricted, "EIM", "APDF", "preserved"),
        (Kind::PortRestrictedX, "EIM", "APDF", "fixed"),
        (Kind::SymRandom, "APDM", "APDF", "random"),
        (Kind::SymSeq, "APDM", "APDF", "+1"),
        (Kind::SymBlock512, "APDM", "APDF", "block"),
        (Kind::SymAddr, "ADM", "ADF", "random"),
        (Kind::SymEif, "APDM", "EIF", "random"),
        (Kind::LinuxOpenInput, "EIM", "APDF", "preserved"),
        (Kind::Firewall, "EIM", "APDF", "preserved"),
    ];
    for row in expected {
        assert_eq!(measured(row.0), row);
    }
    assert_eq!(expected.len() + 1, Kind::ALL.len(), "all but open");
}

#[test]
fn the_profile_of_a_kind_says_what_it_does() {
    let now = beginning();
    let short = |dependence| match dependence {
        Dependence::EndpointIndependent => "EI",
        Dependence::AddressDependent => "AD",
        Dependence::AddressAndPortDependent => "APD",
        Dependence::Unknown => "?",
    };
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Open) {
        let profile = kind.profile();
        assert_eq!(mapping(kind, now), format!("{}M", short(profile.mapping)), "{kind:?}");
        assert_eq!(filtering(kind, now), format!("{}F", short(profile.filtering)), "{kind:?}");
        assert_eq!(Nat::new(kind, WAN, 1).wan().is_some(), profile.translates, "{kind:?}");
    }
}

#[test]
fn two_hosts_that_use_one_port_get_different_ones_that_do_not_change() {
    let now = beginning();
    let kinds = Kind::ALL.map(|kind| (kind, kind.profile()));
    for (kind, _) in
        kinds.iter().filter(|(_, p)| p.translates && p.mapping == Dependence::EndpointIndependent)
    {
        let mut nat = Nat::new(*kind, WAN, 1);
        let [a, b] = [1, 2].map(|host| nat.outbound(inner(host), remote(1, 1), now).unwrap());
        assert_ne!(a, b, "{kind:?}");
        let again = [2, 1].map(|host| nat.outbound(inner(host), remote(7, 7), now).unwrap());
        assert_eq!(again, [b, a], "{kind:?}");
        assert_eq!(nat.inbound(a, remote(1, 1), now), Some(inner(1)), "{kind:?}");
        assert_eq!(nat.inbound(b, remote(1, 1), now), Some(inner(2)), "{kind:?}");
    }
}

#[test]
fn machines_behind_a_firewall_do_not_take_flows_from_each_other() {
    let now = beginning();
    let mut firewall = Nat::new(Kind::Firewall, WAN, 1);
    for host in [1, 2] {
        assert_eq!(firewall.outbound(inner(host), remote(1, 1), now), Some(inner(host)));
    }
    for host in [1, 2] {
        assert_eq!(firewall.inbound(inner(host), remote(1, 1), now), Some(inner(host)));
    }
    assert_eq!(firewall.inbound(inner(3), remote(1, 1), now), None);
}

/// Whether a mapping lets an answer in after a pause, and the port that the next datagram has then.
fn after_pause(kind: Kind, is_replied: bool, pause: Duration) -> (bool, bool) {
    let now = beginning();
    let mut nat = Nat::new(kind, WAN, 1);
    let outer = nat.outbound(inner(1), remote(1, 1), now).unwrap();
    if is_replied {
        nat.inbound(outer, remote(1, 1), now).unwrap();
    }
    let passes = nat.inbound(outer, remote(1, 1), now + pause).is_some();
    let mut nat = Nat::new(kind, WAN, 1);
    nat.outbound(inner(1), remote(1, 1), now).unwrap();
    if is_replied {
        nat.inbound(outer, remote(1, 1), now).unwrap();
    }
    let keeps_port = nat.outbound(inner(1), remote(1, 1), now + pause) == Some(outer);
    (passes, keeps_port)
}

#[test]
fn a_flow_ends_after_30_s_unreplied_and_120_s_replied() {
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Open) {
        let is_fixed = kind.profile().mapping != Dependence::AddressAndPortDependent;
        assert_eq!(after_pause(kind, false, 29 * SECOND), (true, true), "{kind:?}");
        assert_eq!(after_pause(kind, false, 30 * SECOND), (false, is_fixed), "{kind:?}");
        assert_eq!(after_pause(kind, true, 119 * SECOND), (true, true), "{kind:?}");
        assert_eq!(after_pause(kind, true, 120 * SECOND), (false, is_fixed), "{kind:?}");
    }
}

#[test]
fn a_flow_lives_as_long_as_it_is_used_and_lifetimes_can_be_short() {
    let now = beginning();
    let mut nat = Nat::new(Behaviour::from(Kind::SymRandom).with_lifetime(5 * SECOND), WAN, 1);
    let outer = nat.outbound(inner(1), remote(1, 1), now).unwrap();
    for seconds in [4, 8, 12] {
        assert_eq!(nat.outbound(inner(1), remote(1, 1), now + seconds * SECOND), Some(outer));
    }
    for seconds in [16, 20] {
        assert_eq!(nat.inbound(outer, remote(1, 1), now + seconds * SECOND), Some(inner(1)));
    }
    assert_eq!(nat.inbound(outer, remote(1, 1), now + 25 * SECOND), None);
    assert_ne!(nat.outbound(inner(1), remote(1, 1), now + 25 * SECOND), Some(outer));
}

#[test]
fn a_restart_closes_everything_and_changes_the_ports_of_symmetric_nats() {
    let now = beginning();
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Open) {
        let restarted = || {
            let mut nat = Nat::new(kind, WAN, 1);
            let before = ports(&mut nat, now);
            nat.restart();
            (nat, before)
        };
        let (mut nat, before) = restarted();
        let seen = if nat.wan().is_some() { SocketAddr::new(WAN, before[0]) } else { inner(1) };
        assert_eq!(nat.inbound(seen, remote(1, 1), now), None, "{kind:?}");
        // That datagram was a stranger's knock for an open input: see the ports without it.
        let (mut nat, before) = restarted();
        let is_fixed = kind.profile().mapping != Dependence::AddressAndPortDependent;
        assert_eq!(ports(&mut nat, now) == before, is_fixed, "{kind:?}");
    }
}

#[test]
fn another_outer_address_is_seen_at_once_and_the_old_one_leads_nowhere() {
    let now = beginning();
    let mut nat = Nat::new(Kind::FullCone, WAN, 1);
    let before = nat.outbound(inner(1), remote(1, 1), now).unwrap();
    let wan = IpAddr::from([198, 19, 0, 2]);
    nat.readdress(wan);
    assert_eq!(nat.wan(), Some(wan));
    assert_eq!(nat.inbound(before, remote(1, 1), now), None);
    assert_eq!(nat.outbound(inner(1), remote(1, 1), now), Some(SocketAddr::new(wan, before.port())));
}

#[test]
fn a_stranger_that_knocks_at_an_open_input_takes_the_port_of_its_flow() {
    let now = beginning();
    let stranger = remote(9, 9);
    let mut nat = Nat::new(Kind::LinuxOpenInput, WAN, 1);
    let outer = nat.outbound(inner(1), remote(1, 1), now).unwrap();
    assert_eq!(outer.port(), inner(1).port());
    assert_eq!(nat.inbound(outer, stranger, now), None);
    let displaced = nat.outbound(inner(1), stranger, now).unwrap();
    assert_ne!(displaced, outer);
    assert_eq!(nat.inbound(displaced, stranger, now), Some(inner(1)), "an answer to the other port");
    assert_eq!(nat.inbound(outer, stranger, now), None, "the first port is the stranger's");
    assert_eq!(nat.outbound(inner(1), stranger, now), Some(displaced));
    assert_eq!(nat.outbound(inner(1), remote(2, 2), now), Some(outer), "nobody else sees it");
    // Whoever was sent to first is no stranger.
    assert_eq!(nat.inbound(outer, remote(2, 2), now), Some(inner(1)));
    assert_eq!(nat.outbound(inner(1), remote(2, 2), now), Some(outer));
    // The knock is forgotten with time.
    let later = now + 200 * SECOND;
    assert_eq!(nat.outbound(inner(1), stranger, later), Some(outer));
}

#[test]
fn no_other_kind_minds_knocks() {
    let now = beginning();
    let kinds = Kind::ALL.map(|kind| (kind, kind.profile()));
    for (kind, _) in kinds.iter().filter(|(kind, profile)| {
        *kind != Kind::LinuxOpenInput && profile.mapping == Dependence::EndpointIndependent
    }) {
        let mut nat = Nat::new(*kind, WAN, 1);
        let outer = nat.outbound(inner(1), remote(1, 1), now).unwrap();
        nat.inbound(outer, remote(9, 9), now);
        assert_eq!(nat.outbound(inner(1), remote(9, 9), now), Some(outer), "{kind:?}");
    }
}

#[test]
fn answers_to_whom_a_filter_let_in_leave_by_the_port_it_came_to() {
    let now = beginning();
    let mut nat = Nat::new(Kind::SymEif, WAN, 1);
    let outer = nat.outbound(inner(1), remote(1, 1), now).unwrap();
    assert_eq!(nat.inbound(outer, remote(9, 9), now), Some(inner(1)));
    assert_eq!(nat.outbound(inner(1), remote(9, 9), now), Some(outer));
}

#[test]
fn a_block_is_shared_by_flows_to_different_sockets_and_full_for_one() {
    let now = beginning();
    let mut nat = Nat::new(Kind::SymBlock512, WAN, 1);
    // A thousand flows fit in 512 ports when they go to different sockets.
    for port in 1..=1000 {
        nat.outbound(inner(1), remote(1, port), now).unwrap();
    }
    let mut nat = Nat::new(Kind::SymBlock512, WAN, 1);
    let sockets = (0..513).map(|port| SocketAddr::from(([192, 168, 1, 1], 2000 + port)));
    let seen: Vec<_> = sockets.filter_map(|socket| nat.outbound(socket, remote(1, 1), now)).collect();
    assert_eq!(seen.len(), 512);
}

#[test]
fn what_a_nat_remembers_is_bounded_and_room_comes_back() {
    let now = beginning();
    let mut nat = Nat::new(Kind::SymRandom, WAN, 1);
    let flows = |nat: &mut Nat, now| {
        let remotes =
            (0..=FLOWS_MAX).map(|number| remote((number >> 14) as u8, 1 + (number & 0x3fff) as u16));
        remotes.filter_map(|to| nat.outbound(inner(1), to, now)).count()
    };
    assert_eq!(flows(&mut nat, now), FLOWS_MAX);
    assert_eq!(nat.flows(), FLOWS_MAX);
    assert_eq!(flows(&mut nat, now + 31 * SECOND), FLOWS_MAX);
    // Strangers cost an open input no more.
    let mut nat = Nat::new(Kind::LinuxOpenInput, WAN, 1);
    for number in 0..u16::MAX {
        nat.inbound(SocketAddr::new(WAN, 1), remote(1, number), now);
    }
    assert!(nat.knocks.len() <= super::KNOCKS_MAX);
}

#[test]
fn the_same_seed_gives_the_same_ports_and_another_does_not() {
    let now = beginning();
    let seen = |seed| ports(&mut Nat::new(Kind::SymRandom, WAN, seed), now);
    assert_eq!(seen(1), seen(1));
    assert_ne!(seen(1), seen(2));
}
