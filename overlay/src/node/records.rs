//! Records: taken in, judged, applied, passed on; and our own announced.

use super::{Event, Node, Output};
use crate::drops::DropReason;
use crate::limits::PERSIST_DELAY;
use ed25519_dalek::SigningKey;
use nat::Source;
use registry::Merge;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use wire::control::HaveEntry;
use wire::record::{Content, Key};
use wire::{Candidate, Chain, Kind, NodeId, Record};

impl Node {
    /// Takes a record from a peer, or one of our own when `from` is nobody.
    pub(super) fn consume_record(
        &mut self,
        (bytes, age_s): (&[u8], Option<u32>),
        from: Option<NodeId>,
        now: Instant,
    ) {
        if let Some(heard) = self.heard(bytes) {
            if let Some(from) = from {
                self.note_duplicate(&heard, from, now);
            }
            return;
        }
        let judged =
            Record::verify(bytes).and_then(|record| Ok((record.content(&self.members.id())?, record)));
        match judged {
            Ok((content, record)) => {
                let age = Duration::from_secs(age_s.unwrap_or(0).into());
                self.merge((record, age), content, from, now);
            }
            Err(_) => self.drops.count(DropReason::Record),
        }
    }

    /// Which record it is, when it is one that we hold, or older: some come more than once, and signatures are most of a node's
    /// work.
    fn heard(&self, bytes: &[u8]) -> Option<HaveEntry> {
        let (key, sequence) = Record::peek(bytes)?;
        if self.registry.is_old(&key, sequence, bytes) {
            return Some(HaveEntry { key: key.hash(), sequence });
        }
        let is_others = key.position().is_some_and(|position| !self.registry.part().covers(position));
        let news = is_others.then(|| HaveEntry { key: key.hash(), sequence })?;
        (self.registry.get(&key).is_none() && self.was_passed_on(&news)).then_some(news)
    }

    pub(super) fn merge(
        &mut self,
        (record, age): (Record, Duration),
        content: Content,
        from: Option<NodeId>,
        now: Instant,
    ) {
        if !self.speaks_of(record.body().kind)
            || self.is_unfit(&record, now)
            || self.is_of_former_admin(&content)
            || self.is_past_epoch(&content)
        {
            return self.drops.count(DropReason::Record);
        }
        let key = record.key();
        let news = HaveEntry { key: record.key_hash(), sequence: record.body().sequence };
        let told = record.clone();
        let was_there = self.registry.get(&key).is_some();
        match self.registry.insert(record, age, now) {
            Merge::New | Merge::Replaced => {}
            Merge::Same => return,
            Merge::Old => return self.tell_who_has_another(&key, news.key, from, now),
            Merge::Beyond => {
                if told.ttl().is_none_or(|ttl| age < ttl) {
                    self.pass_on((told, age), news, from, now);
                }
                return;
            }
            Merge::Over | Merge::Refused(_) => return self.drops.count(DropReason::Record),
        }
        let write_at = write_at(&content, from, now);
        self.unwritten.records = self.unwritten.records.into_iter().chain(write_at).min();
        match &content {
            // An admin is trusted with them, and none may wait.
            Content::Revocation { by, .. } if by.claims().roles.admin => self.tell_everybody(&told, from),
            Content::Reissue { .. } | Content::Epoch { .. } => self.tell_everybody(&told, from),
            _ if !self.may_pass_on(key.owner, from, now) => self.keep(&news, now),
            Content::Revocation { .. } => self.tell_everybody(&told, from),
            Content::Member { .. }
            | Content::LinkState { .. }
            | Content::Policy { .. }
            | Content::Service { .. }
            | Content::Claim { .. }
            | Content::Confirmation { .. }
            | Content::Guest { .. }
            | Content::Routes { .. }
            | Content::Withdrawn { .. } => self.spread(news, from, now),
        }
        if !self.peers.is_alone() {
            self.sync.handle_news(now);
        }
        let is_our_old_word = from.is_some()
            && matches!(&content, Content::Member { .. } | Content::Routes { .. })
            && key.owner == self.identity.node();
        if key.kind.is_lease() {
            self.apply_lease(&key, &content, was_there, now);
            self.fit(now);
            if from.is_some() && key.owner == self.identity.node() {
                self.handle_own_lease(&key, now);
            }
            return;
        }
        self.apply(content, now);
        if is_our_old_word {
            // Said before our state was lost, or set back: say what holds now.
            self.announce(now);
            self.announce_offers(now);
        }
    }

    /// Of two keys with one hash another one counts than a peer holds: by comparing it would never hear of it.
    fn tell_who_has_another(&mut self, key: &Key, hash: u64, from: Option<NodeId>, now: Instant) {
        let held = self.registry.by_hashes(&[hash]).first().copied().cloned();
        if let (Some(from), Some(record)) = (from, held.filter(|record| record.key() != *key)) {
            let age_s = self.age_s(&record, now);
            self.tell(&from, &record, age_s);
        }
    }

    /// A verdict goes to everybody at once, and before it is applied: a revoked node is told so by its own revocation.
    fn tell_everybody(&mut self, verdict: &Record, from: Option<NodeId>) {
        let others: Vec<NodeId> =
            self.peers.connected().map(|peer| peer.node).filter(|node| Some(*node) != from).collect();
        for node in others {
            self.tell(&node, verdict, None);
        }
    }

    /// Lets what a record says take effect.
    pub(super) fn apply(&mut self, content: Content, now: Instant) {
        match content {
            Content::Member { chain, candidates } => {
                let node = chain.claims().node;
                self.learn_chain(chain);
                self.take_in(node, &candidates, now);
            }
            Content::Revocation { node, by, by_root } => {
                self.members.note_revocation(node, by.claims().node, by_root);
                self.routes_are_old = true;
                if by_root {
                    self.recall_credentials(node, now);
                }
                self.expel_revoked(now);
                self.note_revoked(node, now);
            }
            Content::Epoch { by, .. } => {
                self.learn_chain(*by);
                self.epochs_changed(now);
            }
            // So that it is known whose it is when it is no admin any more.
            Content::Policy { by, .. } => self.learn_chain(*by),
            Content::LinkState { node, state } => self.take_link_state(node, state, now),
            Content::Routes { node, offers } => self.take_offers(node, offers),
            // Leases are no matter of membership: see `apply_lease`.
            Content::Service { .. }
            | Content::Claim { .. }
            | Content::Confirmation { .. }
            | Content::Guest { .. }
            | Content::Withdrawn { .. } => {}
            Content::Reissue { chain } => {
                let node = chain.claims().node;
                if node != self.identity.node() {
                    self.learn_chain(chain);
                    // Revoked with the admin that had signed it, it is back.
                    let candidates = self.announced_candidates(node);
                    self.take_in(node, &candidates, now);
                } else if self.members.outranks(&chain, self.members.own()) {
                    self.adopt(chain, now);
                }
            }
        }
    }

    /// What a former admin has signed counts least by now: for nodes that it has signed credentials for, others count again that we hold.
    /// Whoever had not heard of its revocation may have taken what it signed after that.
    fn recall_credentials(&mut self, admin: NodeId, now: Instant) {
        let signed: BTreeSet<String> = self
            .members
            .chains_signed_by(admin)
            .iter()
            .map(|chain| chain.claims().node.to_string())
            .collect();
        let of_others = |key: &Key| key.owner != admin && signed.contains(&key.name);
        let held = self.registry.of_kind(Kind::Reissue).filter(|record| of_others(&record.key()));
        let contents: Vec<_> = held.filter_map(|record| record.content(&self.members.id()).ok()).collect();
        contents.into_iter().for_each(|content| self.apply(content, now));
    }

    /// Makes a node a peer, or none, as its credentials say.
    fn take_in(&mut self, node: NodeId, candidates: &[Candidate], now: Instant) {
        let Some(chain) = self.members.chain(&node) else { return };
        let noise_key = chain.claims().noise_key;
        if self.members.is_revoked(chain) {
            self.expel(node, now);
            return;
        }
        let outside: Vec<_> = candidates.iter().copied().filter(|c| !self.members.is_inside(c)).collect();
        if let Some(peer) = self.ensure_peer(node, noise_key, now) {
            let before = peer.paths.targets();
            peer.paths.handle_candidates(Source::Record, &outside);
            if !peer.is_connected() && peer.paths.targets() != before {
                peer.ask_anew(now);
            }
        }
    }

    pub(super) fn announced_candidates(&self, node: NodeId) -> Vec<Candidate> {
        if let Some(peer) = self.peers.get(&node) {
            return peer.paths.candidates.announced().to_vec();
        }
        let key = Key { kind: Kind::Member, owner: node, name: String::new() };
        match self.registry.get(&key).map(|record| record.content(&self.members.id())) {
            Some(Ok(Content::Member { candidates, .. })) => candidates,
            _ => vec![],
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
            // When it is but the admin that signed us, other credentials may be on their way to us.
            if !self.is_revoked && self.members.is_revoked_itself(self.members.own().claims()) {
                self.is_revoked = true;
                self.peers
                    .keys()
                    .copied()
                    .collect::<Vec<_>>()
                    .iter()
                    .for_each(|peer| self.forget_peer(peer, now));
                self.routes_are_old = true;
                self.outputs.push_back(Output::Event(Event::SelfRevoked));
                self.outputs.push_back(Output::Guests(self.hosted_guests()));
                self.persist_records();
            }
            return;
        }
        // What it tells of its links is taken no more, so it is not kept either: whoever has heard of the revocation first
        // has none, and records would differ for ever.
        self.registry.forget(&Key { kind: Kind::LinkState, owner: node, name: String::new() });
        self.topology.handle_state(node, None);
        self.forget_offers(node);
        self.forget_leases(node, now);
        self.forget_decrees(node, now);
        if self.peers.contains_key(&node) {
            self.forget_peer(&node, now);
            let name = self.name_of(&node);
            self.outputs.push_back(Output::Event(Event::Revoked(node, name)));
            self.publish_tables();
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
        self.house_guests(now);
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

    /// The sequence of our next record of a key: above all that an earlier run may have signed and not written.
    pub(super) fn next_sequence(&self, key: &Key, now: Instant) -> u64 {
        let first = self.identity.starts << 32;
        // What has ended is forgotten, sooner or later: were its sequences used again, whoever remembers it would not believe us, and
        // an old record might be believed once more.
        let passed =
            if key.kind.is_lease() { now.saturating_duration_since(self.started).as_secs() } else { 0 };
        self.registry.next_sequence(key).max(first.saturating_add(passed))
    }

    /// Signs a record under the next sequence, with our key or with the root key when that owns it, and spreads it; not one of a kind
    /// that came after the revisions that we speak.
    pub(super) fn publish_record(
        &mut self,
        content: &Content,
        key: &Key,
        root: Option<&SigningKey>,
        now: Instant,
    ) {
        if !self.speaks_of(key.kind) {
            return;
        }
        let sequence = self.next_sequence(key, now);
        let key = match root {
            Some(root) if root.verifying_key().to_bytes() == key.owner.0 => root,
            Some(_) | None => &self.identity.signing,
        };
        match content.sign(sequence, self.unix_s(now), key, root) {
            Ok(record) => self.merge((record, Duration::ZERO), content.clone(), None, now),
            Err(_) => self.drops.count(DropReason::Record),
        }
    }
}

/// When what a record says has to be on the disk; never by itself when it is told anew, or has a file of its own.
fn write_at(content: &Content, from: Option<NodeId>, now: Instant) -> Option<Instant> {
    match content {
        // True for the moment: after a restart it is told anew.
        Content::LinkState { .. } => None,
        // They have a file of their own.
        Content::Service { .. }
        | Content::Claim { .. }
        | Content::Confirmation { .. }
        | Content::Guest { .. }
        | Content::Withdrawn { .. } => None,
        // Whatever happens to us in the next moment: a node that was revoked stays out.
        // And one that has a secret to ask for asks for it.
        Content::Revocation { .. } | Content::Epoch { .. } => Some(now),
        // And what an admin was told is done, is done.
        Content::Reissue { .. } if from.is_none() => Some(now),
        Content::Member { .. }
        | Content::Reissue { .. }
        | Content::Policy { .. }
        | Content::Routes { .. } => Some(now + PERSIST_DELAY),
    }
}
