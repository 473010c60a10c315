//! The claim set of a credential and its CWT encoding.

use super::CredentialError;
use crate::address::{ipv6_address, ipv6_prefix};
use crate::packet::Forbidden;
use crate::{Name, NetworkId, NodeId, NoisePublicKey};
use coset::cbor::Value;
use coset::cwt::{ClaimName, ClaimsSet, ClaimsSetBuilder, Timestamp};
use coset::{CborSerializable, RegisteredLabelWithPrivate};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Most prefixes in one credential, beyond the node's own addresses.
pub const PREFIXES_MAX: usize = 8;
/// Most tags in one credential.
const TAGS_MAX: usize = 8;
/// Most service names delegated in one credential.
pub const SERVICES_MAX: usize = 8;

// Claim numbers below -65536 are for private use (RFC 8392 section 9.1).
const NETWORK: i64 = -65537;
const NODE: i64 = -65538;
const NOISE_KEY: i64 = -65539;
const IPV4: i64 = -65540;
const IPV6: i64 = -65541;
const ROLES: i64 = -65542;
const PREFIXES: i64 = -65543;
const TAGS: i64 = -65544;
const SERVICES: i64 = -65545;

/// What a node may do in the network beyond being a member of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles {
    /// May invite, assign addresses and revoke.
    pub admin: bool,
    /// May forward other nodes' datagrams.
    pub hop: bool,
}

impl Roles {
    fn to_bits(self) -> u8 {
        u8::from(self.admin) | u8::from(self.hop) << 1
    }

    fn from_bits(bits: i128) -> Option<Self> {
        matches!(bits, 0..=3).then_some(Self { admin: bits & 1 != 0, hop: bits & 2 != 0 })
    }
}

/// What the network says of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The network.
    pub network: NetworkId,
    /// The node.
    pub node: NodeId,
    /// The key that the node proves in every handshake.
    pub noise_key: NoisePublicKey,
    /// The node's name, one DNS label.
    pub name: Name,
    /// The node's IPv4 mesh address, with the length of the network's range as its prefix length.
    pub ipv4: Ipv4Net,
    /// Prefixes behind the node, beyond its own addresses.
    pub prefixes: Vec<IpNet>,
    /// Labels for policy.
    pub tags: Vec<Name>,
    /// Service names that are delegated to the node: nobody who lacks them here can own them.
    pub services: Vec<Name>,
    /// What the node may do.
    pub roles: Roles,
    /// Grows with the time of issue; the lower one keeps an address that two credentials claim,
    /// the higher one of a node replaces the other.
    pub serial: u64,
    /// Beginning of validity, seconds since 1970.
    pub not_before_s: u64,
    /// End of validity, seconds since 1970.
    pub expires_s: u64,
}

impl Claims {
    /// The node's IPv6 mesh address; it follows from network and node id, and a credential that says otherwise is refused.
    #[must_use]
    pub fn ipv6(&self) -> Ipv6Addr {
        ipv6_address(&self.network, &self.node)
    }

    /// Everything that the node may send from and be sent: its two addresses and its routed prefixes.
    #[must_use]
    pub fn owned_prefixes(&self) -> Vec<IpNet> {
        [IpNet::V4(self.ipv4.addr().into()), IpNet::V6(self.ipv6().into())]
            .into_iter()
            .chain(self.prefixes.iter().copied())
            .collect()
    }

    /// Blocks of the network's own range that the node gives to its guests.
    pub fn guest_blocks(&self) -> impl Iterator<Item = Ipv4Net> {
        let range = self.ipv4.trunc();
        self.prefixes.iter().filter_map(move |prefix| match prefix {
            IpNet::V4(block) if range.contains(block) => Some(*block),
            IpNet::V4(_) | IpNet::V6(_) => None,
        })
    }

    /// Whether a prefix is a part of the network's own: of its IPv4 range, or of its IPv6 prefix.
    #[must_use]
    pub fn is_of_network(&self, prefix: &IpNet) -> bool {
        self.network_prefixes().iter().any(|own| own.contains(prefix))
    }

    /// The network's own prefixes: its IPv4 range, and its IPv6 prefix.
    #[must_use]
    pub fn network_prefixes(&self) -> [IpNet; 2] {
        [IpNet::V4(self.ipv4.trunc()), IpNet::V6(ipv6_prefix(&self.network))]
    }

    /// Prefixes of subnets behind the node, for which it is a router, as others may be.
    pub fn routed_prefixes(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.prefixes.iter().copied().filter(|prefix| !self.is_of_network(prefix))
    }

    /// What belongs to the node and to no other: its two addresses, and its prefixes inside the network's own.
    #[must_use]
    pub fn exclusive_prefixes(&self) -> Vec<IpNet> {
        self.owned_prefixes().into_iter().filter(|prefix| self.is_of_network(prefix)).collect()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
        let mut set = ClaimsSetBuilder::new()
            .subject(self.name.as_str().to_owned())
            .expiration_time(seconds(self.expires_s))
            .not_before(seconds(self.not_before_s))
            .cwt_id(self.serial.to_be_bytes().to_vec())
            .private_claim(NETWORK, bytes(&self.network.0))
            .private_claim(NODE, bytes(&self.node.0))
            .private_claim(NOISE_KEY, bytes(&self.noise_key.0))
            .private_claim(IPV4, bytes(&prefix_bytes(&IpNet::V4(self.ipv4))))
            .private_claim(IPV6, bytes(&self.ipv6().octets()))
            .private_claim(ROLES, Value::Integer(self.roles.to_bits().into()));
        if !self.prefixes.is_empty() {
            let prefixes = self.prefixes.iter().map(|p| bytes(&prefix_bytes(p))).collect();
            set = set.private_claim(PREFIXES, Value::Array(prefixes));
        }
        if !self.tags.is_empty() {
            let tags = self.tags.iter().map(|t| Value::Text(t.as_str().to_owned())).collect();
            set = set.private_claim(TAGS, Value::Array(tags));
        }
        if !self.services.is_empty() {
            let services = self.services.iter().map(|s| Value::Text(s.as_str().to_owned())).collect();
            set = set.private_claim(SERVICES, Value::Array(services));
        }
        set.build().to_vec().expect("integers, text and bytes always encode")
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, CredentialError> {
        let set = ClaimsSet::from_slice(payload).map_err(|_| CredentialError::Malformed)?;
        let claims = Self::from_set(&set).ok_or(CredentialError::Malformed)?;
        if set_bytes(&set, IPV6) != Some(&claims.ipv6().octets()[..]) {
            return Err(CredentialError::Malformed);
        }
        // The caller compares the whole credential with its canonical encoding, so claims that we do not
        // know, or in another order, do not pass.
        Ok(claims)
    }

    fn from_set(set: &ClaimsSet) -> Option<Self> {
        let claims = Self {
            network: set_bytes(set, NETWORK)?.try_into().ok()?,
            node: set_bytes(set, NODE)?.try_into().ok()?,
            noise_key: set_bytes(set, NOISE_KEY)?.try_into().ok()?,
            name: set.subject.as_ref()?.parse().ok()?,
            ipv4: match parse_prefix(set_bytes(set, IPV4)?)? {
                IpNet::V4(net) if net.prefix_len() <= 30 => net,
                IpNet::V4(_) | IpNet::V6(_) => return None,
            },
            prefixes: set_array(set, PREFIXES, PREFIXES_MAX, |v| parse_prefix(v.as_bytes()?))?,
            tags: set_array(set, TAGS, TAGS_MAX, |v| v.as_text()?.parse().ok())?,
            services: set_array(set, SERVICES, SERVICES_MAX, |v| v.as_text()?.parse().ok())?,
            roles: Roles::from_bits(set_claim(set, ROLES)?.as_integer()?.into())?,
            serial: u64::from_be_bytes(set.cwt_id.as_deref()?.try_into().ok()?),
            not_before_s: unix(set.not_before.as_ref()?)?,
            expires_s: unix(set.expiration_time.as_ref()?)?,
        };
        let routable = claims.prefixes.iter().all(is_routable) && is_host(claims.ipv4);
        (routable && claims.not_before_s < claims.expires_s).then_some(claims)
    }
}

/// Whether an address can be a node's own: neither the first nor the last of its range, and of a kind that is sent to.
fn is_host(address: Ipv4Net) -> bool {
    let ip = address.addr();
    ip != address.network() && ip != address.broadcast() && Forbidden::of(ip.into()).is_none()
}

/// Whether a prefix can lie behind a node: not so short that a few of them make a default route (RFC 1122 has no
/// network shorter than /8), and of a kind that is sent to.
#[must_use]
pub fn is_routable(prefix: &IpNet) -> bool {
    let length_min = if prefix.addr().is_ipv4() { 8 } else { 16 };
    prefix.trunc() == *prefix && prefix.prefix_len() >= length_min && Forbidden::of(prefix.addr()).is_none()
}

fn seconds(unix_s: u64) -> Timestamp {
    Timestamp::WholeSeconds(i64::try_from(unix_s).unwrap_or(i64::MAX))
}

fn unix(timestamp: &Timestamp) -> Option<u64> {
    match timestamp {
        Timestamp::WholeSeconds(s) => u64::try_from(*s).ok(),
        Timestamp::FractionalSeconds(_) => None,
    }
}

fn set_claim(set: &ClaimsSet, number: i64) -> Option<&Value> {
    let label: ClaimName = RegisteredLabelWithPrivate::PrivateUse(number);
    set.rest.iter().find(|(name, _)| *name == label).map(|(_, value)| value)
}

fn set_bytes(set: &ClaimsSet, number: i64) -> Option<&[u8]> {
    set_claim(set, number)?.as_bytes().map(Vec::as_slice)
}

/// An array claim; absent when empty, so an empty one present is not canonical.
fn set_array<T>(
    set: &ClaimsSet,
    number: i64,
    max: usize,
    read: impl Fn(&Value) -> Option<T>,
) -> Option<Vec<T>> {
    match set_claim(set, number) {
        None => Some(Vec::new()),
        Some(value) => value.as_array().filter(|a| a.len() <= max)?.iter().map(read).collect(),
    }
}

pub(crate) fn prefix_bytes(prefix: &IpNet) -> Vec<u8> {
    let mut bytes = match prefix {
        IpNet::V4(net) => net.addr().octets().to_vec(),
        IpNet::V6(net) => net.addr().octets().to_vec(),
    };
    bytes.push(prefix.prefix_len());
    bytes
}

pub(crate) fn parse_prefix(bytes: &[u8]) -> Option<IpNet> {
    let (length, address) = bytes.split_last()?;
    if let Ok(v4) = <[u8; 4]>::try_from(address) {
        return Ipv4Net::new(Ipv4Addr::from(v4), *length).ok().map(IpNet::V4);
    }
    let v6 = <[u8; 16]>::try_from(address).ok()?;
    Ipv6Net::new(Ipv6Addr::from(v6), *length).ok().map(IpNet::V6)
}
