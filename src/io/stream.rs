//! Streams: the datagrams of UDP inside a WebSocket over TCP, for networks that let nothing else through.
//!
//! One binary message is one datagram. It is sealed end to end already, so there is no TLS around it: a plain WebSocket
//! on port 443 passes what filters by port, and not what looks for TLS inside. [`Streams`] owns every connection,
//! whichever side began it, on the control thread's runtime; the worker sends by a [`StreamSender`]. Nothing here
//! knows who is at the other end: until the Node has proof, it is a stranger, whose number, rate, time and
//! memory are limited (`limits`). A datagram that finds a queue full is dropped and counted, as UDP would.

mod admission;
mod connection;
mod limits;
mod outbound;
mod server;
mod upgrade;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use admission::{Ledger, Slot};
use limits::{EVENTS_MAX, Timing};
use outbound::Outbound;

pub use limits::{ACCEPTED_MAX, ACCEPTED_PER_PREFIX_MAX, DATAGRAM_LENGTH_MAX, DIALLED_MAX};
pub use outbound::{SendError, StreamSender};
pub use server::StreamServer;
pub use upgrade::PATH;

/// What happened on the streams. Of one number: first `Opened`, then datagrams, then `Closed`; of a dialled one that
/// came to nothing only `Closed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// Datagrams go both ways from now on.
    Opened {
        /// Its number, for `nat::Remote::Stream`.
        number: u32,
        /// The other end; never an IPv4-mapped IPv6 address.
        remote: SocketAddr,
        /// Whether we began it.
        dialled: bool,
    },
    /// A datagram came.
    Datagram {
        /// Over which stream.
        number: u32,
        /// Its bytes, [`DATAGRAM_LENGTH_MAX`] at most.
        bytes: Vec<u8>,
    },
    /// It is over, and not by [`Streams::close`].
    Closed {
        /// Its number, which is not given again for a long time.
        number: u32,
        /// Why.
        reason: CloseReason,
    },
}

/// Why a stream is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The other end closed it.
    Ended,
    /// Nothing came for too long, not even an answer to a ping.
    Idle,
    /// The other end took nothing for too long.
    Stuck,
    /// It sent what is no datagram: text, too much at once, or what is no WebSocket.
    NoDatagrams,
    /// Dialled, and no node answered in time.
    NoAnswer,
    /// Dialled, and what answered is no node that takes streams.
    NoNode,
    /// What the system said.
    Os(io::ErrorKind),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "the other end closed it",
            Self::Idle => "nothing came for too long",
            Self::Stuck => "the other end takes nothing",
            Self::NoDatagrams => "what came is no datagram",
            Self::NoAnswer => "no answer",
            Self::NoNode => "what answered is no Hopmesh node",
            Self::Os(kind) => return write!(f, "{kind}"),
        })
    }
}

/// What the tasks of all connections share.
struct Shared {
    outbound: Arc<Outbound>,
    ledger: Mutex<Ledger>,
    events: mpsc::Sender<StreamEvent>,
    timing: Timing,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the owner, as soon as there is room; when there is no owner, nobody.
    async fn tell(&self, event: StreamEvent) {
        let _no_owner = self.events.send(event).await;
    }
}

/// Every stream of this node. Lives in a tokio runtime; when dropped, all are closed.
pub struct Streams {
    shared: Arc<Shared>,
    events: mpsc::Receiver<StreamEvent>,
    accepting: Option<JoinHandle<()>>,
    port: Option<u16>,
}

impl Streams {
    /// No streams yet; `server` is where others may begin some.
    #[must_use]
    pub fn new(server: Option<StreamServer>) -> Self {
        Self::with_timing(server, Timing::default())
    }

    fn with_timing(server: Option<StreamServer>, timing: Timing) -> Self {
        let (to_events, events) = mpsc::channel(EVENTS_MAX);
        let shared = Arc::new(Shared {
            outbound: Arc::default(),
            ledger: Mutex::default(),
            events: to_events,
            timing,
        });
        let port = server.as_ref().map(StreamServer::port);
        let accepting = server.map(|server| tokio::spawn(server.serve(Arc::clone(&shared))));
        Self { shared, events, accepting, port }
    }

    /// Waits for what happens next. May be given up and called again: nothing is lost.
    pub async fn next_event(&mut self) -> StreamEvent {
        self.events.recv().await.expect("`shared` holds a sender as long as this lives")
    }

    /// Begins a stream to `remote`, and gives its number at once. What is sent before it is open waits in its queue.
    /// `None` when [`DIALLED_MAX`] are open or on their way.
    #[must_use]
    pub fn dial(&self, remote: SocketAddr) -> Option<u32> {
        let slot = Slot::dialled(&self.shared)?;
        let stream = self.shared.outbound.register();
        let number = stream.number;
        tokio::spawn(connection::dial(Arc::clone(&self.shared), slot, stream, remote));
        Some(number)
    }

    /// Ends a stream at once: what waits in its queue is lost, and no `Closed` follows; what came before may still be
    /// told. Does nothing when it is over.
    pub fn close(&self, number: u32) {
        self.shared.outbound.close(number);
    }

    /// A handle to send by, from any thread.
    #[must_use]
    pub fn sender(&self) -> StreamSender {
        StreamSender::new(Arc::clone(&self.shared.outbound))
    }

    /// The TCP port that others dial, if there is one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// How many streams are open or on their way: those that others began, and those that we did.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        self.shared.ledger().counts()
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        // The tasks of the streams see that nobody takes their events any more.
    }
}

#[cfg(test)]
mod tests;
