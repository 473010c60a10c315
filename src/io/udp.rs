//! The UDP sockets: a main pair, for IPv4 and IPv6 on the same port, that carries everything between nodes; a second
//! pair on the test port, which only shows others what a NAT does with another port of ours; and spare IPv4 sockets
//! for hard punches. Further threads have lanes of their own on the main port ([`Lane`]).
//!
//! Sending and receiving take `&self`, so the workers and the control thread share one [`Udp`]; no lock is taken per
//! datagram, but for those that must go in one piece or in fragments. Nothing is allocated per datagram: batches,
//! segmentation on send (UDP_SEGMENT) and coalescing on receive (UDP_GRO) are the kernel's. A datagram too long for the
//! path goes in fragments, by what the kernel has learnt of the path's MTU, unless it is sent as one that must not, or must
//! whatever the kernel knows.

mod fragmenting;
mod half;
mod lane;
mod pair;
mod remote;
mod spares;
mod ttl;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;

use super::epoll::Epoll;
use fragmenting::Fragmenting;
use half::{Half, SOCKET_BUFFER_SIZE, is_too_long, send_in_batches};
use pair::Pair;
use remote::{canonical, is_reachable};
use spares::Spares;

pub use overlay::SocketId;

pub use half::{ReceiveBuffers, ReceivedTrain, Sent, TRAINS_MAX};
pub use lane::Lane;
pub use spares::{SPARE_FIRST, SPARES_MAX};

/// The pair on the test port, beside [`SocketId::MAIN`].
pub const TEST: SocketId = SocketId(1);
/// Buffers of the test port: some dozens of questions and answers, never data.
const TEST_BUFFER_SIZE: usize = 128 << 10;

/// Which of the two sockets of a pair.
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
    main: Pair,
    test: Pair,
    spares: Spares,
    epoll: Epoll,
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

impl Udp {
    /// Opens the main sockets on `port` of every address; 0 picks one that is free in both families. The test port is
    /// the next one, so that a firewall can be told of it, or any other where that is taken.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(port: u16) -> Result<Self, BindError> {
        let main = Pair::bind_free(port, SOCKET_BUFFER_SIZE)?;
        let next = main.v4.local.port().checked_add(1);
        let test = next
            .and_then(|next| Pair::bind(next, TEST_BUFFER_SIZE).ok())
            .map_or_else(|| Pair::bind_free(0, TEST_BUFFER_SIZE), Ok)?;
        let epoll = Epoll::new()?;
        for (id, pair) in [(SocketId::MAIN, &main), (TEST, &test)] {
            pair.add_to(&epoll, id)?;
        }
        Ok(Self { main, test, spares: Spares::default(), epoll })
    }

    /// Sends one datagram to `remote` from the main socket.
    ///
    /// # Errors
    /// Ordinary results of a network, to be counted as drops: `WouldBlock` (socket buffer full), `InvalidInput` (no
    /// address to send to), ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, EMSGSIZE (larger than any datagram),
    /// EAFNOSUPPORT (IPv6 on a machine without).
    pub fn send(&self, remote: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let remote = reachable(remote)?;
        self.main.half(remote)?.send(remote, bytes, None)
    }

    /// Sends `bytes` to `remote` from any of the sockets as datagrams of `segment_size` bytes, the last one of what is left: in one
    /// system call where the kernel can, one by one where it cannot.
    ///
    /// # Errors
    /// As [`Udp::send_from`]; `InvalidInput` for a `segment_size` of 0.
    pub fn send_segments(
        &self,
        socket: SocketId,
        remote: SocketAddr,
        bytes: &[u8],
        segment_size: usize,
    ) -> io::Result<Sent> {
        if segment_size == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let remote = reachable(remote)?;
        let send = |half: &Half| {
            let send =
                |batch: &[u8]| half.send(remote, batch, (batch.len() > segment_size).then_some(segment_size));
            send_in_batches(bytes, segment_size, || half.segments_max(), send)
        };
        self.with(socket, remote, send)
    }

    /// Sends one datagram to `remote` from any of the sockets, with a time to live of `ttl` hops instead of the
    /// system's. That of other datagrams stays what it is, also of those that another thread sends at the same time.
    ///
    /// # Errors
    /// As [`Udp::send`]; besides, `NotFound` when there is no such socket, `InvalidInput` for a `ttl` of 0, and
    /// EAFNOSUPPORT for IPv6 from a spare socket.
    pub fn send_from(
        &self,
        socket: SocketId,
        remote: SocketAddr,
        bytes: &[u8],
        ttl: Option<u8>,
    ) -> io::Result<()> {
        let remote = reachable(remote)?;
        let send = |half: &Half| match ttl {
            None => half.send(remote, bytes, None),
            Some(ttl) => ttl::send(&half.socket, remote, bytes, ttl),
        };
        self.with(socket, remote, send)
    }

    /// As [`Udp::send_segments`], for a path that is too narrow for what must go by it: over IPv4 in fragments, by any router too.
    /// Over IPv6 no router makes any, and the kernel by what it knows only.
    ///
    /// # Errors
    /// As [`Udp::send_segments`].
    pub fn send_in_fragments(
        &self,
        socket: SocketId,
        remote: SocketAddr,
        bytes: &[u8],
        segment_size: usize,
    ) -> io::Result<()> {
        let remote = reachable(remote)?;
        self.with(socket, remote, |half| half.send_as(Fragmenting::Anywhere, remote, bytes, segment_size))
    }

    /// Sends one datagram to `remote` in one piece: nobody on the way may fragment it. Whether it went: not, when the interface
    /// takes none that is so long.
    ///
    /// # Errors
    /// As [`Udp::send_from`].
    pub fn send_whole(&self, socket: SocketId, remote: SocketAddr, bytes: &[u8]) -> io::Result<bool> {
        let remote = reachable(remote)?;
        let send = |half: &Half| half.send_as(Fragmenting::Never, remote, bytes, bytes.len());
        match self.with(socket, remote, send) {
            Err(error) if is_too_long(&error) => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Lets the socket of this number act that reaches `remote`.
    fn with<T>(
        &self,
        socket: SocketId,
        remote: SocketAddr,
        act: impl FnOnce(&Half) -> io::Result<T>,
    ) -> io::Result<T> {
        match socket {
            SocketId::MAIN => act(self.main.half(remote)?),
            TEST => act(self.test.half(remote)?),
            _ if remote.is_ipv6() => Err(Errno::AFNOSUPPORT.into()),
            spare => self.spares.with(spare, act).unwrap_or_else(|| Err(no_such_socket(spare))),
        }
    }

    /// Hands every datagram of one batch of `family` at the main socket to `each`, with its sender, and says how many
    /// there were: 0 when the socket is empty. A sender is never an IPv4-mapped IPv6 address.
    ///
    /// # Errors
    /// The kernel's own; the socket stays usable.
    pub fn receive(
        &self,
        family: Family,
        buffers: &mut ReceiveBuffers,
        each: impl FnMut(SocketAddr, &mut [u8]),
    ) -> io::Result<usize> {
        self.main.of(family).map_or(Ok(0), |half| half.receive(buffers, each))
    }

    /// As [`Udp::receive`], at any of the sockets; nothing comes from one that does not exist (any more).
    ///
    /// # Errors
    /// As [`Udp::receive`].
    pub fn receive_on(
        &self,
        socket: SocketId,
        family: Family,
        buffers: &mut ReceiveBuffers,
        each: impl FnMut(SocketAddr, &mut [u8]),
    ) -> io::Result<usize> {
        self.receiving(socket, family, |half| half.receive(buffers, each))
    }

    /// Receives one batch at any of the sockets, and says how many trains there are now in `buffers`: 0 when the socket is empty.
    ///
    /// # Errors
    /// As [`Udp::receive`].
    pub fn receive_batch(
        &self,
        socket: SocketId,
        family: Family,
        buffers: &mut ReceiveBuffers,
    ) -> io::Result<usize> {
        self.receiving(socket, family, |half| half.receive_batch(buffers))
    }

    /// Lets the socket of this number and family receive, if there is one.
    fn receiving(
        &self,
        socket: SocketId,
        family: Family,
        receive: impl FnOnce(&Half) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let half = match (socket, family) {
            (SocketId::MAIN, _) => self.main.of(family),
            (TEST, _) => self.test.of(family),
            (_, Family::V6) => None,
            (spare, Family::V4) => return self.spares.with(spare, receive).unwrap_or(Ok(0)),
        };
        half.map_or(Ok(0), receive)
    }

    /// Opens a spare IPv4 socket on a free port, under a number of the caller's from [`SPARE_FIRST`] on. Whoever
    /// sleeps on these sockets ([`super::poll::Poll`]) wakes for it from now on.
    ///
    /// # Errors
    /// `InvalidInput` for a number below [`SPARE_FIRST`], `AlreadyExists` for one in use, `QuotaExceeded` when there
    /// are [`SPARES_MAX`], and the kernel's own, above all EMFILE.
    pub fn open_spare(&self, id: SocketId) -> io::Result<()> {
        self.spares.open(id, &self.epoll)
    }

    /// Closes a spare socket, and what waits there is lost; does nothing when there is none of this number.
    pub fn close_spare(&self, id: SocketId) {
        self.spares.close(id, &self.epoll);
    }

    /// Gives a spare socket the main ones' large buffers: it has won its punch and will carry data. Does nothing when
    /// there is none of this number.
    pub fn enlarge_spare(&self, id: SocketId) {
        let _absent = self.spares.with(id, |half| half.set_buffers(SOCKET_BUFFER_SIZE));
    }

    /// How many spare sockets are open.
    #[must_use]
    pub fn spare_count(&self) -> usize {
        self.spares.count()
    }

    /// The main port, the same in both families.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.main.v4.local.port()
    }

    /// The test port, the same in both families.
    #[must_use]
    pub fn test_port(&self) -> u16 {
        self.test.v4.local.port()
    }

    /// The port of a socket, if there is such a socket.
    #[must_use]
    pub fn port_of(&self, socket: SocketId) -> Option<u16> {
        match socket {
            SocketId::MAIN => Some(self.port()),
            TEST => Some(self.test_port()),
            spare => self.spares.with(spare, |half| half.local.port()),
        }
    }

    /// What the main sockets are bound to: `0.0.0.0:PORT`, and `[::]:PORT` where there is IPv6.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        [Some(&self.main.v4), self.main.v6.as_ref()].into_iter().flatten().map(|half| half.local).collect()
    }

    /// The main IPv4 socket's descriptor.
    #[must_use]
    pub fn v4_fd(&self) -> BorrowedFd<'_> {
        self.main.v4.socket.as_fd()
    }

    /// The main IPv6 socket's descriptor.
    #[must_use]
    pub fn v6_fd(&self) -> Option<BorrowedFd<'_>> {
        self.main.v6.as_ref().map(|half| half.socket.as_fd())
    }

    /// The set in which all the sockets are.
    pub(super) fn epoll(&self) -> &Epoll {
        &self.epoll
    }
}

/// `remote` as the sockets take it, unless no datagram can go there.
fn reachable(remote: SocketAddr) -> io::Result<SocketAddr> {
    let remote = canonical(remote);
    if is_reachable(remote) { Ok(remote) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn no_such_socket(socket: SocketId) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no socket {}", socket.0))
}

#[cfg(test)]
mod tests;
