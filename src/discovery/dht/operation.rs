//! One command against the DHT, from its first query to its last event.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use mainline::async_dht::AsyncDht;
use mainline::{Id, MutableItem, SigningKey};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use wire::Candidate;
use wire::mailbox::VALUE_LENGTH_MAX;

use super::message::{Ended, Event, State};
use overlay::DhtRequest;

/// How long an operation may take; a slow one takes 5 s. What takes longer will not end any more.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(20);
/// Most values of one search: who writes others under a slot's key is a member, and shall not drown the right one.
const VALUES_MAX: usize = 8;
/// Most addresses of one lookup: strangers can add any number.
const ADDRESSES_MAX: usize = 64;

/// How the task of an operation ended.
pub(super) enum Outcome {
    /// Its events are out.
    Done,
    /// The DHT looks like this, to the node that was born then.
    Looked(Instant, State),
    /// It hangs.
    TimedOut,
}

/// What all operations have in common.
#[derive(Clone)]
pub(super) struct Operations {
    events: mpsc::Sender<Event>,
    /// One announcement or lookup at a time: in the crate they would take each other's queries for their own.
    rendezvous: Arc<Mutex<()>>,
}

impl Operations {
    pub(super) fn new(events: mpsc::Sender<Event>) -> Self {
        Self { events, rendezvous: Arc::default() }
    }

    /// Begins a command.
    pub(super) fn spawn(&self, running: &mut JoinSet<Outcome>, node: &AsyncDht, command: DhtRequest) {
        let (operations, node) = (self.clone(), node.clone());
        running.spawn(async move {
            let carried_out = operations.carry_out(&node, &command);
            if tokio::time::timeout(OPERATION_TIMEOUT, carried_out).await.is_ok() {
                return Outcome::Done;
            }
            operations.fail(&command);
            Outcome::TimedOut
        });
    }

    /// Begins to look how the DHT is, to the node that was born then.
    pub(super) fn look(&self, running: &mut JoinSet<Outcome>, node: &AsyncDht, born: Instant) {
        let node = node.clone();
        running.spawn(async move {
            match tokio::time::timeout(OPERATION_TIMEOUT, look(&node)).await {
                Ok(state) => Outcome::Looked(born, state),
                Err(_) => Outcome::TimedOut,
            }
        });
    }

    /// Ends a command with nothing done.
    pub(super) fn fail(&self, command: &DhtRequest) {
        match *command {
            DhtRequest::Put { seed, .. } => self.tell(Event::Ended(Ended::Put { seed, nodes: 0 })),
            DhtRequest::Get { seed } => self.tell(Event::Ended(Ended::Get { seed, values: 0 })),
            DhtRequest::Announce { info_hash, .. } => {
                self.tell(Event::Ended(Ended::Announce { info_hash, announced: false }));
            }
            DhtRequest::Lookup { info_hash } => {
                self.tell(Event::Ended(Ended::Lookup { info_hash, addresses: 0 }));
            }
            DhtRequest::Refresh => {}
        }
    }

    async fn carry_out(&self, node: &AsyncDht, command: &DhtRequest) {
        let ended = match *command {
            DhtRequest::Put { seed, ref value, sequence } => {
                Ended::Put { seed, nodes: put(node, &seed, value, sequence).await }
            }
            DhtRequest::Get { seed } => Ended::Get { seed, values: self.get(node, seed).await },
            DhtRequest::Announce { info_hash, port } => {
                let _one_at_a_time = self.rendezvous.lock().await;
                let announced = node.announce_peer(Id::from(info_hash), Some(port)).await.is_ok();
                Ended::Announce { info_hash, announced }
            }
            DhtRequest::Lookup { info_hash } => {
                let _one_at_a_time = self.rendezvous.lock().await;
                Ended::Lookup { info_hash, addresses: self.lookup(node, info_hash).await }
            }
            DhtRequest::Refresh => return,
        };
        self.tell(Event::Ended(ended));
    }

    async fn get(&self, node: &AsyncDht, seed: [u8; 32]) -> usize {
        let public_key = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        let mut items = node.get_mutable(&public_key, None, None);
        let mut seen = BTreeSet::new();
        while let Some(item) = items.next().await {
            let (Ok(sequence), bytes) = (u64::try_from(item.seq()), item.value().to_vec()) else { continue };
            if seen.len() < VALUES_MAX
                && bytes.len() <= VALUE_LENGTH_MAX
                && seen.insert((sequence, bytes.clone()))
            {
                self.tell(Event::Value { seed, sequence, bytes });
            }
        }
        seen.len()
    }

    async fn lookup(&self, node: &AsyncDht, info_hash: [u8; 20]) -> usize {
        let mut told = node.get_peers(Id::from(info_hash));
        let mut seen = BTreeSet::new();
        while let Some(addresses) = told.next().await {
            let mut new = Vec::new();
            for candidate in addresses.into_iter().filter_map(|a| Candidate::new(SocketAddr::V4(a))) {
                if seen.len() < ADDRESSES_MAX && seen.insert(candidate) {
                    new.push(candidate);
                }
            }
            if !new.is_empty() {
                self.tell(Event::Peers { info_hash, addresses: new });
            }
        }
        seen.len()
    }

    /// A control thread that is not there to listen is worse off than without a hint: events are never waited for.
    fn tell(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            tracing::debug!("an event of the DHT is lost");
        }
    }
}

async fn put(node: &AsyncDht, seed: &[u8; 32], value: &[u8], sequence: u64) -> u32 {
    let (true, Ok(sequence)) = (value.len() <= VALUE_LENGTH_MAX, i64::try_from(sequence)) else { return 0 };
    let item = MutableItem::new(SigningKey::from_bytes(seed), value, sequence, None);
    match node.put_mutable(item, None).await {
        Ok(outcome) => outcome.stored_at,
        Err(error) => {
            tracing::debug!(%error, "the DHT took no value");
            0
        }
    }
}

async fn look(node: &AsyncDht) -> State {
    let nodes = node.to_bootstrap().await;
    State {
        nodes: nodes.len(),
        bootstrapped: !nodes.is_empty(),
        contacts: nodes.iter().filter_map(|address| address.parse().ok()).collect(),
        observed: node.info().await.public_address(),
    }
}
