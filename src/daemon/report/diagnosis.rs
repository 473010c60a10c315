//! `netcheck` and `why`, as the control protocol says them.

use std::collections::BTreeMap;
use std::time::Duration;

use overlay::{MeshNode, MeshView, Netcheck, PortMappingView, Why, WhyAttempt, nat_words};
use wire::{Dependence, NatProfile, NodeId, Ports};

use super::{Outside, path};

/// What stands between this node and the others.
pub(in crate::daemon) fn netcheck(view: &Netcheck, outside: &Outside) -> api::NetcheckReply {
    api::NetcheckReply {
        nat: Some(nat(&view.profile)),
        observed: view
            .observed
            .iter()
            .map(|seen| api::Observed { address: seen.address.to_string(), by: seen.by.clone() })
            .collect(),
        reflexive: view.reflexive.iter().map(ToString::to_string).collect(),
        candidates: view.candidates.iter().map(ToString::to_string).collect(),
        port_mapping: Some(port_mapping(&outside.port_mapping)),
        udp: reach(view.udp).into(),
        tcp: reach(view.tcp).into(),
        ipv6: Some(api::Ipv6 { has_address: view.ipv6.has_address, reach: reach(view.ipv6.reach).into() }),
        anchors: view.anchors.iter().map(|view| anchor(view, outside)).collect(),
        is_anchor: view.is_anchor,
        lan: view.beacons.map(|beacons| api::Lan { beacons }),
        dht: outside.dht.map(|dht| api::Dht {
            enabled: dht.is_enabled,
            nodes: dht.nodes,
            bootstrapped: dht.is_bootstrapped,
            last_published_s: dht.last_published.map(|ago| ago.as_secs_f64()),
        }),
        keepalive_s: view.keepalive.map(|interval| interval.as_secs_f64()),
        problems: problems(view, outside),
    }
}

/// Sentences for people: what is wrong and what to do, the worst first.
fn problems(view: &Netcheck, outside: &Outside) -> Vec<String> {
    use overlay::Reach::{Blocked, Works};
    let mut problems = vec![];
    let mut say = |text: &str| problems.push(text.to_owned());
    let profile = &view.profile;
    match (view.udp, view.tcp) {
        (Blocked, Blocked) => {
            say("Neither UDP nor TCP reaches another node: check that this machine is on a network.");
        }
        (Blocked, Works) => {
            say("No UDP leaves this network, so all goes by TCP, slower: allow outgoing UDP here.");
        }
        (Blocked, _) => say("No UDP leaves this network: allow outgoing UDP here."),
        (_, _) if view.candidates.is_empty() => {
            say("This machine has no address where it can be dialled: check that it is on a network.");
        }
        (_, _) => {}
    }
    let is_mapped = matches!(outside.port_mapping, PortMappingView::Mapped { .. });
    let lets_all_in = is_mapped || profile.filtering == Dependence::EndpointIndependent;
    let is_hard =
        matches!(profile.mapping, Dependence::AddressDependent | Dependence::AddressAndPortDependent);
    if is_hard && !lets_all_in {
        say(
            "The NAT gives another port to every peer, so peers behind such NATs are reached over hops: turn on UPnP, PCP or NAT-PMP on the router, or forward a UDP port and name it in `addresses.advertise`.",
        );
    }
    let is_closed = profile.mapping != Dependence::Unknown && !lets_all_in;
    if is_closed && view.anchors.is_empty() && !view.is_anchor {
        say(
            "No anchor is known: keep one node up that others can dial, with a public address or a forwarded UDP port.",
        );
    }
    if outside.dht.is_some_and(|dht| dht.is_enabled && !dht.is_bootstrapped) {
        say("The DHT does not answer: check that UDP to the internet is allowed, or set `dht.bootstrap`.");
    }
    problems
}

/// Why a peer is reached as it is.
pub(in crate::daemon) fn why(view: &Why, outside: &Outside) -> api::WhyReply {
    api::WhyReply {
        node: view.name.to_string(),
        id: view.node.to_string(),
        path: Some(path(&view.path, view.round_trip, (view.loss_per_mille, view.mtu), outside)),
        ours: Some(nat(&view.ours)),
        theirs: view.theirs.as_ref().map(nat),
        attempts: view.attempts.iter().map(attempt).collect(),
        next_try_s: view.next_try.as_ref().map(Duration::as_secs_f64),
        reason: view.reason.clone(),
        advice: view.advice.clone(),
    }
}

/// Which nodes reach which.
pub(in crate::daemon) fn mesh(view: &MeshView) -> api::MeshReply {
    let names: BTreeMap<_, _> = view.nodes.iter().map(|node| (node.node, node.name.to_string())).collect();
    let link = |(other, round_trip): (&NodeId, &Duration)| api::MeshLink {
        node: names.get(other).cloned().unwrap_or_default(),
        id: other.to_string(),
        rtt_ms: round_trip.as_secs_f64() * 1000.0,
    };
    let node = |node: &MeshNode| {
        let mut links: Vec<_> = node.links.iter().map(link).collect();
        links.sort_by(|a, b| (&a.node, &a.id).cmp(&(&b.node, &b.id)));
        api::MeshNode {
            name: node.name.to_string(),
            id: node.node.to_string(),
            is_hop: node.is_hop,
            is_anchor: node.is_anchor,
            nat: Some(nat(&node.profile)),
            links,
        }
    };
    api::MeshReply {
        nodes: view.nodes.iter().map(node).collect(),
        left_out: u32::try_from(view.left_out).unwrap_or(u32::MAX),
    }
}

fn attempt(view: &WhyAttempt) -> api::Attempt {
    api::Attempt {
        strategy: view.strategy.clone(),
        probes: view.probes,
        took_s: view.took.as_secs_f64(),
        result: view.result.clone(),
        ago_s: view.ago.as_secs_f64(),
    }
}

fn anchor(view: &overlay::AnchorView, outside: &Outside) -> api::Anchor {
    let direct = overlay::PathView::Direct { remote: view.remote };
    api::Anchor {
        name: view.name.to_string(),
        id: view.node.to_string(),
        path: Some(path(&direct, view.round_trip, (None, None), outside)),
    }
}

fn nat(profile: &NatProfile) -> api::NatProfile {
    let (step, block) = match profile.ports {
        Ports::Sequential { step } => (Some(step.into()), None),
        Ports::Block { first, last } => (None, Some((first, last))),
        Ports::Unknown | Ports::Preserved | Ports::Fixed | Ports::Random => (None, None),
    };
    let ports = match profile.ports {
        Ports::Unknown => api::Ports::Unspecified,
        Ports::Preserved => api::Ports::Preserved,
        Ports::Fixed => api::Ports::Fixed,
        Ports::Sequential { .. } => api::Ports::Sequential,
        Ports::Block { .. } => api::Ports::Block,
        Ports::Random => api::Ports::Random,
    };
    api::NatProfile {
        words: nat_words(profile).to_owned(),
        translates: profile.translates,
        mapping: dependence(profile.mapping).into(),
        filtering: dependence(profile.filtering).into(),
        ports: ports.into(),
        port_step: step,
        port_first: block.map(|(first, _)| first.into()),
        port_last: block.map(|(_, last)| last.into()),
    }
}

fn dependence(dependence: Dependence) -> api::Dependence {
    match dependence {
        Dependence::Unknown => api::Dependence::Unspecified,
        Dependence::EndpointIndependent => api::Dependence::EndpointIndependent,
        Dependence::AddressDependent => api::Dependence::AddressDependent,
        Dependence::AddressAndPortDependent => api::Dependence::AddressAndPortDependent,
    }
}

fn reach(reach: overlay::Reach) -> api::Reach {
    match reach {
        overlay::Reach::Unknown => api::Reach::Unspecified,
        overlay::Reach::Works => api::Reach::Works,
        overlay::Reach::Blocked => api::Reach::Blocked,
    }
}

fn port_mapping(view: &PortMappingView) -> api::PortMapping {
    use api::PortMappingState::{Asking, Failed, Mapped, Off, Unspecified};
    let (state, words) = match view {
        PortMappingView::Unknown => (Unspecified, "not known".to_owned()),
        PortMappingView::Off => (Off, "off in the configuration".to_owned()),
        PortMappingView::Asking => (Asking, "asking the router".to_owned()),
        PortMappingView::Mapped { protocol, external } => (Mapped, format!("{external} by {protocol}")),
        PortMappingView::Failed { why } => (Failed, format!("none: {why}")),
    };
    let mapped = match view {
        PortMappingView::Mapped { protocol, external } => {
            Some((external.to_string(), (*protocol).to_owned()))
        }
        PortMappingView::Unknown
        | PortMappingView::Off
        | PortMappingView::Asking
        | PortMappingView::Failed { .. } => None,
    };
    let (external, protocol) = mapped.unzip();
    api::PortMapping { state: state.into(), words, external, protocol }
}

#[cfg(test)]
mod tests;
