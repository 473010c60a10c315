//! Routers of subnets: who offers to be one, whom an admin has approved, which of their prefixes this machine takes, and
//! which router of several packets go to.
//!
//! ```text
//! offered, not approved ──an admin puts the prefix into the credential──▶ approved
//! approved and offered  ──clashes with nothing here──▶ taken: by the nearest router that answers
//! ```
//!
//! An exit is a router for everything else. Nobody approves one, since nothing goes to it but from those who have chosen it
//! ([`exit`]).
//!
//! **Must never** take a prefix on the word of its router alone, nor one that leads packets astray which this machine
//! sends elsewhere: to the mesh, to its own networks, to the addresses of its peers.

mod exit;
mod view;

pub use exit::{ExitState, ExitView};
pub use view::{RouteView, RouterView};

use super::{Event, Node, Output, is_private};
use crate::limits::ROUND_TRIP_INTERVAL;
use crate::peer::{Peer, Seeking};
use crate::tables::Routes;
use ipnet::IpNet;
use nat::Remote;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use wire::record::{Content, Key, RouteOffer};
use wire::{Kind, Name, NodeId, Record};

/// What the host is to do for subnets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostRoutes {
    /// Subnets that others are routers for: packets to them go to the interface.
    pub taken: Vec<IpNet>,
    /// Subnets that this machine is a router for, and the default routes when it is an exit.
    pub served: Vec<RouteOffer>,
}

/// What becomes of packets to a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteState {
    /// They go to this router.
    Taken(NodeId),
    /// This machine is a router for the prefix itself.
    Served,
    /// None of those who offer it is approved, or none of those who are offers it.
    Waiting,
    /// They go where they went without the network.
    Refused(RouteRefusal),
}

/// Why an approved prefix is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteRefusal {
    /// The configuration says so.
    #[error("`routes.accept` of the configuration leaves it out")]
    NotAccepted,
    /// The mesh itself would be led astray.
    #[error("it overlaps with the network's own addresses")]
    Network,
    /// So would this machine's own networks.
    #[error("it overlaps with {0}, which this machine reaches by itself")]
    Local(IpNet),
    /// So would datagrams to a peer.
    #[error("{1} is reached at {0}, which is in it")]
    Underlay(IpAddr, Name),
}

/// What is known of routers, and what came of it.
pub(super) struct Subnets {
    /// What all nodes offer, ourselves included.
    offers: BTreeMap<NodeId, Vec<RouteOffer>>,
    /// What we offer; said in a record.
    own: Vec<RouteOffer>,
    /// The exit that people have chosen for this machine, whether it is there or not.
    exit: Option<NodeId>,
    /// Prefixes that this machine reaches without the network.
    host: Vec<IpNet>,
    /// Prefixes in which routes are taken.
    accept: Vec<IpNet>,
    /// Approved prefixes that somebody offers, and what becomes of them.
    judged: BTreeMap<IpNet, RouteState>,
    told: HostRoutes,
    next_look: Instant,
}

impl Subnets {
    pub(super) fn new(now: Instant) -> Self {
        let everything = ["0.0.0.0/0", "::/0"].map(|all| all.parse().expect("a prefix"));
        Self {
            offers: BTreeMap::new(),
            own: vec![],
            exit: None,
            host: vec![],
            accept: everything.to_vec(),
            judged: BTreeMap::new(),
            told: HostRoutes::default(),
            next_look: now,
        }
    }

    /// What a node offers of a prefix.
    fn offer(&self, node: &NodeId, prefix: &IpNet) -> Option<RouteOffer> {
        self.offers.get(node)?.iter().find(|offer| offer.prefix == *prefix).copied()
    }
}

impl Node {
    /// Takes the subnets that this machine offers to be a router for, instead of those before; at most
    /// [`wire::record::ROUTE_OFFERS_MAX`], each valid and with a prefix of its own.
    pub fn handle_offers(&mut self, mut offers: Vec<RouteOffer>, now: Instant) {
        offers.sort_unstable();
        self.subnets.own = offers;
        self.announce_offers(now);
        // What nobody needs to approve holds at once.
        self.routes_are_old = true;
    }

    /// Takes the prefixes that this machine reaches without the network, and those in which it takes routes of others.
    pub fn handle_host_prefixes(&mut self, host: Vec<IpNet>, accept: Vec<IpNet>) {
        if host != self.subnets.host || accept != self.subnets.accept {
            self.subnets.host = host;
            self.subnets.accept = accept;
            self.routes_are_old = true;
        }
    }

    /// Says what we offer, when we have said something else. Who has never offered anything says nothing.
    pub(super) fn announce_offers(&mut self, now: Instant) {
        let node = self.identity.node();
        let key = Key { kind: Kind::Routes, owner: node, name: String::new() };
        let content = Content::Routes { node, offers: self.subnets.own.clone() };
        let says_the_same = |record: &Record| record.content(&self.members.id()).as_ref() == Ok(&content);
        let is_said = self.registry.get(&key).map_or(self.subnets.own.is_empty(), says_the_same);
        if !is_said && !self.is_revoked {
            self.publish_record(&content, &key, None, now);
        }
    }

    /// Takes what a node offers. What nobody has approved changes nothing for the workers.
    pub(super) fn take_offers(&mut self, node: NodeId, offers: Vec<RouteOffer>) {
        let claims = self.members.chain(&node).map(|chain| chain.claims());
        let approved = |offers: &[RouteOffer]| -> Vec<RouteOffer> {
            let is_approved =
                |offer: &&RouteOffer| claims.is_some_and(|c| c.prefixes.contains(&offer.prefix));
            offers.iter().filter(is_approved).copied().collect()
        };
        let before = self.subnets.offers.get(&node).map_or(&[][..], Vec::as_slice);
        let is_chosen = self.subnets.exit == Some(node);
        self.routes_are_old |= is_chosen || approved(before) != approved(&offers);
        self.subnets.offers.insert(node, offers);
    }

    /// Forgets what a node offers that is no member any more.
    pub(super) fn forget_offers(&mut self, node: NodeId) {
        self.registry.forget(&Key { kind: Kind::Routes, owner: node, name: String::new() });
        self.subnets.offers.remove(&node);
        self.routes_are_old = true;
    }

    /// A node answers, or does not any more: where it is one of several routers another one may be the one to use.
    pub(super) fn router_changed(&mut self, node: &NodeId) {
        self.routes_are_old |= self.subnets.offers.get(node).is_some_and(|offers| !offers.is_empty());
    }

    /// The path to a peer is another one: its address may lie in a prefix that is taken, or not any more.
    pub(super) fn path_changed(&mut self, remote: Remote) {
        let ip = remote.address().map(|address| address.ip().to_canonical());
        let concerns = |(prefix, state): (&IpNet, &RouteState)| {
            ip.is_some_and(|ip| prefix.contains(&ip))
                || matches!(state, RouteState::Refused(RouteRefusal::Underlay(..)))
        };
        self.routes_are_old |= self.subnets.judged.iter().any(concerns);
    }

    pub(super) fn routers_deadline(&self) -> Option<Instant> {
        let has_choice = self.routes.routers.iter().any(|routers| routers.len() > 1);
        has_choice.then_some(self.subnets.next_look)
    }

    /// Looks which router is nearest, where there are several.
    pub(super) fn run_routers_timer(&mut self, now: Instant) {
        if self.routers_deadline().is_some_and(|at| now >= at) {
            self.subnets.next_look = now + ROUND_TRIP_INTERVAL;
            let choice = |(prefix, state): (&IpNet, &RouteState)| match state {
                RouteState::Taken(current) => self.nearest(prefix, Some(*current)) != Some(*current),
                RouteState::Served | RouteState::Waiting | RouteState::Refused(_) => false,
            };
            self.routes_are_old |= self.subnets.judged.iter().any(choice);
        }
    }

    /// Decides anew what becomes of every prefix that is both approved and offered, and tells the host.
    pub(super) fn judge_routes(&mut self) {
        let routers = if self.is_revoked { BTreeMap::new() } else { self.members.routers() };
        let before = std::mem::take(&mut self.subnets.judged);
        let mut judged = BTreeMap::new();
        for prefix in routers.into_keys() {
            let current = match before.get(&prefix) {
                Some(RouteState::Taken(node)) => Some(*node),
                _ => None,
            };
            let state = self.judge(&prefix, current);
            if let RouteState::Taken(node) = &state
                && current != Some(*node)
            {
                self.outputs.push_back(Output::Event(Event::Routed(prefix, *node, self.name_of(node))));
            }
            judged.insert(prefix, state);
        }
        self.subnets.judged = judged;
        let host = self.host_routes();
        if host != self.subnets.told {
            self.subnets.told = host.clone();
            self.outputs.push_back(Output::Routes(host));
        }
    }

    fn judge(&self, prefix: &IpNet, current: Option<NodeId>) -> RouteState {
        let is_served = self.members.own().claims().prefixes.contains(prefix)
            && self.subnets.offer(&self.identity.node(), prefix).is_some();
        if self.members.network_met_by(prefix).is_some() {
            return RouteState::Refused(RouteRefusal::Network);
        }
        if is_served {
            return RouteState::Served;
        }
        let Some(nearest) = self.nearest(prefix, current) else { return RouteState::Waiting };
        self.refusal_of(prefix).map_or(RouteState::Taken(nearest), RouteState::Refused)
    }

    /// Why this machine would not take a prefix.
    fn refusal_of(&self, prefix: &IpNet) -> Option<RouteRefusal> {
        let overlaps = |other: &&IpNet| other.contains(prefix) || prefix.contains(*other);
        if !self.subnets.accept.iter().any(|accept| accept.contains(prefix)) {
            return Some(RouteRefusal::NotAccepted);
        }
        if let Some(local) = self.subnets.host.iter().find(overlaps) {
            return Some(RouteRefusal::Local(*local));
        }
        // A private address of a peer may well be in the subnet that it is a router for; it counts once it is used.
        let public = |peer: &Peer| {
            let announced = peer.paths.candidates.announced().iter().map(|c| c.socket_address().ip());
            announced.filter(|ip| !is_private(*ip)).find(|ip| prefix.contains(ip))
        };
        let in_use = |peer: &Peer| {
            let primary = peer.paths.primary().and_then(|remote| remote.address());
            primary.map(|address| address.ip().to_canonical()).filter(|ip| prefix.contains(ip))
        };
        self.peers.values().find_map(|peer| {
            let ip = in_use(peer).or_else(|| public(peer))?;
            Some(RouteRefusal::Underlay(ip, self.name_of(&peer.node)))
        })
    }

    /// Of the routers of a prefix that are approved and offer it the one to use: one that answers before one that may, and
    /// the nearest. The current one stays unless another is clearly nearer.
    fn nearest(&self, prefix: &IpNet, current: Option<NodeId>) -> Option<NodeId> {
        let usable = |node: &NodeId| {
            let claims = self.members.chain(node)?.claims();
            let is_approved = claims.prefixes.contains(prefix);
            (is_approved && self.subnets.offer(node, prefix).is_some()).then(|| self.peers.get(node))?
        };
        let best =
            self.subnets.offers.keys().filter_map(usable).min_by_key(|peer| (nearness(peer), peer.node))?;
        match current.as_ref().and_then(usable) {
            Some(current) if !is_clearly_nearer(nearness(best), nearness(current)) => Some(current.node),
            Some(_) | None => Some(best.node),
        }
    }

    fn host_routes(&self) -> HostRoutes {
        let of = |wanted: fn(&RouteState) -> bool| {
            self.subnets.judged.iter().filter(move |(_, state)| wanted(state)).map(|(prefix, _)| *prefix)
        };
        let own = self.identity.node();
        let exit = self.subnets.own.iter().filter(|offer| offer.is_exit() && !self.is_revoked);
        HostRoutes {
            taken: of(|state| matches!(state, RouteState::Taken(_))).collect(),
            served: of(|state| matches!(state, RouteState::Served))
                .filter_map(|prefix| self.subnets.offer(&own, &prefix))
                .chain(exit.copied())
                .collect(),
        }
    }

    /// Enters the subnets into the routes for the workers.
    pub(super) fn add_subnets(&self, routes: &mut Routes) {
        let position = |node: &NodeId| self.peers.get(node).map(|peer| peer.position);
        let routers = self.members.routers();
        let served = self.subnets.told.served.iter();
        routes.served = served.filter(|offer| !offer.is_exit()).map(|offer| offer.prefix).collect();
        self.add_exits(routes);
        for (prefix, state) in &self.subnets.judged {
            let RouteState::Taken(node) = state else { continue };
            let Some(nearest) = position(node) else { continue };
            routes.table.insert(*prefix, nearest);
            routes.subnets.insert(*prefix, routes.routers.len());
            routes.routers.push(routers.get(prefix).into_iter().flatten().filter_map(position).collect());
        }
    }
}

/// Less is better: how sure it is that a peer answers, and how far it is.
fn nearness(peer: &Peer) -> (u8, Duration) {
    let certainty = match peer.seeking {
        _ if peer.is_connected() && !peer.paths.is_suspect() => 0,
        Seeking::Resting => 1,
        _ if peer.is_connected() => 2,
        Seeking::Content | Seeking::Asking { .. } => 3,
    };
    (certainty, peer.paths.round_trip().unwrap_or(Duration::MAX))
}

/// Whether a router is nearer than round trips waver by themselves.
fn is_clearly_nearer(other: (u8, Duration), current: (u8, Duration)) -> bool {
    let nearer = || other.1.saturating_add(Duration::from_millis(2)) < current.1 - current.1 / 4;
    other.0 < current.0 || (other.0 == current.0 && nearer())
}
