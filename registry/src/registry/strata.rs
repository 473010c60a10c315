//! Digests of what each revision of the protocol brought: those of what a peer knows are the XOR of its strata, so that what it
//! does not know is neither told to it nor missed.

use crate::range::{Digests, Range};
use wire::{Kind, Revision};

/// How many there are: one for each revision up to the latest.
const COUNT: usize = Revision::CURRENT.number() as usize;

/// What is held, by the revision that brought its kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Strata([Stratum; COUNT]);

#[derive(Debug, Clone, Default)]
struct Stratum {
    /// XOR of all version hashes.
    digest: u64,
    /// The same by range.
    digests: Digests,
}

impl Strata {
    /// A record came or went.
    pub(super) fn toggle(&mut self, kind: Kind, key_hash: u64, version_hash: u64) {
        let stratum = &mut self.0[place(kind.revision())];
        stratum.digest ^= version_hash;
        stratum.digests.toggle(key_hash, version_hash);
    }

    /// The digest of all that a revision knows.
    pub(super) fn digest(&self, revision: Revision) -> u64 {
        self.known(revision).fold(0, |digest, stratum| digest ^ stratum.digest)
    }

    /// The same of a range; none for one that is smaller than those that are kept.
    pub(super) fn digest_of(&self, range: Range, revision: Revision) -> Option<u64> {
        self.known(revision).try_fold(0, |digest, stratum| Some(digest ^ stratum.digests.of(range)?))
    }

    /// What came with a revision, and before it; a later one than ours knows all of it.
    fn known(&self, revision: Revision) -> impl Iterator<Item = &Stratum> {
        self.0.iter().take(place(revision) + 1)
    }
}

fn place(revision: Revision) -> usize {
    usize::from(revision.number()) - 1
}

#[cfg(test)]
mod tests;
