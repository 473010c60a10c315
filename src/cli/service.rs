//! `services`, `resolve` and `watch`: what names mean.

use api::{ChangeKind, Instance, Service, Title, WatchReply};
use clap::Args;
use serde_json::json;

use super::client::{ANSWER_TIMEOUT, Daemon};
use super::context::Context;
use super::failure::Failure;
use super::publication::labels;
use super::text::{self, Table};
use super::value;
use super::view::{self, protocol_word};

/// List the services of the network: who owns each, how many instances are healthy, where the nearest is
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hopmesh services\n  hopmesh services --json | jq '.services[].instances'\n\n\
    An owner with a question mark has claimed the name, and no admin has confirmed that yet."
)]
pub(super) struct Services {}

/// Print where a service is, one ADDRESS:PORT a line, the best healthy instance first
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hopmesh resolve web\n  hopmesh resolve db --version 16 --label zone=eu --nearest\n\n\
    The instance that this machine uses already comes first while it is healthy, then the nearest. Ends with \
    code 1 when there is none."
)]
pub(super) struct Resolve {
    /// Name of the service
    #[arg(value_name = "NAME", value_parser = value::label)]
    name: String,
    /// Only instances that have this label; may be given several times
    #[arg(long, value_name = "K=V", value_parser = value::pair)]
    label: Vec<(String, String)>,
    /// Only this version
    #[arg(long, value_name = "V", value_parser = value::version)]
    version: Option<String>,
    /// The nearest first, whichever is in use
    #[arg(long)]
    nearest: bool,
}

/// Print each change of services, after what there is now
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hopmesh watch\n  hopmesh watch web --json\n\nGoes on until it is interrupted."
)]
pub(super) struct Watch {
    /// Only this service (default: all)
    #[arg(value_name = "NAME", value_parser = value::label)]
    name: Option<String>,
}

impl Services {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = api::ServicesRequest {};
        let reply =
            Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.services(request).await)?;
        if context.json() {
            let services: Vec<_> = reply.services.iter().map(view::Service::from).collect();
            return context.print_json(&match reply.parts {
                1 => json!({ "services": services }),
                parts => json!({ "services": services, "parts": parts }),
            });
        }
        if reply.parts != 1 {
            context.say_all(service_table(&reply.services))?;
            context.say_all(target_lines(&reply.services))?;
            return context.say(part_line(reply.parts));
        }
        if reply.services.is_empty() {
            let publish = context.command_line("publish NAME --port P");
            return context.say(format!("no services yet: `{publish}` makes one"));
        }
        context.say_all(service_table(&reply.services))?;
        context.say_all(target_lines(&reply.services))
    }
}

impl Resolve {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = api::ResolveRequest {
            name: self.name,
            labels: labels(self.label)?,
            version: self.version,
            nearest: self.nearest,
        };
        let reply =
            Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.resolve(request).await)?;
        if context.json() {
            let instances: Vec<_> = reply.instances.iter().map(view::Instance::from).collect();
            return context.print_json(&json!({ "name": reply.name, "instances": instances }));
        }
        context.say_all(reply.instances.iter().map(socket))
    }
}

impl Watch {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = api::WatchRequest { name: self.name };
        let mut daemon = Daemon::reach(context)?;
        let mut changes = daemon.ask(ANSWER_TIMEOUT, async |client| client.watch(request).await)?;
        while let Some(change) = daemon.next(&mut changes)? {
            if context.json() {
                context.print_json(&view::Change::from(&change))?;
            } else {
                context.say(change_line(&change))?;
            }
        }
        Err(Failure::Failed("the daemon has ended the watch: watch again".to_owned()))
    }
}

/// What to think of a list that is not whole.
fn part_line(parts: u32) -> String {
    let what = match parts {
        0 => "this node does not know yet which services there are".to_owned(),
        parts => format!("this node holds 1/{parts} of the services, and what was asked for lately"),
    };
    format!("{what}: `hopmesh resolve NAME` asks others for one of them")
}

/// A line for each version of each service.
fn service_table(services: &[Service]) -> Vec<String> {
    let mut table = Table::with_headings(["NAME", "VERSION", "HEALTHY", "OWNER", "NEAREST", "ON", "RTT"]);
    for service in services {
        let owner = if service.owner.is_empty() { "no member" } else { &service.owner };
        // While no admin has confirmed it, an older member could still claim the name.
        let owner = if service.title() == Title::Claimed && !service.owner.is_empty() {
            format!("{owner}?")
        } else {
            owner.to_owned()
        };
        let mut versions: Vec<_> = service.instances.iter().map(|instance| &instance.version).collect();
        versions.sort();
        versions.dedup();
        if versions.is_empty() {
            let cells = [service.name.as_str(), "-", "0/0", &owner, "-", "-", "-"];
            table.row(cells.map(str::to_owned));
        }
        for version in versions {
            let all: Vec<_> = service.instances.iter().filter(|i| i.version == *version).collect();
            let healthy: Vec<_> = all.iter().copied().filter(|instance| instance.is_healthy).collect();
            // What is not measured is behind what is.
            let far = |instance: &Instance| instance.rtt_ms.unwrap_or(f64::INFINITY);
            let nearest = healthy.iter().copied().min_by(|a, b| far(a).total_cmp(&far(b)));
            let or_none = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
            table.row([
                service.name.clone(),
                or_none(version.clone()),
                format!("{}/{}", healthy.len(), all.len()),
                owner.clone(),
                or_none(nearest.map(socket)),
                or_none(nearest.map(|instance| instance.node.clone())),
                or_none(nearest.and_then(|instance| instance.rtt_ms).map(text::milliseconds)),
            ]);
        }
    }
    table.lines()
}

/// `web 2 of this machine is passed on to 192.168.1.9:80`, for each instance that is.
fn target_lines(services: &[Service]) -> impl Iterator<Item = String> {
    let instances = services.iter().flat_map(|service| service.instances.iter().map(move |i| (service, i)));
    instances.filter_map(|(Service { name, .. }, instance)| {
        let version = instance.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
        let to = instance.to.as_ref()?;
        Some(text::clean(&format!("{name}{version} of this machine is passed on to {to}")))
    })
}

/// `ADDRESS:PORT` by the first address.
fn socket(instance: &Instance) -> String {
    let address = instance.addresses.first().map_or("", String::as_str);
    let port = instance.port;
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// `+ web 2 on b at 10.7.0.2:8080 tcp, healthy, zone=eu`, and the like.
fn change_line(change: &WatchReply) -> String {
    let service = &change.service;
    let instance = change.instance.as_ref().map(|instance| described(service, instance)).unwrap_or_default();
    match change.kind() {
        ChangeKind::Owned if change.owner.is_empty() => format!("= {service} belongs to no member"),
        ChangeKind::Owned => format!("= {service} belongs to {}", change.owner),
        ChangeKind::Released => format!("= {service} belongs to nobody any more"),
        ChangeKind::Added => format!("+ {instance}"),
        ChangeKind::Changed => format!("~ {instance}"),
        ChangeKind::Removed => format!("- {instance}"),
        ChangeKind::Present => "-- that is what there is; changes follow --".to_owned(),
        ChangeKind::Unspecified => format!("? {service}: this version of hopmesh does not know this change"),
    }
}

fn described(service: &str, instance: &Instance) -> String {
    let version = instance.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
    let health = if instance.is_healthy { "healthy" } else { "unhealthy" };
    let labels = instance.labels.iter().map(|(key, value)| format!(", {key}={value}")).collect::<String>();
    let (node, at, protocol) = (&instance.node, socket(instance), protocol_word(instance.protocol()));
    format!("{service}{version} on {node} at {at} {protocol}, {health}{labels}")
}
