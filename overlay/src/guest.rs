//! Guests of a node: `WireGuard` clients that it answers for. Their tunnels are not ours to know: who runs the Node has them.

use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wire::{GuestKey, Name, NodeId};

/// Guests of a node by their position, which stays while a guest is one.
pub type HostedGuests = BTreeMap<u32, HostedGuest>;

/// What a person wants of a new guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestRequest {
    /// Its name.
    pub name: Name,
    /// Its public key.
    pub key: GuestKey,
    /// Its IPv4 mesh address; a free one when absent.
    pub address: Option<IpAddr>,
}

/// What is written of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Guest {
    /// Its name.
    #[n(0)]
    pub name: Name,
    /// Its public key.
    #[n(1)]
    pub key: GuestKey,
    /// The IPv4 mesh address that it has or wishes for, as a number.
    #[n(2)]
    pub ipv4: Option<u32>,
}

impl Guest {
    /// The IPv4 mesh address that it has or wishes for.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.ipv4.map(Ipv4Addr::from)
    }
}

/// A guest that is to have a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostedGuest {
    /// Its name.
    pub name: Name,
    /// Its public key.
    pub key: GuestKey,
    /// Its IPv4 mesh address, once an admin has given us one for it.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 mesh address.
    pub v6: Ipv6Addr,
}

/// A guest of any member, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestView {
    /// Its name.
    pub name: Name,
    /// Who answers for it.
    pub host: NodeId,
    /// How that is called.
    pub host_name: Name,
    /// Its mesh addresses.
    pub addresses: Vec<IpAddr>,
    /// Its public key.
    pub key: GuestKey,
}
