//! `up` and `join` where the service is installed: the machine becomes a member here, and the service runs the node.
//!
//! What must be said to people, and may fail for their reasons, happens at their terminal: enrolment, the first invite.
//! Units of systemd are for the usual places alone; a state directory or configuration that is named stays in the
//! foreground.

use std::path::Path;

use wire::Invite;

use super::client::{ANSWER_TIMEOUT, Daemon};
use super::context::Context;
use super::failure::Failure;
use super::lifecycle::{announce, params, show};
use crate::daemon::{self, FIRST_INVITE_LIFE, Launch, Ready};
use crate::io::host;
use crate::paths::Paths;
use crate::store::StateDirectory;
use crate::systemd::{Systemd, SystemdError, unit};

/// The systemd that is to run the node that is meant, if it can.
pub(super) fn find(context: &Context<'_>) -> Option<Systemd> {
    let systemd = Systemd::at(Path::new("/"));
    let is_usual = context.global.state_dir.is_none() && context.global.config.is_none();
    (is_usual && systemd.has_booted() && systemd.has_unit()).then_some(systemd)
}

/// The systemd that starts the node that is meant at boot.
pub(super) fn enabled(context: &Context<'_>) -> Option<Systemd> {
    find(context).filter(|systemd| systemd.is_enabled(context.network()))
}

/// Keeps the node that is meant from starting at boot, if we may, and says how things are then.
pub(super) fn disable(context: &Context<'_>, systemd: &Systemd) -> Result<&'static str, Failure> {
    if host::effective_uid() != 0 {
        return Ok("is down until the next boot; `sudo hopmesh down` would keep it down");
    }
    systemd.disable(context.network())?;
    Ok("is down, also after the next boot")
}

/// Makes this machine a member where it is none, has the service run the node, and says what came up.
pub(super) fn run(
    context: &mut Context<'_>,
    err: &mut dyn std::io::Write,
    systemd: &Systemd,
    node_name: Option<String>,
    launch: Launch,
) -> Result<(), Failure> {
    if host::effective_uid() != 0 {
        return Err(Failure::Failed("services are started by root: run it with sudo".to_owned()));
    }
    let network = network_of(context, &launch)?;
    context.paths = Paths::new(Some(&network), None);
    context.global.network = Some(network.clone());
    let is_new = !daemon::is_member(&context.paths.state_dir);
    let has_invite = matches!(launch, Launch::Up) && is_new;
    if is_new {
        enrol(context, err, node_name, launch)?;
    } else if let Launch::Join { .. } = launch {
        return Err(Failure::Failed(format!(
            "this machine is a member of a network named {network} already: start it with `{}`, or leave it with `{}` first",
            context.command_line("up"),
            context.command_line("leave")
        )));
    } else if !systemd.is_active(&network) {
        make_way(&context.paths.state_dir)?;
    }
    systemd.start(&network)?;
    let ready = ready(context, has_invite)?;
    announce(context, &ready)?;
    if context.json() {
        return Ok(());
    }
    context.say(format!("{} runs it, now and after each boot.", unit(&network)))
}

/// The network that is meant: the invite names it where the command line does not.
fn network_of(context: &Context<'_>, launch: &Launch) -> Result<String, Failure> {
    match (launch, &context.global.network) {
        (Launch::Join { invite }, None) => {
            let invite: Invite = invite.parse().map_err(|error| Failure::Failed(format!("{error}")))?;
            Ok(invite.network_name.to_string())
        }
        (Launch::Up | Launch::Join { .. }, _) => Ok(context.network().to_owned()),
    }
}

fn enrol(
    context: &Context<'_>,
    err: &mut dyn std::io::Write,
    node_name: Option<String>,
    launch: Launch,
) -> Result<(), Failure> {
    // The service's user has left it, if it was here before.
    StateDirectory::take_over(&context.paths.state_dir).map_err(anyhow::Error::from)?;
    let json = context.json();
    let params = params(context, node_name, launch)?;
    Ok(daemon::prepare(params, &mut |step| show(step, json, err))?)
}

/// Before the service: a node of root's in the foreground is told of, and what one that was killed has left is undone,
/// for which the service has no right.
fn make_way(state_dir: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt;
    let is_roots = std::fs::metadata(state_dir).is_ok_and(|metadata| metadata.uid() == 0);
    if is_roots {
        daemon::restore_host(state_dir)?;
    }
    Ok(())
}

/// What the service says of its node.
fn ready(context: &Context<'_>, has_invite: bool) -> Result<Ready, Failure> {
    let mut daemon = Daemon::reach(context)?;
    let status = daemon.ask(ANSWER_TIMEOUT, async |client| client.status(api::StatusRequest {}).await)?;
    let invite = match has_invite {
        true => {
            let request = api::InviteRequest {
                role: api::Role::Member.into(),
                expires_s: FIRST_INVITE_LIFE.as_secs(),
                ..api::InviteRequest::default()
            };
            Some(daemon.ask(ANSWER_TIMEOUT, async |client| client.invite(request).await)?.invite)
        }
        false => None,
    };
    Ok(ready_of(status, invite))
}

fn ready_of(status: api::StatusReply, invite: Option<String>) -> Ready {
    let network = status.network.unwrap_or_default();
    let node = status.node.unwrap_or_default();
    let interface = status.interface.unwrap_or_default();
    Ready {
        network_name: network.name,
        network_id: network.id,
        ipv4_range: network.ipv4_range,
        ipv6_prefix: network.ipv6_prefix,
        node_name: node.name,
        node_id: node.id,
        addresses: node.addresses.iter().filter_map(|address| address.parse().ok()).collect(),
        roles: node.roles,
        interface: interface.name,
        mtu: interface.mtu,
        listen: status.listen.iter().filter_map(|address| address.parse().ok()).collect(),
        invite,
    }
}

impl From<SystemdError> for Failure {
    fn from(error: SystemdError) -> Self {
        Self::Failed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Global;

    /// An invite that parses.
    const INVITE: &str = include_str!("../../fuzz/corpus/invite/member");

    #[test]
    fn the_invite_names_the_network_unless_the_command_line_does() {
        let named = |network: Option<&str>, launch: &Launch| {
            let mut out = Vec::new();
            let global = Global { network: network.map(str::to_owned), ..Global::default() };
            network_of(&Context::new(global, &mut out), launch).ok()
        };
        assert_eq!(named(None, &Launch::Up).as_deref(), Some("home"));
        assert_eq!(named(Some("lab"), &Launch::Up).as_deref(), Some("lab"));
        let join = Launch::Join { invite: INVITE.trim().to_owned() };
        let invited = INVITE.trim().parse::<Invite>().unwrap().network_name.to_string();
        assert_eq!(named(None, &join), Some(invited));
        assert_eq!(named(Some("lab"), &join).as_deref(), Some("lab"));
        assert_eq!(named(None, &Launch::Join { invite: "hopmesh1x".to_owned() }), None);
    }
}
