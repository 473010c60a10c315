//! What a worker sleeps on: its TUN queue, the UDP sockets and a [`Wake`], until one has something or a time is over.
//!
//! Four descriptors: one `poll` with its array on the stack is as quick as epoll here, and keeps no state.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use super::tun::Tun;
use super::udp::Udp;

/// Ends another thread's wait. Waking an awake thread makes its next wait end at once; many wakes are one.
#[derive(Debug)]
pub struct Wake {
    event: OwnedFd,
}

impl Wake {
    /// A new one, to be shared by `Arc`.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
    }

    /// Ends the current or the next wait of whoever waits on this.
    pub fn wake(&self) {
        // Fails only when the counter is full, and then a wake is on its way anyhow.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }

    fn clear(&self) {
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
    }
}

/// What a wait ended for; nothing of it when the time was over. An error on a descriptor counts as readiness, so that
/// the next read tells which.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready {
    /// A packet of this machine waits.
    pub tun: bool,
    /// A datagram over IPv4 waits.
    pub udp_v4: bool,
    /// A datagram over IPv6 waits.
    pub udp_v6: bool,
    /// Another thread called [`Wake::wake`]; it is taken note of, and the next wait sleeps again.
    pub wake: bool,
}

/// Sleeps until something is to be read or `timeout` is over; without a timeout, for as long as it takes.
///
/// # Errors
/// The kernel's own; a signal is none, it ends the wait with nothing ready.
pub fn wait(tun: &Tun, udp: &Udp, wake: &Wake, timeout: Option<Duration>) -> io::Result<Ready> {
    wait_on([Some(tun.as_fd()), Some(udp.v4_fd()), udp.v6_fd()], wake, timeout)
}

/// As [`wait`], without a TUN device.
///
/// # Errors
/// As [`wait`].
pub fn wait_udp(udp: &Udp, wake: &Wake, timeout: Option<Duration>) -> io::Result<Ready> {
    wait_on([None, Some(udp.v4_fd()), udp.v6_fd()], wake, timeout)
}

fn wait_on(
    sources: [Option<BorrowedFd<'_>>; 3],
    wake: &Wake,
    timeout: Option<Duration>,
) -> io::Result<Ready> {
    // A source that is absent is replaced by the wake, and not looked at.
    let present = sources.map(|fd| fd.is_some());
    let wake_fd = wake.event.as_fd();
    let mut fds = [sources[0], sources[1], sources[2], None]
        .map(|fd| PollFd::from_borrowed_fd(fd.unwrap_or(wake_fd), PollFlags::IN));
    // A timeout too long for the kernel is none.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(Ready::default()),
        Err(error) => return Err(error.into()),
    }
    let is_ready = |i: usize| !fds[i].revents().is_empty();
    let ready = Ready {
        tun: present[0] && is_ready(0),
        udp_v4: present[1] && is_ready(1),
        udp_v6: present[2] && is_ready(2),
        wake: is_ready(3),
    };
    if ready.wake {
        wake.clear();
    }
    Ok(ready)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::sync::Arc;

    use super::*;
    use crate::io::udp::{Family, ReceiveBuffers};

    #[test]
    fn a_wake_before_the_wait_is_not_lost_and_counts_once() {
        let (udp, wake) = (Udp::bind(0).unwrap(), Wake::new().unwrap());
        wake.wake();
        wake.wake();
        let ready = wait_udp(&udp, &wake, None).unwrap();
        assert_eq!(ready, Ready { wake: true, ..Ready::default() });
        assert_eq!(wait_udp(&udp, &wake, Some(Duration::ZERO)).unwrap(), Ready::default());
    }

    #[test]
    fn another_thread_ends_the_wait() {
        let (udp, wake) = (Udp::bind(0).unwrap(), Arc::new(Wake::new().unwrap()));
        let other = std::thread::spawn({
            let wake = Arc::clone(&wake);
            move || wake.wake()
        });
        assert!(wait_udp(&udp, &wake, None).unwrap().wake);
        other.join().unwrap();
    }

    #[test]
    fn each_socket_is_told_apart() {
        let (udp, wake) = (Udp::bind(0).unwrap(), Wake::new().unwrap());
        let mut buffers = ReceiveBuffers::new();
        udp.send((Ipv4Addr::LOCALHOST, udp.port()).into(), b"x").unwrap();
        let ready = wait_udp(&udp, &wake, None).unwrap();
        assert_eq!(ready, Ready { udp_v4: true, ..Ready::default() });
        assert_eq!(udp.receive(Family::V4, &mut buffers, |_, _| {}).unwrap(), 1);
        udp.send((Ipv6Addr::LOCALHOST, udp.port()).into(), b"x").unwrap();
        let ready = wait_udp(&udp, &wake, None).unwrap();
        assert_eq!(ready, Ready { udp_v6: true, ..Ready::default() });
    }

    #[test]
    fn a_wait_ends_when_its_time_is_over() {
        let (udp, wake) = (Udp::bind(0).unwrap(), Wake::new().unwrap());
        let ready = wait_udp(&udp, &wake, Some(Duration::from_millis(5))).unwrap();
        assert_eq!(ready, Ready::default());
    }
}
