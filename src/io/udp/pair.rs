//! Two sockets on one port: one for IPv4, one for IPv6.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;

use super::half::{Half, Use};
use super::{BindError, Family};

/// Ports to try before giving up on one that is free in both families.
pub(super) const FREE_PORT_ATTEMPTS: usize = 16;

/// Two sockets on one port.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) v4: Half,
    /// Absent where the kernel has no IPv6.
    pub(super) v6: Option<Half>,
}

impl Pair {
    /// On `port`; 0 picks one that is free in both families.
    pub(super) fn bind_free(port: u16, buffer_size: usize) -> Result<Self, BindError> {
        for _ in 1..FREE_PORT_ATTEMPTS {
            match Self::bind(port, buffer_size) {
                // Free in IPv4 but not in IPv6: the next one may be.
                Err(BindError::PortInUse { .. }) if port == 0 => {}
                done => return done,
            }
        }
        Self::bind(port, buffer_size)
    }

    /// On `port` in both families.
    pub(super) fn bind(port: u16, buffer_size: usize) -> Result<Self, BindError> {
        Self::bind_as(Use::Alone, port, buffer_size)
    }

    /// On the port of another pair that is shared ([`Pair::share`]).
    pub(super) fn bind_beside(other: &Self, buffer_size: usize) -> Result<Self, BindError> {
        Self::bind_as(Use::Shared, other.v4.local.port(), buffer_size)
    }

    /// Lets further pairs on its port.
    pub(super) fn share(&self) -> io::Result<()> {
        [Some(&self.v4), self.v6.as_ref()].into_iter().flatten().try_for_each(Half::share)
    }

    fn bind_as(use_of_port: Use, port: u16, buffer_size: usize) -> Result<Self, BindError> {
        let bind = |local: SocketAddr| Half::bind(local, use_of_port, buffer_size);
        let v4 = bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
        let port = v4.local.port();
        let v6 = match bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
            Ok(v6) => Some(v6),
            Err(BindError::Os(error)) if has_no_ipv6(&error) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { v4, v6 })
    }

    /// The socket of this family, if there is one.
    pub(super) fn of(&self, family: Family) -> Option<&Half> {
        match family {
            Family::V4 => Some(&self.v4),
            Family::V6 => self.v6.as_ref(),
        }
    }

    /// The socket to reach `remote` by.
    pub(super) fn half(&self, remote: SocketAddr) -> io::Result<&Half> {
        let family = if remote.is_ipv4() { Family::V4 } else { Family::V6 };
        self.of(family).ok_or_else(|| Errno::AFNOSUPPORT.into())
    }
}

fn has_no_ipv6(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::ADDRNOTAVAIL))
}
