//! Control messages inside sessions.

use super::circuit::Wanted;
use super::punching::Called;
use super::reach::is_for_tests;
use super::{Event, Node, Output};
use crate::drops::DropReason;
use crate::sent::kind_of;
use crate::session::Kind;
use nat::{Remote, Side, SocketId};
use std::time::Instant;
use wire::control::{HAVE_ENTRIES_MAX, Message, Share, WANT_KEYS_MAX};
use wire::datagram::{HEADER_LENGTH, TAG_LENGTH};
use wire::{NodeId, Record, cbor};

impl Node {
    /// Seals a message for a peer and sends it, by its primary path or to a given address.
    pub(super) fn send(&mut self, node: &NodeId, message: &Message, to: Option<Remote>) {
        if let Some(remote) = to.or_else(|| self.peers.get(node)?.paths.primary()) {
            self.send_with_ttl(node, message, remote, None);
        }
    }

    /// As [`Node::send`], with a limit of routers on the way.
    pub(super) fn send_with_ttl(
        &mut self,
        node: &NodeId,
        message: &Message,
        remote: Remote,
        ttl: Option<u8>,
    ) {
        if let Some(bytes) = self.seal_control(node, &cbor::encode(message)) {
            self.transmit_as(kind_of(message), remote, bytes, ttl);
        }
    }

    /// The datagram of a message for a peer; none when there is no session.
    pub(super) fn seal_control(&self, node: &NodeId, message: &[u8]) -> Option<Vec<u8>> {
        let held = self.peers.get(node)?.sessions.current()?;
        let mut bytes = [&[0; HEADER_LENGTH], message, &[0; TAG_LENGTH]].concat();
        held.session.seal(Kind::Control, &mut bytes).ok().map(|()| bytes)
    }

    fn consume_ping(
        &mut self,
        (node, token): (NodeId, u64),
        (digest, share): (u64, Option<Share>),
        remote: Remote,
        now: Instant,
    ) {
        // The pong is to speak of what both hold.
        self.note_share(node, (digest, share.unwrap_or(Share::ALL)), now);
        if !is_for_tests(remote) {
            let pong = self.pong_to(&node, token, remote.candidate());
            self.send(&node, &pong, Some(remote));
            self.note_probe(node, remote, now);
            self.note_dial_back(node, token, remote, now);
        }
        self.note_alive(token, remote, now);
        self.take_told(node, (digest, share), now);
    }

    /// A peer says what it holds.
    fn take_told(&mut self, node: NodeId, (digest, share): (u64, Option<Share>), now: Instant) {
        let told = (digest, share.unwrap_or(Share::ALL));
        self.note_share(node, told, now);
        self.compare_digests(node, told, now);
    }

    fn consume_wish(&mut self, node: NodeId, keys: &[u64], now: Instant) {
        let records: Vec<Record> = self.registry.by_hashes(keys).into_iter().cloned().collect();
        for record in records {
            self.tell(&node, &record, self.age_s(&record, now));
        }
    }

    pub(super) fn consume_control(&mut self, node: NodeId, bytes: &[u8], remote: Remote, now: Instant) {
        let Ok(message) = cbor::decode::<Message>(bytes) else {
            return self.drops.count(DropReason::Control);
        };
        match message {
            Message::Ping { token, digest, share } => {
                self.consume_ping((node, token), (digest, share), remote, now);
            }
            Message::Pong { token, digest, observed, share } => {
                if !self.take_sample((node, token), remote, observed, now)
                    && !self.take_punched(node, token, remote, now)
                    && !self.take_primed(token, remote, observed, now)
                {
                    self.take_observation(node, remote, observed, now);
                    self.consume_pong(node, token, remote, now);
                }
                self.take_told(node, (digest, share), now);
            }
            Message::Have { from, to, entries } if entries.len() <= HAVE_ENTRIES_MAX && from <= to => {
                self.consume_summary(node, (from, to), &entries, now);
            }
            Message::Want { keys } if keys.len() <= WANT_KEYS_MAX => self.consume_wish(node, &keys, now),
            Message::Record { bytes, age_s } => self.consume_record((&bytes, age_s), Some(node), now),
            Message::Close => {
                let name = self.name_of(&node);
                self.disconnect(node, now);
                self.outputs.push_back(Output::Event(Event::Closed(node, name)));
            }
            Message::View(message) => self.consume_view(node, &message, now),
            Message::Rest { is_agreed } => self.consume_rest(node, is_agreed, now),
            Message::CircuitOpen { label, route, origin, passed } => {
                self.consume_circuit_open(node, label, &Wanted { route, origin, passed }, now);
            }
            Message::CircuitOpened { label, forward } => {
                self.consume_circuit_opened(node, label, forward, now)
            }
            Message::CircuitClosed { label, reason } => self.consume_circuit_closed(node, label, reason, now),
            Message::Call { nonce, is_answer, rung, profile, candidates, public, last_port } => {
                let side = Side { profile, candidates, public, predicted: last_port };
                self.consume_call(node, Called { nonce, is_answer, rung, side }, now);
            }
            Message::DialBack { token, port, is_same_port } => {
                let socket = if is_same_port { SocketId::MAIN } else { SocketId::TEST };
                self.consume_dial_back(node, token, (port, socket), remote);
            }
            Message::Vouch { invite, mac_key, open_s } => {
                self.consume_vouch(node, (invite, mac_key.into(), open_s), now);
            }
            Message::Enrolment { joiner, bytes } => self.consume_put_through(node, joiner, &bytes, now),
            Message::Digests { bits, ranges } => {
                for answer in self.registry.compare_digests(bits, &ranges, self.revision_with(&node)) {
                    self.send(&node, &answer, None);
                }
            }
            Message::Epoch(message) => self.consume_epoch(node, message, now),
            Message::News(message) => self.consume_news(node, &message, now),
            Message::Find { nonce, name } => self.consume_find(node, nonce, &name, now),
            Message::Found { nonce, count, record, age_s } => {
                let record = record.as_ref().map(|bytes| (&bytes[..], age_s));
                self.consume_found(node, nonce, (count, record), now);
            }
            Message::Measure { token, .. } => self.send(&node, &Message::Measured { token }, Some(remote)),
            Message::Measured { token } => self.consume_measured(node, token, now),
            Message::Have { .. } | Message::Want { .. } => self.drops.count(DropReason::Control),
        }
    }

    fn consume_pong(&mut self, node: NodeId, token: u64, remote: Remote, now: Instant) {
        let asked = |ping: &super::PendingPing| ping.peer == node && ping.token == token;
        if let Some(at) = self.pings.iter().position(asked) {
            let ping = self.pings.swap_remove(at);
            let outcome = ping.sent.map(|sent| (now.saturating_duration_since(sent), remote));
            self.outputs.push_back(Output::PingDone { ticket: ping.ticket, outcome });
            return;
        }
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if let Some(pong) = peer.paths.handle_pong(token, remote, now)
            && pong.promoted
        {
            self.path_moved(node, remote, now);
        }
    }

    /// The primary path of a peer is another one.
    pub(super) fn path_moved(&mut self, node: NodeId, remote: Remote, now: Instant) {
        self.unwritten.contacts.get_or_insert(now + crate::limits::PERSIST_DELAY);
        let name = self.name_of(&node);
        self.outputs.push_back(Output::Event(Event::Moved(node, name, remote)));
        self.close_circuits_by(node, now);
        self.links_changed(now);
        self.path_changed(remote);
        self.release(node);
    }
}
