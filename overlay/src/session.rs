//! Sessions: two transport keys, a sending counter and a replay window.
//!
//! A [`Session`] is shared between the Node and the workers by `Arc`; all of its methods take `&self`, and lock
//! nothing and allocate nothing, but for the one that takes halves of packets. Its age is the Node's business: a session that is too
//! old leaves the tables.

use crate::halves::Halves;
use crate::limits::REJECT_AFTER_COUNTER;
use crate::noise::RawKeys;
use crate::replay::ReplayWindow;
use ring::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use wire::datagram::{HEADER_LENGTH, Half, OVERHEAD, Sealed, TAG_LENGTH};
use wire::handshake::Suite;

/// Which side of the handshake we were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sent the first message.
    Initiator,
    /// Answered it.
    Responder,
}

/// What kind of plaintext is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An inner packet.
    Data,
    /// An inner packet whose TCP or UDP checksum was left out.
    Unsummed,
    /// One of the halves of an inner packet.
    Half(Half),
    /// A control message.
    Control,
}

/// Why a datagram does not open, or a packet cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Too short for header and tag.
    #[error("too short")]
    Malformed,
    /// The tag does not verify.
    #[error("does not authenticate")]
    Forged,
    /// The counter was seen before or is too old.
    #[error("replayed")]
    Replayed,
    /// The counters of the session are used up.
    #[error("session used up")]
    Exhausted,
}

/// Transport keys of one handshake.
pub struct Session {
    /// Index by which the peer names this session.
    pub local_index: u32,
    /// Index by which we name it.
    pub remote_index: u32,
    /// Position of the peer in the tables.
    pub peer: usize,
    /// Which side of the handshake we were.
    pub role: Role,
    /// The cipher.
    pub suite: Suite,
    outbound: LessSafeKey,
    inbound: LessSafeKey,
    counter: AtomicU64,
    window: ReplayWindow,
    confirmed: AtomicBool,
    halves: Halves,
}

impl Session {
    pub(crate) fn new(
        keys: &RawKeys,
        role: Role,
        suite: Suite,
        (local_index, remote_index): (u32, u32),
        peer: usize,
    ) -> Self {
        let first = transport_key(&keys.outbound_of_initiator, suite);
        let second = transport_key(&keys.outbound_of_responder, suite);
        let (outbound, inbound) = match role {
            Role::Initiator => (first, second),
            Role::Responder => (second, first),
        };
        Self {
            local_index,
            remote_index,
            peer,
            role,
            suite,
            outbound,
            inbound,
            counter: AtomicU64::new(0),
            window: ReplayWindow::default(),
            // The initiator has the responder's word; the responder waits for the first datagram.
            confirmed: AtomicBool::new(role == Role::Initiator),
            halves: Halves::default(),
        }
    }

    /// Seals in place. `buffer` is [`HEADER_LENGTH`] free bytes, the plaintext, [`TAG_LENGTH`] free bytes; all of it
    /// is the datagram afterwards.
    ///
    /// # Errors
    /// [`SessionError::Exhausted`] after 2^46 datagrams, [`SessionError::Malformed`] when `buffer` has no room.
    pub fn seal(&self, kind: Kind, buffer: &mut [u8]) -> Result<(), SessionError> {
        let counter = self.take_counters(1)?;
        self.seal_under(counter, kind, buffer)
    }

    /// Takes as many counters as datagrams are to be sealed, and says the first.
    ///
    /// # Errors
    /// [`SessionError::Exhausted`] after 2^46 of them.
    pub(crate) fn take_counters(&self, count: u64) -> Result<u64, SessionError> {
        let first = self.counter.fetch_add(count, Relaxed);
        let is_within = first < REJECT_AFTER_COUNTER && count <= REJECT_AFTER_COUNTER - first;
        if is_within { Ok(first) } else { Err(SessionError::Exhausted) }
    }

    /// As [`Session::seal`], under a counter that was taken for it.
    ///
    /// # Errors
    /// As [`Session::seal`].
    pub(crate) fn seal_under(&self, counter: u64, kind: Kind, buffer: &mut [u8]) -> Result<(), SessionError> {
        if buffer.len() < OVERHEAD {
            return Err(SessionError::Malformed);
        }
        let sealed = Sealed { receiver: self.remote_index, counter };
        let header = match kind {
            Kind::Data => sealed.data_header(),
            Kind::Unsummed => sealed.unsummed_header(),
            Kind::Half(half) => sealed.half_header(half),
            Kind::Control => sealed.control_header(),
        };
        let (head, rest) = buffer.split_at_mut(HEADER_LENGTH);
        head.copy_from_slice(&header);
        let (body, tag) = rest.split_at_mut(rest.len() - TAG_LENGTH);
        let made = self
            .outbound
            .seal_in_place_separate_tag(nonce(counter), Aad::from(header), body)
            .map_err(|_| SessionError::Exhausted)?;
        tag.copy_from_slice(made.as_ref());
        Ok(())
    }

    /// Opens in place a datagram whose header was parsed; returns where in it the plaintext stands.
    ///
    /// # Errors
    /// [`SessionError`]; a datagram that is refused changes nothing.
    pub fn open(&self, sealed: Sealed, datagram: &mut [u8]) -> Result<Range<usize>, SessionError> {
        if datagram.len() < OVERHEAD || sealed.counter >= REJECT_AFTER_COUNTER {
            return Err(SessionError::Malformed);
        }
        let (header, body) = datagram.split_at_mut(HEADER_LENGTH);
        let aad = Aad::from(&*header);
        let plaintext = self
            .inbound
            .open_in_place(nonce(sealed.counter), aad, body)
            .map_err(|_| SessionError::Forged)?
            .len();
        if !self.window.accept(sealed.counter) {
            return Err(SessionError::Replayed);
        }
        Ok(HEADER_LENGTH..HEADER_LENGTH + plaintext)
    }

    /// Takes a half of a packet that was opened under this counter; gives the packet when the other half was there.
    pub(crate) fn join(&self, half: Half, counter: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        self.halves.join(half, counter, bytes)
    }

    /// Marks that the peer has used the session; true for the first time.
    pub fn confirm(&self) -> bool {
        !self.confirmed.load(Relaxed) && !self.confirmed.swap(true, Relaxed)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Session({:08x} → {:08x}, {:?}, {:?})",
            self.local_index, self.remote_index, self.role, self.suite
        )
    }
}

fn transport_key(raw: &[u8; 32], suite: Suite) -> LessSafeKey {
    let algorithm = match suite {
        Suite::ChaCha20Poly1305 => &ring::aead::CHACHA20_POLY1305,
        Suite::Aes256Gcm => &ring::aead::AES_256_GCM,
    };
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"hopmesh transport");
    let key: UnboundKey = salt
        .extract(raw)
        .expand(&[suite.name().as_bytes()], algorithm)
        .expect("a cipher's key is within what HKDF expands to")
        .into();
    LessSafeKey::new(key)
}

fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn pair(suite: Suite) -> (Session, Session) {
        let keys = RawKeys { outbound_of_initiator: [1; 32].into(), outbound_of_responder: [2; 32].into() };
        (
            Session::new(&keys, Role::Initiator, suite, (10, 20), 0),
            Session::new(&keys, Role::Responder, suite, (20, 10), 0),
        )
    }

    fn sealed(session: &Session, plaintext: &[u8]) -> Vec<u8> {
        let mut buffer = [&[0; HEADER_LENGTH], plaintext, &[0; TAG_LENGTH]].concat();
        session.seal(Kind::Data, &mut buffer).unwrap();
        buffer
    }

    fn open(session: &Session, datagram: &[u8]) -> Result<Vec<u8>, SessionError> {
        let mut buffer = datagram.to_vec();
        let sealed = Sealed::parse(&buffer).ok_or(SessionError::Malformed)?;
        session.open(sealed, &mut buffer).map(|range| buffer[range].to_vec())
    }

    #[test]
    fn both_suites_carry_both_ways() {
        for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
            let (a, b) = pair(suite);
            for length in [0, 1, 20, 1420, 65_000] {
                let plaintext = vec![7; length];
                let datagram = sealed(&a, &plaintext);
                assert_eq!(datagram.len(), length + OVERHEAD);
                assert_eq!(open(&b, &datagram), Ok(plaintext.clone()));
                assert_eq!(open(&a, &sealed(&b, &plaintext)), Ok(plaintext));
            }
        }
    }

    #[test]
    fn suites_have_different_keys() {
        let ((a, _), (_, b)) = (pair(Suite::ChaCha20Poly1305), pair(Suite::Aes256Gcm));
        assert_eq!(open(&b, &sealed(&a, b"x")), Err(SessionError::Forged));
    }

    #[test]
    fn forged_bytes_do_not_move_the_window() {
        let (a, b) = pair(Suite::Aes256Gcm);
        let datagram = sealed(&a, b"hello");
        for i in 0..datagram.len() {
            let mut forged = datagram.clone();
            forged[i] ^= 0x80;
            assert!(open(&b, &forged).is_err(), "byte {i}");
        }
        assert_eq!(open(&b, &datagram), Ok(b"hello".to_vec()));
        assert_eq!(open(&b, &datagram), Err(SessionError::Replayed));
    }

    #[test]
    fn a_control_message_cannot_pass_for_a_packet() {
        let (a, b) = pair(Suite::Aes256Gcm);
        let mut buffer = [0; OVERHEAD + 4];
        a.seal(Kind::Control, &mut buffer).unwrap();
        buffer[0] = sealed(&a, b"")[0];
        assert_eq!(open(&b, &buffer), Err(SessionError::Forged));
    }

    #[test]
    fn a_session_ends_with_its_counters() {
        let (a, b) = pair(Suite::Aes256Gcm);
        a.counter.store(REJECT_AFTER_COUNTER - 1, Relaxed);
        let last = sealed(&a, b"last");
        assert_eq!(open(&b, &last), Ok(b"last".to_vec()));
        assert_eq!(a.seal(Kind::Data, &mut [0; OVERHEAD]), Err(SessionError::Exhausted));
        let mut beyond = [0; OVERHEAD];
        beyond[..HEADER_LENGTH].copy_from_slice(&Sealed { receiver: 20, counter: 1 << 46 }.data_header());
        assert_eq!(open(&b, &beyond), Err(SessionError::Malformed));
    }

    #[test]
    fn only_the_responder_waits_for_confirmation() {
        let (a, b) = pair(Suite::Aes256Gcm);
        assert!(!a.confirm());
        assert!(b.confirm());
        assert!(!b.confirm());
    }
}
