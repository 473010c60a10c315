//! Payloads of the session handshake, sealed inside its two Noise messages.

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
    },
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor;

    #[test]
    fn payloads_read_back() {
        let initiation = InitiationPayload {
            timestamp: 1 << 42,
            unix_s: 5,
            suites: vec![Suite::Aes256Gcm, Suite::ChaCha20Poly1305],
            chain: vec![1, 2].into(),
        };
        assert_eq!(cbor::decode(&cbor::encode(&initiation)), Ok(initiation));
        let observed = crate::Candidate::new("192.0.2.1:5".parse().unwrap());
        for payload in [
            ResponsePayload::Accepted { suite: Suite::Aes256Gcm, observed, chain: vec![3].into(), unix_s: 7 },
            ResponsePayload::Accepted {
                suite: Suite::ChaCha20Poly1305,
                observed: None,
                chain: vec![].into(),
                unix_s: 0,
            },
            ResponsePayload::Refused { refusal: Refusal::Expired, unix_s: 9 },
        ] {
            assert_eq!(cbor::decode(&cbor::encode(&payload)), Ok(payload));
        }
    }
}
