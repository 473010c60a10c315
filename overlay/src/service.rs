//! What a node offers to the others: publications, as people and the configuration state them.

use crate::health_check::HealthCheck;
use std::collections::BTreeMap;
use wire::service::{Protocol, Version};
use wire::{Name, NodeId};

/// A service that this node publishes an instance of. Name and version say which one; there is one of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Name of the service.
    pub name: Name,
    /// And its version, when there are several.
    pub version: Option<Version>,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it listens, at the node's mesh addresses.
    pub port: u16,
    /// What it says of itself, for selection.
    pub labels: BTreeMap<String, String>,
    /// Seconds after which others forget it, unless it is renewed.
    pub ttl_s: u32,
    /// Who else may publish instances under the name, when it is ours.
    pub sharing: Sharing,
    /// How this node finds out whether it is well.
    pub health: HealthCheck,
    /// Whether the configuration declares it, so that it goes when it is no more in there.
    pub is_declared: bool,
}

/// Who may publish instances under a name besides its owner.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Nobody.
    #[default]
    Owner,
    /// These nodes.
    Nodes(Vec<NodeId>),
    /// Every member.
    Members,
}
