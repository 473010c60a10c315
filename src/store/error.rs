//! What can be wrong with a state directory, each with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::io::lock::LockError;

use super::frame::Damage;

/// Why the state cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A daemon has the directory open.
    #[error(transparent)]
    AlreadyRunning(LockError),
    /// The path, or part of it, is a file.
    #[error("{} is no directory: give another --state-dir", .path.display())]
    NotADirectory {
        /// The path asked for.
        path: PathBuf,
    },
    /// The directory or a file in it belongs to another user.
    #[error("{} belongs to user {owner}, and hopmesh runs as user {us}: run it as that user, or chown it", .path.display())]
    WrongOwner {
        /// The directory or file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// Others may look into what holds keys.
    #[error("{} is open to other users (mode {mode:03o}): run `chmod {} {}`", .path.display(), .precaution.mode(), .path.display())]
    TooOpen {
        /// The directory or file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What it should be.
        precaution: Precaution,
    },
    /// It cannot be written to: permissions, or a read-only file system.
    #[error("{} is not writable: {source}; {}", .path.display(), unlock(.source))]
    Unwritable {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No space or no quota is left; what was there before is there still.
    #[error("no space is left to write {}: free some; the state before is kept", .path.display())]
    Full {
        /// The directory or file.
        path: PathBuf,
    },
    /// The file is not what was written.
    #[error("{} is damaged ({damage}): {}", .path.display(), advice(*.is_precious))]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
        /// Whether only a backup can bring it back.
        is_precious: bool,
    },
    /// A later version of Hopmesh has been here.
    #[error("{} was written by a later version of Hopmesh: install that one again, or a later one still; nothing was changed", .path.display())]
    Later {
        /// The file.
        path: PathBuf,
    },
    /// A file that only a backup can bring back is not set aside.
    #[error("{} holds what only a backup can bring back, and is not set aside", .path.display())]
    Precious {
        /// The file.
        path: PathBuf,
    },
    /// More content than [`super::CONTENT_SIZE_MAX`].
    #[error("{} would have {size} bytes, more than a state file may have", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size, in bytes.
        size: usize,
    },
    /// Anything else the system said.
    #[error("cannot use {}: {source}; `dmesg` may say why", .path.display())]
    Os {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is to be kept from other users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precaution {
    /// The directory: nobody else may look in.
    Directory,
    /// A file in it: nobody else may read.
    File,
}

impl Precaution {
    fn mode(self) -> &'static str {
        match self {
            Self::Directory => "700",
            Self::File => "600",
        }
    }
}

fn advice(is_precious: bool) -> &'static str {
    if is_precious {
        "restore it from a backup, or run `hopmesh leave --force` and join again with a new invite"
    } else {
        "move it away, and hopmesh makes a new one"
    }
}

fn unlock(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::ReadOnlyFilesystem {
        "mount it writable again (`mount -o remount,rw`), and see by `dmesg` whether the disk is damaged"
    } else {
        "run hopmesh with sudo, or give another --state-dir"
    }
}

impl StoreError {
    /// What `source` means for `path`.
    pub(super) fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOTDIR) => Self::NotADirectory { path },
            Some(Errno::NOSPC | Errno::DQUOT) => Self::Full { path },
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Self::Unwritable { path, source },
            _ => Self::Os { path, source },
        }
    }

    pub(super) fn of_lock(directory: &Path, error: LockError) -> Self {
        match error {
            LockError::AlreadyRunning { .. } => Self::AlreadyRunning(error),
            // Making the lock file is the first thing written: what forbids it forbids all.
            LockError::Os { source, .. } => Self::new(directory, source),
        }
    }
}
