//! The routers of the lab do what their names say: the table of RFC 4787's words, measured without Hopmesh.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use netns_tests::{
    Dependence, Internet, Ipv6, Machine, NatKind, Outside, Plan, Ports, Underlay, gets_in, heard_until,
    hears, mapping,
};

use Dependence::{Address, AddressAndPort, Endpoint};
use Ports::{Block, Preserved, Sequential, Translated};

/// What each kind is: mapping, filtering, ports.
const TABLE: [(NatKind, Dependence, Dependence, Ports); 17] = [
    (NatKind::Open, Endpoint, Endpoint, Preserved),
    (NatKind::Firewall, Endpoint, AddressAndPort, Preserved),
    (NatKind::FullCone, Endpoint, Endpoint, Preserved),
    (NatKind::FullConeX, Endpoint, Endpoint, Translated),
    (NatKind::FullConeHairpin, Endpoint, Endpoint, Preserved),
    (NatKind::AddrRestricted, Endpoint, Address, Preserved),
    (NatKind::AddrRestrictedX, Endpoint, Address, Translated),
    (NatKind::PortRestricted, Endpoint, AddressAndPort, Preserved),
    (NatKind::PortRestrictedX, Endpoint, AddressAndPort, Translated),
    (NatKind::PortRestrictedHairpin, Endpoint, AddressAndPort, Preserved),
    (NatKind::LinuxOpenInput, Endpoint, AddressAndPort, Preserved),
    (NatKind::SymSeq, AddressAndPort, AddressAndPort, Sequential),
    (NatKind::SymRandom, AddressAndPort, AddressAndPort, Translated),
    (NatKind::SymBlock512, AddressAndPort, AddressAndPort, Block(512)),
    (NatKind::SymBlock2048, AddressAndPort, AddressAndPort, Block(2048)),
    (NatKind::SymAddr, Address, Address, Translated),
    (NatKind::SymEif, AddressAndPort, Endpoint, Translated),
];

fn outside(internet: &Internet) -> ([Machine; 2], Outside) {
    let machines = ["one", "other"].map(|name| internet.public(name));
    let outside = Outside::new(&machines[0], &machines[1]);
    (machines, outside)
}

#[test]
fn every_kind_is_what_its_name_says() {
    let internet = Internet::new();
    let (_machines, outside) = outside(&internet);
    for (kind, mapping, filtering, ports) in TABLE {
        let router = internet.home(kind);
        let machine = router.machine(kind.name());
        let seen = outside.observe(&machine);
        assert_eq!(
            (seen.mapping, seen.filtering, seen.ports),
            (mapping, filtering, ports),
            "{}",
            kind.name()
        );
        let address = if kind.translates() { router.wan4() } else { machine.underlay4().unwrap() };
        assert_eq!(seen.address, address, "{}", kind.name());
    }
    let named: Vec<NatKind> = TABLE.into_iter().map(|row| row.0).chain([NatKind::UdpBlocked]).collect();
    assert_eq!(named, NatKind::ALL, "every kind is tested, the last by a test of its own");
}

#[test]
fn machines_with_the_same_port_keep_their_mappings_apart() {
    let internet = Internet::new();
    let (_machines, outside) = outside(&internet);
    for (kind, dependence, ..) in TABLE {
        if !kind.translates() || dependence != Endpoint {
            continue;
        }
        let router = internet.home(kind);
        let inside = ["a", "b"].map(|name| router.machine(&format!("{}-{name}", kind.name())));
        let sockets = inside.each_ref().map(|machine| machine.udp_on(40_001));
        let mapped = sockets.each_ref().map(|socket| mapping(socket, &outside.near));
        assert_ne!(mapped[0], mapped[1], "{}", kind.name());
        for (socket, mapped) in sockets.iter().zip(mapped) {
            assert_eq!(mapping(socket, &outside.beside), mapped, "{}", kind.name());
            assert_eq!(mapping(socket, &outside.far), mapped, "{}", kind.name());
        }
    }
}

#[test]
fn a_stranger_who_knocks_at_an_open_input_takes_the_port() {
    let internet = Internet::new();
    let (_machines, outside) = outside(&internet);
    for (kind, stays) in [(NatKind::PortRestricted, true), (NatKind::LinuxOpenInput, false)] {
        let router = internet.home(kind);
        let inside = router.machine(kind.name()).udp();
        let mapped = mapping(&inside, &outside.near);
        assert!(!gets_in(&outside.far, &outside.near, mapped, &inside));
        assert_eq!(mapping(&inside, &outside.far) == mapped, stays, "{}", kind.name());
        assert_eq!(mapping(&inside, &outside.near), mapped, "{}", kind.name());
    }
}

#[test]
fn behind_two_nats_the_stricter_one_counts() {
    let internet = Internet::new();
    let (_machines, outside) = outside(&internet);
    let homes = [NatKind::PortRestricted, NatKind::FullCone];
    let carriers = [
        NatKind::FullCone,
        NatKind::FullConeX,
        NatKind::AddrRestricted,
        NatKind::PortRestricted,
        NatKind::PortRestrictedX,
        NatKind::SymRandom,
        NatKind::SymBlock512,
    ];
    let row = |kind| TABLE.into_iter().find(|row| row.0 == kind).unwrap();
    for carrier in carriers {
        for home in homes {
            let router = internet.home(Plan::new(carrier).carrier());
            let name = format!("{}-{}", home.name(), carrier.name());
            let machine = router.home(home).machine(&name);
            let seen = outside.observe(&machine);
            let (inner, outer) = (row(home), row(carrier));
            assert_eq!(
                (seen.mapping, seen.filtering),
                (inner.1.max(outer.1), inner.2.max(outer.2)),
                "{name}"
            );
            assert_eq!((seen.address, seen.ports), (router.wan4(), outer.3), "{name}");
        }
    }
}

/// Can two sockets with these mappings talk when both send to each other's?
fn meet(sockets: [&UdpSocket; 2], mapped: [SocketAddr; 2]) -> bool {
    for _ in 0..2 {
        sockets[0].send_to(b"hello", mapped[1]).expect("there is a route");
        sockets[1].send_to(b"hello", mapped[0]).expect("there is a route");
    }
    sockets.map(|socket| {
        socket.set_read_timeout(Some(Duration::from_millis(300))).expect("not zero");
        hears(socket).is_some()
    }) == [true; 2]
}

#[test]
fn only_a_hairpin_leads_back_in() {
    let internet = Internet::new();
    let (_machines, outside) = outside(&internet);
    let kinds = [
        (NatKind::FullCone, false),
        (NatKind::FullConeHairpin, true),
        (NatKind::PortRestricted, false),
        (NatKind::PortRestrictedHairpin, true),
    ];
    for (kind, expected) in kinds {
        // Two machines of one home, then machines of two homes with one range of addresses, behind one carrier.
        let router = internet.home(kind);
        let carrier = internet.home(Plan::new(kind).carrier());
        let homes = [carrier.home(NatKind::PortRestricted), carrier.home(NatKind::PortRestrictedX)];
        let same = ["a", "b"].map(|name| router.machine(&format!("{}-{name}", kind.name())));
        let two = [0, 1].map(|i| homes[i].machine(&format!("{}-{i}", kind.name())));
        assert_eq!(two[0].underlay4(), two[1].underlay4());
        for (machines, wan) in [(same, router.wan4()), (two, carrier.wan4())] {
            let sockets = machines.each_ref().map(Machine::udp);
            let mapped = sockets.each_ref().map(|socket| mapping(socket, &outside.near));
            assert_eq!(mapped.map(|mapped| mapped.ip()), [wan; 2]);
            assert_eq!(meet(sockets.each_ref(), mapped), expected, "{} {mapped:?}", kind.name());
        }
    }
}

#[test]
fn an_idle_mapping_ends_after_its_lifetime() {
    let internet = Internet::new();
    let (_machines, outside) = outside(&internet);
    let kinds = [
        (NatKind::FullCone, true),
        (NatKind::AddrRestricted, true),
        (NatKind::PortRestricted, true),
        (NatKind::SymRandom, false),
        (NatKind::SymSeq, false),
    ];
    let set_up = kinds.map(|(kind, keeps)| {
        let router = internet.home(kind);
        router.set_lifetime_s(5);
        let inside = router.machine(kind.name()).udp();
        let mapped = mapping(&inside, &outside.near);
        outside.near.send_to(b"in time", mapped).unwrap();
        assert_eq!(hears(&inside).as_deref(), Some(&b"in time"[..]), "{}", kind.name());
        (router, inside, mapped, keeps)
    });
    for (router, inside, mapped, keeps) in set_up {
        router.await_idle();
        outside.near.send_to(b"too late", mapped).unwrap();
        assert_eq!(mapping(&inside, &outside.near) == mapped, keeps, "{}", router.kind().name());
        outside.near.send_to(b"last", mapping(&inside, &outside.near)).unwrap();
        assert_eq!(heard_until(&inside, b"last"), [b""; 0], "{}", router.kind().name());
    }
}

#[test]
fn a_reboot_forgets_and_a_new_address_is_seen_at_once() {
    let internet = Internet::new();
    let (_machines, outside) = outside(&internet);
    let kinds = [
        (NatKind::FullCone, true),
        (NatKind::PortRestricted, true),
        (NatKind::PortRestrictedX, true),
        (NatKind::SymRandom, false),
    ];
    for (kind, keeps) in kinds {
        let router = internet.home(kind);
        let inside = router.machine(kind.name()).udp();
        let before = mapping(&inside, &outside.near);
        router.reboot();
        outside.near.send_to(b"forgotten", before).unwrap();
        let after = mapping(&inside, &outside.near);
        assert_eq!(before == after, keeps, "{}", kind.name());
        let old = router.wan4();
        router.renumber();
        assert_ne!(router.wan4(), old);
        outside.near.send_to(b"gone", after).unwrap();
        let moved = mapping(&inside, &outside.near);
        assert_eq!(moved.ip(), router.wan4(), "{}", kind.name());
        assert_eq!(moved.port() == after.port(), keeps, "{}", kind.name());
        outside.near.send_to(b"last", moved).unwrap();
        assert_eq!(heard_until(&inside, b"last"), [b""; 0], "{}", kind.name());
    }
}

#[test]
fn a_router_without_translation_is_found_again_at_its_new_address() {
    let internet = Internet::new();
    let (_machines, outside) = outside(&internet);
    let router = internet.home(NatKind::Firewall);
    let inside = router.machine("a").udp();
    let before = mapping(&inside, &outside.near);
    router.renumber();
    assert_eq!(mapping(&inside, &outside.near), before);
    assert!(!gets_in(&outside.far, &outside.near, before, &inside));
}

#[test]
fn where_udp_is_blocked_only_the_web_gets_through() {
    let internet = Internet::new();
    let server = internet.public("server");
    let address = server.underlay4().unwrap();
    let machine = internet.home(NatKind::UdpBlocked).machine("a");
    let (name_server, other) = (server.udp_on(53), server.udp());
    let inside = machine.udp();
    inside.send_to(b"blocked", other.local_addr().unwrap()).unwrap();
    let _got_out = mapping(&inside, &name_server);
    other.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(hears(&other), None);
    let _listening = server.enter(|| [443, 9999].map(|port| TcpListener::bind((address, port)).unwrap()));
    let dial = |port, patience_ms| {
        let patience = Duration::from_millis(patience_ms);
        machine.enter(|| TcpStream::connect_timeout(&SocketAddr::from((address, port)), patience))
    };
    assert!(dial(443, 10_000).is_ok());
    let refusal = dial(9999, 300).unwrap_err();
    assert_eq!(refusal.kind(), std::io::ErrorKind::TimedOut, "{refusal}");
}

#[test]
fn the_ipv6_of_a_home_keeps_its_address_and_lets_in_what_answers() {
    let internet = Internet::new();
    let public = internet.public_on("public", Underlay::Dual, None);
    let stranger = internet.public_on("stranger", Underlay::Dual, None);
    let bind = |machine: &Machine| {
        let address = machine.underlay6().unwrap();
        let socket = machine.enter(|| UdpSocket::bind((address, 0)).unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    };
    let (known, unknown) = (bind(&public), bind(&stranger));
    for (name, ipv6, expected) in [("guarded", Ipv6::Firewall, false), ("open", Ipv6::Open, true)] {
        let router = internet.home(Plan::new(NatKind::SymRandom).ipv6(ipv6));
        let machine = router.machine(name);
        let inside = bind(&machine);
        let mapped = mapping(&inside, &known);
        assert_eq!(mapped, inside.local_addr().unwrap());
        assert_eq!(gets_in(&unknown, &known, mapped, &inside), expected, "{name}");
        // Two such homes meet when both send.
        let other = internet.home(Plan::new(NatKind::SymRandom).ipv6(ipv6)).machine(&format!("{name}2"));
        let sockets = [&inside, &bind(&other)];
        assert!(meet(sockets, sockets.map(|socket| socket.local_addr().unwrap())), "{name}");
    }
}
