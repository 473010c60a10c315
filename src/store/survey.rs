//! A look at a state directory that changes nothing, also while a daemon has it open.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::directory::is_ours;
use super::write::is_temporary;
use super::{Damage, EXTENSION, frame};
use zeroize::Zeroizing;

/// Entries of a directory that are looked at; a node has about a dozen.
const ENTRIES_MAX: usize = 1000;
/// A write takes less: a temporary file of this age was left behind.
const WRITE_TIME_MAX: Duration = Duration::from_secs(60);

/// What a file of the state directory is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// What was written.
    Whole,
    /// Not what was written.
    Damaged(Damage),
    /// Others than its owner may read or write it: its mode.
    Exposed(u32),
    /// It was damaged, and another was begun.
    SetAside,
    /// A write that was cut off has left it.
    Leftover,
    /// The system does not give it; its words.
    Unreadable(String),
}

/// Each file of ours in the directory at `path`, in order of names, the lock aside. Nothing is kept of their contents.
///
/// # Errors
/// The system's own, when the directory cannot be listed.
pub fn survey(path: &Path) -> io::Result<Vec<(String, Found)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)?.take(ENTRIES_MAX) {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !is_ours(&name) {
            continue;
        }
        match look(&entry.path(), &name) {
            Ok(Some(file)) => found.push((name, file)),
            // It is being written, or was just replaced.
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => found.push((name, Found::Unreadable(error.to_string()))),
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

fn look(path: &Path, name: &str) -> io::Result<Option<Found>> {
    let metadata = fs::symlink_metadata(path)?;
    if is_temporary(name) {
        // A clock that was set back makes files of the future: they are not being written.
        let age = metadata.modified()?.elapsed().unwrap_or(Duration::MAX);
        return Ok((age > WRITE_TIME_MAX).then_some(Found::Leftover));
    }
    let Some(stem) = name.strip_suffix(EXTENSION) else { return Ok(Some(Found::SetAside)) };
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Ok(Some(Found::Exposed(mode)));
    }
    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX).min(frame::FRAME_SIZE_MAX) + 1;
    let mut bytes = Zeroizing::new(vec![0; size]);
    let length = super::directory::read_up_to(&mut File::open(path)?, &mut bytes)?;
    Ok(Some(match frame::open_named(stem.as_bytes(), &bytes[..length]) {
        Ok(_content) => Found::Whole,
        Err(damage) => Found::Damaged(damage),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{StateDirectory, StateFile};

    const RECORDS: StateFile = StateFile::rebuildable("records");
    const CONTACTS: StateFile = StateFile::rebuildable("contacts");

    #[test]
    fn each_kind_of_file_is_told_while_a_daemon_has_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let directory = StateDirectory::open(&path).unwrap();
        for file in [RECORDS, CONTACTS] {
            directory.write(file, b"content").unwrap();
        }
        let name = |text: &str| text.to_owned();
        let (records, contacts) = (name("records.state"), name("contacts.state"));
        let whole = [(contacts.clone(), Found::Whole), (records.clone(), Found::Whole)];
        fs::write(path.join("note.txt"), "not ours").unwrap();
        assert_eq!(survey(&path).unwrap(), whole);

        let framed = fs::read(path.join(&records)).unwrap();
        fs::write(path.join(&records), &framed[..framed.len() - 1]).unwrap();
        let cut = survey(&path).unwrap();
        assert_eq!(cut[1], (records.clone(), Found::Damaged(Damage::Truncated)));
        directory.set_aside(RECORDS).unwrap();
        assert_eq!(survey(&path).unwrap()[1], (name("records.state.corrupt-1"), Found::SetAside));

        fs::set_permissions(path.join(&contacts), fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(survey(&path).unwrap()[0], (contacts, Found::Exposed(0o640)));
        assert!(survey(&path.join("absent")).is_err());
    }
}
