//! Services: what people publish here, and the zone that they see.

use super::Node;
use super::publishing::Offered;
use crate::service::Publication;
use registry::Zone;
use std::sync::Arc;
use std::time::Instant;
use wire::record::{
    LabelError, SHARED_NODES_MAX, TTL_S_MAX, TTL_S_MIN, check_labels, key_of_claim, key_of_service,
};
use wire::service::{Sharing, Version};
use wire::{Name, NodeId};

/// Why something cannot be published; the text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// This node was revoked.
    #[error("this machine was revoked from the network: `hopmesh leave`, then join again by a new invite")]
    Revoked,
    /// A machine is called so.
    #[error("{0} is the name of a machine in this network: choose another name for the service")]
    NodeName(Name),
    /// Another node holds the name, and lets this one not publish under it.
    #[error(
        "the service name {name} belongs to {holder}: choose another, or have {holder} share it with this machine, or an admin delegate it to this machine"
    )]
    Taken {
        /// The name.
        name: Name,
        /// How the node is called that holds it.
        holder: Name,
    },
    /// A port where nothing can listen.
    #[error("port 0 is none: give the port where the service listens")]
    Port,
    /// A life out of bounds.
    #[error("the time to live is {TTL_S_MIN} to {TTL_S_MAX} seconds")]
    Ttl,
    /// Labels that are none.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// More nodes than a claim can list.
    #[error(
        "a name is shared with at most {SHARED_NODES_MAX} machines by name: share it with all members instead"
    )]
    TooManyShared,
    /// Labels or nodes that do not fit into one record together.
    #[error("name, version and labels are too long together: shorten the labels")]
    TooLong,
    /// The quota of this node, or of the network.
    #[error("there are too many services: withdraw some; what was withdrawn counts for two hours more")]
    TooMany,
    /// Nothing of this name and version is published here.
    #[error("this machine publishes no service {0}: `hopmesh services` lists them")]
    NotPublished(String),
}

/// How a publication of ours stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has just been made, or the node looks around first whether somebody holds the name.
    Waiting,
    /// Its name is ours.
    Held,
    /// Its name is another node's, which lets us publish under it.
    Shared(NodeId),
    /// Its name is another node's, and it does not count.
    Taken(NodeId),
    /// A machine has its name, and it does not count.
    NodeName(NodeId),
}

impl Node {
    /// Publishes an instance of a service, or changes what was published; it is written and comes again after a restart.
    ///
    /// # Errors
    /// [`PublishError`]; nothing has changed then.
    pub fn publish(&mut self, publication: Publication, now: Instant) -> Result<(), PublishError> {
        self.check_publication(&publication)?;
        self.offer(publication, true, now);
        self.persist_services();
        Ok(())
    }

    /// As [`Node::publish`] for what stands in the configuration: nothing is written, and a name that is another node's is
    /// waited for.
    ///
    /// # Errors
    /// [`PublishError`]; nothing has changed then.
    pub fn publish_configured(&mut self, publication: Publication, now: Instant) -> Result<(), PublishError> {
        match self.check_publication(&publication) {
            Ok(()) | Err(PublishError::Taken { .. } | PublishError::NodeName(_)) => {}
            Err(error) => return Err(error),
        }
        self.offer(publication, false, now);
        Ok(())
    }

    /// Withdraws an instance. The name is given up with the last one, unless others publish under it.
    ///
    /// # Errors
    /// [`PublishError::NotPublished`].
    pub fn unpublish(
        &mut self,
        name: &Name,
        version: Option<&Version>,
        now: Instant,
    ) -> Result<(), PublishError> {
        let key = key_of_service(self.identity.node(), name, version);
        if self.publishing.offered.remove(&(name.clone(), version.cloned())).is_none() {
            return Err(PublishError::NotPublished(key.name));
        }
        self.publishing.handle_change(now);
        self.persist_services();
        Ok(())
    }

    /// Takes whether an instance of ours is well; others hear of it at once.
    pub fn handle_health(&mut self, name: &Name, version: Option<&Version>, is_healthy: bool, now: Instant) {
        if let Some(offered) = self.publishing.offered.get_mut(&(name.clone(), version.cloned()))
            && offered.is_healthy != is_healthy
        {
            offered.is_healthy = is_healthy;
            self.publishing.handle_change(now);
        }
    }

    /// What is published here.
    pub fn publications(&self) -> impl Iterator<Item = &Publication> {
        self.publishing.offered.values().map(|offered| &offered.publication)
    }

    /// What names mean at this moment; later ones come as [`super::Output::Zone`].
    #[must_use]
    pub fn zone(&self) -> Arc<Zone> {
        self.zone.current.clone()
    }

    fn offer(&mut self, publication: Publication, is_written: bool, now: Instant) {
        for other in self.publishing.offered.values_mut() {
            if other.publication.name == publication.name {
                other.publication.sharing.clone_from(&publication.sharing);
            }
        }
        let key = (publication.name.clone(), publication.version.clone());
        let is_healthy = self.publishing.offered.get(&key).is_none_or(|offered| offered.is_healthy);
        self.publishing.offered.insert(key, Offered { publication, is_healthy, is_written, renewal: None });
        self.publishing.handle_change(now);
    }

    fn check_publication(&self, publication: &Publication) -> Result<(), PublishError> {
        let Publication { name, version, port, labels, ttl_s, sharing, .. } = publication;
        if self.is_revoked {
            return Err(PublishError::Revoked);
        }
        if *port == 0 {
            return Err(PublishError::Port);
        }
        if !(TTL_S_MIN..=TTL_S_MAX).contains(ttl_s) {
            return Err(PublishError::Ttl);
        }
        check_labels(labels)?;
        if matches!(sharing, Sharing::Nodes(nodes) if nodes.len() > SHARED_NODES_MAX) {
            return Err(PublishError::TooManyShared);
        }
        if self.sign_offer(publication, true, 0, 0).is_err() {
            return Err(PublishError::TooLong);
        }
        self.check_room(name, version.as_ref())?;
        match self.standing_of(name) {
            Standing::Taken(holder) if !self.services.is_claimed_by(name, &self.identity.node()) => {
                Err(PublishError::Taken { name: name.clone(), holder: self.name_of(&holder) })
            }
            Standing::NodeName(_) => Err(PublishError::NodeName(name.clone())),
            Standing::Waiting | Standing::Held | Standing::Shared(_) | Standing::Taken(_) => Ok(()),
        }
    }

    /// Whether the quotas leave room for one more.
    fn check_room(&self, name: &Name, version: Option<&Version>) -> Result<(), PublishError> {
        let own = self.identity.node();
        let offered = &self.publishing.offered;
        let is_new = !offered.contains_key(&(name.clone(), version.cloned()));
        for key in [key_of_service(own, name, version), key_of_claim(own, name)] {
            if is_new && self.registry.next_sequence(&key) == 1 && !self.registry.has_room(key.kind, own) {
                return Err(PublishError::TooMany);
            }
        }
        if is_new && offered.len() >= registry::limits::OWNER_SERVICES_MAX {
            return Err(PublishError::TooMany);
        }
        Ok(())
    }
}
