//! Commands that run their arguments under bad conditions; see [`Machine::launch`].

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

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
        fs::copy(hopmesh(), &path).expect("the lab's folder has room for the binary");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the copy is ours");
        path
    }
}
