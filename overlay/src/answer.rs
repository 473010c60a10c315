//! The fourth message of an enrolment: sealed once, under a key that follows from the Noise handshake.

use crate::noise::RawKeys;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf;
use wire::cbor;
use wire::enrolment::Answer;

/// Seals the issuer's answer.
pub(crate) fn seal_answer(keys: &RawKeys, answer: &Answer) -> Vec<u8> {
    let mut bytes = cbor::encode(answer);
    key(keys)
        .seal_in_place_append_tag(zero_nonce(), Aad::empty(), &mut bytes)
        .expect("an answer is within the cipher's limit");
    bytes
}

/// Opens it; `None` when it does not authenticate or means nothing.
pub(crate) fn open_answer(keys: &RawKeys, sealed: &[u8]) -> Option<Answer> {
    let mut bytes = sealed.to_vec();
    let plaintext = key(keys).open_in_place(zero_nonce(), Aad::empty(), &mut bytes).ok()?;
    cbor::decode(plaintext).ok()
}

fn key(keys: &RawKeys) -> LessSafeKey {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"hopmesh enrolment answer");
    let key: UnboundKey = salt
        .extract(&*keys.outbound_of_responder)
        .expand(&[b""], &CHACHA20_POLY1305)
        .expect("a cipher's key is within what HKDF expands to")
        .into();
    LessSafeKey::new(key)
}

/// The key seals one message in its life.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}
