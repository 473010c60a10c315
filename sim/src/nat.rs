//! A NAT or a firewall, in the words of RFC 4787: what becomes of the addresses of a datagram that leaves a home, and
//! whether one that comes gets in.
//!
//! ```text
//! outbound: a live flow to that remote socket? ─no─▶ a port by the mapping's dependence ─▶ a new flow
//! inbound:  a live flow from that remote socket? ─no─▶ somebody's port, by the filter's dependence ─▶ a new flow
//! ```
//!
//! As in Linux, everything is a flow between an inner and a remote socket, and a mapping is what the live flows of one
//! inner socket share. It never looks at a byte of a datagram and knows neither routes nor hops.

mod flows;
mod kind;
#[cfg(test)]
mod tests;

pub use kind::{Behaviour, Kind, REPLIED_LIFETIME, UNREPLIED_LIFETIME};

use crate::random::Random;
use flows::{Flows, Remotes, Way};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use wire::{Dependence, Ports};

/// The lowest port that a NAT gives of its own choice.
const PORT_MIN: u16 = 1024;
/// Ports of NATs that give one to each inner socket for good lie from here on, as in the lab.
const FIXED_FIRST: u16 = 20_000;
/// How many of them there are.
const FIXED_COUNT: u64 = 30_000;
/// So many random ports are tried before one after the other is, as Linux does.
const RANDOM_TRIES: usize = 128;
/// Strangers that a NAT remembers to have knocked; more are not noticed.
const KNOCKS_MAX: usize = 4096;

/// A NAT or a firewall with all that it remembers.
#[derive(Debug)]
pub struct Nat {
    behaviour: Behaviour,
    /// Its outer address.
    wan: IpAddr,
    flows: Flows,
    /// Strangers that sent to us: where to, from where, and until when that counts.
    knocks: BTreeMap<(SocketAddr, SocketAddr), Instant>,
    /// Stands for the key of the hash that ports come from.
    key: u64,
    /// The port that a sequential NAT gives next.
    next: u16,
    random: Random,
}

impl Nat {
    /// A NAT with an outer address, which a firewall makes no use of, that remembers nothing.
    #[must_use]
    pub fn new(behaviour: impl Into<Behaviour>, wan: IpAddr, seed: u64) -> Self {
        let behaviour = behaviour.into();
        let mut random = Random::new(seed);
        Self {
            behaviour,
            wan,
            flows: Flows::new(behaviour.unreplied_lifetime, behaviour.replied_lifetime),
            knocks: BTreeMap::new(),
            key: random.u64(),
            next: FIXED_FIRST + random.below(FIXED_COUNT as usize) as u16,
            random,
        }
    }

    /// What it does.
    #[must_use]
    pub fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }

    /// The address that others see, where it translates.
    #[must_use]
    pub fn wan(&self) -> Option<IpAddr> {
        self.behaviour.profile.translates.then_some(self.wan)
    }

    /// How many flows it remembers, ended ones that were not yet removed included.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.flows.count()
    }

    /// Forgets everything, as at a restart.
    pub fn restart(&mut self) {
        self.flows.clear();
        self.knocks.clear();
    }

    /// Gets another outer address; flows of the old one are gone.
    pub fn readdress(&mut self, wan: IpAddr) {
        self.restart();
        self.wan = wan;
    }

    /// The source that a datagram from an inner socket has outside; none when there is no room or no port for it.
    pub fn outbound(&mut self, inner: SocketAddr, to: SocketAddr, now: Instant) -> Option<SocketAddr> {
        if let Some(flow) = self.flows.between(inner, to, now) {
            self.flows.refresh(inner, to, Way::Out, now);
            return Some(flow.outer);
        }
        let (outer, is_displaced) = self.map(inner, to, now)?;
        self.flows.begin((inner, to), (outer, is_displaced), Way::Out, now).then_some(outer)
    }

    /// The inner socket that gets a datagram for an address of ours, or of a machine behind us where we do not
    /// translate.
    pub fn inbound(&mut self, to: SocketAddr, from: SocketAddr, now: Instant) -> Option<SocketAddr> {
        let owner = self.flows.owners(to, Remotes::One(from), now).next();
        if let Some(inner) = owner {
            self.flows.refresh(inner, from, Way::In, now);
            return Some(inner);
        }
        let admitted = match self.behaviour.profile.filtering {
            Dependence::EndpointIndependent => Some(Remotes::All),
            Dependence::AddressDependent => Some(Remotes::Of(from.ip())),
            Dependence::AddressAndPortDependent | Dependence::Unknown => None,
        };
        let inner = admitted.and_then(|remotes| self.flows.owners(to, remotes, now).next());
        let Some(inner) = inner else {
            self.knock(to, from, now);
            return None;
        };
        // An answer to this datagram leaves by the port that it came to, whatever port was used before. Linux keeps both
        // flows apart by another source of this datagram; for those who look from outside that is the same.
        self.flows.begin((inner, from), (to, false), Way::In, now);
        Some(inner)
    }

    /// A stranger's datagram ends here; where it is accepted, it leaves a flow of its own that owns the port.
    fn knock(&mut self, to: SocketAddr, from: SocketAddr, now: Instant) {
        if !self.behaviour.accepts_strangers {
            return;
        }
        if self.knocks.len() >= KNOCKS_MAX {
            self.knocks.retain(|_, until| *until > now);
        }
        if self.knocks.len() < KNOCKS_MAX {
            self.knocks.insert((to, from), now + self.behaviour.unreplied_lifetime);
        }
    }

    /// What the remote socket of a new flow sees, and whether that is another than the mapping's.
    fn map(&mut self, inner: SocketAddr, to: SocketAddr, now: Instant) -> Option<(SocketAddr, bool)> {
        if self.wan().is_none() {
            return Some((inner, false));
        }
        let shared_by = match self.behaviour.profile.mapping {
            Dependence::EndpointIndependent => Some(Remotes::All),
            Dependence::AddressDependent => Some(Remotes::Of(to.ip())),
            Dependence::AddressAndPortDependent | Dependence::Unknown => None,
        };
        let shared = shared_by.and_then(|remotes| self.flows.outer_of(inner, remotes, now));
        let outer = match shared {
            Some(outer) => outer,
            None => {
                let port = self.choose(inner, to, now)?;
                self.outer(port)
            }
        };
        if self.knocks.get(&(outer, to)).is_some_and(|until| *until > now) {
            let port = self.random_port((PORT_MIN, u16::MAX), inner, to, now)?;
            return Some((self.outer(port), true));
        }
        Some((outer, false))
    }

    fn outer(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.wan, port)
    }

    /// A port for a new mapping.
    fn choose(&mut self, inner: SocketAddr, to: SocketAddr, now: Instant) -> Option<u16> {
        let all = (PORT_MIN, u16::MAX);
        let wish = match self.behaviour.profile.ports {
            Ports::Preserved => inner.port(),
            Ports::Fixed => self.fixed_port(inner, to),
            Ports::Sequential { step } => return self.next_port(step, inner, to, now),
            Ports::Block { first, last } => return self.random_port((first, last), inner, to, now),
            Ports::Random | Ports::Unknown => return self.random_port(all, inner, to, now),
        };
        if self.is_free(wish, inner, to, now) { Some(wish) } else { self.random_port(all, inner, to, now) }
    }

    fn fixed_port(&self, inner: SocketAddr, to: SocketAddr) -> u16 {
        let is_per_address = self.behaviour.profile.mapping == Dependence::AddressDependent;
        let remote = is_per_address.then(|| to.ip());
        FIXED_FIRST + (scatter(self.key, &format!("{inner} {remote:?}")) % FIXED_COUNT) as u16
    }

    fn next_port(&mut self, step: i16, inner: SocketAddr, to: SocketAddr, now: Instant) -> Option<u16> {
        for _ in 0..=u16::MAX {
            let port = self.next;
            let next = port.wrapping_add_signed(step);
            self.next = if next < PORT_MIN { FIXED_FIRST } else { next };
            if self.is_free(port, inner, to, now) {
                return Some(port);
            }
        }
        None
    }

    fn random_port(
        &mut self,
        (first, last): (u16, u16),
        inner: SocketAddr,
        to: SocketAddr,
        now: Instant,
    ) -> Option<u16> {
        let count = usize::from(last - first) + 1;
        for _ in 0..RANDOM_TRIES {
            let port = first + self.random.below(count) as u16;
            if self.is_free(port, inner, to, now) {
                return Some(port);
            }
        }
        (first..=last).find(|port| self.is_free(*port, inner, to, now))
    }

    /// Whether an inner socket may be seen as this port. Where only the very remote socket gets in, many may share one.
    fn is_free(&self, port: u16, inner: SocketAddr, to: SocketAddr, now: Instant) -> bool {
        let profile = &self.behaviour.profile;
        let is_shared = profile.mapping == Dependence::AddressAndPortDependent
            && profile.filtering == Dependence::AddressAndPortDependent;
        let others = if is_shared { Remotes::One(to) } else { Remotes::All };
        self.flows.owners(self.outer(port), others, now).all(|owner| owner == inner)
    }
}

/// FNV-1a with a key, mixed once more: a port that nobody foresees but that is always the same.
fn scatter(key: u64, text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.bytes().fold(key ^ 0xcbf2_9ce4_8422_2325, step);
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
}
