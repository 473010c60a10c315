//! The network secret and what is derived from it.

use ring::hkdf;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// 32 random bytes that every member knows and nobody else, with the number of their epoch.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct NetworkSecret {
    epoch: u32,
    bytes: [u8; 32],
}

impl NetworkSecret {
    /// The secret of an epoch.
    #[must_use]
    pub fn new(epoch: u32, bytes: [u8; 32]) -> Self {
        Self { epoch, bytes }
    }

    /// Grows by one with every new secret.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The lowest 8 bits of the epoch: they stand in the clear in handshakes and hints, so that a receiver that keeps
    /// several secrets tries one key and not all.
    #[must_use]
    pub fn mark(&self) -> u8 {
        self.epoch.to_le_bytes()[0]
    }

    /// The secret itself, to be stored or handed to a new member.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The pre-shared key of session handshakes.
    #[must_use]
    pub fn psk(&self) -> [u8; 32] {
        derive(&self.bytes, b"hopmesh session psk")
    }

    /// The key that lets members' handshakes through each other's gate.
    #[must_use]
    pub fn gate_key(&self) -> [u8; 32] {
        derive(&self.bytes, b"hopmesh gate")
    }
}

impl std::fmt::Debug for NetworkSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NetworkSecret(epoch {})", self.epoch)
    }
}

/// The X25519 secret key by which guests know a member, out of its Noise secret key. One of its own, so that no message of one
/// protocol is of use in the other.
#[must_use]
pub fn guest_door_key(noise_secret: &[u8; 32]) -> [u8; 32] {
    derive(noise_secret, b"hopmesh guest door")
}

/// HKDF-SHA256 (RFC 5869) without salt: one 32-byte key from `secret` for the purpose `label`.
#[must_use]
pub fn derive(secret: &[u8], label: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
        .extract(secret)
        .expand(&[label], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        .expect("32 bytes are within what HKDF-SHA256 expands to");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_have_different_keys_and_debug_shows_none() {
        let secret = NetworkSecret::new(3, [5; 32]);
        assert_ne!(secret.psk(), secret.gate_key());
        assert_ne!(secret.psk(), NetworkSecret::new(3, [6; 32]).psk());
        assert_eq!(format!("{secret:?}"), "NetworkSecret(epoch 3)");
    }
}
