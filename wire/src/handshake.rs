//! Payloads of the session handshake, sealed inside its two Noise messages.
//!
//! They come before it is known what the other side knows, so here alone fields that a later revision has put behind those of this one
//! are passed over. Nobody in between can change a range of revisions: Noise seals it.

use crate::cbor::{CborError, decode_longer};
use crate::{Revisions, cbor};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// Noise protocol of sessions.
pub const NOISE: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";

/// Prologue of sessions: the protocol, its version and the network.
#[must_use]
pub fn prologue(network: &crate::NetworkId) -> Vec<u8> {
    [b"hopmesh session 1 ", &network.0[..]].concat()
}

/// Ciphers for the transport of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Suite {
    /// ChaCha20-Poly1305 (RFC 8439): quick on every CPU.
    #[n(0)]
    ChaCha20Poly1305,
    /// AES-256-GCM (NIST SP 800-38D): quicker where the CPU knows AES.
    #[n(1)]
    Aes256Gcm,
}

impl Suite {
    /// Name in the derivation of keys.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ChaCha20Poly1305 => "ChaCha20-Poly1305",
            Self::Aes256Gcm => "AES-256-GCM",
        }
    }
}

/// Payload of an initiation.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct InitiationPayload {
    /// Grows with every initiation of a node: number of its starts, then milliseconds since the start. A
    /// responder refuses what does not exceed the highest seen. No wall clock is in it.
    #[n(0)]
    pub timestamp: u64,
    /// The sender's clock, seconds since 1970: only to tell people whose clock is wrong.
    #[n(1)]
    pub unix_s: u64,
    /// Ciphers that the initiator is quick at.
    #[n(2)]
    pub suites: Vec<Suite>,
    /// The initiator's credentials ([`crate::Chain`]).
    #[n(3)]
    pub chain: ByteVec,
    /// What the initiator speaks.
    #[n(4)]
    pub revisions: Revisions,
}

impl InitiationPayload {
    /// Reads a payload, of a later revision too.
    ///
    /// # Errors
    /// [`CborError`] when it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        decode_longer(bytes, 0)
    }

    /// The payload's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }
}

/// Payload of a response.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ResponsePayload {
    /// The session is established.
    #[n(0)]
    Accepted {
        /// The cipher of the session.
        #[n(0)]
        suite: Suite,
        /// Where the responder sees the initiator; absent when that cannot be a candidate.
        #[n(1)]
        observed: Option<crate::Candidate>,
        /// The responder's credentials, without the root key that both know
        /// ([`crate::Chain::encode_without_root`]).
        #[n(2)]
        chain: ByteVec,
        /// The responder's clock, seconds since 1970: only to tell people whose clock is wrong.
        #[n(3)]
        unix_s: u64,
        /// What the responder speaks.
        #[n(4)]
        revisions: Revisions,
    },
    /// The responder knows who asks and does not want a session.
    #[n(1)]
    Refused {
        /// Why.
        #[n(0)]
        refusal: Refusal,
        /// The responder's clock, seconds since 1970.
        #[n(1)]
        unix_s: u64,
        /// What the responder speaks, so that people see who is to be upgraded.
        #[n(2)]
        revisions: Revisions,
    },
}

impl ResponsePayload {
    /// Reads a payload, of a later revision too.
    ///
    /// # Errors
    /// [`CborError`] when it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        decode_longer(bytes, 2)
    }

    /// The payload's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }
}

/// Why a member is refused a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Refusal {
    /// A revocation names the initiator, or the admin that signed it.
    #[n(0)]
    Revoked,
    /// The initiator's credential has ended.
    #[n(1)]
    Expired,
    /// The initiator's credential has not begun.
    #[n(2)]
    NotYetValid,
    /// There is no revision that both speak.
    #[n(3)]
    Revision,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Revision;

    fn initiation() -> InitiationPayload {
        InitiationPayload {
            timestamp: 1 << 42,
            unix_s: 5,
            suites: vec![Suite::Aes256Gcm, Suite::ChaCha20Poly1305],
            chain: vec![1, 2].into(),
            revisions: Revisions::OURS,
        }
    }

    fn responses() -> Vec<ResponsePayload> {
        let revisions = Revisions::new(Revision::new(3).unwrap(), Revision::new(500).unwrap()).unwrap();
        let accepted = |suite, observed, unix_s| ResponsePayload::Accepted {
            suite,
            observed,
            chain: vec![3].into(),
            unix_s,
            revisions,
        };
        let observed = crate::Candidate::new("192.0.2.1:5".parse().unwrap());
        vec![
            accepted(Suite::Aes256Gcm, observed, 7),
            accepted(Suite::ChaCha20Poly1305, None, 0),
            ResponsePayload::Refused { refusal: Refusal::Expired, unix_s: 9, revisions },
            ResponsePayload::Refused { refusal: Refusal::Revision, unix_s: 9, revisions },
        ]
    }

    #[test]
    fn payloads_read_back() {
        assert_eq!(InitiationPayload::decode(&initiation().encode()), Ok(initiation()));
        for payload in responses() {
            assert_eq!(ResponsePayload::decode(&payload.encode()), Ok(payload));
        }
    }

    /// What a later revision makes of a payload whose fields stand behind `head` bytes: three more, one of them nested.
    fn longer(bytes: &[u8], head: usize) -> Vec<u8> {
        let mut longer = [bytes, &[0x19, 0x03, 0xe8, 0xf6, 0x82, 0x61, b'x', 0x81, 0x40]].concat();
        longer[head] += 3;
        longer
    }

    #[test]
    fn fields_of_later_revisions_are_passed_over() {
        assert_eq!(InitiationPayload::decode(&longer(&initiation().encode(), 0)), Ok(initiation()));
        for payload in responses() {
            assert_eq!(ResponsePayload::decode(&longer(&payload.encode(), 2)), Ok(payload));
        }
    }

    #[test]
    fn what_is_cut_or_not_canonical_is_no_payload() {
        let whole = initiation().encode();
        for bytes in [whole.clone(), longer(&whole, 0)] {
            for length in 0..bytes.len() {
                assert!(InitiationPayload::decode(&bytes[..length]).is_err(), "cut at {length}");
            }
            assert!(
                InitiationPayload::decode(&[&bytes[..], &[0]].concat()).is_err(),
                "more behind the array"
            );
        }
        // An array with a field less, with its length in two bytes, without its length.
        for head in [&[0x84][..], &[0x98, 5], &[0x9f]] {
            let end: &[u8] = if head == [0x9f] { &[0xff] } else { &[] };
            assert!(InitiationPayload::decode(&[head, &whole[1..], end].concat()).is_err(), "{head:x?}");
        }
        let mut long_form = whole.clone();
        long_form.splice(whole.len() - 1.., [0x18, 2]);
        assert!(InitiationPayload::decode(&long_form).is_err(), "a known field in another encoding");
        for payload in responses() {
            for bytes in [payload.encode(), longer(&payload.encode(), 2)] {
                for length in 0..bytes.len() {
                    assert!(ResponsePayload::decode(&bytes[..length]).is_err(), "cut at {length}");
                }
                let beside = [&[0x83], &bytes[1..], &[0]].concat();
                assert!(
                    ResponsePayload::decode(&beside).is_err(),
                    "a choice has a number and fields, no more"
                );
            }
        }
    }
}
