//! Whether one packet goes on from another: equal in all headers but those that count.

use super::{Opened, Run};
use crate::fastpath::header::{CWR, FIN, PSH, RST, SYN, URG};
use wire::checksum::Sum;
use wire::transport::{Transport, TransportKind};

/// Flags of the last packet that the superpacket has.
pub(super) const OF_THE_WHOLE: u8 = FIN | PSH;

/// Whether nothing follows a packet with these flags.
pub(super) fn ends_run(flags: u8) -> bool {
    flags & (FIN | SYN | RST | PSH | URG) != 0
}

/// Whether a packet with these flags is joined to no other.
pub(super) fn stands_alone(flags: u8) -> bool {
    flags & (SYN | RST | URG | CWR) != 0
}

/// The flags of TCP; none for UDP.
pub(super) fn tcp_flags(transport: &Transport, packet: &[u8]) -> u8 {
    match transport.kind {
        TransportKind::Tcp => packet[transport.start + 13],
        TransportKind::Udp => 0,
    }
}

/// Both ports.
pub(super) fn ports(transport: &Transport, packet: &[u8]) -> [u8; 4] {
    std::array::from_fn(|at| packet[transport.start + at])
}

/// How a packet stands to a run of its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Continuity {
    /// It is the next one; and by how much the identification of IPv4 goes on.
    Next {
        /// None for IPv6.
        step: Option<u16>,
    },
    /// It is something else.
    None,
}

/// Whether a packet goes on from a run.
pub(super) fn continuity(run: &Run, opened: &Opened, bytes: &[u8]) -> Continuity {
    let (Some(theirs), Some(ours)) = (run.transport, opened.transport) else { return Continuity::None };
    if (theirs.start, theirs.headers) != (ours.start, ours.headers) {
        return Continuity::None;
    }
    let first = &bytes[run.first.clone()];
    let next = &bytes[opened.range.clone()];
    let (first_ip, first_transport) = first[..theirs.headers].split_at(theirs.start);
    let (next_ip, next_transport) = next[..ours.headers].split_at(ours.start);
    let goes_on = match theirs.kind {
        TransportKind::Tcp => tcp_goes_on(first_transport, next_transport, run.payload),
        TransportKind::Udp => true,
    };
    if !goes_on {
        return Continuity::None;
    }
    if opened.packet.source.is_ipv4() {
        match ipv4_step(first_ip, next_ip, run) {
            Some(step) => Continuity::Next { step: Some(step) },
            None => Continuity::None,
        }
    } else if first_ip[..4] == next_ip[..4] && first_ip[6..] == next_ip[6..] {
        Continuity::Next { step: None }
    } else {
        Continuity::None
    }
}

/// By how much the identification grows, as in all of the run: 1, or 0 where fragmentation is forbidden. All else is equal but
/// lengths, and both headers' checksums are right.
fn ipv4_step(first: &[u8], next: &[u8], run: &Run) -> Option<u16> {
    const DONT_FRAGMENT: u8 = 0x40;
    let identification = |ip: &[u8]| u16::from_be_bytes([ip[4], ip[5]]);
    let is_right = |ip: &[u8]| Sum::default().with(ip).checksum() == [0, 0];
    // All but length, identification and checksum.
    let is_same = first[..2] == next[..2] && first[6..10] == next[6..10] && first[12..] == next[12..];
    let grown = identification(next).wrapping_sub(identification(first));
    let may_stay = first[6] & DONT_FRAGMENT != 0;
    let step = match grown {
        0 if may_stay => 0,
        grown if usize::from(grown) == run.count => 1,
        _ => return None,
    };
    let goes_on = run.step.is_none_or(|known| known == step);
    (is_same && goes_on && is_right(next) && (run.count > 1 || is_right(first))).then_some(step)
}

/// Whether a TCP header goes on behind so many bytes of payload: same ports, acknowledgement, window, options and flags but
/// FIN and PSH.
fn tcp_goes_on(first: &[u8], next: &[u8], payload: usize) -> bool {
    let sequence = |tcp: &[u8]| u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
    let flags = |tcp: &[u8]| tcp[13] & !OF_THE_WHOLE;
    sequence(next) == sequence(first).wrapping_add(payload as u32)
        && first[..4] == next[..4]
        && first[8..13] == next[8..13]
        && flags(first) == flags(next)
        && !stands_alone(next[13])
        && first[14..16] == next[14..16]
        && first[18..] == next[18..]
}
