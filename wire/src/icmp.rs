//! ICMP errors for packets that cannot be delivered (RFC 792, RFC 4443).
//!
//! An application learns from them at once what silence would tell it after minutes. Every error is a whole
//! packet to the source of the offending one. This module says which packets may be answered at all;
//! how many answers a second (RFC 4443 section 2.4 f asks for a limit) is for the caller, who has a clock.
//!
//! The reporter, which becomes the source of the error, must not be an address of the machine that the
//! error is written to: Linux drops an IPv4 packet that comes from outside with its own address as source.
//! For a node that answers its own machine, the offending packet's destination serves well.

use crate::checksum::Sum;
use crate::packet::{Forbidden, IPV4_HEADER_LENGTH, IPV6_HEADER_LENGTH, Packet, protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// ICMP header of an error, in bytes, the same in both families.
const ICMP_HEADER_LENGTH: usize = 8;
/// Longest ICMP error over IPv4, in bytes (RFC 1812 section 4.3.2.3).
const IPV4_ERROR_LENGTH_MAX: usize = 576;
/// Longest ICMPv6 error, in bytes: the least IPv6 MTU (RFC 4443 section 2.4 c).
const IPV6_ERROR_LENGTH_MAX: usize = 1280;
/// Hop limit that errors set out with (RFC 1700).
const HOP_LIMIT: u8 = 64;

/// Why a packet cannot be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unreachable {
    /// Nobody has the address.
    NoRoute,
    /// The node that has the address cannot be reached now.
    HostUnreachable,
    /// A rule forbids it.
    AdminProhibited,
}

/// Type, code and second word of an ICMP error.
struct Error {
    kind: u8,
    code: u8,
    rest: [u8; 4],
}

/// Makes the destination-unreachable error that answers the packet at the beginning of `offending`.
///
/// `None` where the RFCs forbid an answer or none can be made: `offending` does not parse, is an ICMP
/// error or an unknown ICMP type itself, a later fragment, comes from an address that is no single
/// host's, goes to a group, or `reporter` is of the other family.
#[must_use]
pub fn unreachable(offending: &[u8], reporter: IpAddr, reason: Unreachable) -> Option<Vec<u8>> {
    let (ipv4_code, ipv6_code) = match reason {
        Unreachable::NoRoute => (0, 0),
        Unreachable::HostUnreachable => (1, 3),
        Unreachable::AdminProhibited => (13, 1),
    };
    let ipv4 = Error { kind: 3, code: ipv4_code, rest: [0; 4] };
    let ipv6 = Error { kind: 1, code: ipv6_code, rest: [0; 4] };
    answer(offending, reporter, &ipv4, &ipv6)
}

/// Makes the error that says that packets to this destination may have at most `mtu` bytes: for IPv4
/// "fragmentation needed" (RFC 1191), whether or not the packet forbids fragmentation, for IPv6 "packet too big".
///
/// `None` as for [`unreachable()`].
#[must_use]
pub fn too_big(offending: &[u8], reporter: IpAddr, mtu: u16) -> Option<Vec<u8>> {
    let [high, low] = mtu.to_be_bytes();
    let ipv4 = Error { kind: 3, code: 4, rest: [0, 0, high, low] };
    let ipv6 = Error { kind: 2, code: 0, rest: [0, 0, high, low] };
    answer(offending, reporter, &ipv4, &ipv6)
}

fn answer(offending: &[u8], reporter: IpAddr, ipv4: &Error, ipv6: &Error) -> Option<Vec<u8>> {
    let packet = Packet::parse(offending).ok()?;
    let offending = &offending[..packet.length];
    if !may_answer(&packet, offending) {
        return None;
    }
    match (reporter, packet.source) {
        (IpAddr::V4(reporter), IpAddr::V4(to)) => Some(ipv4_error(offending, reporter, to, ipv4)),
        (IpAddr::V6(reporter), IpAddr::V6(to)) => Some(ipv6_error(offending, reporter, to, ipv6)),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

/// RFC 1122 section 3.2.2 and RFC 4443 section 2.4 e; for IPv6 later fragments too, since the first had its answer.
fn may_answer(packet: &Packet, offending: &[u8]) -> bool {
    let to_group = matches!(
        Forbidden::of(packet.destination),
        Some(Forbidden::Multicast | Forbidden::Broadcast | Forbidden::Unspecified)
    );
    let icmp_type = offending.get(packet.payload_offset);
    let harmless = match packet.protocol {
        protocol::ICMP => icmp_type.is_some_and(|kind| is_icmp_query(*kind)),
        protocol::ICMPV6 => icmp_type.is_some_and(|kind| is_icmpv6_information(*kind)),
        _ => true,
    };
    harmless && !packet.later_fragment && !to_group && Forbidden::of(packet.source).is_none()
}

/// Queries and their replies (RFC 1122 section 3.2.2); what is not known to be one may be an error.
fn is_icmp_query(kind: u8) -> bool {
    matches!(kind, 0 | 8..=10 | 13..=18)
}

/// Types from 128 on are informational, but a redirect is not answered either.
fn is_icmpv6_information(kind: u8) -> bool {
    const REDIRECT: u8 = 137;
    kind >= 128 && kind != REDIRECT
}

fn ipv4_error(offending: &[u8], reporter: Ipv4Addr, to: Ipv4Addr, error: &Error) -> Vec<u8> {
    /// Internetwork control, as RFC 1812 section 4.3.2.5 asks for.
    const TYPE_OF_SERVICE: u8 = 0xc0;
    const DONT_FRAGMENT: u8 = 0x40;
    let quoted = quote(offending, IPV4_ERROR_LENGTH_MAX - IPV4_HEADER_LENGTH);
    let icmp_length = ICMP_HEADER_LENGTH + quoted.len();
    let [high, low] = length_field(IPV4_HEADER_LENGTH + icmp_length);

    let mut bytes = Vec::with_capacity(IPV4_HEADER_LENGTH + icmp_length);
    bytes.extend([0x45, TYPE_OF_SERVICE, high, low, 0, 0, DONT_FRAGMENT, 0]);
    bytes.extend([HOP_LIMIT, protocol::ICMP, 0, 0]);
    bytes.extend(reporter.octets());
    bytes.extend(to.octets());
    let header_checksum = Sum::default().with(&bytes).checksum();
    bytes[10..12].copy_from_slice(&header_checksum);
    push_icmp(&mut bytes, error, quoted, Sum::default());
    bytes
}

fn ipv6_error(offending: &[u8], reporter: Ipv6Addr, to: Ipv6Addr, error: &Error) -> Vec<u8> {
    let quoted = quote(offending, IPV6_ERROR_LENGTH_MAX - IPV6_HEADER_LENGTH);
    let icmp_length = ICMP_HEADER_LENGTH + quoted.len();
    let [high, low] = length_field(icmp_length);

    let mut bytes = Vec::with_capacity(IPV6_HEADER_LENGTH + icmp_length);
    bytes.extend([0x60, 0, 0, 0, high, low, protocol::ICMPV6, HOP_LIMIT]);
    bytes.extend(reporter.octets());
    bytes.extend(to.octets());
    let pseudo_header = Sum::of_pseudo_header(reporter.into(), to.into(), protocol::ICMPV6, icmp_length);
    push_icmp(&mut bytes, error, quoted, pseudo_header);
    bytes
}

/// As much of the offending packet as an error has room for behind its ICMP header.
fn quote(offending: &[u8], room: usize) -> &[u8] {
    &offending[..offending.len().min(room - ICMP_HEADER_LENGTH)]
}

fn length_field(length: usize) -> [u8; 2] {
    u16::try_from(length).expect("an error has at most 1280 bytes").to_be_bytes()
}

/// Appends the ICMP header and the quoted packet; `seed` is the sum of what else the checksum covers.
fn push_icmp(bytes: &mut Vec<u8>, error: &Error, quoted: &[u8], seed: Sum) {
    let start = bytes.len();
    bytes.extend([error.kind, error.code, 0, 0]);
    bytes.extend(error.rest);
    bytes.extend(quoted);
    let icmp_checksum = seed.with(&bytes[start..]).checksum();
    bytes[start + 2..start + 4].copy_from_slice(&icmp_checksum);
}

#[cfg(test)]
mod tests;
