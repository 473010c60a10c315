//! What cutting and joining packets write into headers, and the flags of TCP (RFC 9293, RFC 3168) that count for both.

use wire::checksum::Sum;
use wire::packet::{IPV6_HEADER_LENGTH, Packet};
use wire::transport::{Transport, TransportKind};

pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const PSH: u8 = 0x08;
pub(super) const URG: u8 = 0x20;
pub(super) const CWR: u8 = 0x80;

/// Makes headers say that their packet has this length, and IPv4's right again.
pub(super) fn set_length(headers: &mut [u8], packet: &Packet, transport: &Transport, length: usize) {
    let (ip, behind) = headers.split_at_mut(transport.start);
    if packet.source.is_ipv4() {
        put(ip, 2, length);
        sum_ipv4(ip);
    } else {
        put(ip, 4, length - IPV6_HEADER_LENGTH);
    }
    if transport.kind == TransportKind::Udp {
        put(behind, 4, length - transport.start);
    }
}

/// Makes the checksum of an IPv4 header.
pub(super) fn sum_ipv4(ip: &mut [u8]) {
    put(ip, 10, 0);
    let sum = Sum::default().with(ip).checksum();
    ip[10..12].copy_from_slice(&sum);
}

/// Writes a big-endian 16-bit number; lengths of packets have no more bits.
pub(super) fn put(bytes: &mut [u8], at: usize, number: usize) {
    bytes[at..at + 2].copy_from_slice(&(number as u16).to_be_bytes());
}
