//! Addresses of the other end: one form for each, and none that the kernel would refuse.

use std::net::{IpAddr, SocketAddr};

/// `address` as the IPv4 address that it is, if it is one.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}

/// Whether the kernel would take the address. What it refuses with EINVAL must not reach quinn-udp, which takes EINVAL
/// for a sign that the socket cannot do segmentation and stops using it: any stranger's candidate could do that.
pub(super) fn is_reachable(remote: SocketAddr) -> bool {
    let valid = match remote {
        SocketAddr::V4(remote) => remote.ip().octets()[0] != 0,
        SocketAddr::V6(remote) => {
            !remote.ip().is_unspecified() && (!remote.ip().is_unicast_link_local() || remote.scope_id() != 0)
        }
    };
    valid && remote.port() != 0
}
