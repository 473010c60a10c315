//! The mark of what carries the mesh itself: packets with it take the machine's own routes, whatever the mesh routes.

use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::{setsockopt, sockopt};

/// The mark (`SO_MARK`, socket(7)): "HM" in ASCII, one for all networks of a machine, none of which carries another's.
pub const MARK: u32 = 0x484d;

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
