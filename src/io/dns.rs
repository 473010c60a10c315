//! The sockets of the DNS server: UDP and TCP at one address, also before the machine has the address.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel accepts before we do; more of them try again.
const BACKLOG: i32 = 64;
/// Bytes of questions that may wait: some thousands, while nobody reads.
const RECEIVE_BUFFER_SIZE: usize = 1 << 20;
/// Attempts to find a port that is free for both, where any will do.
const ATTEMPTS_MAX: usize = 8;

/// Why names cannot be answered at an address.
#[derive(Debug, thiserror::Error)]
pub enum DnsBindError {
    /// Another program answers there.
    #[error(
        "names are not answered at {address}: another program has the port. \
         See who with `ss -lnp sport = :{port}`, and keep it off this address", port = address.port()
    )]
    InUse {
        /// Where.
        address: SocketAddr,
    },
    /// The port is a privileged one.
    #[error(
        "names are not answered at {address}: the port needs CAP_NET_BIND_SERVICE. \
             Run hopmesh as the service that `hopmesh service install` makes, or as root"
    )]
    NotPermitted {
        /// Where.
        address: SocketAddr,
    },
    /// Anything else the system said.
    #[error("names are not answered at {address}: {error}. See whether `dns.listen` is right")]
    Os {
        /// Where.
        address: SocketAddr,
        /// What it said.
        #[source]
        error: io::Error,
    },
}

/// Opens both sockets at `address`, non-blocking. Port 0 stands for any that is free for both.
///
/// # Errors
/// [`DnsBindError`].
pub fn bind(address: SocketAddr) -> Result<(UdpSocket, TcpListener), DnsBindError> {
    let mut attempts = if address.port() == 0 { ATTEMPTS_MAX } else { 1 };
    loop {
        attempts -= 1;
        match bind_both(address) {
            Err(error) if attempts == 0 || error.kind() != io::ErrorKind::AddrInUse => {
                return Err(refusal(error, address));
            }
            Err(_) => {}
            Ok(sockets) => return Ok(sockets),
        }
    }
}

fn bind_both(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let udp = open(address, Type::DGRAM, Protocol::UDP)?;
    // Without the privilege the kernel's own limit has to do.
    let _refused = set_socket_recv_buffer_size_force(&udp, RECEIVE_BUFFER_SIZE);
    udp.bind(&address.into())?;
    let udp = UdpSocket::from(udp);
    let tcp = open(address, Type::STREAM, Protocol::TCP)?;
    // The last connections of an earlier run are no reason to wait.
    tcp.set_reuse_address(true)?;
    tcp.bind(&udp.local_addr()?.into())?;
    tcp.listen(BACKLOG)?;
    Ok((udp, tcp.into()))
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_freebind_v6(true)?;
    } else {
        socket.set_freebind_v4(true)?;
    }
    Ok(socket)
}

fn refusal(error: io::Error, address: SocketAddr) -> DnsBindError {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ADDRINUSE) => DnsBindError::InUse { address },
        Some(Errno::ACCESS) => DnsBindError::NotPermitted { address },
        _ => DnsBindError::Os { address, error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_come_later() {
        // TEST-NET-1: nobody's.
        let (udp, tcp) = bind("192.0.2.1:0".parse().unwrap()).unwrap();
        assert_eq!(udp.local_addr().unwrap(), tcp.local_addr().unwrap());
        bind("[2001:db8::1]:0".parse().unwrap()).unwrap();
    }

    #[test]
    fn a_port_that_is_taken_for_either_is_refused_with_what_to_do() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        let error = bind(address).unwrap_err();
        assert!(matches!(error, DnsBindError::InUse { .. }));
        assert!(error.to_string().contains(&format!("sport = :{}", address.port())), "{error}");
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(matches!(bind(tcp.local_addr().unwrap()), Err(DnsBindError::InUse { .. })));
    }
}
