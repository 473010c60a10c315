//! Random numbers for tests, the same in every run.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A seeded generator (xorshift64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) % u64::from(bound)) as u32
    }

    /// A prefix with host bits, out of so few that prefixes nest and repeat.
    pub(crate) fn prefix(&mut self) -> IpNet {
        let bits = [0, 1, 2, 255][self.below(4) as usize];
        let more = self.below(4);
        if self.below(2) == 0 {
            let length = [0, 8, 15, 16, 24, 31, 32][self.below(7) as usize];
            Ipv4Net::new((10 << 24 | bits << 16 | more).into(), length).unwrap().into()
        } else {
            let length = [0, 16, 47, 48, 64, 127, 128][self.below(7) as usize];
            let address = 0xfd << 120 | u128::from(bits) << 80 | u128::from(more);
            Ipv6Net::new(address.into(), length).unwrap().into()
        }
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u32 + 1) as usize);
        }
    }
}
