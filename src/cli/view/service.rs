//! The JSON of `services`, `resolve` and `watch`.

use std::collections::BTreeMap;

use api::{ChangeKind, Protocol, Title};
use serde::Serialize;

use super::thousandths;

/// One of `services`.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Service<'a> {
    name: &'a str,
    /// Absent when the owner is no member any more.
    owner: Option<&'a str>,
    owner_id: &'a str,
    /// Absent when the daemon does not say it.
    title: Option<&'static str>,
    instances: Vec<Instance<'a>>,
}

/// One instance.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Instance<'a> {
    node: &'a str,
    id: &'a str,
    addresses: &'a [String],
    port: u32,
    protocol: &'static str,
    version: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    healthy: bool,
    rtt_ms: Option<f64>,
    ttl_s: u32,
    /// Only where this machine passes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
}

/// One line of `watch`.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Change<'a> {
    change: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    service: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    owner_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<Instance<'a>>,
}

impl<'a> From<&'a api::Service> for Service<'a> {
    fn from(service: &'a api::Service) -> Self {
        Self {
            name: &service.name,
            owner: said(&service.owner),
            owner_id: &service.owner_id,
            title: match service.title() {
                Title::Unspecified => None,
                Title::Delegated => Some("delegated"),
                Title::Confirmed => Some("confirmed"),
                Title::Claimed => Some("claimed"),
            },
            instances: service.instances.iter().map(Instance::from).collect(),
        }
    }
}

impl<'a> From<&'a api::Instance> for Instance<'a> {
    fn from(instance: &'a api::Instance) -> Self {
        Self {
            node: &instance.node,
            id: &instance.node_id,
            addresses: &instance.addresses,
            port: instance.port,
            protocol: protocol_word(instance.protocol()),
            version: instance.version.as_deref(),
            labels: &instance.labels,
            healthy: instance.is_healthy,
            rtt_ms: instance.rtt_ms.map(thousandths),
            ttl_s: instance.ttl_s,
            to: instance.to.as_deref(),
        }
    }
}

impl<'a> From<&'a api::WatchReply> for Change<'a> {
    fn from(change: &'a api::WatchReply) -> Self {
        Self {
            change: change_word(change.kind()),
            service: &change.service,
            owner: said(&change.owner),
            owner_id: &change.owner_id,
            instance: change.instance.as_ref().map(Instance::from),
        }
    }
}

/// The word for a protocol, here and in tables.
pub(in crate::cli) fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp | Protocol::Unspecified => "tcp",
        Protocol::Udp => "udp",
    }
}

fn change_word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Owned => "owned",
        ChangeKind::Released => "released",
        ChangeKind::Added => "added",
        ChangeKind::Changed => "changed",
        ChangeKind::Removed => "removed",
        ChangeKind::Present => "present",
        ChangeKind::Unspecified => "unknown",
    }
}

fn said(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
