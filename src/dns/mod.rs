//! The DNS server: the zone as programs ask for it, at the node's own addresses.
//!
//! ```text
//!   zone (arc-swap) ──▶ authority: name → meaning → records ──▶ message: bytes ⇄ records ──▶ server: udp, tcp
//! ```
//!
//! The first two are pure; the server is a thread of its own, so that a flood of questions takes nothing from the control
//! thread. Only names of our own [`Domain`] are answered, to this machine and to the mesh; all others are refused. For whom the
//! daemon names by [`Forwarding::permit`], and for nobody else, other names are passed on to the host's own resolvers (`forward`,
//! which says who is answered what).
//!
//! | name, below `<network>.<suffix>` | what is there |
//! |---|---|
//! | `<node>` | A, AAAA |
//! | `<guest>`, `<guest>.<node>` | A, AAAA |
//! | `<service>` | of all instances that are well, the nearest first: A, AAAA, SRV, TXT |
//! | `<service>.<node>`, `<node>.<service>` | the same of the instance on that node |
//! | `v<version>.<service>` | the same of that version, dots as hyphens: `v1-4.web` |
//! | `<any host name>.<service>` | as `<service>` |
//! | `_<service>._tcp`, `_<type>._tcp` (`_udp`) | SRV; PTR to browse. `<type>` is an instance's label `type`, such as `http` |
//! | `<service> on <node>._<type>._tcp` | SRV, TXT; with a version `<service> <version> on <node>` |
//! | `_services._dns-sd._udp`, `b._dns-sd._udp`, `lb._dns-sd._udp` | PTR (RFC 6763) |
//! | reverse names of mesh addresses | PTR |
//!
//! Where a node holds only a part of what is published, the zone says what it does not know; the control thread is asked for
//! that, and the question waits, while others are answered.
//!
//! A node hides a service of the same name, both hide a guest, and below a service a node hides a version.
//!
//! hickory-proto reads and writes the messages, and is named only in this folder. hickory-server is not used, because its
//! limits are not ours to set: it takes any number of TCP connections, reserves memory for as many questions as a header
//! of 12 bytes claims, spawns a task and logs a line at INFO for each question. What is left is two short loops.
//!
//! # Example
//!
//! ```no_run
//! # use std::{net::SocketAddr, sync::Arc};
//! # use arc_swap::ArcSwap;
//! # use hopmesh::dns::{Dns, Domain, loopback_address};
//! # fn example(zone: overlay::Zone, id: wire::NetworkId, mesh: std::net::IpAddr) -> Result<(), Box<dyn std::error::Error>> {
//! let domain = Domain::new(&zone.network, "internal", "10.77.0.0/16".parse()?, "fd77::/48".parse()?)?;
//! let zone = Arc::new(ArcSwap::from_pointee(zone));
//! let own = [SocketAddr::new(mesh, 53), SocketAddr::new(loopback_address(&id).into(), 53)];
//! let mut dns = Dns::start(zone.clone(), domain, own)?;
//! for problem in dns.problems() {
//!     tracing::warn!("{problem}");
//! }
//! // When a mesh address changes, or to try again where a port was taken; the others are not interrupted:
//! dns.rebind(own);
//! println!("{:?}: {:?}", dns.addresses(), dns.counted());
//! dns.shutdown();
//! # Ok(())
//! # }
//! ```

mod ask;
mod authority;
mod counters;
mod domain;
mod forward;
mod limits;
mod message;
mod reverse;
mod server;
#[cfg(test)]
mod world;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use overlay::Zone;
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot, watch};

use crate::io::dns::{DnsBindError, bind};
use server::{Listening, Shared, Sockets};

pub use ask::ask;
pub use counters::Counted;
pub use domain::{Domain, DomainError, loopback_address};
pub use forward::Forwarding;
pub(crate) use limits::ASKS_MAX;

/// A name of a service that the zone does not know.
#[derive(Debug)]
pub struct Ask {
    /// The name.
    pub name: wire::Name,
    /// Takes a zone that knows it; nothing when nobody says what it means.
    pub reply: oneshot::Sender<Option<Arc<Zone>>>,
}

/// The running server. It ends when this is dropped.
#[derive(Debug)]
pub struct Dns {
    listening: watch::Sender<Listening>,
    problems: Vec<DnsBindError>,
    shared: Arc<Shared>,
    runtime: Handle,
    thread: JoinHandle<()>,
}

impl Dns {
    /// Answers the names of `domain` by the latest `zone` at `addresses`, UDP and TCP. An address that cannot be had is
    /// a problem of [`Dns::problems`], and the others are answered at.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(
        zone: Arc<ArcSwap<Zone>>,
        domain: Domain,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> io::Result<Self> {
        // Nobody takes it: what the zone does not know nobody knows.
        let (nobody, _) = mpsc::channel(1);
        Self::start_asking(zone, domain, addresses, (nobody, Forwarding::default()))
    }

    /// As [`Dns::start`], and who knows more than the zone is asked through `asks`; other names go to others as `forwarding`
    /// says.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start_asking(
        zone: Arc<ArcSwap<Zone>>,
        domain: Domain,
        addresses: impl IntoIterator<Item = SocketAddr>,
        (asks, forwarding): (mpsc::Sender<Ask>, Forwarding),
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (domain, counters) = (Arc::new(domain), Default::default());
        let shared = Arc::new(Shared { domain, zone, asks, forwarding, counters });
        let (listening, to_thread) = watch::channel(Listening::new());
        let (handle, of_thread) = (runtime.handle().clone(), shared.clone());
        let thread = std::thread::Builder::new().name("dns".to_owned());
        let thread = thread.spawn(move || server::run(&runtime, of_thread, to_thread))?;
        let mut dns = Self { listening, problems: vec![], shared, runtime: handle, thread };
        dns.rebind(addresses);
        Ok(dns)
    }

    /// Answers at these addresses from now on. Those that stay are not interrupted; those that could not be had are
    /// tried again.
    pub fn rebind(&mut self, addresses: impl IntoIterator<Item = SocketAddr>) {
        self.problems.clear();
        let mut listening = Listening::new();
        for address in addresses.into_iter().collect::<BTreeSet<_>>() {
            let kept = self.listening.borrow().get(&address).cloned();
            match kept.map_or_else(|| self.open(address), |sockets| Ok((address, sockets))) {
                Ok((address, sockets)) => drop(listening.insert(address, sockets)),
                Err(problem) => self.problems.push(problem),
            }
        }
        self.shared.forwarding.set_own(listening.keys().copied());
        self.listening.send_replace(listening);
    }

    fn open(&self, address: SocketAddr) -> Result<(SocketAddr, Arc<Sockets>), DnsBindError> {
        let (udp, tcp) = bind(address)?;
        let _entered = self.runtime.enter();
        let register = || {
            let bound = udp.local_addr()?;
            Ok((
                bound,
                Arc::new(Sockets { udp: UdpSocket::from_std(udp)?, tcp: TcpListener::from_std(tcp)? }),
            ))
        };
        register().map_err(|error| DnsBindError::Os { address, error })
    }

    /// Where names are answered.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listening.borrow().keys().copied().collect()
    }

    /// Where they are not, and what to do about it.
    #[must_use]
    pub fn problems(&self) -> &[DnsBindError] {
        &self.problems
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counted(&self) -> Counted {
        self.shared.counters.counted()
    }

    /// Ends the server, and returns when its sockets are closed.
    pub fn shutdown(self) {
        let Self { listening, thread, .. } = self;
        drop(listening);
        if thread.join().is_err() {
            tracing::error!("the DNS server had failed");
        }
    }
}
