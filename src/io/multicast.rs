//! Multicast on the machine's own networks: a datagram to everybody who listens there, and theirs to us.
//!
//! One socket for each interface and family, bound to its device, so that what comes in says where from and what goes out
//! goes there and nowhere else. Several programs, and several networks of Hopmesh, share the port. What we send comes
//! back to us as to everybody: who made a beacon is told above.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::task::{Context, Poll};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::mark::mark;

/// The group in IPv4: of local scope (RFC 2365), otherwise without meaning.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 255, 104, 109);
/// The group in IPv6: link-local and not assigned by anybody (RFC 4291, RFC 3307).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0xe86f, 0x706d);
/// The UDP port of both groups: before the first that a node listens on, for the one behind it is its test port.
pub const PORT: u16 = 41_819;
/// Interfaces that are used at most: a machine with hundreds of containers has as many, and no people behind them.
pub const INTERFACES_MAX: usize = 32;
/// Datagrams do not leave the network they are sent on.
const TTL: u32 = 1;

/// A network interface of the machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    /// The kernel's number.
    pub index: u32,
    /// The kernel's name.
    pub name: String,
}

/// A datagram that came to the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Who sent it; an IPv6 address is link-local and has its scope.
    pub from: SocketAddr,
    /// Index of the interface that it came by.
    pub interface: u32,
    /// Its length in bytes, at most that of the buffer.
    pub length: usize,
}

/// The group on all interfaces that were joined.
#[derive(Debug, Default)]
pub struct Multicast {
    joined: BTreeMap<u32, Joined>,
    /// Index of the interface that is listened to first, the next time: none shall drown the others.
    first: u32,
}

#[derive(Debug)]
struct Joined {
    name: String,
    v4: io::Result<UdpSocket>,
    v6: io::Result<UdpSocket>,
}

impl Multicast {
    /// On no interface yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Joins the group on these interfaces, at most [`INTERFACES_MAX`], and leaves all others. A family that could not be
    /// joined is tried again at the next call: an interface has often no address of it yet. To be called in a tokio
    /// runtime, at the start and whenever links or addresses change. Gives what failed on interfaces where neither family
    /// works.
    pub fn join(&mut self, interfaces: &[Interface]) -> Vec<(Interface, io::Error)> {
        let wanted = &interfaces[..interfaces.len().min(INTERFACES_MAX)];
        self.joined.retain(|index, joined| {
            wanted.iter().any(|interface| interface.index == *index && interface.name == joined.name)
        });
        let mut failed = Vec::new();
        for interface in wanted {
            let joined = self.joined.entry(interface.index).or_insert_with(|| Joined::none(&interface.name));
            if joined.v4.is_err() {
                joined.v4 = open_v4(interface);
            }
            if joined.v6.is_err() {
                joined.v6 = open_v6(interface);
            }
            if let Joined { v4: Err(error), v6: Err(_), .. } = joined {
                let error = error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error);
                failed.push((interface.clone(), error));
            }
        }
        failed
    }

    /// The interfaces on which the group is joined in either family, by index.
    pub fn interfaces(&self) -> impl Iterator<Item = (u32, &str)> {
        let works = |joined: &Joined| joined.v4.is_ok() || joined.v6.is_ok();
        self.joined
            .iter()
            .filter(move |(_, joined)| works(joined))
            .map(|(i, joined)| (*i, joined.name.as_str()))
    }

    /// Sends a datagram to the group on every interface, in both families, and says how many went out. That one does not
    /// is ordinary: no address yet, a cable that is out, a full queue.
    pub fn send(&self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        for (index, joined) in &self.joined {
            let v4 = SocketAddr::from((GROUP_V4, PORT));
            let v6 = SocketAddr::V6(SocketAddrV6::new(GROUP_V6, PORT, 0, *index));
            for (socket, group) in [(&joined.v4, v4), (&joined.v6, v6)] {
                let Ok(socket) = socket else { continue };
                // Not tokio's: it waits to be told that a new socket can send, and an idle one always can.
                sent += usize::from(SockRef::from(socket).send_to(bytes, &group.into()).is_ok());
            }
        }
        sent
    }

    /// Waits for a datagram to the group; a longer one than the buffer is cut. May be dropped at any point. On no
    /// interface it waits for ever: wait anew after [`Multicast::join`].
    pub async fn receive(&mut self, buffer: &mut [u8]) -> Heard {
        poll_fn(|context| self.poll(context, buffer)).await
    }

    fn poll(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Heard> {
        let behind = self.joined.range(self.first..);
        for (&interface, joined) in behind.chain(self.joined.range(..self.first)) {
            for socket in [&joined.v4, &joined.v6].into_iter().flatten() {
                if let Poll::Ready((length, from)) = poll_one(socket, context, buffer) {
                    self.first = interface.wrapping_add(1);
                    return Poll::Ready(Heard { from, interface, length });
                }
            }
        }
        Poll::Pending
    }
}

/// Who asks the group, and is answered by unicast, each on sockets of its own: those of [`Multicast`] hear the group only.
#[derive(Debug, Default)]
pub struct Asker(Vec<(std::net::UdpSocket, SocketAddr)>);

impl Asker {
    /// On these interfaces, at most [`INTERFACES_MAX`], where it can; what fails there is left out.
    #[must_use]
    pub fn new(interfaces: &[Interface]) -> Self {
        let open = |interface: &Interface| {
            let v6 = SocketAddr::V6(SocketAddrV6::new(GROUP_V6, PORT, 0, interface.index));
            [
                (SocketAddr::from((GROUP_V4, PORT)), Ipv4Addr::UNSPECIFIED.into()),
                (v6, Ipv6Addr::UNSPECIFIED.into()),
            ]
            .map(|(group, any)| open_asker(interface, group, any).map(|socket| (socket, group)))
        };
        Self(interfaces.iter().take(INTERFACES_MAX).flat_map(open).filter_map(io::Result::ok).collect())
    }

    /// Whether there is no interface to ask on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends a datagram to the group on every interface, in both families, and says how many went out.
    pub fn send(&self, bytes: &[u8]) -> usize {
        self.0.iter().filter(|(socket, group)| socket.send_to(bytes, group).is_ok()).count()
    }

    /// An answer that has come, and who sent it. Does not wait; a longer one than the buffer is cut.
    pub fn receive(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        self.0.iter().find_map(|(socket, _)| socket.recv_from(buffer).ok())
    }
}

fn open_asker(interface: &Interface, group: SocketAddr, any: IpAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    mark(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(interface.name.as_bytes()))?;
    if group.is_ipv4() {
        socket.set_multicast_ttl_v4(TTL)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_multicast_if_v6(interface.index)?;
        socket.set_multicast_hops_v6(TTL)?;
    }
    socket.bind(&SocketAddr::new(any, 0).into())?;
    Ok(socket.into())
}

impl Joined {
    fn none(name: &str) -> Self {
        let unopened = || Err(io::ErrorKind::NotConnected.into());
        Self { name: name.to_owned(), v4: unopened(), v6: unopened() }
    }
}

/// Errors that a socket has waiting are passed over, so that its waker is registered in the end.
fn poll_one(socket: &UdpSocket, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<(usize, SocketAddr)> {
    /// As many errors as may wait in a row: one for the device that is gone, and one to spare.
    const ERRORS_MAX: usize = 4;
    for _ in 0..ERRORS_MAX {
        let mut bytes = ReadBuf::new(buffer);
        match socket.poll_recv_from(context, &mut bytes) {
            Poll::Ready(Ok(from)) => return Poll::Ready((bytes.filled().len(), from)),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => return Poll::Pending,
        }
    }
    context.waker().wake_by_ref();
    Poll::Pending
}

fn open_v4(interface: &Interface) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Bound to the group, so that nothing but the group's datagrams comes in.
    prepare(&socket, interface, SocketAddr::V4(SocketAddrV4::new(GROUP_V4, PORT)))?;
    let index = InterfaceIndexOrAddress::Index(interface.index);
    socket.join_multicast_v4_n(&GROUP_V4, &index)?;
    socket.set_multicast_ttl_v4(TTL)?;
    UdpSocket::from_std(socket.into())
}

fn open_v6(interface: &Interface) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    prepare(&socket, interface, SocketAddr::V6(SocketAddrV6::new(GROUP_V6, PORT, 0, interface.index)))?;
    socket.join_multicast_v6(&GROUP_V6, interface.index)?;
    socket.set_multicast_if_v6(interface.index)?;
    socket.set_multicast_hops_v6(TTL)?;
    UdpSocket::from_std(socket.into())
}

/// Shared by address, which for multicast gives each program a copy; bound to the device, which since Linux 5.7 needs no
/// privilege.
fn prepare(socket: &Socket, interface: &Interface, group: SocketAddr) -> io::Result<()> {
    mark(socket)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.bind_device(Some(interface.name.as_bytes()))?;
    socket.bind(&group.into())
}
