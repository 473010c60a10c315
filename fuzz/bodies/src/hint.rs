//! Hints and the answers of DHT nodes: what opens is signed, within its limits, and seals again to what it was.

use crate::world;
use wire::bep5::PingAnswer;
use wire::hint::{HINT_CANDIDATES_MAX, Hint, SEALED_ASK_LENGTH, SEALED_HINT_LENGTH, SealKey};
use wire::{NetworkSecret, NodeId};

/// The key that the corpus is sealed with.
pub(crate) fn key() -> SealKey {
    SealKey::who(&NetworkSecret::new(1, [5; 32]))
}

/// The bytes are a text that is sealed here, so that what stands behind the seal is reached; they are also tried as
/// what a stranger sends.
pub(crate) fn hint(bytes: &[u8]) -> bool {
    assert!(Hint::open(&key(), &world::network(), bytes).is_err(), "nobody but us has the key");
    let mut accepted = false;
    for (length, is_ask) in [(SEALED_HINT_LENGTH, false), (SEALED_ASK_LENGTH, true)] {
        let nonce = [6; 12];
        let mut text = bytes.to_vec();
        text.resize(length - 28, 0);
        let sealed = key().seal(nonce, &text);
        assert_eq!(key().open(&sealed), Some(text));
        let Ok(hint) = Hint::open(&key(), &world::network(), &sealed) else { continue };
        let body = hint.body();
        assert!(body.candidates.len() <= HINT_CANDIDATES_MAX && body.stream != Some(0));
        assert_ne!(body.node, NodeId([0; 32]));
        let again = if is_ask { hint.seal_ask(&key(), nonce) } else { hint.seal(&key(), nonce) };
        assert_eq!(again, sealed, "one hint has one encoding");
        accepted = true;
    }
    accepted
}

pub(crate) fn bep5(bytes: &[u8]) -> bool {
    let Some(answer) = PingAnswer::parse(bytes) else { return false };
    assert!(answer.observed.socket_address().port() != 0);
    assert!(bytes.windows(4).any(|part| part == answer.transaction), "what is read was there");
    true
}
