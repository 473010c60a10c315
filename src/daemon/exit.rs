//! Exits, for the control thread: what people want, and what the host, the Node and the DNS server are told of it.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use overlay::Selected;
use wire::NodeId;
use wire::record::RouteOffer;

use super::driver::Driver;
use super::report;
use super::requests::{Answer, refusal};
use super::routes::everything;
use crate::control::{Refusal, RefusalKind, Reply};
use crate::exit::{Choice, ExitError, Guard, Plan};
use crate::forwarding;
use crate::io::clock;
use crate::io::netlink::Netlink;
use crate::store::StateDirectory;

/// Where an exit answers names.
const DNS_PORT: u16 = 53;
/// Addresses of local networks (RFC 1918, RFC 3927, RFC 4193). What a router calls local beside these may be the internet.
const LAN_V4: [Ipv4Net; 4] = [
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(192, 168, 0, 0), 16),
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(169, 254, 0, 0), 16),
];
const LAN_V6: Ipv6Net = Ipv6Net::new_assert(std::net::Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7);

/// The way out, as people want it.
pub(super) struct Exit {
    guard: Guard,
    /// Prefixes of local networks.
    lan: Vec<IpNet>,
    /// What is to be done, and who is to hear of it.
    wish: Option<(Wish, Answer)>,
    /// Whether local networks are others than the guard knows.
    is_old: bool,
    /// One sentence, when something is not as it should be.
    pub(super) problem: Option<String>,
}

/// What people want.
enum Wish {
    Use(Selected, bool),
    None,
}

impl Exit {
    /// Closes the guard when it was closed before the start, and before anything is sent.
    pub(super) async fn start(
        directory: &StateDirectory,
        (netlink, interface, port): (&Netlink, &str, u16),
        network: &str,
    ) -> Result<Self> {
        let guard = Guard::load(directory, network)?;
        let lan = match guard.choice() {
            Some(_) => lan(&netlink.routes_beside(interface).await?),
            None => vec![],
        };
        let mut exit = Self { guard, lan, wish: None, is_old: false, problem: None };
        if let Some(choice) = exit.guard.choice() {
            let plan = exit.plan(choice, (interface, port));
            exit.guard.close(choice, plan, directory).await?;
        }
        Ok(exit)
    }

    /// What people have chosen.
    pub(super) fn choice(&self) -> Option<Choice> {
        self.guard.choice()
    }

    /// Takes what this machine reaches without the mesh.
    pub(super) fn see_prefixes(&mut self, host: &[IpNet]) {
        let lan = lan(host);
        self.is_old |= lan != self.lan;
        self.lan = lan;
    }

    /// Lets everything pass: this machine is no member any more.
    pub(super) async fn leave(&mut self, directory: &StateDirectory) {
        if let Err(error) = self.guard.open(directory).await {
            tracing::error!("{error}");
        }
    }

    fn plan(&self, choice: Choice, (interface, port): (&str, u16)) -> Plan {
        let lan = choice.allow_lan.then(|| self.lan.clone());
        Plan { interface: Some(interface.to_owned()), port, lan }
    }

    /// What does not leave by the exit, while there is one.
    fn way_out(&self) -> Option<Vec<IpNet>> {
        let choice = self.choice()?;
        Some(if choice.allow_lan { self.lan.clone() } else { vec![] })
    }
}

/// Those of the prefixes that are of local networks.
fn lan(prefixes: &[IpNet]) -> Vec<IpNet> {
    let is_local = |prefix: &&IpNet| match prefix {
        IpNet::V4(prefix) => LAN_V4.iter().any(|local| local.contains(prefix)),
        IpNet::V6(prefix) => LAN_V6.contains(prefix),
    };
    prefixes.iter().filter(is_local).copied().collect()
}

impl Driver {
    /// Offers to be an exit, or not any more.
    pub(super) fn offer_exit(&mut self, is_offered: bool) -> Result<Reply, Refusal> {
        let refuse = |message: &str| Err(Refusal::new(RefusalKind::Precondition, message.to_owned()));
        if is_offered && self.exit.choice().is_some() {
            return refuse(
                "this machine's own traffic leaves by another exit: `hopmesh exit use none` first, then offer one",
            );
        }
        if is_offered && !self.answers_members() {
            return refuse(
                "an exit answers its users' questions for names: have `dns.enabled = true` in the configuration, and `dns.listen` off",
            );
        }
        let mut offers = self.routes.offers.clone();
        offers.retain(|offer| !offer.is_exit());
        if is_offered {
            let has_ipv6 = forwarding::has_ipv6();
            let families = everything().into_iter().filter(|any| any.addr().is_ipv4() || has_ipv6);
            offers.extend(families.map(RouteOffer::exit));
        }
        self.offer_routes(offers)?;
        self.permit_names();
        Ok(Reply::Done)
    }

    /// Takes a wish for an exit, or for none; it is answered when it is so.
    pub(super) fn use_exit(&mut self, node: Option<&str>, allow_lan: bool, reply: Answer) {
        let wish = match node {
            None => Ok(Wish::None),
            Some(_) if self.routes.is_exit() => Err(Refusal::new(
                RefusalKind::Precondition,
                "this machine is an exit itself: `hopmesh exit withdraw` first, then use another".to_owned(),
            )),
            Some(node) => match self.node.select_exit(node) {
                Ok(selected) => Ok(Wish::Use(selected, allow_lan)),
                Err(error) => Err(refusal(&error)),
            },
        };
        match wish {
            Ok(wish) => self.exit.wish = Some((wish, reply)),
            // Whoever asked may have gone.
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
    }

    /// Carries out what people want of exits, and follows changes of local networks.
    pub(super) async fn follow_exit(&mut self, netlink: &Netlink) {
        if let Some((wish, reply)) = self.exit.wish.take() {
            let outcome = match &wish {
                Wish::Use(selected, allow_lan) => {
                    self.close_guard(Choice { node: selected.node, allow_lan: *allow_lan }, netlink).await
                }
                Wish::None => self.open_guard(netlink).await,
            };
            let answer = match outcome {
                Ok(()) => Ok(used(&wish)),
                Err(error) => Err(Refusal::new(RefusalKind::Internal, error.to_string())),
            };
            let _gone = reply.send(answer);
        }
        if std::mem::take(&mut self.exit.is_old)
            && let Some(choice) = self.exit.choice()
        {
            let plan = self.exit.plan(choice, (&self.interface, self.shared.udp.port()));
            let followed = self.exit.guard.follow(plan).await;
            self.exit.problem =
                followed.err().map(|error| format!("Local networks are not reached: {error}."));
            self.routes.lead(self.exit.way_out());
        }
    }

    /// Puts back what another program has thrown away of our rules of nftables: a firewall that is loaded anew begins with
    /// `flush ruleset`.
    pub(super) async fn hold_rules(&self) {
        let held = [
            self.exit.guard.hold().await.map_err(|error| error.to_string()),
            self.routes.hold_rules().await.map_err(|error| error.to_string()),
        ];
        for outcome in held {
            match outcome {
                Ok(true) => tracing::warn!("another program has removed our rules: they are put back"),
                Ok(false) => {}
                Err(error) => tracing::error!("another program has removed our rules: {error}"),
            }
        }
    }

    /// Whatever fails on the way, nothing has leaked: the guard is closed first.
    async fn close_guard(&mut self, choice: Choice, netlink: &Netlink) -> Result<(), ExitError> {
        let plan = self.exit.plan(choice, (&self.interface, self.shared.udp.port()));
        self.exit.guard.close(choice, plan, &self.directory).await?;
        self.routes.lead(self.exit.way_out());
        self.node.handle_exit(Some(choice.node));
        self.pump();
        self.follow_routes(netlink).await;
        self.lead_names();
        self.names.ask_everything(true, &self.own(), &self.directory).await;
        Ok(())
    }

    async fn open_guard(&mut self, netlink: &Netlink) -> Result<(), ExitError> {
        self.forwarding.lead(None);
        self.names.ask_everything(false, &self.own(), &self.directory).await;
        self.node.handle_exit(None);
        self.routes.lead(None);
        self.pump();
        self.follow_routes(netlink).await;
        self.exit.guard.open(&self.directory).await
    }

    /// What was chosen before the start holds on.
    pub(super) fn resume_exit(&mut self) {
        self.node.handle_exit(self.exit.choice().map(|choice| choice.node));
        self.routes.lead(self.exit.way_out());
        self.lead_names();
    }

    /// Has questions for all names go to the exit, where it answers by now.
    pub(super) fn lead_names(&self) {
        let Some(choice) = self.exit.choice() else { return };
        self.forwarding.lead(Some(self.servers_of(&choice.node)));
    }

    fn servers_of(&self, exit: &NodeId) -> Vec<SocketAddr> {
        let view = self.node.view(clock::now());
        let peer = view.peers.iter().find(|peer| peer.node == *exit);
        let addresses = peer.into_iter().flat_map(|peer| &peer.addresses);
        addresses.map(|address| SocketAddr::new(*address, DNS_PORT)).collect()
    }

    /// Passes on questions of those who may know no other server: our guests, and everybody while we are an exit.
    pub(super) fn permit_names(&self) {
        let hosted = self.node.hosted_guests();
        let guests = hosted.values().flat_map(|guest| {
            guest.v4.map(IpAddr::V4).into_iter().chain([IpAddr::V6(guest.v6)]).map(IpNet::from)
        });
        let members = self.own().network_prefixes().into_iter().filter(|_| self.routes.is_exit());
        self.forwarding.permit(&guests.chain(members).collect::<Vec<_>>());
    }

    /// Whether what comes for the internet goes there, for guests.
    pub(super) fn leads_out(&self) -> bool {
        self.exit.choice().is_some() || self.routes.is_exit()
    }

    /// Whether members reach our DNS server where they look for an exit's.
    fn answers_members(&self) -> bool {
        let at = SocketAddr::new(IpAddr::V4(self.own().ipv4.addr()), DNS_PORT).to_string();
        self.names.view().is_some_and(|names| names.listen.contains(&at))
    }

    pub(super) fn exits(&self) -> api::ExitsReply {
        api::ExitsReply {
            exits: self.node.exits().iter().map(report::exit).collect(),
            allow_lan: self.exit.choice().is_some_and(|choice| choice.allow_lan),
            is_offered: self.routes.is_exit(),
        }
    }
}

fn used(wish: &Wish) -> Reply {
    Reply::ExitUsed(match wish {
        Wish::Use(selected, allow_lan) => api::UseExitReply {
            node: selected.name.to_string(),
            id: selected.node.to_string(),
            allow_lan: *allow_lan,
        },
        Wish::None => api::UseExitReply::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_router_calls_local_is_so_only_in_private_ranges() {
        let prefixes =
            |text: &[&str]| -> Vec<IpNet> { text.iter().map(|text| text.parse().unwrap()).collect() };
        let told = [
            "0.0.0.0/1",
            "128.0.0.0/1",
            "8.8.8.0/24",
            "192.168.1.0/24",
            "10.0.0.0/7",
            "10.1.0.0/16",
            "fd00:9::/64",
            "2a00::/16",
        ];
        assert_eq!(lan(&prefixes(&told)), prefixes(&["192.168.1.0/24", "10.1.0.0/16", "fd00:9::/64"]));
    }
}
