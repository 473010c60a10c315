//! The underlay: which machines and routers share a network segment, and the way of a datagram between them.
//!
//! ```text
//! depart:  the sender's realm ─▶ has it whom the datagram is for? ─no─▶ out through the realm's router ─▶ outer realm …
//! arrive:  a realm ─▶ a machine of that address, or a router ─▶ in through it ─▶ inner realm …
//! ```
//!
//! It decides where a datagram goes and by which addresses, never whether or when it gets there: that is the network's.

use crate::machine::Machine;
use crate::nat::{Behaviour, Nat};
use overlay::SocketId;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Hops of a datagram that nobody wants to die on its way.
const TTL: u8 = 64;
/// Routers of the internet between any two of its networks: more than the two hops of an opener lead over.
const INTERNET_HOPS: u8 = 4;

/// Machines and routers that reach each other by their own addresses: the internet, or what is behind a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Realm(usize);

impl Realm {
    /// Where public addresses are.
    pub const INTERNET: Self = Self(0);

    fn router(self) -> Option<usize> {
        self.0.checked_sub(1)
    }

    fn behind(router: usize) -> Self {
        Self(router + 1)
    }
}

/// A NAT, or a firewall, and where its outer side is.
struct Router {
    nat: Nat,
    outer: Realm,
}

/// Who has an address in a realm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Machine(usize),
    Router(usize),
}

/// A datagram on its way between two realms' edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transit {
    /// The realm that it is let into.
    pub(crate) realm: Realm,
    /// Its source, as seen there.
    pub(crate) from: SocketAddr,
    /// Its destination.
    pub(crate) to: SocketAddr,
    ttl: u8,
}

/// All realms but for their machines.
#[derive(Default)]
pub(crate) struct Underlay {
    routers: Vec<Router>,
}

impl Underlay {
    /// Puts a router into a realm; the realm behind it.
    pub(crate) fn add_router(&mut self, nat: Nat, outer: Realm) -> Realm {
        self.routers.push(Router { nat, outer });
        Realm::behind(self.routers.len() - 1)
    }

    /// The router that a realm is behind.
    pub(crate) fn nat(&self, realm: Realm) -> Option<&Nat> {
        Some(&self.routers.get(realm.router()?)?.nat)
    }

    pub(crate) fn nat_mut(&mut self, realm: Realm) -> Option<&mut Nat> {
        Some(&mut self.routers.get_mut(realm.router()?)?.nat)
    }

    /// The ways out of a machine's realm, as far as one leads to whom a datagram is for; none when there is nobody, or
    /// when it is not let out. Routers on the way remember it.
    pub(crate) fn depart(
        &mut self,
        machines: &[Machine],
        (sender, from): (usize, SocketAddr),
        to: SocketAddr,
        ttl: Option<u8>,
        now: Instant,
    ) -> Option<Transit> {
        let mut at = Transit { realm: machines[sender].realm, from, to, ttl: ttl.unwrap_or(TTL) };
        while self.holder(machines, at.realm, to.ip()).is_none() {
            let router = self.routers.get_mut(at.realm.router()?)?;
            at.pass(1)?;
            let Behaviour { hairpins, .. } = *router.nat.behaviour();
            if router.nat.wan() == Some(to.ip()) && !hairpins {
                return None;
            }
            at.from = router.nat.outbound(at.from, to, now)?;
            at.realm = router.outer;
        }
        if at.realm == Realm::INTERNET {
            at.pass(INTERNET_HOPS)?;
        }
        Some(at)
    }

    /// The machine and the socket that a datagram reaches, and what it sees as its source. Routers on the way remember it.
    pub(crate) fn arrive(
        &mut self,
        machines: &[Machine],
        mut at: Transit,
        now: Instant,
    ) -> Option<(usize, SocketId)> {
        loop {
            match self.holder(machines, at.realm, at.to.ip())? {
                Holder::Machine(machine) => return Some((machine, machines[machine].socket_at(at.to)?)),
                Holder::Router(router) => {
                    at.to = self.routers[router].nat.inbound(at.to, at.from, now)?;
                    at.realm = Realm::behind(router);
                    at.pass(1)?;
                }
            }
        }
    }

    /// Machines that may get a datagram: the one that has its address, or all behind the router that has it.
    pub(crate) fn receivers(&self, machines: &[Machine], at: &Transit) -> Vec<usize> {
        match self.holder(machines, at.realm, at.to.ip()) {
            Some(Holder::Machine(machine)) => {
                machines[machine].socket_at(at.to).map(|_| machine).into_iter().collect()
            }
            Some(Holder::Router(router)) => {
                let behind = Realm::behind(router);
                (0..machines.len())
                    .filter(|machine| self.is_within(machines[*machine].realm, behind))
                    .collect()
            }
            None => vec![],
        }
    }

    /// Whether a realm is another one or behind it.
    fn is_within(&self, inner: Realm, outer: Realm) -> bool {
        let further = |realm: &Realm| Some(self.routers[realm.router()?].outer);
        std::iter::successors(Some(inner), further).any(|realm| realm == outer)
    }

    /// Who answers to an address in a realm. A router that does not translate answers for whoever is behind it.
    fn holder(&self, machines: &[Machine], realm: Realm, ip: IpAddr) -> Option<Holder> {
        let is_machine = |machine: &Machine| machine.realm == realm && machine.has_address(ip);
        if let Some(machine) = machines.iter().position(is_machine) {
            return Some(Holder::Machine(machine));
        }
        let is_router = |(number, router): &(usize, &Router)| {
            router.outer == realm
                && router.nat.wan().map_or_else(
                    || self.holder(machines, Realm::behind(*number), ip).is_some(),
                    |wan| wan == ip,
                )
        };
        let router = self.routers.iter().enumerate().find(is_router)?;
        Some(Holder::Router(router.0))
    }
}

impl Transit {
    /// Passes some routers; none when the last one has thrown it away.
    fn pass(&mut self, hops: u8) -> Option<()> {
        self.ttl = self.ttl.checked_sub(hops).filter(|left| *left > 0)?;
        Some(())
    }
}

#[cfg(test)]
mod tests;
