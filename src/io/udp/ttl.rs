//! A datagram with a time to live of its own, told to the kernel beside the datagram itself: the socket's option would
//! also touch what another thread sends meanwhile.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use socket2::Socket;

/// Sends `bytes` to `remote`, to be dropped by the router that is `ttl` hops away.
pub(super) fn send(socket: &Socket, remote: SocketAddr, bytes: &[u8], ttl: u8) -> io::Result<()> {
    if ttl == 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let hops = i32::from(ttl);
    let control =
        if remote.is_ipv4() { ControlMessage::Ipv4Ttl(&hops) } else { ControlMessage::Ipv6HopLimit(&hops) };
    let address = SockaddrStorage::from(remote);
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(bytes)], &[control], MsgFlags::empty(), Some(&address))?;
    Ok(())
}
