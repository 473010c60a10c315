//! What is due, and what is due next. Every deadline has a reason ([`WaitReason`]).

use super::{Event, Node, Output, WaitReason};
use crate::drops::DropReason;
use crate::limits::{ENROLMENT_LIFE, HANDSHAKE_LIFE, PERSIST_RETRY, SYNC_RETRY};
use crate::peer::{Peer, Seeking};
use crate::state::{Contact, StateFile, encode_contacts, encode_records};
use nat::Remote;
use std::time::{Duration, Instant};
use wire::NodeId;
use wire::control::Message;
use wire::icmp::Unreachable;
use zeroize::Zeroizing;

/// While a peer's records stay different from ours, comparing them becomes as rare as this.
const SYNC_WAIT_MAX: Duration = Duration::from_secs(30);

impl Node {
    /// Does what is due.
    pub(super) fn run_timers(&mut self, now: Instant) {
        self.run_discovery(now);
        let (own, rekey_after) = (self.registry.digest(), self.rekey_after);
        let noisy = self.peers.values().filter(|peer| !peer.is_quiet(own, rekey_after, now));
        let nodes: Vec<NodeId> = noisy.map(|peer| peer.node).collect();
        for node in nodes {
            self.run_session_timers(node, now);
            self.run_path_timers(node, now);
            self.run_handshake_timers(node, now);
            self.run_sync_timers(node, now);
            self.seek_circuit(node, now);
            self.run_punching(node, now);
        }
        self.run_reach_timers(now);
        self.run_keepalive(now);
        self.run_stream_timers(now);
        self.run_circuit_timers(now);
        self.run_link_state_timer(now);
        self.run_ping_timers(now);
        self.enrolments.retain(|e| !e.is_over(now, ENROLMENT_LIFE));
        self.run_vouch_timers(now);
        if self.unwritten.records.is_some_and(|at| now >= at) {
            self.persist_records();
        }
        if self.unwritten.contacts.is_some_and(|at| now >= at) {
            self.persist_contacts();
        }
        if self.unwritten.network.is_some_and(|at| now >= at) {
            self.persist_network();
        }
        if now >= self.next_review {
            self.review(now);
        }
    }

    fn run_session_timers(&mut self, node: NodeId, now: Instant) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let expired = peer.sessions.take(|held| now >= held.born + crate::limits::REJECT_AFTER);
        for held in &expired {
            self.indices.free(held.session.local_index);
        }
        self.tables_are_old |= !expired.is_empty();
        if peer.sessions.rekey(self.rekey_after).is_none_or(|at| now >= at) {
            peer.seek(now);
        }
        let late = peer.take_old_packets(now);
        self.staged -= late.len();
        for packet in late {
            self.refuse_packet(packet, Unreachable::HostUnreachable, DropReason::PeerOffline);
        }
    }

    fn run_path_timers(&mut self, node: NodeId, now: Instant) {
        while let Some(peer) = self.peers.get_mut(&node) {
            match peer.paths.poll_output(peer.shared.traffic(), now) {
                nat::Output::Probe(token, remote) => {
                    let digest = self.registry.digest();
                    self.send(&node, &Message::Ping { token, digest }, Some(remote));
                }
                nat::Output::Promoted(remote) => self.path_moved(node, remote, now),
                nat::Output::Suspect => {
                    let hop = match peer.paths.circuit() {
                        Some(Remote::Circuit(label)) => self.hops_of(label).first().copied(),
                        Some(Remote::Udp { .. } | Remote::Stream(_)) | None => None,
                    };
                    if let Some(hop) = hop.and_then(|hop| self.peers.get_mut(&hop)) {
                        // Perhaps it is we who have moved: the hop must know before it can bring answers.
                        hop.paths.handle_local_change(now);
                    }
                    self.seek_circuit(node, now);
                }
                nat::Output::Lost => {
                    peer.seek(now);
                    self.tables_are_old = true;
                    self.close_circuits_by(node, now);
                    self.links_changed(now);
                    let name = self.name_of(&node);
                    self.outputs.push_back(Output::Event(Event::Lost(node, name)));
                }
                nat::Output::Wait(..) => return,
            }
        }
    }

    fn run_handshake_timers(&mut self, node: NodeId, now: Instant) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        for index in peer.take_old_attempts(now) {
            self.indices.free(index);
        }
        if matches!(peer.seeking, Seeking::Asking { next, .. } if now >= next) {
            self.create_initiation(node, now);
        }
    }

    fn run_sync_timers(&mut self, node: NodeId, now: Instant) {
        let own = self.registry.digest();
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if peer.sync_deadline(own).is_some_and(|at| now >= at) {
            peer.last_sync = now;
            peer.sync_wait = (peer.sync_wait * 2).clamp(SYNC_RETRY, SYNC_WAIT_MAX);
            let token = self.random.u64();
            self.send(&node, &Message::Ping { token, digest: own }, None);
        }
    }

    fn run_ping_timers(&mut self, now: Instant) {
        let mut due = vec![];
        for ping in &mut self.pings {
            let connected = self.peers.get(&ping.peer).is_some_and(Peer::is_connected);
            if ping.sent.is_none() && connected {
                ping.sent = Some(now);
                due.push((ping.peer, ping.token));
            }
        }
        let digest = self.registry.digest();
        for (node, token) in due {
            self.send(&node, &Message::Ping { token, digest }, None);
        }
        while let Some(at) = self.pings.iter().position(|ping| now >= ping.until) {
            let ticket = self.pings.swap_remove(at).ticket;
            self.outputs.push_back(Output::PingDone { ticket, outcome: None });
        }
    }

    /// Queues a write; its ticket.
    pub(super) fn persist(&mut self, file: StateFile, bytes: Zeroizing<Vec<u8>>) -> u64 {
        let ticket = self.ticket();
        self.unwritten.tickets.insert(file, ticket);
        self.outputs.push_back(Output::Persist { file, bytes, ticket });
        ticket
    }

    /// A write has failed: unless a later one of the file is on its way, there will be another.
    pub(super) fn persist_again(&mut self, ticket: u64, now: Instant) {
        let latest = |(file, latest): (&StateFile, &u64)| (*latest == ticket).then_some(*file);
        let at = now + PERSIST_RETRY;
        let unwritten = &mut self.unwritten;
        match unwritten.tickets.iter().find_map(latest) {
            Some(StateFile::Records) => unwritten.records.get_or_insert(at),
            Some(StateFile::Contacts) => unwritten.contacts.get_or_insert(at),
            Some(StateFile::Network) => unwritten.network.get_or_insert(at),
            // What an invite was to give is taken back instead.
            Some(StateFile::Invites | StateFile::Identity) | None => return,
        };
    }

    pub(super) fn persist_records(&mut self) {
        self.unwritten.records = None;
        self.persist(
            StateFile::Records,
            encode_records(self.registry.iter().filter(|record| record.body().kind != wire::Kind::LinkState)),
        );
    }

    fn persist_contacts(&mut self) {
        self.unwritten.contacts = None;
        let contact = |peer: &Peer| Contact {
            node: peer.node,
            noise_key: peer.noise_key,
            candidates: peer.paths.candidates.remembered().to_vec(),
        };
        let contacts = self.peers.values().map(contact).filter(|c| !c.candidates.is_empty()).collect();
        self.persist(StateFile::Contacts, encode_contacts(&contacts));
    }

    pub(super) fn persist_network(&mut self) {
        self.unwritten.network = None;
        self.persist(StateFile::Network, self.members.network.encode());
    }

    /// The earliest deadline and what it is for.
    pub(super) fn next_deadline(&mut self, now: Instant) -> (Instant, WaitReason) {
        let mut earliest = (self.next_review, WaitReason::Review);
        let mut consider = |at: Option<Instant>, reason: WaitReason| {
            if let Some(at) = at
                && at < earliest.0
            {
                earliest = (at, reason);
            }
        };
        let own = self.registry.digest();
        for peer in self.peers.values_mut() {
            if let Seeking::Asking { next, .. } = peer.seeking {
                consider(Some(next), WaitReason::Handshake);
            } else {
                consider(peer.sessions.rekey(self.rekey_after), WaitReason::Session);
            }
            consider(peer.sessions.expiry(), WaitReason::Session);
            consider(peer.staged.front().map(|staged| staged.until), WaitReason::StagedPacket);
            consider(peer.sync_deadline(own), WaitReason::Sync);
            if let nat::Output::Wait(at, reason) = peer.paths.poll_output(peer.shared.traffic(), now) {
                consider(at, WaitReason::Path(reason));
            }
            consider(peer.punching.deadline(now), WaitReason::Punch);
        }
        consider(self.discovery_deadline(now), WaitReason::Discovery);
        consider(self.reach_deadline(), WaitReason::Reach);
        consider(self.keepalive_deadline(), WaitReason::Reach);
        consider(self.stream_deadline(), WaitReason::Stream);
        consider(self.circuit_deadline(), WaitReason::Circuit);
        consider(Some(self.next_link_state), WaitReason::LinkState);
        consider(self.unwritten.records, WaitReason::Persist);
        consider(self.unwritten.contacts, WaitReason::Persist);
        consider(self.unwritten.network, WaitReason::Persist);
        consider(self.pings.iter().map(|ping| ping.until).min(), WaitReason::Ping);
        consider(self.enrolments.iter().map(|e| e.over(ENROLMENT_LIFE)).min(), WaitReason::Enrolment);
        consider(self.vouch_deadline(), WaitReason::Enrolment);
        earliest
    }
}

impl Peer {
    /// Whether there is nothing to be done for it now, as is so for most peers at most times.
    fn is_quiet(&self, own_digest: u64, rekey_after: Duration, now: Instant) -> bool {
        let is_later = |at: Option<Instant>| at.is_none_or(|at| now < at);
        let is_relayed = self.paths.primary().is_some_and(|remote| !remote.is_direct());
        self.is_connected()
            && self.seeking == Seeking::Content
            && is_later(self.sessions.expiry())
            && is_later(self.sessions.rekey(rekey_after))
            && is_later(self.staged.front().map(|staged| staged.until))
            && is_later(self.attempts.front().map(|attempt| attempt.sent + HANDSHAKE_LIFE))
            && is_later(self.sync_deadline(own_digest))
            && self.paths.is_quiet(self.shared.traffic(), now)
            && self.punching.is_quiet(is_relayed, now)
    }

    /// When to look again whether the peer's records are the same as ours; never while they are.
    fn sync_deadline(&self, own_digest: u64) -> Option<Instant> {
        let differs = self.is_connected() && self.digest != Some(own_digest);
        differs.then(|| self.last_sync + self.sync_wait)
    }
}
