//! Datagrams: what one UDP payload is, told by its first byte.
//!
//! The first bytes are chosen so that STUN (0–3), WireGuard (1–4 and three zeros) and DTLS (20–63) can share
//! the port. Integers are little-endian. `Data` is parsed by the fast path; everything else goes to the Node.

mod hint;

pub use hint::{ASK_LENGTH, HINT_LENGTH, HintMessage, HintStage, write_hint};

use crate::gate::{COOKIE_NONCE_LENGTH, Cookie, GateKeys, MAC_LENGTH, SEALED_COOKIE_LENGTH};
use crate::{InviteId, gate};

/// First byte of each datagram.
mod kind {
    pub(super) const INITIATION: u8 = 0xa1;
    pub(super) const RESPONSE: u8 = 0xa2;
    pub(super) const COOKIE_REPLY: u8 = 0xa3;
    pub(super) const DATA: u8 = 0xa4;
    pub(super) const CONTROL: u8 = 0xa5;
    pub(super) const ENROLMENT: u8 = 0xa6;
    pub(super) const LABELLED: u8 = 0xa7;
    pub(super) const HINT: u8 = 0xa8;
    pub(super) const UNSUMMED: u8 = 0xa9;
    pub(super) const FIRST_HALF: u8 = 0xaa;
    pub(super) const SECOND_HALF: u8 = 0xab;
    /// `WireGuard`'s initiation; then its response and cookie reply, and with three zeros behind it each is a word of its own there.
    pub(super) const WIREGUARD_FIRST: u8 = 1;
    /// And its data.
    pub(super) const WIREGUARD_LAST: u8 = 4;
}

/// Second byte of handshake, enrolment and hint messages: the version of the protocol.
pub const VERSION: u8 = 1;

/// Bytes before a sealed packet: kind, three zeros, receiver index, counter.
pub const HEADER_LENGTH: usize = 16;
/// Bytes behind a sealed packet.
pub const TAG_LENGTH: usize = 16;
/// What sealing adds to a packet.
pub const OVERHEAD: usize = HEADER_LENGTH + TAG_LENGTH;

/// Every initiation has this length: what passes everywhere in IPv6 (1280) less IP and UDP headers. The
/// padding keeps the reply at half of it, so that nobody is a reflector, and hides names' lengths.
pub const INITIATION_LENGTH: usize = 1232;
/// A reply to an address that is not proved may have at most this length (half the request).
pub const UNPROVED_REPLY_LENGTH_MAX: usize = INITIATION_LENGTH / 2;
/// Longest datagram of the slow path; a longer one is refused.
pub const SLOW_LENGTH_MAX: usize = 1232;
/// Longest inner packet, or half of one, that passes everywhere in IPv6 in one datagram, also over hops; and in IPv4 as good as
/// everywhere.
pub const WHOLE_LENGTH_MIN: usize = 1232 - OVERHEAD - LABEL_LENGTH;

const INITIATION_HEADER: usize = 10;
const RESPONSE_HEADER: usize = 12;
const COOKIE_REPLY_COVERED: usize = 8 + COOKIE_NONCE_LENGTH + SEALED_COOKIE_LENGTH;
const COOKIE_REPLY_LENGTH: usize = COOKIE_REPLY_COVERED + MAC_LENGTH;
/// Bytes before the body of an enrolment message.
pub(crate) const ENROLMENT_HEADER: usize = 4 + InviteId::LENGTH + 4 + 2;
/// Longest Noise message in an initiation.
pub const INITIATION_NOISE_LENGTH_MAX: usize = INITIATION_LENGTH - INITIATION_HEADER - 2 * MAC_LENGTH;
/// The first enrolment message is padded to this, more than twice its answer.
pub const ENROLMENT_FIRST_LENGTH: usize = 512;
/// One UDP payload, split into fields. Nothing is authenticated yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// First message of a session handshake.
    Initiation(Initiation<'a>),
    /// Second message of a session handshake.
    Response(Response<'a>),
    /// "Show me that you receive at your address."
    CookieReply(CookieReply),
    /// A sealed inner packet.
    Data(Sealed),
    /// A sealed inner packet whose TCP or UDP checksum was left out.
    Unsummed(Sealed),
    /// One of the halves of a sealed inner packet.
    Half(Sealed, Half),
    /// A sealed control message.
    Control(Sealed),
    /// A message of an enrolment.
    Enrolment(Enrolment<'a>),
    /// Another datagram on its way through hops.
    Labelled(Labelled),
    /// A sealed hint.
    Hint(HintMessage<'a>),
    /// A message of `WireGuard`, for a guest's tunnel.
    WireGuard,
}

/// Which half of an inner packet that goes in two datagrams, the second under the counter after the first's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Its first bytes.
    First,
    /// The others.
    Second,
}

/// Bytes before the datagram that a hop carries.
pub const LABEL_LENGTH: usize = 16;

/// A datagram for a hop, or for the end of a circuit: a header, then the datagram that is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labelled {
    /// By which the receiver knows the circuit.
    pub label: u64,
    /// What tells a sealed datagram from its copies: the end of its tag. Absent for other datagrams.
    pub copy_mark: Option<u64>,
}

impl Labelled {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let inner = bytes.get(LABEL_LENGTH..)?;
        if bytes[1..8] != [0; 7] {
            return None;
        }
        let copy_mark = match *inner.first()? {
            kind::DATA | kind::UNSUMMED | kind::FIRST_HALF | kind::SECOND_HALF | kind::CONTROL
                if inner.len() >= OVERHEAD =>
            {
                Some(u64::from_le_bytes(*inner.last_chunk()?))
            }
            kind::INITIATION | kind::RESPONSE | kind::COOKIE_REPLY => None,
            // Enrolments go by messages, and circuits do not lead through circuits.
            _ => return None,
        };
        Some(Self { label: u64::from_le_bytes(bytes[8..16].try_into().ok()?), copy_mark })
    }
}

/// Whether the first of these labelled datagrams finds out how long datagrams may be, so that a hop must carry it in one piece: a
/// control message longer than any other.
#[must_use]
pub fn is_measure(bytes: &[u8], length: usize) -> bool {
    length > LABEL_LENGTH + SLOW_LENGTH_MAX && bytes.get(LABEL_LENGTH) == Some(&kind::CONTROL)
}

/// Writes the header before a datagram that a hop carries.
pub fn write_label(header: &mut [u8; LABEL_LENGTH], label: u64) {
    *header = [0; LABEL_LENGTH];
    header[0] = kind::LABELLED;
    header[8..].copy_from_slice(&label.to_le_bytes());
}

/// First message of a session handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Initiation<'a> {
    /// The index under which the initiator wants to be answered.
    pub sender: u32,
    /// The Noise message.
    pub noise: &'a [u8],
    /// The gate's MACs and what they cover.
    pub gate: Gate<'a>,
}

/// Second message of a session handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// The responder's index for the session.
    pub sender: u32,
    /// The initiator's index, from the initiation.
    pub receiver: u32,
    /// The Noise message.
    pub noise: &'a [u8],
    /// The gate's MACs and what they cover.
    pub gate: Gate<'a>,
}

/// The two MACs at the end of a handshake message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate<'a> {
    /// The mark of the epoch that it is keyed by ([`crate::NetworkSecret::mark`]).
    pub mark: u8,
    /// What `mac1` covers; `mac2` covers this and `mac1`.
    pub covered: &'a [u8],
    /// First MAC.
    pub mac1: [u8; MAC_LENGTH],
    /// Second MAC; zeros when the sender has no cookie.
    pub mac2: [u8; MAC_LENGTH],
}

impl Gate<'_> {
    /// Whether the sender is a member of the network that knows us.
    #[must_use]
    pub fn passes(&self, keys: &GateKeys) -> bool {
        gate::equal(&keys.mac1(self.covered), &self.mac1)
    }

    /// Whether the sender has received this cookie.
    #[must_use]
    pub fn shows(&self, cookie: &Cookie) -> bool {
        gate::equal(&gate::mac(cookie, &[self.covered, &self.mac1]), &self.mac2)
    }
}

/// Asks the sender of a handshake message to send it again with `mac2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieReply {
    /// The mark of the epoch that it is keyed by ([`crate::NetworkSecret::mark`]).
    pub mark: u8,
    /// The index from the message that is answered.
    pub receiver: u32,
    /// Random.
    pub nonce: [u8; COOKIE_NONCE_LENGTH],
    /// The cookie, sealed.
    pub sealed: [u8; SEALED_COOKIE_LENGTH],
    /// Keyed by the network secret, so that strangers' replies are not looked at.
    pub mac: [u8; MAC_LENGTH],
}

impl CookieReply {
    /// A reply with its MAC.
    #[must_use]
    pub fn new(
        receiver: u32,
        nonce: [u8; COOKIE_NONCE_LENGTH],
        sealed: [u8; SEALED_COOKIE_LENGTH],
        keys: &GateKeys,
    ) -> Self {
        let mut reply = Self { mark: keys.mark(), receiver, nonce, sealed, mac: [0; MAC_LENGTH] };
        reply.mac = keys.reply_mac(&reply.covered());
        reply
    }

    /// Whether a member made it.
    #[must_use]
    pub fn passes(&self, keys: &GateKeys) -> bool {
        gate::equal(&keys.reply_mac(&self.covered()), &self.mac)
    }

    fn covered(&self) -> [u8; COOKIE_REPLY_COVERED] {
        let mut bytes = [0; COOKIE_REPLY_COVERED];
        bytes[..4].copy_from_slice(&[kind::COOKIE_REPLY, VERSION, 0, self.mark]);
        bytes[4..8].copy_from_slice(&self.receiver.to_le_bytes());
        bytes[8..8 + COOKIE_NONCE_LENGTH].copy_from_slice(&self.nonce);
        bytes[8 + COOKIE_NONCE_LENGTH..].copy_from_slice(&self.sealed);
        bytes
    }
}

/// Header of a sealed datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// The receiver's index for the session.
    pub receiver: u32,
    /// The number of the datagram in its session.
    pub counter: u64,
}

/// A message of an enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enrolment<'a> {
    /// Which of the four messages, 1 to 4.
    pub stage: u8,
    /// The invite that is used.
    pub invite: InviteId,
    /// Chosen by the joiner, so that its attempts can be told apart.
    pub conversation: u32,
    /// The Noise message, or the sealed answer.
    pub body: &'a [u8],
    /// What `mac` covers.
    pub covered: &'a [u8],
    /// Keyed by the invite's secret.
    pub mac: [u8; MAC_LENGTH],
}

impl Enrolment<'_> {
    /// Whether the sender knows the invite's secret.
    #[must_use]
    pub fn passes(&self, key: &[u8; 32]) -> bool {
        gate::equal(&gate::mac(key, &[self.covered]), &self.mac)
    }
}

impl<'a> Datagram<'a> {
    /// Reads one UDP payload; `None` when it is none of ours. Takes any bytes of any length.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&first, rest) = bytes.split_first()?;
        match first {
            kind::DATA => return Sealed::parse(bytes).map(Self::Data),
            kind::UNSUMMED => return Sealed::parse(bytes).map(Self::Unsummed),
            kind::FIRST_HALF => return Sealed::parse(bytes).map(|sealed| Self::Half(sealed, Half::First)),
            kind::SECOND_HALF => return Sealed::parse(bytes).map(|sealed| Self::Half(sealed, Half::Second)),
            kind::CONTROL => return Sealed::parse(bytes).map(Self::Control),
            kind::LABELLED => return Labelled::parse(bytes).map(Self::Labelled),
            kind::WIREGUARD_FIRST..=kind::WIREGUARD_LAST => {
                return (bytes.len() >= OVERHEAD && rest.starts_with(&[0; 3])).then_some(Self::WireGuard);
            }
            _ => {}
        }
        let known_version = rest.first() == Some(&VERSION);
        if !known_version || bytes.len() > SLOW_LENGTH_MAX {
            return None;
        }
        match first {
            kind::INITIATION => parse_initiation(bytes),
            kind::RESPONSE => parse_response(bytes),
            kind::COOKIE_REPLY => parse_cookie_reply(bytes),
            kind::ENROLMENT => parse_enrolment(bytes),
            kind::HINT => hint::parse(bytes),
            _ => None,
        }
    }

    /// Whether a UDP payload is a sealed packet, all that the fast path looks at.
    #[must_use]
    pub fn is_data(bytes: &[u8]) -> bool {
        matches!(bytes.first(), Some(&(kind::DATA | kind::UNSUMMED | kind::FIRST_HALF | kind::SECOND_HALF)))
    }
}

impl Sealed {
    /// Reads the header of a sealed datagram; `None` when it is too short or reserved bits are set.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < OVERHEAD || bytes[1..4] != [0; 3] {
            return None;
        }
        Some(Self { receiver: u32_at(bytes, 4)?, counter: u64::from_le_bytes(bytes[8..16].try_into().ok()?) })
    }

    /// The header of a sealed packet. All of it is additional data of the cipher.
    #[must_use]
    pub fn data_header(&self) -> [u8; HEADER_LENGTH] {
        self.header(kind::DATA)
    }

    /// The header of a sealed packet whose checksum was left out.
    #[must_use]
    pub fn unsummed_header(&self) -> [u8; HEADER_LENGTH] {
        self.header(kind::UNSUMMED)
    }

    /// The header of one half of a sealed packet.
    #[must_use]
    pub fn half_header(&self, half: Half) -> [u8; HEADER_LENGTH] {
        self.header(match half {
            Half::First => kind::FIRST_HALF,
            Half::Second => kind::SECOND_HALF,
        })
    }

    /// The header of a sealed control message.
    #[must_use]
    pub fn control_header(&self) -> [u8; HEADER_LENGTH] {
        self.header(kind::CONTROL)
    }

    fn header(&self, kind: u8) -> [u8; HEADER_LENGTH] {
        let mut header = [0; HEADER_LENGTH];
        header[0] = kind;
        header[4..8].copy_from_slice(&self.receiver.to_le_bytes());
        header[8..].copy_from_slice(&self.counter.to_le_bytes());
        header
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn split_gate(bytes: &[u8]) -> Option<(&[u8], Gate<'_>)> {
    let covered = &bytes[..bytes.len().checked_sub(2 * MAC_LENGTH)?];
    let (mac1, mac2) = bytes[covered.len()..].split_at(MAC_LENGTH);
    let mark = *covered.get(3)?;
    Some((covered, Gate { mark, covered, mac1: mac1.try_into().ok()?, mac2: mac2.try_into().ok()? }))
}

fn parse_initiation(bytes: &[u8]) -> Option<Datagram<'_>> {
    if bytes.len() != INITIATION_LENGTH || bytes[2] != 0 {
        return None;
    }
    let (covered, gate) = split_gate(bytes)?;
    let length = usize::from(u16::from_le_bytes([covered[8], covered[9]]));
    let (noise, padding) = covered[INITIATION_HEADER..].split_at_checked(length)?;
    let zeros = padding.iter().all(|&byte| byte == 0);
    zeros.then_some(Datagram::Initiation(Initiation { sender: u32_at(bytes, 4)?, noise, gate }))
}

fn parse_response(bytes: &[u8]) -> Option<Datagram<'_>> {
    let (covered, gate) = split_gate(bytes)?;
    if covered.len() < RESPONSE_HEADER || covered[2] != 0 {
        return None;
    }
    let (sender, receiver) = (u32_at(bytes, 4)?, u32_at(bytes, 8)?);
    Some(Datagram::Response(Response { sender, receiver, noise: &covered[RESPONSE_HEADER..], gate }))
}

fn parse_cookie_reply(bytes: &[u8]) -> Option<Datagram<'_>> {
    if bytes.len() != COOKIE_REPLY_LENGTH || bytes[2] != 0 {
        return None;
    }
    let (nonce, rest) = bytes[8..].split_at(COOKIE_NONCE_LENGTH);
    let (sealed, mac) = rest.split_at(SEALED_COOKIE_LENGTH);
    Some(Datagram::CookieReply(CookieReply {
        mark: bytes[3],
        receiver: u32_at(bytes, 4)?,
        nonce: nonce.try_into().ok()?,
        sealed: sealed.try_into().ok()?,
        mac: mac.try_into().ok()?,
    }))
}

fn parse_enrolment(bytes: &[u8]) -> Option<Datagram<'_>> {
    let covered = &bytes[..bytes.len().checked_sub(MAC_LENGTH)?];
    let stage = bytes[2];
    if covered.len() < ENROLMENT_HEADER || bytes[3] != 0 || !(1..=4).contains(&stage) {
        return None;
    }
    let length = usize::from(u16::from_le_bytes([covered[24], covered[25]]));
    let (body, padding) = covered[ENROLMENT_HEADER..].split_at_checked(length)?;
    let zeros = padding.iter().all(|&byte| byte == 0);
    let padded = if stage == 1 { bytes.len() == ENROLMENT_FIRST_LENGTH } else { padding.is_empty() };
    (zeros && padded).then_some(Datagram::Enrolment(Enrolment {
        stage,
        invite: covered[4..20].try_into().ok()?,
        conversation: u32_at(covered, 20)?,
        body,
        covered,
        mac: bytes[covered.len()..].try_into().ok()?,
    }))
}

/// Writes an initiation, padded and with its MACs; `cookie` is the receiver's latest, if any.
///
/// # Panics
/// When `noise` is longer than [`INITIATION_NOISE_LENGTH_MAX`]; [`crate::credential::CHAIN_LENGTH_MAX`] keeps it shorter.
#[must_use]
pub fn write_initiation(sender: u32, noise: &[u8], keys: &GateKeys, cookie: Option<&Cookie>) -> Vec<u8> {
    assert!(noise.len() <= INITIATION_NOISE_LENGTH_MAX, "a chain's length is bounded");
    let mut bytes = Vec::with_capacity(INITIATION_LENGTH);
    bytes.extend([kind::INITIATION, VERSION, 0, keys.mark()]);
    bytes.extend(sender.to_le_bytes());
    bytes.extend((noise.len() as u16).to_le_bytes());
    bytes.extend(noise);
    bytes.resize(INITIATION_LENGTH - 2 * MAC_LENGTH, 0);
    append_gate(bytes, keys, cookie)
}

/// Writes a response with its MACs.
#[must_use]
pub fn write_response(sender: u32, receiver: u32, noise: &[u8], keys: &GateKeys) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RESPONSE_HEADER + noise.len() + 2 * MAC_LENGTH);
    bytes.extend([kind::RESPONSE, VERSION, 0, keys.mark()]);
    bytes.extend(sender.to_le_bytes());
    bytes.extend(receiver.to_le_bytes());
    bytes.extend(noise);
    append_gate(bytes, keys, None)
}

fn append_gate(mut bytes: Vec<u8>, keys: &GateKeys, cookie: Option<&Cookie>) -> Vec<u8> {
    bytes.extend(keys.mac1(&bytes));
    let mac2 = cookie.map_or([0; MAC_LENGTH], |cookie| gate::mac(cookie, &[&bytes]));
    bytes.extend(mac2);
    bytes
}

/// Writes a cookie reply.
#[must_use]
pub fn write_cookie_reply(reply: &CookieReply) -> Vec<u8> {
    [&reply.covered()[..], &reply.mac].concat()
}

/// Writes a message of an enrolment under the key of its invite; the first one is padded.
#[must_use]
pub fn write_enrolment(
    stage: u8,
    invite: &InviteId,
    conversation: u32,
    body: &[u8],
    key: &[u8; 32],
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENROLMENT_FIRST_LENGTH);
    bytes.extend([kind::ENROLMENT, VERSION, stage, 0]);
    bytes.extend(invite.0);
    bytes.extend(conversation.to_le_bytes());
    bytes.extend((body.len() as u16).to_le_bytes());
    bytes.extend(body);
    if stage == 1 {
        bytes.resize(ENROLMENT_FIRST_LENGTH - MAC_LENGTH, 0);
    }
    let mac = gate::mac(key, &[&bytes]);
    bytes.extend(mac);
    bytes
}

#[cfg(test)]
mod tests;
