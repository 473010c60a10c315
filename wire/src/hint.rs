//! Hints: "this node may be dialled at these addresses", signed by the node and sealed for who may read it.
//!
//! Hints travel where strangers listen: over the LAN by multicast, to addresses whose owner is not known, and through
//! the DHT. All sealed hints have one length, and under a fresh nonce no two look alike, so that nothing tells a
//! stranger who or what. A hint that opens is still no more than a place to try: it must never move a path.

use crate::credential::verify_signature;
use crate::secret::derive;
use crate::{Candidate, NetworkId, NetworkSecret, NodeId, NoisePublicKey, cbor};
use ed25519_dalek::{Signer, SigningKey};
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};
use ring::aead;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Most candidates of a hint, as of a member record: two of each kind.
pub const HINT_CANDIDATES_MAX: usize = 8;
/// Bytes of the random nonce that a sealed hint begins with.
pub const NONCE_LENGTH: usize = 12;
/// Bytes of every sealed hint: the longest one (eight IPv6 candidates) fits, and a length tells nothing.
pub const SEALED_HINT_LENGTH: usize = 352;
/// Bytes of the sealed hint of an ask: the datagram with it is twice as long as its answer.
pub const SEALED_ASK_LENGTH: usize = 2 * SEALED_HINT_LENGTH + 4;

const TAG_LENGTH: usize = 16;
/// Bytes before the signed hint, inside the seal: its length.
const LENGTH_LENGTH: usize = 2;
/// Signatures of hints cannot be taken for any other signature of a node.
const SIGNED_PREFIX: &[u8] = b"hopmesh hint 1 ";

/// Why bytes are no hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HintError {
    /// Not sealed with this key, or not of the length of a sealed hint.
    #[error("a hint does not open")]
    Seal,
    /// Not CBOR, not in the one encoding, too many candidates, port 0.
    #[error("malformed hint")]
    Malformed,
    /// Not signed by its node, for this network.
    #[error("signature of a hint does not verify")]
    Signature,
}

impl From<cbor::CborError> for HintError {
    fn from(_: cbor::CborError) -> Self {
        Self::Malformed
    }
}

/// Seals hints, and whatever else is left in a mailbox, for those who can derive the same key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SealKey {
    key: [u8; 32],
    mark: u8,
}

impl SealKey {
    /// Of beacons on the LAN.
    #[must_use]
    pub fn lan(secret: &NetworkSecret) -> Self {
        Self { mark: secret.mark(), ..Self::derived(secret.bytes(), b"hopmesh hint lan") }
    }

    /// Of asks: "who is at this address?"
    #[must_use]
    pub fn who(secret: &NetworkSecret) -> Self {
        Self { mark: secret.mark(), ..Self::derived(secret.bytes(), b"hopmesh hint who") }
    }

    /// Of the answer to the ask that was sealed under this key with this nonce: an old answer, replayed from another
    /// address, opens for nobody.
    #[must_use]
    pub fn answer_to(&self, nonce: &[u8; NONCE_LENGTH]) -> Self {
        Self { mark: self.mark, ..Self::derived(&self.key, &[b"hopmesh hint answer ", &nonce[..]].concat()) }
    }

    pub(crate) fn derived(secret: &[u8], label: &[u8]) -> Self {
        Self { key: derive(secret, label), mark: 0 }
    }

    /// The mark of the epoch of the network secret that it follows from; 0 when it follows from another.
    #[must_use]
    pub fn mark(&self) -> u8 {
        self.mark
    }

    fn cipher(&self) -> aead::LessSafeKey {
        let key = aead::UnboundKey::new(&aead::CHACHA20_POLY1305, &self.key).expect("the key has 32 bytes");
        aead::LessSafeKey::new(key)
    }

    /// `nonce ‖ sealed text ‖ tag`. The nonce must be fresh and random; nobody can count for all who have the key.
    #[must_use]
    pub fn seal(&self, nonce: [u8; NONCE_LENGTH], text: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(NONCE_LENGTH + text.len() + TAG_LENGTH);
        bytes.extend(nonce);
        bytes.extend(text);
        let unique = aead::Nonce::assume_unique_for_key(nonce);
        let tag = self
            .cipher()
            .seal_in_place_separate_tag(unique, aead::Aad::empty(), &mut bytes[NONCE_LENGTH..])
            .expect("texts are shorter than what ChaCha20-Poly1305 seals");
        bytes.extend(tag.as_ref());
        bytes
    }

    /// The text of what [`SealKey::seal`] made, or nothing when another key or another hand did.
    #[must_use]
    pub fn open(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LENGTH>()?;
        let mut text = sealed.to_vec();
        let nonce = aead::Nonce::assume_unique_for_key(*nonce);
        let length = self.cipher().open_in_place(nonce, aead::Aad::empty(), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }

    /// Whether [`SealKey::open`] gives a text. Allocates nothing, and takes nothing longer than the hint of an ask: for
    /// strangers' datagrams.
    #[must_use]
    pub fn opens(&self, bytes: &[u8]) -> bool {
        let Some((nonce, sealed)) = bytes.split_first_chunk::<NONCE_LENGTH>() else { return false };
        let mut room = [0; SEALED_ASK_LENGTH];
        let Some(text) = room.get_mut(..sealed.len()) else { return false };
        text.copy_from_slice(sealed);
        let nonce = aead::Nonce::assume_unique_for_key(*nonce);
        self.cipher().open_in_place(nonce, aead::Aad::empty(), text).is_ok()
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

/// What a hint says.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HintBody {
    /// Who says it, and whose key signs it.
    #[n(0)]
    pub node: NodeId,
    /// The node's Noise key, without which no handshake can begin.
    #[n(1)]
    pub noise_key: NoisePublicKey,
    /// Where the node may be dialled, at most [`HINT_CANDIDATES_MAX`].
    #[n(2)]
    pub candidates: Vec<Candidate>,
    /// When it was made, seconds since 1970 by the node's clock.
    #[n(3)]
    pub unix_s: u64,
    /// The TCP port at which the node takes streams, if it does.
    #[n(4)]
    pub stream: Option<u16>,
}

#[derive(Encode, Decode)]
struct Signed {
    #[n(0)]
    body: ByteVec,
    #[n(1)]
    signature: ByteArray<64>,
}

/// A hint whose signature has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    body: HintBody,
    bytes: Vec<u8>,
}

impl Hint {
    /// Signs a hint for a network.
    ///
    /// # Errors
    /// [`HintError::Malformed`] for too many candidates or a stream port 0, [`HintError::Signature`] when the body's
    /// node is not the key's.
    pub fn sign(body: &HintBody, network: &NetworkId, key: &SigningKey) -> Result<Self, HintError> {
        let encoded = cbor::encode(body);
        let signature = key.sign(&message(network, &encoded)).to_bytes();
        Self::verify(&cbor::encode(&Signed { body: encoded.into(), signature: signature.into() }), network)
    }

    /// Opens a sealed hint, of an ask or of anything else, and verifies its signature.
    ///
    /// # Errors
    /// [`HintError`]; nothing of the bytes is believed then.
    pub fn open(key: &SealKey, network: &NetworkId, bytes: &[u8]) -> Result<Self, HintError> {
        if bytes.len() != SEALED_HINT_LENGTH && bytes.len() != SEALED_ASK_LENGTH {
            return Err(HintError::Seal);
        }
        let text = key.open(bytes).ok_or(HintError::Seal)?;
        let (length, rest) = text.split_first_chunk::<LENGTH_LENGTH>().ok_or(HintError::Malformed)?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (signed, padding) = rest.split_at_checked(length).ok_or(HintError::Malformed)?;
        if padding.iter().any(|&byte| byte != 0) {
            return Err(HintError::Malformed);
        }
        Self::verify(signed, network)
    }

    /// Seals the hint; the nonce must be fresh and random.
    #[must_use]
    pub fn seal(&self, key: &SealKey, nonce: [u8; NONCE_LENGTH]) -> Vec<u8> {
        self.seal_padded(key, nonce, SEALED_HINT_LENGTH)
    }

    /// Seals the hint for an ask, with enough padding that the answer is half as long.
    #[must_use]
    pub fn seal_ask(&self, key: &SealKey, nonce: [u8; NONCE_LENGTH]) -> Vec<u8> {
        self.seal_padded(key, nonce, SEALED_ASK_LENGTH)
    }

    /// What it says.
    #[must_use]
    pub fn body(&self) -> &HintBody {
        &self.body
    }

    fn verify(bytes: &[u8], network: &NetworkId) -> Result<Self, HintError> {
        let signed: Signed = cbor::decode(bytes)?;
        let body: HintBody = cbor::decode(&signed.body)?;
        if body.candidates.len() > HINT_CANDIDATES_MAX || body.stream == Some(0) {
            return Err(HintError::Malformed);
        }
        verify_signature(&body.node.0, &message(network, &signed.body), &signed.signature[..])
            .map_err(|_| HintError::Signature)?;
        Ok(Self { body, bytes: bytes.to_vec() })
    }

    fn seal_padded(&self, key: &SealKey, nonce: [u8; NONCE_LENGTH], length: usize) -> Vec<u8> {
        let mut text = (self.bytes.len() as u16).to_le_bytes().to_vec();
        text.extend(&self.bytes);
        let room = length - NONCE_LENGTH - TAG_LENGTH;
        assert!(text.len() <= room, "a hint's candidates are bounded, and with them its length");
        text.resize(room, 0);
        key.seal(nonce, &text)
    }
}

fn message(network: &NetworkId, body: &[u8]) -> Vec<u8> {
    [SIGNED_PREFIX, &network.0, body].concat()
}

#[cfg(test)]
mod tests;
