//! From datagrams to packets.

use super::{Inbound, Opened, SlowInput};
use crate::drops::DropReason;
use crate::forwarding::Label;
use crate::session::{Session, SessionError};
use crate::tables::{PeerRow, Tables};
use nat::Remote;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use wire::datagram::{Datagram, Half, LABEL_LENGTH, Labelled, Sealed, WHOLE_LENGTH_MIN, write_label};
use wire::mss::{clamp_mss, is_syn};
use wire::packet::Packet;
use wire::transport::Transport;

/// Opens one datagram in place.
pub fn inbound(tables: &Tables, datagram: &mut [u8], remote: Remote) -> Inbound {
    match Datagram::parse(datagram) {
        Some(Datagram::Data(sealed)) => inbound_data(tables, (sealed, false), datagram, remote),
        Some(Datagram::Unsummed(sealed)) => inbound_data(tables, (sealed, true), datagram, remote),
        Some(Datagram::Half(sealed, half)) => inbound_half(tables, (sealed, half), datagram, remote),
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
        Some(Datagram::WireGuard) => Inbound::WireGuard,
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
                Inbound::Packet(opened, notice) => {
                    let range = opened.range.start + LABEL_LENGTH..opened.range.end + LABEL_LENGTH;
                    Inbound::Packet(Opened { range, ..opened }, notice)
                }
                other @ (Inbound::Half(..)
                | Inbound::Slow(..)
                | Inbound::Forward(..)
                | Inbound::WireGuard
                | Inbound::Drop(_)) => other,
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

fn inbound_data(
    tables: &Tables,
    (sealed, is_unsummed): (Sealed, bool),
    datagram: &mut [u8],
    remote: Remote,
) -> Inbound {
    let (session, peer, range) = match open(tables, sealed, datagram) {
        Ok(opened) => opened,
        Err(reason) => return Inbound::Drop(reason),
    };
    let notice = notice(session, peer, remote);
    admit(tables, (session, peer), datagram, (range, is_unsummed), notice, remote)
}

/// A half of a packet: its bytes are kept until the other half comes, and are a packet only then.
#[cold]
fn inbound_half(
    tables: &Tables,
    (sealed, half): (Sealed, Half),
    datagram: &mut [u8],
    remote: Remote,
) -> Inbound {
    let (session, peer, range) = match open(tables, sealed, datagram) {
        Ok(opened) => opened,
        Err(reason) => return Inbound::Drop(reason),
    };
    let notice = notice(session, peer, remote);
    if range.len() > WHOLE_LENGTH_MIN {
        return Inbound::Drop(DropReason::MalformedPacket);
    }
    let Some(mut bytes) = session.join(half, sealed.counter, &datagram[range]) else {
        return Inbound::Half(None, notice);
    };
    let range = 0..bytes.len();
    match admit(tables, (session, peer), &mut bytes, (range, false), notice, remote) {
        Inbound::Packet(opened, notice) => Inbound::Half(Some((opened, bytes)), notice),
        other @ (Inbound::Half(..)
        | Inbound::Slow(..)
        | Inbound::Forward(..)
        | Inbound::WireGuard
        | Inbound::Drop(_)) => other,
    }
}

/// What a member sent, checked and counted. Its SYN says how long segments may be on the way back.
#[inline]
fn admit(
    tables: &Tables,
    (session, peer): (&Session, &PeerRow),
    buffer: &mut [u8],
    (range, is_unsummed): (Range<usize>, bool),
    mut notice: Option<(SlowInput, Remote)>,
    remote: Remote,
) -> Inbound {
    let bytes = &mut buffer[range.clone()];
    let (packet, guest) = match check(tables, session.peer, bytes) {
        Ok(checked) => checked,
        Err(reason) => return Inbound::Drop(reason),
    };
    if peer.mtu.is_measured && is_syn(&packet, bytes) {
        clamp_mss(&packet, bytes, peer.mtu.whole(), !is_unsummed);
    }
    let transport = Transport::of(&packet, bytes);
    if is_unsummed && transport.is_none() {
        return Inbound::Drop(DropReason::MalformedPacket);
    }
    if let Some(share) = tables.routes.share(session.peer)
        && tables.routes.is_beyond(packet.destination)
        && !share.sent.take(range.len())
        && notice.is_none()
    {
        // The first packet to the internet that finds its sender's share used up has it filled, and goes through.
        if !share.sent.tell() {
            return Inbound::Drop(DropReason::ExitBudget);
        }
        notice = Some((SlowInput::Exiting { peer: session.peer }, remote));
    }
    peer.shared.rx_bytes.fetch_add(range.len() as u64, Relaxed);
    peer.shared.rx_packets.fetch_add(1, Relaxed);
    Inbound::Packet(Opened { range, packet, transport, is_unsummed, guest }, notice)
}

fn inbound_control(tables: &Tables, sealed: Sealed, datagram: &mut [u8], remote: Remote) -> Inbound {
    match open(tables, sealed, datagram) {
        Ok((session, _, range)) => {
            let message = datagram[range].to_vec();
            Inbound::Slow(SlowInput::Control { session: session.local_index, message }, remote)
        }
        Err(reason) => Inbound::Drop(reason),
    }
}

/// Opens a sealed datagram in place: by which session of which peer it came, and where its text stands.
#[inline]
fn open<'a>(
    tables: &'a Tables,
    sealed: Sealed,
    datagram: &mut [u8],
) -> Result<(&'a Session, &'a PeerRow, Range<usize>), DropReason> {
    let session = tables.session(sealed.receiver).ok_or(DropReason::NoSession)?;
    let peer = tables.peer(session.peer).ok_or(DropReason::NoSession)?;
    let range = session.open(sealed, datagram).map_err(reason_of)?;
    Ok((session, peer, range))
}

fn reason_of(error: SessionError) -> DropReason {
    match error {
        SessionError::Malformed => DropReason::Unknown,
        SessionError::Forged => DropReason::Forged,
        SessionError::Replayed => DropReason::Replayed,
        SessionError::Exhausted => DropReason::NoSession,
    }
}

/// The source check: the inner source belongs to the sender, the inner destination to us, or to the guest of ours that is given.
fn check(tables: &Tables, sender: usize, bytes: &[u8]) -> Result<(Packet, Option<u32>), DropReason> {
    let packet = Packet::parse(bytes).map_err(|_| DropReason::MalformedPacket)?;
    if !tables.routes.permits(packet.source, sender) {
        return Err(DropReason::SourceCheck);
    }
    if packet.forbidden().is_some() {
        return Err(DropReason::MalformedPacket);
    }
    if tables.routes.is_ours(packet.destination) {
        return Ok((packet, None));
    }
    let guest = tables.routes.guests.get(&packet.destination);
    guest.map(|guest| (packet, Some(*guest))).ok_or(DropReason::Destination)
}

/// Tells the Node once of a session's first use and of a peer's new address.
fn notice(session: &Session, peer: &PeerRow, remote: Remote) -> Option<(SlowInput, Remote)> {
    let confirmed = session.confirm();
    let roamed = peer.remote != Some(remote) && !peer.shared.roam_told.swap(true, Relaxed);
    (confirmed || roamed).then_some((SlowInput::Notice { session: session.local_index }, remote))
}
