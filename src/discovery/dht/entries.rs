//! The beginning of a node of the crate: where to enter the DHT, and its socket. Names become addresses anew each time,
//! because a machine that starts before its network is up would otherwise never enter.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};

use config::HostPort;
use mainline::async_dht::AsyncDht;
use mainline::{DEFAULT_BOOTSTRAP_NODES, DhtBuilder};
use tokio::task::JoinSet;

use crate::discovery::seeds;

/// Most addresses to enter by: each is asked in every query while few nodes are known.
const ENTRIES_MAX: usize = 16;

/// The remembered nodes, and whatever the names resolve to; empty when there is neither.
pub(super) async fn resolve(bootstrap: Option<&[HostPort]>, contacts: &[SocketAddrV4]) -> Vec<SocketAddrV4> {
    let hosts = match bootstrap {
        Some(hosts) => hosts.to_vec(),
        None => DEFAULT_BOOTSTRAP_NODES.iter().filter_map(|text| text.parse().ok()).collect(),
    };
    let mut resolving = JoinSet::new();
    for host in hosts {
        resolving.spawn(async move { seeds::lookup(&host).await.unwrap_or_default() });
    }
    let mut entries = contacts.to_vec();
    while let Some(resolved) = resolving.join_next().await {
        for address in resolved.unwrap_or_default() {
            match address {
                SocketAddr::V4(address) if !entries.contains(&address) => entries.push(address),
                // The crate knows no IPv6.
                SocketAddr::V4(_) | SocketAddr::V6(_) => {}
            }
        }
    }
    entries.truncate(ENTRIES_MAX);
    entries
}

/// Starts a node of the crate at an address.
///
/// # Errors
/// When the address cannot be bound.
pub(in crate::discovery) async fn start(
    mut builder: DhtBuilder,
    listen: SocketAddrV4,
) -> io::Result<AsyncDht> {
    let start = move || {
        // A node that cannot bind panics more often than it says so: whether it can is tried first.
        drop(UdpSocket::bind(listen)?);
        builder.port(listen.port()).bind_address(*listen.ip()).build()
    };
    Ok(tokio::task::spawn_blocking(start).await.map_err(io::Error::other)??.as_async())
}
