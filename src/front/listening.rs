//! One front: its sockets, each with a task on the thread of all fronts.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc;

use overlay::Target;
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use wire::service::Protocol;

use super::counters::Counters;
use super::limits::{ASSOCIATIONS_PER_FRONT_MAX, CLOSING_PATIENCE, CONNECTIONS_PER_FRONT_MAX, RESOLVING_MAX};
use super::seats::Seats;
use super::tcp::{self, Connections};
use super::udp::{self, Associations};
use super::{Common, FrontError, Presence};
use crate::io::front::{self, Obstacle, obstacle};

/// The thread that passes on. All that runs there ends when this is dropped.
#[derive(Debug)]
pub(super) struct Thread {
    runtime: Handle,
    /// Sockets that are being closed: each says when it is.
    closing: mpsc::Receiver<Closing>,
    closer: mpsc::Sender<Closing>,
    _end: oneshot::Sender<()>,
}

/// Ends, without a word, when a socket is closed.
type Closing = mpsc::Receiver<std::convert::Infallible>;

impl Thread {
    pub(super) fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_current_thread().enable_all().max_blocking_threads(RESOLVING_MAX).build()?;
        let (end, ended) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        std::thread::Builder::new().name("front".to_owned()).spawn(move || {
            let _dropped = runtime.block_on(ended);
            // A name that nobody resolves would hold us up.
            runtime.shutdown_background();
        })?;
        let (closer, closing) = mpsc::channel();
        Ok(Self { runtime: handle, closing, closer, _end: end })
    }

    /// Opens a socket; when its port is taken, once more after those that are being closed are.
    fn bind<T>(&self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let closing: Vec<Closing> = match open() {
            Err(error) if obstacle(&error) == Obstacle::InUse => self.closing.try_iter().collect(),
            outcome => return outcome,
        };
        for closing in closing {
            let _closed_or_late = closing.recv_timeout(CLOSING_PATIENCE);
        }
        open()
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, serve: impl FnOnce(Presence) -> F) -> Running {
        let (presence, gone) = mpsc::channel();
        let still_closing: Vec<Closing> = self.closing.try_iter().filter(is_open).collect();
        still_closing.into_iter().for_each(|closing| drop(self.closer.send(closing)));
        let task = self.runtime.spawn(serve(presence));
        Running { task: task.abort_handle(), gone: Some(gone), closer: self.closer.clone() }
    }
}

fn is_open(closing: &Closing) -> bool {
    closing.try_recv() == Err(mpsc::TryRecvError::Empty)
}

/// A socket that is served. It is closed when this is dropped.
#[derive(Debug)]
struct Running {
    task: AbortHandle,
    gone: Option<Closing>,
    closer: mpsc::Sender<Closing>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        // With the thread all sockets have gone.
        let _no_thread = self.gone.take().map(|gone| self.closer.send(gone));
    }
}

/// Where a socket is: its address, and the interface by which comes what it takes.
type Place = (IpAddr, Option<String>);

/// One front.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    pub(super) target: Target,
    pub(super) counters: Arc<Counters>,
    /// Why it does not listen everywhere.
    pub(super) problem: Option<String>,
    served: Served,
    sockets: BTreeMap<Place, Running>,
}

/// What passes on.
#[derive(Debug)]
enum Served {
    Tcp(Arc<Connections>),
    Udp(Arc<Associations>),
}

impl Front {
    pub(super) fn new(protocol: Protocol, port: u16, target: Target, common: Arc<Common>) -> Self {
        let counters = Arc::<Counters>::default();
        let (to, counted) = (target.clone(), counters.clone());
        let served = match protocol {
            Protocol::Tcp => Served::Tcp(Arc::new(Connections {
                target: to,
                common,
                seats: Seats::new(CONNECTIONS_PER_FRONT_MAX),
                counters: counted,
            })),
            Protocol::Udp => Served::Udp(Arc::new(Associations {
                target: to,
                common,
                seats: Seats::new(ASSOCIATIONS_PER_FRONT_MAX),
                counters: counted,
            })),
        };
        Self { protocol, port, target, counters, problem: None, served, sockets: BTreeMap::new() }
    }

    /// Whether it is what a publication wants.
    pub(super) fn is_for(&self, protocol: Protocol, port: u16, target: &Target) -> bool {
        (self.protocol, self.port, &self.target) == (protocol, port, target)
    }

    /// Connections, or clients, at this moment.
    pub(super) fn taken(&self) -> usize {
        match &self.served {
            Served::Tcp(connections) => connections.seats.taken(),
            Served::Udp(associations) => associations.seats.taken(),
        }
    }

    /// Listens at these addresses, by each of these interfaces, and nowhere else. What is open already is not interrupted.
    pub(super) fn listen(
        &mut self,
        thread: &Thread,
        addresses: &[IpAddr],
        interfaces: &[Option<String>],
    ) -> Result<(), FrontError> {
        self.sockets.retain(|(address, _), _| addresses.contains(address));
        for address in addresses {
            for interface in interfaces {
                let place = (*address, interface.clone());
                if self.sockets.contains_key(&place) {
                    continue;
                }
                if let Some(running) = self.open(thread, *address, interface.as_deref())? {
                    self.sockets.insert(place, running);
                }
            }
        }
        Ok(())
    }

    /// Opens one socket; `None` where the machine has no addresses of that family at all.
    fn open(
        &self,
        thread: &Thread,
        address: IpAddr,
        interface: Option<&str>,
    ) -> Result<Option<Running>, FrontError> {
        let address = SocketAddr::new(address, self.port);
        let opened = match &self.served {
            Served::Tcp(connections) => {
                thread.bind(|| front::listen(address, interface)).and_then(|listener| {
                    let _entered = thread.runtime.enter();
                    let listener = Arc::new(TcpListener::from_std(listener)?);
                    let connections = connections.clone();
                    Ok(thread.spawn(|presence| async move {
                        let _here = presence;
                        tcp::serve(listener, connections).await;
                    }))
                })
            }
            Served::Udp(associations) => {
                thread.bind(|| front::receive(address, interface)).and_then(|socket| {
                    let _entered = thread.runtime.enter();
                    let socket = Arc::new(UdpSocket::from_std(socket)?);
                    let associations = associations.clone();
                    Ok(thread.spawn(|presence| async move {
                        let _here = presence.clone();
                        udp::serve(socket, associations, presence).await;
                    }))
                })
            }
        };
        match opened {
            Ok(running) => Ok(Some(running)),
            Err(error) => match obstacle(&error) {
                Obstacle::NoFamily => Ok(None),
                Obstacle::InUse => Err(FrontError::InUse { address }),
                Obstacle::NotPermitted => Err(FrontError::NotPermitted { address }),
                Obstacle::Other => Err(FrontError::Os { address, error }),
            },
        }
    }
}
