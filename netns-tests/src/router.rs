//! A router between a network and the machines behind it: `wan`, `lan`, and the rules of a [`NatKind`].

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::ground::Namespace;
use crate::nat_kind::IPV6_FIREWALL;
use crate::segment::{Plug, Segment, Subnet4, Subnet6};
use crate::{Conduct, Machine, NatKind, Underlay, Wire};

/// What every home has, so that two homes behind one carrier are hard to tell apart.
const HOME: Subnet4 = Subnet4 { router: Ipv4Addr::new(192, 168, 1, 1), bits: 24 };
/// RFC 6598: what carriers give to homes.
const CARRIER: Subnet4 = Subnet4 { router: Ipv4Addr::new(100, 64, 0, 1), bits: 16 };
/// What the rules say where no test wants another lifetime, in seconds; the kernel's own for UDP are 30 and 120.
const LIFETIME_S: u32 = 300;

/// What a router does to IPv6.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ipv6 {
    /// There is none.
    #[default]
    Absent,
    /// Routes a prefix of its own to the LAN.
    Open,
    /// As `Open`, but lets in only what answers.
    Firewall,
}

/// How a router is made; a [`NatKind`] alone will do.
#[derive(Debug, Clone)]
pub struct Plan {
    kind: NatKind,
    ipv6: Ipv6,
    wire: Option<Conduct>,
    lan: Subnet4,
}

impl From<NatKind> for Plan {
    fn from(kind: NatKind) -> Self {
        Self { kind, ipv6: Ipv6::Absent, wire: None, lan: HOME }
    }
}

impl Plan {
    /// A router that does this to IPv4; without IPv6, on a plain cable.
    #[must_use]
    pub fn new(kind: NatKind) -> Self {
        kind.into()
    }

    /// With IPv6. Behind another router there is none.
    #[must_use]
    pub fn ipv6(mut self, ipv6: Ipv6) -> Self {
        self.ipv6 = ipv6;
        self
    }

    /// With a wire for its WAN cable.
    #[must_use]
    pub fn wire(mut self, conduct: Conduct) -> Self {
        self.wire = Some(conduct);
        self
    }

    /// With the LAN of a carrier, 100.64.0.0/16, in place of a home's 192.168.1.0/24.
    #[must_use]
    pub fn carrier(mut self) -> Self {
        self.lan = CARRIER;
        self
    }
}

/// A router. It is there as long as anything behind it, but who wants to change it has to keep this.
pub struct Router {
    kind: NatKind,
    ipv6: Ipv6,
    lifetime_s: Cell<u32>,
    plug: RefCell<Plug>,
    wire: Option<Arc<Wire>>,
    lan: Arc<Segment>,
    namespace: Arc<Namespace>,
    /// Routers of this lab so far.
    routers: Arc<AtomicU32>,
}

impl Router {
    /// A router whose `wan` is plugged into `uplink`.
    pub(crate) fn new(uplink: &Arc<Segment>, plan: &Plan, routers: &Arc<AtomicU32>) -> Self {
        let name = format!("-r{}", routers.fetch_add(1, Ordering::Relaxed) + 1);
        let namespace = Arc::new(Namespace::new(uplink.namespace.ground(), &name));
        namespace.forward();
        let number = uplink.new_host();
        let underlay = if plan.ipv6 == Ipv6::Absent { Underlay::V4 } else { Underlay::Dual };
        let (plug, wire) = Plug::connect(&namespace, "wan", (uplink, number, underlay), plan.wire.as_ref());
        let lan4 = if plan.kind.translates() { plan.lan } else { routed4(uplink, number) };
        let lan6 = (plan.ipv6 != Ipv6::Absent).then(|| routed6(uplink, number));
        let wire = wire.map(Arc::new);
        let lan = Segment::new(&namespace, "lan", lan4, lan6).behind((Arc::clone(uplink), wire.clone()));
        let router = Self {
            kind: plan.kind,
            ipv6: plan.ipv6,
            lifetime_s: Cell::new(LIFETIME_S),
            plug: RefCell::new(plug),
            wire,
            lan: Arc::new(lan),
            namespace,
            routers: Arc::clone(routers),
        };
        router.be_found();
        router.load();
        router
    }

    /// A machine behind it.
    #[must_use]
    pub fn machine(&self, name: &str) -> Machine {
        Machine::new(name, (&self.lan, self.lan.new_host(), self.underlay()), None)
    }

    /// Another router behind it.
    #[must_use]
    pub fn home(&self, plan: impl Into<Plan>) -> Self {
        Self::new(&self.lan, &plan.into(), &self.routers)
    }

    /// The present WAN address.
    ///
    /// # Panics
    /// Never: every router has IPv4.
    #[must_use]
    pub fn wan4(&self) -> Ipv4Addr {
        self.plug.borrow().v4().expect("every router has IPv4")
    }

    /// What it does to IPv4.
    #[must_use]
    pub fn kind(&self) -> NatKind {
        self.kind
    }

    /// The wire of its WAN cable.
    ///
    /// # Panics
    /// When that is a plain cable.
    #[must_use]
    pub fn wire(&self) -> &Wire {
        self.wire.as_deref().expect("the plan had a wire")
    }

    /// Pulls the WAN cable, so that neither end notices: the carrier stays.
    pub fn unplug(&self) {
        self.plug.borrow().pull();
    }

    /// Puts the WAN cable back.
    pub fn plug(&self) {
        self.plug.borrow().put();
    }

    /// Lets idle UDP mappings live so many seconds from now on, answered or not; those there are end at once.
    pub fn set_lifetime_s(&self, seconds: u32) {
        self.lifetime_s.set(seconds);
        for timeout in ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"] {
            self.namespace.set(&format!("netfilter/{timeout}"), &seconds.to_string());
        }
        self.reboot();
    }

    /// Forgets every flow and mapping, as a router does that was switched off and on.
    pub fn reboot(&self) {
        self.load();
        // conntrack tells on standard error how it went, even when it went well.
        let _said = self.namespace.run(&["conntrack", "-F"], None);
    }

    /// Gets another WAN address from its provider and gives up the old one; mappings end with it.
    pub fn renumber(&self) {
        let mut plug = self.plug.borrow_mut();
        plug.number = plug.segment.new_host();
        plug.address(&self.namespace, "wan");
        drop(plug);
        self.be_found();
        self.reboot();
    }

    /// How many UDP flows it knows.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.namespace.run(&["conntrack", "-L", "-p", "udp"], None).lines().count()
    }

    /// Waits until it has forgotten all UDP flows and mappings because they were idle.
    ///
    /// # Panics
    /// When it does not.
    pub fn await_idle(&self) {
        let lifetime = Duration::from_secs(self.lifetime_s.get().into());
        let idle = || (self.flows() == 0 && !self.remembers()).then_some(());
        crate::wait_until("the mappings have ended", lifetime * 3 + Duration::from_secs(5), idle);
    }

    /// Is there a mapping in one of the tables of its rules?
    fn remembers(&self) -> bool {
        // The set or map of that name is followed by its elements, if it has any.
        let listed = self.namespace.run(&["nft", "list", "ruleset"], None);
        ["map fc {", "set seen {"].into_iter().any(|table| {
            listed
                .split_once(table)
                .and_then(|(_, after)| after.split_once("\n\t}"))
                .is_some_and(|(table, _)| table.contains("elements"))
        })
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub(crate) fn lan(&self) -> &Arc<Segment> {
        &self.lan
    }

    pub(crate) fn underlay(&self) -> Underlay {
        if self.ipv6 == Ipv6::Absent { Underlay::V4 } else { Underlay::Dual }
    }

    /// Tells the network that the prefixes behind it are here.
    fn be_found(&self) {
        let plug = self.plug.borrow();
        let mut lines = String::new();
        if !self.kind.translates() {
            lines +=
                &format!("route replace {}/{} via {}\n", self.lan.v4.host(0), self.lan.v4.bits, self.wan4());
        }
        if let (Some(wan), Some(lan)) = (plug.v6(), self.lan.v6) {
            lines += &format!("route replace {}/{} via {wan}\n", lan.host(0), lan.bits);
        }
        plug.segment.namespace.ip(&lines);
    }

    /// Loads its rules anew: what they remembered is forgotten.
    fn load(&self) {
        let lan = format!("{}/{}", self.lan.v4.host(0), self.lan.v4.bits);
        let mut rules =
            format!("flush ruleset\n{}", self.kind.rules(self.wan4(), &lan, self.lifetime_s.get()));
        if self.ipv6 == Ipv6::Firewall {
            rules += IPV6_FIREWALL;
        }
        self.namespace.nft(&rules);
    }
}

/// The prefix behind router `number`: of 11.10.0.0/16 it is 11.10.number.0/24.
fn routed4(uplink: &Segment, number: u32) -> Subnet4 {
    assert!(uplink.v4.bits == 16 && number < 256, "a router without translation needs a network of its own");
    Subnet4 { router: uplink.v4.host(number << 8 | 1), bits: 24 }
}

/// The prefix behind router `number`: of 2a11:1::/64 it is 2a11:1:0:number::/64.
fn routed6(uplink: &Segment, number: u32) -> Subnet6 {
    let network = uplink.v6.expect("only routers of the internet itself have IPv6").host(0);
    Subnet6 { router: Ipv6Addr::from_bits(network.to_bits() | u128::from(number) << 64 | 1), bits: 64 }
}
