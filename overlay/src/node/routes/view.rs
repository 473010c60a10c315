//! Subnets and their routers, as people and programs are shown them.

use super::{Node, RouteRefusal, RouteState};
use ipnet::IpNet;
use std::collections::BTreeMap;
use wire::record::RouteOffer;
use wire::{Name, NodeId};

/// A prefix that somebody is a router for, or wants to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteView {
    /// The prefix.
    pub prefix: IpNet,
    /// What becomes of packets to it here.
    pub state: RouteState,
    /// Its routers, in order of id.
    pub routers: Vec<RouterView>,
}

/// A router of a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterView {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: Name,
    /// What it offers; nothing when it does not any more, or not yet.
    pub offer: Option<RouteOffer>,
    /// Whether an admin has approved it.
    pub is_approved: bool,
}

impl Node {
    /// All prefixes that anybody offers or is approved for, in order.
    #[must_use]
    pub fn routes(&self) -> Vec<RouteView> {
        let mut views = BTreeMap::<IpNet, Vec<RouterView>>::new();
        for claims in self.members.members() {
            let offers = self.subnets.offers.get(&claims.node).into_iter().flatten();
            let offered = offers.filter(|offer| !offer.is_exit()).map(|offer| offer.prefix);
            let mut prefixes: Vec<IpNet> = offered.chain(claims.routed_prefixes()).collect();
            prefixes.sort_unstable();
            prefixes.dedup();
            for prefix in prefixes {
                views.entry(prefix).or_default().push(RouterView {
                    node: claims.node,
                    name: claims.name.clone(),
                    offer: self.subnets.offer(&claims.node, &prefix),
                    is_approved: claims.prefixes.contains(&prefix),
                });
            }
        }
        let state = |prefix: &IpNet| self.subnets.judged.get(prefix).cloned().unwrap_or(RouteState::Waiting);
        views
            .into_iter()
            .map(|(prefix, routers)| RouteView { state: state(&prefix), prefix, routers })
            .collect()
    }

    /// A sentence for each approved prefix that is not taken for another reason than that people want it so.
    pub(in crate::node) fn refused_routes(&self) -> impl Iterator<Item = String> {
        self.subnets.judged.iter().filter_map(|(prefix, state)| match state {
            RouteState::Refused(RouteRefusal::NotAccepted)
            | RouteState::Taken(_)
            | RouteState::Served
            | RouteState::Waiting => None,
            RouteState::Refused(refusal) => Some(format!("The route to {prefix} is not taken: {refusal}.")),
        })
    }
}
