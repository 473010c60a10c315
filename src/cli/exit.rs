//! `exit`: the way out to the internet by another machine of the network.

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::{ANSWER_TIMEOUT, Daemon};
use super::context::Context;
use super::failure::Failure;
use super::text::Table;
use super::value;
use super::view::exit_json;
use crate::daemon;

/// What stands for no exit; a node of this name is meant by its address or id.
const NONE: &str = "none";

/// Have all traffic leave by another machine: offer to be an exit, use one, see which there are
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hopmesh exit offer\n  hopmesh exit use home-server\n  hopmesh exit use none\n\n\
    The first on the machine that is to be the exit. While one is used nothing leaves beside it, also when it is lost or\n\
    the node does not run, until another one is used, or none."
)]
pub(super) struct Exit {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Offer to be an exit for all machines of the network, now and after restarts
    Offer(Offer),
    /// Take the offer back
    Withdraw(Withdraw),
    /// Have all traffic of this machine leave by a node that offers to be an exit; or by itself again
    Use(Use),
    /// Show all exits, and which is used here
    List(List),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh exit offer")]
struct Offer {}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh exit withdraw")]
struct Withdraw {}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh exit use home-server --allow-lan\n  hopmesh exit use none")]
struct Use {
    /// Name, mesh address or beginning of the id of a node, or `none`
    #[arg(value_name = "NODE|none", value_parser = value::node)]
    node: String,
    /// Reach local networks besides: printers, the router. Their name servers are not asked
    #[arg(long)]
    allow_lan: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh exit list")]
struct List {}

impl Exit {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self.action {
            Action::Offer(Offer {}) => offer(context, false),
            Action::Withdraw(Withdraw {}) => offer(context, true),
            Action::Use(Use { node, allow_lan }) if node == NONE => {
                if allow_lan {
                    return Err(Failure::Usage(
                        "without an exit all is reached: leave out --allow-lan".to_owned(),
                    ));
                }
                use_none(context)
            }
            Action::Use(Use { node, allow_lan }) => use_node(context, node, allow_lan),
            Action::List(List {}) => list(context),
        }
    }
}

fn offer(context: &mut Context<'_>, withdraw: bool) -> Result<(), Failure> {
    let request = api::OfferExitRequest { withdraw };
    let api::OfferExitReply {} =
        Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.offer_exit(request).await)?;
    if context.json() {
        return context.print_json(&json!({ "ok": true, "is_offered": !withdraw }));
    }
    if withdraw {
        return context.say("this machine is no exit any more");
    }
    let command = context.command_line("exit use NODE");
    context
        .say(format!("this machine is an exit: `{command}` on another, with the name of this one, uses it"))
}

fn use_node(context: &mut Context<'_>, node: String, allow_lan: bool) -> Result<(), Failure> {
    let request = api::UseExitRequest { node: Some(node), allow_lan };
    let reply = Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.use_exit(request).await)?;
    if context.json() {
        let api::UseExitReply { node, id, allow_lan } = reply;
        return context.print_json(&json!({ "node": node, "id": id, "allow_lan": allow_lan }));
    }
    let besides = if reply.allow_lan { "; local networks are reached besides" } else { "" };
    context.say(format!("all traffic of this machine leaves by {}{besides}", reply.node))
}

/// Goes without the daemon where it does not run: who has closed the way out can always open it.
fn use_none(context: &mut Context<'_>) -> Result<(), Failure> {
    match Daemon::find(context)? {
        Some(mut daemon) => {
            let request = api::UseExitRequest::default();
            daemon.ask(ANSWER_TIMEOUT, async |client| client.use_exit(request).await)?;
        }
        None => {
            daemon::open_exit(&context.paths.state_dir)?;
        }
    }
    if context.json() {
        return context.print_json(&json!({ "node": null }));
    }
    context.say("traffic of this machine leaves by no exit")
}

fn list(context: &mut Context<'_>) -> Result<(), Failure> {
    let reply = Daemon::reach(context)?
        .ask(ANSWER_TIMEOUT, async |client| client.exits(api::ExitsRequest {}).await)?;
    if context.json() {
        let exits: Vec<_> = reply.exits.iter().map(exit_json).collect();
        return context.print_json(
            &json!({ "exits": exits, "allow_lan": reply.allow_lan, "is_offered": reply.is_offered }),
        );
    }
    if reply.is_offered {
        context.say("this machine is an exit")?;
    }
    if reply.exits.is_empty() {
        let command = context.command_line("exit offer");
        return if reply.is_offered {
            context.say("no other machine is")
        } else {
            context.say(format!("no exits: `{command}` on a machine makes it one"))
        };
    }
    context.say_all(lines(&reply))
}

fn lines(reply: &api::ExitsReply) -> Vec<String> {
    let mut table = Table::with_headings(["EXIT", "FAMILIES", "STATE", "HERE"]);
    for exit in &reply.exits {
        let families = match (exit.ipv4, exit.ipv6) {
            (true, true) => "IPv4 IPv6",
            (true, false) => "IPv4",
            (false, true) => "IPv6",
            (false, false) => "-",
        };
        let here = match (exit.is_chosen, reply.allow_lan) {
            (false, _) => "-",
            (true, false) => "used",
            (true, true) => "used, local networks besides",
        };
        table.row([exit.node.as_str(), families, state_words(exit.state()), here].map(str::to_owned));
    }
    table.lines()
}

/// For people, here and in `status`.
pub(super) fn state_words(state: api::ExitState) -> &'static str {
    match state {
        api::ExitState::Reached => "reached",
        api::ExitState::Silent => "does not answer",
        api::ExitState::NotOffered => "offers no exit",
        api::ExitState::Gone => "no member any more",
        api::ExitState::Unspecified => "-",
    }
}
