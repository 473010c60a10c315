//! Datagrams with a sealed hint: asks, answers, beacons. Whether a member made one shows when the hint opens.

use super::{Datagram, VERSION, kind};
use crate::hint::{NONCE_LENGTH, SEALED_ASK_LENGTH, SEALED_HINT_LENGTH};

const HEADER_LENGTH: usize = 4;
/// Every ask has this length, twice that of its answer: who asks in another's name sends nobody a flood.
pub const ASK_LENGTH: usize = HEADER_LENGTH + SEALED_ASK_LENGTH;
/// Every answer and every beacon has this length.
pub const HINT_LENGTH: usize = HEADER_LENGTH + SEALED_HINT_LENGTH;

/// What a sealed hint in a datagram of its own is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HintStage {
    /// "Who is at this address?", from who is not known there yet.
    Ask,
    /// The answer to an ask.
    Answer,
    /// To everybody on the LAN.
    Beacon,
}

impl HintStage {
    const ALL: [Self; 3] = [Self::Ask, Self::Answer, Self::Beacon];

    /// The third byte of the datagram.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Ask => 1,
            Self::Answer => 2,
            Self::Beacon => 3,
        }
    }

    /// Length of the datagram in bytes.
    #[must_use]
    pub fn length(self) -> usize {
        match self {
            Self::Ask => ASK_LENGTH,
            Self::Answer | Self::Beacon => HINT_LENGTH,
        }
    }
}

/// A sealed hint in a datagram of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HintMessage<'a> {
    /// What it is for.
    pub stage: HintStage,
    /// The mark of the epoch that it is sealed under ([`crate::NetworkSecret::mark`]).
    pub mark: u8,
    /// For [`crate::Hint::open`], which also tells whether a member made it.
    pub sealed: &'a [u8],
}

impl HintMessage<'_> {
    /// The nonce that the hint is sealed with. That of an ask determines the key of its answer.
    ///
    /// # Panics
    /// When the message was not parsed, and is shorter than any hint.
    #[must_use]
    pub fn nonce(&self) -> [u8; NONCE_LENGTH] {
        *self.sealed.first_chunk().expect("a sealed hint has a fixed length")
    }
}

/// Reads a datagram with a hint.
pub(super) fn parse(bytes: &[u8]) -> Option<Datagram<'_>> {
    let (header, sealed) = bytes.split_first_chunk::<HEADER_LENGTH>()?;
    let stage = HintStage::ALL.into_iter().find(|stage| stage.number() == header[2])?;
    let fits = bytes.len() == stage.length();
    fits.then_some(Datagram::Hint(HintMessage { stage, mark: header[3], sealed }))
}

/// Writes a sealed hint: of [`crate::Hint::seal_ask`] for an ask, of [`crate::Hint::seal`] for the others.
///
/// # Panics
/// When `sealed` has not the length of its stage.
#[must_use]
pub fn write_hint(stage: HintStage, mark: u8, sealed: &[u8]) -> Vec<u8> {
    assert_eq!(HEADER_LENGTH + sealed.len(), stage.length(), "a sealed hint has the length of its stage");
    [&[kind::HINT, VERSION, stage.number(), mark], sealed].concat()
}
