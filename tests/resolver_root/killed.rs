//! kill -9 before every single system call that could change something, by strace: at no moment is the host without its
//! servers, and the next start puts back every byte.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use hopmesh::resolver::{Host, Kind, Plan, Resolver, Zone, restore};
use hopmesh::store::StateDirectory;

/// Where the process that is to be killed does its work, in the environment.
const ROOT: &str = "HOPMESH_TEST_ROOT";
const FOUND: &str = "# of my own\nsearch lan\nnameserver 192.0.2.1\nnameserver 192.0.2.2\noptions edns0";
/// What the work is made of.
const CALLS: [&str; 10] =
    ["openat", "write", "fsync", "ftruncate", "fchmod", "fchown", "rename", "unlink", "mkdir", "flock"];
/// Calls of one kind are fewer; a process that never comes to its end is not waited for longer.
const DEATHS_MAX: u32 = 200;
const SIGKILL: i32 = 9;

fn host(root: &Path) -> Host {
    Host { root: root.to_owned(), bus: "unix:path=/nonexistent".into() }
}

fn state(root: &Path) -> StateDirectory {
    StateDirectory::open(&root.join("state")).unwrap()
}

async fn come_and_go(root: PathBuf) {
    let zones = vec![Zone::new("home.internal").unwrap()];
    let servers = vec!["127.0.0.77".parse().unwrap()];
    let plan = Plan { interface: "hm0".into(), index: 7, servers, zones };
    let (mut resolver, state) = (Resolver::detect(host(&root)).await, state(&root));
    assert_eq!(*resolver.kind(), Kind::File);
    resolver.apply(&plan, &state).await.unwrap();
    resolver.revert(&state).await.unwrap();
}

/// What came of the deaths.
#[derive(Default)]
struct Tally {
    /// Deaths that left something to undo.
    undone: u32,
    /// Deaths that left our lines in the file.
    with_ours: u32,
}

/// Runs the work in a process of its own and kills it before its `n`th `call`.
fn die_before(call: &str, n: u32, root: &Path) -> ExitStatus {
    Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null"])
        .arg(format!("--trace={call}"))
        .arg(format!("--inject={call}:signal=KILL:when={n}"))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "killed::at_no_moment_is_the_host_without_names", "--test-threads=1"])
        .env(ROOT, root)
        .output()
        .expect("strace is installed")
        .status
}

/// One death and one restoration; `false` when it came too late.
async fn die_and_restore(call: &str, n: u32, tally: &mut Tally) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("etc")).unwrap();
    let path = root.join("etc/resolv.conf");
    fs::write(&path, FOUND).unwrap();
    let death = format!("death before {call} {n}");

    let status = die_before(call, n, root);
    let is_killed = status.signal() == Some(SIGKILL) || status.code() == Some(128 + SIGKILL);
    assert!(is_killed || status.success(), "{death}: {status}");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.ends_with(FOUND), "{death} took something away: {text}");
    let ours = text.strip_suffix(FOUND).unwrap();
    assert!(ours.is_empty() || ours.ends_with("\nnameserver 127.0.0.77\n"), "{death} left half: {text}");
    tally.with_ours += u32::from(!ours.is_empty());

    let (host, state) = (host(root), state(root));
    tally.undone += u32::from(restore(&host, &state).await.unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), FOUND, "{death}");
    let left: Vec<_> = fs::read_dir(root.join("etc")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["resolv.conf"], "{death}");
    assert!(!restore(&host, &state).await.unwrap(), "{death} was undone twice");
    is_killed
}

#[test]
fn at_no_moment_is_the_host_without_names() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Some(root) = std::env::var_os(ROOT) {
        return runtime.block_on(come_and_go(root.into()));
    }
    let mut tally = Tally::default();
    for call in CALLS {
        let mut deaths =
            (1..DEATHS_MAX).take_while(|n| runtime.block_on(die_and_restore(call, *n, &mut tally)));
        assert!(deaths.by_ref().count() < DEATHS_MAX as usize - 1, "it never came to an end");
    }
    let Tally { undone, with_ours } = tally;
    assert!(with_ours > 0 && undone > with_ours, "{undone} deaths were undone, {with_ours} with our lines");
}
