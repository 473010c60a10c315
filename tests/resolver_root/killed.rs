//! kill -9 before every single system call that could change something, by strace: at no moment is the host without its
//! servers, and the next start puts back every byte.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use hopmesh::resolver::{Host, Kind, Resolver, restore};
use hopmesh::store::StateDirectory;

use crate::machine::{OURS, OURS_ON_LOOPBACK, THEIRS, alone, plan};
use crate::network_manager::{OUR_FILE, PACKAGES, await_answer, start_network_manager};
use crate::resolvconf::start_debian;
use crate::server::{Server, THEIR_ANSWER};

/// Where the process that is to be killed does its work, in the environment.
const ROOT: &str = "HOPMESH_TEST_ROOT";
/// A file without a final line break.
const FOUND: &str = "# of my own\nsearch lan\nnameserver 192.0.2.1\nnameserver 192.0.2.2\noptions edns0";
/// What changes files.
const CALLS: [&str; 10] =
    ["openat", "write", "fsync", "ftruncate", "fchmod", "fchown", "rename", "unlink", "mkdir", "flock"];
/// What else matters where others do the work: programs and the bus.
const CALLS_BESIDES: [&str; 2] = ["clone3,vfork", "sendmsg,sendto"];
/// Calls of one kind are fewer; a process that never comes to its end is not waited for longer.
const DEATHS_MAX: u32 = 200;
const SIGKILL: i32 = 9;

fn host(root: &Path) -> Host {
    Host { root: root.to_owned(), ..Host::default() }
}

fn state(root: &Path) -> StateDirectory {
    StateDirectory::open(&root.join("run/state")).unwrap()
}

/// What is done over and over: the whole life of a run, up to the call that it dies before.
fn come_and_go(root: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut resolver, state) = (Resolver::detect(host(root)).await, state(root));
        assert!(!matches!(resolver.kind(), Kind::Nothing(_)), "{}", resolver.describe());
        resolver.apply(&plan(7, &[OURS, OURS_ON_LOOPBACK]), &state).await.unwrap();
        resolver.revert(&state).await.unwrap();
    });
}

/// One death after the other: before the first call of a kind, the second, and so on, until one comes too late; then
/// the next kind.
struct Deaths {
    test: &'static str,
    calls: Vec<&'static str>,
    n: u32,
}

impl Deaths {
    fn new(test: &'static str, calls: impl IntoIterator<Item = &'static str>) -> Self {
        Self { test, calls: calls.into_iter().collect(), n: 1 }
    }

    /// Has the test run in a process of its own, where [`ROOT`] is set, and kills it. `None`: there are no more deaths.
    fn die(&mut self, root: &Path) -> Option<String> {
        let call = *self.calls.last()?;
        let death = format!("death before {call} {}", self.n);
        assert!(self.n < DEATHS_MAX, "{death}: it never comes to an end");
        let status = die_before(call, self.n, self.test, root);
        let is_killed = status.signal() == Some(SIGKILL) || status.code() == Some(128 + SIGKILL);
        assert!(is_killed || status.success(), "{death}: {status}");
        self.n += 1;
        if !is_killed {
            self.calls.pop();
            self.n = 1;
        }
        Some(death)
    }
}

/// Programs that the process has started go on, and are waited for: they hold the output, by a descriptor that nobody
/// closes.
fn die_before(call: &str, n: u32, test: &str, root: &Path) -> ExitStatus {
    Command::new("bash")
        .args(["-c", "exec 8>&1; exec \"$@\"", "bash", "strace", "-qq", "-o", "/dev/null"])
        // All threads, and no program that they start.
        .args(["-f", "--detach-on=execve"])
        .arg(format!("--trace={call}"))
        .arg(format!("--inject={call}:signal=KILL:when={n}"))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(ROOT, root)
        .output()
        .expect("bash is installed")
        .status
}

#[test]
fn a_bare_file_always_names_the_host_s_servers() {
    if let Some(root) = std::env::var_os(ROOT) {
        return come_and_go(root.as_ref());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut undone, mut with_ours) = (0, 0);
    let mut deaths = Deaths::new("killed::a_bare_file_always_names_the_host_s_servers", CALLS);
    loop {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir(root.join("etc")).unwrap();
        let path = root.join("etc/resolv.conf");
        fs::write(&path, FOUND).unwrap();

        let Some(death) = deaths.die(root) else { break };
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with(FOUND), "{death} took something away: {text}");
        let ours = text.strip_suffix(FOUND).unwrap();
        assert!(ours.is_empty() || ours.ends_with("\nnameserver 127.0.0.77\n"), "{death} left half: {text}");
        with_ours += u32::from(!ours.is_empty());

        let (host, state) = (host(root), state(root));
        undone += u32::from(runtime.block_on(restore(&host, &state)).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), FOUND, "{death}");
        let left: Vec<_> = fs::read_dir(root.join("etc")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["resolv.conf"], "{death}");
        assert!(!runtime.block_on(restore(&host, &state)).unwrap(), "{death} was undone twice");
    }
    assert!(with_ours > 0 && undone > with_ours, "{undone} deaths were undone, {with_ours} with our lines");
}

#[test]
fn resolvconf_always_names_the_host_s_server() {
    if let Some(root) = std::env::var_os(ROOT) {
        return come_and_go(root.as_ref());
    }
    alone(&["resolvconf"], |_| async {
        start_debian();
        let resolv_conf = || fs::read_to_string("/etc/resolv.conf").unwrap();
        let found = resolv_conf();
        let (mut undone, mut with_ours) = (0, 0);
        let calls = CALLS.into_iter().chain(CALLS_BESIDES);
        let mut deaths = Deaths::new("killed::resolvconf_always_names_the_host_s_server", calls);
        while let Some(death) = deaths.die("/".as_ref()) {
            assert!(resolv_conf().contains(&format!("nameserver {THEIRS}\n")), "{death}: {}", resolv_conf());
            with_ours += u32::from(resolv_conf().contains(OURS));
            undone += u32::from(restore(&Host::default(), &state("/".as_ref())).await.unwrap());
            assert_eq!(resolv_conf(), found, "{death}");
        }
        assert!(
            with_ours > 0 && undone > with_ours,
            "{undone} deaths were undone, {with_ours} with our record"
        );
    });
}

#[test]
fn network_manager_always_asks_the_host_s_server() {
    if let Some(root) = std::env::var_os(ROOT) {
        return come_and_go(root.as_ref());
    }
    alone(&PACKAGES, |_| async {
        let _theirs = Server::theirs(THEIRS);
        let _daemons = start_network_manager("dnsmasq").await;
        await_answer("www.example.org", THEIR_ANSWER);
        let directory = Path::new(OUR_FILE).parent().unwrap();
        let _ = fs::create_dir_all(directory);
        let (mut undone, mut with_ours) = (0, 0);
        // Each death has NetworkManager start dnsmasq anew: only those before what changes something.
        let calls = ["fsync", "rename", "unlink", "sendmsg,sendto"];
        let mut deaths = Deaths::new("killed::network_manager_always_asks_the_host_s_server", calls);
        while let Some(death) = deaths.die("/".as_ref()) {
            with_ours += u32::from(Path::new(OUR_FILE).exists());
            await_answer("www.example.org", THEIR_ANSWER);
            undone += u32::from(restore(&Host::default(), &state("/".as_ref())).await.unwrap());
            assert_eq!(fs::read_dir(directory).unwrap().count(), 0, "{death}");
        }
        await_answer("www.example.org", THEIR_ANSWER);
        assert!(
            with_ours > 0 && undone > with_ours,
            "{undone} deaths were undone, {with_ours} with our file"
        );
    });
}
