//! Fronts: what this node listens to for hosts that run nothing of ours, such as a printer beside it.
//!
//! ```text
//!   member ──mesh──▶ socket at our mesh address and the service's port ──▶ socket of our own ──office──▶ target
//! ```
//!
//! Everything is passed on in user space: a member that has IPv6 alone reaches a printer that has IPv4 alone, the target
//! sees a neighbour, and the kernel forwards nothing. It happens on a thread of its own, so that bulk data takes nothing
//! from the control thread, which opens sockets here and never waits for a target or a resolver.
//!
//! A front listens at the mesh addresses, and takes only what comes by the mesh's interface or from this machine itself:
//! by the address alone the office could come in as well, because Linux takes packets for any of its addresses by any of
//! its interfaces. Whoever comes by the mesh is a member, or a member's guest: that was checked where the packet was opened.
//!
//! Must never: listen anywhere else, pass on to a node of the network ([`Reach`] says why), or hold more than
//! `limits` says.

mod counters;
mod limits;
mod listening;
mod reach;
mod seats;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use overlay::{Publication, Target};
use tokio::sync::Semaphore;
use wire::Name;
use wire::service::{Protocol, Version};

use counters::Counters;
use limits::{
    ASSOCIATION_IDLE, ASSOCIATIONS_MAX, ASSOCIATIONS_PER_SOURCE_MAX, CONNECTIONS_MAX,
    CONNECTIONS_PER_SOURCE_MAX, FRONTS_MAX, WAITING_LENGTH_MAX,
};
use listening::{Front, Thread};
use seats::Room;

pub use counters::Counted;
pub use reach::{Reach, ReachError};

/// Which publication: a node has one of each name and version.
type Identity = (Name, Option<Version>);

/// Dropped when a socket is closed, whose port is free then.
type Presence = mpsc::Sender<Infallible>;

/// Why a front does not listen; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The port is another's.
    #[error(
        "port {port} of this machine's mesh address {ip} is taken: see by whom with `ss -lnp sport = :{port}`, and end that, \
         or give another --port, which need not be the target's",
        port = address.port(), ip = address.ip()
    )]
    InUse {
        /// Where.
        address: SocketAddr,
    },
    /// The port is a privileged one.
    #[error("port {port} needs root or CAP_NET_BIND_SERVICE: give another --port, which need not be the target's", port = address.port())]
    NotPermitted {
        /// Where.
        address: SocketAddr,
    },
    /// The target cannot be one.
    #[error("{0}")]
    Reach(#[from] ReachError),
    /// One more than there may be.
    #[error("a machine passes on at most {FRONTS_MAX} services: withdraw one of them first")]
    TooMany,
    /// Anything else the system said.
    #[error("nothing can listen at {address}: {error}")]
    Os {
        /// Where.
        address: SocketAddr,
        /// What it said.
        error: io::Error,
    },
    /// There can be no thread.
    #[error("there can be no thread for what is passed on: {0}")]
    Thread(io::Error),
}

/// How one front fares, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontView {
    /// Name of the service.
    pub name: Name,
    /// And its version.
    pub version: Option<Version>,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it listens, at the mesh addresses.
    pub port: u16,
    /// Where it leads.
    pub target: Target,
    /// Connections, or clients that speak UDP, at this moment.
    pub connections: usize,
    /// What was counted.
    pub counted: Counted,
    /// Why it does not listen everywhere.
    pub problem: Option<String>,
}

/// What all fronts have in common.
#[derive(Debug)]
struct Common {
    reach: Reach,
    connections: Room,
    associations: Room,
    /// Bytes of datagrams that may wait for a name to be resolved.
    waiting: Arc<Semaphore>,
    counters: Counters,
    idle: Duration,
}

/// All fronts of a node. They end with it.
#[derive(Debug)]
pub struct Fronts {
    running: BTreeMap<Identity, Front>,
    /// By which interfaces may come what is taken; `None`: by any.
    interfaces: Vec<Option<String>>,
    common: Arc<Common>,
    /// There once it was needed.
    thread: Option<Thread>,
}

impl Fronts {
    /// No front yet; later ones take what comes by `interface`, the mesh's, and from this machine.
    #[must_use]
    pub fn new(interface: &str, reach: Reach) -> Self {
        Self::by(vec![Some(interface.to_owned()), Some("lo".to_owned())], reach, ASSOCIATION_IDLE)
    }

    /// Tests have no mesh, and do not wait as long.
    fn by(interfaces: Vec<Option<String>>, reach: Reach, idle: Duration) -> Self {
        let common = Common {
            reach,
            connections: Room::new(CONNECTIONS_MAX, CONNECTIONS_PER_SOURCE_MAX),
            associations: Room::new(ASSOCIATIONS_MAX, ASSOCIATIONS_PER_SOURCE_MAX),
            waiting: Arc::new(Semaphore::new(WAITING_LENGTH_MAX)),
            counters: Counters::default(),
            idle,
        };
        Self { running: BTreeMap::new(), interfaces, common: Arc::new(common), thread: None }
    }

    /// What may be a target.
    #[must_use]
    pub fn reach(&self) -> &Reach {
        &self.common.reach
    }

    /// Listens for a publication that has a target, at these addresses from now on, in place of an earlier front of that
    /// name and version. Of a publication without a target nothing comes.
    ///
    /// # Errors
    /// [`FrontError`]; then it may listen at some of the addresses, or the earlier front be gone, and [`Fronts::keep`] has
    /// to follow.
    pub fn open(&mut self, publication: &Publication, addresses: &[IpAddr]) -> Result<(), FrontError> {
        let identity = identity(publication);
        let Some(target) = &publication.target else {
            self.running.remove(&identity);
            return Ok(());
        };
        self.common.reach.set_own(addresses);
        self.common.reach.check(target)?;
        let (protocol, port) = (publication.protocol, publication.port);
        if !self.running.get(&identity).is_some_and(|front| front.is_for(protocol, port, target)) {
            self.running.remove(&identity);
            if self.running.len() >= FRONTS_MAX {
                return Err(FrontError::TooMany);
            }
            let front = Front::new(protocol, port, target.clone(), self.common.clone());
            self.running.insert(identity.clone(), front);
        }
        let thread = match &mut self.thread {
            Some(thread) => thread,
            none => none.insert(Thread::start().map_err(FrontError::Thread)?),
        };
        let front = self.running.get_mut(&identity).expect("it was there, or was made just now");
        front.listen(thread, addresses, &self.interfaces)
    }

    /// Has fronts for these publications at these addresses, and no others. Those that cannot listen are tried again; why
    /// they cannot is a problem of [`Fronts::views`].
    pub fn keep<'a>(&mut self, publications: impl Iterator<Item = &'a Publication>, addresses: &[IpAddr]) {
        let wanted: BTreeMap<Identity, &Publication> = publications
            .filter(|publication| publication.target.is_some())
            .map(|publication| (identity(publication), publication))
            .collect();
        self.running.retain(|identity, front| {
            wanted.get(identity).is_some_and(|wanted| {
                wanted.target.as_ref().is_some_and(|to| front.is_for(wanted.protocol, wanted.port, to))
            })
        });
        for (identity, publication) in wanted {
            let problem = self.open(publication, addresses).err().map(|error| error.to_string());
            let Some(front) = self.running.get_mut(&identity) else { continue };
            if let Some(problem) = problem.as_ref().filter(|problem| front.problem.as_ref() != Some(problem))
            {
                tracing::warn!(service = %identity.0, "is not passed on: {problem}");
            }
            front.problem = problem;
        }
    }

    /// Whether what comes for a publication is passed on, at each of its addresses.
    #[must_use]
    pub fn is_open(&self, identity: &Identity) -> bool {
        self.running.get(identity).is_some_and(|front| front.problem.is_none())
    }

    /// How each front fares, by name.
    pub fn views(&self) -> impl Iterator<Item = FrontView> {
        self.running.iter().map(|((name, version), front)| FrontView {
            name: name.clone(),
            version: version.clone(),
            protocol: front.protocol,
            port: front.port,
            target: front.target.clone(),
            connections: front.taken(),
            counted: front.counters.counted(),
            problem: front.problem.clone(),
        })
    }

    /// What was counted since the start, also of fronts that are gone.
    #[must_use]
    pub fn counted(&self) -> Counted {
        self.common.counters.counted()
    }

    /// Connections, and clients that speak UDP, at this moment.
    #[must_use]
    pub fn taken(&self) -> (usize, usize) {
        (self.common.connections.taken(), self.common.associations.taken())
    }
}

fn identity(publication: &Publication) -> Identity {
    (publication.name.clone(), publication.version.clone())
}
