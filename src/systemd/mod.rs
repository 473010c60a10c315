//! Nodes as services of systemd: the files that make them so, and the few words said to `systemctl`.
//!
//! A unit `hopmesh@NETWORK.service` is one node in one network. **Must never** start or enable a unit that the person at
//! the command line did not ask for.

mod installation;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::io::program::first_words;

pub use installation::{InstallError, check_binary, install, uninstall};

/// The template of all units.
const UNIT: &str = "hopmesh@.service";
/// Where units lie, first those that go before others.
const UNIT_FOLDERS: [&str; 4] =
    ["etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];
/// Links to the units that start at boot.
const WANTED_AT_BOOT: &str = "etc/systemd/system/multi-user.target.wants";
/// There is this directory where systemd has booted the machine (sd_booted(3)).
const BOOTED: &str = "run/systemd/system";
/// Longest piece of a program's own words that is repeated, in characters.
const WORDS_LENGTH_MAX: usize = 200;
/// Where systemd's programs are.
const PROGRAM_FOLDERS: [&str; 2] = ["usr/bin", "bin"];

/// The systemd of a machine.
#[derive(Debug, Clone)]
pub struct Systemd {
    root: PathBuf,
}

/// Why systemd did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    /// A program is missing, or cannot be started.
    #[error("{program} cannot be run: {source}")]
    NotRun {
        /// Its name.
        program: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// It said no.
    #[error("`{command}` failed: {said}")]
    Refused {
        /// As one would type it.
        command: String,
        /// Its first words.
        said: String,
    },
    /// The unit did not come up.
    #[error("{unit} did not come up: `journalctl --unit {unit} --lines 20` says why")]
    NotStarted {
        /// The unit.
        unit: String,
    },
}

impl Systemd {
    /// The systemd of the machine whose files are below `root`, whether it runs or not.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Does it run this machine?
    #[must_use]
    pub fn has_booted(&self) -> bool {
        self.root.join(BOOTED).is_dir()
    }

    /// Is the template of the units installed, by whomever?
    #[must_use]
    pub fn has_unit(&self) -> bool {
        UNIT_FOLDERS.iter().any(|folder| self.root.join(folder).join(UNIT).is_file())
    }

    /// Does the unit of `network` start at boot?
    #[must_use]
    pub fn is_enabled(&self, network: &str) -> bool {
        fs::symlink_metadata(self.root.join(WANTED_AT_BOOT).join(unit(network))).is_ok()
    }

    /// Is the unit of `network` up?
    #[must_use]
    pub fn is_active(&self, network: &str) -> bool {
        self.run("systemctl", &["is-active", "--quiet", &unit(network)]).is_ok()
    }

    /// Has the unit of `network` start at boot and now, and waits until it is up.
    ///
    /// # Errors
    /// [`SystemdError`]; then it is as it was before.
    pub fn start(&self, network: &str) -> Result<(), SystemdError> {
        let unit = unit(network);
        let was_enabled = self.is_enabled(network);
        self.run("systemctl", &["enable", "--quiet", &unit])?;
        self.run("systemctl", &["start", &unit]).map_err(|error| {
            // It would be tried again and again.
            if !was_enabled
                && let Err(second) = self.run("systemctl", &["disable", "--quiet", "--now", &unit])
            {
                tracing::warn!("{second}");
            }
            match error {
                SystemdError::Refused { .. } => SystemdError::NotStarted { unit },
                SystemdError::NotRun { .. } | SystemdError::NotStarted { .. } => error,
            }
        })
    }

    /// Has the unit of `network` start at boot no more; one that is up stays so.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub fn disable(&self, network: &str) -> Result<(), SystemdError> {
        self.run("systemctl", &["disable", "--quiet", &unit(network)])
    }

    /// Networks whose units start at boot, in order.
    fn enabled(&self) -> Vec<String> {
        let (before, behind) = UNIT.split_once('.').expect("a template has a kind");
        let network = |name: String| {
            let rest = name.strip_prefix(before)?.strip_suffix(behind)?.strip_suffix('.')?;
            (!rest.is_empty()).then(|| rest.to_owned())
        };
        let Ok(entries) = fs::read_dir(self.root.join(WANTED_AT_BOOT)) else { return vec![] };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut networks: Vec<String> = names.filter_map(network).collect();
        networks.sort();
        networks
    }

    /// Runs one of systemd's programs to its end. Nothing happens where the files are those of no machine that runs, as
    /// in an image being made, and the program is not among them.
    fn run(&self, program: &'static str, arguments: &[&str]) -> Result<(), SystemdError> {
        let places = PROGRAM_FOLDERS.map(|folder| self.root.join(folder).join(program));
        let place = places.into_iter().find(|place| place.is_file());
        let Some(place) = place else {
            let source = std::io::ErrorKind::NotFound.into();
            let is_image = self.root != Path::new("/");
            return if is_image { Ok(()) } else { Err(SystemdError::NotRun { program, source }) };
        };
        let mut command = Command::new(place);
        command.args(arguments).stdin(Stdio::null());
        let output = command.output().map_err(|source| SystemdError::NotRun { program, source })?;
        if output.status.success() {
            return Ok(());
        }
        let said = first_words(&String::from_utf8_lossy(&output.stderr), WORDS_LENGTH_MAX);
        Err(SystemdError::Refused { command: format!("{program} {}", arguments.join(" ")), said })
    }
}

/// The unit of a network, whose name is a DNS label, which needs no escaping.
#[must_use]
pub fn unit(network: &str) -> String {
    UNIT.replacen('@', &format!("@{network}"), 1)
}
