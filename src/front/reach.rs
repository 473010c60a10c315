//! The way to a target: its addresses, which of them may be reached, and a connection to the first that answers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use overlay::{Host, Target, Zone, machine_address};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

use super::limits::{ADDRESSES_MAX, CONNECT_TIMEOUT, RESOLVE_TIMEOUT};

/// Why a target is not reached.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// It is a node, which publishes by itself.
    #[error(
        "{0} is a machine of the network, and passing on to those could go in a circle: publish there, \
         or leave out --to if it is this machine"
    )]
    Node(IpAddr),
    /// Its name leads nowhere.
    #[error("the name {0} has no address that can be reached")]
    NoAddress(String),
    /// The name was not resolved in time.
    #[error("the name {0} is not resolved within {limit} s", limit = RESOLVE_TIMEOUT.as_secs())]
    NotResolved(String),
    /// It does not answer in time.
    #[error("{0} does not answer within {limit} s", limit = CONNECT_TIMEOUT.as_secs())]
    Timeout(SocketAddr),
    /// Anything else the system said.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What may be a target: everything but the network's nodes. Of two nodes that pass on to each other, each connection would
/// make another, without end. A guest passes nothing on, so it may be a target.
#[derive(Debug, Clone)]
pub struct Reach {
    zone: Arc<ArcSwap<Zone>>,
    /// Our own mesh addresses, which the zone may not have yet.
    own: Arc<ArcSwap<Vec<IpAddr>>>,
}

impl Reach {
    /// Knows the nodes by the latest `zone`.
    #[must_use]
    pub fn new(zone: Arc<ArcSwap<Zone>>) -> Self {
        Self { zone, own: Arc::default() }
    }

    /// Takes our own mesh addresses.
    pub(super) fn set_own(&self, addresses: &[IpAddr]) {
        self.own.store(Arc::new(addresses.to_vec()));
    }

    /// Whether a target may be one, as far as that can be said without asking anybody.
    ///
    /// # Errors
    /// [`ReachError::Node`].
    pub fn check(&self, target: &Target) -> Result<(), ReachError> {
        match target.host() {
            Host::Address(address) => self.check_address(*address).map(drop),
            Host::Name(_) => Ok(()),
        }
    }

    /// The addresses of a target that may be reached, at least one. The host's resolver is asked for names, every time.
    ///
    /// # Errors
    /// [`ReachError`].
    pub async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, ReachError> {
        let name = match target.host() {
            Host::Address(address) => {
                return Ok(vec![SocketAddr::new(self.check_address(*address)?, target.port())]);
            }
            Host::Name(name) => name,
        };
        let found = timeout(RESOLVE_TIMEOUT, lookup_host((name.as_str(), target.port()))).await;
        let found = found.map_err(|_| ReachError::NotResolved(name.clone()))??;
        let mut refused = ReachError::NoAddress(name.clone());
        let mut addresses = Vec::new();
        for address in found {
            let Ok(ip) = machine_address(address.ip()) else { continue };
            match self.check_address(ip) {
                Ok(ip) => addresses.push(SocketAddr::new(ip, address.port())),
                Err(error) => refused = error,
            }
        }
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        if addresses.is_empty() { Err(refused) } else { Ok(addresses) }
    }

    /// A connection to the first address of a target that takes one.
    ///
    /// # Errors
    /// [`ReachError`], of the last address that was tried.
    pub async fn connect(&self, target: &Target) -> Result<TcpStream, ReachError> {
        let mut last = None;
        for address in self.addresses(target).await? {
            last = Some(match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => error.into(),
                Err(_) => ReachError::Timeout(address),
            });
        }
        Err(last.expect("there is at least one address"))
    }

    /// A socket that sends to the first address of a target that the machine has a route to, and hears nobody else.
    ///
    /// # Errors
    /// [`ReachError`], of the last address that was tried.
    pub(super) async fn associate(&self, target: &Target) -> Result<UdpSocket, ReachError> {
        let mut last = None;
        for address in self.addresses(target).await? {
            let any = match address {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            let connected = async {
                let socket = UdpSocket::bind((any, 0)).await?;
                socket.connect(address).await?;
                Ok(socket)
            };
            match connected.await {
                Ok(socket) => return Ok(socket),
                Err(error) => last = Some(ReachError::Io(error)),
            }
        }
        Err(last.expect("there is at least one address"))
    }

    fn check_address(&self, address: IpAddr) -> Result<IpAddr, ReachError> {
        let zone = self.zone.load();
        let known = zone.addresses.get(&address).and_then(|name| zone.nodes.get(name));
        let is_node = known.is_some_and(|node| address == node.v4 || address == node.v6);
        if is_node || self.own.load().contains(&address) {
            return Err(ReachError::Node(address));
        }
        Ok(address)
    }
}
