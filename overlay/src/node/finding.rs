//! Names in parts of key space that others hold: asked for when somebody wants them, and kept for a while.
//!
//! ```text
//! find ─▶ known here?  ─▶ Found at once
//!           └▶ Find ─▶ the two nearest members, then others for those that do not answer ─▶ Found with what they have
//! ```
//!
//! What an answer says is judged as any record, and then held as if the name were ours, so that news about it is taken and it
//! stays true while it is kept. That nobody has it is believed of two who know its part, or of one when there are no others in time.

use super::{Node, Output};
use crate::drops::DropReason;
use crate::limits::{
    ASK_TIME, ASKED_AT_ONCE, ASKED_PER_NAME_MAX, ASKS_MAX, CHECK_DELAY, CLAIM_PATIENCE, FIND_TIME, FIND_WAIT,
    FOUND_FRESH, FOUND_KEPT, FOUND_NAMES_MAX, NOT_FOUND_FRESH, OWN_NAMES_INTERVAL, OWN_NAMES_PAUSE,
    TOLD_PER_SECOND,
};
use crate::peer::{Peer, PeerState};
use registry::Zone;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::control::{FOUND_MAX, HaveEntry, Message};
use wire::record::Content;
use wire::{Kind, Name, NodeId, Position, Record};

/// Names that are asked for, and those that were.
pub(super) struct Finding {
    names: BTreeMap<Name, Sought>,
    nonce: u16,
    next: Option<Instant>,
    /// When it is looked whether others know what we say about our own names, and the last one of which it was.
    own_names: Option<Instant>,
    last_own: Option<Name>,
}

/// One name.
struct Sought {
    ask: Option<Ask>,
    /// When somebody who knows its part has answered last, and whether there was anything.
    answered: Option<(Instant, bool)>,
    /// When it was first asked for.
    began: Instant,
    /// Until then it is kept.
    until: Instant,
    /// Whether somebody waits to be told.
    is_wanted: bool,
    /// When it is looked whether what we have said about it came to who holds it.
    check: Option<Instant>,
}

/// An ask under way.
struct Ask {
    began: Instant,
    asked: Vec<Asked>,
    /// When the first complete answer came.
    complete: Option<Instant>,
}

struct Asked {
    node: NodeId,
    nonce: u16,
    since: Instant,
    is_sent: bool,
    state: State,
}

/// Bytes of a record, and its age as it is said.
pub(super) type Told<'a> = (&'a [u8], Option<u32>);

enum State {
    /// Some of its records have come.
    Answering(Vec<(Record, Content, Duration)>),
    /// All of them have, and were taken.
    Complete(Vec<HaveEntry>),
    /// It does not know.
    Ignorant,
}

impl Asked {
    fn is_under_way(&self, now: Instant) -> bool {
        matches!(self.state, State::Answering(_)) && now < self.since + ASK_TIME
    }
}

impl Ask {
    fn complete(&self) -> impl Iterator<Item = (NodeId, &Vec<HaveEntry>)> {
        self.asked.iter().filter_map(|asked| match &asked.state {
            State::Complete(entries) => Some((asked.node, entries)),
            State::Answering(_) | State::Ignorant => None,
        })
    }
}

impl Finding {
    pub(super) fn new(seed: u64) -> Self {
        Self { names: BTreeMap::new(), nonce: seed as u16, next: None, own_names: None, last_own: None }
    }

    /// There may be somebody to be asked who was not there before.
    pub(super) fn handle_company(&mut self, now: Instant) {
        if !self.names.is_empty() {
            self.next = Some(now);
        }
        // They may not know what we have said, nor we what they have.
        self.own_names = self.own_names.map(|at| at.min(now + OWN_NAMES_PAUSE));
    }

    /// Names of our own may not be in our part any more.
    pub(super) fn handle_narrowing(&mut self, now: Instant) {
        self.own_names.get_or_insert(now + OWN_NAMES_PAUSE);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next.into_iter().chain(self.own_names).min()
    }
}

impl Node {
    /// Finds out what is said about a service name, here or by asking who knows: [`Output::Found`] says it, at most two seconds
    /// later. False when too many names are asked for: then nothing comes.
    pub fn find(&mut self, name: &Name, now: Instant) -> bool {
        if self.knows(name) || self.is_fresh(name, now) {
            let zone = Some(self.zone_of(name));
            if let Some(sought) = self.finding.names.get_mut(name) {
                sought.until = sought.until.max(now + FOUND_KEPT);
            }
            self.outputs.push_back(Output::Found { name: name.clone(), zone });
            return true;
        }
        let is_asked = self.seek_name(name, now);
        if let (true, Some(sought)) = (is_asked, self.finding.names.get_mut(name)) {
            sought.is_wanted = true;
        }
        is_asked
    }

    /// Whether what was answered lately still counts.
    fn is_fresh(&self, name: &Name, now: Instant) -> bool {
        self.finding.names.get(name).and_then(|sought| sought.answered).is_some_and(|(at, is_something)| {
            now < at + if is_something { FOUND_FRESH } else { NOT_FOUND_FRESH }
        })
    }

    /// Whether we may judge whose a name is: by what is here, by what was answered, or because nobody answers.
    pub(super) fn may_judge(&self, name: &Name, now: Instant) -> bool {
        let was_sought = |sought: &Sought| sought.answered.is_some() || now >= sought.began + CLAIM_PATIENCE;
        self.knows(name) || self.finding.names.get(name).is_some_and(was_sought)
    }

    /// Begins to ask for a name; whether it is asked for now.
    pub(super) fn seek_name(&mut self, name: &Name, now: Instant) -> bool {
        let names = &mut self.finding.names;
        let under_way = names.values().filter(|sought| sought.ask.is_some()).count();
        let is_known = names.contains_key(name);
        if !is_known && names.len() >= FOUND_NAMES_MAX && !self.forget_a_name(now) {
            return false;
        }
        if !self.registry.keep(name) {
            return false;
        }
        let until = now + FOUND_KEPT;
        let sought = self.finding.names.entry(name.clone()).or_insert(Sought {
            ask: None,
            answered: None,
            began: now,
            until,
            is_wanted: false,
            check: None,
        });
        sought.until = sought.until.max(until);
        if sought.ask.is_none() {
            if under_way >= ASKS_MAX {
                return false;
            }
            sought.ask = Some(Ask { began: now, asked: vec![], complete: None });
        }
        if !is_known {
            // News that went by may not have come to those who are asked.
            for (record, age) in self.passed_on_about(name, now) {
                if let Ok(content) = record.content(&self.members.id()) {
                    self.take_found(record, &content, age, now);
                }
            }
        }
        self.finding.next = Some(now);
        true
    }

    /// Makes room: the name goes that would go first, unless somebody waits for it.
    fn forget_a_name(&mut self, now: Instant) -> bool {
        let idle = self.finding.names.iter().filter(|(_, sought)| sought.ask.is_none());
        let Some(name) = idle.min_by_key(|(_, sought)| sought.until).map(|(name, _)| name.clone()) else {
            return false;
        };
        self.forget_name(&name, now);
        true
    }

    fn forget_name(&mut self, name: &Name, now: Instant) {
        self.finding.names.remove(name);
        if !self.publishing.names().contains(name) {
            let given_up = self.registry.release(name);
            self.given_up(&given_up, now);
        }
    }

    pub(super) fn run_finding(&mut self, now: Instant) {
        if self.finding.own_names.is_some_and(|at| now >= at) {
            self.seek_own_names(now);
        }
        if self.finding.next.is_none_or(|at| now < at) {
            return;
        }
        let names: Vec<Name> = self.finding.names.keys().cloned().collect();
        let is_due = |sought: &Sought| sought.ask.is_none() && sought.check.is_some_and(|at| now >= at);
        for name in &names {
            if self.finding.names.get(name).is_some_and(is_due)
                && self.seek_name(name, now)
                && let Some(sought) = self.finding.names.get_mut(name)
            {
                sought.check = None;
            }
            self.go_on_asking(name, now);
        }
        let own = self.publishing.names();
        let over = |(name, sought): &(&Name, &Sought)| {
            sought.ask.is_none() && now >= sought.until && !own.contains(*name)
        };
        let old: Vec<Name> = self.finding.names.iter().filter(over).map(|(name, _)| name.clone()).collect();
        old.iter().for_each(|name| self.forget_name(name, now));
        let end = |sought: &Sought| match sought.ask {
            Some(_) => now + FIND_WAIT,
            None if sought.until > now => sought.until,
            // One of our own, which is kept.
            None => now + FOUND_KEPT,
        };
        let check = |sought: &Sought| sought.check.map_or(now + FOUND_KEPT, |at| at.max(now + FIND_WAIT));
        self.finding.next = self.finding.names.values().map(|sought| check(sought).min(end(sought))).min();
    }

    /// We have said something about a name: whoever holds it must have heard, and news can get lost where nobody compares.
    pub(super) fn check_later(&mut self, name: &str, now: Instant) {
        let Ok(name) = name.parse::<Name>() else { return };
        if self.knows(&name) || (!self.finding.names.contains_key(&name) && !self.seek_name(&name, now)) {
            return;
        }
        if let Some(sought) = self.finding.names.get_mut(&name) {
            let at = now + CHECK_DELAY;
            sought.check = Some(at);
            sought.until = sought.until.max(at + FOUND_KEPT);
            self.finding.next = Some(self.finding.next.map_or(at, |next| next.min(at)));
        }
    }

    /// Names of ours in others' parts: what is said about them is learnt, and what we say told to who holds it.
    pub(super) fn seek_own_names(&mut self, now: Instant) {
        let own: Vec<Name> = self.publishing.names().into_iter().filter(|name| !self.knows(name)).collect();
        self.finding.own_names = (!own.is_empty()).then_some(now + OWN_NAMES_INTERVAL);
        let last = self.finding.last_own.take();
        for name in own.iter().filter(|name| last.as_ref().is_none_or(|last| *name > last)) {
            if !self.seek_name(name, now) {
                // Too many at once: the others are next.
                self.finding.own_names = Some(now + OWN_NAMES_PAUSE);
                return;
            }
            self.finding.last_own = Some(name.clone());
        }
        self.finding.last_own = None;
    }

    /// A name of ours is not known here and was not asked for: it is.
    pub(super) fn seek_own_name(&mut self, name: &Name, now: Instant) {
        if !self.knows(name)
            && self.finding.names.get(name).is_none_or(|s| s.answered.is_none() && s.ask.is_none())
        {
            self.finding.own_names.get_or_insert(now + OWN_NAMES_INTERVAL);
            self.seek_name(name, now);
        }
    }

    fn go_on_asking(&mut self, name: &Name, now: Instant) {
        let Some(ask) = self.finding.names.get(name).and_then(|sought| sought.ask.as_ref()) else { return };
        let complete = ask.complete().count();
        let under_way = ask.asked.iter().filter(|asked| asked.is_under_way(now)).count();
        let has_something = ask.complete().any(|(_, entries)| !entries.is_empty());
        let is_late = now >= ask.began + FIND_TIME;
        // One who has something is enough, when the other one takes long.
        let is_enough = has_something && ask.complete.is_some_and(|at| now >= at + FIND_WAIT);
        if complete >= ASKED_AT_ONCE || is_enough || is_late || self.knows(name) {
            return self.end_ask(name, now);
        }
        let wanted = ASKED_AT_ONCE - complete;
        let mut begun = vec![];
        if under_way < wanted && ask.asked.len() < ASKED_PER_NAME_MAX {
            let asked: BTreeSet<NodeId> = ask.asked.iter().map(|asked| asked.node).collect();
            begun = self.nearest_to(name, &asked, now, wanted - under_way);
        }
        if begun.is_empty() && under_way == 0 && complete > 0 {
            return self.end_ask(name, now);
        }
        for node in &begun {
            self.finding.nonce = self.finding.nonce.wrapping_add(1);
            let nonce = self.finding.nonce;
            let state = State::Answering(vec![]);
            let asked = Asked { node: *node, nonce, since: now, is_sent: false, state };
            if let Some(ask) = self.finding.names.get_mut(name).and_then(|sought| sought.ask.as_mut()) {
                ask.asked.push(asked);
            }
            if let Some(peer) = self.peers.get_mut(node)
                && !peer.is_connected()
            {
                peer.use_it(now);
                peer.hurry(now);
            }
        }
        self.send_finds(name);
    }

    /// Asks those with whom there is a session by now.
    fn send_finds(&mut self, name: &Name) {
        let Some(ask) = self.finding.names.get_mut(name).and_then(|sought| sought.ask.as_mut()) else {
            return;
        };
        let peers = &self.peers;
        let is_connected = |node: &NodeId| peers.get(node).is_some_and(Peer::is_connected);
        let unsent = ask.asked.iter_mut().filter(|asked| !asked.is_sent && is_connected(&asked.node));
        let finds: Vec<(NodeId, u16)> = unsent
            .map(|asked| {
                asked.is_sent = true;
                (asked.node, asked.nonce)
            })
            .collect();
        for (node, nonce) in finds {
            self.send(&node, &Message::Find { nonce, name: name.clone() }, None);
        }
    }

    /// Members who may know what is said about a name: those that say so, then the nearest of those that nobody has heard lately.
    fn nearest_to(&self, name: &Name, but: &BTreeSet<NodeId>, now: Instant, count: usize) -> Vec<NodeId> {
        let position = Position::of_name(name.as_str());
        let place = |peer: &Peer| {
            let told = peer.told.filter(|_| peer.is_connected()).map(|(_, share)| share.known);
            let is_ignorant = told.is_some_and(|known| !known.covers(position));
            let is_offline = peer.state(now) == PeerState::Offline;
            let distance = self.position_of(&peer.node).distance(position);
            (is_ignorant, is_offline, told.is_none(), distance)
        };
        let others = self.peers.values().filter(|peer| !but.contains(&peer.node));
        let mut others: Vec<_> = others.map(|peer| (place(peer), peer.node)).collect();
        others.sort_unstable();
        others.into_iter().take(count).map(|(_, node)| node).collect()
    }

    /// Tells who waits what there is; and who was asked what we say about the name, where it does not know.
    fn end_ask(&mut self, name: &Name, now: Instant) {
        let Some(sought) = self.finding.names.get_mut(name) else { return };
        let Some(ask) = sought.ask.take() else { return };
        let has_something = ask.complete().any(|(_, entries)| !entries.is_empty());
        if ask.complete.is_some() {
            sought.answered = Some((now, has_something));
        }
        let is_wanted = std::mem::take(&mut sought.is_wanted);
        self.tell_own_leases(name, &ask, now);
        if is_wanted {
            let zone = (ask.complete.is_some() || self.knows(name)).then(|| self.zone_of(name));
            self.outputs.push_back(Output::Found { name: name.clone(), zone });
        }
        self.publishing.handle_change_of(name, now);
    }

    fn tell_own_leases(&mut self, name: &Name, ask: &Ask, now: Instant) {
        let own: Vec<Record> =
            self.registry.of_name(name).filter(|r| r.body().owner == self.identity.node()).cloned().collect();
        let mut is_told = false;
        for (node, entries) in ask.complete() {
            for record in &own {
                let knows = |entry: &HaveEntry| {
                    entry.key == record.key_hash() && entry.sequence >= record.body().sequence
                };
                // Of very many it may have said only the first.
                if !entries.iter().any(knows) && entries.len() < usize::from(FOUND_MAX) {
                    let age_s = self.age_s(record, now);
                    self.tell(&node, record, age_s);
                    is_told = true;
                }
            }
        }
        if is_told {
            self.check_later(name.as_str(), now);
        }
    }

    /// Somebody asks what is said about a name.
    pub(super) fn consume_find(&mut self, node: NodeId, nonce: u16, name: &Name, now: Instant) {
        let records = if self.can_tell(name) { Some(self.said_about(name, &node)) } else { None };
        let length = records.as_ref().map_or(1, |records| records.len().max(1));
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if !peer.may_be_told(length as u32, TOLD_PER_SECOND, now) {
            return self.drops.count(DropReason::Control);
        }
        let count = records.as_ref().map(|records| records.len() as u8);
        let none = Message::Found { nonce, count, record: None, age_s: None };
        let found = |record: &Record| Message::Found {
            nonce,
            count,
            record: Some(record.bytes().to_vec().into()),
            age_s: self.age_s(record, now),
        };
        let records = records.unwrap_or_default();
        let messages: Vec<Message> =
            if records.is_empty() { vec![none] } else { records.iter().map(found).collect() };
        for message in messages {
            self.send(&node, &message, None);
        }
    }

    /// All that we hold about a name, as far as it fits and a peer knows such records: claims first, that of the holder before others, then instances, those
    /// of nodes that hold a claim first, and what was withdrawn last.
    fn said_about(&self, name: &Name, to: &NodeId) -> Vec<Record> {
        let holder =
            self.services.holding(name, |node| self.credentials(node)).map(|holding| holding.holder.node);
        let revision = self.revision_with(to);
        let is_known = |record: &&Record| record.body().kind.revision() <= revision;
        let mut records: Vec<&Record> = self.registry.of_name(name).filter(is_known).collect();
        records.sort_by_key(|record| {
            let body = record.body();
            let place = match body.kind {
                Kind::Confirmation => 0,
                Kind::Claim => 1,
                Kind::Service
                | Kind::Member
                | Kind::Revocation
                | Kind::Reissue
                | Kind::LinkState
                | Kind::Epoch
                | Kind::Guest
                | Kind::Policy
                | Kind::Routes => 2,
            };
            (record.is_tombstone(), place, Some(body.owner) != holder)
        });
        records.into_iter().take(FOUND_MAX.into()).cloned().collect()
    }

    /// Somebody who was asked answers.
    pub(super) fn consume_found(
        &mut self,
        node: NodeId,
        nonce: u16,
        (count, record): (Option<u8>, Option<Told<'_>>),
        now: Instant,
    ) {
        let is_meant = |asked: &&mut Asked| asked.node == node && asked.nonce == nonce;
        let asks =
            self.finding.names.iter_mut().filter_map(|(name, sought)| Some((name, sought.ask.as_mut()?)));
        let place = asks.into_iter().find_map(|(name, ask)| {
            let asked = ask.asked.iter_mut().find(is_meant)?;
            Some((name.clone(), asked))
        });
        let Some((name, asked)) = place else { return self.drops.count(DropReason::Control) };
        let State::Answering(records) = &mut asked.state else { return };
        let Some(count) = count.filter(|count| *count <= FOUND_MAX) else {
            asked.state = State::Ignorant;
            return self.finding.next = Some(now);
        };
        if let Some((bytes, age_s)) = record {
            let id = self.members.id();
            let judged = Record::verify(bytes).and_then(|record| Ok((record.content(&id)?, record)));
            match judged {
                Ok((content, record)) if is_about(&record, &name) => {
                    let age = Duration::from_secs(age_s.unwrap_or(0).into());
                    if records.iter().all(|(other, ..)| other.key_hash() != record.key_hash()) {
                        records.push((record, content, age));
                    }
                }
                Ok(_) | Err(_) => {
                    // Who says such things is not believed in others.
                    asked.state = State::Ignorant;
                    self.finding.next = Some(now);
                    return self.drops.count(DropReason::Record);
                }
            }
        }
        if records.len() >= count.into() {
            let records = std::mem::take(records);
            let entry =
                |record: &Record| HaveEntry { key: record.key_hash(), sequence: record.body().sequence };
            asked.state = State::Complete(records.iter().map(|(record, ..)| entry(record)).collect());
            if let Some(ask) = self.finding.names.get_mut(&name).and_then(|sought| sought.ask.as_mut()) {
                ask.complete.get_or_insert(now);
            }
            for (record, content, age) in records {
                self.take_found(record, &content, age, now);
            }
            self.finding.next = Some(now);
        }
    }

    /// Takes what was found; it is no news to others.
    fn take_found(&mut self, record: Record, content: &Content, age: Duration, now: Instant) {
        if self.is_unfit(&record, now) {
            return self.drops.count(DropReason::Record);
        }
        let key = record.key();
        let was_there = self.registry.get(&key).is_some();
        if self.registry.insert(record, age, now).is_news() {
            self.apply_lease(&key, content, was_there, now);
            if key.owner == self.identity.node() {
                self.handle_own_lease(&key, now);
            }
        }
    }

    /// What a service name means, and nothing else.
    fn zone_of(&mut self, name: &Name) -> Arc<Zone> {
        // Our own node too, which serves the names.
        let own = std::iter::once(self.identity.node());
        let nodes: Vec<NodeId> = self.services.nodes_of(name).chain(own).collect();
        let credentials = nodes.iter().filter_map(|node| Some((*node, self.credentials(node)?.clone())));
        let credentials: BTreeMap<NodeId, wire::Claims> = credentials.collect();
        let members: BTreeMap<NodeId, &wire::Claims> =
            credentials.iter().map(|(node, claims)| (*node, claims)).collect();
        let is_of_node = self.members.holder_of_name(name).is_some();
        let mut zone = self.services.zone_of(
            (!is_of_node).then_some(name),
            registry::Surroundings {
                network: &self.members.network.name,
                own: self.identity.node(),
                members: &members,
                guests: &self.guests,
                round_trips: self.zone.round_trips(),
            },
        );
        zone.serial = self.zone.current.serial;
        Arc::new(zone)
    }
}

fn is_about(record: &Record, name: &Name) -> bool {
    record.body().kind.is_shared_out() && record.key().service_name() == name.as_str()
}
