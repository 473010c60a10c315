//! A network to ask about: three nodes and a printer, and services in every state. Tests beside the code, tests with
//! sockets and the benchmark ask about the same one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use overlay::{Instance, Title, Zone, ZoneGuest, ZoneNode, ZoneService};
use wire::NodeId;
use wire::service::Protocol;

/// The ranges of mesh addresses.
pub(crate) const RANGES: (&str, &str) = ("10.77.0.0/16", "fd77::/48");

/// Nodes by name and number; ours is the first.
const NODES: [(&str, u8); 4] = [("laptop", 1), ("server", 2), ("nas", 3), ("printer", 4)];

/// The zone `home`.
pub(crate) fn home() -> Zone {
    let mut zone = Zone::empty(name("home"), NodeId([1; 32]));
    zone.serial = 7;
    for (node, number) in NODES {
        add_node(&mut zone, node, number.into());
    }
    let web = [
        labelled(instance("laptop", 80), &[("type", "http"), ("path", "/")], "2"),
        labelled(instance("server", 8080), &[("type", "http")], "1.4"),
        sick(labelled(instance("nas", 80), &[("type", "http")], "1.5-rc1")),
    ];
    add_service(&mut zone, "web", web);
    let wiki = labelled(instance("server", 8081), &[("type", "HTTP")], "1");
    add_service(&mut zone, "wiki", [Instance { version: None, ..wiki }]);
    add_service(&mut zone, "syslog", [Instance { protocol: Protocol::Udp, ..instance("server", 514) }]);
    add_service(&mut zone, "printer", [instance("nas", 631)]);
    add_service(&mut zone, "sick", [sick(instance("nas", 99))]);
    add_service(&mut zone, "idle", []);
    add_guest(&mut zone, "phone", "nas", Some(9));
    add_guest(&mut zone, "phone", "server", Some(10));
    add_guest(&mut zone, "web", "nas", Some(11));
    add_guest(&mut zone, "new", "nas", None);
    zone
}

/// Adds a node whose mesh addresses end in `number`.
pub(crate) fn add_node(zone: &mut Zone, node: &str, number: u16) {
    let (v4, v6) = addresses(number);
    let id = NodeId([u8::try_from(number).unwrap_or(0); 32]);
    zone.nodes.insert(name(node), ZoneNode { node: id, v4, v6 });
    zone.addresses.extend([IpAddr::from(v4), IpAddr::from(v6)].map(|address| (address, name(node))));
}

/// Adds a service of our own node's.
pub(crate) fn add_service(zone: &mut Zone, service: &str, instances: impl IntoIterator<Item = Instance>) {
    let instances = instances.into_iter().collect();
    zone.services
        .insert(name(service), ZoneService { owner: NodeId([1; 32]), title: Title::Claimed, instances });
}

/// A healthy instance without version or labels on one of the nodes.
pub(crate) fn instance(node: &str, port: u16) -> Instance {
    let (_, number) = NODES.into_iter().find(|(known, _)| *known == node).expect("a node of the world");
    let (v4, v6) = addresses(number.into());
    Instance {
        node: NodeId([number; 32]),
        node_name: name(node),
        v4,
        v6,
        version: None,
        protocol: Protocol::Tcp,
        port,
        labels: [].into(),
        is_healthy: true,
        round_trip: Some(Duration::from_millis(u64::from(number) - 1)),
        ttl_s: 10 + u32::from(number),
    }
}

/// Adds a guest of a node; an admin has given it an IPv4 address or not.
fn add_guest(zone: &mut Zone, guest: &str, host: &str, number: Option<u16>) {
    let guest = ZoneGuest {
        name: name(guest),
        host: zone.nodes[&name(host)].node,
        host_name: name(host),
        key: wire::GuestKey([1; 32]),
        v4: number.map(|number| addresses(number).0),
        v6: addresses(number.unwrap_or(99)).1,
    };
    zone.guests.entry(guest.name.clone()).or_default().push(guest);
}

fn labelled(instance: Instance, labels: &[(&str, &str)], version: &str) -> Instance {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Instance { labels: labels.collect(), version: version.parse().ok(), ..instance }
}

fn sick(instance: Instance) -> Instance {
    Instance { is_healthy: false, ..instance }
}

fn addresses(number: u16) -> (Ipv4Addr, Ipv6Addr) {
    let [high, low] = number.to_be_bytes();
    (Ipv4Addr::new(10, 77, high, low), Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, number))
}

fn name(text: &str) -> wire::Name {
    text.parse().expect("a label")
}
