//! Guests: what is for one is made to fit its tunnel, and what comes from one is checked before it goes where packets of our own go.

use super::fit::{Form, fit};
use super::{Opened, Outbound};
use crate::drops::DropReason;
use crate::session::Kind;
use crate::tables::Tables;
use nat::Mtu;
use wire::mss::{clamp_mss, is_syn};
use wire::offload::Offload;
use wire::packet::Packet;
use wire::transport::Transport;

/// Longest packet in a guest's tunnel, in bytes: what IPv6 asks of any link (RFC 8200 section 5), so that it passes whatever network a
/// telephone is in.
pub const GUEST_MTU: u16 = 1280;

const MTU: Mtu = Mtu { length: GUEST_MTU, is_measured: true, is_narrow: false };

/// Where a guest's packet goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromGuest {
    /// To this machine.
    Here(Opened),
    /// By [`super::outbound`].
    Onward,
}

/// Checks a packet that came by a guest's tunnel: its source is that guest's. TCP is told how long segments may be on the way back.
///
/// Guests of an exit's own have no share of its rate: neither what they send to the internet nor what they get counts.
///
/// # Errors
/// Why it is dropped.
pub fn from_guest(tables: &Tables, guest: u32, packet: &mut [u8]) -> Result<FromGuest, DropReason> {
    let parsed = Packet::parse(packet).map_err(|_| DropReason::MalformedPacket)?;
    if tables.routes.guests.get(&parsed.source) != Some(&guest) {
        return Err(DropReason::SourceCheck);
    }
    if parsed.forbidden().is_some() {
        return Err(DropReason::Multicast);
    }
    if is_syn(&parsed, packet) {
        clamp_mss(&parsed, packet, GUEST_MTU, true);
    }
    if !tables.routes.is_ours(parsed.destination) {
        return Ok(FromGuest::Onward);
    }
    let transport = Transport::of(&parsed, packet);
    let range = 0..packet.len();
    Ok(FromGuest::Here(Opened { range, packet: parsed, transport, is_unsummed: false, guest: None }))
}

/// Hands out what is for a guest as packets that fit its tunnel, with checksums.
///
/// # Errors
/// What the sender is to be told, or why the packet is dropped.
pub fn for_guest(offload: Offload, packet: &mut [u8], mut each: impl FnMut(&[u8])) -> Result<(), Outbound> {
    let malformed = Outbound::Drop(DropReason::MalformedPacket);
    let Ok(parsed) = Packet::parse(packet) else { return Err(malformed) };
    if is_syn(&parsed, packet) {
        clamp_mss(&parsed, packet, GUEST_MTU, offload.checksum.is_none());
    }
    match fit(offload, parsed, packet, MTU)? {
        Form::Whole(kind) => {
            if kind == Kind::Unsummed {
                sum(packet);
            }
            each(packet);
        }
        Form::Segments(split) => {
            for number in 0..split.count() {
                let mut part = vec![0; split.length(number)];
                split.write(number, packet, &mut part);
                sum(&mut part);
                each(&part);
            }
        }
        Form::Fragments(fragments) => {
            for number in 0..fragments.count() {
                let mut part = vec![0; fragments.length(number)];
                fragments.write(number, packet, &mut part);
                each(&part);
            }
        }
    }
    Ok(())
}

/// Makes the checksum of TCP or UDP that was left out.
pub fn sum(packet: &mut [u8]) {
    if let Ok(parsed) = Packet::parse(packet)
        && let Some(transport) = Transport::of(&parsed, packet)
    {
        transport.complete(&parsed, packet);
    }
}
