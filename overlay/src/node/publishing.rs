//! How what is published here becomes records: names are claimed, leases signed and renewed, and withdrawn in the end.
//!
//! ```text
//! publish, unpublish, health, claims of others ─▶ due ─▶ for each name: whose is it?
//!                     nobody's                 claim it, publish the instances
//!                     ours                     renew the claim, publish the instances
//!                     another's, lost to it    renew both: when the holder goes, the name comes to us
//!                     another's, shared        publish the instances
//!                     another's, or a node's   wait
//! ```
//!
//! Nobody claims what somebody holds. So a node that has just started looks around first: until a peer has the same
//! records, or until it has waited long enough for one.

use super::services::Standing;
use super::{Event, Node};
use crate::limits::{CLAIM_LOOK, CLAIM_PATIENCE};
use crate::peer::Peer;
use crate::service::Publication;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use wire::record::{Content, Key, Lease, TTL_S_MAX, key_of_claim, key_of_service};
use wire::service::{Sharing, Version};
use wire::{Claims, Kind, Name, NodeId, Record, RecordError};

/// What is published here.
pub(super) struct Publishing {
    pub(super) offered: BTreeMap<(Name, Option<Version>), Offered>,
    /// Names that we claim.
    claimed: BTreeMap<Name, Claimed>,
    standings: BTreeMap<Name, Standing>,
    /// When something is to be looked at again.
    next: Option<Instant>,
    has_looked_around: bool,
}

/// One publication.
pub(super) struct Offered {
    pub(super) publication: Publication,
    pub(super) is_healthy: bool,
    /// Whether it was made at run time and comes again after a restart.
    pub(super) is_written: bool,
    /// When its lease is signed anew; at once when there is none.
    pub(super) renewal: Option<Instant>,
}

struct Claimed {
    sharing: Sharing,
    renewal: Instant,
}

impl Publishing {
    pub(super) fn new(publications: Vec<Publication>, now: Instant) -> Self {
        let offered = |publication: Publication| {
            let key = (publication.name.clone(), publication.version.clone());
            (key, Offered { publication, is_healthy: true, is_written: true, renewal: None })
        };
        Self {
            next: (!publications.is_empty()).then_some(now),
            offered: publications.into_iter().map(offered).collect(),
            claimed: BTreeMap::new(),
            standings: BTreeMap::new(),
            has_looked_around: false,
        }
    }

    /// Something is different: all is looked at again.
    pub(super) fn handle_change(&mut self, now: Instant) {
        self.next = Some(now);
    }

    /// More is known about a name, or was asked in vain.
    pub(super) fn handle_change_of(&mut self, name: &Name, now: Instant) {
        if self.offered.keys().any(|(offered, _)| offered == name) || self.claimed.contains_key(name) {
            self.handle_change(now);
        }
    }

    /// All is said anew: something old was heard in our name.
    pub(super) fn handle_own_word(&mut self, now: Instant) {
        self.offered.values_mut().for_each(|offered| offered.renewal = None);
        self.claimed.values_mut().for_each(|claimed| claimed.renewal = now);
        self.handle_change(now);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn names(&self) -> BTreeSet<Name> {
        self.offered.keys().map(|(name, _)| name).chain(self.claimed.keys()).cloned().collect()
    }
}

impl Node {
    /// How a service of ours stands, by its name.
    #[must_use]
    pub fn standing(&self, name: &Name) -> Standing {
        self.publishing.standings.get(name).copied().unwrap_or(Standing::Waiting)
    }

    /// How all services of ours stand, by name.
    pub(super) fn standings(&self) -> impl Iterator<Item = (&Name, Standing)> {
        self.publishing.standings.iter().map(|(name, standing)| (name, *standing))
    }

    /// Takes that claims, instances or members are different, others' or our own.
    pub(super) fn services_changed(&mut self, now: Instant) {
        self.zone.is_old = true;
        self.names_changed(now);
        if !self.publishing.offered.is_empty() || !self.publishing.claimed.is_empty() {
            self.publishing.handle_change(now);
        }
    }

    pub(super) fn run_publishing(&mut self, now: Instant) {
        if self.publishing.next.is_none_or(|at| now < at) {
            return;
        }
        self.publishing.next = None;
        if self.is_revoked {
            return;
        }
        self.look_around(now);
        for name in self.publishing.names() {
            self.review_name(&name, now);
        }
        self.withdraw_unwanted(now);
        let renewals = self.publishing.offered.values().filter_map(|offered| offered.renewal);
        let renewals = renewals.chain(self.publishing.claimed.values().map(|claimed| claimed.renewal));
        let is_unclear = |(name, _): &(Name, Option<Version>)| !self.may_judge(name, now);
        let waits = self.publishing.offered.keys().any(is_unclear)
            || (!self.publishing.has_looked_around && !self.publishing.offered.is_empty());
        self.publishing.next = renewals.chain(waits.then(|| now + CLAIM_LOOK)).min();
    }

    /// Whether we can know by now who holds which name.
    fn look_around(&mut self, now: Instant) {
        let agrees = |peer: &Peer| peer.is_connected() && self.agrees(peer);
        let has_looked_around = now >= self.started + CLAIM_PATIENCE
            || self.members.members().nth(1).is_none()
            || self.peers.values().any(agrees);
        self.publishing.has_looked_around |= has_looked_around;
    }

    /// Credentials of a node, when it is a member.
    pub(super) fn credentials(&self, node: &NodeId) -> Option<&Claims> {
        let chain = self.members.chain(node)?;
        (!self.members.is_revoked(chain)).then(|| chain.claims())
    }

    /// Whose a name is, from our side.
    pub(super) fn standing_of(&self, name: &Name) -> Standing {
        if let Some(node) = self.members.holder_of_name(name) {
            return Standing::NodeName(node);
        }
        let own = self.members.own().claims();
        let Some(holding) = self.services.holding(name, |node| self.credentials(node)) else {
            return Standing::Waiting;
        };
        let holder = holding.holder.node;
        if holder == own.node {
            Standing::Held
        } else if own.services.contains(name) && !holding.holder.is_delegated {
            // The network says that it is ours: we claim it.
            Standing::Waiting
        } else if holding.admits(own, name) {
            Standing::Shared(holder)
        } else {
            Standing::Taken(holder)
        }
    }

    fn review_name(&mut self, name: &Name, now: Instant) {
        let own = self.identity.node();
        self.seek_own_name(name, now);
        let is_offered = self.publishing.offered.keys().any(|(offered, _)| offered == name);
        let standing = self.standing_of(name);
        let is_claimed = self.services.is_claimed_by(name, &own);
        let claims = match standing {
            Standing::Waiting => is_offered && self.publishing.has_looked_around && self.may_judge(name, now),
            Standing::Held => is_offered || self.others_publish_under(name),
            Standing::Taken(_) | Standing::Shared(_) => is_offered && is_claimed,
            Standing::NodeName(_) => false,
        };
        if claims {
            self.renew_claim(name, now);
        } else {
            self.publishing.claimed.remove(name);
        }
        let counts = claims || matches!(standing, Standing::Shared(_));
        if is_offered {
            self.note_standing(name, if claims { self.standing_of(name) } else { standing });
            self.renew_offers(name, counts, now);
        } else {
            self.publishing.standings.remove(name);
        }
    }

    fn others_publish_under(&self, name: &Name) -> bool {
        let credentials = |node: &NodeId| self.credentials(node);
        let holding = self.services.holding(name, credentials);
        holding.is_some_and(|holding| self.services.others_under(name, holding, credentials))
    }

    fn note_standing(&mut self, name: &Name, standing: Standing) {
        let before = self.publishing.standings.insert(name.clone(), standing);
        match (before, standing) {
            (before, now) if before == Some(now) => {}
            (Some(Standing::Taken(_) | Standing::NodeName(_)), Standing::Held) => {
                self.outputs.push_back(super::Output::Event(Event::NameWon(name.clone())));
            }
            (_, Standing::Taken(holder) | Standing::NodeName(holder)) => {
                let event = Event::NameLost(name.clone(), holder, self.name_of(&holder));
                self.outputs.push_back(super::Output::Event(event));
            }
            _ => {}
        }
    }

    /// Signs our claim to a name, when there is none, it says something else, or its time has come.
    fn renew_claim(&mut self, name: &Name, now: Instant) {
        let offered = self.publishing.offered.values().find(|o| o.publication.name == *name);
        let sharing = match (offered, self.publishing.claimed.get(name)) {
            (Some(offered), _) => offered.publication.sharing.clone(),
            (None, Some(claimed)) => claimed.sharing.clone(),
            // Ours from before a restart: its publication is gone, and so is what it said.
            (None, None) => return,
        };
        let is_held = self.services.is_claimed_by(name, &self.identity.node());
        let says_it = |claimed: &Claimed| is_held && claimed.sharing == sharing && now < claimed.renewal;
        if self.publishing.claimed.get(name).is_some_and(says_it) {
            return;
        }
        let renewal = now + self.renewal_pause(TTL_S_MAX);
        self.publishing.claimed.insert(name.clone(), Claimed { sharing: sharing.clone(), renewal });
        let node = self.identity.node();
        let content = Content::Claim { node, name: name.clone(), sharing };
        self.publish_lease(&content, &key_of_claim(node, name), (TTL_S_MAX, BTreeMap::new()), now);
    }

    /// Signs our instances under a name, those that there are not yet, that say something else, or whose time has come.
    fn renew_offers(&mut self, name: &Name, counts: bool, now: Instant) {
        let node = self.identity.node();
        let of_name = self.publishing.offered.iter().filter(|((offered, _), _)| offered == name);
        let keys: Vec<_> = of_name.map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(offered) = self.publishing.offered.get(&key) else { continue };
            let (publication, is_healthy) = (&offered.publication, offered.is_healthy);
            let record_key = key_of_service(node, name, key.1.as_ref());
            let renewal = if counts {
                let content = content_of(node, publication, is_healthy);
                let (ttl_s, labels) = (publication.ttl_s, publication.labels.clone());
                let says_it = |record: &Record| {
                    let body = record.body();
                    record.content(&self.members.id()).as_ref() == Ok(&content)
                        && (body.ttl_s, &body.labels) == (ttl_s, &labels)
                };
                let is_current = offered.renewal.is_some_and(|at| now < at);
                if is_current && self.registry.get(&record_key).is_some_and(says_it) {
                    continue;
                }
                let pause = self.renewal_pause(ttl_s);
                self.publish_lease(&content, &record_key, (ttl_s, labels), now);
                Some(now + pause)
            } else {
                None
            };
            if let Some(offered) = self.publishing.offered.get_mut(&key) {
                offered.renewal = renewal;
            }
        }
    }

    /// Half of a lease's life at most, so that one renewal may get lost.
    fn renewal_pause(&mut self, ttl_s: u32) -> Duration {
        self.random.jitter(Duration::from_secs(ttl_s.into()).mul_f64(0.4))
    }

    /// Withdraws what was said in our name and does not hold: what is published no more, or was before a restart.
    fn withdraw_unwanted(&mut self, now: Instant) {
        let own = self.identity.node();
        let wants = |record: &Record| match record.content(&self.members.id()) {
            Ok(Content::Service { name, version, .. }) => {
                self.publishing.offered.get(&(name, version)).is_some_and(|offered| offered.renewal.is_some())
            }
            Ok(Content::Claim { name, .. }) => self.publishing.claimed.contains_key(&name),
            _ => true,
        };
        let leases = [Kind::Service, Kind::Claim].map(|kind| self.registry.of_owner(kind, own));
        let unwanted: Vec<Key> =
            leases.into_iter().flatten().filter(|record| !wants(record)).map(Record::key).collect();
        for key in unwanted {
            self.withdraw(key, now);
        }
    }

    pub(super) fn withdraw(&mut self, key: Key, now: Instant) {
        let content = Content::Withdrawn { key: key.clone() };
        self.publish_lease(&content, &key, (TTL_S_MAX, BTreeMap::new()), now);
    }

    /// Withdraws all our instances: we go down. The names stay ours until the claims end.
    pub(super) fn withdraw_instances(&mut self, now: Instant) {
        let own = self.registry.of_owner(Kind::Service, self.identity.node());
        let keys: Vec<Key> = own.filter(|record| !record.is_tombstone()).map(Record::key).collect();
        keys.into_iter().for_each(|key| self.withdraw(key, now));
        self.publishing.next = None;
    }

    /// Signs an instance.
    pub(super) fn sign_offer(
        &self,
        publication: &Publication,
        is_healthy: bool,
        sequence: u64,
        not_before_s: u64,
    ) -> Result<Record, RecordError> {
        let (ttl_s, labels) = (publication.ttl_s, publication.labels.clone());
        let lease = Lease { sequence, not_before_s, ttl_s, labels };
        content_of(self.identity.node(), publication, is_healthy).sign_lease(lease, &self.identity.signing)
    }
}

fn content_of(node: NodeId, publication: &Publication, is_healthy: bool) -> Content {
    let Publication { name, version, protocol, port, .. } = publication;
    Content::Service {
        node,
        name: name.clone(),
        version: version.clone(),
        protocol: *protocol,
        port: *port,
        is_healthy,
    }
}
