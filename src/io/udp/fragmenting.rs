//! Datagrams that are treated by their length otherwise than usual: sent in one piece or not at all, or in fragments of IPv4
//! whatever the kernel knows of the path.
//!
//! Linux has no such word beside a single datagram, only the socket's options, which are changed for the time of the call. Two
//! who change them take turns. What a third thread sends meanwhile has these options too, and loses nothing by it: its datagrams
//! fit, for their length was measured.

use std::io;
use std::sync::{Mutex, PoisonError};

use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use socket2::Socket;

/// How datagrams are treated that are too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fragmenting {
    /// In fragments where the kernel knows that they are, by the interface or because a router said so.
    WhereKnown,
    /// Refused (EMSGSIZE) when the interface cannot take them; not fragmented by anybody, whatever routers said.
    Never,
    /// As [`Fragmenting::WhereKnown`], over IPv4 by any router too.
    Anywhere,
}

/// Who changes a socket's options holds this.
#[derive(Debug, Default)]
pub(super) struct Turn(Mutex<()>);

impl Turn {
    /// Lets `act` send while the socket treats datagrams so.
    pub(super) fn with<T>(
        &self,
        (socket, is_ipv4): (&Socket, bool),
        fragmenting: Fragmenting,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let _turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let result = set(socket, is_ipv4, fragmenting).and_then(|()| act());
        set(socket, is_ipv4, Fragmenting::WhereKnown)?;
        result
    }
}

/// How a socket treats datagrams from now on.
pub(super) fn set(socket: &Socket, is_ipv4: bool, fragmenting: Fragmenting) -> io::Result<()> {
    if is_ipv4 {
        let discovery = match fragmenting {
            Fragmenting::WhereKnown => Ipv4PathMtuDiscovery::WANT,
            Fragmenting::Never => Ipv4PathMtuDiscovery::PROBE,
            Fragmenting::Anywhere => Ipv4PathMtuDiscovery::DONT,
        };
        return Ok(set_ip_mtu_discover(socket, discovery)?);
    }
    let (discovery, is_whole) = match fragmenting {
        // No router fragments IPv6, and the kernel only by what it knows.
        Fragmenting::WhereKnown | Fragmenting::Anywhere => (Ipv6PathMtuDiscovery::WANT, false),
        Fragmenting::Never => (Ipv6PathMtuDiscovery::PROBE, true),
    };
    set_ipv6_mtu_discover(socket, discovery)?;
    Ok(setsockopt(socket, sockopt::Ipv6DontFrag, &is_whole)?)
}
