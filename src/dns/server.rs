//! The thread that answers: one task for each address, and what they share.

mod seats;
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
use super::forward::{Foreign, Forwarder, Forwarding, foreign};
use super::limits::{
    ASK_PATIENCE, ASKS_MAX, FORWARDS_MAX, FORWARDS_PER_SOURCE_MAX, TCP_CONNECTIONS_MAX,
    TCP_CONNECTIONS_PER_SOURCE,
};
use super::message::{Outcome, Transport, respond, respond_nowhere, respond_unable, unknown};
use seats::{Seat, Seats};

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
    pub(super) forwarding: Forwarding,
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
    connections: Rc<Seats>,
    /// Questions that are passed on.
    forwards: Rc<Seats>,
    forwarder: Forwarder,
    /// Questions that wait for what members know.
    waiting: Cell<usize>,
}

/// What becomes of a question.
#[derive(Debug)]
enum Response {
    /// There is an answer.
    Answer,
    /// There is none to be.
    Nothing,
    /// It depends on what others say.
    Later(Later),
}

/// On whose word an answer depends.
#[derive(Debug)]
enum Later {
    /// Members', about a service that the zone does not know.
    Unknown(wire::Name),
    /// The host's resolvers', about a name that is not ours: so many bytes of the message have the question, and this is its place
    /// among those that are passed on, if there was one.
    Foreign(usize, Option<Seat>),
}

impl Server {
    fn new(shared: Arc<Shared>) -> Self {
        let authority = Authority::new(shared.domain.clone(), shared.zone.load_full());
        Self {
            authority: RefCell::new(Rc::new(authority)),
            connections: Seats::new(TCP_CONNECTIONS_MAX, TCP_CONNECTIONS_PER_SOURCE),
            forwards: Seats::new(FORWARDS_MAX, FORWARDS_PER_SOURCE_MAX),
            forwarder: Forwarder::new(shared.forwarding.clone()),
            waiting: Cell::new(0),
            shared,
        }
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
        let is_permitted = self.shared.forwarding.is_permitted(source);
        if !is_permitted && !self.shared.domain.may_ask(source) {
            self.shared.counters.stranger();
            return Response::Nothing;
        }
        self.shared.counters.question();
        let authority = self.authority();
        if let Some(name) = unknown(request, &authority) {
            return Response::Later(Later::Unknown(name));
        }
        match is_permitted.then(|| foreign(request, &authority)).flatten() {
            Some(Foreign::Passes(end)) => Response::Later(Later::Foreign(end, self.forwards.take(source))),
            Some(Foreign::Stays) => self.counted(respond_nowhere(request, answer)),
            None => self.counted(respond(request, transport, &authority, answer)),
        }
    }

    fn counted(&self, outcome: Option<Outcome>) -> Response {
        if self.count(outcome) { Response::Answer } else { Response::Nothing }
    }

    /// Counts an answer, and says whether there is one.
    fn count(&self, outcome: Option<Outcome>) -> bool {
        outcome.is_some_and(|outcome| {
            self.shared.counters.answered(outcome);
            true
        })
    }

    /// Puts the answer to `request` into `answer`, once others have had their say: it is that we cannot say when nobody says it in
    /// time, or too many wait. Whether there is an answer.
    async fn respond_later(
        &self,
        later: Later,
        transport: Transport,
        request: &[u8],
        answer: &mut Vec<u8>,
    ) -> bool {
        let counters = &self.shared.counters;
        match later {
            Later::Unknown(name) => self.respond_known(name, transport, request, answer).await,
            Later::Foreign(_, None) => {
                counters.forward_refused();
                self.count(respond_unable(request, answer))
            }
            Later::Foreign(end, Some(_seat)) => {
                self.forwarder.forward((request, end), transport, counters, answer).await
                    || self.count(respond_unable(request, answer))
            }
        }
    }

    /// Asks members for what the zone does not know. Whether there is an answer.
    async fn respond_known(
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
        self.count(outcome)
    }

    async fn ask(&self, name: wire::Name) -> Option<Arc<Zone>> {
        let (reply, answer) = oneshot::channel();
        self.shared.asks.try_send(Ask { name, reply }).ok()?;
        tokio::time::timeout(ASK_PATIENCE, answer).await.ok()?.ok()?
    }

    /// Admits a connection, unless the source may not ask or there are too many.
    fn admit(&self, source: IpAddr) -> Option<Seat> {
        if !self.shared.domain.may_ask(source) && !self.shared.forwarding.is_permitted(source) {
            self.shared.counters.stranger();
            return None;
        }
        let seat = self.connections.take(source);
        if seat.is_none() {
            self.shared.counters.connection_refused();
        }
        seat
    }
}

/// A question that waits; no more when this is dropped.
struct Waiting<'a>(&'a Cell<usize>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
