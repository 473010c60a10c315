//! Probes one after the other: from which sockets, to which addresses, at which pace.

use crate::limits::{CATCH_UP, PACES, ROUNDS_PER_PACE};
use crate::remote::SocketId;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Where the probes of a train go.
#[derive(Debug)]
pub(crate) enum Course {
    /// From the main socket to each of these.
    Each(Vec<SocketAddr>),
    /// From the main socket to each of these ports.
    Ports(IpAddr, Vec<u16>),
    /// From each of so many sockets, from this one on, to an address.
    Sockets(SocketId, u16, SocketAddr),
    /// From a socket to each of these ports, then from the next.
    Block(SocketId, IpAddr, Vec<u16>),
}

impl Course {
    /// Probes until it begins anew.
    fn length(&self) -> u32 {
        let length = match self {
            Self::Each(targets) => targets.len(),
            Self::Ports(_, ports) | Self::Block(_, _, ports) => ports.len(),
            Self::Sockets(_, count, _) => usize::from(*count),
        };
        u32::try_from(length).expect("at most 65,536 ports")
    }

    fn probe(&self, number: u32) -> (SocketId, SocketAddr) {
        let place = number % self.length();
        let round = u16::try_from(number / self.length()).unwrap_or(u16::MAX);
        match self {
            Self::Each(targets) => (SocketId::MAIN, targets[place as usize]),
            Self::Ports(ip, ports) => (SocketId::MAIN, SocketAddr::new(*ip, ports[place as usize])),
            Self::Sockets(first, _, target) => {
                let place = u16::try_from(place).expect("less than the number of sockets");
                (later(*first, place), *target)
            }
            Self::Block(first, ip, ports) => {
                (later(*first, round), SocketAddr::new(*ip, ports[place as usize]))
            }
        }
    }
}

/// The socket so many after this one.
pub(crate) fn later(first: SocketId, count: u16) -> SocketId {
    SocketId(first.0.saturating_add(count))
}

/// When the probes of a train go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// The whole course at once, again and again, ever slower.
    Rounds,
    /// One by one.
    Every(Duration),
}

/// Probes one after the other.
#[derive(Debug)]
pub(crate) struct Train {
    course: Course,
    pace: Pace,
    ttl: Option<u8>,
    /// `None`: as soon as anybody asks.
    due: Option<Instant>,
    sent: u32,
    count: u32,
}

impl Train {
    /// The rounds of section 5, point 6, from `start`.
    pub(crate) fn rounds(targets: Vec<SocketAddr>, start: Instant) -> Self {
        let rounds = ROUNDS_PER_PACE * u32::try_from(PACES.len()).expect("three");
        let course = Course::Each(targets);
        Self {
            count: course.length() * rounds,
            course,
            pace: Pace::Rounds,
            ttl: None,
            due: Some(start),
            sent: 0,
        }
    }

    /// `count` probes, this far apart; at once when no start is given.
    pub(crate) fn paced(course: Course, gap: Duration, count: u32, start: Option<Instant>) -> Self {
        let count = if course.length() == 0 { 0 } else { count };
        Self { course, pace: Pace::Every(gap), ttl: None, due: start, sent: 0, count }
    }

    /// Once along the course.
    pub(crate) fn once(course: Course, gap: Duration, start: Option<Instant>) -> Self {
        let count = course.length();
        Self::paced(course, gap, count, start)
    }

    /// With this TTL, so that the probes die on the way.
    pub(crate) fn with_ttl(mut self, ttl: u8) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// When the next probe is to go; `None` when all are sent.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        (self.sent < self.count).then(|| self.due.unwrap_or(now))
    }

    /// The next probe, which is due.
    pub(crate) fn next(&mut self, now: Instant) -> (SocketId, SocketAddr, Option<u8>) {
        let (socket, address) = self.course.probe(self.sent);
        self.sent += 1;
        // Who comes late makes up for a little only: a burst is what drops packets.
        let oldest = now.checked_sub(CATCH_UP).unwrap_or(now);
        let due = self.due.unwrap_or(now).max(oldest);
        self.due = Some(due + self.gap());
        (socket, address, self.ttl)
    }

    fn gap(&self) -> Duration {
        match self.pace {
            Pace::Every(gap) => gap,
            Pace::Rounds if !self.sent.is_multiple_of(self.course.length()) => Duration::ZERO,
            Pace::Rounds => {
                let round = self.sent / self.course.length() - 1;
                let pace = (round / ROUNDS_PER_PACE) as usize;
                PACES[pace.min(PACES.len() - 1)]
            }
        }
    }
}
