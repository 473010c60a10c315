//! The only source of randomness: a ChaCha20 generator from the seed that the caller gave.
//!
//! On a machine the seed comes from the kernel, in the simulator from the scenario; with the same
//! seed and inputs a Node does exactly the same again.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use std::time::Duration;

/// Seeded generator.
pub(crate) struct Random(ChaCha20Rng);

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    pub(crate) fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A duration between 100 % and 125 % of the given one: nodes that started together drift apart.
    pub(crate) fn jitter(&mut self, duration: Duration) -> Duration {
        duration + duration.mul_f64(f64::from(self.u32()) / f64::from(u32::MAX) / 4.0)
    }

    /// At most so many of these, any of them.
    pub(crate) fn some_of<T>(&mut self, mut all: Vec<T>, count: usize) -> Vec<T> {
        for i in 0..count.min(all.len()) {
            let left = (all.len() - i) as u32;
            all.swap(i, i + (self.u32() % left) as usize);
        }
        all.truncate(count);
        all
    }

    /// What snow needs, with randomness from here.
    pub(crate) fn resolver(&mut self) -> Box<SeededResolver> {
        Box::new(SeededResolver(self.bytes()))
    }
}

/// snow's own primitives, but ephemeral keys from the seed.
pub(crate) struct SeededResolver([u8; 32]);

impl CryptoResolver for SeededResolver {
    fn resolve_rng(&self) -> Option<Box<dyn snow::types::Random>> {
        Some(Box::new(SnowRandom(ChaCha20Rng::from_seed(self.0))))
    }

    fn resolve_dh(&self, choice: &snow::params::DHChoice) -> Option<Box<dyn snow::types::Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &snow::params::HashChoice) -> Option<Box<dyn snow::types::Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &snow::params::CipherChoice) -> Option<Box<dyn snow::types::Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct SnowRandom(ChaCha20Rng);

impl snow::types::Random for SnowRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}
