//! Root, where it is needed: we are it, or sudo is.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::process::{Failure, output};

/// How a command gets root's rights on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// We run as root already.
    Root,
    /// By sudo, which may ask for a password.
    Sudo,
}

impl Privilege {
    /// Finds out what this machine offers.
    ///
    /// # Errors
    /// When we are not root and there is no sudo.
    pub(crate) fn find(what_for: &str) -> Result<Self, Failure> {
        if output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0") {
            return Ok(Self::Root);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        if std::env::split_paths(&path).any(|folder| folder.join("sudo").is_file()) {
            return Ok(Self::Sudo);
        }
        Err(Failure::Failed(format!(
            "{what_for} needs root, and there is no sudo: run this as root or install sudo"
        )))
    }

    /// A command that runs with root's rights.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        match self {
            Self::Root => Command::new(program),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.arg("--").arg(program);
                command
            }
        }
    }

    /// Lets cargo build as the user, and start what it has built as root; `kept` is the environment that crosses over.
    pub(crate) fn run_built_as_root(self, command: &mut Command, kept: &str) -> Result<(), Failure> {
        if self == Self::Root {
            return Ok(());
        }
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let told = output(Command::new(Path::new(&rustc)).arg("-vV")).unwrap_or_default();
        let host = told.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.ok_or_else(|| Failure::Failed("`rustc -vV` names no host".into()))?;
        command.env(runner_variable(host), format!("sudo --preserve-env={kept}"));
        Ok(())
    }
}

/// The variable that names cargo's runner for a target.
fn runner_variable(host: &str) -> String {
    format!("CARGO_TARGET_{}_RUNNER", host.to_ascii_uppercase().replace(['-', '.'], "_"))
}

#[cfg(test)]
mod tests {
    use super::{Privilege, runner_variable};
    use crate::process::words;

    #[test]
    fn cargo_finds_the_runner_under_the_name_of_its_target() {
        assert_eq!(
            runner_variable("x86_64-unknown-linux-gnu"),
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER"
        );
    }

    #[test]
    fn only_a_user_goes_through_sudo() {
        assert_eq!(words(Privilege::Root.command("apt-get").arg("update")), "apt-get update");
        assert_eq!(words(Privilege::Sudo.command("apt-get").arg("update")), "sudo -- apt-get update");
    }
}
