//! One daemon at a time for a state directory: an advisory lock that dies with its process, kill -9 included.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Name of the lock file inside the state directory.
pub const LOCK_FILE: &str = "lock";

/// The right to use a state directory, held until dropped or until the process ends in any way.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

/// Why a [`StateLock`] was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("a hopmesh daemon is already running{}: end it with `hopmesh down` first", pid_text(*.pid))]
    AlreadyRunning {
        /// The process that holds it, where it has said so.
        pid: Option<u32>,
    },
    /// The lock file cannot be made or locked.
    #[error("cannot lock {}: {source}", path.display())]
    Os {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn pid_text(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

impl StateLock {
    /// Takes the lock of `directory` and writes this process's id into it; never waits.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn acquire(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join(LOCK_FILE);
        let os = |source| LockError::Os { path: path.clone(), source };
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(os)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Err(LockError::AlreadyRunning { pid: read_pid(&mut file) }),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(os(error.into())),
            }
            // Whoever leaves a network removes the lock file while holding it: locking what is no longer in the
            // directory excludes nobody, so look again.
            if !is_same_file(&file, &path) {
                continue;
            }
            write_pid(&mut file).map_err(os)?;
            return Ok(Self { file });
        }
    }
}

impl Drop for StateLock {
    fn drop(&mut self) {
        // Closing the file releases the lock; the emptied file only keeps a stale number out of messages.
        let _ = self.file.set_len(0);
    }
}

fn is_same_file(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(named)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (held.dev(), held.ino()) == (named.dev(), named.ino())
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(std::process::id().to_string().as_bytes())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    // Ten digits hold any process id.
    file.take(10).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_is_first() {
        let directory = tempfile::tempdir().unwrap();
        let first = StateLock::acquire(directory.path()).unwrap();
        let second = StateLock::acquire(directory.path()).unwrap_err();
        let LockError::AlreadyRunning { pid } = second else { panic!("{second}") };
        assert_eq!(pid, Some(std::process::id()));
        assert!(second.to_string().contains(&format!("process {}", std::process::id())), "{second}");
        drop(first);
        StateLock::acquire(directory.path()).unwrap();
    }

    #[test]
    fn a_lock_file_left_behind_locks_nobody_out() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(LOCK_FILE), "1").unwrap();
        StateLock::acquire(directory.path()).unwrap();
    }

    #[test]
    fn removing_the_file_frees_the_directory_not_the_holder() {
        let directory = tempfile::tempdir().unwrap();
        let first = StateLock::acquire(directory.path()).unwrap();
        std::fs::remove_file(directory.path().join(LOCK_FILE)).unwrap();
        let second = StateLock::acquire(directory.path()).unwrap();
        assert!(matches!(StateLock::acquire(directory.path()), Err(LockError::AlreadyRunning { .. })));
        drop((first, second));
    }

    #[test]
    fn a_file_no_longer_in_the_directory_is_told_from_its_successor() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOCK_FILE);
        let held = File::create(&path).unwrap();
        assert!(is_same_file(&held, &path));
        std::fs::remove_file(&path).unwrap();
        assert!(!is_same_file(&held, &path));
        let _successor = File::create(&path).unwrap();
        assert!(!is_same_file(&held, &path));
    }

    #[test]
    fn no_directory_is_a_clear_error() {
        let directory = tempfile::tempdir().unwrap();
        let error = StateLock::acquire(&directory.path().join("absent")).unwrap_err();
        assert!(matches!(error, LockError::Os { .. }), "{error}");
    }
}
