//! Exits: members by which others send all that is not the mesh's, and the one that this machine has chosen.
//!
//! The choice holds whether the exit is there or not: while it is not, packets to the internet go nowhere. What of this
//! machine's packets comes to the mesh at all is the host's part (`src/exit`).

use super::super::{CommandError, Node, Selected};
use crate::tables::{ByFamily, Routes};
use ipnet::IpNet;
use wire::record::RouteOffer;
use wire::{Name, NodeId};

/// What becomes of packets to the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitState {
    /// The exit takes them.
    Reached,
    /// It does not answer.
    Silent,
    /// It is a member and offers no exit, or not any more.
    NotOffered,
    /// It is no member any more.
    Gone,
}

/// An exit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitView {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: Name,
    /// What becomes of packets that are sent by it.
    pub state: ExitState,
    /// Which families it takes.
    pub families: ByFamily<bool>,
    /// Whether this machine has chosen it.
    pub is_chosen: bool,
}

impl Node {
    /// Sends what is for the internet by this node from now on; by nobody without one.
    pub fn handle_exit(&mut self, exit: Option<NodeId>) {
        self.subnets.exit = exit;
        self.routes_are_old = true;
    }

    /// The node that somebody wants as the exit.
    ///
    /// # Errors
    /// [`CommandError`]; [`CommandError::NoExit`] when the node does not offer to be one.
    pub fn select_exit(&self, selector: &str) -> Result<Selected, CommandError> {
        let selected = self.select(selector)?;
        if selected.node == self.identity.node() {
            return Err(CommandError::Oneself(selected.name));
        }
        match self.families_of(&selected.node) {
            ByFamily { v4: false, v6: false } => Err(CommandError::NoExit(selected.name)),
            ByFamily { .. } => Ok(selected),
        }
    }

    /// The exit that this machine has chosen.
    #[must_use]
    pub fn exit(&self) -> Option<ExitView> {
        self.subnets.exit.map(|node| self.exit_view(node))
    }

    /// All exits that others offer, and the chosen one, by name.
    #[must_use]
    pub fn exits(&self) -> Vec<ExitView> {
        let offering =
            self.subnets.offers.iter().filter(|(_, offers)| offers.iter().any(RouteOffer::is_exit));
        let own = self.identity.node();
        let mut nodes: Vec<NodeId> = offering.map(|(node, _)| *node).filter(|node| *node != own).collect();
        nodes.extend(self.subnets.exit.filter(|chosen| !nodes.contains(chosen)));
        let mut views: Vec<ExitView> = nodes.into_iter().map(|node| self.exit_view(node)).collect();
        views.sort_by(|one, other| (&one.name, one.node).cmp(&(&other.name, other.node)));
        views
    }

    /// One sentence, when packets to the internet go nowhere.
    pub(in crate::node) fn exit_problem(&self) -> Option<String> {
        let ExitView { name, state, .. } = self.exit()?;
        let why = match state {
            ExitState::Reached => return None,
            ExitState::Silent => "does not answer",
            ExitState::NotOffered => "does not offer to be an exit any more",
            ExitState::Gone => "is no member of the network any more",
        };
        Some(format!(
            "All traffic of this machine leaves by {name}, which {why}: nothing leaves as long as that is so. `hopmesh exit use NODE` takes another exit, `hopmesh exit use none` does without."
        ))
    }

    fn exit_view(&self, node: NodeId) -> ExitView {
        let families = self.families_of(&node);
        let is_member = self.is_member(&node);
        let is_reached =
            self.peers.get(&node).is_some_and(|peer| peer.is_connected() && !peer.paths.is_suspect());
        let state = match families {
            _ if !is_member => ExitState::Gone,
            ByFamily { v4: false, v6: false } => ExitState::NotOffered,
            ByFamily { .. } if is_reached => ExitState::Reached,
            ByFamily { .. } => ExitState::Silent,
        };
        let is_chosen = self.subnets.exit == Some(node);
        ExitView { node, name: self.name_of(&node), state, families, is_chosen }
    }

    fn is_member(&self, node: &NodeId) -> bool {
        self.members.chain(node).is_some_and(|chain| !self.members.is_revoked(chain))
    }

    /// The families that a member offers to be an exit for.
    fn families_of(&self, node: &NodeId) -> ByFamily<bool> {
        let offers = self.subnets.offers.get(node).map_or(&[][..], Vec::as_slice);
        families(offers.iter())
    }

    /// Enters what we are an exit for, and our own exit, into the routes for the workers.
    pub(super) fn add_exits(&self, routes: &mut Routes) {
        routes.network = self.members.own().claims().network_prefixes().to_vec();
        routes.is_exit = families(self.subnets.told.served.iter());
        // Of who is no member any more no offers are known.
        let Some(exit) = self.subnets.exit else { return };
        let Some(position) = self.peers.get(&exit).map(|peer| peer.position) else { return };
        let ByFamily { v4, v6 } = self.families_of(&exit);
        routes.exit = ByFamily { v4: v4.then_some(position), v6: v6.then_some(position) };
    }
}

fn families<'a>(offers: impl Iterator<Item = &'a RouteOffer>) -> ByFamily<bool> {
    let mut families = ByFamily::default();
    for offer in offers.filter(|offer| offer.is_exit()) {
        match offer.prefix {
            IpNet::V4(_) => families.v4 = true,
            IpNet::V6(_) => families.v6 = true,
        }
    }
    families
}
