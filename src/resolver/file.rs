//! A bare /etc/resolv.conf: our lines go in front, by a rename, and come out again, whatever others wrote meanwhile.
//!
//! Where the file has changed since, only our lines are taken out: an old copy is never put over a new file. A file that
//! has become a link, or is gone, is not ours any more and left alone.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::error::ResolverError;
use super::host::Host;
use super::journal::{self, Lines, Undo};
use super::limits::{EDITS_MAX, FILE_SIZE_MAX};
use super::plan::Plan;
use super::text::{self, Refusal};
use crate::store::StateDirectory;

/// A file as it was read.
struct Found {
    text: Vec<u8>,
    metadata: fs::Metadata,
}

/// The server that the file is to name: loopback refuses at once when we are gone, where an address of a mesh that is
/// gone leaves the C library waiting.
pub(super) fn server(plan: &Plan) -> Option<IpAddr> {
    plan.loopback_server().or(plan.mesh_server())
}

pub(super) fn apply(host: &Host, plan: &Plan, state: &StateDirectory) -> Result<(), ResolverError> {
    let path = host.resolv_conf();
    let place = "on this machine";
    let server = server(plan).ok_or(ResolverError::NoServer { resolver: "/etc/resolv.conf", place })?;
    edit(&path, &plan.interface, |found| {
        let before = text::remove(found, &plan.interface);
        let after =
            text::insert(&before, &plan.interface, server).map_err(|refusal| refused(refusal, &path))?;
        let interface = plan.interface.clone();
        journal::write(state, &Undo::Lines(Lines { interface, server, before, after: after.clone() }))?;
        Ok(after)
    })
}

pub(super) fn undo(host: &Host, lines: &Lines) -> Result<(), ResolverError> {
    edit(&host.resolv_conf(), &lines.interface, |found| {
        if found == lines.after {
            return Ok(lines.before.clone());
        }
        let rest = text::remove(found, &lines.interface);
        let was_there = text::has_server(&lines.before, lines.server);
        Ok(if was_there { rest } else { text::remove_server(&rest, lines.server) })
    })
}

fn refused(refusal: Refusal, path: &Path) -> ResolverError {
    let path = path.to_owned();
    match refusal {
        Refusal::NoOtherServer => ResolverError::NoOtherServer { path },
        Refusal::Rotates => ResolverError::Rotates { path },
        Refusal::TooManyNetworks => ResolverError::TooManyNetworks { path },
    }
}

/// Replaces the file by what `change` makes of it; nothing is done where there is no plain file.
fn edit(
    path: &Path,
    interface: &str,
    mut change: impl FnMut(&[u8]) -> Result<Vec<u8>, ResolverError>,
) -> Result<(), ResolverError> {
    let os = |source| ResolverError::File { path: path.to_owned(), source };
    let temporary = temporary(path, interface);
    // From a run that was killed.
    remove_if_there(&temporary).map_err(os)?;
    for _ in 0..EDITS_MAX {
        let Some(found) = read(path).map_err(os)? else { return Ok(()) };
        if found.text.len() > FILE_SIZE_MAX {
            return Err(ResolverError::Unfit { path: path.to_owned(), what: "is too large" });
        }
        let text = change(&found.text)?;
        if text == found.text {
            return Ok(());
        }
        let replaced = replace(path, &temporary, &found, &text);
        remove_if_there(&temporary).map_err(os)?;
        if replaced.map_err(os)? {
            return Ok(());
        }
    }
    Err(ResolverError::Unfit { path: path.to_owned(), what: "is being written by somebody else" })
}

/// The file, one byte more than [`FILE_SIZE_MAX`] at most; `None` where there is no plain one.
fn read(path: &Path) -> io::Result<Option<Found>> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    File::open(path)?.take(FILE_SIZE_MAX as u64 + 1).read_to_end(&mut text)?;
    Ok(Some(Found { text, metadata }))
}

/// Puts `text` in the place of what was found, with its owner and mode; `false` when it is no longer there.
fn replace(path: &Path, temporary: &Path, found: &Found, text: &[u8]) -> io::Result<bool> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    file.write_all(text)?;
    fchown(&file, Some(found.metadata.uid()), Some(found.metadata.gid()))?;
    file.set_permissions(Permissions::from_mode(found.metadata.mode() & 0o7777))?;
    file.sync_all()?;
    if read(path)?.is_none_or(|now| now.text != found.text) {
        return Ok(false);
    }
    fs::rename(temporary, path)?;
    File::open(directory(path))?.sync_all()?;
    Ok(true)
}

fn temporary(path: &Path, interface: &str) -> PathBuf {
    directory(path).join(format!(".resolv.conf.hopmesh-{interface}"))
}

fn directory(path: &Path) -> &Path {
    path.parent().expect("a file of /etc is in a directory")
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
