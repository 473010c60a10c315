//! The command line: arguments in, one daemon asked or run, text or JSON out.
//!
//! One file per group of commands; each has its arguments on top and its output below. The straight
//! line: [`run`] parses, a command asks the daemon through `client` (or becomes one, in `lifecycle`),
//! prints through `Context`, which takes control bytes out, and ends in an exit code: 0, 1 failed, 2 usage.

mod bug_report;
mod client;
mod close_exit;
mod completions;
mod configuration;
mod context;
mod dht_node;
mod diagnosis;
mod doctor;
mod exit;
mod failure;
mod guest;
mod handover;
mod installation;
mod lifecycle;
mod live;
mod log;
mod membership;
mod metrics;
mod observe;
mod ping;
mod publication;
mod qr;
mod reload;
mod restore_host;
mod route;
mod service;
#[cfg(test)]
mod tests;
mod text;
mod top;
mod value;
mod view;
mod web;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use context::Context;
use failure::Failure;

/// Joins machines into one private IP network with no server of anyone's.
#[derive(Debug, Parser)]
#[command(name = "hopmesh", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Example, on the first machine and then on the second:\n  \
    hopmesh up\n  hopmesh join INVITE")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
struct Global {
    /// Network that is meant (default: home)
    #[arg(long, global = true, help_heading = "For every command", value_name = "NAME", value_parser = value::label)]
    network: Option<String>,
    /// Directory of keys and memory, also of the control socket (default: /var/lib/hopmesh/NAME)
    #[arg(long, global = true, help_heading = "For every command", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Configuration of the daemon (default: /etc/hopmesh/NAME.toml, if it is there)
    #[arg(long, global = true, help_heading = "For every command", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON for programs
    #[arg(long, global = true, help_heading = "For every command")]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(lifecycle::Up),
    Invite(membership::Invite),
    Join(lifecycle::Join),
    Down(lifecycle::Down),
    Leave(lifecycle::Leave),
    Status(observe::Status),
    Peers(observe::Peers),
    Top(top::Top),
    Ping(ping::Ping),
    Netcheck(diagnosis::Netcheck),
    Why(diagnosis::Why),
    Doctor(doctor::Doctor),
    BugReport(bug_report::BugReport),
    Assign(membership::Assign),
    Delegate(membership::Delegate),
    Revoke(membership::Revoke),
    Guest(guest::Guest),
    Route(route::Route),
    Exit(exit::Exit),
    Publish(publication::Publish),
    Unpublish(publication::Unpublish),
    Services(service::Services),
    Resolve(service::Resolve),
    Watch(service::Watch),
    Web(web::Web),
    Metrics(metrics::Metrics),
    Reload(reload::Reload),
    #[command(hide = true)]
    RestoreHost(restore_host::RestoreHost),
    #[command(hide = true)]
    CloseExit(close_exit::CloseExit),
    DhtNode(dht_node::DhtNode),
    Service(installation::Service),
    Version(completions::Version),
    Completions(completions::Completions),
    #[command(hide = true)]
    Man(completions::Man),
}

/// Runs the command that `arguments` (with the program's name first) ask for, and gives the exit code.
///
/// `up` and `join` return when the node has gone down again, or a service runs it.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let asked_json = arguments.iter().any(|argument| argument == "--json");
    let result = match Cli::try_parse_from(arguments) {
        Ok(Cli { global, command }) => dispatch(command, &mut Context::new(global, out), err),
        Err(error) => Err(Failure::from(error)),
    };
    match result {
        Ok(()) => 0,
        Err(failure) => failure.report(asked_json, out, err),
    }
}

fn dispatch(command: Command, context: &mut Context<'_>, err: &mut dyn Write) -> Result<(), Failure> {
    match command {
        Command::Up(command) => command.run(context, err),
        Command::Invite(command) => command.run(context),
        Command::Join(command) => command.run(context, err),
        Command::Down(command) => command.run(context),
        Command::Leave(command) => command.run(context),
        Command::Status(command) => command.run(context),
        Command::Peers(command) => command.run(context),
        Command::Top(command) => command.run(context),
        Command::Ping(command) => command.run(context),
        Command::Netcheck(command) => command.run(context),
        Command::Why(command) => command.run(context),
        Command::Doctor(command) => command.run(context),
        Command::BugReport(command) => command.run(context),
        Command::Assign(command) => command.run(context),
        Command::Delegate(command) => command.run(context),
        Command::Revoke(command) => command.run(context),
        Command::Guest(command) => command.run(context),
        Command::Route(command) => command.run(context),
        Command::Exit(command) => command.run(context),
        Command::Publish(command) => command.run(context),
        Command::Unpublish(command) => command.run(context),
        Command::Services(command) => command.run(context),
        Command::Resolve(command) => command.run(context),
        Command::Watch(command) => command.run(context),
        Command::Web(command) => command.run(context),
        Command::Metrics(command) => command.run(context),
        Command::Reload(command) => command.run(context),
        Command::RestoreHost(command) => command.run(context),
        Command::CloseExit(command) => command.run(context),
        Command::DhtNode(command) => command.run(context),
        Command::Service(command) => command.run(context),
        Command::Version(command) => command.run(context),
        Command::Completions(command) => command.run(context, &mut Cli::command()),
        Command::Man(command) => command.run(context, Cli::command()),
    }
}
