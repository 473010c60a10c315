//! Which names are ours: the network's own domain, and the reverse names of its mesh addresses.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::rr::Name;
use ipnet::{Ipv4Net, Ipv6Net};
use wire::NetworkId;

use super::limits::SUFFIX_LENGTH_MAX;

/// Names under which a network answers. All others are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    apex: Name,
    v4: Ipv4Net,
    v6: Ipv6Net,
}

/// Why there is no domain under a suffix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// A label of the suffix is none.
    #[error(
        "`{suffix}` cannot be the suffix of names: {reason}. Use labels with dots between, such as `internal`"
    )]
    Label {
        /// The suffix.
        suffix: String,
        /// What is wrong with the label.
        reason: wire::NameError,
    },
    /// Names would not fit DNS.
    #[error("`{0}` is too long for the suffix of names: it may have {SUFFIX_LENGTH_MAX} characters")]
    TooLong(String),
}

impl Domain {
    /// The domain `<network>.<suffix>`, with reverse names for the addresses of both ranges.
    ///
    /// # Errors
    /// [`DomainError`].
    pub fn new(network: &wire::Name, suffix: &str, v4: Ipv4Net, v6: Ipv6Net) -> Result<Self, DomainError> {
        let suffix = suffix.strip_suffix('.').unwrap_or(suffix);
        if suffix.len() > SUFFIX_LENGTH_MAX {
            return Err(DomainError::TooLong(suffix.to_owned()));
        }
        let labels: Result<Vec<wire::Name>, _> = suffix.split('.').map(str::parse).collect();
        let labels = labels.map_err(|reason| DomainError::Label { suffix: suffix.to_owned(), reason })?;
        let labels = std::iter::once(network).chain(&labels).map(|label| label.as_str().as_bytes());
        let apex = Name::from_labels(labels).expect("labels that are valid, of at most 127 bytes together");
        Ok(Self { apex, v4: v4.trunc(), v6: v6.trunc() })
    }

    /// `<network>.<suffix>`, without a dot at the end.
    #[must_use]
    pub fn name(&self) -> String {
        self.apex.to_ascii().trim_end_matches('.').to_owned()
    }

    /// The name that ends all others.
    pub(super) fn apex(&self) -> &Name {
        &self.apex
    }

    /// Whether an address can be a mesh address.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(&address),
            IpAddr::V6(address) => self.v6.contains(&address),
        }
    }

    /// Whether a question from this address may be answered: from this machine, or from the mesh, whose addresses are
    /// checked where packets enter. An answer to a forged one ends in the mesh.
    pub(super) fn may_ask(&self, source: IpAddr) -> bool {
        source.is_loopback() || self.contains(source)
    }

    /// Bits that the reverse zones of a family have in their names: those of the range, rounded up to whole labels.
    pub(super) fn reverse_bits(&self, is_ipv6: bool) -> u8 {
        if is_ipv6 {
            self.v6.prefix_len().next_multiple_of(4)
        } else {
            self.v4.prefix_len().next_multiple_of(8)
        }
    }
}

/// The loopback address at which a network's names are answered: its own, so that several networks on a machine do not
/// clash.
#[must_use]
pub fn loopback_address(network: &NetworkId) -> Ipv4Addr {
    let [high, low, ..] = network.0;
    // Neither the first nor the last address of a /24, which some programs take for a network or a broadcast.
    Ipv4Addr::new(127, 77, high, low.clamp(1, 254))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(suffix: &str) -> Result<Domain, DomainError> {
        let (v4, v6) = ("10.77.0.0/20".parse().unwrap(), "fd77::/48".parse().unwrap());
        Domain::new(&"home".parse().unwrap(), suffix, v4, v6)
    }

    #[test]
    fn a_suffix_is_made_of_labels() {
        assert_eq!(domain("internal").unwrap().name(), "home.internal");
        assert_eq!(domain("Mesh.Example.").unwrap().name(), "home.mesh.example");
        for bad in ["", ".", "a..b", "-a", "a b", "é"] {
            assert!(matches!(domain(bad), Err(DomainError::Label { .. })), "{bad:?}");
        }
        assert!(domain(&"a.".repeat(31)).is_ok());
        assert!(matches!(domain(&"a.".repeat(32)), Err(DomainError::TooLong(_))));
    }

    #[test]
    fn reverse_zones_end_at_labels() {
        let domain = domain("internal").unwrap();
        assert_eq!((domain.reverse_bits(false), domain.reverse_bits(true)), (24, 48));
    }

    #[test]
    fn this_machine_and_the_mesh_may_ask() {
        let may = |source: &str| domain("internal").unwrap().may_ask(source.parse().unwrap());
        assert!(may("127.0.0.1") && may("::1") && may("10.77.15.255") && may("fd77::9"));
        assert!(!may("10.77.16.0") && !may("192.168.1.1") && !may("fe80::1") && !may("fd77:0:1::1"));
    }

    #[test]
    fn each_network_has_a_loopback_address_of_its_own() {
        let mut id = [0; 16];
        assert_eq!(loopback_address(&NetworkId(id)), Ipv4Addr::new(127, 77, 0, 1));
        id[..2].copy_from_slice(&[9, 255]);
        assert_eq!(loopback_address(&NetworkId(id)), Ipv4Addr::new(127, 77, 9, 254));
    }
}
