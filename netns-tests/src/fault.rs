//! Commands that run their arguments under bad conditions; see [`Machine::launch`].

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::{Machine, hopmesh};

/// Runs its arguments as Debian's `nobody`, without any privilege.
#[must_use]
pub fn as_nobody() -> [&'static str; 6] {
    ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
}

/// Runs its arguments after the shell command `mount` in a mount namespace of their own.
#[must_use]
pub fn with_mount(mount: &str) -> [String; 6] {
    let script = format!("{mount} && exec \"$@\"");
    ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned)
}

impl Machine {
    /// A copy of the binary where every user may run it.
    ///
    /// # Panics
    /// When it cannot be copied.
    #[must_use]
    pub fn public_binary(&self) -> PathBuf {
        let path = self.folder().join("hopmesh");
        // By another process: a descriptor of ours that writes would be inherited by whatever another test starts just now, and
        // a file that is open for writing is not executed.
        let copied = Command::new("cp").arg(hopmesh()).arg(&path).status().expect("every machine has cp");
        assert!(copied.success(), "the lab's folder has room for the binary");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the copy is ours");
        path
    }
}
