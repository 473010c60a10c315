//! The joiner's word in the DHT: where it is seen, for the issuer, and the issuer's answer.
//!
//! DHT nodes say where they see the joiner's socket, which is all that a machine needs to know that has no peers yet. It
//! leaves that in the slot to the issuer, and takes from the slot to the joiner only what answers its own word: by then
//! the issuer's NAT has been opened for it.

use crate::identity::Identity;
use crate::limits::{
    DHT_LOOKUP_TIME, DHT_PING_INTERVAL, DHT_PINGED_MAX, JOINER_LOOK_INTERVAL, JOINER_PUT_AGAIN,
    JOINER_WORDS_KEPT, MAILBOX_PUT_PAUSE,
};
use crate::node::{DhtEvent, DhtRequest, DhtState};
use crate::random::Random;
use nat::{Remote, SocketId};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use wire::bep5::{NODE_ID_LENGTH, PingAnswer, TRANSACTION_LENGTH, write_ping};
use wire::hint::{HINT_CANDIDATES_MAX, Hint, HintBody, SealKey};
use wire::mailbox::Slot;
use wire::{Candidate, Invite};

/// A DHT node that is asked where it sees us answers in this time, or a second one does.
const SEEN_PATIENCE: Duration = Duration::from_secs(3);

/// What a joiner has to know for it.
#[derive(Debug, Clone)]
pub struct MailboxParams {
    /// The socket that the issuer is to be met at. Nothing else was sent from it: a NAT before the issuer may have taken
    /// ill what came too early from another one.
    pub socket: SocketId,
    /// Addresses of the machine itself at which that socket could be dialled.
    pub local: Vec<Candidate>,
    /// The wall clock, seconds since 1970.
    pub unix_s: u64,
}

/// What a joiner has to do with the DHT.
pub(super) struct Mailbox {
    params: MailboxParams,
    began: Instant,
    entered: Instant,
    to_issuer: Slot,
    to_joiner: Slot,
    state: DhtState,
    pings: BTreeMap<[u8; TRANSACTION_LENGTH], SocketAddr>,
    next_ping: Instant,
    /// Where each DHT node that was asked has seen us.
    seen: BTreeMap<SocketAddr, Candidate>,
    word: Option<Word>,
    /// Some word of ours was stored.
    has_left_word: bool,
    /// Of our words, what opens their answers; the latest last.
    answers: VecDeque<SealKey>,
    /// When to look for an answer.
    next_look: Instant,
    /// The issuer's answer: when it was made, and where the issuer is.
    answer: Option<(u64, Vec<Candidate>)>,
}

/// What we left last.
struct Word {
    candidates: Vec<Candidate>,
    at: Instant,
    sequence: u64,
    /// No DHT node has taken it.
    is_refused: bool,
}

impl Mailbox {
    pub(super) fn new(invite: &Invite, params: MailboxParams, now: Instant) -> Self {
        Self {
            params,
            began: now,
            entered: now,
            to_issuer: Slot::to_issuer(&invite.secret),
            to_joiner: Slot::to_joiner(&invite.secret),
            state: DhtState::default(),
            pings: BTreeMap::new(),
            next_ping: now,
            seen: BTreeMap::new(),
            word: None,
            has_left_word: false,
            answers: VecDeque::new(),
            next_look: now,
            answer: None,
        }
    }

    /// Whether the issuer can have heard of us.
    pub(super) fn has_left_word(&self) -> bool {
        self.has_left_word
    }

    /// Where the issuer says that it is.
    pub(super) fn remotes(&self) -> impl Iterator<Item = Remote> + '_ {
        let socket = self.params.socket;
        let candidates = self.answer.iter().flat_map(|(_, candidates)| candidates);
        candidates.map(move |candidate| Remote::Udp { socket, address: candidate.socket_address() })
    }

    /// Takes what the DHT says; whether there are new addresses of the issuer.
    pub(super) fn handle_dht(&mut self, event: DhtEvent, invite: &Invite, now: Instant) -> bool {
        match event {
            DhtEvent::State(state) => {
                if state.is_entered && !self.state.is_entered {
                    self.next_ping = now;
                    self.entered = now;
                }
                self.state = state;
            }
            DhtEvent::Put { seed, nodes } if seed == *self.to_issuer.seed() => {
                if let Some(word) = &mut self.word {
                    word.is_refused = nodes == 0;
                    self.has_left_word |= nodes > 0;
                }
            }
            DhtEvent::Got { seed } if seed == *self.to_joiner.seed() => {
                self.next_look = now + JOINER_LOOK_INTERVAL;
            }
            DhtEvent::Value { seed, bytes } if seed == *self.to_joiner.seed() => {
                return self.take_answer(&bytes, invite);
            }
            DhtEvent::Put { .. } | DhtEvent::Got { .. } | DhtEvent::Value { .. } | DhtEvent::Peers(_) => {}
        }
        false
    }

    fn take_answer(&mut self, bytes: &[u8], invite: &Invite) -> bool {
        let opened = self.answers.iter().find_map(|key| Hint::open(key, &invite.network, bytes).ok());
        let Some(hint) = opened.filter(|hint| hint.body().node == invite.issuer) else { return false };
        let body = hint.body();
        if self.answer.as_ref().is_some_and(|(unix_s, _)| *unix_s >= body.unix_s) {
            return false;
        }
        self.answer = Some((body.unix_s, body.candidates.clone()));
        true
    }

    /// Takes a datagram that may be the answer of a DHT node that was asked where it sees us.
    pub(super) fn handle_datagram(&mut self, bytes: &[u8], remote: Remote) {
        let Some(answer) = PingAnswer::parse(bytes) else { return };
        let asked = self.pings.get(&answer.transaction).copied();
        let Some(server) = asked.filter(|server| remote == self.remote(*server)) else { return };
        self.pings.remove(&answer.transaction);
        self.seen.insert(server, answer.observed);
    }

    fn remote(&self, address: SocketAddr) -> Remote {
        Remote::Udp { socket: self.params.socket, address }
    }

    /// Where we are: as most see us first, then as the machine has it.
    fn candidates(&self) -> Vec<Candidate> {
        let mut counted: BTreeMap<Candidate, usize> = BTreeMap::new();
        self.seen.values().for_each(|seen| *counted.entry(*seen).or_default() += 1);
        let mut seen: Vec<(usize, Candidate)> =
            counted.into_iter().map(|(candidate, count)| (count, candidate)).collect();
        seen.sort_by_key(|(count, candidate)| (std::cmp::Reverse(*count), *candidate));
        let mut candidates: Vec<Candidate> = seen.into_iter().map(|(_, candidate)| candidate).collect();
        for local in &self.params.local {
            if !candidates.contains(local) {
                candidates.push(*local);
            }
        }
        candidates.truncate(HINT_CANDIDATES_MAX);
        candidates
    }

    /// Pings to send now, from the socket that is to be met at.
    pub(super) fn pings(&mut self, random: &mut Random, now: Instant) -> Vec<(Remote, Vec<u8>)> {
        if self.ping_due().is_none_or(|at| now < at) {
            return vec![];
        }
        self.next_ping = now + DHT_PING_INTERVAL;
        let contacts = self.state.contacts.iter().take(DHT_PINGED_MAX);
        let servers: Vec<SocketAddr> = contacts.map(|contact| SocketAddr::V4(*contact)).collect();
        self.seen.retain(|server, _| servers.contains(server));
        self.pings.clear();
        let mut pings = vec![];
        for server in servers {
            let (transaction, id) = (random.bytes(), random.bytes::<NODE_ID_LENGTH>());
            self.pings.insert(transaction, server);
            pings.push((self.remote(server), write_ping(transaction, &id)));
        }
        pings
    }

    /// What to ask of the DHT now.
    pub(super) fn request(
        &mut self,
        (invite, identity): (&Invite, &Identity),
        random: &mut Random,
        now: Instant,
    ) -> Option<DhtRequest> {
        if self.word_due().is_some_and(|at| now >= at) {
            return Some(self.leave_word((invite, identity), random, now));
        }
        if self.look_due().is_some_and(|at| now >= at) {
            // Until its end is told, or is overdue.
            self.next_look = now + DHT_LOOKUP_TIME;
            return Some(DhtRequest::Get { seed: *self.to_joiner.seed() });
        }
        None
    }

    fn leave_word(
        &mut self,
        (invite, identity): (&Invite, &Identity),
        random: &mut Random,
        now: Instant,
    ) -> DhtRequest {
        let candidates = self.candidates();
        let unix_s = self.params.unix_s + now.saturating_duration_since(self.began).as_secs();
        let sequence = self.word.as_ref().map_or(unix_s, |last| unix_s.max(last.sequence + 1));
        let body = HintBody {
            node: identity.node(),
            noise_key: identity.noise_key(),
            candidates: candidates.clone(),
            unix_s: sequence,
            stream: None,
        };
        let hint = Hint::sign(&body, &invite.network, &identity.signing)
            .expect("candidates are bounded, and the node is the key's");
        let nonce = random.bytes();
        if self.answers.len() >= JOINER_WORDS_KEPT {
            self.answers.pop_front();
        }
        self.answers.push_back(self.to_joiner.seal_key().answer_to(&nonce));
        self.word = Some(Word { candidates, at: now, sequence, is_refused: false });
        let value = hint.seal(self.to_issuer.seal_key(), nonce);
        DhtRequest::Put { seed: *self.to_issuer.seed(), value, sequence }
    }

    fn ping_due(&self) -> Option<Instant> {
        (!self.state.contacts.is_empty()).then_some(self.next_ping)
    }

    /// When to leave word: as soon as there is something to say, soon when that is something else, and now and then.
    fn word_due(&self) -> Option<Instant> {
        let candidates = self.candidates();
        if !self.state.is_entered || candidates.is_empty() {
            return None;
        }
        let Some(last) = &self.word else {
            return Some(if self.seen.is_empty() { self.entered + SEEN_PATIENCE } else { self.entered });
        };
        let is_news = last.candidates != candidates || last.is_refused;
        Some(last.at + if is_news { MAILBOX_PUT_PAUSE } else { JOINER_PUT_AGAIN })
    }

    fn look_due(&self) -> Option<Instant> {
        (self.state.is_entered && self.has_left_word()).then_some(self.next_look)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.ping_due(), self.word_due(), self.look_due()].into_iter().flatten().min()
    }
}
