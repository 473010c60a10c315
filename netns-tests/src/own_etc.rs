//! A machine's own `/etc` and `/run`: a bare resolv.conf, and nothing that would manage it.

use std::fs;
use std::path::PathBuf;

use crate::Machine;

/// Runs its arguments with the folder `$0` as `/etc` and nothing in `/run`: no resolver but a bare resolv.conf.
const SCRIPT: &str = r#"mount --bind "$0" /etc && mount -t tmpfs none /run && exec "$@""#;

/// The folder that is `/etc` for what runs under [`OwnEtc::wrap`].
pub struct OwnEtc(PathBuf);

impl OwnEtc {
    /// An `/etc` with this resolv.conf and the real nsswitch.conf. From now on the machine's daemons may change the
    /// host's resolver, so they have to be launched under [`OwnEtc::wrap`].
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(machine: &Machine, resolv_conf: &str) -> Self {
        let folder = machine.folder().join("etc");
        fs::create_dir(&folder).expect("the folder is ours");
        fs::write(folder.join("resolv.conf"), resolv_conf).expect("the folder is ours");
        fs::copy("/etc/nsswitch.conf", folder.join("nsswitch.conf")).expect("every Debian has one");
        machine.configure_resolver("");
        Self(folder)
    }

    /// The command that runs its arguments there.
    ///
    /// # Panics
    /// When temporary folders have names that are no text.
    #[must_use]
    pub fn wrap(&self) -> [&str; 7] {
        let folder = self.0.to_str().expect("a lab's folder is plain text");
        ["unshare", "--mount", "--propagation=private", "sh", "-c", SCRIPT, folder]
    }

    /// What resolv.conf says now.
    ///
    /// # Panics
    /// When it is gone.
    #[must_use]
    pub fn resolv_conf(&self) -> String {
        fs::read_to_string(self.0.join("resolv.conf")).expect("it was made")
    }
}
