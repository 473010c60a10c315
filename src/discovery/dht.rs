//! The client of BitTorrent's DHT: an actor over the `mainline` crate, with a bounded channel in and one out.
//!
//! A task of the control thread's runtime takes commands and gives events; the sockets and the queries are in a thread of
//! `mainline`'s. It never serves: a DHT node of that crate has no limit on what strangers make it do. That is one reason
//! why its node is replaced from time to time: it would begin to serve after a quarter of an hour with a public address. The
//! other is that nobody can follow a machine by a DHT id that changes. A query that hangs ends with its node, too.

pub(super) mod entries;
mod message;
mod operation;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::io::mark::mark_port;
use config::HostPort;
use mainline::async_dht::AsyncDht;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

pub use message::{Busy, Ended, Event, State};
use operation::{Operations, Outcome};
use overlay::DhtRequest;

/// Commands that wait: what a Node wants at once is a lookup of each known member and call, and it asks again.
pub const COMMANDS_MAX: usize = 64;
/// Events that wait for the control thread. When it does not take them, further ones are lost, as datagrams would be.
pub const EVENTS_MAX: usize = 256;
/// Operations at a time: each is some 50 datagrams in a few seconds.
const OPERATIONS_MAX: usize = 16;
/// Most DHT nodes that are kept to enter by again.
const CONTACTS_MAX: usize = 8;
/// Age at which the node of the crate is replaced: just before the 15 minutes after which it would serve.
const LIFE: Duration = Duration::from_secs(14 * 60);
/// How long to wait for the answer of one DHT node: most answer in 200 ms, and the dead ones set the pace.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(750);
/// How long to try to enter before the network is taken for cut off: the crate asks four times a second meanwhile.
const ENTRY_TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest pause between two tries to enter: soon after a short fault, and quiet on an island.
const RETRY_MIN: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(300);
/// How often to look whether the DHT is entered, and afterwards how many nodes are known.
const LOOK_EARLY: Duration = Duration::from_millis(250);
const LOOK_LATE: Duration = Duration::from_secs(30);

/// How the client runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the DHT is entered. `None`: the well-known nodes of BitTorrent.
    pub bootstrap: Option<Vec<HostPort>>,
    /// DHT nodes remembered from before, to enter by as well; the first eight count.
    pub contacts: Vec<SocketAddrV4>,
    /// Where the socket is bound; unspecified but for tests. The port is any free one.
    pub bind: Ipv4Addr,
}

/// A running client. Ends when it is dropped.
#[derive(Debug)]
pub struct Dht {
    commands: mpsc::Sender<DhtRequest>,
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

impl Dht {
    /// Starts the client as a task of the current tokio runtime. Nothing can fail here: whatever is wrong shows as a state
    /// that does not become bootstrapped, and is tried again.
    #[must_use]
    pub fn start(mut settings: Settings) -> Self {
        settings.contacts.truncate(CONTACTS_MAX);
        let (commands, commanded) = mpsc::channel(COMMANDS_MAX);
        let (to_control, events) = mpsc::channel(EVENTS_MAX);
        let actor = Actor {
            operations: Operations::new(to_control.clone()),
            settings,
            commands: commanded,
            events: to_control,
            running: JoinSet::new(),
            state: State::default(),
        };
        Self { commands, events, task: tokio::spawn(actor.run()) }
    }

    /// Asks for something; its events follow.
    ///
    /// # Errors
    /// [`Busy`] when too much waits already: ask again later.
    pub fn command(&self, command: DhtRequest) -> Result<(), Busy> {
        self.commands.try_send(command).map_err(|_| Busy)
    }

    /// Waits for the next event. May be dropped at any point without losing one.
    pub async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // The actor ends only by being aborted, or by a defect in it: either way nothing more comes.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Dht {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Actor {
    settings: Settings,
    commands: mpsc::Receiver<DhtRequest>,
    events: mpsc::Sender<Event>,
    operations: Operations,
    running: JoinSet<Outcome>,
    state: State,
}

/// Why a node of the crate is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GivenUp {
    /// It is old, or the machine's network is another: a new one at once.
    Renewed,
    /// It does not get anywhere: a new one later.
    CutOff,
    /// Nobody commands any more.
    Stopped,
}

impl Actor {
    async fn run(mut self) {
        let mut pause = RETRY_MIN;
        loop {
            let given_up = match self.enter().await {
                Some(node) => self.serve(node).await,
                None => GivenUp::CutOff,
            };
            match given_up {
                GivenUp::Stopped => return,
                GivenUp::Renewed => pause = RETRY_MIN,
                GivenUp::CutOff => {
                    self.tell(State::default());
                    if !self.wait(pause).await {
                        return;
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }

    /// Makes a node of the crate that knows where to enter; `None` when no name resolves or no socket can be had.
    async fn enter(&self) -> Option<AsyncDht> {
        let entries = entries::resolve(self.settings.bootstrap.as_deref(), &self.settings.contacts).await;
        // Without an entry the crate's node would believe whoever asks it something.
        if entries.is_empty() {
            return None;
        }
        let bind = self.settings.bind;
        let mut builder = mainline::Dht::builder();
        builder.bootstrap(&entries).request_timeout(REQUEST_TIMEOUT);
        match entries::start(builder, SocketAddrV4::new(bind, 0)).await {
            Ok(node) => {
                // What finds the others goes the machine's own way, also where all else leaves by one of them.
                if let Err(error) = mark_port(node.info().await.local_addr().port()) {
                    tracing::warn!(%error, "the DHT's datagrams go the way of all others");
                }
                Some(node)
            }
            Err(error) => {
                tracing::warn!(%error, "no socket for the DHT");
                None
            }
        }
    }

    /// Carries out commands until the node is to be replaced. Operations that run then go on with the old one.
    async fn serve(&mut self, node: AsyncDht) -> GivenUp {
        let born = Instant::now();
        let mut entered = false;
        let mut look = born + LOOK_EARLY;
        loop {
            tokio::select! {
                command = self.commands.recv(), if self.running.len() < OPERATIONS_MAX => match command {
                    None => return GivenUp::Stopped,
                    Some(DhtRequest::Refresh) => return GivenUp::Renewed,
                    Some(command) => self.operations.spawn(&mut self.running, &node, command),
                },
                Some(outcome) = self.running.join_next() => match outcome {
                    Ok(Outcome::Done) => {}
                    Ok(Outcome::Looked(of, state)) if of == born => {
                        entered |= state.bootstrapped;
                        // A new node knows nobody for a moment; that is no news.
                        if entered {
                            self.tell(state);
                        }
                    }
                    Ok(Outcome::Looked(_, _)) => {}
                    // A query that hangs, or a node of the crate that broke: another one will do better.
                    Ok(Outcome::TimedOut) | Err(_) => return GivenUp::Renewed,
                },
                () = sleep_until(look) => {
                    if !entered && born.elapsed() > ENTRY_TIMEOUT {
                        return GivenUp::CutOff;
                    }
                    look = Instant::now() + if entered { LOOK_LATE } else { LOOK_EARLY };
                    self.operations.look(&mut self.running, &node, born);
                },
                () = sleep_until(born + LIFE) => return GivenUp::Renewed,
            }
        }
    }

    /// Waits to enter again; commands fail at once meanwhile. False when nobody commands any more.
    async fn wait(&mut self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    None => return false,
                    Some(DhtRequest::Refresh) => return true,
                    Some(command) => self.operations.fail(&command),
                },
                // What is left of operations with nodes that were given up.
                Some(_) = self.running.join_next() => {}
                () = sleep_until(end) => return true,
            }
        }
    }

    /// Remembers a state, and tells it when it is another one.
    fn tell(&mut self, mut state: State) {
        state.contacts.truncate(CONTACTS_MAX);
        if !state.contacts.is_empty() {
            self.settings.contacts.clone_from(&state.contacts);
        }
        if state != self.state {
            if state.bootstrapped != self.state.bootstrapped {
                tracing::info!(bootstrapped = state.bootstrapped, "DHT");
            }
            self.state = state.clone();
            let _lost = self.events.try_send(Event::State(state));
        }
    }
}
