//! `version` and `completions`: what needs no daemon.

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
