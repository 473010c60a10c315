//! The UDP sockets: one for IPv4 and one for IPv6, on the same port, that carry everything between nodes.
//!
//! Sending and receiving take `&self`, so the worker and the control thread share one [`Udp`]. Nothing is allocated
//! per datagram: batches, segmentation on send (UDP_SEGMENT) and coalescing on receive (UDP_GRO) are the kernel's.
//! A datagram too big for the path goes in fragments, by what the kernel has learnt of the path's MTU.

mod remote;

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::io::Errno;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force,
};
use socket2::{Domain, Protocol, Socket, Type};

use remote::{canonical, is_reachable};

/// Socket buffers: 4 MiB holds what 1 Gbit/s brings in 30 ms, which a busy worker may be away.
const SOCKET_BUFFER_SIZE: usize = 4 << 20;
/// Room for the largest datagram and for the longest train the kernel coalesces: both fit 16 bits of length.
const RECEIVE_SIZE: usize = 65_536;
/// IPv6 and UDP header, which count towards the 16 bits of length.
const HEADERS_SIZE: usize = 48;
/// Ports to try before giving up on one that is free in both families.
const FREE_PORT_ATTEMPTS: usize = 16;

/// Which of the two sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The node's UDP sockets.
#[derive(Debug)]
pub struct Udp {
    v4: Half,
    /// Absent where the kernel has no IPv6.
    v6: Option<Half>,
}

#[derive(Debug)]
struct Half {
    socket: Socket,
    state: UdpSocketState,
    local: SocketAddr,
}

/// Why the sockets could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program has the port, in IPv4 or in IPv6.
    #[error("UDP port {port} is in use by another program: set another `listen.port`, or 0 for any free one")]
    PortInUse {
        /// The port asked for.
        port: u16,
    },
    /// The port is a privileged one.
    #[error("UDP port {port} needs root: set a `listen.port` of 1024 or higher, or 0 for any free one")]
    NotPermitted {
        /// The port asked for.
        port: u16,
    },
    /// Anything else the system said.
    #[error("cannot open a UDP socket: {0}")]
    Os(#[from] io::Error),
}

/// Room for one batch of received datagrams: made once, used for every [`Udp::receive`] of a thread.
pub struct ReceiveBuffers {
    /// [`BATCH_SIZE`] buffers in a row; the kernel commits the pages only when bytes arrive there.
    bytes: Box<[u8]>,
    meta: [RecvMeta; BATCH_SIZE],
}

impl ReceiveBuffers {
    /// Empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![0; BATCH_SIZE * RECEIVE_SIZE].into_boxed_slice(),
            meta: [RecvMeta::default(); BATCH_SIZE],
        }
    }
}

impl Default for ReceiveBuffers {
    fn default() -> Self {
        Self::new()
    }
}

impl Udp {
    /// Opens both sockets on `port` of every address; 0 picks one that is free in both families.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(port: u16) -> Result<Self, BindError> {
        for _ in 1..FREE_PORT_ATTEMPTS {
            match Self::bind_both(port) {
                // Free in IPv4 but not in IPv6: the next one may be.
                Err(BindError::PortInUse { .. }) if port == 0 => {}
                done => return done,
            }
        }
        Self::bind_both(port)
    }

    fn bind_both(port: u16) -> Result<Self, BindError> {
        let v4 = Half::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
        let port = v4.local.port();
        let v6 = match Half::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
            Ok(v6) => Some(v6),
            Err(BindError::Os(error)) if has_no_ipv6(&error) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { v4, v6 })
    }

    /// Sends one datagram to `remote`.
    ///
    /// # Errors
    /// Ordinary results of a network, to be counted as drops: `WouldBlock` (socket buffer full), `InvalidInput` (no
    /// address to send to), ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, EMSGSIZE (larger than any datagram),
    /// EAFNOSUPPORT (IPv6 on a machine without).
    pub fn send(&self, remote: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let remote = canonical(remote);
        self.half(remote)?.send(remote, bytes, None)
    }

    /// Sends `bytes` to `remote` as datagrams of `segment_size` bytes, the last one of what is left: in one system
    /// call where the kernel can, one by one where it cannot.
    ///
    /// # Errors
    /// As [`Udp::send`]; the datagrams before the failing one are sent.
    pub fn send_segments(&self, remote: SocketAddr, bytes: &[u8], segment_size: usize) -> io::Result<()> {
        if segment_size == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let remote = canonical(remote);
        let half = self.half(remote)?;
        let segments_max = || half.state.max_gso_segments();
        send_in_batches(bytes, segment_size, segments_max, |batch| {
            half.send(remote, batch, Some(segment_size))
        })
    }

    /// Hands every datagram of one batch of `family` to `each`, with its sender, and says how many there were: 0 when
    /// the socket is empty. A sender is never an IPv4-mapped IPv6 address.
    ///
    /// # Errors
    /// The kernel's own; the socket stays usable.
    pub fn receive(
        &self,
        family: Family,
        buffers: &mut ReceiveBuffers,
        mut each: impl FnMut(SocketAddr, &mut [u8]),
    ) -> io::Result<usize> {
        let half = match (family, &self.v6) {
            (Family::V4, _) => &self.v4,
            (Family::V6, Some(v6)) => v6,
            (Family::V6, None) => return Ok(0),
        };
        let batch = match half.receive(buffers) {
            Ok(batch) => batch,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut datagrams = 0;
        for (train, meta) in buffers.bytes.chunks_exact_mut(RECEIVE_SIZE).zip(&buffers.meta[..batch]) {
            let remote = canonical(meta.addr);
            let train = &mut train[..meta.len.min(RECEIVE_SIZE)];
            if train.is_empty() {
                each(remote, train);
                datagrams += 1;
            } else {
                for datagram in train.chunks_mut(meta.stride.max(1)) {
                    each(remote, datagram);
                    datagrams += 1;
                }
            }
        }
        Ok(datagrams)
    }

    /// The port, the same in both families.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.v4.local.port()
    }

    /// What the sockets are bound to: `0.0.0.0:PORT`, and `[::]:PORT` where there is IPv6.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        [Some(&self.v4), self.v6.as_ref()].into_iter().flatten().map(|half| half.local).collect()
    }

    /// The IPv4 socket's descriptor, to poll.
    #[must_use]
    pub fn v4_fd(&self) -> BorrowedFd<'_> {
        self.v4.socket.as_fd()
    }

    /// The IPv6 socket's descriptor, to poll.
    #[must_use]
    pub fn v6_fd(&self) -> Option<BorrowedFd<'_>> {
        self.v6.as_ref().map(|half| half.socket.as_fd())
    }

    /// The socket to reach `remote` by, unless no datagram can go there.
    fn half(&self, remote: SocketAddr) -> io::Result<&Half> {
        if !is_reachable(remote) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match (remote, &self.v6) {
            (SocketAddr::V4(_), _) => Ok(&self.v4),
            (SocketAddr::V6(_), Some(v6)) => Ok(v6),
            (SocketAddr::V6(_), None) => Err(Errno::AFNOSUPPORT.into()),
        }
    }
}

impl Half {
    fn bind(local: SocketAddr) -> Result<Self, BindError> {
        let port = local.port();
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
        if local.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        enlarge_buffers(&socket);
        socket.bind(&local.into()).map_err(|error| refusal(error, port))?;
        let local =
            socket.local_addr()?.as_socket().expect("a socket of an internet family has such an address");
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // quinn-udp forbids fragments, which stalls TCP where the path is narrower than the mesh: a datagram that does
        // not fit goes in fragments, until the MTU of the mesh follows the path's.
        if local.is_ipv4() {
            set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::WANT).map_err(io::Error::from)?;
        } else {
            set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::WANT).map_err(io::Error::from)?;
        }
        Ok(Self { socket, state, local })
    }

    fn send(&self, remote: SocketAddr, contents: &[u8], segment_size: Option<usize>) -> io::Result<()> {
        let transmit = Transmit { destination: remote, ecn: None, contents, segment_size, src_ip: None };
        self.state.try_send(UdpSockRef::from(&self.socket), &transmit)
    }

    fn receive(&self, buffers: &mut ReceiveBuffers) -> io::Result<usize> {
        let mut parts = buffers.bytes.chunks_exact_mut(RECEIVE_SIZE);
        let mut slices: [_; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(parts.next().expect("BATCH_SIZE buffers were made")));
        self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut buffers.meta)
    }
}

/// Gives `send` as many segments at a time as `segments_max` allows, which quinn-udp sets to 1 for good when an interface
/// refuses segmentation; the bytes refused for that reason go again, one by one.
fn send_in_batches(
    mut bytes: &[u8],
    segment_size: usize,
    segments_max: impl Fn() -> usize,
    mut send: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let segments = segments_max().max(1);
        // One sendmsg takes no more than one datagram's length, whatever the segments.
        let fitting = (RECEIVE_SIZE - 1 - HEADERS_SIZE) / segment_size;
        let segments_now = segments.min(fitting.max(1));
        let (batch, rest) = bytes.split_at(bytes.len().min(segments_now.saturating_mul(segment_size)));
        match send(batch) {
            Ok(()) => bytes = rest,
            Err(_) if segments > 1 && segments_max() == 1 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Asks for large buffers, beyond the administrator's limit where the process may; what the kernel gives is enough.
fn enlarge_buffers(socket: &Socket) {
    if set_socket_recv_buffer_size_force(socket, SOCKET_BUFFER_SIZE).is_err() {
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_SIZE);
    }
    if set_socket_send_buffer_size_force(socket, SOCKET_BUFFER_SIZE).is_err() {
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER_SIZE);
    }
}

fn refusal(error: io::Error, port: u16) -> BindError {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ADDRINUSE) => BindError::PortInUse { port },
        Some(Errno::ACCESS | Errno::PERM) => BindError::NotPermitted { port },
        _ => BindError::Os(error),
    }
}

fn has_no_ipv6(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::ADDRNOTAVAIL))
}

#[cfg(test)]
mod tests;
