//! One socket of one family, and the room that datagrams are received into.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::ops::Range;

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force};
use socket2::{Domain, Protocol, Socket, Type};

use super::BindError;
use super::fragmenting::{self, Fragmenting, Turn};
use super::remote::canonical;
use crate::io::mark::mark;

/// Buffers of a socket that carries data: 4 MiB holds what 1 Gbit/s brings in 30 ms, which a busy worker may be away.
pub(super) const SOCKET_BUFFER_SIZE: usize = 4 << 20;
/// Room for the largest datagram and for the longest train the kernel coalesces: both fit 16 bits of length.
const RECEIVE_SIZE: usize = 65_536;
/// Trains of one batch: enough to share the system call among small datagrams of many remotes, and of bulk no more than caches hold.
pub const TRAINS_MAX: usize = 16;
/// IPv6 and UDP header, which count towards the 16 bits of length.
const HEADERS_SIZE: usize = 48;

/// Room for one batch of received datagrams: made once, used for every [`super::Udp::receive`] of a thread.
pub struct ReceiveBuffers {
    /// [`TRAINS_MAX`] buffers in a row; the kernel commits the pages only when bytes arrive there.
    bytes: Box<[u8]>,
    meta: [RecvMeta; TRAINS_MAX],
}

/// What one system call has brought of one remote: datagrams one behind the other, all of one length but the last.
#[derive(Debug, Clone)]
pub struct ReceivedTrain {
    /// Who sent them; never an IPv4-mapped IPv6 address.
    pub remote: SocketAddr,
    /// Where they stand in [`ReceiveBuffers::bytes`].
    pub range: Range<usize>,
    /// Length of each but the last, which may be shorter; at least 1.
    pub stride: usize,
}

impl ReceivedTrain {
    /// Where each of them stands; one, when it is empty.
    pub fn datagrams(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let Self { range: Range { start, end }, stride, .. } = *self;
        let empty = (start == end).then_some(start..end);
        (start..end).step_by(stride).map(move |begin| begin..end.min(begin + stride)).chain(empty)
    }
}

impl ReceiveBuffers {
    /// The train at this position of the latest batch.
    #[must_use]
    pub fn train(&self, position: usize) -> ReceivedTrain {
        let (begin, meta) = (position * RECEIVE_SIZE, &self.meta[position]);
        let range = begin..begin + meta.len.min(RECEIVE_SIZE);
        ReceivedTrain { remote: canonical(meta.addr), range, stride: meta.stride.max(1) }
    }

    /// All buffers, one behind the other.
    #[must_use]
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![0; TRAINS_MAX * RECEIVE_SIZE].into_boxed_slice(),
            meta: [RecvMeta::default(); TRAINS_MAX],
        }
    }
}

impl Default for ReceiveBuffers {
    fn default() -> Self {
        Self::new()
    }
}

/// Who has a socket's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// It alone.
    Alone,
    /// Further sockets of ours, too.
    Shared,
}

/// A socket.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) socket: Socket,
    pub(super) local: SocketAddr,
    state: UdpSocketState,
    turn: Turn,
}

impl Half {
    /// A socket on `local` with buffers of `buffer_size` bytes, or of what the kernel allows.
    pub(super) fn bind(local: SocketAddr, use_of_port: Use, buffer_size: usize) -> Result<Self, BindError> {
        let port = local.port();
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
        if local.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        mark(&socket)?;
        set_buffers(&socket, buffer_size);
        if use_of_port == Use::Shared {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&local.into()).map_err(|error| refusal(error, port))?;
        let local =
            socket.local_addr()?.as_socket().expect("a socket of an internet family has such an address");
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // quinn-udp forbids fragments, which loses what is longer than a path that was not measured yet.
        fragmenting::set(&socket, local.is_ipv4(), Fragmenting::WhereKnown)?;
        Ok(Self { socket, local, state, turn: Turn::default() })
    }

    /// Lets further sockets of ours on its port.
    pub(super) fn share(&self) -> io::Result<()> {
        self.socket.set_reuse_port(true)
    }

    /// Sends one datagram, or several of `segment_size` bytes. The kernel must take `remote` for an address.
    pub(super) fn send(
        &self,
        remote: SocketAddr,
        contents: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        let transmit = Transmit { destination: remote, ecn: None, contents, segment_size, src_ip: None };
        self.state.try_send(UdpSockRef::from(&self.socket), &transmit)
    }

    /// Sends datagrams of `segment_size` bytes, each by itself, treated so when they are too long.
    pub(super) fn send_as(
        &self,
        fragmenting: Fragmenting,
        remote: SocketAddr,
        contents: &[u8],
        segment_size: usize,
    ) -> io::Result<()> {
        self.turn.with((&self.socket, self.local.is_ipv4()), fragmenting, || {
            contents.chunks(segment_size.max(1)).try_for_each(|datagram| self.send(remote, datagram, None))
        })
    }

    /// How many segments one system call takes.
    pub(super) fn segments_max(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Hands the datagrams of one batch to `each`, and says how many there were.
    pub(super) fn receive(
        &self,
        buffers: &mut ReceiveBuffers,
        mut each: impl FnMut(SocketAddr, &mut [u8]),
    ) -> io::Result<usize> {
        let mut datagrams = 0;
        for position in 0..self.receive_batch(buffers)? {
            let train = buffers.train(position);
            for datagram in train.datagrams() {
                each(train.remote, &mut buffers.bytes[datagram]);
                datagrams += 1;
            }
        }
        Ok(datagrams)
    }

    /// Receives one batch, and says how many trains it has: 0 when the socket is empty.
    pub(super) fn receive_batch(&self, buffers: &mut ReceiveBuffers) -> io::Result<usize> {
        let mut parts = buffers.bytes.chunks_exact_mut(RECEIVE_SIZE);
        let mut slices: [_; TRAINS_MAX] =
            std::array::from_fn(|_| IoSliceMut::new(parts.next().expect("TRAINS_MAX buffers were made")));
        match self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut buffers.meta) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            received => received,
        }
    }

    /// Sets both buffers of the socket, in bytes.
    pub(super) fn set_buffers(&self, size: usize) {
        set_buffers(&self.socket, size);
    }
}

/// How datagrams went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// As they are, as far as the kernel says.
    Whole,
    /// The path is known to be too narrow for them: in fragments.
    InFragments,
}

/// Gives `send` as many segments at a time as `segments_max` allows, which quinn-udp sets to 1 for good when an interface
/// refuses segmentation; the bytes refused for that reason go again, one by one.
pub(super) fn send_in_batches(
    mut bytes: &[u8],
    segment_size: usize,
    segments_max: impl Fn() -> usize,
    mut send: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Sent> {
    let mut sent = Sent::Whole;
    while !bytes.is_empty() {
        let segments = segments_max().max(1);
        // One sendmsg takes no more than one datagram's length, whatever the segments.
        let fitting = (RECEIVE_SIZE - 1 - HEADERS_SIZE) / segment_size;
        let segments_now = segments.min(fitting.max(1));
        let (batch, rest) = bytes.split_at(bytes.len().min(segments_now.saturating_mul(segment_size)));
        match send(batch) {
            Ok(()) => bytes = rest,
            Err(_) if segments > 1 && segments_max() == 1 => {}
            // Too long for the path: each goes in fragments.
            Err(error) if batch.len() > segment_size && is_too_long(&error) => {
                batch.chunks(segment_size).try_for_each(&mut send)?;
                (bytes, sent) = (rest, Sent::InFragments);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

pub(super) fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error().map(Errno::from_raw_os_error) == Some(Errno::MSGSIZE)
}

/// Asks for buffers beyond the administrator's limit where the process may; what the kernel gives is enough.
fn set_buffers(socket: &Socket, size: usize) {
    if set_socket_recv_buffer_size_force(socket, size).is_err() {
        let _ = socket.set_recv_buffer_size(size);
    }
    if set_socket_send_buffer_size_force(socket, size).is_err() {
        let _ = socket.set_send_buffer_size(size);
    }
}

fn refusal(error: io::Error, port: u16) -> BindError {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ADDRINUSE) => BindError::PortInUse { port },
        Some(Errno::ACCESS | Errno::PERM) => BindError::NotPermitted { port },
        _ => BindError::Os(error),
    }
}
