//! A node's own keys. They are made on the machine and never leave it.

use crate::random::Random;
use ed25519_dalek::SigningKey;
use wire::{NodeId, NoisePublicKey};
use x25519_dalek::StaticSecret;

/// The two key pairs of a node, and how often it was started.
#[derive(Clone)]
pub struct Identity {
    /// Ed25519: the public half is the node id.
    pub signing: SigningKey,
    /// X25519: the key of Noise.
    pub noise: StaticSecret,
    /// Number of starts; the upper part of the timestamps of initiations, so that they grow whatever the clock does.
    pub starts: u64,
}

impl Identity {
    /// Makes new keys from 32 bytes of entropy.
    #[must_use]
    pub fn generate(seed: [u8; 32]) -> Self {
        let mut random = Random::new(seed);
        Self {
            signing: SigningKey::from_bytes(&random.bytes()),
            noise: random.bytes::<32>().into(),
            starts: 0,
        }
    }

    /// Who the node is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        NodeId(self.signing.verifying_key().to_bytes())
    }

    /// The public half of its Noise key.
    #[must_use]
    pub fn noise_key(&self) -> NoisePublicKey {
        NoisePublicKey(x25519_dalek::PublicKey::from(&self.noise).to_bytes())
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({:?})", self.node())
    }
}
