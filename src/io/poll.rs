//! What a worker sleeps on: its TUN queue, the UDP sockets and a [`Wake`], until one has something or a time is over.
//!
//! The UDP sockets are a set that [`Udp`] keeps, because spare ones come and go on another thread; a [`Poll`] adds the
//! TUN and the wake to it. One system call a round, whose cost goes by what is ready.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use overlay::SocketId;
use rustix::event::{EventfdFlags, eventfd};

use super::epoll::{Epoll, Events, Token};
use super::tun::Tun;
use super::udp::{Family, Lane, SPARES_MAX, Udp};

/// TUN, wake, and two sockets in two families besides the spares: all may be ready at once, so that nothing starves.
const EVENTS_MAX: usize = SPARES_MAX + 6;

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
pub struct Ready<'a> {
    /// A packet of this machine waits.
    pub tun: bool,
    /// A datagram over IPv4 waits at the main socket.
    pub udp_v4: bool,
    /// A datagram over IPv6 waits at the main socket.
    pub udp_v6: bool,
    /// Another thread called [`Wake::wake`]; it is taken note of, and the next wait sleeps again.
    pub wake: bool,
    /// Datagrams wait at these other sockets, spare ones and those on the test port: whoever does not take them
    /// ([`Udp::receive_on`]) is told again. One that was closed meanwhile may still be named.
    pub others: &'a [(SocketId, Family)],
}

/// What one thread sleeps on. There is one at a time for a [`Udp`] or a [`Lane`]: two would take each other's wakes.
pub struct Poll<'a> {
    tun: Option<&'a Tun>,
    epoll: &'a Epoll,
    wake: &'a Wake,
    events: Events,
    others: Vec<(SocketId, Family)>,
}

impl<'a> Poll<'a> {
    /// Prepares to sleep on all of these; the TUN may not be there yet.
    ///
    /// # Errors
    /// When the kernel has no memory for it.
    pub fn new(tun: Option<&'a Tun>, udp: &'a Udp, wake: &'a Wake) -> io::Result<Self> {
        Self::on(udp.epoll(), tun, wake)
    }

    /// As [`Poll::new`], for the thread of a further lane.
    ///
    /// # Errors
    /// When the kernel has no memory for it.
    pub fn new_on_lane(tun: &'a Tun, lane: &'a Lane, wake: &'a Wake) -> io::Result<Self> {
        Self::on(lane.epoll(), Some(tun), wake)
    }

    fn on(epoll: &'a Epoll, tun: Option<&'a Tun>, wake: &'a Wake) -> io::Result<Self> {
        let (events, others) = (Events::with_room_for(EVENTS_MAX), Vec::with_capacity(EVENTS_MAX));
        let poll = Self { tun, epoll, wake, events, others };
        poll.epoll.add(&wake.event, Token::Wake)?;
        if let Some(tun) = tun {
            poll.epoll.add(tun, Token::Tun)?;
        }
        Ok(poll)
    }

    /// Sleeps until something is to be read or `timeout` is over; without a timeout, for as long as it takes.
    ///
    /// # Errors
    /// The kernel's own; a signal is none, it ends the wait with nothing ready.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Ready<'_>> {
        let (mut ready, others) = (Ready::default(), &mut self.others);
        others.clear();
        self.epoll.wait(&mut self.events, timeout, |token| match token {
            Token::Tun => ready.tun = true,
            Token::Wake => ready.wake = true,
            Token::Udp(SocketId::MAIN, Family::V4) => ready.udp_v4 = true,
            Token::Udp(SocketId::MAIN, Family::V6) => ready.udp_v6 = true,
            Token::Udp(socket, family) => others.push((socket, family)),
        })?;
        if ready.wake {
            self.wake.clear();
        }
        Ok(Ready { others: &self.others, ..ready })
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        self.epoll.remove(&self.wake.event);
        if let Some(tun) = self.tun {
            self.epoll.remove(tun);
        }
    }
}

#[cfg(test)]
mod tests;
