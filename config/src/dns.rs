//! `[dns]`: names of the network for this machine's programs.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::value;

/// `[dns]`: the DNS server, and what the host is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// Whether names are answered.
    pub enabled: bool,
    /// What names end in, behind the name of the network.
    #[serde(deserialize_with = "value::suffix")]
    pub suffix: String,
    /// Where names are answered. `None`: at the mesh addresses and at a loopback address of the network's own, port 53.
    #[serde(deserialize_with = "value::dns_listen")]
    pub listen: Option<Vec<SocketAddr>>,
    /// Whether the host's resolver is told to ask there.
    pub host: DnsHost,
}

/// What becomes of the host's resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DnsHost {
    /// It is told to ask us for the network's names, whichever it is.
    #[default]
    Auto,
    /// It is left alone.
    Off,
}

impl Default for Dns {
    fn default() -> Self {
        // What ICANN has reserved for private networks.
        Self { enabled: true, suffix: "internal".to_owned(), listen: None, host: DnsHost::Auto }
    }
}
