//! Revisions: what came later within one version of the protocol, and is told only to who knows it.
//!
//! Two nodes say in their handshake which revisions they speak, and speak the latest that both do. A revision is never more than a
//! few things added; what they are is said where they are: of records, in [`crate::Kind::revision`].

use minicbor::decode::{Decoder, Error};
use minicbor::encode::{Encoder, Write};
use minicbor::{Decode, Encode};

/// Number of a revision, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u16);

impl Revision {
    /// Everything with records of kinds 1 to 9.
    pub const FIRST: Self = Self(1);
    /// Records of guests and of routes as well.
    pub const SECOND: Self = Self(2);
    /// The earliest that this code still speaks.
    pub const LOWEST: Self = Self::FIRST;
    /// The latest that this code speaks.
    pub const CURRENT: Self = Self::SECOND;

    /// A number that was given, or none: there is no revision 0.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The revisions that a node speaks: all from the lowest to the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revisions {
    lowest: Revision,
    highest: Revision,
}

impl Revisions {
    /// Those of this code.
    pub const OURS: Self = Self { lowest: Revision::LOWEST, highest: Revision::CURRENT };

    /// A range that is not upside down.
    #[must_use]
    pub fn new(lowest: Revision, highest: Revision) -> Option<Self> {
        (lowest <= highest).then_some(Self { lowest, highest })
    }

    /// The lowest.
    #[must_use]
    pub fn lowest(self) -> Revision {
        self.lowest
    }

    /// The highest.
    #[must_use]
    pub fn highest(self) -> Revision {
        self.highest
    }

    /// What two nodes speak with each other: the lower of their highest, if both still speak that.
    #[must_use]
    pub fn common(self, other: Self) -> Option<Revision> {
        let both = self.highest.min(other.highest);
        (both >= self.lowest.max(other.lowest)).then_some(both)
    }

    /// Whether a node with these is too old for one with those: the one to be upgraded.
    #[must_use]
    pub fn is_outdated_by(self, other: Self) -> bool {
        self.highest < other.lowest
    }
}

/// `3 to 5`, or `2` alone.
impl std::fmt::Display for Revisions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { lowest, highest } = self;
        if lowest == highest { lowest.fmt(f) } else { write!(f, "{lowest} to {highest}") }
    }
}

/// `[lowest, highest]`.
impl<C> Encode<C> for Revisions {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(2)?.u16(self.lowest.0)?.u16(self.highest.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Revisions {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        if d.array()? != Some(2) {
            return Err(Error::message("not two revisions"));
        }
        let (lowest, highest) = (Revision::new(d.u16()?), Revision::new(d.u16()?));
        let range = lowest.zip(highest).and_then(|(lowest, highest)| Self::new(lowest, highest));
        range.ok_or_else(|| Error::message("no range of revisions"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor;

    fn range(lowest: u16, highest: u16) -> Revisions {
        Revisions::new(Revision(lowest), Revision(highest)).unwrap()
    }

    #[test]
    fn the_latest_that_both_speak_is_spoken() {
        for (ours, theirs, common) in [
            ((1, 2), (1, 2), Some(2)),
            ((1, 2), (1, 1), Some(1)),
            ((1, 2), (1, 9), Some(2)),
            ((1, 2), (2, 9), Some(2)),
            ((1, 2), (3, 5), None),
            ((4, 6), (1, 3), None),
            ((4, 6), (5, 5), Some(5)),
        ] {
            let (ours, theirs) = (range(ours.0, ours.1), range(theirs.0, theirs.1));
            assert_eq!(ours.common(theirs), common.map(Revision), "{ours} and {theirs}");
            assert_eq!(theirs.common(ours), ours.common(theirs));
            let outdated = ours.is_outdated_by(theirs) || theirs.is_outdated_by(ours);
            assert_eq!(outdated, common.is_none(), "one of them is to be upgraded, or none");
        }
        assert!(range(1, 2).is_outdated_by(range(3, 5)) && !range(3, 5).is_outdated_by(range(1, 2)));
    }

    #[test]
    fn ranges_are_read_back_and_printed() {
        for (range, bytes, text) in [
            (range(1, 2), &[0x82, 1, 2][..], "1 to 2"),
            (range(7, 7), &[0x82, 7, 7], "7"),
            (range(1, u16::MAX), &[0x82, 1, 0x19, 0xff, 0xff], "1 to 65535"),
        ] {
            assert_eq!((&cbor::encode(&range)[..], &range.to_string()[..]), (bytes, text));
            assert_eq!(cbor::decode(bytes), Ok(range));
        }
        for none in [&[0x82, 2, 1][..], &[0x82, 0, 1], &[0x81, 1], &[0x83, 1, 2, 3], &[0x82, 1, 0x18, 2]] {
            assert!(cbor::decode::<Revisions>(none).is_err(), "{none:?}");
        }
        assert_eq!(Revisions::OURS.highest(), Revision::CURRENT);
    }
}
