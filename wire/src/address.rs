//! Addresses: the mesh addresses that follow from ids, and candidates, where a node may be dialled.

use crate::{GuestKey, NetworkId, NodeId};
use ipnet::Ipv6Net;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The network's /48 out of the unique local addresses (RFC 4193): `fd` and 40 bits of the network id.
#[must_use]
pub fn ipv6_prefix(network: &NetworkId) -> Ipv6Net {
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    octets[1..6].copy_from_slice(&network.0[..5]);
    Ipv6Net::new(octets.into(), 48).expect("48 is a valid length")
}

/// A node's IPv6 mesh address: the network's prefix and 80 bits of a hash over network and node id.
#[must_use]
pub fn ipv6_address(network: &NetworkId, node: &NodeId) -> Ipv6Addr {
    mesh_address(network, &[b"hopmesh ipv6 address", &network.0, &node.0])
}

/// The IPv6 mesh address of a guest: as a node's, of the member that answers for it and the guest's `WireGuard` key. So nobody can give
/// a guest an address that is another's.
#[must_use]
pub fn guest_ipv6_address(network: &NetworkId, host: &NodeId, key: &GuestKey) -> Ipv6Addr {
    mesh_address(network, &[b"hopmesh guest ipv6 address", &network.0, &host.0, &key.0])
}

fn mesh_address(network: &NetworkId, hashed: &[&[u8]]) -> Ipv6Addr {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    hashed.iter().for_each(|part| hash.update(part));
    let mut octets = ipv6_prefix(network).addr().octets();
    octets[6..].copy_from_slice(&hash.finish().as_ref()[..10]);
    octets.into()
}

/// Whether an address is one of the internet: of a kind that is routed there (the IANA special-purpose registries, RFC 6890).
/// Neither private nor shared addresses are, nor those of a link, a machine, a group or a protocol.
#[must_use]
pub fn is_internet(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            let is_shared = a == 100 && b & 0xc0 == 64;
            let is_protocol = (a, b, c) == (192, 0, 0) || (a == 198 && b & 0xfe == 18);
            let is_near = a == 0 || ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared;
            // Groups, what is reserved, and the broadcast address.
            !is_near && !is_protocol && a < 224
        }
        // What is allocated for unicast (RFC 4291 section 2.4): nothing else is in use.
        IpAddr::V6(ip) => ip.octets()[0] >> 5 == 1,
    }
}

/// An underlay address and UDP port where a node may be dialled (RFC 8445's candidate).
///
/// Always in plain form: a v4-mapped IPv6 address becomes IPv4 when one is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Candidate(SocketAddr);

impl Candidate {
    /// Makes a candidate; `None` for addresses that nobody can be dialled at (unspecified, multicast,
    /// broadcast, port 0, link-local IPv6 without its interface).
    #[must_use]
    pub fn new(address: SocketAddr) -> Option<Self> {
        let ip = address.ip().to_canonical();
        let dialled = match ip {
            IpAddr::V4(ip) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()),
            IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local()),
        };
        (dialled && address.port() != 0).then(|| Self(SocketAddr::new(ip, address.port())))
    }

    /// The address to send to.
    #[must_use]
    pub fn socket_address(&self) -> SocketAddr {
        self.0
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<C> minicbor::Encode<C> for Candidate {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let mut bytes = [0; 18];
        let length = match self.0.ip() {
            IpAddr::V4(ip) => {
                bytes[..4].copy_from_slice(&ip.octets());
                4
            }
            IpAddr::V6(ip) => {
                bytes[..16].copy_from_slice(&ip.octets());
                16
            }
        };
        bytes[length..length + 2].copy_from_slice(&self.0.port().to_be_bytes());
        e.bytes(&bytes[..length + 2])?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Candidate {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let address = match d.bytes()? {
            [a, b, c, d, p, q] => {
                SocketAddr::new(Ipv4Addr::new(*a, *b, *c, *d).into(), u16::from_be_bytes([*p, *q]))
            }
            bytes => {
                let bytes: [u8; 18] = bytes
                    .try_into()
                    .map_err(|_| minicbor::decode::Error::message("wrong length of address"))?;
                let (ip, port) = bytes.split_at(16);
                let ip: [u8; 16] = ip.try_into().expect("split at 16");
                SocketAddr::new(Ipv6Addr::from(ip).into(), u16::from_be_bytes([port[0], port[1]]))
            }
        };
        Self::new(address).ok_or_else(|| minicbor::decode::Error::message("no address to dial"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor;

    #[test]
    fn what_is_near_or_special_is_not_the_internet() {
        for far in ["1.1.1.1", "100.63.0.1", "100.128.0.1", "172.32.0.1", "198.20.0.1", "223.255.255.1"] {
            assert!(is_internet(far.parse().unwrap()), "{far}");
        }
        for near in [
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.9",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.0.1",
            "224.0.0.251",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!is_internet(near.parse().unwrap()), "{near}");
        }
        assert!(is_internet("2606:4700::1".parse().unwrap()) && is_internet("3fff::1".parse().unwrap()));
        for near in ["::1", "::", "fe80::1", "fd00::1", "ff02::fb", "64:ff9b::1", "::ffff:1.1.1.1"] {
            assert!(!is_internet(near.parse().unwrap()), "{near}");
        }
    }

    #[test]
    fn mesh_addresses_lie_in_the_networks_prefix_and_differ() {
        let network = NetworkId([7; 16]);
        let (a, b) = (ipv6_address(&network, &NodeId([1; 32])), ipv6_address(&network, &NodeId([2; 32])));
        assert_ne!(a, b);
        assert!(ipv6_prefix(&network).contains(&a));
        assert_ne!(a, ipv6_address(&NetworkId([8; 16]), &NodeId([1; 32])));
        assert_eq!(ipv6_prefix(&network).to_string(), "fd07:707:707::/48");
    }

    #[test]
    fn candidates_are_addresses_one_can_dial() {
        for good in ["192.0.2.1:1", "[2001:db8::1]:65535", "127.0.0.1:9"] {
            let candidate = Candidate::new(good.parse().unwrap()).unwrap();
            assert_eq!(cbor::decode::<Candidate>(&cbor::encode(&candidate)), Ok(candidate));
        }
        for bad in [
            "0.0.0.0:1",
            "192.0.2.1:0",
            "224.0.0.1:5",
            "255.255.255.255:5",
            "[::]:5",
            "[ff02::1]:5",
            "[fe80::1]:5",
        ] {
            assert_eq!(Candidate::new(bad.parse().unwrap()), None, "{bad}");
        }
        let mapped = Candidate::new("[::ffff:192.0.2.1]:7".parse().unwrap()).unwrap();
        assert_eq!(mapped.to_string(), "192.0.2.1:7");
        let mapped_bytes = cbor::encode(&minicbor::bytes::ByteVec::from(
            [&[0; 10][..], &[0xff, 0xff, 192, 0, 2, 1], &[0, 7]].concat(),
        ));
        assert!(cbor::decode::<Candidate>(&mapped_bytes).is_err(), "a mapped address is not canonical");
    }
}
