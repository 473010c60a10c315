//! Commands that run their arguments under bad conditions; see [`crate::Machine::launch`].

/// The user and group `nobody` of Debian.
pub const UNPRIVILEGED: u32 = 65534;

/// Runs its arguments as `nobody`, without any privilege.
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
