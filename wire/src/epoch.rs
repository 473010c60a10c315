//! Epochs of the network secret: what a record says of a secret that it does not contain, and how the secret itself travels
//! inside sessions.

use crate::{Commitment, NetworkId, NetworkSecret};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

/// What binds a record to one secret and tells nothing of it.
const COMMITMENT_LABEL: &[u8] = b"hopmesh epoch ";

impl Commitment {
    /// The commitment to a secret of a network and to the number of its epoch.
    #[must_use]
    pub fn of(network: &NetworkId, secret: &NetworkSecret) -> Self {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for part in [COMMITMENT_LABEL, &network.0, &secret.epoch().to_le_bytes(), secret.bytes()] {
            context.update(part);
        }
        let mut commitment = [0; 32];
        commitment.copy_from_slice(context.finish().as_ref());
        Self(commitment)
    }
}

/// A message about the network secret, between two members inside a session.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum EpochMessage {
    /// "I hold the record of this epoch and not its secret."
    #[n(0)]
    Ask {
        /// From the record.
        #[n(0)]
        commitment: Commitment,
    },
    /// The secret. It counts when a record that the receiver holds commits to it.
    #[n(1)]
    Secret {
        /// Number of its epoch.
        #[n(0)]
        epoch: u32,
        /// The secret.
        #[n(1)]
        secret: ByteArray<32>,
    },
}

impl std::fmt::Debug for EpochMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ask { commitment } => write!(f, "Ask({commitment:?})"),
            Self::Secret { epoch, .. } => write!(f, "Secret(epoch {epoch})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor;
    use crate::control::Message;

    #[test]
    fn a_commitment_is_to_one_secret_of_one_epoch_of_one_network() {
        let of = |network: u8, epoch, secret: u8| {
            Commitment::of(&NetworkId([network; 16]), &NetworkSecret::new(epoch, [secret; 32]))
        };
        assert_eq!(of(1, 2, 3), of(1, 2, 3));
        for other in [of(2, 2, 3), of(1, 3, 3), of(1, 2, 4)] {
            assert_ne!(of(1, 2, 3), other);
        }
    }

    #[test]
    fn messages_read_back_and_debug_shows_no_secret() {
        let secret = EpochMessage::Secret { epoch: 7, secret: [0xab; 32].into() };
        assert_eq!(format!("{secret:?}"), "Secret(epoch 7)");
        for message in [EpochMessage::Ask { commitment: Commitment([1; 32]) }, secret] {
            let message = Message::Epoch(message);
            assert_eq!(cbor::decode(&cbor::encode(&message)), Ok(message));
        }
    }
}
