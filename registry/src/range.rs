//! Ranges of key hashes, each halved four times into sixteen, and the digests of what is in them.

use crate::limits::KEPT_BITS;
use std::collections::BTreeMap;
use wire::Part;

/// Bits by which a range is divided: into sixteen.
pub(crate) const STEP_BITS: u8 = 4;

/// The key hashes that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) bits: u8,
    /// The bits, as a number below 2^bits.
    pub(crate) prefix: u64,
}

impl Range {
    pub(crate) const ALL: Self = Self { bits: 0, prefix: 0 };

    /// What everybody holds.
    pub(crate) const EVERYBODYS: Self = Self { bits: 1, prefix: 0 };

    /// What is shared out and in a part; the part is not nothing.
    pub(crate) fn of_part(part: Part) -> Self {
        Self { bits: part.depth() + 1, prefix: part.number().into() }
    }

    /// Whether all its hashes are in another.
    pub(crate) fn is_within(self, other: Self) -> bool {
        let above = self.bits.checked_sub(other.bits);
        above.is_some_and(|above| self.prefix.checked_shr(above.into()).unwrap_or(0) == other.prefix)
    }

    /// The fewest ranges of whole steps that it is made of: at most eight, or sixteen if it is one itself.
    pub(crate) fn steps(self) -> Vec<Self> {
        let bits = (self.bits + 1).next_multiple_of(STEP_BITS).min(64);
        let first = self.prefix << (bits - self.bits);
        (0..1 << (bits - self.bits)).map(|part| Self { bits, prefix: first | part }).collect()
    }

    /// Nobody who keeps to the protocol names another range: at most 64 bits, whole steps, and no more of them than it says.
    pub(crate) fn new(bits: u8, prefix: u64) -> Option<Self> {
        let fits = prefix.checked_shr(bits.into()).unwrap_or(0) == 0;
        (bits <= 64 && bits.is_multiple_of(STEP_BITS) && fits).then_some(Self { bits, prefix })
    }

    pub(crate) fn first(self) -> u64 {
        self.prefix.checked_shl(u32::from(64 - self.bits)).unwrap_or(0)
    }

    pub(crate) fn last(self) -> u64 {
        self.first() | u64::MAX.checked_shr(self.bits.into()).unwrap_or(0)
    }

    /// The sixteen parts, in order; none of a range of one hash.
    pub(crate) fn parts(self) -> impl Iterator<Item = Self> {
        let parts = if self.bits < 64 { 1 << STEP_BITS } else { 0 };
        (0..parts)
            .map(move |part| Self { bits: self.bits + STEP_BITS, prefix: (self.prefix << STEP_BITS) | part })
    }
}

/// XOR of version hashes by range of [`KEPT_BITS`]; a range of nothing has no place, so that few records take little.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digests(BTreeMap<u64, u64>);

impl Digests {
    /// A record came or went.
    pub(crate) fn toggle(&mut self, key_hash: u64, version_hash: u64) {
        let place = key_hash >> (64 - KEPT_BITS);
        let digest = self.0.entry(place).or_default();
        *digest ^= version_hash;
        if *digest == 0 {
            self.0.remove(&place);
        }
    }

    /// The digest of a range; none for one that is smaller than those that are kept.
    pub(crate) fn of(&self, range: Range) -> Option<u64> {
        let kept = range.first() >> (64 - KEPT_BITS)..=range.last() >> (64 - KEPT_BITS);
        (range.bits <= KEPT_BITS).then(|| self.0.range(kept).fold(0, |digest, (_, part)| digest ^ part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_range_without_a_gap() {
        for range in [Range::ALL, Range::new(4, 15).unwrap(), Range::new(60, 7).unwrap()] {
            let parts: Vec<Range> = range.parts().collect();
            assert_eq!((parts.len(), parts[0].first(), parts[15].last()), (16, range.first(), range.last()));
            assert!(parts.windows(2).all(|pair| pair[0].last() + 1 == pair[1].first()));
        }
        assert_eq!((Range::ALL.first(), Range::ALL.last()), (0, u64::MAX));
        let one = Range::new(64, u64::MAX).unwrap();
        assert_eq!((one.first(), one.last(), one.parts().count()), (u64::MAX, u64::MAX, 0));
    }

    #[test]
    fn parts_of_key_space_are_whole_steps() {
        let part = Range { bits: 2, prefix: 0b11 };
        let steps: Vec<u64> = part.steps().into_iter().map(|step| step.prefix).collect();
        assert_eq!(steps, [0b1100, 0b1101, 0b1110, 0b1111]);
        assert!(part.steps().iter().all(|step| step.bits == 4 && step.is_within(part)));
        assert_eq!(Range::EVERYBODYS.steps().len(), 8);
        assert!(Range::ALL.steps().into_iter().eq(Range::ALL.parts()));
        assert!(part.is_within(Range::ALL) && !Range::ALL.is_within(part));
        assert!(!part.is_within(Range::EVERYBODYS));
        assert_eq!(Range::of_part(Part::WHOLE), Range { bits: 1, prefix: 1 });
    }

    #[test]
    fn ranges_that_are_none_are_refused() {
        for (bits, prefix) in [(68, 0), (255, 0), (3, 0), (4, 16), (0, 1)] {
            assert_eq!(Range::new(bits, prefix), None, "{bits} {prefix}");
        }
        assert!(Range::new(4, 15).is_some() && Range::new(0, 0).is_some());
    }
}
