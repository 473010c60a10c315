//! What a lab stands on: its folder, its network namespaces, and commands run inside them.
//!
//! Namespaces are named `hm<process>x<lab><name>`, so that those of a killed process can be told and swept away.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Process;

/// Labs made by this process so far: two tests of one process must not meet.
static LABS: AtomicU32 = AtomicU32::new(0);

/// `ip`, `nft` and their like are done at once; only a machine that hangs takes longer.
const COMMAND: Duration = Duration::from_secs(20);

/// The folder of a lab; lives as long as anything of that lab.
pub(crate) struct Ground {
    prefix: String,
    pub(crate) folder: PathBuf,
}

impl Ground {
    /// An empty folder of a new lab.
    ///
    /// # Panics
    /// When not root, or when the folder cannot be made.
    pub(crate) fn new() -> Arc<Self> {
        assert!(
            rustix::process::geteuid().is_root(),
            "the netns tests make network namespaces: run them as root"
        );
        sweep();
        let prefix = format!("hm{}x{}", std::process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(&prefix);
        fs::create_dir(&folder).unwrap_or_else(|error| panic!("cannot make {}: {error}", folder.display()));
        Arc::new(Self { prefix, folder })
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _already_gone = fs::remove_dir_all(&self.folder);
    }
}

/// A network namespace of a lab, removed when dropped.
pub(crate) struct Namespace {
    name: String,
    cables: AtomicU32,
    // Last: the namespace must be gone before the folder may go.
    ground: Arc<Ground>,
}

impl Namespace {
    pub(crate) fn new(ground: &Arc<Ground>, name: &str) -> Self {
        let name = format!("{}{name}", ground.prefix);
        run(&["ip", "netns", "add", &name], None);
        let namespace = Self { name, cables: AtomicU32::new(0), ground: Arc::clone(ground) };
        namespace.ip("link set lo up");
        namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn ground(&self) -> &Arc<Ground> {
        &self.ground
    }

    /// A name that no other link here has.
    pub(crate) fn new_port(&self) -> String {
        format!("p{}", self.cables.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Runs lines of `ip` commands here.
    pub(crate) fn ip(&self, lines: &str) {
        run(&["ip", "-n", &self.name, "-batch", "-"], Some(lines.as_bytes()));
    }

    /// Runs a command here that must succeed, and gives its output.
    pub(crate) fn run(&self, words: &[&str], input: Option<&[u8]>) -> String {
        run(&[&["ip", "netns", "exec", &self.name], words].concat(), input)
    }

    /// Loads a file of rules.
    pub(crate) fn nft(&self, rules: &str) {
        self.run(&["nft", "-f", "-"], Some(rules.as_bytes()));
    }

    /// Sets a value below /proc/sys/net, unless this kernel does not have it.
    pub(crate) fn set(&self, key: &str, value: &str) {
        let path = Path::new("/proc/sys/net").join(key);
        self.enter(|| {
            if path.exists() {
                fs::write(&path, value).unwrap_or_else(|error| panic!("cannot set {key}: {error}"));
            }
        });
    }

    /// Makes this a router.
    pub(crate) fn forward(&self) {
        self.set("ipv4/ip_forward", "1");
        self.set("ipv6/conf/all/forwarding", "1");
        // A router whose own addresses are not yet proved to be its own alone asks for nobody's.
        self.set("ipv6/conf/default/accept_dad", "0");
        // What one bridge passes on is no business of the rules of IP.
        self.set("bridge/bridge-nf-call-iptables", "0");
        self.set("bridge/bridge-nf-call-ip6tables", "0");
    }

    /// Runs `work` in a thread of this process that is in this namespace.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name)).expect("made by new");
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                use std::os::fd::AsFd;
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may enter a namespace of its own");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove_namespace(&self.name);
    }
}

/// Removes the namespaces of labs whose process was killed before it could do so.
fn sweep() {
    let Ok(listed) = fs::read_dir("/run/netns") else { return };
    for name in listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        let owner = name.strip_prefix("hm").and_then(|rest| rest.split_once('x')).map(|(pid, _)| pid);
        let Some(Ok(pid)) = owner.map(str::parse::<u32>) else { continue };
        if !Path::new(&format!("/proc/{pid}")).exists() {
            remove_namespace(&name);
        }
    }
}

fn remove_namespace(name: &str) {
    // Another process may have swept it already, and a panicking test must not panic again.
    let _gone = std::process::Command::new("ip").args(["netns", "del", name]).output();
}

fn run(words: &[&str], input: Option<&[u8]>) -> String {
    let words: Vec<OsString> = words.iter().map(Into::into).collect();
    Process::start(&words, input).done(COMMAND).ok()
}
