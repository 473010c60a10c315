//! `route`: subnets behind machines of the network.

use clap::{Args, Subcommand};
use ipnet::IpNet;
use serde_json::json;

use super::client::{ANSWER_TIMEOUT, Daemon};
use super::context::Context;
use super::failure::Failure;
use super::text::Table;
use super::value;
use super::view::route_json;

/// Reach subnets behind machines: offer one, approve a machine as its router, see what is taken here
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hopmesh route advertise 192.168.9.0/24\n  hopmesh route approve office 192.168.9.0/24\n  \
    hopmesh route list\n\nThe first on the machine in the subnet, the second on an admin's machine."
)]
pub(super) struct Route {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Offer to be a router for a subnet, now and after restarts; an admin approves it
    Advertise(Advertise),
    /// Take an offer of this machine back
    Withdraw(Withdraw),
    /// Make a machine a router for a subnet that it offers; admins can
    Approve(Approve),
    /// Take an approval back; admins can
    Reject(Reject),
    /// Show all subnets, their routers, and what becomes of packets to them here
    List(List),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh route advertise 192.168.1.0/24 --as 10.50.1.0/24")]
struct Advertise {
    /// The subnet
    #[arg(value_name = "PREFIX", value_parser = value::prefix)]
    subnet: IpNet,
    /// Prefix of the same length by which others reach it, one to one: for subnets that somebody else has too
    #[arg(long = "as", value_name = "PREFIX", value_parser = value::prefix)]
    known_as: Option<IpNet>,
    /// Put this machine's address into the packets of members, so that the subnet needs no way back (the default)
    #[arg(long, conflicts_with = "no_snat")]
    snat: bool,
    /// Leave members' addresses in their packets: the subnet knows that the way back to the mesh is by this machine
    #[arg(long)]
    no_snat: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh route withdraw 192.168.9.0/24")]
struct Withdraw {
    /// The prefix by which others reach the subnet
    #[arg(value_name = "PREFIX", value_parser = value::prefix)]
    prefix: IpNet,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh route approve office 192.168.9.0/24")]
struct Approve {
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh route reject office 192.168.9.0/24")]
struct Reject {
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
struct Target {
    /// Name, mesh address or beginning of the id of a node
    #[arg(value_name = "NODE", value_parser = value::node)]
    node: String,
    /// The prefix by which others reach the subnet
    #[arg(value_name = "PREFIX", value_parser = value::prefix)]
    prefix: IpNet,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh route list")]
struct List {}

impl Route {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self.action {
            Action::Advertise(advertise) => advertise.run(context),
            Action::Withdraw(Withdraw { prefix }) => withdraw(context, prefix),
            Action::Approve(Approve { target }) => target.approve(context),
            Action::Reject(Reject { target }) => target.reject(context),
            Action::List(List {}) => list(context),
        }
    }
}

impl Advertise {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = api::AdvertiseRouteRequest {
            prefix: self.known_as.unwrap_or(self.subnet).to_string(),
            behind: self.known_as.map(|_| self.subnet.to_string()),
            no_snat: self.no_snat,
        };
        let api::AdvertiseRouteReply { node, prefix, is_approved } = Daemon::reach(context)?
            .ask(ANSWER_TIMEOUT, async |client| client.advertise_route(request).await)?;
        if context.json() {
            return context
                .print_json(&json!({ "node": node, "prefix": prefix, "is_approved": is_approved }));
        }
        if is_approved {
            return context.say(format!("{node} is a router for {prefix}"));
        }
        let command = context.command_line(&format!("route approve {node} {prefix}"));
        context.say(format!("{node} offers {prefix}; an admin approves it by `{command}`"))
    }
}

impl Target {
    fn approve(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Self { node, prefix } = self;
        let request = api::ApproveRouteRequest { node, prefix: prefix.to_string() };
        let reply = Daemon::reach(context)?
            .ask(ANSWER_TIMEOUT, async |client| client.approve_route(request).await)?;
        if context.json() {
            let (node, id) = (reply.node, reply.id);
            return context.print_json(&json!({ "node": node, "id": id, "prefix": prefix.to_string() }));
        }
        context.say(format!("{} is approved as a router for {prefix}", reply.node))
    }

    fn reject(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Self { node, prefix } = self;
        let request = api::RejectRouteRequest { node, prefix: prefix.to_string() };
        let reply =
            Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.reject_route(request).await)?;
        if context.json() {
            let (node, id) = (reply.node, reply.id);
            return context.print_json(&json!({ "node": node, "id": id, "prefix": prefix.to_string() }));
        }
        context.say(format!("{} is no router for {prefix} any more", reply.node))
    }
}

fn withdraw(context: &mut Context<'_>, prefix: IpNet) -> Result<(), Failure> {
    let request = api::WithdrawRouteRequest { prefix: prefix.to_string() };
    let api::WithdrawRouteReply {} =
        Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.withdraw_route(request).await)?;
    if context.json() {
        return context.print_json(&json!({ "ok": true, "prefix": prefix.to_string() }));
    }
    context.say(format!("{prefix} is not offered any more"))
}

fn list(context: &mut Context<'_>) -> Result<(), Failure> {
    let reply = Daemon::reach(context)?
        .ask(ANSWER_TIMEOUT, async |client| client.routes(api::RoutesRequest {}).await)?;
    if context.json() {
        let routes: Vec<_> = reply.routes.iter().map(route_json).collect();
        return context.print_json(&json!({ "routes": routes }));
    }
    if reply.routes.is_empty() {
        let command = context.command_line("route advertise PREFIX");
        return context.say(format!("no routes: `{command}` on a machine in the subnet offers one"));
    }
    context.say_all(lines(&reply.routes))
}

/// A line for each router of each subnet.
fn lines(routes: &[api::Route]) -> Vec<String> {
    let mut table = Table::with_headings(["PREFIX", "ROUTER", "OFFERED", "APPROVED", "HOW", "HERE"]);
    for route in routes {
        for router in &route.routers {
            let how = match (router.is_offered, &router.behind, router.no_snat) {
                (false, _, _) => "-".to_owned(),
                (true, behind, no_snat) => {
                    let snat = if no_snat { "no snat" } else { "snat" };
                    behind.as_ref().map_or(snat.to_owned(), |behind| format!("{snat}, {behind} there"))
                }
            };
            let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
            table.row([
                route.prefix.clone(),
                router.node.clone(),
                yes(router.is_offered),
                yes(router.is_approved),
                how,
                here(route, router),
            ]);
        }
    }
    table.lines()
}

/// What becomes of packets here, beside the router that it is about.
fn here(route: &api::Route, router: &api::SubnetRouter) -> String {
    match route.state() {
        api::RouteState::Taken if route.via == router.node => "used".to_owned(),
        api::RouteState::Taken if router.is_approved && router.is_offered => "standby".to_owned(),
        api::RouteState::Served => "served by this machine".to_owned(),
        api::RouteState::Refused => format!("refused: {}", route.reason),
        api::RouteState::Waiting if router.is_offered && !router.is_approved => {
            "waits for an admin's approval".to_owned()
        }
        api::RouteState::Taken | api::RouteState::Waiting | api::RouteState::Unspecified => "-".to_owned(),
    }
}
