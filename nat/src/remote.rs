//! How a datagram goes to a node, or how it came.

use std::fmt;
use std::net::SocketAddr;
use wire::Candidate;

/// One of our UDP sockets, of whichever family fits the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SocketId(pub u16);

impl SocketId {
    /// The sockets on the node's own port, which carry everything unless a hard punch was won by another.
    pub const MAIN: Self = Self(0);
    /// The sockets on a port of their own, from which peers are told that they can be dialled.
    pub const TEST: Self = Self(1);
}

/// The far end of a path, and by what it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remote {
    /// By UDP, straight to an address.
    Udp {
        /// From which of our sockets.
        socket: SocketId,
        /// To which address.
        address: SocketAddr,
    },
    /// Over a TCP connection that carries datagrams; its number.
    Stream(u32),
    /// Through hops, by the circuit that we know under this label.
    Circuit(u64),
}

impl Remote {
    /// By UDP from the main socket.
    #[must_use]
    pub fn udp(address: SocketAddr) -> Self {
        Self::Udp { socket: SocketId::MAIN, address }
    }

    /// The address, when it is reached by UDP.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Udp { address, .. } => Some(*address),
            Self::Stream(_) | Self::Circuit(_) => None,
        }
    }

    /// The address as others may dial it, when it is reached by UDP.
    #[must_use]
    pub fn candidate(&self) -> Option<Candidate> {
        self.address().and_then(Candidate::new)
    }

    /// Of two ways that work the one of higher rank is used.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Udp { .. } => 2,
            Self::Stream(_) => 1,
            Self::Circuit(_) => 0,
        }
    }

    /// Whether no hop is between us and the node.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        matches!(self, Self::Udp { .. } | Self::Stream(_))
    }
}

impl From<SocketAddr> for Remote {
    fn from(address: SocketAddr) -> Self {
        Self::udp(address)
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp { address, .. } => address.fmt(f),
            Self::Stream(number) => write!(f, "stream {number}"),
            Self::Circuit(label) => write!(f, "circuit {label:016x}"),
        }
    }
}
