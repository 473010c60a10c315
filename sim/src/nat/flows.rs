//! What a NAT remembers: which inner socket talks to which remote one by which port, and until when.
//!
//! It decides nothing: neither which port a flow gets nor who gets in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Flows of one NAT: as many as Linux allows by default on a router of 256 MB, and room for several hard punches.
pub(super) const FLOWS_MAX: usize = 16_384;
/// Flows that have ended are removed this often; until then they only count for nothing.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// One flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    /// What the remote side sees.
    pub(super) outer: SocketAddr,
    /// Whether another one holds for all other flows of the inner socket: a stranger had taken that.
    pub(super) is_displaced: bool,
    last: Instant,
    sent: bool,
    received: bool,
}

/// Which way a datagram went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Out,
    In,
}

/// All flows of one NAT.
#[derive(Debug)]
pub(super) struct Flows {
    unreplied: Duration,
    replied: Duration,
    /// By inner and remote socket.
    flows: BTreeMap<(SocketAddr, SocketAddr), Flow>,
    /// The inner socket, by what the remote socket sees, and that.
    owners: BTreeMap<(SocketAddr, SocketAddr), SocketAddr>,
    swept: Option<Instant>,
}

impl Flows {
    pub(super) fn new(unreplied: Duration, replied: Duration) -> Self {
        Self { unreplied, replied, flows: BTreeMap::new(), owners: BTreeMap::new(), swept: None }
    }

    pub(super) fn clear(&mut self) {
        self.flows.clear();
        self.owners.clear();
    }

    pub(super) fn count(&self) -> usize {
        self.flows.len()
    }

    fn is_alive(&self, flow: &Flow, now: Instant) -> bool {
        let lifetime = if flow.sent && flow.received { self.replied } else { self.unreplied };
        now < flow.last + lifetime
    }

    /// The flow between two sockets.
    pub(super) fn between(&self, inner: SocketAddr, remote: SocketAddr, now: Instant) -> Option<Flow> {
        self.flows.get(&(inner, remote)).copied().filter(|flow| self.is_alive(flow, now))
    }

    /// What some remote sockets see of an inner one, but where that was displaced.
    pub(super) fn outer_of(&self, inner: SocketAddr, to: Remotes, now: Instant) -> Option<SocketAddr> {
        let (least, most) = to.bounds();
        let mut flows = self.flows.range((inner, least)..=(inner, most)).map(|(_, flow)| flow);
        flows.find(|flow| !flow.is_displaced && self.is_alive(flow, now)).map(|flow| flow.outer)
    }

    /// The inner sockets that some remote sockets see as this.
    pub(super) fn owners(
        &self,
        outer: SocketAddr,
        seen_by: Remotes,
        now: Instant,
    ) -> impl Iterator<Item = SocketAddr> + '_ {
        let is_alive = move |(remote, inner): &(SocketAddr, SocketAddr)| {
            self.flows.get(&(*inner, *remote)).is_some_and(|flow| self.is_alive(flow, now))
        };
        let entries = self.owners.range(seen_by.range(outer));
        entries.map(|((_, remote), inner)| (*remote, *inner)).filter(is_alive).map(|(_, inner)| inner)
    }

    /// Notes a datagram of a flow that is there.
    pub(super) fn refresh(&mut self, inner: SocketAddr, remote: SocketAddr, way: Way, now: Instant) {
        if let Some(flow) = self.flows.get_mut(&(inner, remote)) {
            flow.last = now;
            *(if way == Way::Out { &mut flow.sent } else { &mut flow.received }) = true;
        }
    }

    /// Begins a flow in the place of what was between the two sockets; whether there was room. Nobody else must have
    /// `outer` towards the remote socket.
    pub(super) fn begin(
        &mut self,
        (inner, remote): (SocketAddr, SocketAddr),
        (outer, is_displaced): (SocketAddr, bool),
        way: Way,
        now: Instant,
    ) -> bool {
        self.sweep(now);
        if self.flows.len() >= FLOWS_MAX {
            return false;
        }
        let (sent, received) = (way == Way::Out, way == Way::In);
        let flow = Flow { outer, is_displaced, last: now, sent, received };
        if let Some(ended) = self.flows.insert((inner, remote), flow) {
            self.owners.remove(&(ended.outer, remote));
        }
        if let Some(other) = self.owners.insert((outer, remote), inner)
            && other != inner
        {
            self.flows.remove(&(other, remote));
        }
        true
    }

    /// Removes what has ended, now and then, or when there is no room.
    fn sweep(&mut self, now: Instant) {
        let is_due = self.swept.is_none_or(|swept| now >= swept + SWEEP_INTERVAL);
        if is_due || self.flows.len() >= FLOWS_MAX {
            self.swept = Some(now);
            let ended: Vec<_> = self
                .flows
                .iter()
                .filter(|(_, flow)| !self.is_alive(flow, now))
                .map(|(key, _)| *key)
                .collect();
            for key in ended {
                if let Some(flow) = self.flows.remove(&key) {
                    self.owners.remove(&(flow.outer, key.1));
                }
            }
        }
    }
}

/// Some remote sockets.
#[derive(Debug, Clone, Copy)]
pub(super) enum Remotes {
    /// All of them.
    All,
    /// Those of one address.
    Of(IpAddr),
    /// This one.
    One(SocketAddr),
}

impl Remotes {
    /// The lowest and the highest of them in the order of socket addresses: family, address, port.
    fn bounds(self) -> (SocketAddr, SocketAddr) {
        let highest = SocketAddrV6::new(Ipv6Addr::from_bits(u128::MAX), u16::MAX, u32::MAX, u32::MAX);
        match self {
            Self::All => (SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), SocketAddr::V6(highest)),
            Self::Of(ip) => (SocketAddr::new(ip, 0), SocketAddr::new(ip, u16::MAX)),
            Self::One(remote) => (remote, remote),
        }
    }

    fn range(self, outer: SocketAddr) -> RangeInclusive<(SocketAddr, SocketAddr)> {
        let (least, most) = self.bounds();
        (outer, least)..=(outer, most)
    }
}
