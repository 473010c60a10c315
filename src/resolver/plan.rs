//! What the host is to ask us: which zones, at which address, and by which interface it gets there.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Longest name of DNS in text, in bytes (RFC 1035).
const NAME_LENGTH_MAX: usize = 253;
/// Longest label, in bytes (RFC 1035).
const LABEL_LENGTH_MAX: usize = 63;
/// Bits that a label of `in-addr.arpa` stands for.
const OCTET: u8 = 8;
/// Bits that a label of `ip6.arpa` stands for.
const NIBBLE: u8 = 4;

/// What the host is to ask us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The mesh's interface.
    pub interface: String,
    /// Its index.
    pub index: u32,
    /// Where our DNS server listens, on port 53, the preferred address first. Resolvers that would ask nobody else
    /// beside a loopback address need one of the mesh among them; a bare resolv.conf is best served by loopback.
    pub servers: Vec<IpAddr>,
    /// The zones that are asked of us.
    pub zones: Vec<Zone>,
    /// Whether all other names are asked of us, too.
    pub is_everything: bool,
}

/// A zone whose names are asked of us: `home.internal`, `77.10.in-addr.arpa`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Zone(String);

impl Zone {
    /// The zone of that name, in lower case and without a final dot; `None` when it is no host name of DNS, or the root.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let is_label = |label: &str| {
            (1..=LABEL_LENGTH_MAX).contains(&label.len())
                && label.bytes().all(is_plain)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        (name.len() <= NAME_LENGTH_MAX && name.split('.').all(is_label))
            .then(|| Self(name.to_ascii_lowercase()))
    }

    /// The zones of the addresses in `prefix`: one where it ends between two labels, else as many as cover it exactly,
    /// at most 128.
    #[must_use]
    pub fn reverse(prefix: IpNet) -> Vec<Self> {
        let label = if prefix.addr().is_ipv4() { OCTET } else { NIBBLE };
        let length = prefix.prefix_len().next_multiple_of(label);
        let parts =
            prefix.subnets(length).expect("no shorter than the prefix, and whole labels fit an address");
        parts.map(|part| Self(reverse_name(part))).collect()
    }

    /// The name, without a final dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Plan {
    /// The first address that only this machine reaches, which is refused at once when nobody listens.
    pub(super) fn loopback_server(&self) -> Option<IpAddr> {
        self.servers.iter().copied().find(IpAddr::is_loopback)
    }

    /// The first address that is not a loopback one.
    pub(super) fn mesh_server(&self) -> Option<IpAddr> {
        self.servers.iter().copied().find(|server| !server.is_loopback())
    }
}

/// The name of a prefix that ends between two labels.
fn reverse_name(prefix: IpNet) -> String {
    let count = usize::from(prefix.prefix_len());
    let (labels, zone) = match prefix.addr() {
        IpAddr::V4(address) => (octets(address, count / usize::from(OCTET)), "in-addr.arpa"),
        IpAddr::V6(address) => (nibbles(address, count / usize::from(NIBBLE)), "ip6.arpa"),
    };
    labels.into_iter().rev().chain([zone.to_owned()]).collect::<Vec<_>>().join(".")
}

fn octets(address: Ipv4Addr, count: usize) -> Vec<String> {
    address.octets().into_iter().take(count).map(|octet| octet.to_string()).collect()
}

fn nibbles(address: Ipv6Addr, count: usize) -> Vec<String> {
    let both = address.octets().into_iter().flat_map(|octet| [octet >> NIBBLE, octet & 0xf]);
    both.take(count).map(|nibble| format!("{nibble:x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reverse(prefix: &str) -> Vec<String> {
        Zone::reverse(prefix.parse().unwrap()).iter().map(Zone::to_string).collect()
    }

    #[test]
    fn prefixes_that_end_between_labels_are_one_zone() {
        for (prefix, zone) in [
            ("10.0.0.0/8", "10.in-addr.arpa"),
            ("10.77.0.0/16", "77.10.in-addr.arpa"),
            ("192.168.7.0/24", "7.168.192.in-addr.arpa"),
            ("10.77.1.2/32", "2.1.77.10.in-addr.arpa"),
            ("fd12:3456:789a::/48", "a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa"),
            ("0.0.0.0/0", "in-addr.arpa"),
        ] {
            assert_eq!(reverse(prefix), [zone], "of {prefix}");
        }
    }

    #[test]
    fn other_prefixes_are_covered_exactly() {
        let zones = reverse("172.16.0.0/12");
        assert_eq!(zones.len(), 16);
        assert_eq!(zones.first().unwrap(), "16.172.in-addr.arpa");
        assert_eq!(zones.last().unwrap(), "31.172.in-addr.arpa");
        assert_eq!(reverse("100.64.0.0/10").len(), 64);
        assert_eq!(
            reverse("fd12:3456:789a:8000::/50"),
            [
                "8.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa",
                "9.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa",
                "a.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa",
                "b.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa",
            ]
        );
        assert_eq!(reverse("128.0.0.0/1").len(), 128);
    }

    #[test]
    fn only_host_names_are_zones() {
        assert_eq!(Zone::new("Home.Internal").unwrap().as_str(), "home.internal");
        let long = "a".repeat(64);
        for wrong in
            ["", ".", "home.", "home..internal", "-home", "home-", "home/internal", "a b", "~.", &long]
        {
            assert_eq!(Zone::new(wrong), None, "{wrong:?}");
        }
        assert_eq!(Zone::new(&["a"; 128].join(".")), None);
    }
}
