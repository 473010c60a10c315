//! From packets to datagrams.

use super::Outbound;
use super::fit::{Form, fit, goes_in_halves};
use super::split::Split;
use super::train::{Destination, Train, Trains};
use crate::drops::DropReason;
use crate::session::{Kind, Session};
use crate::tables::{PeerRow, PeerShared, Tables};
use nat::{Mtu, Remote};
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use wire::checksum::Sum;
use wire::datagram::{HEADER_LENGTH, Half, OVERHEAD, TAG_LENGTH, WHOLE_LENGTH_MIN};
use wire::icmp::Unreachable;
use wire::mss::{clamp_mss, is_syn};
use wire::offload::{Offload, PartialChecksum};
use wire::packet::{Forbidden, Packet};
use wire::transport::Transport;

/// The way to a peer.
struct Way<'a> {
    session: &'a Session,
    to: Destination,
    mtu: Mtu,
    shared: &'a PeerShared,
}

/// Seals a packet, or all that are cut from a superpacket, into trains; full ones are sent. Only a checksum that is not to be
/// left out is made in `packet` itself.
pub fn outbound(
    tables: &Tables,
    offload: Offload,
    packet: &mut [u8],
    trains: &mut Trains,
    send: &mut impl FnMut(&Train),
) -> Outbound {
    let parsed = match admit(tables, packet) {
        Ok(parsed) => parsed,
        Err(reason) => return Outbound::Drop(reason),
    };
    let way = match way(tables, parsed.destination) {
        Ok(way) => way,
        Err(outcome) => return outcome,
    };
    let length = packet.len() as u64;
    if way.mtu.is_measured && is_syn(&parsed, packet) {
        clamp_mss(&parsed, packet, way.mtu.whole(), offload.checksum.is_none());
    }
    let form = match fit(offload, parsed, packet, way.mtu) {
        Ok(form) => form,
        Err(outcome) => return outcome,
    };
    if !tables.routes.shares.is_empty()
        && let Some(outcome) = take_share(tables, way.session.peer, &parsed, packet.len())
    {
        return outcome;
    }
    let outcome = match form {
        Form::Whole(kind) => {
            let write = |_, into: &mut [u8]| into.copy_from_slice(packet);
            seal_pieces(&way, (kind, 1), |_| packet.len(), write, trains, send)
        }
        Form::Segments(split) => {
            let write = |number, into: &mut [u8]| split.write(number, packet, into);
            let length = |number| split.length(number);
            seal_pieces(&way, (Kind::Unsummed, split.count()), length, write, trains, send)
        }
        Form::Fragments(fragments) => {
            let write = |number, into: &mut [u8]| fragments.write(number, packet, into);
            let length = |number| fragments.length(number);
            seal_pieces(&way, (Kind::Data, fragments.count()), length, write, trains, send)
        }
    };
    match outcome {
        Ok(count) => {
            way.shared.tx_bytes.fetch_add(length, Relaxed);
            way.shared.tx_packets.fetch_add(count, Relaxed);
            Outbound::Sealed
        }
        Err(outcome) => outcome,
    }
}

/// Whether a packet may leave at all.
fn admit(tables: &Tables, packet: &[u8]) -> Result<Packet, DropReason> {
    let parsed = Packet::parse(packet).map_err(|_| DropReason::MalformedPacket)?;
    match parsed.forbidden() {
        None => {}
        Some(Forbidden::Multicast | Forbidden::Broadcast) => return Err(DropReason::Multicast),
        Some(Forbidden::Unspecified | Forbidden::Loopback | Forbidden::LinkLocal | Forbidden::Mapped) => {
            return Err(DropReason::MalformedPacket);
        }
    }
    let is_ours = tables.routes.is_ours(parsed.source) || tables.routes.guests.contains_key(&parsed.source);
    if is_ours { Ok(parsed) } else { Err(DropReason::ForeignSource) }
}

/// Takes a packet from the internet from its receiver's share; what becomes of it otherwise. The first one to find that used up
/// goes to the Node, which fills it and gives the packet back: a download may go on after a pause in which nothing was sent.
#[inline(never)]
fn take_share(tables: &Tables, receiver: usize, parsed: &Packet, length: usize) -> Option<Outbound> {
    let share = tables.routes.share(receiver)?;
    if !tables.routes.is_beyond(parsed.source) || share.got.take(length) {
        return None;
    }
    let is_news = share.got.tell();
    Some(if is_news { Outbound::Stage(receiver) } else { Outbound::Drop(DropReason::ExitBudget) })
}

/// Who has an address, and how it is reached.
fn way(tables: &Tables, destination: IpAddr) -> Result<Way<'_>, Outbound> {
    let Some(position) = tables.routes.next(destination) else {
        let guest = tables.routes.guests.get(&destination);
        let no_route = Outbound::Unreachable(Unreachable::NoRoute, DropReason::NoRoute);
        return Err(guest.map_or(no_route, |guest| Outbound::Guest(*guest)));
    };
    let Some(PeerRow { session: Some(session), remote: Some(remote), first_hop, mtu, shared }) =
        tables.peer(position)
    else {
        return Err(Outbound::Stage(position));
    };
    let in_fragments = mtu.is_narrow;
    let to = match (first_hop, remote) {
        (Some((hop, label)), _) => Destination { remote: *hop, label: Some(*label), in_fragments },
        (None, Remote::Circuit(_)) => return Err(Outbound::Stage(position)),
        (None, Remote::Udp { .. } | Remote::Stream(_)) => {
            Destination { remote: *remote, label: None, in_fragments }
        }
    };
    Ok(Way { session, to, mtu: *mtu, shared })
}

/// Seals so many pieces of a packet, each as long as `length` says and as `write` makes it; gives how many.
fn seal_pieces(
    way: &Way<'_>,
    (kind, count): (Kind, usize),
    length: impl Fn(usize) -> usize,
    write: impl Fn(usize, &mut [u8]),
    trains: &mut Trains,
    send: &mut impl FnMut(&Train),
) -> Result<u64, Outbound> {
    let step = if way.mtu.is_narrow { 2 } else { 1 };
    let counters = way.session.take_counters(count as u64 * step);
    let first = counters.map_err(|_| Outbound::Stage(way.session.peer))?;
    for number in 0..count {
        let (counter, length) = (first + number as u64 * step, length(number));
        if goes_in_halves(length, way.mtu) {
            seal_halves(way, (kind, counter), length, |into| write(number, into), trains, send)?;
            continue;
        }
        seal_slot(way, (kind, counter), length, |into| write(number, into), trains, send)?;
    }
    Ok(count as u64)
}

/// Seals a piece in two, under a counter and the next. A half has no checksum to leave out.
#[cold]
fn seal_halves(
    way: &Way<'_>,
    (kind, counter): (Kind, u64),
    length: usize,
    write: impl FnOnce(&mut [u8]),
    trains: &mut Trains,
    send: &mut impl FnMut(&Train),
) -> Result<(), Outbound> {
    let mut room = [0; 2 * WHOLE_LENGTH_MIN];
    let piece = &mut room[..length];
    write(piece);
    if kind == Kind::Unsummed
        && let Ok(parsed) = Packet::parse(piece)
        && let Some(transport) = Transport::of(&parsed, piece)
    {
        transport.complete(&parsed, piece);
    }
    let (first, last) = piece.split_at(length.div_ceil(2));
    for (counter, half, bytes) in [(counter, Half::First, first), (counter + 1, Half::Second, last)] {
        let write = |into: &mut [u8]| into.copy_from_slice(bytes);
        seal_slot(way, (Kind::Half(half), counter), bytes.len(), write, trains, send)?;
    }
    Ok(())
}

/// Seals one datagram, whose text is as long as `length` says and as `write` makes it, into its train.
#[inline]
fn seal_slot(
    way: &Way<'_>,
    (kind, counter): (Kind, u64),
    length: usize,
    write: impl FnOnce(&mut [u8]),
    trains: &mut Trains,
    send: &mut impl FnMut(&Train),
) -> Result<(), Outbound> {
    let slot = trains.slot(way.to, length + OVERHEAD, send);
    let slot = slot.ok_or(Outbound::Drop(DropReason::MalformedPacket))?;
    let end = slot.len() - TAG_LENGTH;
    write(&mut slot[HEADER_LENGTH..end]);
    seal(way.session, counter, kind, slot)
}

/// Under a counter that was taken, in a slot with room for header and tag, nothing fails; if it ever does, what is in the slot
/// does not open, and is a lost datagram.
fn seal(session: &Session, counter: u64, kind: Kind, slot: &mut [u8]) -> Result<(), Outbound> {
    session.seal_under(counter, kind, slot).map_err(|_| Outbound::Drop(DropReason::NoSession))
}

/// A checksum of TCP or UDP that is not made yet is left out; any other is made. None when it lies outside the packet.
pub(super) fn leave_checksum_out(offload: Offload, parsed: &Packet, packet: &mut [u8]) -> Option<Kind> {
    let Some(partial) = offload.checksum else { return Some(Kind::Data) };
    let is_known = |transport: Transport| transport.partial_checksum() == partial;
    if Transport::of(parsed, packet).is_some_and(is_known) {
        return Some(Kind::Unsummed);
    }
    complete_partial(partial, packet).map(|()| Kind::Data)
}

/// Makes the checksum that was left out of a whole packet, for a TUN that does not; nothing, when it lies outside the packet.
pub fn complete(offload: Offload, packet: &mut [u8]) {
    let _outside = offload.checksum.and_then(|partial| complete_partial(partial, packet));
}

/// Makes a checksum whose field holds the sum of the pseudo-header.
fn complete_partial(partial: PartialChecksum, packet: &mut [u8]) -> Option<()> {
    let covered = packet.get_mut(usize::from(partial.start)..)?;
    let sum = Sum::default().with(covered).checksum();
    let at = usize::from(partial.offset);
    covered.get_mut(at..at + 2)?.copy_from_slice(&sum);
    Some(())
}

/// Hands out what the TUN gave as whole packets, with checksums, for who keeps packets for later. Nothing, when it is malformed.
pub fn whole_packets(offload: Offload, packet: &mut [u8], mut each: impl FnMut(&[u8])) {
    let Ok(parsed) = Packet::parse(packet) else { return };
    if offload.segments.is_none() {
        if offload.checksum.is_none_or(|partial| complete_partial(partial, packet).is_some()) {
            each(packet);
        }
        return;
    }
    let Some(split) = Split::of(offload, parsed, packet) else { return };
    for number in 0..split.count() {
        let mut part = vec![0; split.length(number)];
        split.write(number, packet, &mut part);
        let Ok(parsed) = Packet::parse(&part) else { continue };
        if let Some(transport) = Transport::of(&parsed, &part) {
            transport.complete(&parsed, &mut part);
        }
        each(&part);
    }
}
