//! What is due, and what is due next. Every deadline has a reason ([`WaitReason`]).

use super::{Event, Node, Output, WaitReason};
use crate::drops::DropReason;
use crate::limits::{ENROLMENT_LIFE, PERSIST_RETRY};
use crate::peer::{Peer, Seeking};
use crate::state::{Contact, StateFile, encode_contacts, encode_records, encode_services};
use nat::{LOOK_EARLY, Remote};
use std::time::Instant;
use wire::icmp::Unreachable;
use wire::{Kind, NodeId};
use zeroize::Zeroizing;

impl Node {
    /// Does what is due.
    pub(super) fn run_timers(&mut self, now: Instant) {
        self.run_epochs(now);
        self.run_discovery(now);
        self.run_reach_timers(now);
        self.run_keepalive(now);
        self.run_stream_timers(now);
        self.run_circuit_timers(now);
        self.run_sync_timers(now);
        self.run_ping_timers(now);
        self.enrolments.retain(|e| !e.is_over(now, ENROLMENT_LIFE));
        self.run_vouch_timers(now);
        self.run_neighbours(now);
        self.run_shares(now);
        self.run_news(now);
        self.run_company(now);
        self.run_peer_timers(now);
        self.run_closing(now);
        self.run_interface_mtu(now);
        self.run_link_state_timer(now);
        self.run_lease_timers(now);
        self.run_publishing(now);
        self.run_finding(now);
        self.run_confirming(now);
        self.run_zone_timer(now);
        self.run_routers_timer(now);
        self.run_exit_timer(now);
        if self.unwritten.records.is_some_and(|at| now >= at) {
            self.persist_records();
        }
        if self.unwritten.contacts.is_some_and(|at| now >= at) {
            self.persist_contacts();
        }
        if self.unwritten.network.is_some_and(|at| now >= at) {
            self.persist_network();
        }
        if self.unwritten.invites.is_some_and(|at| now >= at) {
            self.persist_invites();
        }
        if self.unwritten.services.is_some_and(|at| now >= at) {
            self.persist_services();
        }
        self.persist_guests_again(now);
        self.run_grants(now);
        if now >= self.next_review {
            self.look_for_used_up(now);
            self.review(now);
        }
    }

    fn run_peer_timers(&mut self, now: Instant) {
        // Twice: what is done for one peer may concern another.
        for _ in 0..2 {
            for node in self.peers.take_due(LOOK_EARLY, now) {
                self.run_session_timers(node, now);
                self.run_path_timers(node, now);
                self.run_path_mtu(node, now);
                self.run_handshake_timers(node, now);
                self.seek_circuit(node, now);
                self.run_punching(node, now);
            }
        }
    }

    fn run_session_timers(&mut self, node: NodeId, now: Instant) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        peer.sessions.note_traffic(peer.shared.traffic(), now);
        let expired = peer.sessions.take_ended(now);
        for held in &expired {
            self.indices.free(held.session.local_index);
        }
        self.tables_are_old |= !expired.is_empty();
        if peer.sessions.rekey(self.rekey_after).is_none_or(|at| now >= at) && peer.is_wanted(now) {
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
                    self.send(&node, &self.ping_to(&node, token), Some(remote));
                }
                nat::Output::Promoted(remote) => self.path_moved(node, remote, now),
                nat::Output::Suspect => {
                    let hop = match peer.paths.circuit() {
                        Some(Remote::Circuit(label)) => self.hops_of(label).first().copied(),
                        Some(Remote::Udp { .. } | Remote::Stream(_)) | None => None,
                    };
                    // Perhaps it is we who have moved: the hop must know before it can bring answers. Unless it owes an answer
                    // itself: two that are each other's hops would else suspect each other for ever, and never be given up.
                    let hop = hop.and_then(|hop| self.peers.get_mut(&hop));
                    if let Some(hop) = hop.filter(|hop| !hop.paths.is_suspected()) {
                        hop.paths.handle_local_change(now);
                    }
                    self.seek_circuit(node, now);
                    self.router_changed(&node);
                }
                nat::Output::Lost => {
                    peer.seek(now);
                    self.tables_are_old = true;
                    self.close_circuits_by(node, now);
                    self.links_changed(now);
                    self.neighbour_unreachable(&node, now);
                    self.router_changed(&node);
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
            // Or rests, when nobody has wanted it for a while.
            peer.seek(now);
        }
        if matches!(peer.seeking, Seeking::Asking { next, .. } if now >= next) {
            self.create_initiation(node, now);
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
        for (node, token) in due {
            self.send(&node, &self.ping_to(&node, token), None);
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
            Some(StateFile::Services) => unwritten.services.get_or_insert(at),
            Some(StateFile::Guests) => unwritten.guests.get_or_insert(at),
            Some(StateFile::Leases) => unwritten.leases.get_or_insert(at),
            // What an invite was to give has been taken back meanwhile.
            Some(StateFile::Invites) => unwritten.invites.get_or_insert(at),
            Some(StateFile::Identity) | None => return,
        };
    }

    pub(super) fn persist_records(&mut self) {
        self.unwritten.records = None;
        self.persist(
            StateFile::Records,
            encode_records(
                [Kind::Member, Kind::Revocation, Kind::Reissue, Kind::Epoch, Kind::Policy, Kind::Routes]
                    .into_iter()
                    .flat_map(|kind| self.registry.of_kind(kind)),
            ),
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

    pub(super) fn persist_services(&mut self) {
        self.unwritten.services = None;
        let written = self.publishing.offered.values().filter(|offered| offered.is_written);
        let publications = written.map(|offered| offered.publication.clone()).collect();
        self.persist(StateFile::Services, encode_services(&publications));
    }

    /// The earliest deadline and what it is for.
    pub(super) fn next_deadline(&mut self, now: Instant) -> (Instant, WaitReason) {
        for node in self.peers.take_touched() {
            let next = self.peers.get(&node).and_then(|peer| self.deadline_of(peer, now));
            self.peers.plan(&node, next);
        }
        let review = (self.next_review, WaitReason::Review);
        let mut earliest = self.peers.next().filter(|next| next.0 <= review.0).unwrap_or(review);
        let mut consider = |at: Option<Instant>, reason: WaitReason| {
            if let Some(at) = at
                && at < earliest.0
            {
                earliest = (at, reason);
            }
        };
        consider(self.epoch_deadline(), WaitReason::Epoch);
        consider(self.neighbours_deadline(), WaitReason::Neighbours);
        consider(self.company_deadline(), WaitReason::Company);
        consider(self.news_deadline(), WaitReason::News);
        consider(self.sync.deadline(), WaitReason::Sync);
        consider(self.shares.deadline(), WaitReason::Share);
        consider(self.finding.deadline(), WaitReason::Find);
        consider(self.closing_deadline(), WaitReason::Punch);
        consider(self.discovery_deadline(now), WaitReason::Discovery);
        consider(self.reach_deadline(), WaitReason::Reach);
        consider(self.keepalive_deadline(), WaitReason::Reach);
        consider(self.stream_deadline(), WaitReason::Stream);
        consider(self.mtu.deadline(), WaitReason::Mtu);
        consider(self.circuit_deadline(), WaitReason::Circuit);
        consider(Some(self.next_link_state), WaitReason::LinkState);
        consider(self.lease_deadline(), WaitReason::Lease);
        consider(self.publishing.deadline(), WaitReason::Publication);
        consider(self.confirming.deadline(), WaitReason::Confirmation);
        consider(self.hosting.deadline(), WaitReason::Grant);
        consider(self.zone_deadline(), WaitReason::Zone);
        consider(self.routers_deadline(), WaitReason::Routers);
        consider(self.exit_budgets.deadline(), WaitReason::Exit);
        consider(self.unwritten.invites, WaitReason::Persist);
        consider(self.unwritten.services, WaitReason::Persist);
        consider(self.unwritten.guests, WaitReason::Persist);
        consider(self.unwritten.leases, WaitReason::Persist);
        consider(self.unwritten.records, WaitReason::Persist);
        consider(self.unwritten.contacts, WaitReason::Persist);
        consider(self.unwritten.network, WaitReason::Persist);
        consider(self.pings.iter().map(|ping| ping.until).min(), WaitReason::Ping);
        consider(self.enrolments.iter().map(|e| e.over(ENROLMENT_LIFE)).min(), WaitReason::Enrolment);
        consider(self.vouch_deadline(), WaitReason::Enrolment);
        earliest
    }

    /// When a peer is to be looked at again, and what for.
    fn deadline_of(&self, peer: &Peer, now: Instant) -> Option<(Instant, WaitReason)> {
        let session = match peer.seeking {
            Seeking::Asking { next, .. } => Some((next, WaitReason::Handshake)),
            Seeking::Content if peer.is_wanted(now) => {
                peer.sessions.rekey(self.rekey_after).map(|at| (at, WaitReason::Session))
            }
            Seeking::Content | Seeking::Resting => None,
        };
        let expiry = peer.sessions.expiry().map(|at| (at, WaitReason::Session));
        let staged = peer.staged.front().map(|staged| (staged.until, WaitReason::StagedPacket));
        let path = peer.paths.deadline(now).map(|(at, reason)| (at, WaitReason::Path(reason)));
        let mtu = peer.path_mtu.deadline().map(|at| (at, WaitReason::Mtu));
        let punch = peer.punching.deadline(now).map(|at| (at, WaitReason::Punch));
        let circuit = self.seek_deadline(peer).map(|at| (at, WaitReason::Circuit));
        [session, expiry, staged, path, mtu, punch, circuit].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}
