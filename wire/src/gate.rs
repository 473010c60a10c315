//! The gate: two short MACs behind every handshake message, in the manner of WireGuard.
//!
//! `mac1` is keyed by the network secret and the receiver's Noise key, so a stranger's packet costs one
//! HMAC and a counter. `mac2` is keyed by a cookie that the receiver sent to the sender's address:
//! whoever shows it can be reached there. HMAC-SHA256 cut to 16 bytes throughout.

use crate::{NetworkSecret, NoisePublicKey};
use ring::{aead, hmac};
use subtle::ConstantTimeEq;

/// Bytes of one MAC and of a cookie.
pub const MAC_LENGTH: usize = 16;
/// Bytes of the nonce of a cookie reply.
pub const COOKIE_NONCE_LENGTH: usize = 16;
/// Bytes of a sealed cookie.
pub const SEALED_COOKIE_LENGTH: usize = MAC_LENGTH + 16;

/// What a receiver sends to an address, and later wants to see in `mac2`.
pub type Cookie = [u8; MAC_LENGTH];

/// HMAC-SHA256 cut to 16 bytes.
#[must_use]
pub fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; MAC_LENGTH] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    let mut mac = [0; MAC_LENGTH];
    mac.copy_from_slice(&context.sign().as_ref()[..MAC_LENGTH]);
    mac
}

/// Compares MACs in constant time.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Keys for messages to one receiver.
#[derive(Clone)]
pub struct GateKeys {
    mark: u8,
    mac1: [u8; 16],
    cookie: [u8; 32],
    reply: [u8; 16],
}

impl GateKeys {
    /// The keys of the gate of the node with this Noise key, in the network with this secret.
    #[must_use]
    pub fn of_receiver(secret: &NetworkSecret, receiver: &NoisePublicKey) -> Self {
        let gate_key = &secret.gate_key();
        Self {
            mark: secret.mark(),
            mac1: mac(gate_key, &[b"mac1", &receiver.0]),
            cookie: crate::secret::derive(gate_key, &[b"cookie", &receiver.0[..]].concat()),
            reply: mac(gate_key, &[b"cookie reply"]),
        }
    }

    /// The mark of the secret's epoch, which stands in the header of what is sent under these keys.
    #[must_use]
    pub fn mark(&self) -> u8 {
        self.mark
    }

    /// `mac1` over everything that stands before it.
    #[must_use]
    pub fn mac1(&self, message: &[u8]) -> [u8; MAC_LENGTH] {
        mac(&self.mac1, &[message])
    }

    /// The MAC behind a cookie reply: any member can make it and check it, a stranger cannot.
    #[must_use]
    pub fn reply_mac(&self, message: &[u8]) -> [u8; MAC_LENGTH] {
        mac(&self.reply, &[message])
    }

    /// Seals a cookie for the sender of the message that carried `mac1`.
    #[must_use]
    pub fn seal_cookie(
        &self,
        cookie: &Cookie,
        nonce: &[u8; COOKIE_NONCE_LENGTH],
        mac1: &[u8; MAC_LENGTH],
    ) -> [u8; SEALED_COOKIE_LENGTH] {
        let mut sealed = [0; SEALED_COOKIE_LENGTH];
        sealed[..MAC_LENGTH].copy_from_slice(cookie);
        let (body, tag) = sealed.split_at_mut(MAC_LENGTH);
        let made = self
            .cookie_key(nonce)
            .seal_in_place_separate_tag(zero_nonce(), aead::Aad::from(mac1), body)
            .expect("16 bytes are within the cipher's limit");
        tag.copy_from_slice(made.as_ref());
        sealed
    }

    /// Opens a sealed cookie that answers the message that carried `mac1`; `None` when it does not.
    #[must_use]
    pub fn open_cookie(
        &self,
        sealed: &[u8; SEALED_COOKIE_LENGTH],
        nonce: &[u8; COOKIE_NONCE_LENGTH],
        mac1: &[u8; MAC_LENGTH],
    ) -> Option<Cookie> {
        let mut buffer = *sealed;
        let cookie =
            self.cookie_key(nonce).open_in_place(zero_nonce(), aead::Aad::from(mac1), &mut buffer).ok()?;
        Cookie::try_from(&*cookie).ok()
    }

    /// One key per random nonce, used once: a 16-byte nonce is then safe with a 12-byte cipher.
    fn cookie_key(&self, nonce: &[u8; COOKIE_NONCE_LENGTH]) -> aead::LessSafeKey {
        let key = crate::secret::derive(&self.cookie, nonce);
        let key = aead::UnboundKey::new(&aead::CHACHA20_POLY1305, &key).expect("the key has 32 bytes");
        aead::LessSafeKey::new(key)
    }
}

fn zero_nonce() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> NetworkSecret {
        NetworkSecret::new(1, [byte; 32])
    }

    #[test]
    fn mac1_depends_on_network_receiver_and_message() {
        let keys = GateKeys::of_receiver(&secret(1), &NoisePublicKey([2; 32]));
        let mac1 = keys.mac1(b"message");
        assert_ne!(mac1, GateKeys::of_receiver(&secret(3), &NoisePublicKey([2; 32])).mac1(b"message"));
        assert_ne!(mac1, GateKeys::of_receiver(&secret(1), &NoisePublicKey([3; 32])).mac1(b"message"));
        assert_ne!(mac1, keys.mac1(b"massage"));
        assert!(equal(&mac1, &keys.mac1(b"message")));
        assert!(!equal(&mac1, &mac1[..15]));
    }

    #[test]
    fn a_cookie_opens_only_for_the_message_that_it_answers() {
        let keys = GateKeys::of_receiver(&secret(1), &NoisePublicKey([2; 32]));
        let sealed = keys.seal_cookie(&[7; 16], &[4; 16], &[5; 16]);
        assert_eq!(keys.open_cookie(&sealed, &[4; 16], &[5; 16]), Some([7; 16]));
        assert_eq!(keys.open_cookie(&sealed, &[4; 16], &[6; 16]), None);
        assert_eq!(keys.open_cookie(&sealed, &[5; 16], &[5; 16]), None);
    }
}
