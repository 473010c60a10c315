//! A model of the NATs of nat/README.md section 3, after what Linux does: a flow is a socket, a port outside and a far
//! end; what comes from the far end of a flow goes to its socket.

use crate::punch::Shuffle;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use wire::{Dependence, NatProfile, Ports};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Open,
    Firewall,
    FullCone,
    AddressRestricted,
    PortRestricted,
    /// Port-restricted, but ports are not preserved.
    PortChanging,
    /// Port-restricted until a stranger knocks: then the port towards it is another one.
    LinuxOpenInput,
    Sequential,
    Random,
    Block(u16),
    /// Another port for each address, and addresses are let in that were sent to.
    ByAddress,
    /// Random ports, but strangers are let in.
    RandomOpen,
}

const BLOCK_FIRST: u16 = 10_240;

impl Kind {
    pub(crate) fn profile(self) -> NatProfile {
        use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
        let (mapping, filtering, ports) = match self {
            Self::Open | Self::FullCone => (EndpointIndependent, EndpointIndependent, Ports::Preserved),
            Self::AddressRestricted => (EndpointIndependent, AddressDependent, Ports::Preserved),
            Self::Firewall | Self::PortRestricted | Self::LinuxOpenInput => {
                (EndpointIndependent, AddressAndPortDependent, Ports::Preserved)
            }
            Self::PortChanging => (EndpointIndependent, AddressAndPortDependent, Ports::Fixed),
            Self::Sequential => {
                (AddressAndPortDependent, AddressAndPortDependent, Ports::Sequential { step: 1 })
            }
            Self::Random => (AddressAndPortDependent, AddressAndPortDependent, Ports::Random),
            Self::Block(size) => {
                let ports = Ports::Block { first: BLOCK_FIRST, last: BLOCK_FIRST + size - 1 };
                (AddressAndPortDependent, AddressAndPortDependent, ports)
            }
            Self::ByAddress => (AddressDependent, AddressDependent, Ports::Random),
            Self::RandomOpen => (AddressAndPortDependent, EndpointIndependent, Ports::Random),
        };
        NatProfile { translates: !matches!(self, Self::Open | Self::Firewall), mapping, filtering, ports }
    }
}

#[derive(Debug)]
pub(crate) struct Nat {
    kind: Kind,
    /// Port outside, by the port inside and the far end.
    outward: BTreeMap<(u16, SocketAddr), u16>,
    /// Port inside, by the port outside and the far end.
    inward: BTreeMap<(u16, SocketAddr), u16>,
    /// Port inside, by the port outside, for all far ends.
    learnt: BTreeMap<u16, u16>,
    /// Addresses that a port outside has sent to.
    sent_to: BTreeSet<(u16, IpAddr)>,
    by_address: BTreeMap<(u16, IpAddr), u16>,
    pub(crate) counter: u16,
    shuffle: Shuffle,
}

impl Nat {
    pub(crate) fn new(kind: Kind, seed: u64) -> Self {
        Self {
            kind,
            outward: BTreeMap::new(),
            inward: BTreeMap::new(),
            learnt: BTreeMap::new(),
            sent_to: BTreeSet::new(),
            by_address: BTreeMap::new(),
            counter: 20_000,
            shuffle: Shuffle::new(seed),
        }
    }

    /// A packet leaves: its port outside.
    pub(crate) fn leave(&mut self, inside: u16, far: SocketAddr) -> u16 {
        if let Some(outside) = self.outward.get(&(inside, far)) {
            return *outside;
        }
        let mut outside = self.allocate(inside, far);
        while self.inward.contains_key(&(outside, far)) {
            self.by_address.remove(&(inside, far.ip()));
            // The port is taken in both directions by who has knocked.
            let is_knocked = self.kind == Kind::LinuxOpenInput;
            outside = if is_knocked { self.between(1024, u16::MAX) } else { self.allocate(inside, far) };
        }
        self.flow(inside, outside, far);
        self.learnt.insert(outside, inside);
        self.sent_to.insert((outside, far.ip()));
        outside
    }

    /// A packet comes from a far end to a port outside: the port inside, when it is let in.
    pub(crate) fn enter(&mut self, far: SocketAddr, outside: u16) -> Option<u16> {
        match self.inward.get(&(outside, far)) {
            Some(0) => return None,
            Some(inside) => return Some(*inside),
            None => {}
        }
        let admits = match self.kind {
            Kind::Open => return Some(outside),
            Kind::FullCone | Kind::RandomOpen => true,
            Kind::AddressRestricted | Kind::ByAddress => self.sent_to.contains(&(outside, far.ip())),
            Kind::LinuxOpenInput => {
                // The router's own: the flow ends there and keeps the port.
                self.inward.insert((outside, far), 0);
                false
            }
            Kind::Firewall
            | Kind::PortRestricted
            | Kind::PortChanging
            | Kind::Sequential
            | Kind::Random
            | Kind::Block(_) => false,
        };
        let inside = *self.learnt.get(&outside).filter(|_| admits)?;
        self.flow(inside, outside, far);
        Some(inside)
    }

    /// What came in last is answered from where it came in. (Linux shows it inside under another source port when there is
    /// a flow of our own already, to the same effect.)
    fn flow(&mut self, inside: u16, outside: u16, far: SocketAddr) {
        self.outward.insert((inside, far), outside);
        self.inward.insert((outside, far), inside);
    }

    fn allocate(&mut self, inside: u16, far: SocketAddr) -> u16 {
        match self.kind {
            Kind::Open
            | Kind::Firewall
            | Kind::FullCone
            | Kind::AddressRestricted
            | Kind::PortRestricted
            | Kind::LinuxOpenInput => inside,
            Kind::PortChanging => inside ^ 0x1555,
            Kind::Sequential => {
                self.counter += 1;
                self.counter
            }
            Kind::Random | Kind::RandomOpen => self.between(1024, u16::MAX),
            Kind::Block(size) => self.between(BLOCK_FIRST, BLOCK_FIRST + size - 1),
            Kind::ByAddress => {
                let port = self.between(1024, u16::MAX);
                *self.by_address.entry((inside, far.ip())).or_insert(port)
            }
        }
    }

    fn between(&mut self, first: u16, last: u16) -> u16 {
        first + u16::try_from(self.shuffle.below(u32::from(last - first) + 1)).unwrap()
    }
}
