//! The state directory: the node's keys, credentials and memory, on a disk that may be full, cut short or flipped.
//!
//! Every file is framed and written atomically, so it is read back whole or reported [`StoreError::Corrupt`], never
//! half. The directory is 0700, its files 0600, and one process at a time has it open. What a file means is the
//! caller's business; an identity is never replaced here, whatever is wrong with it.

mod directory;
mod error;
mod frame;
mod survey;
mod write;

use std::path::{Path, PathBuf};

pub use directory::{StateDirectory, Wiped};
pub use error::{Precaution, StoreError};
pub use frame::Damage;
pub use survey::{Found, survey};

/// Largest content of a file, in bytes: far above what any node keeps, far below what would hurt to read.
pub const CONTENT_SIZE_MAX: usize = 64 << 20;
/// What our files end in, so that [`StateDirectory::wipe`] knows them whatever is in them.
const EXTENSION: &str = ".state";

/// A file of the state directory: named once, in a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateFile {
    name: &'static str,
    is_precious: bool,
}

impl StateFile {
    /// A file that only a backup can bring back, like keys: it is never set aside.
    ///
    /// # Panics
    /// When the name is not 1 to 32 lower-case letters, digits and hyphens: at compile time, in a constant.
    #[must_use]
    pub const fn precious(name: &'static str) -> Self {
        Self::new(name, true)
    }

    /// A file that the network can bring back, like addresses of peers.
    ///
    /// # Panics
    /// As [`StateFile::precious`].
    #[must_use]
    pub const fn rebuildable(name: &'static str) -> Self {
        Self::new(name, false)
    }

    const fn new(name: &'static str, is_precious: bool) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= 32, "a name has 1 to 32 characters");
        let mut i = 0;
        while i < bytes.len() {
            let is_plain = bytes[i].is_ascii_lowercase() || bytes[i].is_ascii_digit() || bytes[i] == b'-';
            assert!(is_plain, "a name has lower-case letters, digits and hyphens");
            i += 1;
        }
        Self { name, is_precious }
    }

    /// The name given, without what it ends in on disk.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Where it is in a state directory.
    #[must_use]
    pub fn path_in(&self, directory: &Path) -> PathBuf {
        directory.join(self.file_name())
    }

    fn file_name(&self) -> String {
        format!("{}{EXTENSION}", self.name)
    }
}
