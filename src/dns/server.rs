//! The thread that answers: one task for each address, and what they share.

mod tcp;
mod udp;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use overlay::Zone;
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet, LocalSet};

use super::Ask;
use super::authority::Authority;
use super::counters::Counters;
use super::domain::Domain;
use super::limits::{ASK_PATIENCE, ASKS_MAX, TCP_CONNECTIONS_MAX, TCP_CONNECTIONS_PER_SOURCE};
use super::message::{Outcome, Transport, respond, respond_unable, unknown};

/// Where to answer: replaced as a whole, so that whoever changes it never waits for the thread.
pub(super) type Listening = BTreeMap<SocketAddr, Arc<Sockets>>;

/// The sockets of one address.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) udp: UdpSocket,
    pub(super) tcp: TcpListener,
}

/// What the thread shares with others.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) domain: Arc<Domain>,
    pub(super) zone: Arc<ArcSwap<Zone>>,
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) counters: Counters,
}

/// Answers until whoever says where has gone.
pub(super) fn run(runtime: &Runtime, shared: Arc<Shared>, listening: watch::Receiver<Listening>) {
    LocalSet::new().block_on(runtime, serve_all(Rc::new(Server::new(shared)), listening));
}

async fn serve_all(server: Rc<Server>, mut listening: watch::Receiver<Listening>) {
    let mut tasks = JoinSet::new();
    let mut open: BTreeMap<SocketAddr, AbortHandle> = BTreeMap::new();
    loop {
        open_and_close(&server, &listening.borrow_and_update(), &mut open, &mut tasks);
        tokio::select! {
            changed = listening.changed() => if changed.is_err() { return },
            Some(ended) = tasks.join_next() => if ended.is_err_and(|error| error.is_panic()) {
                tracing::error!("a question made the DNS server fail; it goes on. Please report this");
            },
        }
    }
}

/// Has a task for each address that is listened at, and for no other; one that failed begins anew.
fn open_and_close(
    server: &Rc<Server>,
    listening: &Listening,
    open: &mut BTreeMap<SocketAddr, AbortHandle>,
    tasks: &mut JoinSet<()>,
) {
    open.retain(|address, task| {
        let stays = listening.contains_key(address) && !task.is_finished();
        if !stays {
            task.abort();
        }
        stays
    });
    for (address, sockets) in listening {
        let (server, sockets) = (server.clone(), sockets.clone());
        open.entry(*address).or_insert_with(|| tasks.spawn_local(serve(server, sockets)));
    }
}

async fn serve(server: Rc<Server>, sockets: Arc<Sockets>) {
    tokio::join!(udp::serve(&server, &sockets), tcp::serve(&server, &sockets.tcp));
}

/// What the tasks share.
struct Server {
    shared: Arc<Shared>,
    /// Made of the latest zone that was asked.
    authority: RefCell<Rc<Authority>>,
    /// Connections by source.
    connections: RefCell<BTreeMap<IpAddr, usize>>,
    /// Questions that wait.
    waiting: Cell<usize>,
}

/// What becomes of a question.
#[derive(Debug, PartialEq, Eq)]
enum Response {
    /// There is an answer.
    Answer,
    /// There is none to be.
    Nothing,
    /// It depends on a service that the zone does not know.
    Unknown(wire::Name),
}

impl Server {
    fn new(shared: Arc<Shared>) -> Self {
        let authority = Authority::new(shared.domain.clone(), shared.zone.load_full());
        let authority = RefCell::new(Rc::new(authority));
        Self { shared, authority, connections: RefCell::default(), waiting: Cell::new(0) }
    }

    fn authority(&self) -> Rc<Authority> {
        let zone = self.shared.zone.load();
        let mut authority = self.authority.borrow_mut();
        if !authority.is_of(&zone) {
            *authority = Rc::new(Authority::new(self.shared.domain.clone(), zone.clone()));
        }
        authority.clone()
    }

    /// Puts the answer to `request` into `answer`, if there is one at once.
    fn respond(
        &self,
        source: IpAddr,
        transport: Transport,
        request: &[u8],
        answer: &mut Vec<u8>,
    ) -> Response {
        if !self.shared.domain.may_ask(source) {
            self.shared.counters.stranger();
            return Response::Nothing;
        }
        self.shared.counters.question();
        let authority = self.authority();
        if let Some(name) = unknown(request, &authority) {
            return Response::Unknown(name);
        }
        self.count(respond(request, transport, &authority, answer))
    }

    fn count(&self, outcome: Option<Outcome>) -> Response {
        let Some(outcome) = outcome else { return Response::Nothing };
        self.shared.counters.answered(outcome);
        Response::Answer
    }

    /// Asks for what the zone does not know, and puts the answer to `request` into `answer`: it is that we cannot say when
    /// nobody says it in time, or too many wait. Whether there is an answer.
    async fn respond_later(
        &self,
        name: wire::Name,
        transport: Transport,
        request: &[u8],
        answer: &mut Vec<u8>,
    ) -> bool {
        let found = match self.waiting.get() {
            waiting if waiting >= ASKS_MAX => None,
            waiting => {
                self.waiting.set(waiting + 1);
                let _seat = Waiting(&self.waiting);
                self.ask(name).await
            }
        };
        let outcome = match found {
            Some(zone) => {
                let authority = Authority::new(self.shared.domain.clone(), zone);
                respond(request, transport, &authority, answer)
            }
            None => respond_unable(request, answer),
        };
        self.count(outcome) == Response::Answer
    }

    async fn ask(&self, name: wire::Name) -> Option<Arc<Zone>> {
        let (reply, answer) = oneshot::channel();
        self.shared.asks.try_send(Ask { name, reply }).ok()?;
        tokio::time::timeout(ASK_PATIENCE, answer).await.ok()?.ok()?
    }

    /// Admits a connection, unless the source may not ask or there are too many.
    fn admit(self: &Rc<Self>, source: IpAddr) -> Option<Seat> {
        if !self.shared.domain.may_ask(source) {
            self.shared.counters.stranger();
            return None;
        }
        let mut connections = self.connections.borrow_mut();
        let of_source = connections.get(&source).copied().unwrap_or(0);
        let all: usize = connections.values().sum();
        if of_source >= TCP_CONNECTIONS_PER_SOURCE || all >= TCP_CONNECTIONS_MAX {
            self.shared.counters.connection_refused();
            return None;
        }
        connections.insert(source, of_source + 1);
        Some(Seat { server: self.clone(), source })
    }
}

/// A question that waits; no more when this is dropped.
struct Waiting<'a>(&'a Cell<usize>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// One connection's right to be there; given back on drop.
struct Seat {
    server: Rc<Server>,
    source: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut connections = self.server.connections.borrow_mut();
        if let Some(count) = connections.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&self.source);
            }
        }
    }
}
