//! The JSON of `netcheck` and `why`.

use api::{Dependence, PortMappingState, Ports, Reach};
use serde::Serialize;

use super::{Path, thousandths};

/// `netcheck`.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Netcheck<'a> {
    nat: Option<Nat<'a>>,
    observed: Vec<Observed<'a>>,
    reflexive: &'a [String],
    candidates: &'a [String],
    port_mapping: PortMapping<'a>,
    udp: &'static str,
    tcp: &'static str,
    ipv6: Ipv6,
    anchors: Vec<Anchor<'a>>,
    is_anchor: bool,
    lan: Option<Lan>,
    dht: Option<Dht>,
    keepalive_s: Option<f64>,
    problems: &'a [String],
}

/// What is before a node.
#[derive(Debug, Serialize)]
struct Nat<'a> {
    words: &'a str,
    translates: bool,
    mapping: &'static str,
    filtering: &'static str,
    ports: &'static str,
    port_step: Option<i32>,
    port_first: Option<u32>,
    port_last: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Observed<'a> {
    address: &'a str,
    by: &'a str,
}

#[derive(Debug, Serialize)]
struct PortMapping<'a> {
    state: &'static str,
    words: &'a str,
    external: Option<&'a str>,
    protocol: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Ipv6 {
    has_address: bool,
    reach: &'static str,
}

#[derive(Debug, Serialize)]
struct Anchor<'a> {
    name: &'a str,
    id: &'a str,
    path: Path<'a>,
}

#[derive(Debug, Serialize)]
struct Lan {
    beacons: u64,
}

#[derive(Debug, Serialize)]
struct Dht {
    enabled: bool,
    nodes: u32,
    bootstrapped: bool,
    last_published_s: Option<f64>,
}

/// `why`.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Why<'a> {
    node: &'a str,
    id: &'a str,
    path: Path<'a>,
    ours: Option<Nat<'a>>,
    theirs: Option<Nat<'a>>,
    attempts: Vec<Attempt<'a>>,
    next_try_s: Option<f64>,
    reason: &'a str,
    advice: &'a [String],
}

#[derive(Debug, Serialize)]
struct Attempt<'a> {
    strategy: &'a str,
    probes: u32,
    took_s: f64,
    result: &'a str,
    ago_s: f64,
}

impl<'a> From<&'a api::NetcheckReply> for Netcheck<'a> {
    fn from(reply: &'a api::NetcheckReply) -> Self {
        let seen = |seen: &'a api::Observed| Observed { address: &seen.address, by: &seen.by };
        let anchor = |anchor: &'a api::Anchor| Anchor {
            name: &anchor.name,
            id: &anchor.id,
            path: Path::from(anchor.path.as_ref()),
        };
        let ipv6 = reply.ipv6.unwrap_or_default();
        Self {
            nat: reply.nat.as_ref().map(Nat::from),
            observed: reply.observed.iter().map(seen).collect(),
            reflexive: &reply.reflexive,
            candidates: &reply.candidates,
            port_mapping: PortMapping::from(reply.port_mapping.as_ref()),
            udp: reach_word(reply.udp()),
            tcp: reach_word(reply.tcp()),
            ipv6: Ipv6 { has_address: ipv6.has_address, reach: reach_word(ipv6.reach()) },
            anchors: reply.anchors.iter().map(anchor).collect(),
            is_anchor: reply.is_anchor,
            lan: reply.lan.map(|lan| Lan { beacons: lan.beacons }),
            dht: reply.dht.map(|dht| Dht {
                enabled: dht.enabled,
                nodes: dht.nodes,
                bootstrapped: dht.bootstrapped,
                last_published_s: dht.last_published_s.map(thousandths),
            }),
            keepalive_s: reply.keepalive_s.map(thousandths),
            problems: &reply.problems,
        }
    }
}

impl<'a> From<&'a api::WhyReply> for Why<'a> {
    fn from(reply: &'a api::WhyReply) -> Self {
        let attempt = |attempt: &'a api::Attempt| Attempt {
            strategy: &attempt.strategy,
            probes: attempt.probes,
            took_s: thousandths(attempt.took_s),
            result: &attempt.result,
            ago_s: thousandths(attempt.ago_s),
        };
        Self {
            node: &reply.node,
            id: &reply.id,
            path: Path::from(reply.path.as_ref()),
            ours: reply.ours.as_ref().map(Nat::from),
            theirs: reply.theirs.as_ref().map(Nat::from),
            attempts: reply.attempts.iter().map(attempt).collect(),
            next_try_s: reply.next_try_s.map(thousandths),
            reason: &reply.reason,
            advice: &reply.advice,
        }
    }
}

impl<'a> From<&'a api::NatProfile> for Nat<'a> {
    fn from(nat: &'a api::NatProfile) -> Self {
        Self {
            words: &nat.words,
            translates: nat.translates,
            mapping: dependence_word(nat.mapping()),
            filtering: dependence_word(nat.filtering()),
            ports: ports_word(nat.ports()),
            port_step: nat.port_step,
            port_first: nat.port_first,
            port_last: nat.port_last,
        }
    }
}

impl<'a> From<Option<&'a api::PortMapping>> for PortMapping<'a> {
    fn from(mapping: Option<&'a api::PortMapping>) -> Self {
        let state = match mapping.map_or(PortMappingState::Unspecified, api::PortMapping::state) {
            PortMappingState::Unspecified => "unknown",
            PortMappingState::Off => "off",
            PortMappingState::Asking => "asking",
            PortMappingState::Mapped => "mapped",
            PortMappingState::Failed => "failed",
        };
        Self {
            state,
            words: mapping.map_or("", |mapping| &mapping.words),
            external: mapping.and_then(|mapping| mapping.external.as_deref()),
            protocol: mapping.and_then(|mapping| mapping.protocol.as_deref()),
        }
    }
}

/// The words of RFC 4787, here and on the screen.
pub(in crate::cli) fn dependence_word(dependence: Dependence) -> &'static str {
    match dependence {
        Dependence::Unspecified => "unknown",
        Dependence::EndpointIndependent => "endpoint-independent",
        Dependence::AddressDependent => "address-dependent",
        Dependence::AddressAndPortDependent => "address-and-port-dependent",
    }
}

/// The word for an allocation of ports, here and on the screen.
pub(in crate::cli) fn ports_word(ports: Ports) -> &'static str {
    match ports {
        Ports::Unspecified => "unknown",
        Ports::Preserved => "preserved",
        Ports::Fixed => "fixed",
        Ports::Sequential => "sequential",
        Ports::Block => "block",
        Ports::Random => "random",
    }
}

/// The word for what reaches others, here and on the screen.
pub(in crate::cli) fn reach_word(reach: Reach) -> &'static str {
    match reach {
        Reach::Unspecified => "unknown",
        Reach::Works => "works",
        Reach::Blocked => "blocked",
    }
}
