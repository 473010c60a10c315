//! Sockets that take only what comes by one interface: TCP or UDP at one address, also before the machine has the address.
//!
//! Linux takes a packet for any of its addresses by any of its interfaces (the weak host model of RFC 1122 section
//! 3.3.4.2), so an address alone keeps nobody out.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Connections that the kernel accepts before we do; more of them try again.
const BACKLOG: i32 = 128;
/// A connection that is silent for so long is asked whether it is still there...
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// ...so often...
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// ...and so many times: what has vanished is given up after two minutes.
const KEEPALIVE_RETRIES: u32 = 4;

/// Listens for connections at `address` that come by `interface`; by any where none is given.
///
/// # Errors
/// The system's own.
pub fn listen(address: SocketAddr, interface: Option<&str>) -> io::Result<TcpListener> {
    let socket = open(address, interface, Type::STREAM, Protocol::TCP)?;
    // The last connections of an earlier run are no reason to wait.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes datagrams at `address` that come by `interface`; by any where none is given.
///
/// # Errors
/// The system's own.
pub fn receive(address: SocketAddr, interface: Option<&str>) -> io::Result<UdpSocket> {
    let socket = open(address, interface, Type::DGRAM, Protocol::UDP)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn open(address: SocketAddr, interface: Option<&str>, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    // First of all: two sockets at one address do not clash when their interfaces differ.
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_freebind_v6(true)?;
    } else {
        socket.set_freebind_v4(true)?;
    }
    Ok(socket)
}

/// Has what is written sent at once, and a connection end whose other end has vanished.
///
/// # Errors
/// The system's own.
pub fn prepare(stream: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive)
}

/// Has a connection end by a reset when it is closed, whatever is still on its way: its other end is to know at once.
pub fn reset_when_closed(stream: &impl AsFd) {
    // Without it, it ends politely.
    let _refused = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Why nothing listens, as far as a system error says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Another socket has the port.
    InUse,
    /// The port is a privileged one.
    NotPermitted,
    /// The machine has no addresses of this family.
    NoFamily,
    /// Anything else.
    Other,
}

/// What kind of obstacle an error of [`listen`] or [`receive`] is.
#[must_use]
pub fn obstacle(error: &io::Error) -> Obstacle {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ADDRINUSE) => Obstacle::InUse,
        Some(Errno::ACCESS) => Obstacle::NotPermitted,
        Some(Errno::AFNOSUPPORT) => Obstacle::NoFamily,
        _ => Obstacle::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn an_address_may_come_later_and_a_port_is_taken_once() {
        // TEST-NET-1: nobody's.
        let address = listen("192.0.2.1:0".parse().unwrap(), None).unwrap().local_addr().unwrap();
        assert_ne!(address.port(), 0);
        let first = receive("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let second = receive(first.local_addr().unwrap(), None).unwrap_err();
        assert_eq!(obstacle(&second), Obstacle::InUse);
        let first = listen("[::1]:0".parse().unwrap(), None).unwrap();
        let second = listen(first.local_addr().unwrap(), None).unwrap_err();
        assert_eq!(obstacle(&second), Obstacle::InUse);
    }

    #[test]
    fn who_is_reset_knows_it() {
        let (near, mut far) = pair();
        prepare(&near).unwrap();
        assert!(near.nodelay().unwrap());
        reset_when_closed(&near);
        drop(near);
        assert_eq!(far.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
