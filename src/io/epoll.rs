//! A set of descriptors of which the kernel says which are readable, at a cost that goes by the ready ones, not by all.
//!
//! Level-triggered: what is not read to its end is told again. Descriptors come and go from any thread, also while
//! another one sleeps on the set. A set never owns what is in it, and never says more than that a read is worth it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use overlay::SocketId;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use super::udp::Family;

/// What is readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// The TUN queue.
    Tun,
    /// The wake of the thread that sleeps.
    Wake,
    /// One of the UDP sockets.
    Udp(SocketId, Family),
}

/// Above every socket's number and its bit for the family.
const TUN: u64 = 1 << 32;
const WAKE: u64 = 2 << 32;

impl Token {
    fn to_u64(self) -> u64 {
        match self {
            Self::Tun => TUN,
            Self::Wake => WAKE,
            Self::Udp(SocketId(id), family) => u64::from(id) << 1 | u64::from(family == Family::V6),
        }
    }

    fn from_u64(data: u64) -> Self {
        match data {
            TUN => Self::Tun,
            WAKE => Self::Wake,
            udp => {
                let id = u16::try_from(udp >> 1).expect("only what `to_u64` gave is in a set");
                Self::Udp(SocketId(id), if udp & 1 == 1 { Family::V6 } else { Family::V4 })
            }
        }
    }
}

/// Room for what is ready at once: made once, used for every wait.
pub(super) struct Events(Vec<Event>);

impl Events {
    /// Room for `count` descriptors; of more than that, some are told by the next wait.
    pub(super) fn with_room_for(count: usize) -> Self {
        let none = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        Self(vec![none; count])
    }
}

/// The set.
#[derive(Debug)]
pub(super) struct Epoll {
    fd: OwnedFd,
}

impl Epoll {
    /// An empty set.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { fd: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Takes `source` into the set. A thread that sleeps on the set wakes if `source` is readable.
    ///
    /// # Errors
    /// When it is in the set already, or the kernel has no memory for it.
    pub(super) fn add(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::add(&self.fd, source, EventData::new_u64(token.to_u64()), EventFlags::IN)?)
    }

    /// Takes `source` out of the set; does nothing when it is not in there.
    pub(super) fn remove(&self, source: impl AsFd) {
        let _absent = epoll::delete(&self.fd, source);
    }

    /// Sleeps until something is ready or `timeout` is over, and tells `each` what is; nothing after a signal. An error
    /// of a descriptor counts as readiness, so that the next read tells which.
    ///
    /// # Errors
    /// The kernel's own.
    pub(super) fn wait(
        &self,
        events: &mut Events,
        timeout: Option<Duration>,
        mut each: impl FnMut(Token),
    ) -> io::Result<()> {
        // A timeout too long for the kernel is none.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let count = match epoll::wait(&self.fd, &mut *events.0, timeout.as_ref()) {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &events.0[..count] {
            let data = event.data;
            each(Token::from_u64(data.u64()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_comes_back_as_itself() {
        let sockets = [0, 1, 2, 301, u16::MAX].map(SocketId);
        let udp = sockets.into_iter().flat_map(|id| [Family::V4, Family::V6].map(|f| Token::Udp(id, f)));
        for token in [Token::Tun, Token::Wake].into_iter().chain(udp) {
            assert_eq!(Token::from_u64(token.to_u64()), token);
        }
    }
}
