//! When to leave what in the DHT, when to look there for whom, and how DHT nodes tell us where we are seen.
//!
//! Our hint lies in our own slot of the day. Slots of peers are looked up while they are missing, ever more rarely. Who is
//! connected to nobody also announces itself under the network's rendezvous, where all may look who know the secret.

use super::pace::Pace;
use super::{HintSource, Node};
use crate::drops::DropReason;
use crate::limits::{
    DHT_LOOKUP_TIME, DHT_LOOKUPS_MAX, DHT_PING_INTERVAL, DHT_PINGED_MAX, DHT_PUT_AGAIN, DHT_PUT_PAUSE,
};
use crate::node::Output;
use crate::peer::Peer;
use nat::Remote;
use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::Instant;
use wire::bep5::{NODE_ID_LENGTH, PingAnswer, TRANSACTION_LENGTH, write_ping};
use wire::hint::Hint;
use wire::mailbox::{self, Slot};
use wire::{Candidate, NodeId};

/// What the DHT is asked. Seeds are secret: they stand in no log.
#[derive(Clone, PartialEq, Eq)]
pub enum DhtRequest {
    /// Store a value under the Ed25519 key of this seed (BEP 44, mutable). DHT nodes forget it after some two hours: put it
    /// again before.
    Put {
        /// Of [`wire::mailbox::Slot::seed`].
        seed: [u8; 32],
        /// At most [`wire::mailbox::VALUE_LENGTH_MAX`] bytes.
        value: Vec<u8>,
        /// Grows with every other value: the time in seconds.
        sequence: u64,
    },
    /// Look for values under the key of this seed.
    Get {
        /// Of [`wire::mailbox::Slot::seed`].
        seed: [u8; 32],
    },
    /// Announce this machine (BEP 5) under an info hash.
    Announce {
        /// Of [`wire::mailbox::rendezvous`].
        info_hash: [u8; 20],
        /// The UDP port as it is seen from outside.
        port: u16,
    },
    /// Look who announced itself under an info hash.
    Lookup {
        /// Of [`wire::mailbox::rendezvous`].
        info_hash: [u8; 20],
    },
    /// The machine's network is another one: names are resolved anew and a new socket is taken.
    Refresh,
}

/// What the DHT says. All of it is strangers' word.
#[derive(Clone, PartialEq, Eq)]
pub enum DhtEvent {
    /// A value, perhaps one of several.
    Value {
        /// As requested.
        seed: [u8; 32],
        /// The value.
        bytes: Vec<u8>,
    },
    /// Addresses that were announced under the rendezvous.
    Peers(Vec<Candidate>),
    /// A value is stored on so many DHT nodes, or on none.
    Put {
        /// As requested.
        seed: [u8; 32],
        /// How many.
        nodes: u32,
    },
    /// A look-up of values has ended.
    Got {
        /// As requested.
        seed: [u8; 32],
    },
    /// The state is another one.
    State(DhtState),
}

/// How it goes with the DHT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DhtState {
    /// Whether it answers.
    pub is_entered: bool,
    /// Nodes of it that answered lately.
    pub nodes: u32,
    /// A few of them.
    pub contacts: Vec<SocketAddrV4>,
}

/// What is under way with the DHT.
#[derive(Default)]
pub(super) struct Policy {
    state: DhtState,
    /// What our hint should say, and whether that is news.
    candidates: Vec<Candidate>,
    stream: Option<u16>,
    published: Option<Published>,
    missing: BTreeMap<NodeId, Pace>,
    lookups: BTreeMap<[u8; 32], Lookup>,
    rendezvous: Option<Pace>,
    servers: Vec<SocketAddr>,
    pings: BTreeMap<[u8; TRANSACTION_LENGTH], SocketAddr>,
    next_ping: Option<Instant>,
}

impl Policy {
    /// Our slot is another one.
    pub(super) fn publish_again(&mut self) {
        self.published = None;
    }

    /// Where we say that we are.
    pub(super) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }
}

struct Published {
    seed: [u8; 32],
    candidates: Vec<Candidate>,
    stream: Option<u16>,
    day: u64,
    at: Instant,
    /// It was stored, or we do not know yet.
    is_stored: bool,
}

struct Lookup {
    node: NodeId,
    slot: Slot,
    until: Instant,
}

impl Node {
    /// Takes what the DHT says.
    pub fn handle_dht(&mut self, event: DhtEvent, now: Instant) {
        let policy = &mut self.discovery.dht;
        match event {
            DhtEvent::State(state) => {
                if state.is_entered && !policy.state.is_entered {
                    policy.next_ping = Some(now);
                }
                policy.state = state;
            }
            DhtEvent::Put { seed, nodes } => {
                if let Some(published) = policy.published.as_mut().filter(|published| published.seed == seed)
                {
                    published.is_stored = nodes > 0;
                }
                self.discovery.mailboxes.handle_put(&seed, nodes);
            }
            DhtEvent::Got { seed } => {
                policy.lookups.remove(&seed);
            }
            DhtEvent::Value { seed, bytes } => self.take_value(&seed, &bytes, now),
            DhtEvent::Peers(addresses) => {
                if self.discovery.carriers.dht && self.peers.is_alone() {
                    let addresses: Vec<SocketAddr> =
                        addresses.iter().map(Candidate::socket_address).collect();
                    self.ask(&addresses, now);
                }
            }
        }
    }

    /// When we last left our hint in the DHT.
    #[must_use]
    pub fn last_published(&self) -> Option<Instant> {
        self.discovery.dht.published.as_ref().filter(|published| published.is_stored).map(|p| p.at)
    }

    fn take_value(&mut self, seed: &[u8; 32], bytes: &[u8], now: Instant) {
        if self.take_word(seed, bytes, now) {
            return;
        }
        let Some(lookup) = self.discovery.dht.lookups.get(seed) else { return };
        let node = lookup.node;
        match Hint::open(lookup.slot.seal_key(), &self.members.id(), bytes) {
            Ok(hint) if hint.body().node == node => self.take_hint(&hint, HintSource::Dht, None, now),
            // Any member can write there.
            Ok(_) | Err(_) => self.drops.count(DropReason::Hint),
        }
    }

    pub(super) fn restart_dht(&mut self, now: Instant) {
        let is_on = self.discovery.carriers.dht;
        let policy = &mut self.discovery.dht;
        policy.missing.clear();
        policy.rendezvous = None;
        policy.next_ping = is_on.then_some(now);
        self.note_reach(now);
    }

    /// What we tell of where we are may be something else.
    pub(in crate::node) fn note_reach(&mut self, now: Instant) {
        if self.discovery.carriers.dht {
            self.discovery.dht.candidates = self.own_side(now).candidates;
            self.discovery.dht.stream = self.reach.stream_port;
        }
    }

    pub(super) fn run_dht(&mut self, now: Instant) {
        if !self.discovery.carriers.dht {
            return;
        }
        self.note_missing(now);
        let policy = &mut self.discovery.dht;
        policy.lookups.retain(|_, lookup| now < lookup.until);
        if !policy.state.is_entered {
            return;
        }
        if self.publication_due(now).is_some_and(|at| now >= at) {
            self.publish_hint(now);
        }
        self.run_earlier(now);
        self.look_up_missing(now);
        if let Some(pace) = self.discovery.dht.rendezvous.as_mut().filter(|pace| pace.is_due(now)) {
            pace.tried(&mut self.random, now);
            self.meet(now);
        }
        if self.ping_due().is_some_and(|at| now >= at) {
            self.ping_servers(now);
        }
        self.run_mailboxes(now);
    }

    fn note_missing(&mut self, now: Instant) {
        let is_alone = self.peers.is_alone();
        let Policy { missing, rendezvous, .. } = &mut self.discovery.dht;
        let (peers, strangers) = (&self.peers, &self.discovery.strangers);
        let is_missing = |node: &NodeId| peers.get(node).is_some_and(Peer::is_missing);
        missing.retain(|node, _| is_missing(node));
        for peer in peers.missing().filter(|peer| !strangers.contains_key(&peer.node)) {
            missing.entry(peer.node).or_insert_with(|| Pace::after_pause(now));
        }
        if is_alone {
            rendezvous.get_or_insert_with(|| Pace::after_pause(now));
        } else {
            *rendezvous = None;
        }
    }

    /// When our hint is to be left anew: soon when it says something else, late when it does not.
    fn publication_due(&self, now: Instant) -> Option<Instant> {
        let policy = &self.discovery.dht;
        if policy.candidates.is_empty() {
            return None;
        }
        let Some(last) = &policy.published else { return Some(now) };
        let is_news = last.candidates != policy.candidates
            || last.stream != policy.stream
            || last.day != mailbox::day(self.unix_s(now))
            || !last.is_stored;
        Some(last.at + if is_news { DHT_PUT_PAUSE } else { DHT_PUT_AGAIN })
    }

    fn publish_hint(&mut self, now: Instant) {
        let unix_s = self.unix_s(now);
        let day = mailbox::day(unix_s);
        let slot = Slot::of_hint(self.members.network.secrets.current(), day, &self.identity.node());
        self.note_reach(now);
        let value = self.own_hint(false, now).seal(slot.seal_key(), self.random.bytes());
        let seed = *slot.seed();
        let request = DhtRequest::Put { seed, value, sequence: unix_s };
        self.outputs.push_back(Output::Dht(request));
        let policy = &mut self.discovery.dht;
        let (candidates, stream) = (policy.candidates.clone(), policy.stream);
        policy.published = Some(Published { seed, candidates, stream, day, at: now, is_stored: true });
    }

    fn look_up_missing(&mut self, now: Instant) {
        let days = mailbox::days(self.unix_s(now));
        while let Some(node) = self.next_lookup().filter(|(at, _)| now >= *at).map(|(_, node)| node) {
            let policy = &mut self.discovery.dht;
            if let Some(pace) = policy.missing.get_mut(&node) {
                pace.tried(&mut self.random, now);
            }
            for day in &days {
                let slot = Slot::of_hint(self.members.network.secrets.current(), *day, &node);
                let seed = *slot.seed();
                policy.lookups.insert(seed, Lookup { node, slot, until: now + DHT_LOOKUP_TIME });
                self.outputs.push_back(Output::Dht(DhtRequest::Get { seed }));
            }
        }
    }

    /// The node that is to be looked up next, unless as many are being looked up as may be.
    fn next_lookup(&self) -> Option<(Instant, NodeId)> {
        let policy = &self.discovery.dht;
        if policy.lookups.len() >= DHT_LOOKUPS_MAX {
            return None;
        }
        policy.missing.iter().map(|(node, pace)| (pace.next, *node)).min()
    }

    /// Announces us under the rendezvous, and looks who else did.
    fn meet(&mut self, now: Instant) {
        let is_v4 = |candidate: &&Candidate| candidate.socket_address().is_ipv4();
        let seen = self.reach.seen.public(now);
        let port = seen.iter().chain(&self.discovery.dht.candidates).find(is_v4).copied();
        for day in mailbox::days(self.unix_s(now)) {
            let info_hash = mailbox::rendezvous(self.members.network.secrets.current(), day);
            if let Some(port) = port.map(|candidate| candidate.socket_address().port()) {
                self.outputs.push_back(Output::Dht(DhtRequest::Announce { info_hash, port }));
            }
            self.outputs.push_back(Output::Dht(DhtRequest::Lookup { info_hash }));
        }
    }

    /// DHT nodes are asked where they see us while members are too few to tell.
    fn ping_due(&self) -> Option<Instant> {
        let policy = &self.discovery.dht;
        let is_wanted = !policy.state.contacts.is_empty() && self.reach.told.len() < 2;
        policy.next_ping.filter(|_| is_wanted)
    }

    fn ping_servers(&mut self, now: Instant) {
        let contacts = self.discovery.dht.state.contacts.iter().take(DHT_PINGED_MAX);
        let servers: Vec<SocketAddr> = contacts.map(|contact| SocketAddr::V4(*contact)).collect();
        if servers != self.discovery.dht.servers {
            self.discovery.dht.servers.clone_from(&servers);
            let servers = servers.clone();
            self.change_gate(|gate, _| gate.servers = servers);
        }
        self.discovery.dht.pings.clear();
        for server in servers {
            let transaction = self.random.bytes();
            let id: [u8; NODE_ID_LENGTH] = self.random.bytes();
            self.discovery.dht.pings.insert(transaction, server);
            self.transmit(Remote::udp(server), write_ping(transaction, &id));
        }
        self.discovery.dht.next_ping = Some(now + self.random.jitter(DHT_PING_INTERVAL));
    }

    /// A DHT node says where it sees us.
    pub(in crate::node) fn consume_server_answer(&mut self, bytes: &[u8], remote: Remote, now: Instant) {
        let answer = PingAnswer::parse(bytes).filter(|answer| {
            let asked = self.discovery.dht.pings.get(&answer.transaction).copied();
            asked.is_some() && asked == remote.address()
        });
        let (Some(answer), Some(server)) = (answer, remote.address()) else {
            return self.drops.count(DropReason::Unknown);
        };
        self.discovery.dht.pings.remove(&answer.transaction);
        self.handle_observation(server, answer.observed.socket_address(), now);
        self.note_reach(now);
    }

    pub(super) fn dht_deadline(&self, now: Instant) -> Option<Instant> {
        if !self.discovery.carriers.dht {
            return None;
        }
        let policy = &self.discovery.dht;
        let over = policy.lookups.values().map(|lookup| lookup.until).min();
        if !policy.state.is_entered {
            return over;
        }
        let lookup = self.next_lookup().map(|(at, _)| at);
        let rendezvous = policy.rendezvous.map(|pace| pace.next);
        let mailbox = self.mailbox_deadline(now);
        let own = [self.publication_due(now), self.ping_due(), self.earlier_deadline(now)];
        [over, lookup, rendezvous, mailbox].into_iter().chain(own).flatten().min()
    }
}
