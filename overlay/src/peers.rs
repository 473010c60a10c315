//! All peers, and when something may have to be done for each.
//!
//! A node with many peers is woken for one of them at a time: those that were touched since, and those whose time has come, are
//! looked at, and nobody else. Whoever takes a peer to change it has touched it, so nothing can be forgotten. For the same reason
//! it is known who is connected and who is missing without a look at all the others, most of which rest.

use crate::node::WaitReason;
use crate::peer::Peer;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::time::{Duration, Instant};
use wire::NodeId;

/// When a peer is to be looked at again.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    is_touched: bool,
    next: Option<(Instant, WaitReason)>,
}

/// The peers by node id.
#[derive(Default)]
pub(crate) struct Peers {
    by_node: BTreeMap<NodeId, Peer>,
    /// Each once.
    touched: Vec<NodeId>,
    agenda: BTreeSet<(Instant, NodeId)>,
    /// Of those that were not touched since: who is connected, and who is missing.
    connected: BTreeSet<NodeId>,
    missing: BTreeSet<NodeId>,
}

/// To look does no harm.
impl Deref for Peers {
    type Target = BTreeMap<NodeId, Peer>;

    fn deref(&self) -> &Self::Target {
        &self.by_node
    }
}

impl Peers {
    pub(crate) fn insert(&mut self, node: NodeId, peer: Peer) {
        self.remove(&node);
        self.by_node.insert(node, peer);
        self.get_mut(&node);
    }

    pub(crate) fn remove(&mut self, node: &NodeId) -> Option<Peer> {
        let peer = self.by_node.remove(node)?;
        if let Some((at, _)) = peer.plan.next {
            self.agenda.remove(&(at, *node));
        }
        self.touched.retain(|touched| touched != node);
        self.connected.remove(node);
        self.missing.remove(node);
        Some(peer)
    }

    /// Those that we have a session and a path with.
    pub(crate) fn connected(&self) -> impl Iterator<Item = &Peer> {
        self.filed(&self.connected).filter(|peer| peer.is_connected())
    }

    /// Those that we should have one with, and have not.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &Peer> {
        self.filed(&self.missing).filter(|peer| peer.is_missing())
    }

    /// Whether there is nobody that we have a session and a path with.
    pub(crate) fn is_alone(&self) -> bool {
        self.connected().next().is_none()
    }

    /// The peers of a file, and those that were touched since it was written; each once.
    fn filed<'a>(&'a self, file: &'a BTreeSet<NodeId>) -> impl Iterator<Item = &'a Peer> {
        let untouched =
            file.iter().filter_map(|node| self.by_node.get(node)).filter(|peer| !peer.plan.is_touched);
        untouched.chain(self.touched.iter().filter_map(|node| self.by_node.get(node)))
    }

    /// A peer, to change it.
    pub(crate) fn get_mut(&mut self, node: &NodeId) -> Option<&mut Peer> {
        let peer = self.by_node.get_mut(node)?;
        if !std::mem::replace(&mut peer.plan.is_touched, true) {
            self.touched.push(*node);
        }
        Some(peer)
    }

    /// All of them, to change them.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        for (node, peer) in &mut self.by_node {
            if !std::mem::replace(&mut peer.plan.is_touched, true) {
                self.touched.push(*node);
            }
        }
        self.by_node.values_mut()
    }

    /// Who was touched since this was asked last.
    pub(crate) fn take_touched(&mut self) -> Vec<NodeId> {
        let touched = std::mem::take(&mut self.touched);
        for node in &touched {
            if let Some(peer) = self.by_node.get_mut(node) {
                peer.plan.is_touched = false;
                file(&mut self.connected, *node, peer.is_connected());
                file(&mut self.missing, *node, peer.is_missing());
            }
        }
        touched
    }

    /// Who was touched, and whose time has come. A node that is awake for a look at a path has a look at those whose time for it
    /// comes this soon as well, and sleeps longer.
    pub(crate) fn take_due(&mut self, early: Duration, now: Instant) -> BTreeSet<NodeId> {
        let mut due: BTreeSet<NodeId> = self.take_touched().into_iter().collect();
        let is_look = |node: &NodeId| {
            let next = self.by_node.get(node).and_then(|peer| peer.plan.next);
            matches!(next, Some((_, WaitReason::Path(nat::WaitReason::NextProbe))))
        };
        let is_due = |(at, _): &&(Instant, NodeId)| *at <= now;
        let mut looks = false;
        for (_, node) in self.agenda.iter().take_while(is_due) {
            looks = looks || is_look(node);
            due.insert(*node);
        }
        if looks {
            let soon = self.agenda.iter().take_while(|(at, _)| *at <= now + early).map(|(_, node)| *node);
            due.extend(soon.filter(is_look));
        }
        due
    }

    /// Notes when a peer is to be looked at again.
    pub(crate) fn plan(&mut self, node: &NodeId, next: Option<(Instant, WaitReason)>) {
        let Some(peer) = self.by_node.get_mut(node) else { return };
        let before = std::mem::replace(&mut peer.plan.next, next);
        if before.map(|(at, _)| at) == next.map(|(at, _)| at) {
            return;
        }
        if let Some((at, _)) = before {
            self.agenda.remove(&(at, *node));
        }
        if let Some((at, _)) = next {
            self.agenda.insert((at, *node));
        }
    }

    /// When the first of them is to be looked at, and why.
    pub(crate) fn next(&self) -> Option<(Instant, WaitReason)> {
        let (_, node) = self.agenda.first()?;
        self.by_node.get(node)?.plan.next
    }
}

fn file(file: &mut BTreeSet<NodeId>, node: NodeId, belongs: bool) {
    if belongs {
        file.insert(node);
    } else {
        file.remove(&node);
    }
}
