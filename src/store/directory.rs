//! The directory itself: opened with care, read, written, and left without a trace of us.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::{Precaution, StoreError};
use super::write::{erase, is_temporary, sync_directory, write_atomically};
use super::{CONTENT_SIZE_MAX, EXTENSION, StateFile, frame};
use crate::io::host::effective_uid;
use crate::io::lock::{LOCK_FILE, StateLock};

/// Who may do everything.
const ROOT: u32 = 0;
/// Permission bits that let in anyone but the owner.
const OTHERS: u32 = 0o077;
/// Between the name of a damaged file and its number, once it is set aside.
const CORRUPT: &str = ".corrupt-";
/// Damaged files kept per file; the last number is used again.
const CORRUPT_MAX: u32 = 9;

/// A state directory, locked for this process while this exists.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    _lock: StateLock,
}

/// What [`StateDirectory::wipe`] did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wiped {
    /// Names of the files overwritten and removed.
    pub removed: Vec<String>,
    /// Names of what is not ours and was left, with the directory.
    pub left: Vec<String>,
}

impl StateDirectory {
    /// Opens the directory at `path`, made 0700 with its parents where it is missing, and removes what a write cut off
    /// by kill -9 or a power cut has left.
    ///
    /// # Errors
    /// [`StoreError`]: a daemon has it open, or it is not a directory of this user's alone that can be written to.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
            // A file of that name.
            if error.kind() == io::ErrorKind::AlreadyExists {
                StoreError::NotADirectory { path: path.to_owned() }
            } else {
                StoreError::new(path, error)
            }
        })?;
        let metadata = fs::metadata(path).map_err(|error| StoreError::new(path, error))?;
        check_owner(path, &metadata)?;
        if metadata.mode() & OTHERS != 0 {
            keep_others_out(path, &metadata)?;
        }
        let lock = StateLock::acquire(path).map_err(|error| StoreError::of_lock(path, error))?;
        let directory = Self { path: path.to_owned(), _lock: lock };
        directory.remove_leftovers()?;
        Ok(directory)
    }

    /// As root, makes a directory that a service's user has left our own, with all that is in it, so that it can be
    /// opened; else, and where there is none, nothing happens.
    ///
    /// # Errors
    /// [`StoreError`]: a daemon has it open, or the system refuses.
    pub fn take_over(path: &Path) -> Result<(), StoreError> {
        let is_others = |metadata: fs::Metadata| metadata.is_dir() && metadata.uid() != ROOT;
        if effective_uid() != ROOT || !fs::symlink_metadata(path).is_ok_and(is_others) {
            return Ok(());
        }
        let _lock = StateLock::acquire(path).map_err(|error| StoreError::of_lock(path, error))?;
        // The directory first: from then on nobody else can put another file in a file's place.
        let own =
            |path: &Path| lchown(path, Some(ROOT), Some(ROOT)).map_err(|error| StoreError::new(path, error));
        own(path)?;
        for entry in fs::read_dir(path).map_err(|error| StoreError::new(path, error))? {
            own(&entry.map_err(|error| StoreError::new(path, error))?.path())?;
        }
        Ok(())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses a directory with files of a later version, before anything in it is written or set aside: they are whole, and
    /// nobody but that version can read them.
    ///
    /// # Errors
    /// [`StoreError::Later`], or the system's own.
    pub fn refuse_later(&self) -> Result<(), StoreError> {
        for name in self.names()?.into_iter().filter(|name| name.ends_with(EXTENSION)) {
            let path = self.path.join(name);
            let mut beginning = [0; frame::BEGINNING_SIZE];
            let read = File::open(&path).and_then(|mut file| read_up_to(&mut file, &mut beginning));
            // Whoever needs a file that cannot be read says so.
            if read.is_ok_and(|length| frame::is_later(&beginning[..length])) {
                return Err(StoreError::Later { path });
            }
        }
        Ok(())
    }

    /// What was last written to `file`; `None` when nothing was.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Corrupt`] for anything but what was written.
    pub fn read(&self, file: StateFile) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let path = self.path_of(file);
        let os = |error| StoreError::new(&path, error);
        let mut opened = match File::open(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(os(error)),
        };
        let metadata = opened.metadata().map_err(os)?;
        check_owner(&path, &metadata)?;
        if metadata.mode() & OTHERS != 0 {
            return Err(too_open(&path, &metadata, Precaution::File));
        }
        // One byte more than may be there, so that a file that grows meanwhile is noticed and no reading grows the
        // vector, which would leave copies of keys behind.
        let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX).min(frame::FRAME_SIZE_MAX) + 1;
        let mut bytes = Zeroizing::new(vec![0; size]);
        let length = read_up_to(&mut opened, &mut bytes).map_err(os)?;
        let corrupt =
            |damage| StoreError::Corrupt { path: path.clone(), damage, is_precious: file.is_precious };
        frame::open(file, &bytes[..length]).map(Some).map_err(corrupt)
    }

    /// Makes `content` what [`StateDirectory::read`] gives, at once and for good: after an error, a crash or a power
    /// cut it is either the old content or the new.
    ///
    /// # Errors
    /// [`StoreError`]; the old content is kept.
    pub fn write(&self, file: StateFile, content: &[u8]) -> Result<(), StoreError> {
        let path = self.path_of(file);
        if content.len() > CONTENT_SIZE_MAX {
            return Err(StoreError::TooLarge { path, size: content.len() });
        }
        let head = frame::head(file, content);
        write_atomically(&self.path, &file.file_name(), &[&head, content])
            .map_err(|error| StoreError::new(&path, error))
    }

    /// Renames a damaged file to `NAME.state.corrupt-N`, so that a new one can be written, and says where it is.
    ///
    /// # Errors
    /// [`StoreError::Precious`] for a file that only a backup can bring back.
    pub fn set_aside(&self, file: StateFile) -> Result<PathBuf, StoreError> {
        let path = self.path_of(file);
        if file.is_precious {
            return Err(StoreError::Precious { path });
        }
        let numbered = |n| self.path.join(format!("{}{CORRUPT}{n}", file.file_name()));
        let aside =
            (1..CORRUPT_MAX).map(numbered).find(|path| !path.exists()).unwrap_or(numbered(CORRUPT_MAX));
        fs::rename(&path, &aside)
            .and_then(|()| sync_directory(&self.path))
            .map_err(|error| StoreError::new(&path, error))?;
        Ok(aside)
    }

    /// Removes `file`, if it is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove(&self, file: StateFile) -> Result<(), StoreError> {
        let path = self.path_of(file);
        match erase(&path) {
            Ok(()) => sync_directory(&self.path).map_err(|error| StoreError::new(&path, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::new(&path, error)),
        }
    }

    /// Removes every file of ours, damaged ones and the lock included, and the directory when nothing else is in it.
    /// Keys are overwritten first, as far as the disk goes along with that.
    ///
    /// # Errors
    /// [`StoreError`]; what was not reached is left.
    pub fn wipe(self) -> Result<Wiped, StoreError> {
        let mut wiped = Wiped::default();
        for name in self.names()? {
            if is_ours(&name) {
                let path = self.path.join(&name);
                erase(&path).map_err(|error| StoreError::new(&path, error))?;
                wiped.removed.push(name);
            } else if name != LOCK_FILE {
                wiped.left.push(name);
            }
        }
        let lock = self.path.join(LOCK_FILE);
        fs::remove_file(&lock).map_err(|error| StoreError::new(&lock, error))?;
        wiped.removed.push(LOCK_FILE.to_owned());
        if wiped.left.is_empty() {
            // A mount point, or a directory whose parent is not ours, stays, empty.
            let _ = fs::remove_dir(&self.path);
        } else {
            sync_directory(&self.path).map_err(|error| StoreError::new(&self.path, error))?;
        }
        Ok(wiped)
    }

    fn path_of(&self, file: StateFile) -> PathBuf {
        file.path_in(&self.path)
    }

    fn remove_leftovers(&self) -> Result<(), StoreError> {
        for name in self.names()?.iter().filter(|name| is_temporary(name)) {
            let path = self.path.join(name);
            erase(&path).map_err(|error| StoreError::new(&path, error))?;
        }
        Ok(())
    }

    /// Names of what is in the directory, in order; what is no UTF-8 is shown with its odd bytes replaced.
    fn names(&self) -> Result<Vec<String>, StoreError> {
        let names: io::Result<Vec<_>> = fs::read_dir(&self.path).and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        });
        let mut names = names.map_err(|error| StoreError::new(&self.path, error))?;
        names.sort();
        Ok(names)
    }
}

/// Whether we have made a file of that name, the lock aside.
pub(super) fn is_ours(name: &str) -> bool {
    let is_set_aside = || {
        let Some((file, number)) = name.rsplit_once(CORRUPT) else { return false };
        file.ends_with(EXTENSION) && number.parse::<u32>().is_ok()
    };
    name.ends_with(EXTENSION) || is_set_aside() || is_temporary(name)
}

fn check_owner(path: &Path, metadata: &fs::Metadata) -> Result<(), StoreError> {
    let (owner, us) = (metadata.uid(), effective_uid());
    if owner == us { Ok(()) } else { Err(StoreError::WrongOwner { path: path.to_owned(), owner, us }) }
}

/// A directory that is empty is ours to close; one in use, perhaps by others, is not.
fn keep_others_out(path: &Path, metadata: &fs::Metadata) -> Result<(), StoreError> {
    let os = |error| StoreError::new(path, error);
    if fs::read_dir(path).map_err(os)?.next().is_some() {
        return Err(too_open(path, metadata, Precaution::Directory));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(os)
}

fn too_open(path: &Path, metadata: &fs::Metadata, precaution: Precaution) -> StoreError {
    StoreError::TooOpen { path: path.to_owned(), mode: metadata.mode() & 0o777, precaution }
}

/// Reads until `buffer` is full or the file ends, and says how much that was.
pub(super) fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests;
