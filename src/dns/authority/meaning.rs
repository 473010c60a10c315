//! What a name means: from the labels of a question to what the zone has there, whatever type is asked for.

use hickory_proto::rr::Name;
use overlay::{Instance, ZoneGuest, ZoneNode, ZoneService};
use wire::service::Protocol;

use super::{Authority, Kind, Offer};
use crate::dns::reverse::Reverse;

/// A name that is ours.
pub(super) struct Place<'a> {
    /// Name of the zone that it is in.
    pub(super) apex: Name,
    /// What is there.
    pub(super) meaning: Meaning<'a>,
}

/// What is at a name.
pub(super) enum Meaning<'a> {
    /// Nothing, and nothing below (RFC 8020).
    Nothing,
    /// Nothing, but there may be something below.
    Hollow,
    /// The beginning of a zone.
    Apex,
    /// A node.
    Node(&'a ZoneNode),
    /// A guest of a node.
    Guest(&'a ZoneGuest),
    /// A service, or some of its instances: those that are well, the nearest first.
    Instances(Vec<&'a Instance>),
    /// What can be browsed of one kind.
    Kind(&'a [Offer]),
    /// Instances by the name under which they are browsed: one, unless names are very long.
    Offers(Vec<&'a Offer>),
    /// What kinds can be browsed.
    Kinds,
    /// Where to browse.
    BrowsingDomain,
    /// A mesh address, by the name of its node.
    Address(&'a wire::Name),
}

impl Authority {
    /// What is at `name`; `None` when it is no name of ours.
    pub(super) fn place(&self, name: &Name) -> Option<Place<'_>> {
        let Some(labels) = lower_case(name) else {
            // No name of ours has bytes beyond ASCII.
            let is_ours = ends_in(name, self.domain.apex());
            return is_ours.then(|| self.forward(Meaning::Nothing));
        };
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        if ends_in(name, self.domain.apex()) {
            let own = labels.len() - self.domain.apex().iter().len();
            return Some(self.forward(self.meaning(&labels[..own])));
        }
        self.reverse(&labels, name)
    }

    /// The service that a name depends on, when the zone does not know it.
    pub(in crate::dns) fn unknown(&self, name: &Name) -> Option<wire::Name> {
        if !ends_in(name, self.domain.apex()) {
            return None;
        }
        let labels = lower_case(name)?;
        let own = &labels[..labels.len() - self.domain.apex().iter().len()];
        let labels: Vec<&str> = own.iter().map(String::as_str).collect();
        let is_node = |label: &str| label.parse().is_ok_and(|name| self.zone.nodes.contains_key(&name));
        let service = match labels[..] {
            [] | ["_dns-sd" | "_tcp" | "_udp"] | [.., "_dns-sd", "_udp"] => return None,
            // `web on nas`; a type that a label says has no name of its own, and shows what is held here.
            [offer, _, "_tcp" | "_udp"] => offer.split(' ').next()?,
            [kind, "_tcp" | "_udp"] => kind.strip_prefix('_')?,
            [label, node] if is_node(node) && self.is_guest(label, node) => return None,
            [service, node] if is_node(node) => service,
            [.., parent] => parent,
        };
        service.parse().ok().filter(|name: &wire::Name| !self.zone.knows(name))
    }

    fn is_guest(&self, label: &str, node: &str) -> bool {
        let (guest, node) = (label.parse::<wire::Name>(), node.parse::<wire::Name>());
        guest.is_ok_and(|guest| node.is_ok_and(|node| self.zone.guest(&guest, Some(&node)).is_some()))
    }

    fn forward<'a>(&self, meaning: Meaning<'a>) -> Place<'a> {
        Place { apex: self.domain.apex().clone(), meaning }
    }

    /// What is below the domain at these labels.
    fn meaning(&self, labels: &[&str]) -> Meaning<'_> {
        match labels {
            [] => Meaning::Apex,
            ["_tcp" | "_udp"] | ["_dns-sd", "_udp"] => Meaning::Hollow,
            ["_services", "_dns-sd", "_udp"] => Meaning::Kinds,
            ["b" | "lb", "_dns-sd", "_udp"] => Meaning::BrowsingDomain,
            [kind, protocol @ ("_tcp" | "_udp")] => {
                self.kind(kind, protocol).map_or(Meaning::Nothing, Meaning::Kind)
            }
            [offer, kind, protocol @ ("_tcp" | "_udp")] => self.offers(offer, kind, protocol),
            [below @ .., parent] => self.named(below, parent),
        }
    }

    /// What a kind `_http` over `_tcp` has; `None` when there is no such kind.
    fn kind(&self, kind: &str, protocol: &str) -> Option<&[Offer]> {
        let protocol = if protocol == "_tcp" { Protocol::Tcp } else { Protocol::Udp };
        let kind = Kind { protocol, name: kind.strip_prefix('_')?.to_owned() };
        self.kinds.get(&kind).map(Vec::as_slice)
    }

    fn offers(&self, label: &str, kind: &str, protocol: &str) -> Meaning<'_> {
        let offers = self.kind(kind, protocol).unwrap_or_default().iter();
        let offers: Vec<&Offer> = offers.filter(|offer| offer.label.eq_ignore_ascii_case(label)).collect();
        if offers.is_empty() { Meaning::Nothing } else { Meaning::Offers(offers) }
    }

    /// A node, a service or a guest, or what is below one. A node hides a service of the same name, and both hide a guest.
    fn named(&self, below: &[&str], parent: &str) -> Meaning<'_> {
        let Ok(name) = parent.parse::<wire::Name>() else { return Meaning::Nothing };
        if let Some(node) = self.zone.nodes.get(&name) {
            return match below {
                [] => Meaning::Node(node),
                [service] => self.on_node(service, &name),
                _ => Meaning::Nothing,
            };
        }
        match (self.zone.services.get(&name), below) {
            (None, []) => self.zone.guest(&name, None).map_or(Meaning::Nothing, Meaning::Guest),
            (None, _) => Meaning::Nothing,
            (Some(service), []) => Meaning::Instances(service.healthy().collect()),
            (Some(service), [hosts @ .., nearest]) => below_service(service, hosts, nearest),
        }
    }

    /// `<service>.<node>` and `<guest>.<node>`: there when that node publishes the one, or answers for the other.
    fn on_node(&self, label: &str, node: &wire::Name) -> Meaning<'_> {
        let Ok(name) = label.parse::<wire::Name>() else { return Meaning::Nothing };
        let service = self.zone.services.get(&name);
        let on_node = service.and_then(|service| selected(service, |i| i.node_name == *node));
        let guest = || self.zone.guest(&name, Some(node)).map(Meaning::Guest);
        on_node.or_else(guest).unwrap_or(Meaning::Nothing)
    }

    /// What is at a reverse name of our ranges; `None` at any other name.
    fn reverse(&self, labels: &[&str], name: &Name) -> Option<Place<'_>> {
        let reverse = Reverse::parse(labels)?;
        let (bits, apex_bits) = (reverse.bits, self.domain.reverse_bits(reverse.address.is_ipv6()));
        if bits < apex_bits || !self.domain.contains(reverse.address) {
            return None;
        }
        let bits_per_label = if reverse.address.is_ipv6() { 4 } else { 8 };
        let apex_labels = usize::from(apex_bits / bits_per_label) + 2;
        let apex = Name::from_labels(name.iter().skip(labels.len() - apex_labels)).ok()?;
        let mut addresses = self.zone.addresses.range(reverse.address..=reverse.last());
        let meaning = match addresses.next() {
            _ if reverse.has_more => Meaning::Nothing,
            _ if bits == apex_bits => Meaning::Apex,
            None => Meaning::Nothing,
            Some((_, node)) if reverse.is_whole() => Meaning::Address(node),
            Some(_) => Meaning::Hollow,
        };
        Some(Place { apex, meaning })
    }
}

/// What is below a service: its instance on a node, `laptop.web`; those of a version, `v2.web`; else every host name is
/// the service itself, so that it may serve several by their names (RFC 4592's wildcard, but only for host names).
fn below_service<'a>(service: &'a ZoneService, hosts: &[&str], nearest: &str) -> Meaning<'a> {
    let is_host = |label: &str| label.parse::<wire::Name>().is_ok();
    if !hosts.iter().all(|label| is_host(label)) {
        return Meaning::Nothing;
    }
    selected(service, |instance| instance.node_name.as_str() == nearest)
        .or_else(|| selected(service, |instance| version_label(instance).as_deref() == Some(nearest)))
        .unwrap_or_else(|| {
            // Whoever asks for a version that is not there must not get another one.
            let is_version =
                nearest.strip_prefix('v').is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
            if is_host(nearest) && !is_version {
                Meaning::Instances(service.healthy().collect())
            } else {
                Meaning::Nothing
            }
        })
}

/// Instances that are chosen and well; `None` when none is chosen.
fn selected(service: &ZoneService, is_chosen: impl Fn(&Instance) -> bool) -> Option<Meaning<'_>> {
    let chosen: Vec<&Instance> = service.instances.iter().filter(|instance| is_chosen(instance)).collect();
    if chosen.is_empty() {
        return None;
    }
    Some(Meaning::Instances(chosen.into_iter().filter(|instance| instance.is_healthy).collect()))
}

/// A version as a label: `v` and the version, with hyphens for its dots, none at the end.
fn version_label(instance: &Instance) -> Option<String> {
    let version = instance.version.as_ref()?.as_str().replace('.', "-");
    Some(format!("v{}", version.trim_end_matches('-')))
}

/// The labels in lower case; `None` when there are bytes beyond ASCII.
fn lower_case(name: &Name) -> Option<Vec<String>> {
    let lower = |label: &[u8]| {
        let text = std::str::from_utf8(label).ok().filter(|text| text.is_ascii())?;
        Some(text.to_ascii_lowercase())
    };
    name.iter().map(lower).collect()
}

/// Whether a name is `parent` or below it.
fn ends_in(name: &Name, parent: &Name) -> bool {
    let (mut labels, mut parent) = (name.iter().rev(), parent.iter().rev());
    parent.all(|label| labels.next().is_some_and(|own| own.eq_ignore_ascii_case(label)))
}
