//! Subnets on this machine: what it offers, what of others' it takes, and what the kernel is told of both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use overlay::HostRoutes;
use overlay::state::Network;
use wire::NetworkId;
use wire::credential::PREFIXES_MAX;
use wire::record::RouteOffer;

use super::driver::Driver;
use super::requests::refusal;
use super::state;
use crate::control::{Refusal, RefusalKind, Reply};
use crate::forwarding::{self, Forwarding, ForwardingError, Plan};
use crate::io::clock;
use crate::io::netlink::Netlink;
use crate::store::StateDirectory;

/// What the Node does not know of subnets.
pub(super) struct Routes {
    network: String,
    /// The routing table of the subnets that are taken.
    table: u32,
    /// What people have this machine offer.
    pub(super) offers: Vec<RouteOffer>,
    /// Prefixes in which routes are taken.
    pub(super) accept: Vec<IpNet>,
    /// What the kernel is to be told, when it is something else.
    pub(super) wanted: Option<HostRoutes>,
    /// What it was told.
    told: HostRoutes,
    /// While all else leaves by an exit: what does not.
    way_out: Option<Vec<IpNet>>,
    forwarding: Forwarding,
    /// One sentence, when something is not as it should be.
    pub(super) problem: Option<String>,
}

impl Routes {
    pub(super) fn new(network: &Network, offers: &[RouteOffer], settings: &config::Routes) -> Self {
        Self {
            network: network.name.to_string(),
            table: table(&network.id()),
            offers: offers.to_vec(),
            accept: settings.accept.clone(),
            wanted: None,
            told: HostRoutes::default(),
            way_out: None,
            forwarding: Forwarding::default(),
            problem: None,
        }
    }

    /// Leaves the machine as it was found.
    pub(super) async fn close(&mut self, netlink: &Netlink, directory: &StateDirectory) {
        let closed =
            [self.forwarding.revert(directory).await, self.forwarding.divert(None, netlink, directory).await];
        for error in closed.into_iter().filter_map(Result::err) {
            tracing::warn!("{error}");
        }
    }

    /// Whether this machine offers to be an exit.
    pub(super) fn is_exit(&self) -> bool {
        self.offers.iter().any(RouteOffer::is_exit)
    }

    /// Has all traffic go to the interface, but for what is to these prefixes; or, without any, no more than the Node says.
    pub(super) fn lead(&mut self, way_out: Option<Vec<IpNet>>) {
        if self.way_out != way_out {
            self.way_out = way_out;
            self.wanted.get_or_insert_with(|| self.told.clone());
        }
    }

    /// As [`Forwarding::hold_rules`].
    pub(super) async fn hold_rules(&self) -> Result<bool, ForwardingError> {
        self.forwarding.hold_rules().await
    }

    /// Tells the kernel what the Node wants.
    async fn follow(
        &mut self,
        wanted: HostRoutes,
        (netlink, interface): (&Netlink, &str),
        directory: &StateDirectory,
    ) -> Result<(), ForwardingError> {
        // Before the rule leads there: the table holds what is wanted.
        let mut through = wanted.taken.clone();
        through.extend(self.way_out.iter().flat_map(|_| everything()));
        let beside = self.way_out.as_deref().unwrap_or_default();
        netlink.fill_table(self.table, interface, (&through, beside)).await?;
        let table = (!through.is_empty()).then_some(self.table);
        self.told.clone_from(&wanted);
        self.forwarding.divert(table, netlink, directory).await?;
        let plan =
            Plan { network: self.network.clone(), interface: interface.to_owned(), served: wanted.served };
        self.forwarding.apply(plan, directory).await
    }
}

/// The default routes.
pub(super) fn everything() -> [IpNet; 2] {
    [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()].map(|any: IpAddr| IpNet::new_assert(any, 0))
}

/// The routing table of a network: "HM", and two bytes of its id, so that two networks on a machine do not meet.
fn table(network: &NetworkId) -> u32 {
    u32::from_be_bytes([b'H', b'M', network.0[0], network.0[1]])
}

/// Undoes what a run that was killed has left of routes and forwarding.
pub(super) async fn restore_host(state: &StateDirectory) {
    match forwarding::restore(state).await {
        Ok(true) => tracing::info!("forwarding is as it was before the last run"),
        Ok(false) => {}
        Err(error) => tracing::warn!("{error}"),
    }
}

impl Driver {
    /// Tells the Node what this machine reaches without the network.
    pub(super) async fn look_at_prefixes(&mut self, netlink: &Netlink) {
        match netlink.routes_beside(&self.interface).await {
            Ok(host) => {
                self.exit.see_prefixes(&host);
                self.node.handle_host_prefixes(host, self.routes.accept.clone());
            }
            Err(error) => tracing::warn!("{error}; routes are taken as they were"),
        }
    }

    /// Puts back our rule of routing where another program has thrown it away, as systemd-networkd does with what it does not know.
    pub(super) async fn hold_diversion(&self, netlink: &Netlink) {
        if let Err(error) = self.routes.forwarding.hold_diversion(netlink).await {
            tracing::error!("{error}");
        }
    }

    /// Tells the kernel what of subnets has changed.
    pub(super) async fn follow_routes(&mut self, netlink: &Netlink) {
        let Some(wanted) = self.routes.wanted.take() else { return };
        let followed = self.routes.follow(wanted, (netlink, &self.interface), &self.directory).await;
        self.routes.problem = followed.err().map(|error| {
            let problem = format!("Routes are not as they should be: {error}.");
            tracing::error!("{problem}");
            problem
        });
    }

    pub(super) fn advertise_route(&mut self, offer: RouteOffer) -> Result<Reply, Refusal> {
        self.node.check_prefix(offer.prefix).map_err(|error| refusal(&error))?;
        let mut offers = self.routes.offers.clone();
        offers.retain(|other| other.prefix != offer.prefix);
        if offers.iter().filter(|offer| !offer.is_exit()).count() >= PREFIXES_MAX {
            let message = format!("this machine offers {PREFIXES_MAX} subnets already: withdraw one first");
            return Err(Refusal::new(RefusalKind::Precondition, message));
        }
        if let Some(other) = offers.iter().find(|other| other.subnet() == offer.subnet()) {
            let message =
                format!("{} is offered as {} already: withdraw that first", offer.subnet(), other.prefix);
            return Err(Refusal::new(RefusalKind::Precondition, message));
        }
        offers.push(offer);
        self.offer_routes(offers)?;
        let own = self.own();
        let is_approved = own.prefixes.contains(&offer.prefix);
        let (node, prefix) = (own.name.to_string(), offer.prefix.to_string());
        Ok(Reply::Advertised(api::AdvertiseRouteReply { node, prefix, is_approved }))
    }

    pub(super) fn withdraw_route(&mut self, prefix: IpNet) -> Result<Reply, Refusal> {
        let mut offers = self.routes.offers.clone();
        offers.retain(|offer| offer.prefix != prefix || offer.is_exit());
        if offers.len() == self.routes.offers.len() {
            let message =
                format!("this machine does not offer {prefix}: `hopmesh route list` shows what it does");
            return Err(Refusal::new(RefusalKind::NotFound, message));
        }
        self.offer_routes(offers)?;
        Ok(Reply::Done)
    }

    pub(super) fn approve_route(
        &mut self,
        node: &str,
        prefix: IpNet,
        is_approved: bool,
    ) -> Result<Reply, Refusal> {
        let now = clock::now();
        let outcome = match is_approved {
            true => self.node.approve_route(node, prefix, now),
            false => self.node.reject_route(node, prefix, now),
        };
        self.answer_written(outcome, |selected| {
            Reply::Approved(selected.name.to_string(), selected.node.to_string())
        })
    }

    /// Writes down what this machine offers before anybody is told.
    pub(super) fn offer_routes(&mut self, offers: Vec<RouteOffer>) -> Result<(), Refusal> {
        state::save_offers(&self.directory, &offers)
            .map_err(|error| Refusal::new(RefusalKind::Internal, error.to_string()))?;
        self.routes.offers.clone_from(&offers);
        self.node.handle_offers(offers, clock::now());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_tables_of_their_own_beside_those_that_the_kernel_knows() {
        let of = |first: u8| table(&NetworkId([first; 16]));
        assert_ne!(of(1), of(2));
        assert!(of(0) > 255 && of(255) > 255);
    }
}
