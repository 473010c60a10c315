//! The two Noise handshakes, by snow: IKpsk2 for sessions, XXpsk3 for enrolments.
//!
//! Nothing of Hopmesh's own is decided here; payloads are bytes. A message that does not verify
//! changes no state: snow restores its own, and callers keep theirs until `Ok`.

use crate::random::Random;
use snow::{Builder, HandshakeState};
use wire::{InviteId, NetworkId, NoisePublicKey, enrolment, handshake};
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

/// Longest Noise message that we read or write.
const MESSAGE_LENGTH_MAX: usize = wire::datagram::SLOW_LENGTH_MAX;

/// A Noise message did not verify, or came out of turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a Noise message does not verify")]
pub(crate) struct NoiseError;

impl From<snow::Error> for NoiseError {
    fn from(_: snow::Error) -> Self {
        Self
    }
}

/// Raw keys of a finished handshake: initiator to responder, responder to initiator.
pub(crate) struct RawKeys {
    pub(crate) outbound_of_initiator: Zeroizing<[u8; 32]>,
    pub(crate) outbound_of_responder: Zeroizing<[u8; 32]>,
}

/// A handshake under way.
pub(crate) struct Handshake(Box<HandshakeState>);

/// What a handshake of sessions needs from the node's side.
pub(crate) struct SessionNoise<'a> {
    pub(crate) secret: &'a StaticSecret,
    pub(crate) network: &'a NetworkId,
    pub(crate) psk: &'a [u8; 32],
}

impl SessionNoise<'_> {
    pub(crate) fn initiator(&self, responder: &NoisePublicKey, random: &mut Random) -> Handshake {
        self.build(random, |builder| builder.remote_public_key(&responder.0)?.build_initiator())
    }

    pub(crate) fn responder(&self, random: &mut Random) -> Handshake {
        self.build(random, |builder| builder.build_responder())
    }

    fn build(
        &self,
        random: &mut Random,
        finish: impl FnOnce(Builder<'_>) -> Result<HandshakeState, snow::Error>,
    ) -> Handshake {
        let prologue = handshake::prologue(self.network);
        build(handshake::NOISE, self.secret, &prologue, (2, self.psk), random, finish)
    }
}

/// What a handshake of enrolments needs; the psk is the invite's.
pub(crate) struct EnrolmentNoise<'a> {
    pub(crate) secret: &'a StaticSecret,
    pub(crate) network: &'a NetworkId,
    pub(crate) invite: &'a InviteId,
    pub(crate) psk: &'a [u8; 32],
}

impl EnrolmentNoise<'_> {
    pub(crate) fn initiator(&self, random: &mut Random) -> Handshake {
        self.build(random, |builder| builder.build_initiator())
    }

    pub(crate) fn responder(&self, random: &mut Random) -> Handshake {
        self.build(random, |builder| builder.build_responder())
    }

    fn build(
        &self,
        random: &mut Random,
        finish: impl FnOnce(Builder<'_>) -> Result<HandshakeState, snow::Error>,
    ) -> Handshake {
        let prologue = enrolment::prologue(self.network, self.invite);
        build(enrolment::NOISE, self.secret, &prologue, (3, self.psk), random, finish)
    }
}

fn build(
    pattern: &str,
    secret: &StaticSecret,
    prologue: &[u8],
    psk: (u8, &[u8; 32]),
    random: &mut Random,
    finish: impl FnOnce(Builder<'_>) -> Result<HandshakeState, snow::Error>,
) -> Handshake {
    let params = pattern.parse().expect("the patterns in wire are ones that snow knows");
    let secret = Zeroizing::new(secret.to_bytes());
    let state = Builder::with_resolver(params, random.resolver())
        .prologue(prologue)
        .and_then(|b| b.local_private_key(&*secret))
        .and_then(|b| b.psk(psk.0, psk.1))
        .and_then(finish)
        .expect("all keys have 32 bytes and none is given twice");
    Handshake(Box::new(state))
}

impl Handshake {
    pub(crate) fn write(&mut self, payload: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let mut message = vec![0; MESSAGE_LENGTH_MAX];
        let length = self.0.write_message(payload, &mut message)?;
        message.truncate(length);
        Ok(message)
    }

    pub(crate) fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let mut payload = vec![0; MESSAGE_LENGTH_MAX];
        let length = self.0.read_message(message, &mut payload)?;
        payload.truncate(length);
        Ok(payload)
    }

    /// The other side's Noise key, once a message has brought it.
    pub(crate) fn remote(&self) -> Option<NoisePublicKey> {
        NoisePublicKey::try_from(self.0.get_remote_static()?).ok()
    }

    /// Hash over all messages so far; both sides have the same.
    pub(crate) fn hash(&self) -> Vec<u8> {
        self.0.get_handshake_hash().to_vec()
    }

    /// The keys, after the last message.
    pub(crate) fn finish(mut self) -> Result<RawKeys, NoiseError> {
        if !self.0.is_handshake_finished() {
            return Err(NoiseError);
        }
        let (first, second) = self.0.dangerously_get_raw_split();
        Ok(RawKeys { outbound_of_initiator: first.into(), outbound_of_responder: second.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake() -> (Handshake, Handshake) {
        let (a, b) = (StaticSecret::from([1; 32]), StaticSecret::from([2; 32]));
        let b_public = NoisePublicKey(x25519_dalek::PublicKey::from(&b).to_bytes());
        let (network, psk) = (NetworkId([3; 16]), [4; 32]);
        let side = |secret| SessionNoise { secret, network: &network, psk: &psk };
        let mut random = Random::new([5; 32]);
        (side(&a).initiator(&b_public, &mut random), side(&b).responder(&mut random))
    }

    #[test]
    fn garbage_before_the_true_response_changes_nothing() {
        let (mut initiator, mut responder) = handshake();
        let first = initiator.write(b"who I am").unwrap();
        let mut damaged = first.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(responder.read(&damaged), Err(NoiseError));
        assert_eq!(responder.read(&first).unwrap(), b"who I am");
        let second = responder.write(b"and I").unwrap();
        for i in 0..second.len() {
            let mut damaged = second.clone();
            damaged[i] ^= 1;
            assert_eq!(initiator.read(&damaged), Err(NoiseError), "byte {i}");
            assert_eq!(initiator.read(&second[..i]), Err(NoiseError), "cut at {i}");
        }
        assert_eq!(initiator.read(&second).unwrap(), b"and I");
        let (a, b) = (initiator.finish().unwrap(), responder.finish().unwrap());
        assert_eq!(a.outbound_of_initiator, b.outbound_of_initiator);
        assert_eq!(a.outbound_of_responder, b.outbound_of_responder);
        assert_ne!(a.outbound_of_initiator, a.outbound_of_responder);
    }

    #[test]
    fn keys_only_after_the_end() {
        let (mut initiator, _) = handshake();
        initiator.write(b"").unwrap();
        assert!(initiator.finish().is_err());
    }
}
