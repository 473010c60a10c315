//! Numbers that look random, from a seed: who is a neighbour of whom. Never for secrets.

use std::time::Duration;
use wire::SplitMix64;

/// What a seed gives.
#[derive(Debug, Clone)]
pub(crate) struct Random(SplitMix64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.draw()) * bound as u128) >> 64) as usize
    }

    /// A duration between 75 % and 125 % of the given one: nodes that started together drift apart.
    pub(crate) fn jitter(&mut self, duration: Duration) -> Duration {
        duration * (750 + self.below(501) as u32) / 1000
    }

    /// One of these, if there is any.
    pub(crate) fn one_of<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        (!items.is_empty()).then(|| items[self.below(items.len())])
    }

    /// At most so many of these, any of them.
    pub(crate) fn some_of<T>(&mut self, mut items: Vec<T>, count: usize) -> Vec<T> {
        for i in 0..count.min(items.len()) {
            let other = i + self.below(items.len() - i);
            items.swap(i, other);
        }
        items.truncate(count);
        items
    }
}
