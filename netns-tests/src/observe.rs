//! What a NAT does, measured by plain UDP sockets on both sides of it, in the words of RFC 4787.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::Machine;

/// A datagram that is not dropped arrives within this, also on a busy machine.
const ARRIVES: Duration = Duration::from_secs(5);
/// What was sent earlier on another way arrives so long after what was sent last, at most.
const STRAGGLES: Duration = Duration::from_millis(50);
/// Fresh sockets whose ports are compared: in a block of ports the extremes are more than half of it apart then.
const SOCKETS: u16 = 24;
/// The ports that sockets of a measurement have, from here on. They are always the same, because a NAT that computes a
/// port and finds it taken drops the packet: with other ports each time, one run in some dozens would fail.
const FIRST_PORT: u16 = 41_000;
/// Ports of a NAT are called random when they are further apart than in the largest usual block.
const LARGEST_BLOCK: u16 = 4096;

/// What of the other end something depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependence {
    /// Nothing.
    Endpoint,
    /// Its address.
    Address,
    /// Its address and port.
    AddressAndPort,
}

/// How a NAT chooses ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// The socket's own.
    Preserved,
    /// Others, by no visible rule.
    Translated,
    /// Each one above the last.
    Sequential,
    /// Any of a block of so many, a power of two.
    Block(u16),
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// What the mapping of a socket depends on.
    pub mapping: Dependence,
    /// What it depends on whether a datagram to a mapping is let in.
    pub filtering: Dependence,
    /// How ports are chosen.
    pub ports: Ports,
    /// The address that all mappings have.
    pub address: Ipv4Addr,
}

/// Sockets out in the open: two ports of one address, and another address.
pub struct Outside {
    /// The socket that is talked to first.
    pub near: UdpSocket,
    /// Of the same address as `near`.
    pub beside: UdpSocket,
    /// Of another address.
    pub far: UdpSocket,
}

impl Outside {
    /// Sockets on two public machines.
    #[must_use]
    pub fn new(one: &Machine, other: &Machine) -> Self {
        Self { near: one.udp(), beside: one.udp(), far: other.udp() }
    }

    /// Measures what is between here and a machine.
    ///
    /// # Panics
    /// When datagrams do not get out at all, or mappings are of different addresses.
    #[must_use]
    pub fn observe(&self, machine: &Machine) -> Observed {
        let [one, other] = [0, 1].map(|n| machine.udp_on(FIRST_PORT + n));
        let (mapping, address) = self.mapping(&one);
        let (filtering, ports) = (self.filtering(&other), self.ports(machine, mapping));
        Observed { mapping, filtering, ports, address }
    }

    fn mapping(&self, inside: &UdpSocket) -> (Dependence, Ipv4Addr) {
        let [near, beside, far] = [&self.near, &self.beside, &self.far].map(|to| mapping(inside, to));
        assert!(near.ip() == beside.ip() && near.ip() == far.ip(), "{near} {beside} {far}");
        let SocketAddr::V4(v4) = near else { panic!("{near} is not IPv4") };
        let dependence = match (near == beside, near == far) {
            (true, true) => Dependence::Endpoint,
            (true, false) => Dependence::Address,
            (false, _) => Dependence::AddressAndPort,
        };
        (dependence, *v4.ip())
    }

    fn filtering(&self, inside: &UdpSocket) -> Dependence {
        let mapped = mapping(inside, &self.near);
        let strangers = [(&self.far, Dependence::Endpoint), (&self.beside, Dependence::Address)];
        for (stranger, dependence) in strangers {
            if gets_in(stranger, &self.near, mapped, inside) {
                return dependence;
            }
        }
        Dependence::AddressAndPort
    }

    fn ports(&self, machine: &Machine, mapping_is: Dependence) -> Ports {
        let sockets: Vec<UdpSocket> = (2..2 + SOCKETS).map(|n| machine.udp_on(FIRST_PORT + n)).collect();
        let seen: Vec<u16> = sockets.iter().map(|socket| mapping(socket, &self.near).port()).collect();
        let own = sockets.iter().map(|socket| socket.local_addr().expect("bound").port());
        if own.eq(seen.iter().copied()) {
            return Ports::Preserved;
        }
        if seen.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1])) {
            return Ports::Sequential;
        }
        let (low, high) = (seen.iter().min().expect("some"), seen.iter().max().expect("some"));
        match (high - low).checked_next_power_of_two() {
            Some(size) if size <= LARGEST_BLOCK && mapping_is == Dependence::AddressAndPort => {
                Ports::Block(size)
            }
            _ => Ports::Translated,
        }
    }
}

impl Machine {
    /// A UDP socket of this machine, any port, IPv4, that waits only so long for a datagram.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn udp(&self) -> UdpSocket {
        self.udp_on(0)
    }

    /// As [`Machine::udp`], with a port.
    ///
    /// # Panics
    /// When the port is taken.
    #[must_use]
    pub fn udp_on(&self, port: u16) -> UdpSocket {
        let address = self.underlay4().expect("measured over IPv4");
        let socket = self.enter(|| UdpSocket::bind((address, port)).expect("a free port"));
        socket.set_read_timeout(Some(ARRIVES)).expect("not zero");
        socket
    }
}

/// Where a datagram seems to come from that `inside` sends to `outside`.
///
/// # Panics
/// When it does not arrive.
#[must_use]
pub fn mapping(inside: &UdpSocket, outside: &UdpSocket) -> SocketAddr {
    let mark = inside.local_addr().expect("bound").to_string();
    inside.send_to(mark.as_bytes(), outside.local_addr().expect("bound")).expect("there is a route");
    let mut buffer = [0; 64];
    loop {
        match outside.recv_from(&mut buffer) {
            Ok((size, from)) if &buffer[..size] == mark.as_bytes() => return from,
            Ok(_) => {}
            Err(error) => panic!("what {mark} sends does not get out: {error}"),
        }
    }
}

/// Is a datagram of `stranger` to `mapped` let in to `inside`? `known` has a way in and proves that there still is one.
///
/// # Panics
/// When not even `known` gets in.
#[must_use]
pub fn gets_in(stranger: &UdpSocket, known: &UdpSocket, mapped: SocketAddr, inside: &UdpSocket) -> bool {
    stranger.send_to(b"stranger", mapped).expect("there is a route");
    known.send_to(b"known", mapped).expect("there is a route");
    let heard = heard_until(inside, b"known");
    heard.iter().any(|datagram| datagram == b"stranger")
}

/// Everything that a socket hears before `last`, and shortly after.
///
/// # Panics
/// When `last` does not come.
#[must_use]
pub fn heard_until(socket: &UdpSocket, last: &[u8]) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        let size = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("the last does not come: {error}"));
        if &buffer[..size] == last {
            break;
        }
        heard.push(buffer[..size].to_vec());
    }
    socket.set_read_timeout(Some(STRAGGLES)).expect("not zero");
    while let Some(datagram) = hears(socket) {
        heard.push(datagram);
    }
    socket.set_read_timeout(Some(ARRIVES)).expect("not zero");
    heard
}

/// The next datagram of a socket; `None` when it waited in vain.
///
/// # Panics
/// When the socket is broken.
#[must_use]
pub fn hears(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 2048];
    loop {
        match socket.recv(&mut buffer) {
            Ok(size) => return Some(buffer[..size].to_vec()),
            // A debugger or a stopped machine, not the socket.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
            Err(error) => panic!("a socket broke: {error}"),
        }
    }
}
