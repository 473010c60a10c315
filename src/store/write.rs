//! Writing a file so that there is always a whole one: the old until the new is on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Between the name of a file and the number of a write of it that has not ended.
const TEMPORARY: &str = ".tmp-";

/// Puts `parts`, one after another, in `directory`/`name`, replacing what is there only once they are on the disk.
pub(super) fn write_atomically(directory: &Path, name: &str, parts: &[&[u8]]) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let temporary = directory.join(format!(".{name}{TEMPORARY}{}-{number}", std::process::id()));
    let written = write_new(&temporary, parts).and_then(|()| fs::rename(&temporary, directory.join(name)));
    if let Err(error) = written {
        // A temporary file that cannot be removed now goes at the next start.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_directory(directory)
}

fn write_new(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
}

/// Makes a rename or a removal in `directory` last.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Whether a file of that name is left from a write that was cut off.
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.contains(&format!("{}{TEMPORARY}", super::EXTENSION))
}

/// Overwrites a file's bytes before removing it, as far as the disk goes along with that.
pub(super) fn erase(path: &Path) -> io::Result<()> {
    if let Ok(mut file) = OpenOptions::new().write(true).open(path) {
        let length = file.metadata()?.len();
        let zeros = io::copy(&mut io::Read::take(io::repeat(0), length), &mut file);
        if zeros.is_ok() {
            let _ = file.sync_all();
        }
    }
    fs::remove_file(path)
}
