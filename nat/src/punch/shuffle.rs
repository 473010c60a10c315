//! Numbers that look random, from a seed: which ports are tried, in which order. Never for secrets.

use wire::SplitMix64;

/// What a seed gives.
#[derive(Debug, Clone)]
pub(crate) struct Shuffle(SplitMix64);

impl Shuffle {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        // The high half times the bound, its high half: every number equally often, to 1 in 2^16 for ports.
        u32::try_from(((self.0.draw() >> 32) * u64::from(bound)) >> 32).expect("less than the bound")
    }

    /// `count` of these ports, each once, in an order of chance; all of them when there are fewer.
    pub(crate) fn ports(&mut self, mut ports: Vec<u16>, count: usize) -> Vec<u16> {
        let count = count.min(ports.len());
        for chosen in 0..count {
            let rest = u32::try_from(ports.len() - chosen).expect("at most 65,536 ports");
            let other = chosen + self.below(rest) as usize;
            ports.swap(chosen, other);
        }
        ports.truncate(count);
        ports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_drawn_once_and_from_everywhere() {
        let mut drawn = Shuffle::new(7).ports((1024..=u16::MAX).collect(), 2048);
        assert_eq!(drawn.len(), 2048);
        assert_ne!(drawn, Shuffle::new(8).ports((1024..=u16::MAX).collect(), 2048));
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 2048);
        for quarter in 0..4u32 {
            let bounds = 1024 + quarter * 16_128..1024 + (quarter + 1) * 16_128;
            let inside = drawn.iter().filter(|port| bounds.contains(&u32::from(**port))).count();
            assert!((430..600).contains(&inside), "{inside} of 2048 in quarter {quarter}");
        }
        assert_eq!(Shuffle::new(7).ports(vec![5, 6], 9).len(), 2);
    }
}
