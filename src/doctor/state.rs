//! Is the state directory in order: owner, mode, space, damage, leftovers?

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::{Outcome, Surroundings};
use crate::io::host::effective_uid;
use crate::io::inspect;
use crate::store::{self, Damage, Found};

/// Bytes below which the disk is as good as full: the largest files need some MB.
const FREE_SPACE_LEAST: u64 = 64 << 20;

/// What is known of the directory.
#[derive(Debug)]
struct Facts {
    path: String,
    mode: u32,
    owner: u32,
    /// Whose it should be.
    user: u32,
    free: Option<u64>,
    files: Vec<(String, Found)>,
}

pub(super) fn check(around: &Surroundings) -> Outcome {
    let path = &around.paths.state_dir;
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return absent(&path.display().to_string(), &error),
    };
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    // While the daemon is down whose it is to be depends on how it starts: a service takes its directory over.
    let user = around.daemon.map_or(owner, |(_, user)| user);
    let path_text = path.display().to_string();
    if !metadata.is_dir() {
        return Outcome::failed(
            format!("{path_text} is no directory"),
            "move it away, and hopmesh makes a directory",
        );
    }
    match store::survey(path) {
        Ok(files) => {
            judge(&Facts { path: path_text, mode, owner, user, free: inspect::free_space(path).ok(), files })
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && effective_uid() != 0 => {
            let facts = Facts { path: path_text, mode, owner, user, free: None, files: vec![] };
            let outcome = judge(&facts);
            if outcome.rank() > 1 {
                return outcome;
            }
            Outcome::skipped("its owner and mode are right; only root and the daemon see what is in it")
        }
        Err(error) => Outcome::failed(
            format!("{path_text} cannot be read: {error}"),
            "look at `dmesg`: the disk may be damaged",
        ),
    }
}

fn absent(path: &str, error: &io::Error) -> Outcome {
    if error.kind() == io::ErrorKind::NotFound {
        return Outcome::skipped(format!("there is no {path}: this machine is no member of that network"));
    }
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Outcome::skipped(format!("this user does not see {path}"));
    }
    Outcome::failed(
        format!("{path} cannot be looked at: {error}"),
        "look at `dmesg`: the disk may be damaged",
    )
}

fn judge(facts: &Facts) -> Outcome {
    let Facts { path, mode, owner, user, free, files } = facts;
    let mut found = Vec::new();
    if mode & 0o077 != 0 {
        found.push(Outcome::failed(
            format!("{path} has mode {mode:04o}: others can look at the keys in it"),
            format!("`chmod 700 {path}`; the daemon does not start before"),
        ));
    }
    if owner != user {
        found.push(Outcome::failed(
            format!("{path} belongs to user {owner}, and the daemon is user {user}"),
            format!("stop the daemon, `chown -R {user} {path}`, and start it again"),
        ));
    }
    if let Some(free) = free.filter(|free| *free < FREE_SPACE_LEAST) {
        found.push(Outcome::warning(
            format!("only {} MB are free where {path} is", free / 1_000_000),
            "make room: without it nothing new is remembered over a restart",
        ));
    }
    found.extend(files.iter().filter_map(|(name, file)| judge_file(path, name, file)));
    Outcome::worst(found, || {
        Outcome::ok(format!("{path} is ours alone, and its {} files are whole", files.len()))
    })
}

fn judge_file(path: &str, name: &str, file: &Found) -> Option<Outcome> {
    match file {
        Found::Whole => None,
        Found::Damaged(Damage::Later) => Some(Outcome::failed(
            format!("{path}/{name} was written by a later version of Hopmesh"),
            "install that version again; this one does not start with it",
        )),
        Found::Damaged(damage) => Some(Outcome::failed(
            format!("{path}/{name} is damaged: {damage}"),
            "restart the daemon: it sets the file aside, or says that only a backup helps",
        )),
        Found::Exposed(mode) => Some(Outcome::failed(
            format!("{path}/{name} has mode {mode:04o}: others can read it"),
            format!("`chmod 600 {path}/{name}`"),
        )),
        Found::SetAside => Some(Outcome::warning(
            format!("{path}/{name} was damaged and set aside"),
            "look at the disk's health (`smartctl -a`), and remove the file when it is of no more use",
        )),
        Found::Leftover => Some(Outcome::warning(
            format!("{path}/{name} is left over from a write that was cut off"),
            "restart the daemon, which removes it",
        )),
        Found::Unreadable(error) => Some(Outcome::failed(
            format!("{path}/{name} cannot be read: {error}"),
            "look at `dmesg`: the disk may be damaged",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(mode: u32, files: &[(&str, Found)]) -> Facts {
        let files = files.iter().map(|(name, found)| ((*name).to_owned(), found.clone())).collect();
        Facts {
            path: "/var/lib/hopmesh/home".to_owned(),
            mode,
            owner: 0,
            user: 0,
            free: Some(1 << 40),
            files,
        }
    }

    #[test]
    fn each_fault_is_named() {
        let whole = ("identity.state", Found::Whole);
        assert_eq!(judge(&facts(0o700, std::slice::from_ref(&whole))).word(), "ok");
        let open = judge(&facts(0o755, std::slice::from_ref(&whole)));
        assert!(open.word() == "failed" && open.reason().contains("0755"), "{open:?}");
        let theirs = judge(&Facts { user: 998, ..facts(0o700, std::slice::from_ref(&whole)) });
        assert!(theirs.word() == "failed" && theirs.reason().contains("998"), "{theirs:?}");
        let full = judge(&Facts { free: Some(3_000_000), ..facts(0o700, &[]) });
        assert!(full.word() == "warning" && full.reason().contains("3 MB"), "{full:?}");
        for (found, word) in [
            (Found::Damaged(Damage::Truncated), "failed"),
            (Found::Damaged(Damage::Later), "failed"),
            (Found::Exposed(0o644), "failed"),
            (Found::Unreadable("input/output error".to_owned()), "failed"),
            (Found::SetAside, "warning"),
            (Found::Leftover, "warning"),
        ] {
            let outcome = judge(&facts(0o700, &[whole.clone(), ("records.state", found)]));
            assert_eq!((outcome.word(), outcome.reason().contains("records")), (word, true), "{outcome:?}");
        }
    }
}
