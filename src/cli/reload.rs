//! `reload`: the configuration, once more.

use clap::Args;
use serde_json::json;

use super::client::{ANSWER_TIMEOUT, Daemon};
use super::context::Context;
use super::failure::Failure;

/// Have this machine's node read its configuration again, without the end of a connection
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh reload\n\n\
    What counts only when the node is started again is named. A configuration that is wrong is refused, and the node \
    keeps the one it has. `systemctl reload` and SIGHUP do the same.")]
pub(super) struct Reload {}

impl Reload {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = api::ReloadRequest {};
        let reply =
            Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.reload(request).await)?;
        if context.json() {
            let api::ReloadReply { applied, at_start, at_joining } = reply;
            return context
                .print_json(&json!({ "applied": applied, "at_start": at_start, "at_joining": at_joining }));
        }
        context.say_all(sentences(&reply))
    }
}

fn sentences(reply: &api::ReloadReply) -> Vec<String> {
    let said = [
        ("counts from now on: ", &reply.applied),
        ("counts when the node is started again: ", &reply.at_start),
        ("counts only when a network is created or joined: ", &reply.at_joining),
    ];
    let said = said.into_iter().filter(|(_, keys)| !keys.is_empty());
    let lines: Vec<String> = said.map(|(words, keys)| format!("{words}{}", keys.join(", "))).collect();
    if lines.is_empty() {
        vec!["the configuration was read again: nothing has changed".to_owned()]
    } else {
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_told_with_its_time() {
        let mut reply = api::ReloadReply::default();
        assert_eq!(sentences(&reply), ["the configuration was read again: nothing has changed"]);
        reply.applied = vec!["log.level".to_owned(), "service".to_owned()];
        reply.at_start = vec!["listen.port".to_owned()];
        assert_eq!(
            sentences(&reply),
            ["counts from now on: log.level, service", "counts when the node is started again: listen.port"]
        );
    }
}
