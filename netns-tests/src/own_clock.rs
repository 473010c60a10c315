//! A wall clock of a machine's own, by libfaketime: the monotonic one, and what the kernel writes to files, stay right.

use std::fs;
use std::path::PathBuf;

use crate::Machine;

/// Where Debian puts the library for programs with threads.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// What runs under [`OwnClock::wrap`] sees this clock.
pub struct OwnClock(PathBuf);

impl OwnClock {
    /// A clock that is right.
    #[must_use]
    pub fn new(machine: &Machine) -> Self {
        let clock = Self(machine.folder().join("clock"));
        clock.set("+0");
        clock
    }

    /// Sets it: `+1h` and `-50y` are by the true time. Programs that run see it at once.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn set(&self, offset: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, format!("{offset}\n")).expect("the folder is ours");
        // Never half of it, or nothing.
        fs::rename(&new, &self.0).expect("the folder is ours");
    }

    /// The command that runs its arguments with this clock.
    ///
    /// # Panics
    /// When the package is not installed.
    #[must_use]
    pub fn wrap(&self) -> [String; 7] {
        let found = fs::read_dir("/usr/lib").expect("every machine has one").filter_map(Result::ok);
        let library = found.map(|entry| entry.path().join(LIBRARY)).find(|path| path.is_file());
        let library = library.expect("install `faketime`, as `cargo xtask test netns` does");
        [
            "env".to_owned(),
            format!("LD_PRELOAD={}", library.display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.0.display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            // Older versions call it so.
            "DONT_FAKE_MONOTONIC=1".to_owned(),
            "NO_FAKE_STAT=1".to_owned(),
        ]
    }
}
