//! `service install` and `service uninstall`: nodes as services, for a binary that no package has installed.

use std::env;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::context::Context;
use super::failure::Failure;
use crate::systemd::{self, InstallError};

/// Install the system service for this binary, or remove it; packages have it installed already
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh service install\n  hopmesh service uninstall\n\n\
    Nothing is started: `hopmesh up` and `hopmesh join` do that. Keys and memory in /var/lib/hopmesh stay.")]
pub(super) struct Service {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Install the unit, its user and what they need; networks go up by `hopmesh up`
    Install(Place),
    /// Stop all nodes that are services, and remove what was installed
    Uninstall(Place),
}

#[derive(Debug, Args)]
struct Place {
    /// Directory that stands for the machine's root
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

impl Service {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let (word, paths) = match &self.action {
            Action::Install(place) => ("installed", install(&place.root)?),
            Action::Uninstall(place) => ("removed", systemd::uninstall(&place.root)?),
        };
        if context.json() {
            return context.print_json(&json!({ word: paths }));
        }
        context.say_all(paths.iter().map(|path| format!("{word} {}", path.display())))
    }
}

fn install(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let binary = env::current_exe()?;
    // An image is judged by who makes it.
    if root == Path::new("/") {
        systemd::check_binary(&binary)?;
    }
    Ok(systemd::install(root, &binary)?)
}

impl From<InstallError> for Failure {
    fn from(error: InstallError) -> Self {
        Self::Failed(error.to_string())
    }
}
