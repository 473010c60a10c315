//! The live services by name: who claims a name, and who publishes an instance under it. An index over the
//! [`Registry`](crate::Registry), kept as records come and go, of which the [`Zone`](crate::Zone) is made.
//!
//! It holds what records say, whoever said it. Whether a claim or an instance counts is judged when it is asked for,
//! by the credentials of that moment.

mod zone;

pub use zone::Surroundings;

use crate::claim::{Claimant, holder, may_publish};
use std::collections::BTreeMap;
use wire::record::{Content, Key};
use wire::service::{Protocol, Sharing, Version};
use wire::{Claims, Kind, Name, NodeId, Record};

/// Who claims what, and who publishes what.
#[derive(Debug, Default)]
pub struct Services {
    claims: BTreeMap<Name, BTreeMap<NodeId, Sharing>>,
    /// Who confirms whose claim.
    confirmations: BTreeMap<Name, BTreeMap<NodeId, NodeId>>,
    offers: BTreeMap<Name, BTreeMap<(NodeId, Option<Version>), Offer>>,
    /// Number of all offers.
    count: usize,
    /// The instances in use: they stay first while they are well.
    chosen: BTreeMap<(Name, Option<Version>), NodeId>,
}

/// An instance as its publisher states it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offer {
    protocol: Protocol,
    port: u16,
    labels: BTreeMap<String, String>,
    is_healthy: bool,
    ttl_s: u32,
}

/// Whose a name is, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding<'a> {
    /// Who holds it.
    pub holder: Claimant,
    /// Whom it lets publish.
    pub sharing: &'a Sharing,
}

impl Services {
    /// Takes what a record says that has become the latest of its key; whether anything is different now.
    pub fn handle_record(&mut self, record: &Record, content: &Content) -> bool {
        match content {
            Content::Claim { node, name, sharing } => {
                let claims = self.claims.entry(name.clone()).or_default();
                claims.insert(*node, sharing.clone()).as_ref() != Some(sharing)
            }
            Content::Service { node, name, version, protocol, port, is_healthy } => {
                let offer = Offer {
                    protocol: *protocol,
                    port: *port,
                    labels: record.body().labels.clone(),
                    is_healthy: *is_healthy,
                    ttl_s: record.body().ttl_s,
                };
                let offers = self.offers.entry(name.clone()).or_default();
                let before = offers.insert((*node, version.clone()), offer.clone());
                self.count += usize::from(before.is_none());
                before.as_ref() != Some(&offer)
            }
            Content::Confirmation { by, node, name } => {
                let confirmations = self.confirmations.entry(name.clone()).or_default();
                confirmations.insert(*by, *node) != Some(*node)
            }
            Content::Withdrawn { key } => self.handle_end(key),
            Content::Member { .. }
            | Content::Revocation { .. }
            | Content::Reissue { .. }
            | Content::LinkState { .. }
            | Content::Epoch { .. }
            | Content::Guest { .. }
            | Content::Policy { .. }
            | Content::Routes { .. } => false,
        }
    }

    /// Takes that the record of a key has ended; whether anything is different now.
    pub fn handle_end(&mut self, key: &Key) -> bool {
        let (name, version) = match key.name.split_once('/') {
            Some((name, version)) => (name, version.parse().ok()),
            None => (key.name.as_str(), None),
        };
        let Ok(name) = name.parse::<Name>() else { return false };
        match key.kind {
            Kind::Claim => remove(&mut self.claims, &name, &key.owner),
            Kind::Confirmation => remove(&mut self.confirmations, &name, &key.owner),
            Kind::Service => {
                let was_there = remove(&mut self.offers, &name, &(key.owner, version));
                self.count -= usize::from(was_there);
                was_there
            }
            Kind::Member
            | Kind::Revocation
            | Kind::Reissue
            | Kind::LinkState
            | Kind::Epoch
            | Kind::Guest
            | Kind::Policy
            | Kind::Routes => false,
        }
    }

    /// Takes that a node is no member any more.
    pub fn forget_owner(&mut self, node: NodeId) {
        self.claims.values_mut().for_each(|claims| drop(claims.remove(&node)));
        self.claims.retain(|_, claims| !claims.is_empty());
        self.confirmations.values_mut().for_each(|admins| admins.retain(|admin, _| *admin != node));
        self.confirmations.retain(|_, admins| !admins.is_empty());
        self.offers.values_mut().for_each(|offers| offers.retain(|(owner, _), _| *owner != node));
        self.offers.retain(|_, offers| !offers.is_empty());
        self.count = self.offers.values().map(BTreeMap::len).sum();
    }

    /// Who holds a name, as far as the credentials say that count.
    pub fn holding<'a, 'b>(
        &'a self,
        name: &Name,
        credentials: impl Fn(&NodeId) -> Option<&'b Claims>,
    ) -> Option<Holding<'a>> {
        let claims = self.claims.get(name)?;
        let confirmations = || self.confirmations.get(name).into_iter().flatten();
        let claimant = |node: &NodeId| {
            let admins = confirmations().filter(|(_, confirmed)| *confirmed == node);
            let admins = admins.filter_map(|(admin, _)| credentials(admin));
            Some(Claimant::new(credentials(node)?, name).confirmed_by(admins))
        };
        let holder = holder(claims.keys().filter_map(claimant))?;
        Some(Holding { holder, sharing: claims.get(&holder.node)? })
    }

    /// All names that somebody claims.
    pub fn claimed_names(&self) -> impl Iterator<Item = &Name> {
        self.claims.keys()
    }

    /// Whether a node claims a name.
    #[must_use]
    pub fn is_claimed_by(&self, name: &Name, node: &NodeId) -> bool {
        self.claims.get(name).is_some_and(|claims| claims.contains_key(node))
    }

    /// Nodes besides one whose instances count under a name that it holds.
    pub fn others_under<'a, 'b>(
        &'a self,
        name: &Name,
        holding: Holding<'a>,
        credentials: impl Fn(&NodeId) -> Option<&'b Claims>,
    ) -> bool {
        let counts = |node: &NodeId| {
            let claims = credentials(node).filter(|claims| claims.node != holding.holder.node);
            claims.is_some_and(|c| may_publish(&Claimant::new(c, name), holding.holder.node, holding.sharing))
        };
        self.offers.get(name).is_some_and(|offers| offers.keys().any(|(node, _)| counts(node)))
    }

    /// Nodes that claim a name, those that publish under it, and admins that confirm a claim to it.
    pub fn nodes_of(&self, name: &Name) -> impl Iterator<Item = NodeId> {
        let claimants = self.claims.get(name).into_iter().flat_map(BTreeMap::keys);
        let publishers = self.offers.get(name).into_iter().flat_map(BTreeMap::keys).map(|(node, _)| node);
        let admins = self.confirmations.get(name).into_iter().flat_map(BTreeMap::keys);
        claimants.chain(publishers).chain(admins).copied()
    }

    /// Number of instances, those included that do not count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nobody claims or publishes anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offers.is_empty() && self.claims.is_empty()
    }
}

impl<'a> Holding<'a> {
    /// Whether the instances of the member with these credentials count.
    #[must_use]
    pub fn admits(&self, claims: &Claims, name: &Name) -> bool {
        may_publish(&Claimant::new(claims, name), self.holder.node, self.sharing)
    }
}

fn remove<K: Ord, V>(names: &mut BTreeMap<Name, BTreeMap<K, V>>, name: &Name, key: &K) -> bool {
    let Some(all) = names.get_mut(name) else { return false };
    let was_there = all.remove(key).is_some();
    if all.is_empty() {
        names.remove(name);
    }
    was_there
}

#[cfg(test)]
mod tests;
