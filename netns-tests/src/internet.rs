//! The internet as a lab: a core that routes between networks, with public machines and routers of all kinds on them.
//!
//! ```text
//!  machine ─ eth0 ══ lan │router│ wan ══ 11.10.0.0/16 ┐
//!  machine ─ eth0 ══ lan │router│ wan ══ 12.10.0.0/16 ┼ core: routes, and drops what has come too far
//!                  machine ─ eth0 ══════ 21.10.0.0/16 ┘
//! ```
//!
//! Every public machine and every router is on a network of its own, in another /8: whoever counts observers by their
//! prefixes finds as many as there are machines. The addresses are such as real hosts have, because programs treat the
//! ranges for documentation and private use in their own ways; nothing of it leaves the namespaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::ground::{Ground, Namespace};
use crate::segment::{Segment, Subnet4, Subnet6};
use crate::{Conduct, Machine, Plan, Router, Underlay};

/// First octets of networks: allocated ranges that hardly anything on the real internet announces.
const FIRST_OCTETS: [u8; 10] = [11, 12, 21, 22, 26, 28, 29, 30, 33, 55];

/// The core is one namespace that counts as so many routers: real paths are long, so an opener with a low TTL that
/// passes the sender's own NATs must not arrive at the receiver's.
const CORE_HOPS: u8 = 4;

/// A core without networks.
pub struct Internet {
    core: Arc<Namespace>,
    networks: AtomicU32,
    routers: Arc<AtomicU32>,
}

impl Internet {
    /// An internet without machines.
    ///
    /// # Panics
    /// When not root, or when the kernel refuses.
    #[must_use]
    pub fn new() -> Self {
        let core = Arc::new(Namespace::new(&Ground::new(), "-core"));
        core.forward();
        // A forwarded packet's TTL is one less already when it comes by here.
        core.nft(&format!(
            "table inet core {{
                set dead4 {{ type ipv4_addr . ipv4_addr; }}
                set dead6 {{ type ipv6_addr . ipv6_addr; }}
                chain forward {{
                    type filter hook forward priority filter; policy accept;
                    ip saddr . ip daddr @dead4 drop
                    ip6 saddr . ip6 daddr @dead6 drop
                    ip ttl < {CORE_HOPS} drop
                    ip6 hoplimit < {CORE_HOPS} drop
                }}
            }}"
        ));
        Self { core, networks: AtomicU32::new(0), routers: Arc::default() }
    }

    /// A machine with a public IPv4 address.
    #[must_use]
    pub fn public(&self, name: &str) -> Machine {
        self.public_on(name, Underlay::V4, None)
    }

    /// A machine with public addresses of the given families, on a cable with properties if there are any.
    #[must_use]
    pub fn public_on(&self, name: &str, underlay: Underlay, conduct: Option<&Conduct>) -> Machine {
        let network = self.network();
        Machine::new(name, (&network, network.new_host(), underlay), conduct)
    }

    /// Public machines of which only those next to each other in the list reach each other.
    #[must_use]
    pub fn line<const N: usize>(&self, names: [&str; N]) -> [Machine; N] {
        let line = names.map(|name| self.public(name));
        for (i, machine) in line.iter().enumerate() {
            for far in line.iter().skip(i + 2) {
                self.cut(machine, far);
            }
        }
        line
    }

    /// A router on a network of its own.
    #[must_use]
    pub fn home(&self, plan: impl Into<Plan>) -> Router {
        Router::new(&self.network(), &plan.into(), &self.routers)
    }

    /// From now on nothing that one of the two sends to the other arrives, and nobody is told.
    pub fn cut(&self, one: &impl Public, other: &impl Public) {
        self.change("add", one, other);
    }

    /// Undoes [`Internet::cut`].
    pub fn mend(&self, one: &impl Public, other: &impl Public) {
        self.change("delete", one, other);
    }

    /// From now on no network that there is takes packets of more than `mtu` bytes from the core, which says so to nobody: what may
    /// be fragmented is, the rest is lost.
    pub fn narrow(&self, mtu: u16) {
        let networks = 1..=self.networks.load(Ordering::Relaxed);
        self.core.ip(&networks.map(|n| format!("link set net{n} mtu {mtu}\n")).collect::<String>());
        self.core.nft(
            "table inet silent {
                chain output {
                    type filter hook output priority filter; policy accept;
                    icmp type destination-unreachable drop
                    icmpv6 type packet-too-big drop
                }
            }",
        );
    }

    fn change(&self, verb: &str, one: &impl Public, other: &impl Public) {
        let mut lines = String::new();
        for a in one.public_addresses() {
            for b in other.public_addresses().into_iter().filter(|b| b.is_ipv4() == a.is_ipv4()) {
                let set = if a.is_ipv4() { "dead4" } else { "dead6" };
                lines += &format!("{verb} element inet core {set} {{ {a} . {b}, {b} . {a} }}\n");
            }
        }
        self.core.nft(&lines);
    }

    fn network(&self) -> Arc<Segment> {
        let number = self.networks.fetch_add(1, Ordering::Relaxed);
        let turn = FIRST_OCTETS.len() as u32;
        let first = FIRST_OCTETS[(number % turn) as usize];
        let second = u8::try_from(10 + number / turn).expect("a lab has few networks");
        let v4 = Subnet4 { router: Ipv4Addr::new(first, second, 0, 1), bits: 16 };
        let number = u16::try_from(number + 1).expect("a lab has few networks");
        let v6 = Subnet6 { router: Ipv6Addr::new(0x2a11, number, 0, 0, 0, 0, 0, 1), bits: 64 };
        Arc::new(Segment::new(&self.core, &format!("net{number}"), v4, Some(v6)))
    }
}

impl Default for Internet {
    fn default() -> Self {
        Self::new()
    }
}

/// What has addresses that the core routes to.
pub trait Public {
    /// These addresses, at present.
    fn public_addresses(&self) -> Vec<IpAddr>;
}

impl Public for Machine {
    fn public_addresses(&self) -> Vec<IpAddr> {
        self.underlay()
    }
}

impl Public for Router {
    fn public_addresses(&self) -> Vec<IpAddr> {
        vec![self.wan4().into()]
    }
}

impl Public for IpAddr {
    fn public_addresses(&self) -> Vec<IpAddr> {
        vec![*self]
    }
}
