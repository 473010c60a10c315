//! `up`, `join`, `down`, `leave`: the life of this machine's node.

use std::fs;
use std::io::{self, Read, Write};

use clap::Args;
use serde_json::json;

use super::client::{ANSWER_TIMEOUT, Daemon};
use super::configuration;
use super::context::Context;
use super::failure::Failure;
use super::text::{self, Table};
use super::{handover, log, qr, value};
use crate::daemon::{self, Launch, LaunchParams, Progress, Ready};

/// Most that is read of standard input as an invite, in bytes; invites are shorter.
const INVITE_LENGTH_MAX: u64 = 4096;

/// Make this machine a node, creating the network where there is none
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh up\n  hopmesh --network lab up --node-name desk\n\n\
    Where the service is installed, has it run the node now and after each boot, and returns; with \
    --foreground, --state-dir or --config, and elsewhere, stays until `hopmesh down`, SIGINT or SIGTERM. \
    A new network comes with an invite for the next machine.")]
pub(super) struct Up {
    /// Name of this machine in a new network (default: the host name)
    #[arg(long, value_name = "N", value_parser = value::label, allow_hyphen_values = true)]
    node_name: Option<String>,
    /// Run the node here, whatever services there are
    #[arg(long)]
    foreground: bool,
}

/// Make this machine a member by an invite, and go up
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh join hopmesh1abc…\n  hopmesh join - < invite.txt\n\n\
    Goes up as `hopmesh up` does, which is enough from then on.")]
pub(super) struct Join {
    /// The line that `hopmesh invite` printed, or - to read it from standard input
    #[arg(value_name = "INVITE")]
    invite: String,
    /// Name of this machine in the network (default: the host name)
    #[arg(long, value_name = "N", value_parser = value::label, allow_hyphen_values = true)]
    node_name: Option<String>,
    /// Run the node here, whatever services there are
    #[arg(long)]
    foreground: bool,
}

/// Stop this machine's node; it stays a member
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh down")]
pub(super) struct Down {}

/// Stop this machine's node and give up its membership
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh leave")]
pub(super) struct Leave {
    /// Leave even where that loses something for good, such as a network's last admin
    #[arg(long)]
    force: bool,
}

impl Up {
    pub(super) fn run(self, context: &mut Context<'_>, err: &mut dyn Write) -> Result<(), Failure> {
        go_up(context, err, self.node_name, self.foreground, Launch::Up)
    }
}

impl Join {
    pub(super) fn run(self, context: &mut Context<'_>, err: &mut dyn Write) -> Result<(), Failure> {
        let invite = if self.invite == "-" { read_invite(io::stdin())? } else { self.invite };
        let launch = Launch::Join { invite: invite.trim().to_owned() };
        go_up(context, err, self.node_name, self.foreground, launch)
    }
}

impl Down {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let service = handover::enabled(context);
        // One that is down, and would come up at the next boot, is to be kept from that.
        let daemon = if service.is_some() { Daemon::find(context)? } else { Some(Daemon::reach(context)?) };
        if let Some(mut daemon) = daemon {
            let request = api::DownRequest {};
            daemon.ask(ANSWER_TIMEOUT, async |client| client.down(request).await)?;
        }
        let stays = service.map(|systemd| handover::disable(context, &systemd)).transpose()?;
        done(context, stays.unwrap_or("is down"))
    }
}

impl Leave {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        match Daemon::find(context)? {
            Some(mut daemon) => {
                let request = api::LeaveRequest { force: self.force };
                daemon.ask(ANSWER_TIMEOUT, async |client| client.leave(request).await)?;
            }
            None => daemon::leave_offline(&context.paths.state_dir, self.force)?,
        }
        if let Some(systemd) = handover::enabled(context) {
            // Without its membership the unit does nothing, whoever has asked.
            let _word = handover::disable(context, &systemd)?;
        }
        // The service's user may empty its directory, and only root may remove it; one that is not empty stays.
        let _not_empty = fs::remove_dir(&context.paths.state_dir);
        done(context, "is left: this machine is no member any more")
    }
}

fn done(context: &mut Context<'_>, what: &str) -> Result<(), Failure> {
    if context.json() {
        return context.print_json(&json!({ "ok": true }));
    }
    context.say(format!("network {} {what}", context.network()))
}

fn go_up(
    context: &mut Context<'_>,
    err: &mut dyn Write,
    node_name: Option<String>,
    foreground: bool,
    launch: Launch,
) -> Result<(), Failure> {
    if !foreground && let Some(systemd) = handover::find(context) {
        return handover::run(context, err, &systemd, node_name, launch);
    }
    let params = params(context, node_name, launch)?;
    let json = context.json();
    let mut on_progress = |step: &Progress| show(step, json, err);
    Ok(daemon::run(params, &mut on_progress, |ready| {
        // Nobody may read our output any more; the node is up all the same.
        let _lost = announce(context, ready);
    })?)
}

/// What the node is to run on; starts logging as the configuration has it.
pub(super) fn params(
    context: &Context<'_>,
    node_name: Option<String>,
    launch: Launch,
) -> Result<LaunchParams, Failure> {
    let settings = configuration::read(context).map_err(Failure::Failed)?.settings;
    log::start(settings.log.level)?;
    Ok(LaunchParams {
        network: context.global.network.clone(),
        state_dir: context.global.state_dir.clone(),
        node_name: node_name.or_else(|| settings.node.name.clone()),
        settings,
        launch,
        source: configuration::source(context),
    })
}

/// One line for a step, on a terminal as in a log. Programs that want JSON are not told: they wait for the end.
pub(super) fn show(step: &Progress, json: bool, err: &mut dyn Write) {
    if !json {
        // Nobody may read it any more; the node comes up all the same.
        let _lost = writeln!(err, "{}", text::clean(&step.to_string()));
    }
}

fn read_invite(input: impl Read) -> Result<String, Failure> {
    let mut text = String::new();
    input
        .take(INVITE_LENGTH_MAX)
        .read_to_string(&mut text)
        .map_err(|error| Failure::Failed(format!("cannot read an invite from standard input: {error}")))?;
    if text.trim().is_empty() {
        return Err(Failure::Failed("standard input is empty: it must hold an invite".to_owned()));
    }
    Ok(text)
}

/// Says that the node is up, and as what.
pub(super) fn announce(context: &mut Context<'_>, ready: &Ready) -> Result<(), Failure> {
    if context.json() {
        return context.print_json(&json!({
            "network": {
                "name": ready.network_name,
                "id": ready.network_id,
                "ipv4_range": ready.ipv4_range,
                "ipv6_prefix": ready.ipv6_prefix,
            },
            "node": {
                "name": ready.node_name,
                "id": ready.node_id,
                "addresses": ready.addresses,
                "roles": ready.roles,
            },
            "interface": { "name": ready.interface, "mtu": ready.mtu },
            "listen": ready.listen,
            "invite": ready.invite,
        }));
    }
    context.say_all(summary(ready))?;
    if let Some(invite) = &ready.invite {
        context.say("")?;
        context.say("Up. Invite for the next machine, a secret that works once:")?;
        context.say("")?;
        context.say(format!("hopmesh join {invite}"))?;
        context.say("")?;
        context.say_all(qr::lines(invite))?;
    }
    Ok(())
}

fn summary(ready: &Ready) -> Vec<String> {
    let addresses: Vec<_> = ready.addresses.iter().map(ToString::to_string).collect();
    let listen: Vec<_> = ready.listen.iter().map(ToString::to_string).collect();
    let mut table = Table::new();
    let mut row = |what: &str, value: String| table.row([what.to_owned(), value]);
    row("network", format!("{}  id {}", ready.network_name, ready.network_id));
    row("node", format!("{}  {}  id {}", ready.node_name, ready.roles.join(" "), ready.node_id));
    row("addresses", addresses.join("  "));
    row("interface", format!("{}  MTU {}", ready.interface, ready.mtu));
    row("listening", listen.join("  "));
    table.lines()
}
