//! The network between the machines: what becomes of a datagram on its way.
//!
//! It knows machines by number and looks at no byte but to spoil it.

use crate::random::Random;
use std::collections::BTreeSet;
use std::time::Duration;

/// How one datagram fares; chances are out of a thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// Shortest way from end to end.
    pub delay: Duration,
    /// Added to it, up to this: datagrams overtake each other.
    pub jitter: Duration,
    /// Is lost.
    pub loss: u32,
    /// Arrives twice.
    pub duplication: u32,
    /// A copy with a flipped bit, or cut short, arrives besides.
    pub damage: u32,
}

impl Conditions {
    /// A good network: everything arrives once, in order, after 5 ms.
    pub const GOOD: Self =
        Self { delay: Duration::from_millis(5), jitter: Duration::ZERO, loss: 0, duplication: 0, damage: 0 };
    /// The network of a home: as good, and near.
    pub const LAN: Self = Self { delay: Duration::from_micros(300), ..Self::GOOD };
}

/// A copy of a datagram that will arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) after: Duration,
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_damaged: bool,
}

/// The network.
pub struct Network {
    /// How datagrams fare.
    pub conditions: Conditions,
    /// How those fare that stay within a home.
    pub lan_conditions: Conditions,
    /// Machines of different groups cannot talk. A machine beyond the end is in group 0.
    pub groups: Vec<usize>,
    /// From the first to the second nothing gets through.
    pub blocked: BTreeSet<(usize, usize)>,
    random: Random,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            conditions: Conditions::GOOD,
            lan_conditions: Conditions::LAN,
            groups: vec![],
            blocked: BTreeSet::new(),
            random: Random::new(seed),
        }
    }

    /// Removes every partition.
    pub fn heal(&mut self) {
        self.groups.clear();
        self.blocked.clear();
    }

    /// Whether partitions let anything through from one machine to another.
    pub(crate) fn passes(&self, from: usize, to: usize) -> bool {
        let group = |machine: usize| self.groups.get(machine).copied().unwrap_or(0);
        group(from) == group(to) && !self.blocked.contains(&(from, to))
    }

    /// What arrives of a datagram under some conditions.
    pub(crate) fn carry(&mut self, conditions: Conditions, bytes: &[u8]) -> Vec<Copy> {
        let mut copies = vec![];
        let Conditions { loss, duplication, damage, .. } = conditions;
        let times = if self.random.per_mille(loss) { 0 } else { 1 };
        let again = usize::from(self.random.per_mille(duplication));
        for _ in 0..times + again {
            let after = self.delay(conditions);
            copies.push(Copy { after, bytes: bytes.to_vec(), is_damaged: false });
        }
        if self.random.per_mille(damage) {
            let after = self.delay(conditions);
            copies.push(Copy { after, bytes: self.spoil(bytes), is_damaged: true });
        }
        copies
    }

    fn delay(&mut self, Conditions { delay, jitter, .. }: Conditions) -> Duration {
        self.random.duration(delay, delay + jitter)
    }

    /// Flips one bit, or cuts the end off.
    fn spoil(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut spoilt = bytes.to_vec();
        if bytes.is_empty() || self.random.per_mille(300) {
            spoilt.truncate(self.random.below(bytes.len().max(1)));
            return spoilt;
        }
        let at = self.random.below(covered(bytes));
        spoilt[at] ^= 1 << self.random.below(8);
        spoilt
    }
}

/// How many bytes of a datagram are authenticated: the second MAC of handshake messages is read only under load, when
/// a wrong one is as good as none.
fn covered(bytes: &[u8]) -> usize {
    match bytes[0] {
        0xa1 | 0xa2 => bytes.len() - wire::gate::MAC_LENGTH,
        _ => bytes.len(),
    }
}
