//! The mark of what carries the mesh itself: packets with it take the machine's own routes, whatever the mesh routes.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};

use nix::sys::socket::{SockType, SockaddrStorage, getsockname, getsockopt, setsockopt, sockopt};

/// The mark (`SO_MARK`, socket(7)): "HM" in ASCII, one for all networks of a machine, none of which carries another's.
pub const MARK: u32 = 0x484d;

/// Marks what a socket of this process at a UDP port sends, where a library has made it and does not give it away.
///
/// # Errors
/// The kernel's own; [`io::ErrorKind::NotFound`] when there is no such socket.
pub fn mark_port(port: u16) -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else {
            continue;
        };
        // SAFETY: not -1. Whatever the number means by now, it is only asked for its address, and told to mark what it sends when
        // it is a socket at that port.
        #[expect(unsafe_code, reason = "the socket is a library's, which gives only its address")]
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let is_datagrams =
            getsockopt(&descriptor, sockopt::SockType).is_ok_and(|kind| kind == SockType::Datagram);
        let at = || {
            getsockname::<SockaddrStorage>(number)
                .ok()
                .and_then(|name| name.as_sockaddr_in().map(|v4| v4.port()))
        };
        if is_datagrams && at() == Some(port) {
            return mark(&descriptor);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Marks all that a socket sends. Without the privilege, which no test needs, its packets go like any other's.
///
/// # Errors
/// The kernel's own, but for EPERM.
pub fn mark(socket: &impl AsFd) -> io::Result<()> {
    match setsockopt(&socket.as_fd(), sockopt::Mark, &MARK) {
        Err(nix::errno::Errno::EPERM) => Ok(()),
        outcome => Ok(outcome?),
    }
}
