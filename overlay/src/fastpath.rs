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
use crate::forwarding::Label;
use crate::session::{Kind, Session, SessionError};
use crate::tables::{PeerRow, Tables};
use nat::Remote;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use wire::datagram::{Datagram, HEADER_LENGTH, LABEL_LENGTH, Labelled, Sealed, write_label};
use wire::icmp::Unreachable;
use wire::packet::Packet;

/// What becomes of a packet from the TUN.
#[derive(Debug, PartialEq, Eq)]
pub enum Outbound {
    /// The whole buffer is a datagram for this remote.
    Send(Remote),
    /// The whole buffer is a datagram to be sent behind a label, see [`wire::datagram::write_label`].
    SendLabelled(Remote, u64),
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
    Packet(Range<usize>, Option<(SlowInput, Remote)>),
    /// For the Node, and where it came from: the circuit, if one ends here.
    Slow(SlowInput, Remote),
    /// The whole buffer, with another label now, is for this remote; and whether the Node is to be told that a budget is
    /// used up.
    Forward(Remote, Option<SlowInput>),
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
    /// Members have datagrams carried: their budgets want to be refilled.
    Carrying,
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
    let Some(PeerRow { session: Some(session), remote: Some(remote), first_hop, shared }) =
        tables.peer(position)
    else {
        return Outbound::Stage(position);
    };
    let outcome = match (first_hop, remote) {
        (Some((hop, label)), _) => Outbound::SendLabelled(*hop, *label),
        (None, Remote::Circuit(_)) => return Outbound::Stage(position),
        (None, Remote::Udp { .. } | Remote::Stream(_)) => Outbound::Send(*remote),
    };
    match session.seal(Kind::Data, buffer) {
        Ok(()) => {
            shared.tx_bytes.fetch_add(length, Relaxed);
            outcome
        }
        Err(_) => Outbound::Stage(position),
    }
}

/// Opens one datagram in place.
pub fn inbound(tables: &Tables, datagram: &mut [u8], remote: Remote) -> Inbound {
    match Datagram::parse(datagram) {
        Some(Datagram::Data(sealed)) => inbound_data(tables, sealed, datagram, remote),
        Some(Datagram::Control(sealed)) => inbound_control(tables, sealed, datagram, remote),
        Some(Datagram::Labelled(labelled)) => inbound_labelled(tables, labelled, datagram),
        Some(Datagram::Initiation(initiation)) => {
            let admitted = tables.gates.admit(initiation.gate.mark, |keys| initiation.gate.passes(keys));
            slow(admitted, datagram, remote)
        }
        Some(Datagram::Response(response)) => {
            let admitted = tables.gates.admit(response.gate.mark, |keys| response.gate.passes(keys));
            slow(admitted, datagram, remote)
        }
        Some(Datagram::CookieReply(reply)) => {
            slow(tables.gates.admit(reply.mark, |keys| reply.passes(keys)), datagram, remote)
        }
        Some(Datagram::Enrolment(enrolment)) => {
            let invite = tables.invites.iter().find(|(id, _)| *id == enrolment.invite);
            gated(invite.is_some_and(|(_, key)| enrolment.passes(key)), datagram, remote)
        }
        Some(Datagram::Hint(message)) => slow(tables.hints.admit(&message), datagram, remote),
        None => slow(tables.hints.admit_server(remote.address(), datagram), datagram, remote),
    }
}

/// Carries a datagram on, or takes it when the circuit ends here.
fn inbound_labelled(tables: &Tables, labelled: Labelled, datagram: &mut [u8]) -> Inbound {
    let Some((header, inner)) = datagram.split_first_chunk_mut::<LABEL_LENGTH>() else {
        return Inbound::Drop(DropReason::Unknown);
    };
    let forward = match tables.labels.get(labelled.label) {
        None => return Inbound::Drop(DropReason::NoCircuit),
        // What is inside is no label again: `Labelled` is not made of that.
        Some(Label::End) => {
            return match inbound(tables, inner, Remote::Circuit(labelled.label)) {
                Inbound::Packet(range, notice) => {
                    Inbound::Packet(range.start + LABEL_LENGTH..range.end + LABEL_LENGTH, notice)
                }
                other @ (Inbound::Slow(..) | Inbound::Forward(..) | Inbound::Drop(_)) => other,
            };
        }
        Some(Label::Forward(forward)) => forward,
    };
    let Some(remote) = tables.straight_remote(forward.peer) else {
        return Inbound::Drop(DropReason::NoCircuit);
    };
    let is_within = forward.budget.take(inner.len());
    // The first datagram to find the budget empty has it filled, and goes through: perhaps nobody has looked for long.
    let notice = (!is_within && forward.budget.tell()).then_some(SlowInput::Carrying);
    if !is_within && notice.is_none() {
        return Inbound::Drop(DropReason::HopBudget);
    }
    if !forward.carried.note(labelled.copy_mark, inner.len()) {
        return Inbound::Drop(DropReason::HopCopy);
    }
    write_label(header, forward.label);
    Inbound::Forward(remote, notice)
}

fn gated(passes: bool, datagram: &[u8], remote: Remote) -> Inbound {
    slow(if passes { Ok(()) } else { Err(DropReason::Gate) }, datagram, remote)
}

fn slow(admitted: Result<(), DropReason>, datagram: &[u8], remote: Remote) -> Inbound {
    match admitted {
        Ok(()) => Inbound::Slow(SlowInput::Datagram(datagram.to_vec()), remote),
        Err(reason) => Inbound::Drop(reason),
    }
}

fn inbound_data(tables: &Tables, sealed: Sealed, datagram: &mut [u8], remote: Remote) -> Inbound {
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

fn inbound_control(tables: &Tables, sealed: Sealed, datagram: &mut [u8], remote: Remote) -> Inbound {
    let session = match session_of(tables, sealed) {
        Ok((session, _)) => session,
        Err(reason) => return Inbound::Drop(reason),
    };
    match session.open(sealed, datagram) {
        Ok(range) => {
            let message = datagram[range].to_vec();
            Inbound::Slow(SlowInput::Control { session: session.local_index, message }, remote)
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
fn notice(session: &Session, peer: &PeerRow, remote: Remote) -> Option<(SlowInput, Remote)> {
    let confirmed = session.confirm();
    let roamed = peer.remote != Some(remote) && !peer.shared.roam_told.swap(true, Relaxed);
    (confirmed || roamed).then_some((SlowInput::Notice { session: session.local_index }, remote))
}

#[cfg(test)]
mod tests;
