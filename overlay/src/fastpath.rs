//! The fast path: what a worker does with one packet or datagram, over one snapshot.
//!
//! ```text
//! outbound   packet → parse → own source? → route → session → seal in place → datagram
//! inbound    datagram → index → open in place, replay window → parse → source check → packet
//! ```
//!
//! Pure functions: no clock, no lock, no allocation for a packet. What they cannot decide becomes a
//! [`SlowInput`] for the Node; only there bytes are copied. Strangers' datagrams end here, with a counter.

use crate::drops::DropReason;
use crate::session::{Kind, Session, SessionError};
use crate::tables::{PeerRow, Tables};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use wire::datagram::{Datagram, HEADER_LENGTH, Sealed};
use wire::icmp::Unreachable;
use wire::packet::Packet;

/// What becomes of a packet from the TUN.
#[derive(Debug, PartialEq, Eq)]
pub enum Outbound {
    /// The whole buffer is a datagram for this address.
    Send(SocketAddr),
    /// The peer at this position owns the destination, but there is no session: hand the packet to the Node.
    Stage(usize),
    /// Tell the sender.
    Unreachable(Unreachable, DropReason),
    /// Forget it.
    Drop(DropReason),
}

/// What becomes of a datagram from the network.
#[derive(Debug, PartialEq, Eq)]
pub enum Inbound {
    /// This part of the buffer is an inner packet for the TUN, and something may be news to the Node.
    Packet(Range<usize>, Option<SlowInput>),
    /// For the Node.
    Slow(SlowInput),
    /// Forget it.
    Drop(DropReason),
}

/// What only the Node can decide. Everything in it has shown that a member, or the holder of an invite, made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlowInput {
    /// A handshake or enrolment message that passed the gate.
    Datagram(Vec<u8>),
    /// A control message, opened.
    Control {
        /// Index of the session that it came by.
        session: u32,
        /// The plaintext.
        message: Vec<u8>,
    },
    /// A session was used for the first time, or its peer sends from a new address.
    Notice {
        /// Index of the session.
        session: u32,
    },
}

/// Seals one packet in place. `buffer` is [`HEADER_LENGTH`] free bytes, the packet, and room for the tag; when the
/// answer is [`Outbound::Send`] it is the datagram, otherwise the packet is untouched.
pub fn outbound(tables: &Tables, buffer: &mut [u8]) -> Outbound {
    let end = buffer.len().saturating_sub(wire::datagram::TAG_LENGTH);
    let Some(bytes) = buffer.get(HEADER_LENGTH..end) else {
        return Outbound::Drop(DropReason::MalformedPacket);
    };
    let length = bytes.len() as u64;
    let Ok(packet) = Packet::parse(bytes) else { return Outbound::Drop(DropReason::MalformedPacket) };
    if packet.forbidden().is_some() {
        return Outbound::Drop(DropReason::MalformedPacket);
    }
    if !tables.routes.own.contains(&packet.source) {
        return Outbound::Drop(DropReason::ForeignSource);
    }
    let Some(position) = tables.routes.table.lookup(packet.destination) else {
        return Outbound::Unreachable(Unreachable::NoRoute, DropReason::NoRoute);
    };
    let Some(PeerRow { session: Some(session), remote: Some(remote), shared }) = tables.peer(position) else {
        return Outbound::Stage(position);
    };
    match session.seal(Kind::Data, buffer) {
        Ok(()) => {
            shared.tx_bytes.fetch_add(length, Relaxed);
            Outbound::Send(*remote)
        }
        Err(_) => Outbound::Stage(position),
    }
}

/// Opens one datagram in place.
pub fn inbound(tables: &Tables, datagram: &mut [u8], remote: SocketAddr) -> Inbound {
    match Datagram::parse(datagram) {
        Some(Datagram::Data(sealed)) => inbound_data(tables, sealed, datagram, remote),
        Some(Datagram::Control(sealed)) => inbound_control(tables, sealed, datagram),
        Some(Datagram::Initiation(initiation)) => slow(initiation.gate.passes(&tables.gate), datagram),
        Some(Datagram::Response(response)) => slow(response.gate.passes(&tables.gate), datagram),
        Some(Datagram::CookieReply(reply)) => slow(reply.passes(&tables.gate), datagram),
        Some(Datagram::Enrolment(enrolment)) => {
            let invite = tables.invites.iter().find(|(id, _)| *id == enrolment.invite);
            slow(invite.is_some_and(|(_, key)| enrolment.passes(key)), datagram)
        }
        None => Inbound::Drop(DropReason::Unknown),
    }
}

fn slow(passes: bool, datagram: &[u8]) -> Inbound {
    if passes {
        Inbound::Slow(SlowInput::Datagram(datagram.to_vec()))
    } else {
        Inbound::Drop(DropReason::Gate)
    }
}

fn inbound_data(tables: &Tables, sealed: Sealed, datagram: &mut [u8], remote: SocketAddr) -> Inbound {
    let (session, peer) = match session_of(tables, sealed) {
        Ok(found) => found,
        Err(reason) => return Inbound::Drop(reason),
    };
    let range = match session.open(sealed, datagram) {
        Ok(range) => range,
        Err(error) => return Inbound::Drop(reason_of(error)),
    };
    let notice = notice(session, peer, remote);
    match check(tables, session.peer, &datagram[range.clone()]) {
        Ok(()) => {
            peer.shared.rx_bytes.fetch_add(range.len() as u64, Relaxed);
            Inbound::Packet(range, notice)
        }
        Err(reason) => Inbound::Drop(reason),
    }
}

fn inbound_control(tables: &Tables, sealed: Sealed, datagram: &mut [u8]) -> Inbound {
    let session = match session_of(tables, sealed) {
        Ok((session, _)) => session,
        Err(reason) => return Inbound::Drop(reason),
    };
    match session.open(sealed, datagram) {
        Ok(range) => {
            let message = datagram[range].to_vec();
            Inbound::Slow(SlowInput::Control { session: session.local_index, message })
        }
        Err(error) => Inbound::Drop(reason_of(error)),
    }
}

fn session_of(tables: &Tables, sealed: Sealed) -> Result<(&Session, &PeerRow), DropReason> {
    let session = tables.session(sealed.receiver).ok_or(DropReason::NoSession)?;
    let peer = tables.peer(session.peer).ok_or(DropReason::NoSession)?;
    Ok((session, peer))
}

fn reason_of(error: SessionError) -> DropReason {
    match error {
        SessionError::Malformed => DropReason::Unknown,
        SessionError::Forged => DropReason::Forged,
        SessionError::Replayed => DropReason::Replayed,
        SessionError::Exhausted => DropReason::NoSession,
    }
}

/// The source check: the inner source belongs to the sender, the inner destination to us.
fn check(tables: &Tables, sender: usize, bytes: &[u8]) -> Result<(), DropReason> {
    let packet = Packet::parse(bytes).map_err(|_| DropReason::MalformedPacket)?;
    if !tables.routes.table.permits(packet.source, sender) {
        return Err(DropReason::SourceCheck);
    }
    if packet.forbidden().is_some() {
        return Err(DropReason::MalformedPacket);
    }
    if tables.routes.own.contains(&packet.destination) { Ok(()) } else { Err(DropReason::Destination) }
}

/// Tells the Node once of a session's first use and of a peer's new address.
fn notice(session: &Session, peer: &PeerRow, remote: SocketAddr) -> Option<SlowInput> {
    let confirmed = session.confirm();
    let roamed = peer.remote != Some(remote) && !peer.shared.roam_told.swap(true, Relaxed);
    (confirmed || roamed).then_some(SlowInput::Notice { session: session.local_index })
}

#[cfg(test)]
mod tests;
