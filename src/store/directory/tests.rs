//! Damage of every kind, permissions, leftovers, and two who want the same directory.

use std::os::unix::fs::symlink;

use super::*;
use crate::store::Damage;

const IDENTITY: StateFile = StateFile::precious("identity");
const PEERS: StateFile = StateFile::rebuildable("peers");

fn temporary() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("hopmesh/home");
    (parent, path)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn what_is_written_is_read_by_the_next_process() {
    let (_parent, path) = temporary();
    {
        let directory = StateDirectory::open(&path).unwrap();
        assert_eq!(directory.read(IDENTITY).unwrap(), None);
        directory.write(IDENTITY, b"old").unwrap();
        directory.write(IDENTITY, b"new").unwrap();
        directory.write(PEERS, b"").unwrap();
    }
    let directory = StateDirectory::open(&path).unwrap();
    assert_eq!(directory.read(IDENTITY).unwrap().unwrap().as_slice(), b"new");
    assert_eq!(directory.read(PEERS).unwrap().unwrap().as_slice(), b"");
    directory.remove(IDENTITY).unwrap();
    directory.remove(IDENTITY).unwrap();
    assert_eq!(directory.read(IDENTITY).unwrap(), None);
}

#[test]
fn directories_are_0700_and_files_0600() {
    let (parent, path) = temporary();
    let directory = StateDirectory::open(&path).unwrap();
    directory.write(IDENTITY, b"key").unwrap();
    for (path, expected) in [
        (parent.path().join("hopmesh"), 0o700),
        (path.clone(), 0o700),
        (path.join("identity.state"), 0o600),
        (path.join("lock"), 0o600),
    ] {
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
}

#[test]
fn a_file_cut_at_any_byte_is_corrupt_and_stays_as_it_is() {
    let (_parent, path) = temporary();
    let directory = StateDirectory::open(&path).unwrap();
    directory.write(IDENTITY, b"thirty-two bytes of a secret key").unwrap();
    let file = path.join("identity.state");
    let whole = fs::read(&file).unwrap();
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        let error = directory.read(IDENTITY).unwrap_err();
        assert!(
            matches!(error, StoreError::Corrupt { damage: Damage::Truncated, .. }),
            "at {length}: {error}"
        );
        assert_eq!(fs::read(&file).unwrap(), whole[..length], "reading changed the file");
    }
    fs::write(&file, &whole).unwrap();
    assert!(directory.read(IDENTITY).unwrap().is_some());
}

#[test]
fn a_flip_of_any_byte_is_corrupt() {
    let (_parent, path) = temporary();
    let directory = StateDirectory::open(&path).unwrap();
    directory.write(IDENTITY, b"thirty-two bytes of a secret key").unwrap();
    let file = path.join("identity.state");
    let whole = fs::read(&file).unwrap();
    for i in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[i] ^= 0x40;
        fs::write(&file, &flipped).unwrap();
        let error = directory.read(IDENTITY).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "byte {i}: {error}");
    }
}

#[test]
fn files_swapped_or_grown_are_corrupt() {
    let (_parent, path) = temporary();
    let directory = StateDirectory::open(&path).unwrap();
    directory.write(IDENTITY, b"key").unwrap();
    fs::copy(path.join("identity.state"), path.join("peers.state")).unwrap();
    let error = directory.read(PEERS).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { damage: Damage::Name, .. }), "{error}");
    let grown = [fs::read(path.join("identity.state")).unwrap(), vec![0]].concat();
    fs::write(path.join("identity.state"), grown).unwrap();
    let error = directory.read(IDENTITY).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { damage: Damage::Trailing, .. }), "{error}");
}

#[test]
fn a_corrupt_file_says_what_to_do() {
    let (_parent, path) = temporary();
    let directory = StateDirectory::open(&path).unwrap();
    for (file, advice) in [(IDENTITY, "restore it from a backup"), (PEERS, "move it away")] {
        directory.write(file, b"content").unwrap();
        fs::write(directory.path_of(file), b"HOPMESH1").unwrap();
        let text = directory.read(file).unwrap_err().to_string();
        assert!(text.contains(file.name()) && text.contains("cut short") && text.contains(advice), "{text}");
    }
}

#[test]
fn only_what_can_be_rebuilt_is_set_aside() {
    let (_parent, path) = temporary();
    let directory = StateDirectory::open(&path).unwrap();
    directory.write(IDENTITY, b"key").unwrap();
    assert!(matches!(directory.set_aside(IDENTITY), Err(StoreError::Precious { .. })));
    assert!(directory.read(IDENTITY).unwrap().is_some());
    for n in 1..=12 {
        fs::write(path.join("peers.state"), b"damage").unwrap();
        let aside = directory.set_aside(PEERS).unwrap();
        assert_eq!(aside, path.join(format!("peers.state.corrupt-{}", n.min(9))));
        assert_eq!(fs::read(aside).unwrap(), b"damage");
        assert_eq!(directory.read(PEERS).unwrap(), None);
    }
}

#[test]
fn leftovers_of_a_write_cut_off_are_removed_and_strangers_files_kept() {
    let (_parent, path) = temporary();
    StateDirectory::open(&path).unwrap().write(IDENTITY, b"key").unwrap();
    let leftover = path.join(".identity.state.tmp-4711-0");
    fs::write(&leftover, b"half a k").unwrap();
    fs::write(path.join(".bashrc"), b"theirs").unwrap();
    let directory = StateDirectory::open(&path).unwrap();
    assert!(!leftover.exists());
    assert!(path.join(".bashrc").exists());
    assert_eq!(directory.read(IDENTITY).unwrap().unwrap().as_slice(), b"key");
}

#[test]
fn the_second_to_open_it_is_told_of_the_first() {
    let (_parent, path) = temporary();
    let _first = StateDirectory::open(&path).unwrap();
    let error = StateDirectory::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::AlreadyRunning(_)), "{error}");
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
}

#[test]
fn a_path_below_a_file_or_of_a_file_is_no_directory() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, b"").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = StateDirectory::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::NotADirectory { .. }), "{}: {error}", path.display());
    }
}

#[test]
fn others_are_kept_out_of_an_empty_directory_and_of_no_other() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("state");
    let open_up = || fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&path).unwrap();
    open_up();
    drop(StateDirectory::open(&path).unwrap());
    assert_eq!(mode(&path), 0o700);
    open_up();
    let error = StateDirectory::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::TooOpen { mode: 0o755, .. }), "{error}");
    assert!(error.to_string().contains(&format!("chmod 700 {}", path.display())), "{error}");
    assert_eq!(mode(&path), 0o755, "a directory in use was changed");
}

#[test]
fn a_key_that_others_may_read_is_not_used() {
    let (_parent, path) = temporary();
    let directory = StateDirectory::open(&path).unwrap();
    directory.write(IDENTITY, b"key").unwrap();
    fs::set_permissions(path.join("identity.state"), fs::Permissions::from_mode(0o644)).unwrap();
    let error = directory.read(IDENTITY).unwrap_err();
    assert!(matches!(error, StoreError::TooOpen { mode: 0o644, .. }), "{error}");
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn a_write_that_fails_keeps_the_old_content_and_leaves_nothing() {
    let (_parent, path) = temporary();
    let directory = StateDirectory::open(&path).unwrap();
    // A directory in the place of the file: the rename at the end fails, for root too.
    fs::create_dir(path.join("peers.state")).unwrap();
    assert!(matches!(directory.write(PEERS, b"new"), Err(StoreError::Os { .. })));
    assert_eq!(directory.names().unwrap(), ["lock", "peers.state"]);
    let too_large = vec![0; CONTENT_SIZE_MAX + 1];
    directory.write(IDENTITY, b"old").unwrap();
    assert!(matches!(directory.write(IDENTITY, &too_large), Err(StoreError::TooLarge { .. })));
    assert_eq!(directory.read(IDENTITY).unwrap().unwrap().as_slice(), b"old");
}

#[test]
fn a_directory_of_a_later_version_is_refused_by_name_and_stays_as_it_is() {
    let (_parent, path) = temporary();
    let directory = StateDirectory::open(&path).unwrap();
    directory.write(IDENTITY, b"key").unwrap();
    directory.write(PEERS, b"addresses").unwrap();
    directory.refuse_later().unwrap();
    let peers = path.join("peers.state");
    let mut bytes = fs::read(&peers).unwrap();
    bytes[7] = b'2';
    fs::write(&peers, &bytes).unwrap();
    let refused = directory.refuse_later().unwrap_err();
    assert!(matches!(&refused, StoreError::Later { path } if *path == peers), "{refused}");
    assert!(refused.to_string().contains("later version"), "{refused}");
    assert_eq!(fs::read(&peers).unwrap(), bytes);
    assert!(matches!(directory.read(PEERS), Err(StoreError::Corrupt { damage: Damage::Later, .. })));
}

#[test]
fn a_file_grown_beyond_all_bounds_is_not_read_into_memory() {
    let (_parent, path) = temporary();
    let directory = StateDirectory::open(&path).unwrap();
    directory.write(PEERS, b"content").unwrap();
    // Sparse: takes no space on the disk.
    let file = fs::OpenOptions::new().write(true).open(path.join("peers.state")).unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(matches!(directory.read(PEERS), Err(StoreError::Corrupt { damage: Damage::Trailing, .. })));
}

#[test]
fn wiping_removes_all_of_ours_and_nothing_else() {
    let (parent, path) = temporary();
    let directory = StateDirectory::open(&path).unwrap();
    directory.write(IDENTITY, b"key").unwrap();
    fs::write(path.join("peers.state"), b"damage").unwrap();
    directory.set_aside(PEERS).unwrap();
    fs::write(path.join("notes.txt"), b"theirs").unwrap();
    let wiped = directory.wipe().unwrap();
    assert_eq!(wiped.removed, ["identity.state", "peers.state.corrupt-1", "lock"]);
    assert_eq!(wiped.left, ["notes.txt"]);
    fs::remove_file(path.join("notes.txt")).unwrap();

    let directory = StateDirectory::open(&path).unwrap();
    directory.write(IDENTITY, b"key").unwrap();
    assert_eq!(directory.wipe().unwrap().left, [""; 0]);
    assert!(!path.exists() && parent.path().join("hopmesh").exists());
}

#[test]
fn erasing_overwrites_the_bytes_on_the_disk() {
    let parent = tempfile::tempdir().unwrap();
    let (file, other_name) = (parent.path().join("file"), parent.path().join("other-name"));
    fs::write(&file, b"secret").unwrap();
    fs::hard_link(&file, &other_name).unwrap();
    erase(&file).unwrap();
    assert!(!file.exists());
    assert_eq!(fs::read(other_name).unwrap(), [0; 6]);
}

#[test]
fn the_directory_may_be_a_link_to_one() {
    let (parent, path) = temporary();
    fs::create_dir_all(&path).unwrap();
    let link = parent.path().join("link");
    symlink(&path, &link).unwrap();
    StateDirectory::open(&link).unwrap().write(IDENTITY, b"key").unwrap();
    assert!(path.join("identity.state").exists());
}

#[test]
fn root_takes_over_what_a_services_user_has_left_unless_it_is_in_use() {
    const NOBODY: u32 = 65_534;
    let (_parent, path) = temporary();
    let directory = StateDirectory::open(&path).unwrap();
    directory.write(IDENTITY, b"key").unwrap();
    if effective_uid() != ROOT {
        StateDirectory::take_over(&path).expect("who is not root does nothing");
        return;
    }
    let target = path.parent().unwrap().join("target");
    fs::write(&target, "").unwrap();
    symlink(&target, path.join("link")).unwrap();
    for place in [&target, &path, &path.join("identity.state"), &path.join(LOCK_FILE)] {
        lchown(place, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    assert!(matches!(StateDirectory::take_over(&path), Err(StoreError::AlreadyRunning(_))));
    assert_eq!(fs::metadata(&path).unwrap().uid(), NOBODY);
    drop(directory);

    StateDirectory::take_over(&path).unwrap();
    let directory = StateDirectory::open(&path).unwrap();
    assert_eq!(directory.read(IDENTITY).unwrap().unwrap().as_slice(), b"key");
    assert_eq!(fs::metadata(path.join("identity.state")).unwrap().uid(), ROOT);
    assert_eq!(fs::metadata(&target).unwrap().uid(), NOBODY, "links are not followed");
    StateDirectory::take_over(&path.join("missing")).unwrap();
}
