//! A whole Debian that boots on a machine's network: systemd-nspawn over a tree that debootstrap has made.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::{Done, Machine, Process, wait_until};

/// What is in the tree besides the smallest Debian.
const PACKAGES: &str =
    "curl,dbus,iproute2,libnss-resolve,libpam-systemd,nftables,polkitd,systemd,systemd-resolved,systemd-sysv";
/// The release that packages are built for.
const RELEASE: &str = "bookworm";
/// The trees, below the checkout.
const FOLDER: &str = "../target/debian";
/// A boot, on a machine that builds something besides.
const BOOT: Duration = Duration::from_secs(60);
/// A command in it, of which installing packages takes longest.
const COMMAND: Duration = Duration::from_secs(120);
/// Runs its arguments in control groups `$0` of their own, of either version: two systemds in one would end each other's units.
const APART: &str = r#"for top in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ ! -e "$top/cgroup.procs" ] || { mkdir -p "$top/$0" && echo $$ > "$top/$0/cgroup.procs"; } || exit 1
done; exec "$@""#;
/// Removes those groups.
const APART_NO_MORE: &str = r#"for top in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ ! -e "$top/$0" ] || find "$top/$0" -depth -type d -exec rmdir {} +
done"#;
/// The whole environment of a command in it.
const ENVIRONMENT: [&str; 4] =
    ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"];

/// The tree that booted machines are copies of; made once for a checkout, which takes a minute.
///
/// # Errors
/// Why this machine cannot boot another one.
pub fn debian() -> Result<PathBuf, String> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join(RELEASE);
    if tree.exists() {
        return Ok(tree);
    }
    let part = tree.with_extension("part");
    let failed = |error: std::io::Error| format!("cannot use {}: {error}", part.display());
    match fs::remove_dir_all(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        Err(_) | Ok(()) => fs::create_dir_all(&part).map_err(failed)?,
    }
    let mut make = Command::new("debootstrap");
    make.args(["--variant=minbase", &format!("--include={PACKAGES}"), RELEASE]).arg(&part);
    let made = make.output().map_err(|error| format!("no debootstrap: {error}"))?;
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stdout);
        return Err(format!("debootstrap failed: {}", said.lines().last().unwrap_or_default()));
    }
    // nspawn passes the device on for root alone; Debian's own mode lets everybody open it.
    fs::write(part.join("etc/tmpfiles.d/tun.conf"), "z /dev/net/tun 0666\n").map_err(failed)?;
    fs::write(part.join("etc/machine-id"), "").map_err(failed)?;
    fs::rename(&part, &tree).map_err(failed)?;
    Ok(tree)
}

/// A Debian that has booted on the network of a [`Machine`], of which nothing but that network is used.
pub struct Booted {
    tree: PathBuf,
    /// Its control group.
    group: String,
    /// By which it boots.
    words: [OsString; 16],
    process: Process,
}

impl Booted {
    /// Boots a copy of `debian`.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(machine: &Machine, debian: &Path) -> Self {
        let tree = machine.folder().join("root");
        let copied = Command::new("cp").arg("--archive").arg(debian).arg(&tree).status();
        assert!(copied.is_ok_and(|status| status.success()), "the lab's folder has room for a Debian");
        fs::write(tree.join("etc/hostname"), machine.name()).expect("the copy is ours");
        let words = [
            "sh".to_owned(),
            "-c".to_owned(),
            APART.to_owned(),
            machine.namespace().to_owned(),
            "systemd-nspawn".to_owned(),
            "--quiet".to_owned(),
            "--boot".to_owned(),
            format!("--directory={}", tree.display()),
            format!("--machine={}", machine.namespace()),
            format!("--hostname={}", machine.name()),
            format!("--network-namespace-path=/run/netns/{}", machine.namespace()),
            // No machined and no unit of its own: there may be no systemd outside.
            "--register=no".to_owned(),
            "--keep-unit".to_owned(),
            "--capability=CAP_NET_ADMIN".to_owned(),
            "--bind=/dev/net/tun".to_owned(),
            "--resolv-conf=off".to_owned(),
        ]
        .map(OsString::from);
        let booted = Self {
            tree,
            group: machine.namespace().to_owned(),
            process: Process::start(&words, None),
            words,
        };
        booted.await_boot();
        booted
    }

    /// Waits until all that is to be up is.
    ///
    /// # Panics
    /// When that takes longer than a boot does.
    pub fn await_boot(&self) {
        let is_up = || {
            let state = self.try_run(&["systemctl", "is-system-running"])?.stdout;
            matches!(state.trim(), "running" | "degraded").then_some(())
        };
        wait_until(&format!("{} has booted", self.tree.display()), BOOT, is_up);
    }

    /// Boots it again.
    ///
    /// # Panics
    /// When it does not go down, or does not come up.
    pub fn reboot(&mut self) {
        let _ = self.run(&["systemctl", "--no-block", "reboot"]).ok();
        // A systemd-nspawn that keeps its unit leaves it to the unit to start it again.
        let down = crate::wait_for(BOOT, || (!self.process.runs()).then_some(()));
        assert!(down.is_some(), "{} does not go down", self.tree.display());
        self.process = Process::start(&self.words, None);
        self.await_boot();
    }

    /// Runs a command in it to its end.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Done {
        self.try_run(words).unwrap_or_else(|| panic!("{} is not up", self.tree.display()))
    }

    /// Runs a line of shell in it, which must succeed, and gives what it says.
    ///
    /// # Panics
    /// When it fails.
    pub fn shell(&self, line: &str) -> String {
        self.run(&["sh", "-c", line]).ok()
    }

    /// Puts a file into it.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn put(&self, file: &Path, to: &str) {
        fs::copy(file, self.tree.join(to)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// What systemd, a grandchild of ours, has for process id now; none between two boots.
    fn leader(&self) -> Option<String> {
        let pid = self.process.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next().map(str::to_owned)
    }

    fn try_run(&self, words: &[&str]) -> Option<Done> {
        let enter = ["nsenter", "--target", &self.leader()?];
        let spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"];
        let parts: [&[&str]; 5] = [&enter, &spaces, &["env", "--ignore-environment"], &ENVIRONMENT, words];
        let words: Vec<OsString> = parts.concat().into_iter().map(OsString::from).collect();
        Some(Process::start(&words, None).done(COMMAND))
    }
}

impl Drop for Booted {
    /// Shuts it down: what is killed would leave mounts.
    fn drop(&mut self) {
        self.process.signal(Signal::TERM);
        let _ended = crate::wait_for(BOOT, || (!self.process.runs()).then_some(()));
        let _removed = Command::new("sh").args(["-c", APART_NO_MORE, &self.group]).status();
    }
}
