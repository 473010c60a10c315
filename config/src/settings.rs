//! The settings: one struct a table, each field checked as it is read. The defaults are here and nowhere else.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use crate::dns::Dns;
use crate::host::HostPort;
use crate::service::Service;
use crate::value;

/// What the daemon runs on, checked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `[node]`
    pub node: Node,
    /// `[listen]`
    pub listen: Listen,
    /// `[stream]`
    pub stream: Stream,
    /// `[hop]`
    pub hop: Hop,
    /// `[exit]`
    pub exit: Exit,
    /// `[interface]`
    pub interface: Interface,
    /// `[network]`
    pub network: Network,
    /// `[addresses]`
    pub addresses: Addresses,
    /// `[session]`
    pub session: Session,
    /// `[log]`
    pub log: Log,
    /// `[lan]`
    pub lan: Lan,
    /// `[dht]`
    pub dht: Dht,
    /// `[port_mapping]`
    pub port_mapping: PortMapping,
    /// `[stun]`
    pub stun: Stun,
    /// `[registry]`
    pub registry: Registry,
    /// `[routes]`
    pub routes: Routes,
    /// `[dns]`
    pub dns: Dns,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[[service]]`, each once
    pub service: Vec<Service>,
}

/// `[registry]`: what this node holds of what everybody publishes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// Most records of services and of claims to their names, together: of more it holds a part.
    #[serde(deserialize_with = "value::full_replication_max")]
    pub full_replication_max: usize,
}

impl Default for Registry {
    fn default() -> Self {
        // 50 MB of memory.
        Self { full_replication_max: 100_000 }
    }
}

/// `[routes]`: subnets behind other nodes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Routes {
    /// Prefixes in which routes that an admin has approved are taken.
    #[serde(deserialize_with = "value::accept")]
    pub accept: Vec<IpNet>,
}

impl Default for Routes {
    fn default() -> Self {
        Self { accept: ["0.0.0.0/0", "::/0"].map(|all| all.parse().expect("a prefix")).to_vec() }
    }
}

/// `[node]`: this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// The name that this node wants in a network it creates or joins: one DNS label. `None`: the host name.
    #[serde(deserialize_with = "value::label")]
    pub name: Option<String>,
}

/// `[listen]`: the UDP socket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// UDP port for IPv4 and IPv6. 0: pick a free one at the first start and keep it.
    pub port: u16,
}

/// `[stream]`: datagrams inside a WebSocket over TCP, where UDP is blocked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stream {
    /// Whether streams are used at all.
    pub enabled: bool,
    /// TCP port on which other nodes begin streams; where it is taken, the number of the UDP port. 0: none do.
    pub listen: u16,
}

impl Default for Stream {
    fn default() -> Self {
        // What the narrowest networks let through, besides 80, on which proxies read along.
        Self { enabled: true, listen: 443 }
    }
}

/// `[hop]`: what this node carries for other members of its network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hop {
    /// Whether it does.
    pub enabled: bool,
    /// At most this many Mbit/s for all of them together. 0: as much as there is.
    pub max_rate: u32,
}

impl Hop {
    /// The most that is carried, in bytes a second; `None` without a limit.
    #[must_use]
    pub fn bytes_per_second(&self) -> Option<u64> {
        bytes_per_second(self.max_rate)
    }
}

impl Default for Hop {
    fn default() -> Self {
        Self { enabled: true, max_rate: 0 }
    }
}

/// `[exit]`: what this node forwards to the internet for other members, once it is an exit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exit {
    /// At most this many Mbit/s for all of them together, each direction for itself. 0: as much as there is.
    pub max_rate: u32,
}

impl Exit {
    /// The most that is forwarded, in bytes a second; `None` without a limit.
    #[must_use]
    pub fn bytes_per_second(&self) -> Option<u64> {
        bytes_per_second(self.max_rate)
    }
}

fn bytes_per_second(max_rate: u32) -> Option<u64> {
    (max_rate > 0).then_some(u64::from(max_rate) * 1_000_000 / 8)
}

/// `[interface]`: the TUN device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Interface {
    /// Name of the device, at most 15 bytes. `None`: `hm-` and the name of the network.
    #[serde(deserialize_with = "value::interface_name")]
    pub name: Option<String>,
    /// Largest packet through the device, in bytes. `None`: what the paths to other machines carry.
    #[serde(deserialize_with = "value::mtu")]
    pub mtu: Option<u16>,
    /// Threads that move packets. `None`: as many as there are cores, at most 4.
    #[serde(deserialize_with = "value::workers")]
    pub workers: Option<NonZeroUsize>,
}

/// `[network]`: used only when this machine creates the network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Where mesh IPv4 addresses come from. `None`: a range that clashes with no route of this machine.
    #[serde(deserialize_with = "value::ipv4_range")]
    pub ipv4_range: Option<Ipv4Net>,
}

/// `[addresses]`: what nodes cannot find out by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Addresses {
    /// Addresses and UDP ports at which others can dial this machine, besides those it sees itself.
    #[serde(deserialize_with = "value::advertise")]
    pub advertise: Vec<SocketAddr>,
    /// Where other members of the network may be found: asked when nobody remembered answers.
    #[serde(deserialize_with = "value::seeds")]
    pub seeds: Vec<HostPort>,
}

/// `[session]`: the keys in use between two nodes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Session {
    /// Age in seconds at which a session's keys are replaced.
    #[serde(deserialize_with = "value::rekey_after_s")]
    pub rekey_after_s: u64,
}

impl Default for Session {
    fn default() -> Self {
        Self { rekey_after_s: value::REKEY_AFTER_S_MAX }
    }
}

/// `[log]`: what goes to stderr or the journal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least grave thing that is written.
    pub level: LogLevel,
}

/// How grave a line of the log is, gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// The daemon cannot go on with something.
    Error,
    /// The operator has a problem, and the line says what to do about it.
    Warn,
    /// A state changed.
    #[default]
    Info,
    /// Why a state changed.
    Debug,
    /// Each packet.
    Trace,
}

impl LogLevel {
    /// The word of the configuration, which is also that of the `tracing` crate.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `[lan]`: finding members on the machine's own networks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lan {
    /// Whether beacons are sent and heard.
    pub enabled: bool,
}

impl Default for Lan {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// `[dht]`: finding members with no address known, through BitTorrent's DHT.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dht {
    /// Whether the DHT is used.
    pub enabled: bool,
    /// Nodes by which the DHT is entered. `None`: the well-known ones of BitTorrent.
    #[serde(deserialize_with = "value::bootstrap")]
    pub bootstrap: Option<Vec<HostPort>>,
}

impl Default for Dht {
    fn default() -> Self {
        Self { enabled: true, bootstrap: None }
    }
}

/// `[port_mapping]`: asking the router for a port.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PortMapping {
    /// Whether routers are asked for a mapping.
    pub enabled: bool,
}

impl Default for PortMapping {
    fn default() -> Self {
        // It opens one port, ours, behind which everything is authenticated.
        Self { enabled: true }
    }
}

/// `[stun]`: servers of other people that say at which address they see this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stun {
    /// Each `host:port`, host being a DNS name, an IPv4 address, or an IPv6 address in brackets. Empty: nobody is asked.
    #[serde(deserialize_with = "value::stun_servers")]
    pub servers: Vec<String>,
}

/// `[metrics]`: what the node counts, for Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Loopback address and TCP port at which they are given over HTTP. `None`: nowhere but at the control socket.
    #[serde(deserialize_with = "value::metrics_listen")]
    pub listen: Option<SocketAddr>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Settings;

    #[test]
    fn every_field_is_a_known_key_and_every_known_key_a_field() {
        let mut json = serde_json::to_value(Settings::default()).unwrap();
        let service = crate::parse("[[service]]\nname = 'web'\nport = 80\n").unwrap().service.remove(0);
        json["service"] = serde_json::to_value(service).unwrap();
        let mut fields = BTreeSet::new();
        for (table, keys) in json.as_object().unwrap() {
            for key in keys.as_object().unwrap().keys() {
                fields.insert((table.clone(), key.clone()));
            }
        }
        let known: BTreeSet<_> =
            crate::KEYS.iter().map(|key| (key.table.to_owned(), key.name.to_owned())).collect();
        assert_eq!(fields, known);
        assert_eq!(known.len(), crate::KEYS.len(), "a key is listed twice");
    }
}
