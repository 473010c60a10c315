//! Asks: "who is there?", to addresses without a key, and their answers.
//!
//! All asks of a round are one datagram, so that the workers need one key to know the answers by. An answer counts from an
//! address that was asked; it is half as long as its ask.

use super::pace::Pace;
use super::{HintSource, Node};
use crate::drops::DropReason;
use crate::limits::{ASK_AGAIN, ASK_ROUND_TIME, ASKED_MAX, SEED_ADDRESSES_MAX};
use nat::{Remote, SocketId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;
use wire::Candidate;
use wire::datagram::{HintMessage, HintStage, write_hint};
use wire::hint::{Hint, NONCE_LENGTH, SealKey};

/// Addresses without a key, and what is under way there.
#[derive(Default)]
pub(super) struct Asks {
    seeds: Vec<SocketAddr>,
    pace: Option<Pace>,
    round: Option<Round>,
    /// Key of the answers to the round before.
    previous: Option<SealKey>,
    asked: BTreeMap<SocketAddr, Instant>,
}

impl Asks {
    /// The next ask is a new datagram.
    pub(super) fn end_round(&mut self) {
        if let Some(round) = self.round.take() {
            self.previous = Some(round.answers);
        }
    }
}

struct Round {
    since: Instant,
    datagram: Vec<u8>,
    answers: SealKey,
}

impl Node {
    /// Takes addresses where members may be: they are asked who they are until somebody of the network is connected.
    pub fn handle_seed(&mut self, addresses: &[SocketAddr], now: Instant) {
        let asks = &mut self.discovery.asks;
        for address in addresses {
            if !asks.seeds.contains(address) {
                asks.seeds.insert(0, *address);
                asks.pace = Some(Pace::at_once(now));
            }
        }
        asks.seeds.truncate(SEED_ADDRESSES_MAX);
    }

    pub(super) fn restart_asks(&mut self, now: Instant) {
        let asks = &mut self.discovery.asks;
        asks.asked.clear();
        asks.pace = (!asks.seeds.is_empty()).then(|| Pace::at_once(now));
    }

    pub(super) fn run_asks(&mut self, now: Instant) {
        self.discovery.asks.asked.retain(|_, at| now < *at + ASK_ROUND_TIME);
        let asks = &mut self.discovery.asks;
        if !self.peers.is_alone() {
            // When all are gone again, it begins anew.
            asks.pace = asks.pace.map(|_| Pace::at_once(now));
        } else if let Some(pace) = asks.pace.as_mut().filter(|pace| pace.is_due(now)) {
            pace.tried(&mut self.random, now);
            let seeds = asks.seeds.clone();
            self.ask(&seeds, now);
        }
    }

    pub(super) fn asks_deadline(&self) -> Option<Instant> {
        let asks = &self.discovery.asks;
        let forget = asks.asked.values().min().map(|at| *at + ASK_ROUND_TIME);
        let pace = asks.pace.filter(|_| self.peers.is_alone()).map(|pace| pace.next);
        forget.into_iter().chain(pace).min()
    }

    /// Asks at these addresses who is there; each at most once in a while.
    pub(super) fn ask(&mut self, addresses: &[SocketAddr], now: Instant) {
        let own = self.all_candidates(now);
        let mut remotes = vec![];
        for address in addresses {
            let Some(candidate) = Candidate::new(*address) else { continue };
            let asked = &mut self.discovery.asks.asked;
            let lately = asked.get(address).is_some_and(|at| now < *at + ASK_AGAIN);
            let is_full = asked.len() >= ASKED_MAX && !asked.contains_key(address);
            if !lately && !is_full && !own.contains(&candidate) && !self.members.is_inside(&candidate) {
                asked.insert(*address, now);
                remotes.push(Remote::udp(*address));
            }
        }
        if !remotes.is_empty() {
            let datagram = self.ask_datagram(now);
            for remote in remotes {
                self.transmit(remote, datagram.clone());
            }
        }
    }

    /// The ask of the present round.
    fn ask_datagram(&mut self, now: Instant) -> Vec<u8> {
        if let Some(round) = &self.discovery.asks.round
            && now < round.since + ASK_ROUND_TIME
        {
            return round.datagram.clone();
        }
        let nonce: [u8; NONCE_LENGTH] = self.random.bytes();
        let who = SealKey::who(self.members.network.secrets.current());
        let sealed = self.own_hint(false, now).seal_ask(&who, nonce);
        let datagram = write_hint(HintStage::Ask, who.mark(), &sealed);
        let round = Round { since: now, datagram: datagram.clone(), answers: who.answer_to(&nonce) };
        let before = self.discovery.asks.round.replace(round);
        if let Some(before) = before {
            self.discovery.asks.previous = Some(before.answers);
        }
        self.change_gate(|gate, asks| {
            let latest = asks.round.as_ref().map(|round| &round.answers);
            gate.answers = latest.into_iter().chain(&asks.previous).cloned().collect();
        });
        datagram
    }

    /// Takes a hint that came to the data socket.
    pub(in crate::node) fn consume_hint(&mut self, message: &HintMessage<'_>, remote: Remote, now: Instant) {
        let Remote::Udp { socket: SocketId::MAIN, address } = remote else {
            return self.drops.count(DropReason::Hint);
        };
        if !self.discovery.allowance.take(address.ip(), now) {
            return self.drops.count(DropReason::HintFlood);
        }
        let outcome = match message.stage {
            HintStage::Ask => self.consume_ask(message, remote, now),
            HintStage::Answer => self.consume_answer(message, address, now),
            HintStage::Beacon => None,
        };
        if outcome.is_none() {
            self.drops.count(DropReason::Hint);
        }
    }

    /// Answers a member, and takes note of where it is.
    fn consume_ask(&mut self, message: &HintMessage<'_>, remote: Remote, now: Instant) -> Option<()> {
        let opens = |key: &&SealKey| key.mark() == message.mark && key.opens(message.sealed);
        let who = self.discovery.gate.who.iter().find(opens)?.clone();
        let hint = Hint::open(&who, &self.members.id(), message.sealed).ok()?;
        let chain = self.members.chain(&hint.body().node);
        let is_out = self.is_revoked || chain.is_some_and(|chain| self.members.is_revoked(chain));
        if is_out || hint.body().node == self.identity.node() {
            return None;
        }
        let key = who.answer_to(&message.nonce());
        let sealed = self.own_hint(false, now).seal(&key, self.random.bytes());
        self.transmit(remote, write_hint(HintStage::Answer, key.mark(), &sealed));
        self.take_hint(&hint, HintSource::Seed, None, now);
        Some(())
    }

    /// Whoever answered can be dialled where it was asked.
    fn consume_answer(&mut self, message: &HintMessage<'_>, address: SocketAddr, now: Instant) -> Option<()> {
        let asks = &self.discovery.asks;
        if !asks.asked.contains_key(&address) {
            return None;
        }
        let latest = asks.round.as_ref().map(|round| &round.answers);
        let mut keys = latest.into_iter().chain(&asks.previous);
        let hint = keys.find_map(|key| Hint::open(key, &self.members.id(), message.sealed).ok())?;
        self.take_hint(&hint, HintSource::Seed, Some(address), now);
        Some(())
    }

    /// Changes what the workers let in, before anything that follows.
    pub(super) fn change_gate(&mut self, change: impl FnOnce(&mut crate::hint_gate::HintGate, &Asks)) {
        let mut gate = (*self.discovery.gate).clone();
        change(&mut gate, &self.discovery.asks);
        self.discovery.gate = std::sync::Arc::new(gate);
        self.publish_tables();
    }
}
