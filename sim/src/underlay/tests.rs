//! Ways of datagrams through routers, without a Node.

mod pairs;

use super::{Realm, Transit, Underlay};
use crate::machine::Machine;
use crate::nat::{Behaviour, Kind, Nat};
use overlay::Identity;
use overlay::SocketId;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Machines and routers at one instant.
struct Place {
    underlay: Underlay,
    machines: Vec<Machine>,
    now: Instant,
}

/// Who got a datagram, by which socket, and from where, as it sees it.
type Receipt = (usize, SocketId, SocketAddr);

impl Place {
    #[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
    fn new() -> Self {
        Self { underlay: Underlay::default(), machines: vec![], now: Instant::now() }
    }

    fn router(&mut self, behaviour: impl Into<Behaviour>, outer: Realm, wan: [u8; 4]) -> Realm {
        let seed = self.machines.len() as u64 + u64::from(wan[3]);
        self.underlay.add_router(Nat::new(behaviour, wan.into(), seed), outer)
    }

    fn machine(&mut self, realm: Realm, ip: [u8; 4]) -> usize {
        let name = "m".parse().unwrap();
        let address = SocketAddr::from((ip, 7000));
        let identity = Identity::generate([self.machines.len() as u8 + 1; 32]);
        self.machines.push(Machine::new(name, identity, realm, vec![address]));
        self.machines.len() - 1
    }

    /// A machine on the internet, or alone in a home of a kind.
    fn home(&mut self, kind: Kind, number: u8) -> usize {
        let public = [198, 19, 0, number];
        if kind == Kind::Open {
            return self.machine(Realm::INTERNET, public);
        }
        let realm = self.router(kind, Realm::INTERNET, public);
        let translates = kind.profile().translates;
        self.machine(realm, if translates { [192, 168, 1, 10] } else { public })
    }

    fn send(&mut self, machine: usize, to: SocketAddr) -> Option<Receipt> {
        self.send_by(machine, SocketId::MAIN, to, None)
    }

    fn send_by(
        &mut self,
        machine: usize,
        socket: SocketId,
        to: SocketAddr,
        ttl: Option<u8>,
    ) -> Option<Receipt> {
        let at = self.depart(machine, socket, to, ttl)?;
        let (receiver, socket) = self.underlay.arrive(&self.machines, at, self.now)?;
        Some((receiver, socket, at.from))
    }

    fn depart(
        &mut self,
        machine: usize,
        socket: SocketId,
        to: SocketAddr,
        ttl: Option<u8>,
    ) -> Option<Transit> {
        let from = self.machines[machine].address_towards(to, socket)?;
        self.underlay.depart(&self.machines, (machine, from), to, ttl, self.now)
    }

    fn address(&self, machine: usize) -> SocketAddr {
        self.machines[machine].addresses[0]
    }

    fn open_socket(&mut self, machine: usize, socket: u16, port: u16) {
        self.machines[machine].sockets.insert(SocketId(socket), port);
    }
}

fn address(ip: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::from((ip, port))
}

const MAIN: SocketId = SocketId::MAIN;

#[test]
fn neighbours_reach_each_other_by_their_own_addresses_and_nobody_else_does() {
    let mut place = Place::new();
    let realm = place.router(Kind::PortRestricted, Realm::INTERNET, [198, 19, 0, 1]);
    let a = place.machine(realm, [192, 168, 1, 10]);
    let b = place.machine(realm, [192, 168, 1, 11]);
    let public = place.home(Kind::Open, 9);
    assert_eq!(place.send(a, place.address(b)), Some((b, MAIN, place.address(a))));
    assert_eq!(place.underlay.nat(realm).unwrap().flows(), 0, "the router sees nothing of it");
    assert_eq!(place.send(public, place.address(b)), None);
    // In another home the same address is somebody else.
    let twin = place.home(Kind::PortRestricted, 2);
    assert_eq!(place.address(twin), place.address(a));
    assert_eq!(place.send(b, place.address(twin)), Some((a, MAIN, place.address(b))));
}

#[test]
fn what_a_home_sends_is_seen_from_its_outer_address_and_answered_there() {
    let mut place = Place::new();
    let [home, public] = [(Kind::PortRestrictedX, 1), (Kind::Open, 9)].map(|(k, n)| place.home(k, n));
    let (receiver, socket, seen) = place.send(home, place.address(public)).unwrap();
    assert_eq!((receiver, socket, seen.ip()), (public, MAIN, IpAddr::from([198, 19, 0, 1])));
    assert_ne!(seen.port(), 7000);
    assert_eq!(place.send(public, seen), Some((home, MAIN, place.address(public))));
    place.underlay.nat_mut(Realm::behind(0)).unwrap().restart();
    assert_eq!(place.send(public, seen), None);
    // Another outer address is seen at once.
    place.underlay.nat_mut(Realm::behind(0)).unwrap().readdress([198, 19, 7, 7].into());
    let (_, _, moved) = place.send(home, place.address(public)).unwrap();
    assert_eq!(moved, address([198, 19, 7, 7], seen.port()));
    assert_eq!(place.send(public, seen), None);
    assert_eq!(place.send(public, moved), Some((home, MAIN, place.address(public))));
}

#[test]
fn a_firewall_keeps_addresses_and_keeps_strangers_out() {
    let mut place = Place::new();
    let [home, public] = [(Kind::Firewall, 1), (Kind::Open, 9)].map(|(k, n)| place.home(k, n));
    assert_eq!(place.send(public, place.address(home)), None);
    assert_eq!(place.send(home, place.address(public)), Some((public, MAIN, place.address(home))));
    assert_eq!(place.send(public, place.address(home)), Some((home, MAIN, place.address(public))));
}

#[test]
fn every_socket_of_a_machine_has_a_mapping_of_its_own() {
    let mut place = Place::new();
    let [home, public] = [(Kind::PortRestricted, 1), (Kind::Open, 9)].map(|(k, n)| place.home(k, n));
    place.open_socket(home, 3, 50_003);
    let spare = SocketId(3);
    let (_, _, main_seen) = place.send(home, place.address(public)).unwrap();
    let (_, _, spare_seen) = place.send_by(home, spare, place.address(public), None).unwrap();
    assert_ne!(main_seen, spare_seen);
    assert_eq!(place.send(public, spare_seen), Some((home, spare, place.address(public))));
    place.machines[home].sockets.clear();
    assert_eq!(place.send(public, spare_seen), None, "the socket was closed");
    assert_eq!(place.send_by(home, spare, place.address(public), None), None);
}

#[test]
fn a_low_ttl_opens_our_own_nat_and_never_reaches_the_peers() {
    let mut place = Place::new();
    let [a, b] = [1, 2].map(|number| place.home(Kind::LinuxOpenInput, number));
    let outer = |number| address([198, 19, 0, number], 7000);
    assert_eq!(place.send_by(a, MAIN, outer(2), Some(2)), None);
    // Ours is open, and the peer's was not knocked at: it shows its own port, and gets in.
    assert_eq!(place.send(b, outer(1)), Some((a, MAIN, outer(2))));
    assert_eq!(place.send(a, outer(2)), Some((b, MAIN, outer(1))));
    // One hop is too few for even our own router to let it out.
    let c = place.home(Kind::PortRestricted, 3);
    assert_eq!(place.send_by(c, MAIN, outer(1), Some(1)), None);
    assert_eq!(place.underlay.nat(Realm::behind(2)).unwrap().flows(), 0);
}

#[test]
fn two_hops_open_the_inner_of_two_nats_and_three_open_both() {
    let mut place = Place::new();
    let carrier = place.router(Kind::PortRestricted, Realm::INTERNET, [198, 19, 0, 1]);
    let realm = place.router(Kind::PortRestricted, carrier, [100, 64, 0, 2]);
    let home = place.machine(realm, [192, 168, 1, 10]);
    let public = place.home(Kind::Open, 9);
    for (ttl, flows) in [(2, [1, 0]), (3, [1, 1]), (4, [1, 1])] {
        assert_eq!(place.send_by(home, MAIN, place.address(public), Some(ttl)), None);
        let open = [realm, carrier].map(|realm| place.underlay.nat(realm).unwrap().flows());
        assert_eq!(open, flows, "{ttl} hops");
    }
}

#[test]
fn two_nats_in_a_row_show_the_address_of_the_outer_one_and_filter_as_the_stricter() {
    let kinds = [Kind::FullCone, Kind::PortRestricted];
    for (inner, outer) in kinds.into_iter().flat_map(|inner| kinds.map(|outer| (inner, outer))) {
        let mut place = Place::new();
        let carrier = place.router(outer, Realm::INTERNET, [198, 19, 0, 1]);
        let realm = place.router(inner, carrier, [100, 64, 0, 2]);
        let home = place.machine(realm, [192, 168, 1, 10]);
        let [public, stranger] = [8, 9].map(|number| place.home(Kind::Open, number));
        let (_, _, seen) = place.send(home, place.address(public)).unwrap();
        assert_eq!(seen.ip(), IpAddr::from([198, 19, 0, 1]));
        assert!(place.send(public, seen).is_some());
        let is_open = inner == Kind::FullCone && outer == Kind::FullCone;
        assert_eq!(place.send(stranger, seen).is_some(), is_open, "{inner:?} behind {outer:?}");
    }
}

#[test]
fn neighbours_meet_by_their_outer_address_only_where_the_nat_hairpins() {
    for hairpins in [false, true] {
        let mut place = Place::new();
        let behaviour = Behaviour { hairpins, ..Kind::FullCone.into() };
        let realm = place.router(behaviour, Realm::INTERNET, [198, 19, 0, 1]);
        let [a, b] = [10, 11].map(|host| place.machine(realm, [192, 168, 1, host]));
        let public = place.home(Kind::Open, 9);
        let [_, seen] = [a, b].map(|machine| place.send(machine, place.address(public)).unwrap().2);
        let receipt = place.send(a, seen);
        let expected = (b, MAIN, address([198, 19, 0, 1], 7000));
        assert_eq!(receipt, hairpins.then_some(expected), "the outer source is seen");
    }
}

#[test]
fn two_homes_with_one_range_behind_one_carrier_need_its_hairpin() {
    for hairpins in [false, true] {
        let mut place = Place::new();
        let behaviour = Behaviour { hairpins, ..Kind::PortRestrictedX.into() };
        let carrier = place.router(behaviour, Realm::INTERNET, [198, 19, 0, 1]);
        let homes = [2, 3].map(|host| place.router(Kind::PortRestricted, carrier, [100, 64, 0, host]));
        let [a, b] = homes.map(|realm| place.machine(realm, [192, 168, 1, 10]));
        let public = place.home(Kind::Open, 9);
        let [seen_a, seen_b] = [a, b].map(|machine| place.send(machine, place.address(public)).unwrap().2);
        assert_ne!(seen_a, seen_b);
        assert_eq!(place.send(a, seen_b), None, "the first only opens");
        assert_eq!(place.send(b, seen_a), hairpins.then_some((a, MAIN, seen_b)));
        assert_eq!(place.send(a, seen_b), hairpins.then_some((b, MAIN, seen_a)));
    }
}

#[test]
fn a_partition_asks_for_all_that_may_get_a_datagram() {
    let mut place = Place::new();
    let carrier = place.router(Kind::FullCone, Realm::INTERNET, [198, 19, 0, 1]);
    let realm = place.router(Kind::FullCone, carrier, [100, 64, 0, 2]);
    let public = place.home(Kind::Open, 9);
    let near = place.machine(carrier, [100, 64, 0, 3]);
    let far = place.machine(realm, [192, 168, 1, 10]);
    let receivers = |place: &mut Place, to| {
        let at = place.depart(public, MAIN, to, None);
        at.map(|at| place.underlay.receivers(&place.machines, &at))
    };
    assert_eq!(receivers(&mut place, address([198, 19, 0, 1], 7000)), Some(vec![near, far]));
    assert_eq!(receivers(&mut place, address([198, 19, 0, 9], 7000)), Some(vec![public]));
    assert_eq!(receivers(&mut place, address([198, 19, 0, 9], 1)), Some(vec![]), "no socket");
    assert_eq!(receivers(&mut place, address([198, 19, 0, 8], 1)), None, "nobody");
}
