//! What a node offers to the others: publications, as people and the configuration state them.

use crate::health_check::HealthCheck;
use crate::target::Target;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use wire::Name;
use wire::service::{Protocol, Sharing, Version};

/// A service that this node publishes an instance of. Name and version say which one; there is one of each.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Publication {
    /// Name of the service.
    #[n(0)]
    pub name: Name,
    /// And its version, when there are several.
    #[n(1)]
    pub version: Option<Version>,
    /// What it speaks.
    #[n(2)]
    pub protocol: Protocol,
    /// Where it listens, at the node's mesh addresses.
    #[n(3)]
    pub port: u16,
    /// What it says of itself, for selection.
    #[n(4)]
    pub labels: BTreeMap<String, String>,
    /// Seconds after which others forget it, unless it is renewed.
    #[n(5)]
    pub ttl_s: u32,
    /// Who else may publish instances under the name, when it is ours. It belongs to the name: what was published last
    /// under it decides for all versions.
    #[n(6)]
    pub sharing: Sharing,
    /// How this node finds out whether it is well.
    #[n(7)]
    pub health: HealthCheck,
    /// Where this node passes on what comes for it; `None`: it runs here. Nobody else is told. It came later than the rest:
    /// a file without it says `None`.
    #[n(8)]
    pub target: Option<Target>,
}
