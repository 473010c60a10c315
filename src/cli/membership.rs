//! `invite`, `assign`, `delegate`, `revoke`: what an admin decides about other machines.

use std::net::IpAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::client::{ANSWER_TIMEOUT, Daemon};
use super::context::Context;
use super::failure::Failure;
use super::value;

/// Print an invite, one line of text that lets one machine join once
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh invite --node-name laptop --expires 10m\n\n\
    The line is a secret: whoever uses it first is in.")]
pub(super) struct Invite {
    /// Name the machine will have (default: it chooses)
    #[arg(long, value_name = "N", value_parser = value::label, allow_hyphen_values = true)]
    node_name: Option<String>,
    /// IPv4 mesh address the machine will have (default: a free one)
    #[arg(long, value_name = "A")]
    address: Option<IpAddr>,
    /// What the machine may do: an admin can invite, assign and revoke
    #[arg(long, value_enum, default_value_t = Role::Member)]
    role: Role,
    /// How long the invite is good for: 30s, 10m, 1h, 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = value::expires)]
    expires: Duration,
    /// Service name that the machine will own, and nobody else; may be given several times
    #[arg(long, value_name = "NAME", value_parser = value::label)]
    service: Vec<String>,
}

/// Role of the machine that is invited.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Member,
    Admin,
}

/// Give a machine a mesh address
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh assign laptop 10.7.0.9")]
pub(super) struct Assign {
    /// Name, mesh address or beginning of the id of a node
    #[arg(value_name = "NODE", value_parser = value::node)]
    node: String,
    /// IPv4 address in the network's range
    #[arg(value_name = "ADDRESS")]
    address: IpAddr,
}

/// Give a machine service names that nobody else can own then, in place of those it was given before
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh delegate laptop web db\n  hopmesh delegate laptop")]
pub(super) struct Delegate {
    /// Name, mesh address or beginning of the id of a node
    #[arg(value_name = "NODE", value_parser = value::node)]
    node: String,
    /// All service names that it is to have; none: no names any more
    #[arg(value_name = "NAME", value_parser = value::label)]
    services: Vec<String>,
}

/// Remove a machine from the network, for good
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh revoke laptop")]
pub(super) struct Revoke {
    /// Name, mesh address or beginning of the id of a node
    #[arg(value_name = "NODE", value_parser = value::node)]
    node: String,
}

impl Invite {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let role = match self.role {
            Role::Member => api::Role::Member,
            Role::Admin => api::Role::Admin,
        };
        let request = api::InviteRequest {
            node_name: self.node_name,
            address: self.address.map(|address| address.to_string()),
            role: role.into(),
            expires_s: self.expires.as_secs(),
            services: self.service,
        };
        let reply =
            Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.invite(request).await)?;
        if context.json() {
            return context
                .print_json(&json!({ "invite": reply.invite, "expires_unix": reply.expires_unix }));
        }
        context.say(reply.invite)
    }
}

impl Assign {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = api::AssignRequest { node: self.node, address: self.address.to_string() };
        let reply =
            Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.assign(request).await)?;
        if context.json() {
            return context.print_json(&json!({ "node": reply.node, "address": reply.address }));
        }
        context.say(format!("{} has {}", reply.node, reply.address))
    }
}

impl Delegate {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = api::DelegateRequest { node: self.node, services: self.services };
        let reply =
            Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.delegate(request).await)?;
        if context.json() {
            return context
                .print_json(&json!({ "node": reply.node, "id": reply.id, "services": reply.services }));
        }
        match &reply.services[..] {
            [] => context.say(format!("{} has no service names of its own any more", reply.node)),
            names => context.say(format!("{} owns {}", reply.node, names.join(", "))),
        }
    }
}

impl Revoke {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = api::RevokeRequest { node: self.node };
        let reply =
            Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.revoke(request).await)?;
        if context.json() {
            return context.print_json(&json!({ "ok": true, "node": reply.node, "id": reply.id }));
        }
        context.say(format!(
            "{} is no member any more (id {}); the others are given a new network secret",
            reply.node, reply.id
        ))
    }
}
