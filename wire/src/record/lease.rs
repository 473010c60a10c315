//! Leases: records that end by themselves. A publisher renews its own while it is up, so what it leaves behind
//! when it crashes goes by itself; and what it withdraws is told by a tombstone, which lives as long as the longest lease.

use super::{Key, Kind, Record, RecordError};
use crate::service::{Protocol, Sharing, Version};
use crate::{Name, NodeId};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// Shortest life of a lease in seconds: renewed at half of it, it survives a lost datagram.
pub const TTL_S_MIN: u32 = 5;
/// Longest life of a lease in seconds, and the life of every tombstone: for so long an old record of the key may still
/// be held by somebody.
pub const TTL_S_MAX: u32 = 3600;
/// Most nodes that a claim lists: with them it fits into a record.
pub const SHARED_NODES_MAX: usize = 24;

/// What the owner of a record decides about it besides its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Grows with every change and every renewal.
    pub sequence: u64,
    /// Beginning of validity, seconds since 1970.
    pub not_before_s: u64,
    /// Seconds of validity from signing; 0 for records that are no leases.
    pub ttl_s: u32,
    /// For selection.
    pub labels: BTreeMap<String, String>,
}

/// The key of an instance of a service.
#[must_use]
pub fn key_of_service(owner: NodeId, name: &Name, version: Option<&Version>) -> Key {
    let name = version.map_or_else(|| name.to_string(), |version| format!("{name}/{version}"));
    Key { kind: Kind::Service, owner, name }
}

/// The key of an admin's confirmation of somebody's claim to a service name.
#[must_use]
pub fn key_of_confirmation(admin: NodeId, name: &Name) -> Key {
    Key { kind: Kind::Confirmation, owner: admin, name: name.to_string() }
}

/// The key of a claim to a service name.
#[must_use]
pub fn key_of_claim(owner: NodeId, name: &Name) -> Key {
    Key { kind: Kind::Claim, owner, name: name.to_string() }
}

#[derive(Encode, Decode)]
pub(super) struct ServicePayload {
    #[n(0)]
    pub(super) protocol: Protocol,
    #[n(1)]
    pub(super) port: u16,
    #[n(2)]
    pub(super) is_healthy: bool,
}

/// Whose claim it is.
#[derive(Encode, Decode)]
pub(super) struct ConfirmationPayload {
    #[n(0)]
    pub(super) node: NodeId,
}

/// The nodes that may publish, none for the owner only; or everybody.
#[derive(Encode, Decode)]
pub(super) struct ClaimPayload {
    #[n(0)]
    members: bool,
    #[n(1)]
    nodes: Vec<NodeId>,
}

impl ClaimPayload {
    pub(super) fn of(sharing: &Sharing) -> Self {
        match sharing {
            Sharing::Owner => Self { members: false, nodes: vec![] },
            Sharing::Members => Self { members: true, nodes: vec![] },
            Sharing::Nodes(nodes) => {
                let mut nodes = nodes.clone();
                nodes.sort_unstable();
                nodes.dedup();
                Self { members: false, nodes }
            }
        }
    }

    pub(super) fn sharing(self) -> Result<Sharing, RecordError> {
        let ascend = self.nodes.is_sorted_by(|a, b| a < b);
        match (self.members, self.nodes) {
            (false, nodes) if nodes.is_empty() => Ok(Sharing::Owner),
            (true, nodes) if nodes.is_empty() => Ok(Sharing::Members),
            (false, nodes) if ascend && nodes.len() <= SHARED_NODES_MAX => Ok(Sharing::Nodes(nodes)),
            _ => Err(RecordError::Malformed),
        }
    }
}

impl Record {
    /// Whether the record withdraws what was said under its key.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.body.kind.is_lease() && self.body.payload.is_empty()
    }

    /// The rules between kind, time to live and labels.
    pub(super) fn check_lease(&self) -> Result<(), RecordError> {
        let fits = match (self.is_tombstone(), self.body.kind.ends()) {
            (true, _) => self.body.ttl_s == TTL_S_MAX && self.body.labels.is_empty(),
            (false, true) => (TTL_S_MIN..=TTL_S_MAX).contains(&self.body.ttl_s),
            (false, false) => self.body.ttl_s == 0 && self.body.labels.is_empty(),
        };
        if fits { Ok(()) } else { Err(RecordError::Malformed) }
    }
}

/// Reads the name of a lease: `web` or, of a service, `web/2`.
pub(super) fn split_name(kind: Kind, text: &str) -> Result<(Name, Option<Version>), RecordError> {
    let (name, version) = match text.split_once('/') {
        Some((name, version)) if kind == Kind::Service => (name, Some(version)),
        Some(_) => return Err(RecordError::Malformed),
        None => (text, None),
    };
    let name: Name = name.parse().map_err(|_| RecordError::Malformed)?;
    let version: Option<Version> = version.map(str::parse).transpose().map_err(|_| RecordError::Malformed)?;
    // Upper case would make two records of one service.
    let proper = key_of_service(NodeId([0; 32]), &name, version.as_ref()).name;
    if proper == text { Ok((name, version)) } else { Err(RecordError::Malformed) }
}

#[cfg(test)]
mod tests;
