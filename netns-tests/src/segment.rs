//! A segment: machines and routers that hear each other without a router, plugged into one bridge.
//!
//! ```text
//! machine a ─ eth0 ══ cable ══ p1 ┐
//! machine b ─ eth0 ══ cable ══ p2 ┴ bridge: the addresses of the router that owns the namespace
//! ```
//!
//! The router's name for it is the bridge's: rules that say `iifname "lan"` mean all machines behind it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::ground::Namespace;
use crate::{Underlay, Wire};

/// The addresses of one family on a segment: the router's own, and how many bits all share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subnet4 {
    pub(crate) router: Ipv4Addr,
    pub(crate) bits: u8,
}

/// As [`Subnet4`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subnet6 {
    pub(crate) router: Ipv6Addr,
    pub(crate) bits: u8,
}

impl Subnet4 {
    pub(crate) fn host(self, number: u32) -> Ipv4Addr {
        let mask = u32::MAX << (32 - u32::from(self.bits));
        assert!(number & mask == 0, "host {number} is beyond a /{}", self.bits);
        Ipv4Addr::from_bits(self.router.to_bits() & mask | number)
    }
}

impl Subnet6 {
    pub(crate) fn host(self, number: u32) -> Ipv6Addr {
        let mask = u128::MAX << (128 - u32::from(self.bits));
        Ipv6Addr::from_bits(self.router.to_bits() & mask | u128::from(number))
    }
}

/// A bridge with the addresses of its router.
pub(crate) struct Segment {
    pub(crate) bridge: String,
    pub(crate) v4: Subnet4,
    pub(crate) v6: Option<Subnet6>,
    /// Hosts numbered so far.
    hosts: AtomicU32,
    pub(crate) namespace: Arc<Namespace>,
    /// What its router is plugged into: it is there as long as anything behind it.
    _uplink: Option<Uplink>,
}

/// The way on from a segment: the next one, and the wire to it if that is one.
pub(crate) type Uplink = (Arc<Segment>, Option<Arc<Wire>>);

impl Segment {
    /// Gives the bridge of that name, made if there is none, the router's addresses. The first host is number 2.
    pub(crate) fn new(namespace: &Arc<Namespace>, bridge: &str, v4: Subnet4, v6: Option<Subnet6>) -> Self {
        let exists =
            namespace.enter(|| std::path::Path::new("/proc/sys/net/ipv4/conf").join(bridge).exists());
        if !exists {
            namespace.ip(&format!(
                "link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\nlink set {bridge} up"
            ));
        }
        let mut lines = format!("addr add {}/{} dev {bridge}\n", v4.router, v4.bits);
        if let Some(v6) = v6 {
            lines += &format!("addr add {}/{} dev {bridge} nodad\n", v6.router, v6.bits);
        }
        namespace.ip(&lines);
        let (bridge, namespace) = (bridge.to_owned(), Arc::clone(namespace));
        Self { bridge, v4, v6, hosts: AtomicU32::new(1), namespace, _uplink: None }
    }

    /// Keeps the way on alive.
    pub(crate) fn behind(mut self, uplink: Uplink) -> Self {
        self._uplink = Some(uplink);
        self
    }

    /// A number that no other host here has.
    pub(crate) fn new_host(&self) -> u32 {
        self.hosts.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn plug(&self, port: &str) {
        self.namespace.ip(&format!("link set {port} master {}", self.bridge));
    }

    pub(crate) fn unplug(&self, port: &str) {
        self.namespace.ip(&format!("link set {port} nomaster"));
    }
}

/// One end of a cable in a bridge: where a machine or a router is plugged in, and what it is called there.
pub(crate) struct Plug {
    pub(crate) segment: Arc<Segment>,
    /// The number of the host on the segment.
    pub(crate) number: u32,
    pub(crate) underlay: Underlay,
    port: String,
}

impl Plug {
    /// Puts a cable between `link`, made in `namespace`, and the segment; `wire` makes one with properties.
    pub(crate) fn connect(
        namespace: &Namespace,
        link: &str,
        (segment, number, underlay): (&Arc<Segment>, u32, Underlay),
        wire: Option<&crate::Conduct>,
    ) -> (Self, Option<Wire>) {
        let port = segment.namespace.new_port();
        let wire = match wire {
            Some(conduct) => Some(Wire::new((namespace, link), (&segment.namespace, &port), conduct.clone())),
            None => {
                let far = segment.namespace.name();
                namespace.ip(&format!("link add {link} type veth peer name {port} netns {far}"));
                None
            }
        };
        segment.plug(&port);
        segment.namespace.ip(&format!("link set {port} up"));
        let plug = Self { segment: Arc::clone(segment), number, underlay, port };
        plug.address(namespace, link);
        (plug, wire)
    }

    /// Gives `link` its addresses and default routes; the ones it had before are gone.
    pub(crate) fn address(&self, namespace: &Namespace, link: &str) {
        let mut lines = format!("link set {link} up\naddr flush dev {link} scope global\n");
        if let Some(address) = self.v4() {
            let Subnet4 { router, bits } = self.segment.v4;
            lines += &format!(
                "addr add {address}/{bits} dev {link}\nroute replace default via {router} dev {link}\n"
            );
        }
        if let (Some(address), Some(Subnet6 { router, bits })) = (self.v6(), self.segment.v6) {
            lines += &format!("addr add {address}/{bits} dev {link} nodad\n");
            lines += &format!("route replace default via {router} dev {link}\n");
        }
        namespace.ip(&lines);
    }

    pub(crate) fn v4(&self) -> Option<Ipv4Addr> {
        (self.underlay != Underlay::V6).then(|| self.segment.v4.host(self.number))
    }

    pub(crate) fn v6(&self) -> Option<Ipv6Addr> {
        (self.underlay != Underlay::V4).then(|| Some(self.segment.v6?.host(self.number)))?
    }

    /// The router of the segment, as the host knows it.
    pub(crate) fn router(&self) -> IpAddr {
        match self.segment.v6 {
            Some(v6) if self.underlay == Underlay::V6 => v6.router.into(),
            _ => self.segment.v4.router.into(),
        }
    }

    pub(crate) fn pull(&self) {
        self.segment.unplug(&self.port);
    }

    pub(crate) fn put(&self) {
        self.segment.plug(&self.port);
    }
}
