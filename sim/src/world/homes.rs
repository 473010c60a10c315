//! Homes: routers of all kinds, the machines behind them, and public machines.

use super::World;
use crate::nat::{Behaviour, Kind, Nat};
use crate::underlay::Realm;
use std::net::{IpAddr, SocketAddr};

/// The port that every node listens at.
const PORT: u16 = 41641;
/// The last octet of the first machine of a home.
const FIRST_HOST: usize = 10;

/// A home that was built: what it is behind, and its machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// What it is behind.
    pub kind: Kind,
    /// Where its machines are; the internet, when it is open.
    pub realm: Realm,
    /// The numbers of its machines.
    pub machines: Vec<usize>,
}

impl World {
    /// Builds homes with so many machines each, all off. Every home behind a NAT has the same 192.168.1.0/24.
    pub fn homes(&mut self, homes: &[(Kind, usize)]) -> Vec<Home> {
        homes.iter().map(|(kind, machines)| self.add_home(*kind, (*kind).into(), *machines)).collect()
    }

    /// Builds a home on the internet whose router behaves in some way.
    ///
    /// # Panics
    /// When it has more machines behind a NAT than a /24 has room for.
    pub fn add_home(&mut self, kind: Kind, behaviour: Behaviour, machines: usize) -> Home {
        let realm = if kind == Kind::Open {
            Realm::INTERNET
        } else {
            let wan = self.new_public_address();
            self.add_router(behaviour, Realm::INTERNET, wan)
        };
        let machines = (0..machines).map(|host| self.add_host(realm, host)).collect();
        Home { kind, realm, machines }
    }

    /// Puts a router into a realm, with an address there; the realm behind it. A router behind another makes double NAT.
    pub fn add_router(&mut self, behaviour: impl Into<Behaviour>, outer: Realm, wan: IpAddr) -> Realm {
        let nat = Nat::new(behaviour, wan, self.random.u64());
        self.underlay.add_router(nat, outer)
    }

    /// The router before a realm, to look at it, restart it or give it another address.
    pub fn nat_mut(&mut self, realm: Realm) -> Option<&mut Nat> {
        self.underlay.nat_mut(realm)
    }

    /// Adds a machine to a home, off.
    fn add_host(&mut self, realm: Realm, host: usize) -> usize {
        let translates = self.underlay.nat(realm).is_some_and(|nat| nat.wan().is_some());
        let ip = if translates {
            let host = u8::try_from(FIRST_HOST + host).expect("a home has at most 245 machines");
            IpAddr::from([192, 168, 1, host])
        } else {
            self.public_address_in(realm)
        };
        let name = format!("m{}", self.machines.len()).parse().expect("a label");
        self.add_machine_in(realm, name, vec![SocketAddr::new(ip, PORT)])
    }

    /// An address for one more machine behind a firewall: behind one of its neighbours', of the same /24.
    fn public_address_in(&mut self, realm: Realm) -> IpAddr {
        let mut neighbours =
            self.machines.iter().filter(|machine| machine.realm == realm && realm != Realm::INTERNET);
        match neighbours.next_back().map(|machine| machine.addresses[0].ip()) {
            Some(IpAddr::V4(ip)) => IpAddr::V4((u32::from(ip) + 1).into()),
            Some(IpAddr::V6(_)) | None => self.new_public_address(),
        }
    }

    /// An IPv4 address of the internet that nobody has had, of the networks for benchmarks (RFC 2544) in turn: what a node believes
    /// of its own address, witnesses in two networks must say. Each is in a /24 of its own while there are so many.
    pub fn new_public_address(&mut self) -> IpAddr {
        self.public_addresses += 1;
        let [round, subnet] = (self.public_addresses / 2).to_be_bytes();
        IpAddr::from([198, 18 + (self.public_addresses % 2) as u8, subnet, 1 + 32 * round])
    }
}
