//! What can go wrong with the guard, each with what to do about it.

use crate::forwarding::ForwardingError;
use crate::store::StoreError;

/// Why the guard is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ExitError {
    /// The program `nft` is absent or refuses our rules.
    #[error(
        "the rules that keep traffic from leaving beside the exit cannot be set: {0}; they need nftables (`apt install nftables`)"
    )]
    Nft(String),
    /// A switch of the kernel's.
    #[error(transparent)]
    Switch(#[from] ForwardingError),
    /// The choice cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was written is no choice.
    #[error(
        "which exit was chosen cannot be read: put exit.state back from a backup; or remove it, and the rules that keep all traffic back by `nft delete table inet hopmesh-NETWORK-exit`"
    )]
    Malformed,
}
