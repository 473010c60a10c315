//! Which length is tried next: those of usual networks first, then halves of what is left.

use super::{MTU_MIN, Mtu};
use crate::limits::MTU_STEP;

/// MTUs of usual networks: PPPoE, Ethernet, jumbo frames, and the longest packet of IP.
const USUAL: [u16; 4] = [1492, 1500, 9000, 65_535];
/// The one that is tried first, in [`USUAL`].
const ETHERNET: usize = 1;

/// What is known: a length that fits, one that does not, and what there may be at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    fits: Option<u16>,
    too_long: Option<u16>,
    overhead: u16,
    ceiling: u16,
    first: u16,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Try this length.
    Try(u16),
    /// It is over: this is the longest that fits; nothing, when not even the shortest does.
    Found(Option<u16>),
}

impl Range {
    /// Nothing is known.
    pub(super) fn new(overhead: u16, ceiling: u16) -> Self {
        let range = Self { fits: None, too_long: None, overhead, ceiling, first: 0 };
        Self { first: range.usual(USUAL[ETHERNET]), ..range }
    }

    /// It was measured, and may be more by now: a little more is tried first, which costs one length while it is not.
    pub(super) fn above(mtu: Mtu, overhead: u16, ceiling: u16) -> Self {
        let range = Self::new(overhead, ceiling);
        if mtu.is_narrow {
            return Self { first: MTU_MIN, ..range };
        }
        let first = mtu.length.saturating_add(MTU_STEP).min(ceiling);
        Self { fits: Some(mtu.length), first, ..range }
    }

    pub(super) fn has_fitting(&self) -> bool {
        self.fits.is_some()
    }

    pub(super) fn fits(self, length: u16) -> Self {
        Self { fits: self.fits.max(Some(length)), first: 0, ..self }
    }

    pub(super) fn too_long(self, length: u16) -> Self {
        Self { too_long: Some(self.too_long.map_or(length, |other| other.min(length))), first: 0, ..self }
    }

    /// The longest packet in a network of this MTU.
    fn usual(&self, mtu: u16) -> u16 {
        (mtu - self.overhead).clamp(MTU_MIN, self.ceiling)
    }

    pub(super) fn next(&self) -> Step {
        if self.first > self.fits.unwrap_or(0) {
            return Step::Try(self.first);
        }
        let Some(fits) = self.fits else {
            let is_left = self.too_long.is_none_or(|too_long| MTU_MIN < too_long);
            return if is_left { Step::Try(MTU_MIN) } else { Step::Found(None) };
        };
        let mut usual = USUAL.into_iter().map(|mtu| self.usual(mtu)).filter(|length| *length > fits);
        let next = match self.too_long {
            None => usual.next(),
            Some(too_long) if too_long - fits <= MTU_STEP => None,
            Some(too_long) => usual.rfind(|length| *length < too_long).or(Some(fits.midpoint(too_long))),
        };
        next.map_or(Step::Found(Some(fits)), Step::Try)
    }
}
