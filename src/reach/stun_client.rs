//! The configured STUN servers: which is asked when, and what they say of our address.
//!
//! Bytes and time in, bytes and deadlines out: the questions must leave from the data socket, which this never sees.
//! Each server is asked over IPv4 and IPv6 every [`STUN_INTERVAL`], twice more when it is silent. An answer counts only
//! from the address that was asked and with the transaction of that question. No server is believed here: one can lie,
//! and what its word is worth is decided where the other observations are.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use super::limits::{
    STUN_ADDRESSES_MAX, STUN_INTERVAL, STUN_NAME_LIFE, STUN_RETRANSMISSIONS_MAX, STUN_RETRANSMIT,
};
use super::stun;
use crate::io::entropy;

/// What is to be done, by [`StunClient::poll_output`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Look up this `host:port`, and bring the result, be it empty, to [`StunClient::handle_resolved`].
    Resolve(String),
    /// Send this from the data socket of that family.
    Send {
        /// The server.
        to: SocketAddr,
        /// A Binding request.
        bytes: Vec<u8>,
    },
    /// A server saw the data socket at an address.
    Observed {
        /// The server.
        server: SocketAddr,
        /// Our address there.
        observed: SocketAddr,
    },
    /// A server did not answer this round, at any of its addresses.
    Silent {
        /// It, as the configuration names it.
        server: String,
        /// Whether not even an address was found for it.
        unresolved: bool,
    },
    /// Nothing to do until then; never again without input when `None`.
    Wait(Option<Instant>),
}

/// Questions to the configured servers.
#[derive(Debug)]
pub struct StunClient {
    servers: Vec<Server>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Server {
    name: String,
    addresses: Vec<SocketAddr>,
    /// Until when `addresses` are good enough.
    fresh_until: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Until the next round.
    Resting(Instant),
    /// The name is being looked up.
    Resolving,
    /// Questions are under way; `answered` once any of them was.
    Asking { questions: Vec<Question>, answered: bool, next_round: Instant },
}

#[derive(Debug)]
struct Question {
    to: SocketAddr,
    transaction: [u8; 12],
    repeated: u8,
    deadline: Instant,
}

impl StunClient {
    /// For the servers of the configuration, each `host:port`; they are asked at once. Without any, it waits for ever.
    #[must_use]
    pub fn new(servers: &[String], now: Instant) -> Self {
        let server = |name: &String| Server {
            name: name.clone(),
            addresses: Vec::new(),
            fresh_until: now,
            state: State::Resting(now),
        };
        Self { servers: servers.iter().map(server).collect(), outputs: VecDeque::new() }
    }

    /// What the name of a server was resolved to.
    pub fn handle_resolved(&mut self, name: &str, addresses: &[SocketAddr], now: Instant) {
        let resolving =
            |server: &&mut Server| server.name == name && matches!(server.state, State::Resolving);
        for server in self.servers.iter_mut().filter(resolving) {
            if !addresses.is_empty() {
                server.addresses = one_of_each_family(addresses);
            }
            if server.addresses.is_empty() {
                self.outputs.push_back(Output::Silent { server: server.name.clone(), unresolved: true });
                server.state = State::Resting(now + STUN_INTERVAL);
            } else {
                // The resolver may be ill while the addresses are well: they are asked until it is healthy again.
                server.fresh_until = now + STUN_NAME_LIFE;
                server.ask(&mut self.outputs, now);
            }
        }
    }

    /// A datagram that looks like STUN and came to the data socket. False when it is no answer to a question of ours.
    pub fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8]) -> bool {
        let Some(transaction) = stun::response_transaction(datagram) else { return false };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        for server in &mut self.servers {
            let State::Asking { questions, answered, .. } = &mut server.state else { continue };
            let ours = |question: &Question| question.to == from && question.transaction == transaction;
            let Some(at) = questions.iter().position(ours) else { continue };
            // An error answers nothing: the question stays open, and the server counts as silent in the end.
            let Some(observed) = stun::parse_response(datagram, transaction) else { return true };
            questions.remove(at);
            *answered = true;
            self.outputs.push_back(Output::Observed { server: from, observed });
            return true;
        }
        false
    }

    /// The machine's addresses or routes changed: every server is asked again at once.
    pub fn handle_network_change(&mut self, now: Instant) {
        for server in self.servers.iter_mut().filter(|server| !matches!(server.state, State::Resolving)) {
            server.state = State::Resting(now);
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self, now: Instant) -> Output {
        if self.outputs.is_empty() {
            for server in &mut self.servers {
                server.advance(&mut self.outputs, now);
            }
        }
        let deadline = || self.servers.iter().filter_map(Server::deadline).min();
        self.outputs.pop_front().unwrap_or_else(|| Output::Wait(deadline()))
    }
}

impl Server {
    fn advance(&mut self, outputs: &mut VecDeque<Output>, now: Instant) {
        match &mut self.state {
            State::Resting(until) if *until > now => {}
            State::Resting(_) if self.fresh_until > now => self.ask(outputs, now),
            State::Resting(_) => {
                outputs.push_back(Output::Resolve(self.name.clone()));
                self.state = State::Resolving;
            }
            State::Resolving => {}
            State::Asking { questions, answered, next_round } => {
                questions.retain_mut(|question| question.advance(outputs, now));
                if questions.is_empty() {
                    let (answered, next_round) = (*answered, *next_round);
                    if !answered {
                        outputs.push_back(Output::Silent { server: self.name.clone(), unresolved: false });
                        // It may have moved.
                        self.fresh_until = now;
                    }
                    self.state = State::Resting(next_round);
                }
            }
        }
    }

    fn ask(&mut self, outputs: &mut VecDeque<Output>, now: Instant) {
        let ask = |to: &SocketAddr| {
            let mut transaction = [0; 12];
            entropy::fill(&mut transaction);
            outputs.push_back(Output::Send { to: *to, bytes: stun::request(transaction) });
            Question { to: *to, transaction, repeated: 0, deadline: now + STUN_RETRANSMIT }
        };
        let questions = self.addresses.iter().map(ask).collect();
        self.state = State::Asking { questions, answered: false, next_round: now + STUN_INTERVAL };
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Resting(until) => Some(*until),
            State::Resolving => None,
            State::Asking { questions, next_round, .. } => {
                questions.iter().map(|question| question.deadline).min().or(Some(*next_round))
            }
        }
    }
}

impl Question {
    /// Repeats the question when that is due; false when it was asked often enough.
    fn advance(&mut self, outputs: &mut VecDeque<Output>, now: Instant) -> bool {
        if self.deadline > now {
            return true;
        }
        if self.repeated == STUN_RETRANSMISSIONS_MAX {
            return false;
        }
        self.repeated += 1;
        self.deadline = now + STUN_RETRANSMIT;
        outputs.push_back(Output::Send { to: self.to, bytes: stun::request(self.transaction) });
        true
    }
}

fn one_of_each_family(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut chosen: Vec<SocketAddr> = Vec::with_capacity(STUN_ADDRESSES_MAX);
    for address in addresses {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        if chosen.iter().all(|other| other.is_ipv4() != address.is_ipv4()) {
            chosen.push(address);
        }
    }
    chosen
}

#[cfg(test)]
mod tests;
