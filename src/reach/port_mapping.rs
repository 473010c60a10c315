//! The port that the router maps to ours: asked for, kept, and given back.
//!
//! An actor of its own, because routers take seconds to answer. It asks the default gateway by PCP, NAT-PMP and
//! UPnP, in this order, and keeps the first mapping it gets. The driver tells it of the network and hears events:
//!
//! ```text
//! PortMapping::start ─▶ set_network ─▶ next_event: Asking, Mapped, Mapped (renewed), Lost … ─▶ close
//! ```
//!
//! Must never: ask anybody but the gateway of the default route, map another port than ours, or believe that a mapping
//! works: it is a candidate like any other.

mod actor;
mod nat_pmp;
mod pcp;
mod report;
mod router;
mod upnp;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use report::{Answer, Outcome, Report};

use super::limits::{CLOSE_WAIT, EVENTS_MAX, LEASE};

/// How a router is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// The Port Control Protocol (RFC 6887).
    Pcp,
    /// The NAT Port Mapping Protocol (RFC 6886).
    NatPmp,
    /// UPnP's Internet Gateway Device.
    Upnp,
}

impl Protocol {
    /// All of them, in the order in which a router is asked: those that answer at once and say most come first.
    pub const ALL: [Self; 3] = [Self::Pcp, Self::NatPmp, Self::Upnp];

    /// Its name, for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pcp => "PCP",
            Self::NatPmp => "NAT-PMP",
            Self::Upnp => "UPnP",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Params {
    /// The UDP port of the data socket. The same port is wished for outside; routers may give another.
    pub port: NonZeroU16,
    /// The lease that is asked for; routers may give another.
    pub lease: Duration,
    /// Which protocols are tried, in this order.
    pub protocols: Vec<Protocol>,
}

impl Params {
    /// Everything as usual, for `port`.
    #[must_use]
    pub fn new(port: NonZeroU16) -> Self {
        Self { port, lease: LEASE, protocols: Protocol::ALL.to_vec() }
    }
}

/// Whom to ask, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The gateway of the IPv4 default route.
    pub gateway: Ipv4Addr,
    /// Our address towards it.
    pub local: Ipv4Addr,
}

/// A mapping that the router gave us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// The address and port outside.
    pub external: SocketAddr,
    /// How it was given.
    pub protocol: Protocol,
    /// When it ends unless renewed; `None`: when it is given back.
    pub expires: Option<Instant>,
}

impl Mapping {
    /// Whether the address outside is one that the internet cannot reach: another NAT is in front of the router. Peers
    /// behind that same NAT can use the mapping all the same.
    #[must_use]
    pub fn is_behind_another_nat(&self) -> bool {
        !report::is_public(self.external.ip())
    }
}

/// What the driver hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// There is a mapping: new, renewed, or at another address or port than before.
    Mapped(Mapping),
    /// The mapping that was there is gone.
    Lost,
    /// What `netcheck` shows changed.
    State(Report),
}

/// The actor, from outside. Dropping it ends it at once and leaves the mapping to its lease; see [`PortMapping::close`].
#[derive(Debug)]
pub struct PortMapping {
    network: watch::Sender<Option<Network>>,
    events: mpsc::Receiver<Event>,
    /// Dropped or sent: the end.
    closing: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl PortMapping {
    /// Starts a task of the current tokio runtime, which needs its time and its input and output enabled. Nothing is asked
    /// before the network is known.
    #[must_use]
    pub fn start(params: Params) -> Self {
        let (network, network_told) = watch::channel(None);
        let (events_out, events) = mpsc::channel(EVENTS_MAX);
        let (closing, closed) = oneshot::channel();
        let task = tokio::spawn(actor::run(params, network_told, events_out, closed));
        Self { network, events, closing: Some(closing), task }
    }

    /// Tells of the network at the start and after each change of addresses or routes; `None` without an IPv4 default
    /// route. Telling the same again lets the router be asked again, within limits: another network may look the same.
    pub fn set_network(&self, network: Option<Network>) {
        self.network.send_replace(network);
    }

    /// The next event. Waits for ever when there is none; can be cancelled and called again without losing any.
    pub async fn next_event(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // The task ends before its handle only by a panic, which the log shows.
            None => std::future::pending().await,
        }
    }

    /// Gives the mapping back and ends the actor: 2 s at most, and 4 s when an answer is awaited right now.
    pub async fn close(mut self) {
        self.events.close();
        drop(self.closing.take());
        // Twice: an answer that is under way, and the giving back.
        let _late = tokio::time::timeout(CLOSE_WAIT * 2, &mut self.task).await;
    }
}

impl Drop for PortMapping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
