//! `restore-host`: undoes what a node that was killed has left on this machine. For service units, after the daemon.

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::failure::Failure;
use crate::daemon;

/// Undo what a killed node has left on this machine
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh restore-host\n\n\
    `hopmesh up` does so by itself; nothing happens where there is nothing to undo.")]
pub(super) struct RestoreHost {}

impl RestoreHost {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let restored = daemon::restore_host(&context.paths.state_dir)?;
        if context.json() {
            return context.print_json(&json!({ "restored": restored }));
        }
        context.say(if restored { "this machine is as it was" } else { "there was nothing to undo" })
    }
}
