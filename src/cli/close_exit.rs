//! `close-exit`: closes the way out of a machine that uses an exit, as a boot has opened it. For service units, before the network.

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::failure::Failure;
use crate::daemon;

/// Let nothing leave beside the exit that was chosen, before the node runs
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh close-exit\n\n\
    `hopmesh up` does so by itself, but not before the network is there; nothing happens where no exit was chosen.")]
pub(super) struct CloseExit {}

impl CloseExit {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let closed = daemon::close_exit(&context.paths.state_dir)?;
        if context.json() {
            return context.print_json(&json!({ "closed": closed }));
        }
        context.say(if closed { "nothing leaves beside the exit" } else { "no exit was chosen" })
    }
}
