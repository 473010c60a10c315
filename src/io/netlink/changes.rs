//! "Something of the machine's network is different": netlink's multicast groups, many notices made one.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::Protocol;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// `RTMGRP_*` of linux/rtnetlink.h: links; IPv4's addresses, routes and rules; the same of IPv6. Each is a bit of a group's number less
/// one: the last is of `RTNLGRP_IPV6_RULE`, 19, which has no such name.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 1 << 18;
/// A cable pulled or a roaming laptop gives a dozen notices at once: look only when they have come.
const SETTLE: Duration = Duration::from_millis(100);
/// Notices thrown away before the caller is told: a storm of them may not keep it waiting for ever.
const NOTICES_MAX: usize = 4096;

/// A receiver of notices; what has changed is for the receiver to read anew.
#[derive(Debug)]
pub struct Changes {
    socket: AsyncFd<OwnedFd>,
    /// When what comes with a notice that has come will have come too.
    settled: Option<Instant>,
}

impl Changes {
    /// Of links, addresses, routes and rules.
    pub(super) fn of_routing() -> io::Result<Self> {
        // No protocol is number 0, which is NETLINK_ROUTE.
        Self::open(None, GROUPS)
    }

    /// Of groups of a protocol of netlink, a bit each.
    pub(in crate::io) fn open(protocol: Option<Protocol>, groups: u32) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        // SAFETY: the descriptor is owned by the `AsyncFd` from here on, and an `OwnedFd` names the same open file until it
        // is dropped, which `Changes` does only together with the `AsyncFd`.
        #[expect(unsafe_code, reason = "tokio asks that the descriptor stays open while it is registered")]
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?;
        Ok(Self { socket, settled: None })
    }

    /// Waits for the next change, then a moment for what comes with it. May be dropped at any point without losing a
    /// change, nor the time that was waited.
    ///
    /// # Errors
    /// When the runtime is shutting down or the socket broke.
    pub async fn next(&mut self) -> io::Result<()> {
        let mut readable = self.socket.readable().await?;
        // Whoever has something else to do more often than that would else begin to wait again each time.
        let settled = *self.settled.get_or_insert_with(|| Instant::now() + SETTLE);
        tokio::time::sleep_until(settled).await;
        self.settled = None;
        for _ in 0..NOTICES_MAX {
            // The content is of no interest, and what does not fit the buffer is thrown away by the kernel.
            let notice = readable
                .try_io(|socket| recv(socket, &mut [0u8; 16], RecvFlags::empty()).map_err(io::Error::from));
            match notice {
                Ok(Ok(_)) => {}
                // More notices than the socket holds: that there were some is all we need to know.
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {}
                Ok(Err(error)) => return Err(error),
                Err(_empty) => break,
            }
        }
        Ok(())
    }
}
