//! What becomes of a packet that may be too long for the path: it goes whole, is cut, or is refused.
//!
//! | longer than the path carries | before the path was measured | after |
//! |---|---|---|
//! | superpacket of TCP | cut into shorter segments | the same |
//! | one segment of TCP | cut into shorter segments | refused |
//! | IPv4 that may be fragmented | goes whole | cut into fragments |
//! | anything else | goes whole | refused |
//!
//! TCP is a stream of bytes: where it is cut is nobody's business, so nothing is lost by it. What goes whole although it is too
//! long, the machine or a router puts into fragments where it can; by a narrow path it goes in halves ([`goes_in_halves`]).

use super::Outbound;
use super::fragment::Fragments;
use super::header::{RST, SYN, URG};
use super::outbound::{complete, leave_checksum_out};
use super::split::Split;
use crate::drops::DropReason;
use crate::session::Kind;
use nat::Mtu;
use wire::datagram::WHOLE_LENGTH_MIN;
use wire::offload::Offload;
use wire::packet::Packet;
use wire::transport::{Transport, TransportKind};

/// As what a packet leaves.
pub(super) enum Form {
    /// As it is.
    Whole(Kind),
    /// As segments of TCP or UDP.
    Segments(Split),
    /// As fragments of IPv4.
    Fragments(Fragments),
}

const MALFORMED: Outbound = Outbound::Drop(DropReason::MalformedPacket);

/// Makes a packet, or a superpacket, fit.
pub(super) fn fit(offload: Offload, parsed: Packet, packet: &mut [u8], mtu: Mtu) -> Result<Form, Outbound> {
    let (longest, whole) = (usize::from(mtu.length), usize::from(mtu.whole()));
    if offload.segments.is_some() {
        let split = Split::of(offload, parsed, packet).ok_or(MALFORMED)?;
        return if split.longest() <= whole { Ok(Form::Segments(split)) } else { fit_split(split, mtu) };
    }
    if packet.len() > longest {
        return fit_long(offload, parsed, packet, mtu);
    }
    leave_checksum_out(offload, &parsed, packet).map(Form::Whole).ok_or(MALFORMED)
}

/// Whether a packet goes in halves.
pub(super) fn goes_in_halves(length: usize, mtu: Mtu) -> bool {
    mtu.is_narrow && (WHOLE_LENGTH_MIN + 1..=2 * WHOLE_LENGTH_MIN).contains(&length)
}

fn fit_split(split: Split, mtu: Mtu) -> Result<Form, Outbound> {
    match split.within(mtu.whole().into()) {
        Some(split) => Ok(Form::Segments(split)),
        None if mtu.is_measured && split.longest() > mtu.length.into() => Err(Outbound::TooBig(mtu.length)),
        None => Ok(Form::Segments(split)),
    }
}

fn fit_long(offload: Offload, parsed: Packet, packet: &mut [u8], mtu: Mtu) -> Result<Form, Outbound> {
    let longest = usize::from(mtu.whole());
    if mtu.is_measured {
        let fragments = Fragments::of(&parsed, packet, longest).ok_or(Outbound::TooBig(mtu.length))?;
        // A receiver makes the packet whole before it looks at the checksum, which covers all of it.
        complete(offload, packet);
        return Ok(Form::Fragments(fragments));
    }
    if let Some(transport) = Transport::of(&parsed, packet)
        && may_be_cut(offload, &parsed, &transport, packet)
        && let Some(split) = Split::of_one(parsed, transport, longest)
    {
        return Ok(Form::Segments(split));
    }
    leave_checksum_out(offload, &parsed, packet).map(Form::Whole).ok_or(MALFORMED)
}

/// Whether this is a segment of TCP that means the same in parts. One whose checksum is wrong must stay wrong.
fn may_be_cut(offload: Offload, parsed: &Packet, transport: &Transport, packet: &[u8]) -> bool {
    let flags = || packet[transport.start + 13];
    let is_right = || match offload.checksum {
        Some(partial) => transport.partial_checksum() == partial,
        None => transport.verifies(parsed, packet),
    };
    transport.kind == TransportKind::Tcp && flags() & (SYN | RST | URG) == 0 && is_right()
}
