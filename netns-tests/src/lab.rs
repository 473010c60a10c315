//! The plain lab: a switch with two subnets and a router between them, all in a namespace of their own.
//!
//! Machines start in the first subnet, 192.0.2.0/24 and 2001:db8::/64; [`Machine::roam`] moves one to the second,
//! 198.51.100.0/24 and 2001:db8:1::/64. Nothing is filtered or translated: see [`crate::Internet`] for that.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Machine;
use crate::ground::{Ground, Namespace};
use crate::segment::{Segment, Subnet4, Subnet6};

/// Which families a machine has an underlay address of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Underlay {
    /// IPv4 and IPv6.
    Dual,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

/// A switch to plug machines into.
pub struct Lab {
    subnets: [Arc<Segment>; 2],
    machines: AtomicU32,
}

impl Lab {
    /// A lab without machines.
    ///
    /// # Panics
    /// When not root, or when the kernel refuses.
    #[must_use]
    pub fn new() -> Self {
        let switch = Arc::new(Namespace::new(&Ground::new(), "switch"));
        switch.forward();
        let subnet = |net: [u8; 3], third| {
            let v4 = Subnet4 { router: Ipv4Addr::new(net[0], net[1], net[2], 254), bits: 24 };
            let v6 = Subnet6 { router: Ipv6Addr::new(0x2001, 0xdb8, third, 0, 0, 0, 0, 0xfe), bits: 64 };
            Arc::new(Segment::new(&switch, "br0", v4, Some(v6)))
        };
        Self { subnets: [subnet([192, 0, 2], 0), subnet([198, 51, 100], 1)], machines: AtomicU32::new(0) }
    }

    /// A machine with IPv4 and IPv6.
    #[must_use]
    pub fn machine(&self, name: &str) -> Machine {
        self.machine_on(name, Underlay::Dual)
    }

    /// A machine with the given families only.
    #[must_use]
    pub fn machine_on(&self, name: &str, underlay: Underlay) -> Machine {
        let [here, there] = &self.subnets;
        Machine::new(name, (here, self.number(), underlay), None).roaming_to(Arc::clone(there))
    }

    /// Two machines with IPv4 and one cable between them, for measurements: nothing else is on the way, and all that is measured
    /// goes by the same family.
    #[must_use]
    pub fn crossover(&self, names: [&str; 2]) -> [Machine; 2] {
        Machine::crossover(names, &self.subnets[0], || self.number())
    }

    pub(crate) fn ground(&self) -> &Arc<Ground> {
        self.subnets[0].namespace.ground()
    }

    fn number(&self) -> u32 {
        self.machines.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}
