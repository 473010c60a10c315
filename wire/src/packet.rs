//! Inner IP packets: the few header fields that routing needs, parsed once.
//!
//! Runs for every packet of the data path, so it reads each header byte once and allocates nothing.
//! Whatever [`Packet::parse`] accepts has the addresses it seems to have: fragments, IPv4 options and
//! IPv6 extension headers cannot lead it to another place. Addresses that no packet in a mesh may carry
//! are named by [`Packet::forbidden`]. Checksums are left to the kernel at either end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 header without options, in bytes (RFC 791).
pub(crate) const IPV4_HEADER_LENGTH: usize = 20;
/// IPv6 fixed header, in bytes (RFC 8200).
pub const IPV6_HEADER_LENGTH: usize = 40;
/// More IPv6 extension headers than anything sends; bounds the work that one packet can ask for.
const EXTENSION_HEADERS_MAX: usize = 8;

/// Protocol numbers (IANA) that have a meaning here.
pub(crate) mod protocol {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const AUTHENTICATION: u8 = 51;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const NO_NEXT_HEADER: u8 = 59;
    pub(crate) const DESTINATION_OPTIONS: u8 = 60;
}

/// IPv4 options that send a packet elsewhere than to its destination (RFC 791 section 3.1).
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// Facts of one IPv4 or IPv6 packet. Only [`Packet::parse`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packet {
    /// Who says to have sent it; to be held against the peer that it came from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// Protocol of the payload (IANA number), behind all IPv6 extension headers.
    pub protocol: u8,
    /// Length of header and payload, in bytes. What stands behind it in the buffer is padding.
    pub length: usize,
    /// Bytes from the beginning of the packet to its payload.
    pub payload_offset: usize,
    /// Part of a fragmented packet.
    pub is_fragment: bool,
    /// Part of a fragmented packet, and not the first: the payload does not begin with its header.
    pub(crate) later_fragment: bool,
}

/// Why bytes are no packet that Hopmesh carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PacketError {
    /// The buffer ends before the header or before the length that the header states.
    #[error("packet is truncated")]
    Truncated,
    /// Neither IPv4 nor IPv6.
    #[error("not an IP packet (version {0})")]
    Version(u8),
    /// The stated lengths contradict each other.
    #[error("packet states impossible lengths")]
    Length,
    /// An IPv6 packet without a length of its own: a jumbogram (RFC 2675).
    #[error("jumbograms are not carried")]
    Jumbogram,
    /// IPv4 options or IPv6 extension headers that do not parse, or more than eight of the latter.
    #[error("packet has malformed options or extension headers")]
    Options,
    /// An IPv4 source route or an IPv6 routing header: it would go on to another address than its destination.
    #[error("source-routed packets are not carried")]
    SourceRoute,
}

/// A kind of address that is never source or destination of a packet in a mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Forbidden {
    /// `0.0.0.0/8` (RFC 1122: this host on this network) or `::`.
    #[error("unspecified address")]
    Unspecified,
    /// `127.0.0.0/8` or `::1`: would reach services that trust their own machine.
    #[error("loopback address")]
    Loopback,
    /// `169.254.0.0/16` or `fe80::/10`: means another machine on every link.
    #[error("link-local address")]
    LinkLocal,
    /// `224.0.0.0/4` or `ff00::/8`: a mesh has no groups.
    #[error("multicast address")]
    Multicast,
    /// `255.255.255.255`.
    #[error("broadcast address")]
    Broadcast,
    /// An IPv4 address dressed as IPv6 (`::ffff:0:0/96`, `::/96`), to slip past rules for IPv4.
    #[error("IPv4 address inside an IPv6 address")]
    Mapped,
}

impl Packet {
    /// Reads the header of the packet at the beginning of `bytes`.
    ///
    /// `bytes` may be longer than the packet ([`Packet::length`] says where it ends), never shorter.
    ///
    /// # Errors
    /// [`PacketError`] for what is malformed, source-routed or a jumbogram.
    pub fn parse(bytes: &[u8]) -> Result<Self, PacketError> {
        match bytes.first().map(|first| first >> 4) {
            Some(4) => parse_ipv4(bytes),
            Some(6) => parse_ipv6(bytes),
            Some(version) => Err(PacketError::Version(version)),
            None => Err(PacketError::Truncated),
        }
    }

    /// Why this packet must be dropped whatever the routes say, by its destination, then by its source.
    #[must_use]
    pub fn forbidden(&self) -> Option<Forbidden> {
        Forbidden::of(self.destination).or_else(|| Forbidden::of(self.source))
    }
}

impl Forbidden {
    /// What kind of forbidden address this is; `None` for addresses that a node may have.
    #[must_use]
    pub fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Self::of_ipv4(address),
            IpAddr::V6(address) => Self::of_ipv6(address),
        }
    }

    fn of_ipv4(address: Ipv4Addr) -> Option<Self> {
        match address.octets() {
            [0, ..] => Some(Self::Unspecified),
            [127, ..] => Some(Self::Loopback),
            [169, 254, ..] => Some(Self::LinkLocal),
            [224..=239, ..] => Some(Self::Multicast),
            [255, 255, 255, 255] => Some(Self::Broadcast),
            _ => None,
        }
    }

    fn of_ipv6(address: Ipv6Addr) -> Option<Self> {
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Some(Self::Unspecified),
            [0, 0, 0, 0, 0, 0, 0, 1] => Some(Self::Loopback),
            [0, 0, 0, 0, 0, 0 | 0xffff, ..] => Some(Self::Mapped),
            [0xfe80..=0xfebf, ..] => Some(Self::LinkLocal),
            [0xff00..=0xffff, ..] => Some(Self::Multicast),
            _ => None,
        }
    }
}

fn parse_ipv4(bytes: &[u8]) -> Result<Packet, PacketError> {
    let header: &[u8; IPV4_HEADER_LENGTH] = bytes.first_chunk().ok_or(PacketError::Truncated)?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    let length = usize::from(be16(header, 2));
    if header_length < IPV4_HEADER_LENGTH || length < header_length {
        return Err(PacketError::Length);
    }
    if bytes.len() < length {
        return Err(PacketError::Truncated);
    }
    check_options(&bytes[IPV4_HEADER_LENGTH..header_length])?;
    let address = |at: usize| IpAddr::from([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    Ok(Packet {
        source: address(12),
        destination: address(16),
        protocol: header[9],
        length,
        payload_offset: header_length,
        is_fragment: be16(header, 6) & 0x3fff != 0,
        later_fragment: be16(header, 6) & 0x1fff != 0,
    })
}

/// Walks the options of an IPv4 header in search of a source route.
fn check_options(mut options: &[u8]) -> Result<(), PacketError> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    while let [kind, rest @ ..] = options {
        options = match *kind {
            END => return Ok(()),
            NO_OPERATION => rest,
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return Err(PacketError::SourceRoute),
            _ => {
                let length = usize::from(*rest.first().ok_or(PacketError::Options)?);
                options.get(length..).filter(|_| length >= 2).ok_or(PacketError::Options)?
            }
        };
    }
    Ok(())
}

fn parse_ipv6(bytes: &[u8]) -> Result<Packet, PacketError> {
    let header: &[u8; IPV6_HEADER_LENGTH] = bytes.first_chunk().ok_or(PacketError::Truncated)?;
    let payload_length = usize::from(be16(header, 4));
    if payload_length == 0 && header[6] != protocol::NO_NEXT_HEADER {
        return Err(PacketError::Jumbogram);
    }
    let length = IPV6_HEADER_LENGTH + payload_length;
    let packet = bytes.get(..length).ok_or(PacketError::Truncated)?;
    let payload = walk_extensions(packet, header[6])?;
    let address = |at: usize| {
        let octets: [u8; 16] = std::array::from_fn(|i| header[at + i]);
        IpAddr::from(octets)
    };
    Ok(Packet {
        source: address(8),
        destination: address(24),
        protocol: payload.protocol,
        length,
        payload_offset: payload.offset,
        is_fragment: payload.is_fragment,
        later_fragment: payload.later_fragment,
    })
}

/// Where the extension headers of an IPv6 packet end.
struct Payload {
    protocol: u8,
    offset: usize,
    is_fragment: bool,
    later_fragment: bool,
}

/// Follows the chain of extension headers (RFC 8200 section 4) that `next` begins.
///
/// A first fragment must hold the whole chain (RFC 7112), so nothing hides behind a fragment.
fn walk_extensions(packet: &[u8], mut next: u8) -> Result<Payload, PacketError> {
    let mut offset = IPV6_HEADER_LENGTH;
    let mut is_fragment = false;
    for _ in 0..=EXTENSION_HEADERS_MAX {
        match next {
            protocol::ROUTING => return Err(PacketError::SourceRoute),
            protocol::HOP_BY_HOP
            | protocol::DESTINATION_OPTIONS
            | protocol::FRAGMENT
            | protocol::AUTHENTICATION => {}
            _ => return Ok(Payload { protocol: next, offset, is_fragment, later_fragment: false }),
        }
        let header: &[u8; 8] =
            packet.get(offset..).and_then(<[u8]>::first_chunk).ok_or(PacketError::Options)?;
        offset += match next {
            protocol::FRAGMENT => 8,
            protocol::AUTHENTICATION => (usize::from(header[1]) + 2) * 4,
            _ => (usize::from(header[1]) + 1) * 8,
        };
        if offset > packet.len() {
            return Err(PacketError::Options);
        }
        is_fragment |= next == protocol::FRAGMENT;
        let later_fragment = next == protocol::FRAGMENT && be16(header, 2) & 0xfff8 != 0;
        next = header[0];
        if later_fragment && next != protocol::ROUTING {
            return Ok(Payload { protocol: next, offset, is_fragment, later_fragment });
        }
    }
    Err(PacketError::Options)
}

/// The big-endian 16-bit number at `at`.
fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests;
