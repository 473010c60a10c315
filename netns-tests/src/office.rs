//! An office: a subnet of its own behind a gateway that knows nothing of the mesh.
//!
//! ```text
//! machine ─ eth0 ══ the lab                       printer ─ eth0 ══ office
//!         └ eth1 ══════════════════════════════════════════════════ office ── gateway, which leads nowhere
//! ```

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::ground::Namespace;
use crate::segment::{Segment, Subnet4, Subnet6};
use crate::{Lab, Machine, Underlay};

/// A subnet with a gateway, into which machines of a lab can be plugged besides.
pub struct Office {
    segment: Arc<Segment>,
}

/// What is not ours to keep as it was: it changes by itself.
const RESTLESS: [&str; 4] = ["expires", "anycast", "multicast", "fe80::"];

impl Lab {
    /// An office with the IPv4 subnet `net`.0/24 and an IPv6 subnet of the same number.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[must_use]
    pub fn office(&self, name: &str, net: [u8; 3]) -> Office {
        let namespace = Arc::new(Namespace::new(self.ground(), name));
        let v4 = Subnet4 { router: Ipv4Addr::new(net[0], net[1], net[2], 1), bits: 24 };
        let v6 = Ipv6Addr::new(0xfd09, 0, 0, net[2].into(), 0, 0, 0, 1);
        let v6 = Subnet6 { router: v6, bits: 64 };
        Office { segment: Arc::new(Segment::new(&namespace, "br0", v4, Some(v6))) }
    }
}

impl Office {
    /// A machine of the office, with the gateway as its default route.
    #[must_use]
    pub fn machine(&self, name: &str) -> Machine {
        Machine::new(name, (&self.segment, self.segment.new_host(), Underlay::Dual), None)
    }

    /// Plugs a machine of the lab into the office by `eth1`, and gives its addresses there.
    ///
    /// # Panics
    /// When the office has no IPv6.
    pub fn plug(&self, machine: &Machine) -> (Ipv4Addr, Ipv6Addr) {
        let Segment { v4, v6, namespace, .. } = &*self.segment;
        let (port, number) = (namespace.new_port(), self.segment.new_host());
        let v6 = v6.expect("every office has IPv6");
        let (own4, own6) = (v4.host(number), v6.host(number));
        machine.ip(&format!(
            "link add eth1 type veth peer name {port} netns {}\nlink set eth1 up\naddr add {own4}/{} dev eth1\n\
            addr add {own6}/{} dev eth1 nodad\n",
            namespace.name(),
            v4.bits,
            v6.bits
        ));
        self.segment.plug(&port);
        namespace.ip(&format!("link set {port} up"));
        (own4, own6)
    }
}

impl Machine {
    /// What a node must leave as it found it: addresses, routes, rules, nftables and switches of the kernel.
    ///
    /// # Panics
    /// When a command fails.
    #[must_use]
    pub fn host_snapshot(&self) -> String {
        let commands: [&[&str]; 6] = [
            &["ip", "-o", "addr"],
            &["ip", "-4", "route", "show", "table", "all"],
            &["ip", "-6", "route", "show", "table", "all"],
            &["ip", "-4", "rule"],
            &["ip", "-6", "rule"],
            &["nft", "list", "ruleset"],
        ];
        let said = commands.map(|command| self.run(command).ok()).concat();
        let kept = said.lines().filter(|line| !RESTLESS.iter().any(|word| line.contains(word)));
        let switches = "grep -rs . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf \
            | grep -v stable_secret | sort";
        format!("{}\n{}", kept.collect::<Vec<_>>().join("\n"), self.run(&["sh", "-c", switches]).ok())
    }
}
