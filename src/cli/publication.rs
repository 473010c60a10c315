//! `publish` and `unpublish`: what this machine offers to the others.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use overlay::{HealthCheck, Target};
use serde_json::json;

use super::client::{ANSWER_TIMEOUT, Daemon};
use super::context::Context;
use super::failure::Failure;
use super::value;

/// The word that shares a name with every member.
const ANY: &str = "any";

/// Publish a service that runs on this machine, or on a host beside it, under a name that all others find
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh publish web --port 8080 --health http:/healthz\n  \
    hopmesh publish db --port 5432 --version 16 --label zone=eu --with laptop\n  \
    hopmesh publish printer --port 631 --to 192.168.1.9:631\n\n\
    It stays published, also after a restart, until `hopmesh unpublish`. The service must listen at the mesh \
    address of this machine, not at 127.0.0.1 alone; checks go there. With --to this machine listens there itself and \
    passes on to a host that runs nothing of ours, such as a printer; checks go to that host, and nobody else is told \
    where it is.")]
pub(super) struct Publish {
    /// Name of the service
    #[arg(value_name = "NAME", value_parser = value::label)]
    name: String,
    /// Port at the mesh address of this machine, where others find it
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Pass on to this host, by address or name: 192.168.1.9:631, [fd00::9]:631, nas.office:445
    #[arg(long, value_name = "HOST:PORT")]
    to: Option<Target>,
    /// What it speaks
    #[arg(long, value_enum, default_value_t = Protocol::Tcp)]
    protocol: Protocol,
    /// Its version, where there are several
    #[arg(long, value_name = "V", value_parser = value::version)]
    version: Option<String>,
    /// What it says of itself, for `resolve --label`; may be given several times
    #[arg(long, value_name = "K=V", value_parser = value::pair)]
    label: Vec<(String, String)>,
    /// How its health is checked: tcp, http:PATH or none (default: none; with --to, where it speaks TCP: tcp)
    #[arg(long, value_name = "CHECK")]
    health: Option<HealthCheck>,
    /// After which time without a word from this machine the others forget it: 30s, 5m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = value::ttl)]
    ttl: Duration,
    /// Who else may publish under this name, if it is ours: a node, or any; may be given several times
    #[arg(long, value_name = "NODE|any", value_parser = value::node)]
    with: Vec<String>,
}

/// What it speaks.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Protocol {
    Tcp,
    Udp,
}

/// Withdraw what this machine publishes under a name
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh unpublish web\n  hopmesh unpublish db --version 16")]
pub(super) struct Unpublish {
    /// Name of the service
    #[arg(value_name = "NAME", value_parser = value::label)]
    name: String,
    /// Only this version (default: all that this machine publishes)
    #[arg(long, value_name = "V", value_parser = value::version)]
    version: Option<String>,
}

impl Publish {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = self.request()?;
        let reply =
            Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.publish(request).await)?;
        if context.json() {
            let mut said = json!({
                "name": reply.name,
                "version": reply.version,
                "addresses": reply.addresses,
            });
            if let Some(to) = reply.to {
                said["to"] = to.into();
            }
            return context.print_json(&said);
        }
        let version = reply.version.map_or_else(String::new, |version| format!(" version {version}"));
        let to = reply.to.map_or_else(String::new, |to| format!(" and passed on to {to}"));
        context.say(format!("{}{version} is published at {}{to}", reply.name, reply.addresses.join(" and ")))
    }

    fn request(self) -> Result<api::PublishRequest, Failure> {
        let protocol = match self.protocol {
            Protocol::Tcp => api::Protocol::Tcp,
            Protocol::Udp => api::Protocol::Udp,
        };
        let (sharing, sharing_nodes) = match self.with {
            nobody if nobody.is_empty() => (api::Sharing::Owner, nobody),
            with if with.iter().any(|node| node == ANY) => (api::Sharing::Members, vec![]),
            nodes => (api::Sharing::Nodes, nodes),
        };
        Ok(api::PublishRequest {
            name: self.name,
            version: self.version,
            protocol: protocol.into(),
            port: self.port.into(),
            labels: labels(self.label)?,
            health: self.health.map_or_else(String::new, |health| health.to_string()),
            ttl_s: u32::try_from(self.ttl.as_secs()).expect("the parser allows no more than an hour"),
            sharing: sharing.into(),
            sharing_nodes,
            to: self.to.map(|to| to.to_string()),
        })
    }
}

impl Unpublish {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = api::UnpublishRequest { name: self.name, version: self.version };
        let reply =
            Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.unpublish(request).await)?;
        let api::UnpublishReply { name, withdrawn, is_declared } = reply;
        if context.json() {
            return context
                .print_json(&json!({ "name": name, "withdrawn": withdrawn, "declared": is_declared }));
        }
        let versions = if withdrawn > 1 { format!(", {withdrawn} versions of it") } else { String::new() };
        context.say(format!("{name} is withdrawn{versions}"))?;
        if is_declared {
            context.say(
                "the configuration declares it: take it out there, or the next start publishes it again",
            )?;
        }
        Ok(())
    }
}

/// Pairs as labels, each key once.
pub(super) fn labels(pairs: Vec<(String, String)>) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels = BTreeMap::new();
    for (key, value) in pairs {
        if labels.insert(key.clone(), value).is_some() {
            return Err(Failure::Usage(format!("label {key} is given twice: give it once")));
        }
    }
    Ok(labels)
}
