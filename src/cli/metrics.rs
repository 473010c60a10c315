//! `metrics`: what a node counts.

use clap::Args;
use serde_json::json;

use super::client::{ANSWER_TIMEOUT, Daemon};
use super::context::Context;
use super::failure::Failure;

/// Print what this node counts, as Prometheus reads it
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh metrics | grep drops\n\n\
    `listen` in [metrics] of the configuration gives the same over HTTP, at a loopback port.")]
pub(super) struct Metrics {}

impl Metrics {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = api::MetricsRequest {};
        let reply =
            Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.metrics(request).await)?;
        if context.json() {
            return context.print_json(&json!({ "text": reply.text }));
        }
        context.say_all(reply.text.lines())
    }
}
