//! Key space: where the records that nodes share out among them are, and which part of them a node holds.
//!
//! A service name and a node each have a [`Position`] of [`POSITION_BITS`] bits. All records about a name are together, at its
//! position. A node holds a [`Part`]: the positions that begin with the same bits as its own, with no bits all of them.

use crate::NodeId;
use crate::record::hash;
use minicbor::{Decode, Encode};

/// Bits of a position. More would say where a record is more finely than anybody needs, and leave fewer bits of a key hash that
/// tell keys of one name apart.
pub const POSITION_BITS: u32 = 15;

/// A place in key space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u16);

impl Position {
    /// Of a service name.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        Self::of(&[b"position of name ", name.as_bytes()])
    }

    /// Of a node.
    #[must_use]
    pub fn of_node(node: &NodeId) -> Self {
        Self::of(&[b"position of node ", &node.0])
    }

    fn of(parts: &[&[u8]]) -> Self {
        Self((hash(parts) >> (64 - POSITION_BITS)) as u16)
    }

    /// As a number below 2 to the power of [`POSITION_BITS`].
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// How far two positions are apart: the earlier they differ the farther.
    #[must_use]
    pub fn distance(self, other: Self) -> u16 {
        self.0 ^ other.0
    }
}

/// The positions that begin with some bits, or none. As a number it is a one and these bits behind it: 1 is all positions, 2 those
/// that begin with 0, 7 those that begin with 11; 0 is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Part(#[n(0)] u16);

impl Part {
    /// No position.
    pub const NOTHING: Self = Self(0);
    /// All positions.
    pub const WHOLE: Self = Self(1);

    /// Those that begin with the same bits as a position, so many of them, at most [`POSITION_BITS`].
    #[must_use]
    pub fn around(position: Position, depth: u8) -> Self {
        let depth = u32::from(depth).min(POSITION_BITS);
        Self(1 << depth | position.0 >> (POSITION_BITS - depth))
    }

    /// With how many bits its positions begin.
    #[must_use]
    pub fn depth(self) -> u8 {
        self.0.checked_ilog2().unwrap_or(0) as u8
    }

    /// Whether a position is in it.
    #[must_use]
    pub fn covers(self, position: Position) -> bool {
        self != Self::NOTHING && Self::around(position, self.depth()) == self
    }

    /// Whether the record with this key hash is shared out and in it.
    #[must_use]
    pub fn covers_hash(self, key_hash: u64) -> bool {
        self != Self::NOTHING && key_hash >> (63 - self.depth()) == self.0.into()
    }

    /// Whether all its positions are in another.
    #[must_use]
    pub fn is_within(self, other: Self) -> bool {
        let above = self.depth().checked_sub(other.depth());
        self == Self::NOTHING || above.is_some_and(|above| self.0 >> above == other.0)
    }

    /// The positions that are in both.
    #[must_use]
    pub fn common(self, other: Self) -> Self {
        match (self.is_within(other), other.is_within(self)) {
            (true, _) => self,
            (false, true) => other,
            (false, false) => Self::NOTHING,
        }
    }

    /// The part that begins with the same bits but the last, which is the other one; of all positions or none itself.
    #[must_use]
    pub fn sibling(self) -> Self {
        if self.0 > 1 { Self(self.0 ^ 1) } else { self }
    }

    /// The part as a number, see above. It is also how the key hashes of its records begin, with [`Part::depth`] + 1 bits.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor;

    fn part(bits: &str) -> Part {
        Part(u16::from_str_radix(&format!("1{bits}"), 2).unwrap())
    }

    #[test]
    fn a_part_covers_what_begins_as_it_does() {
        let position = Position(0b101_0000_0000_0000);
        assert_eq!([0, 1, 3].map(|depth| Part::around(position, depth)), [part(""), part("1"), part("101")]);
        assert!(["", "1", "10", "101"].map(part).iter().all(|part| part.covers(position)));
        assert!(!["0", "11", "100"].map(part).iter().any(|part| part.covers(position)));
        assert!(!Part::NOTHING.covers(position));
        assert_eq!(Part::around(position, 255), Part::around(position, 15));
        assert_eq!((part("101").depth(), part("101").number(), Part::WHOLE.depth()), (3, 13, 0));
        assert_eq!((part("101").sibling(), Part::WHOLE.sibling()), (part("100"), Part::WHOLE));
    }

    #[test]
    fn the_narrower_of_nested_parts_is_common_to_both() {
        for (a, b, common) in [("", "", ""), ("", "01", "01"), ("01", "0", "01"), ("10", "101", "101")] {
            assert_eq!(part(a).common(part(b)), part(common));
            assert_eq!(part(b).common(part(a)), part(common));
        }
        for (a, b) in [(part("0"), part("1")), (part("01"), part("1")), (part("01"), Part::NOTHING)] {
            assert_eq!((a.common(b), b.common(a)), (Part::NOTHING, Part::NOTHING));
        }
        assert_eq!(Part::NOTHING.common(Part::WHOLE), Part::NOTHING);
    }

    #[test]
    fn a_part_reads_back_as_its_number() {
        for part in [Part::NOTHING, Part::WHOLE, part("101"), Part(u16::MAX)] {
            assert_eq!(cbor::decode(&cbor::encode(&part)), Ok(part));
        }
        assert_eq!(cbor::encode(&part("101")), [13]);
    }

    #[test]
    fn names_and_nodes_are_spread_evenly() {
        let mut counts = [0; 8];
        for n in 0..800 {
            counts[usize::from(Position::of_name(&format!("service-{n}")).number() >> 12)] += 1;
            counts[usize::from(Position::of_node(&NodeId([n as u8; 32])).number() >> 12)] += 1;
        }
        assert!(counts.iter().all(|count| (130..270).contains(count)), "{counts:?}");
    }
}
