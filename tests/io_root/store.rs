//! The state directory on disks that are full or read-only, and of other users.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use hopmesh::store::{StateDirectory, StateFile, StoreError};
use rustix::mount::{MountFlags, mount, mount_remount};

use crate::namespace::alone;

const IDENTITY: StateFile = StateFile::precious("identity");
const PEERS: StateFile = StateFile::rebuildable("peers");

/// Runs `body` with a directory on a disk of its own, of 64 KiB.
fn on_a_small_disk(body: impl FnOnce(&Path) + Send) {
    alone(|| {
        let parent = tempfile::tempdir().unwrap();
        mount("tmpfs", parent.path(), "tmpfs", MountFlags::empty(), Some(c"size=64k,mode=700")).unwrap();
        body(parent.path());
        rustix::mount::unmount(parent.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
    });
}

#[test]
fn a_full_disk_keeps_the_old_content() {
    on_a_small_disk(|path| {
        let directory = StateDirectory::open(path).unwrap();
        directory.write(PEERS, &[1; 10_000]).unwrap();
        let error = directory.write(PEERS, &[2; 100_000]).unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert!(error.to_string().contains("no space is left"), "{error}");
        assert_eq!(directory.read(PEERS).unwrap().unwrap().as_slice(), [1; 10_000]);
        assert_eq!(fs::read_dir(path).unwrap().count(), 2, "a half-written file was left");
        directory.write(PEERS, &[3; 20_000]).unwrap();
        assert_eq!(directory.read(PEERS).unwrap().unwrap().as_slice(), [3; 20_000]);
    });
}

#[test]
fn a_read_only_disk_is_named_at_once() {
    on_a_small_disk(|path| {
        let directory = StateDirectory::open(path).unwrap();
        directory.write(IDENTITY, b"key").unwrap();
        drop(directory);
        mount_remount(path, MountFlags::RDONLY, c"").unwrap();
        for path in [path.to_owned(), path.join("below")] {
            let error = StateDirectory::open(&path).unwrap_err();
            assert!(matches!(error, StoreError::Unwritable { .. }), "{error}");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        }
    });
}

#[test]
fn what_belongs_to_another_user_is_not_used() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("state");
    let directory = StateDirectory::open(&path).unwrap();
    directory.write(IDENTITY, b"key").unwrap();
    chown(path.join("identity.state"), Some(4242), None).expect("these tests need root: run them with sudo");
    let error = directory.read(IDENTITY).unwrap_err();
    assert!(matches!(error, StoreError::WrongOwner { owner: 4242, us: 0, .. }), "{error}");
    drop(directory);
    chown(&path, Some(4242), None).unwrap();
    let error = StateDirectory::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::WrongOwner { owner: 4242, us: 0, .. }), "{error}");
    assert!(error.to_string().contains("user 4242"), "{error}");
}
