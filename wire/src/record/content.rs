//! What the kinds of records say, and who may say it.

use super::epoch::{Epoch, EpochPayload};
use super::guest::GuestPayload;
use super::lease::{ClaimPayload, ConfirmationPayload, ServicePayload, split_name};
use super::policy::{Policy, PolicyPayload};
use super::route::{RouteOffer, RoutesPayload};
use super::{
    Body, Key, Kind, Lease, Record, RecordError, key_of_claim, key_of_confirmation, key_of_guest,
    key_of_service,
};
use crate::credential::verify_signature;
use crate::service::{Protocol, Sharing, Version};
use crate::{Candidate, Chain, Dependence, GuestKey, Name, NatProfile, NetworkId, NodeId, cbor};
use ed25519_dalek::{Signer, SigningKey};
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Most candidates in a member record: two of each kind (host IPv4 and IPv6, reflexive, port-mapped).
pub const CANDIDATES_MAX: usize = 8;

/// The judged content of a record. Dates of chains are left to the reader's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A member speaks of itself.
    Member {
        /// Its credentials.
        chain: Chain,
        /// Where it can be dialled.
        candidates: Vec<Candidate>,
    },
    /// A node is no member any more.
    Revocation {
        /// The node.
        node: NodeId,
        /// Credentials of who says so: the node itself, or an admin.
        by: Box<Chain>,
        /// Whether the root key agrees, without which no admin can be revoked by another.
        by_root: bool,
    },
    /// New credentials for a node.
    Reissue {
        /// The credentials.
        chain: Chain,
    },
    /// Whom a node reaches, and what it is to others.
    LinkState {
        /// The node. Whether it is a member is for the reader to know: its own record says so.
        node: NodeId,
        /// What it says.
        state: LinkState,
    },
    /// An instance of a service; its labels are those of the record.
    Service {
        /// Who publishes it. Whether it may is for the reader to judge: that takes all claims to the name.
        node: NodeId,
        /// Name of the service.
        name: Name,
        /// And its version, when there are several.
        version: Option<Version>,
        /// What it speaks.
        protocol: Protocol,
        /// Where it listens.
        port: u16,
        /// Whether it is well.
        is_healthy: bool,
    },
    /// A node wants a service name for its own.
    Claim {
        /// The node.
        node: NodeId,
        /// The name.
        name: Name,
        /// Who may publish instances under it besides the node.
        sharing: Sharing,
    },
    /// There is a new network secret.
    Epoch {
        /// What is said of it.
        epoch: Epoch,
        /// Credentials of the admin who says so.
        by: Box<Chain>,
    },
    /// A document for all members.
    Policy {
        /// The document.
        policy: Policy,
        /// Credentials of the admin who says so.
        by: Box<Chain>,
    },
    /// A node's claim to a service name came first.
    Confirmation {
        /// Who says so. Whether it is an admin is for the reader to know: its own record says so.
        by: NodeId,
        /// The node.
        node: NodeId,
        /// The name.
        name: Name,
    },
    /// A `WireGuard` client is in the network by a member.
    Guest {
        /// The member that answers for it.
        host: NodeId,
        /// Name of the guest.
        name: Name,
        /// By which the member knows it.
        key: GuestKey,
        /// Its IPv4 mesh address, or the one that is wished for; none when any will do. Whether it is the host's to give is for the
        /// reader to judge: the host's credentials say so.
        ipv4: Option<Ipv4Addr>,
    },
    /// The subnets that a node offers to be a router for.
    Routes {
        /// The node. Whether it is a member is for the reader to know: its own record says so.
        node: NodeId,
        /// Each prefix once, ascending.
        offers: Vec<RouteOffer>,
    },
    /// What was said under a key is not so any more: a tombstone.
    Withdrawn {
        /// The key.
        key: Key,
    },
}

/// Most links that a node tells of.
pub const LINKS_MAX: usize = 64;

/// A node that another one reaches without a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Link {
    /// First 8 bytes of its id, big-endian.
    #[n(0)]
    pub node: u64,
    /// Round trip in milliseconds.
    #[n(1)]
    pub round_trip_ms: u16,
}

/// Whom a node reaches by itself, and what it is to others.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LinkState {
    /// Whether it carries datagrams for other members.
    #[n(0)]
    pub is_hop: bool,
    /// Whether unrelated members have dialled it: whom nobody else can reach may turn to it.
    #[n(1)]
    pub is_anchor: bool,
    /// The NAT before it.
    #[n(2)]
    pub profile: NatProfile,
    /// TCP port at which it takes datagrams in a WebSocket.
    #[n(3)]
    pub stream_port: Option<u16>,
    /// At most [`LINKS_MAX`], ascending.
    #[n(4)]
    pub links: Vec<Link>,
}

#[derive(Encode, Decode)]
struct MemberPayload {
    #[n(0)]
    chain: ByteVec,
    #[n(1)]
    candidates: Vec<Candidate>,
}

#[derive(Encode, Decode)]
struct RevocationPayload {
    #[n(0)]
    node: NodeId,
    #[n(1)]
    by: ByteVec,
    #[n(2)]
    root_signature: Option<ByteArray<64>>,
}

impl LinkState {
    /// Whether strangers can dial the node: others have, or nothing is in their way.
    #[must_use]
    pub fn may_be_dialled(&self) -> bool {
        self.is_anchor || !self.may_translate()
    }

    /// Whether a NAT is before the node, or may be for all that it knows itself.
    #[must_use]
    pub fn may_translate(&self) -> bool {
        self.profile.translates || self.profile.mapping == Dependence::Unknown
    }
}

/// What the root key signs to revoke an admin.
#[must_use]
pub fn revocation_of_admin_message(network: &NetworkId, node: &NodeId) -> Vec<u8> {
    [b"hopmesh revocation of admin ", &network.0[..], &node.0[..]].concat()
}

impl Content {
    fn encode(&self, root: Option<&SigningKey>) -> (Kind, String, Vec<u8>) {
        match self {
            Self::Member { chain, candidates } => {
                let payload = MemberPayload { chain: chain.encode().into(), candidates: candidates.clone() };
                (Kind::Member, String::new(), cbor::encode(&payload))
            }
            Self::Revocation { node, by, .. } => {
                let message = revocation_of_admin_message(&by.claims().network, node);
                let root_signature = root.map(|root| root.sign(&message).to_bytes().into());
                let payload = RevocationPayload { node: *node, by: by.encode().into(), root_signature };
                (Kind::Revocation, node.to_string(), cbor::encode(&payload))
            }
            Self::LinkState { state, .. } => (Kind::LinkState, String::new(), cbor::encode(state)),
            Self::Reissue { chain } => (Kind::Reissue, chain.claims().node.to_string(), chain.encode()),
            Self::Service { node, name, version, protocol, port, is_healthy } => {
                let payload = ServicePayload { protocol: *protocol, port: *port, is_healthy: *is_healthy };
                (Kind::Service, key_of_service(*node, name, version.as_ref()).name, cbor::encode(&payload))
            }
            Self::Claim { node, name, sharing } => {
                (Kind::Claim, key_of_claim(*node, name).name, cbor::encode(&ClaimPayload::of(sharing)))
            }
            Self::Epoch { epoch, by } => {
                (Kind::Epoch, epoch.commitment.to_string(), cbor::encode(&EpochPayload::of(epoch, by)))
            }
            Self::Policy { policy, by } => {
                (Kind::Policy, policy.name.to_string(), cbor::encode(&PolicyPayload::of(policy, by)))
            }
            Self::Confirmation { by, node, name } => {
                let payload = ConfirmationPayload { node: *node };
                (Kind::Confirmation, key_of_confirmation(*by, name).name, cbor::encode(&payload))
            }
            Self::Guest { host, name, key, ipv4 } => {
                (Kind::Guest, key_of_guest(*host, name).name, GuestPayload::encode(key, *ipv4))
            }
            Self::Routes { offers, .. } => {
                (Kind::Routes, String::new(), cbor::encode(&RoutesPayload { offers: offers.clone() }))
            }
            Self::Withdrawn { key } => (key.kind, key.name.clone(), vec![]),
        }
    }

    /// Signs a record with this content that counts until it is replaced. `root` is the network's root key, where its word is needed.
    ///
    /// # Errors
    /// [`RecordError::Malformed`] when the record would be too long.
    pub fn sign(
        &self,
        sequence: u64,
        unix_s: u64,
        key: &SigningKey,
        root: Option<&SigningKey>,
    ) -> Result<Record, RecordError> {
        let lease = Lease { sequence, not_before_s: unix_s, ttl_s: 0, labels: BTreeMap::new() };
        self.sign_under(lease, key, root)
    }

    /// Signs a lease with this content.
    ///
    /// # Errors
    /// [`RecordError::Malformed`] when the record would be too long or its labels are no labels.
    pub fn sign_lease(&self, lease: Lease, key: &SigningKey) -> Result<Record, RecordError> {
        self.sign_under(lease, key, None)
    }

    fn sign_under(
        &self,
        lease: Lease,
        key: &SigningKey,
        root: Option<&SigningKey>,
    ) -> Result<Record, RecordError> {
        let (kind, name, payload) = self.encode(root);
        let Lease { sequence, not_before_s, ttl_s, labels } = lease;
        let owner = NodeId(key.verifying_key().to_bytes());
        let payload = payload.into();
        Record::sign(Body { kind, owner, name, sequence, not_before_s, ttl_s, labels, payload }, key)
    }
}

impl Record {
    /// Reads what the record says and judges whether its owner may say it in a network.
    ///
    /// # Errors
    /// [`RecordError::Malformed`] when the payload does not fit the kind or its chain does not verify,
    /// [`RecordError::Authority`] when somebody else would have to say it.
    pub fn content(&self, network: &NetworkId) -> Result<Content, RecordError> {
        let Body { kind, owner, name, payload, .. } = &self.body;
        self.check_lease()?;
        if self.is_tombstone() {
            split_name(*kind, name)?;
            return Ok(Content::Withdrawn { key: self.key() });
        }
        let chain = |bytes: &[u8]| Chain::verify(bytes, network).map_err(|_| RecordError::Malformed);
        let (content, may, proper_name) = match kind {
            Kind::Member => {
                let MemberPayload { chain: bytes, candidates } = cbor::decode(payload)?;
                if candidates.len() > CANDIDATES_MAX {
                    return Err(RecordError::Malformed);
                }
                let chain = chain(&bytes)?;
                let own = chain.claims().node == *owner;
                (Content::Member { chain, candidates }, own, String::new())
            }
            Kind::Revocation => self.revocation(network)?,
            Kind::LinkState => {
                let state: LinkState = cbor::decode(payload)?;
                if state.links.len() > LINKS_MAX || !state.links.is_sorted() {
                    return Err(RecordError::Malformed);
                }
                (Content::LinkState { node: *owner, state }, true, String::new())
            }
            Kind::Service => {
                let (service, version) = split_name(*kind, name)?;
                let ServicePayload { protocol, port, is_healthy } = cbor::decode(payload)?;
                if port == 0 {
                    return Err(RecordError::Malformed);
                }
                let node = *owner;
                let content = Content::Service { node, name: service, version, protocol, port, is_healthy };
                (content, true, name.clone())
            }
            Kind::Claim => {
                let (service, _) = split_name(*kind, name)?;
                let sharing = cbor::decode::<ClaimPayload>(payload)?.sharing()?;
                (Content::Claim { node: *owner, name: service, sharing }, true, name.clone())
            }
            Kind::Epoch => self.epoch(network)?,
            Kind::Policy => self.policy(network)?,
            Kind::Confirmation => {
                let (service, _) = split_name(*kind, name)?;
                let ConfirmationPayload { node } = cbor::decode(payload)?;
                (Content::Confirmation { by: *owner, node, name: service }, true, name.clone())
            }
            Kind::Guest => {
                let (guest, _) = split_name(*kind, name)?;
                let (key, ipv4) = GuestPayload::decode(payload)?;
                (Content::Guest { host: *owner, name: guest, key, ipv4 }, true, name.clone())
            }
            Kind::Routes => {
                let offers = cbor::decode::<RoutesPayload>(payload)?.offers()?;
                (Content::Routes { node: *owner, offers }, true, String::new())
            }
            Kind::Reissue => {
                let chain = chain(payload)?;
                // Whoever signed the credentials answers for the record: the admin, or the root key itself.
                let may = chain.admin().map_or(chain.root(), |admin| &admin.node.0) == &owner.0;
                let name = chain.claims().node.to_string();
                (Content::Reissue { chain }, may, name)
            }
        };
        match (may, *name == proper_name) {
            (true, true) => Ok(content),
            (false, _) => Err(RecordError::Authority),
            (true, false) => Err(RecordError::Malformed),
        }
    }

    /// That a node is revoked; whether the owner may say so; and the proper name.
    fn revocation(&self, network: &NetworkId) -> Result<(Content, bool, String), RecordError> {
        let Body { owner, payload, .. } = &self.body;
        let RevocationPayload { node, by, root_signature } = cbor::decode(payload)?;
        let by = Box::new(Chain::verify(&by, network).map_err(|_| RecordError::Malformed)?);
        let message = revocation_of_admin_message(network, &node);
        let by_root = match root_signature {
            None => false,
            Some(signature) => verify_signature(by.root(), &message, &signature[..])
                .map(|()| true)
                .map_err(|_| RecordError::Signature)?,
        };
        let claims = by.claims();
        let may = claims.node == *owner && (node == *owner || claims.roles.admin);
        Ok((Content::Revocation { node, by, by_root }, may, node.to_string()))
    }
}
