//! `version`, `completions` and `man`: what needs no daemon.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;
use serde_json::json;

use super::context::Context;
use super::failure::Failure;

/// Print the version of this program
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh version")]
pub(super) struct Version {}

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh completions bash > /etc/bash_completion.d/hopmesh")]
pub(super) struct Completions {
    /// The shell that is to complete
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// Write the manual pages into a directory; for packages
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh man /usr/local/share/man/man1")]
pub(super) struct Man {
    /// Directory that is there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Version {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let version = env!("CARGO_PKG_VERSION");
        if context.json() {
            return context.print_json(&json!({ "version": version }));
        }
        context.say(format!("hopmesh {version}"))
    }
}

impl Completions {
    pub(super) fn run(&self, context: &mut Context<'_>, program: &mut clap::Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, program, "hopmesh", &mut script);
        if context.json() {
            let script = String::from_utf8_lossy(&script);
            return context.print_json(&json!({ "shell": self.shell.to_string(), "script": script }));
        }
        context.write_raw(&script)
    }
}

impl Man {
    pub(super) fn run(&self, context: &mut Context<'_>, program: clap::Command) -> Result<(), Failure> {
        clap_mangen::generate_to(program, &self.directory).map_err(|error| {
            Failure::Failed(format!("cannot write to {}: {error}", self.directory.display()))
        })?;
        if context.json() {
            return context.print_json(&json!({ "directory": self.directory }));
        }
        Ok(())
    }
}
