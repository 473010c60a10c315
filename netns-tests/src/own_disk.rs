//! A machine's own disk for its state: small, so that it can be full, and mounted where nobody else sees it.

use std::time::Duration;

use crate::{Done, Machine, Process};

/// Its size: what a node of a test keeps is some dozens of kB.
const SIZE: &str = "1m";
/// Mounts it at `$0` and stays.
const SCRIPT: &str = r#"mkdir -p "$0" && mount -t tmpfs -o "size=$1,mode=700" none "$0" && echo mounted && exec sleep infinity"#;
/// Writes into `$0` until nothing more fits.
const FILL: &str = r#"dd if=/dev/zero of="$0/filler" bs=4k status=none 2>&1 | grep -q 'No space left'"#;
/// No command takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The disk; it goes with this value, and what runs under [`OwnDisk::wrap`] with the machine.
pub struct OwnDisk {
    keeper: Process,
    path: String,
}

impl OwnDisk {
    /// An empty one where the machine's state directory is.
    ///
    /// # Panics
    /// When it cannot be mounted.
    #[must_use]
    pub fn new(machine: &Machine) -> Self {
        let path = machine.state_dir().display().to_string();
        let keeper =
            machine.start(&["unshare", "--mount", "--propagation=private", "sh", "-c", SCRIPT, &path, SIZE]);
        let is_mounted = keeper.wait_stdout(PATIENCE, |text| text.contains("mounted").then_some(()));
        assert!(is_mounted.is_some(), "no disk: {}", keeper.stderr());
        Self { keeper, path }
    }

    /// The command that runs its arguments where the disk is seen.
    #[must_use]
    pub fn wrap(&self) -> [String; 5] {
        let pid = self.keeper.pid().to_string();
        ["nsenter", "--target", &pid, "--mount", "--"].map(str::to_owned)
    }

    /// Leaves no space on it.
    pub fn fill(&self, machine: &Machine) {
        let _ = self.run(machine, &["sh", "-c", FILL, &self.path]).ok();
    }

    /// Takes away what [`OwnDisk::fill`] wrote.
    pub fn make_room(&self, machine: &Machine) {
        let _ = self.run(machine, &["rm", &format!("{}/filler", self.path)]).ok();
    }

    /// Makes it read-only, as the kernel does with a disk that is damaged.
    pub fn lock(&self, machine: &Machine) {
        // Over what it was, which files are open in.
        let _ = self.run(machine, &["mount", "--bind", &self.path, &self.path]).ok();
        let _ = self.run(machine, &["mount", "-o", "remount,bind,ro", &self.path]).ok();
    }

    /// Makes it writable again.
    pub fn unlock(&self, machine: &Machine) {
        let _ = self.run(machine, &["umount", &self.path]).ok();
    }

    /// Runs a command where the disk is seen.
    #[must_use]
    pub fn run(&self, machine: &Machine, words: &[&str]) -> Done {
        let wrap = self.wrap();
        machine.start(&[&wrap.each_ref().map(String::as_str)[..], words].concat()).done(PATIENCE)
    }
}
