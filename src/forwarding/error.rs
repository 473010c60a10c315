//! What can go wrong when this machine is to be a router, each with what to do about it.

use std::io;
use std::path::PathBuf;

use crate::io::netlink::NetlinkError;
use crate::store::StoreError;

/// Why nothing is forwarded, or something was not undone.
#[derive(Debug, thiserror::Error)]
pub enum ForwardingError {
    /// The program `nft` is absent or refuses our rules.
    #[error(
        "the rules for forwarding cannot be set: {0}; routers and exit nodes need nftables (`apt install nftables`)"
    )]
    Nft(String),
    /// A switch of the kernel's.
    #[error("{} cannot be set: {source}; as a service, the unit must allow it (`hopmesh service install` writes one that does)", path.display())]
    Switch {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Rules of routing.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// What is about to be changed cannot be written down, so it is not changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal is damaged, so a killed run's changes cannot be told.
    #[error("what an earlier run has changed for forwarding cannot be read; it is kept as {}: look at `nft list tables`, `ip rule` and `sysctl net.ipv4.ip_forward`", aside.display())]
    JournalDamaged {
        /// Where it is now.
        aside: PathBuf,
    },
}
