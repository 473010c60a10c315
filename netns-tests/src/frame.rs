//! Ethernet frames: where the payload of a UDP datagram is in one.

use std::ops::Range;

/// Length of an Ethernet header without tags, in bytes.
const ETHERNET: usize = 14;

/// Where the UDP header and where its payload is, in a frame that holds a whole IPv4 or IPv6 datagram, not a fragment.
pub(crate) fn udp(frame: &[u8]) -> Option<(usize, Range<usize>)> {
    let packet = frame.get(ETHERNET..)?;
    let header = match (frame.get(12..ETHERNET)?, packet.first()? >> 4) {
        // More fragments, or an offset.
        ([0x08, 0x00], 4) if packet.get(9)? == &17 && packet[6] & 0x3f == 0 && packet[7] == 0 => {
            usize::from(packet[0] & 15) * 4
        }
        ([0x86, 0xdd], 6) if packet.get(6)? == &17 => 40,
        _ => return None,
    };
    let length = packet.get(header + 4..header + 6)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let start = ETHERNET + header;
    (length >= 8 && frame.len() >= start + length).then_some((start, start + 8..start + length))
}

/// The payload of the UDP datagram in a frame.
pub(crate) fn udp_payload(frame: &[u8]) -> Option<&[u8]> {
    Some(&frame[udp(frame)?.1])
}

/// Flips bits of one payload byte, and makes the checksum right again: no network stack on the way notices.
/// Frames that hold no UDP payload stay as they are; `position` is counted around the payload's end.
pub(crate) fn alter_udp(frame: &mut [u8], position: usize, flip: u8) {
    let Some((header, payload)) = udp(frame) else { return };
    if payload.is_empty() {
        return;
    }
    let at = payload.start + position % payload.len();
    // The checksum is of 16-bit words from the UDP header on.
    let word = at - (at - header) % 2;
    let read = |frame: &[u8], at: usize| u16::from_be_bytes([frame[at], *frame.get(at + 1).unwrap_or(&0)]);
    let last = payload.end == word + 1;
    let old = if last { u16::from(frame[word]) << 8 } else { read(frame, word) };
    frame[at] ^= flip;
    let new = if last { u16::from(frame[word]) << 8 } else { read(frame, word) };
    let sum = read(frame, header + 6);
    // Zero means that there is none.
    if sum != 0 {
        frame[header + 6..header + 8].copy_from_slice(&updated(sum, old, new).to_be_bytes());
    }
}

/// RFC 1624, equation 3; a result of zero is sent as its other form.
fn updated(sum: u16, old: u16, new: u16) -> u16 {
    let total = u32::from(!sum) + u32::from(!old) + u32::from(new);
    let total = (total & 0xffff) + (total >> 16);
    let total = (total & 0xffff) + (total >> 16);
    match !(u16::try_from(total).expect("folded twice")) {
        0 => u16::MAX,
        sum => sum,
    }
}
