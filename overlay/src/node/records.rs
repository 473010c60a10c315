//! Records: taken in, judged, applied, passed on; and our own announced.

use super::{Event, Node, Output};
use crate::drops::DropReason;
use crate::limits::{PERSIST_DELAY, SYNC_RETRY};
use ed25519_dalek::SigningKey;
use nat::Source;
use registry::Merge;
use std::net::IpAddr;
use std::time::Instant;
use wire::control::Message;
use wire::record::{Content, Key};
use wire::{Chain, Kind, NodeId, Record};

impl Node {
    /// Takes a record from a peer, or one of our own when `from` is nobody.
    pub(super) fn consume_record(&mut self, bytes: &[u8], from: Option<NodeId>, now: Instant) {
        let judged =
            Record::verify(bytes).and_then(|record| Ok((record.content(&self.members.id())?, record)));
        match judged {
            Ok((content, record)) => self.merge(record, content, from, now),
            Err(_) => self.drops.count(DropReason::Record),
        }
    }

    fn merge(&mut self, record: Record, content: Content, from: Option<NodeId>, now: Instant) {
        let message = Message::Record { bytes: record.bytes().to_vec().into() };
        match self.registry.insert(record) {
            Merge::New | Merge::Replaced => {}
            Merge::Same | Merge::Old => return,
            Merge::Refused(_) => return self.drops.count(DropReason::Record),
        }
        let write_at = match content {
            // Whatever happens to us in the next moment: a node that was revoked stays out.
            Content::Revocation { .. } => now,
            Content::Member { .. } | Content::Reissue { .. } => now + PERSIST_DELAY,
        };
        self.unwritten.records = Some(self.unwritten.records.map_or(write_at, |at| at.min(write_at)));
        // Passed on before it is applied: a revoked node is told so by its own revocation.
        let others: Vec<NodeId> = self
            .peers
            .values()
            .filter(|p| p.is_connected() && Some(p.node) != from)
            .map(|p| p.node)
            .collect();
        for node in others {
            self.send(&node, &message, None);
        }
        for peer in self.peers.values_mut() {
            peer.sync_wait = SYNC_RETRY;
            peer.last_sync = now;
        }
        self.apply(content, now);
    }

    /// Lets what a record says take effect.
    pub(super) fn apply(&mut self, content: Content, now: Instant) {
        match content {
            Content::Member { chain, candidates } => {
                let claims = chain.claims().clone();
                self.learn_chain(chain.clone());
                let known = self.members.chain(&claims.node);
                let is_out = known.is_some_and(|chain| self.members.is_revoked(chain))
                    || self.members.is_revoked(&chain);
                if is_out {
                    self.expel(claims.node, now);
                } else if let Some(peer) = self.ensure_peer(claims.node, claims.noise_key, now) {
                    peer.paths.handle_candidates(Source::Record, &candidates);
                }
            }
            Content::Revocation { node, by, by_root } => {
                self.members.note_revocation(node, by.claims().node, by_root);
                self.routes_are_old = true;
                self.expel_revoked(now);
            }
            Content::Reissue { chain } => {
                let is_ours = chain.claims().node == self.identity.node();
                let is_newer = chain.claims().serial > self.members.own().claims().serial;
                if is_ours && is_newer {
                    self.adopt(chain, now);
                } else {
                    self.learn_chain(chain);
                }
            }
        }
    }

    fn expel_revoked(&mut self, now: Instant) {
        let revoked: Vec<NodeId> = self.members.revoked().map(|claims| claims.node).collect();
        for node in revoked {
            self.expel(node, now);
        }
    }

    /// Ends everything with a node that is no member any more; with all of them when it is ourselves.
    fn expel(&mut self, node: NodeId, now: Instant) {
        if node == self.identity.node() {
            if !self.is_revoked {
                self.is_revoked = true;
                self.peers.keys().copied().collect::<Vec<_>>().iter().for_each(|peer| self.forget_peer(peer));
                self.routes_are_old = true;
                self.outputs.push_back(Output::Event(Event::SelfRevoked));
                self.persist_records(now);
            }
        } else if self.peers.contains_key(&node) {
            self.forget_peer(&node);
            let name = self.name_of(&node);
            self.outputs.push_back(Output::Event(Event::Revoked(node, name)));
            self.publish();
        }
    }

    /// Takes new credentials for ourselves: other addresses, another name, a longer life.
    pub(super) fn adopt(&mut self, chain: Chain, now: Instant) {
        let addresses = |chain: &Chain| chain.claims().ipv4;
        let moved = addresses(&chain) != addresses(self.members.own());
        self.members.adopt(chain);
        self.routes_are_old = true;
        self.persist_network();
        if moved {
            let claims = self.members.own().claims();
            let list = vec![IpAddr::V4(claims.ipv4.addr()), IpAddr::V6(claims.ipv6())];
            self.outputs.push_back(Output::Addresses(list));
        }
        self.announce(now);
    }

    /// Signs our member record anew when what it says has changed, and spreads it.
    pub(super) fn announce(&mut self, now: Instant) {
        if self.is_revoked {
            return;
        }
        let content =
            Content::Member { chain: self.members.own().clone(), candidates: self.candidates.clone() };
        let key = Key { kind: Kind::Member, owner: self.identity.node(), name: String::new() };
        let says_the_same = |record: &Record| record.content(&self.members.id()).as_ref() == Ok(&content);
        if !self.registry.get(&key).is_some_and(says_the_same) {
            self.publish_record(&content, &key, None, now);
        }
    }

    /// Signs a record with our key under the next sequence, and spreads it.
    pub(super) fn publish_record(
        &mut self,
        content: &Content,
        key: &Key,
        root: Option<&SigningKey>,
        now: Instant,
    ) {
        let sequence = self.registry.next_sequence(key);
        match content.sign(sequence, self.unix_s(now), &self.identity.signing, root) {
            Ok(record) => self.merge(record, content.clone(), None, now),
            Err(_) => self.drops.count(DropReason::Record),
        }
    }
}
