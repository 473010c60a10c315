//! Discovery: where members are, told by hints: on the LAN, from addresses without a key, and through the DHT.
//!
//! ```text
//! handle_group      what came to the LAN's group        Output::Beacon   to the LAN's group
//! handle_seed       addresses without a key             Output::Dht      to the DHT
//! handle_dht        what the DHT says
//!                      ╲ ask: "who is there?" ─ answer ╲
//!                       ────────────────────────────────▶ take_hint ─▶ a handshake
//! ```
//!
//! A hint is a place to try and nothing more: it moves no path and replaces no address of another source. `asks` is
//! about addresses without a key, `dht` about when to ask the DHT for what, `earlier` about members that were away, `mailbox` about joiners that leave word there.

mod allowance;
mod asks;
mod dht;
mod earlier;
mod mailbox;
mod pace;

pub use dht::{DhtEvent, DhtRequest, DhtState};

use super::{Node, Output};
use crate::drops::DropReason;
use crate::hint_gate::HintGate;
use crate::limits::{
    BEACON_INTERVAL, BEACON_INTERVAL_CONTENT, CLOCK_SKEW_S, HINT_URGENT_PAUSE, HINT_URGENT_RETRY,
    HINT_URGENT_TIME, HINTED_STRANGER_LIFE, HINTED_STRANGERS_MAX,
};
use crate::peer::{Peer, Seeking};
use crate::secrets::Secrets;
use allowance::Allowance;
use nat::{Remote, Source};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::datagram::{Datagram, HintStage, write_hint};
use wire::hint::{HINT_CANDIDATES_MAX, Hint, HintBody, SealKey};
use wire::{Candidate, NodeId};

/// Beacons after a start or a change of addresses come so long after each other: interfaces are not ready at once.
const BEACON_BURST: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(6)];
/// Ways to a neighbour on the LAN that are tried while it is reached over hops.
const LAN_WAYS_MAX: usize = 2;

/// What carries hints for this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carriers {
    /// The group on the networks of the machine's own.
    pub lan: bool,
    /// The DHT.
    pub dht: bool,
}

/// How a hint came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HintSource {
    /// A beacon.
    Lan,
    /// An ask or its answer.
    Seed,
    /// A value in the DHT.
    Dht,
}

/// What is known of one node's hints.
#[derive(Debug, Clone, Copy)]
struct Heard {
    /// When the latest was made, by its maker's clock.
    unix_s: u64,
    /// Since when the node is asked in short intervals.
    urgent_since: Option<Instant>,
    /// TCP port at which it takes streams.
    stream: Option<u16>,
}

/// What is done about hints.
pub(super) struct Discovery {
    carriers: Carriers,
    /// In the order of the secrets that they follow from.
    lan_keys: Vec<SealKey>,
    pub(super) gate: Arc<HintGate>,
    heard: BTreeMap<NodeId, Heard>,
    /// Peers that a hint alone has told of, and until when they may prove that they are members.
    strangers: BTreeMap<NodeId, Instant>,
    allowance: Allowance,
    beacons: Beacons,
    asks: asks::Asks,
    dht: dht::Policy,
    earlier: earlier::Turn,
    mailboxes: mailbox::Mailboxes,
}

/// When to beacon.
#[derive(Default)]
struct Beacons {
    /// Beacons since the start or the latest change.
    count: usize,
    /// Next one while somebody is missing, and while nobody is.
    next: Option<(Instant, Instant)>,
}

impl Discovery {
    pub(super) fn new(secrets: &Secrets, now: Instant) -> Self {
        Self {
            carriers: Carriers::default(),
            lan_keys: secrets.all().map(SealKey::lan).collect(),
            gate: Arc::new(HintGate::new(secrets)),
            heard: BTreeMap::new(),
            strangers: BTreeMap::new(),
            allowance: Allowance::new(now),
            beacons: Beacons::default(),
            asks: asks::Asks::default(),
            dht: dht::Policy::default(),
            earlier: earlier::Turn::default(),
            mailboxes: mailbox::Mailboxes::default(),
        }
    }
}

impl Node {
    /// The network secret is another one: hints are made under it, and read under the earlier ones as well.
    pub(super) fn change_hint_keys(&mut self) {
        let secrets = &self.members.network.secrets;
        self.discovery.lan_keys = secrets.all().map(SealKey::lan).collect();
        let who = secrets.all().map(SealKey::who).collect();
        // What was asked under the last one is answered under it.
        self.change_gate(|gate, _| gate.who = who);
        self.discovery.asks.end_round();
        self.discovery.dht.publish_again();
        self.discovery.earlier = earlier::Turn::default();
    }

    /// Takes what carries hints for this node, from now on. Without it no hint is sent, but asks are answered.
    pub fn handle_carriers(&mut self, carriers: Carriers, now: Instant) {
        self.discovery.carriers = carriers;
        self.begin_discovery(now);
    }

    /// Another network, or other addresses: everything begins anew.
    pub(super) fn restart_discovery(&mut self, now: Instant) {
        if self.discovery.carriers.dht {
            self.outputs.push_back(Output::Dht(DhtRequest::Refresh));
        }
        self.begin_discovery(now);
    }

    fn begin_discovery(&mut self, now: Instant) {
        let is_on_lan = self.discovery.carriers.lan;
        self.discovery.beacons = Beacons { count: 0, next: is_on_lan.then_some((now, now)) };
        self.restart_asks(now);
        self.restart_dht(now);
        self.discovery.mailboxes.restart(now);
    }

    /// Takes a datagram that came to the LAN's group. Its sender's address is as good as any stranger's word.
    pub fn handle_group(&mut self, bytes: &[u8], from: SocketAddr, now: Instant) {
        match Datagram::parse(bytes) {
            Some(Datagram::Hint(message)) if message.stage == HintStage::Beacon => {
                let opens = |key: &&SealKey| key.mark() == message.mark && key.opens(message.sealed);
                let Some(key) = self.discovery.lan_keys.iter().find(opens).cloned() else {
                    return self.drops.count(DropReason::Gate);
                };
                if !self.discovery.allowance.take(from.ip(), now) {
                    return self.drops.count(DropReason::HintFlood);
                }
                match Hint::open(&key, &self.members.id(), message.sealed) {
                    Ok(hint) => self.take_hint(&hint, HintSource::Lan, Some(from), now),
                    Err(_) => self.drops.count(DropReason::Hint),
                }
            }
            // A joiner that reaches none of its invite's addresses.
            Some(Datagram::Enrolment(message)) => {
                let own = self.invites.iter().map(|i| (i.id, wire::invite::mac_key(&i.secret)));
                let passes = own
                    .chain(self.vouched_invites())
                    .any(|(id, key)| id == message.invite && message.passes(&key));
                if !passes {
                    return self.drops.count(DropReason::Gate);
                }
                self.consume_enrolment(&message, Remote::udp(from), now);
            }
            Some(_) | None => self.drops.count(DropReason::Unknown),
        }
    }

    /// Takes a hint that opened: its node's addresses are tried when it is not connected. `from` is who sent it, if that
    /// says something of where the node is.
    pub fn take_hint(&mut self, hint: &Hint, source: HintSource, from: Option<SocketAddr>, now: Instant) {
        let body = hint.body();
        if self.is_revoked || body.node == self.identity.node() {
            return;
        }
        let chain = self.members.chain(&body.node);
        if chain.is_some_and(|chain| self.members.is_revoked(chain)) {
            return self.drops.count(DropReason::Revoked);
        }
        let known = self.peers.get(&body.node).map(|peer| peer.noise_key);
        let noise_key = chain.map(|chain| chain.claims().noise_key).or(known);
        let heard = self.discovery.heard.get(&body.node).copied();
        let latest_s = heard.map_or(0, |heard| heard.unix_s);
        // What a clock in the future has made shall not count for ever.
        let is_old = body.unix_s < latest_s && latest_s <= self.unix_s(now).saturating_add(CLOCK_SKEW_S);
        if is_old || noise_key.is_some_and(|key| key != body.noise_key) {
            return self.drops.count(DropReason::Hint);
        }
        if known.is_none() && !self.take_in_stranger(body, noise_key.is_some(), now) {
            return self.drops.count(DropReason::Hint);
        }
        let candidates = self.hinted_candidates(body, source, from);
        let lacks_company = self.lacks_company();
        let Some(peer) = self.peers.get_mut(&body.node) else { return };
        let before = peer.paths.targets();
        let kind = if source == HintSource::Lan { Source::Lan } else { Source::Hint };
        peer.paths.handle_candidates(kind, &candidates);
        let urgent_since = heard.and_then(|heard| heard.urgent_since);
        let mut heard = Heard { unix_s: body.unix_s, urgent_since, stream: body.stream };
        if peer.is_connected() {
            try_lan(peer, source, &candidates);
        } else {
            let pause =
                if peer.paths.targets() == before { HINT_URGENT_PAUSE } else { HINT_URGENT_RETRY * 2 };
            if heard.urgent_since.is_none_or(|since| now >= since + pause) {
                heard.urgent_since = Some(now);
                if lacks_company {
                    peer.use_it(now);
                }
                peer.ask_anew(now);
            }
        }
        self.discovery.heard.insert(body.node, heard);
    }

    /// Makes a peer of a node that only a hint tells of; whether there is one now.
    fn take_in_stranger(&mut self, body: &HintBody, is_member: bool, now: Instant) -> bool {
        if !is_member && self.discovery.strangers.len() >= HINTED_STRANGERS_MAX {
            return false;
        }
        let is_taken = self.ensure_peer(body.node, body.noise_key, now).is_some();
        if is_taken && !is_member {
            self.discovery.strangers.insert(body.node, now + HINTED_STRANGER_LIFE);
        }
        is_taken
    }

    /// The addresses of a hint that may be dialled, and the one that it came from.
    fn hinted_candidates(
        &self,
        body: &HintBody,
        source: HintSource,
        from: Option<SocketAddr>,
    ) -> Vec<Candidate> {
        let from = match (source, from, body.candidates.first()) {
            // Beacons come from the group's port; a LAN's hint begins with an address of the machine's own.
            (HintSource::Lan, Some(from), Some(own)) => {
                Candidate::new(SocketAddr::new(from.ip(), own.socket_address().port()))
            }
            (HintSource::Lan, ..) => None,
            (HintSource::Seed | HintSource::Dht, from, _) => from.and_then(Candidate::new),
        };
        let mut candidates: Vec<Candidate> = vec![];
        for candidate in from.iter().chain(&body.candidates) {
            if !candidates.contains(candidate) && !self.members.is_inside(candidate) {
                candidates.push(*candidate);
            }
        }
        candidates
    }

    /// Our own hint. Nearby our own addresses come first, elsewhere those that others see.
    fn own_hint(&self, is_near: bool, now: Instant) -> Hint {
        let mut candidates: Vec<Candidate> = vec![];
        let local = self.reach.local.iter().filter(|candidate| is_near && !self.members.is_inside(candidate));
        for candidate in local.chain(&self.own_side(now).candidates) {
            if !candidates.contains(candidate) && candidates.len() < HINT_CANDIDATES_MAX {
                candidates.push(*candidate);
            }
        }
        let body = HintBody {
            node: self.identity.node(),
            noise_key: self.identity.noise_key(),
            candidates,
            unix_s: self.unix_s(now),
            stream: self.reach.stream_port,
        };
        Hint::sign(&body, &self.members.id(), &self.identity.signing)
            .expect("candidates are bounded, and the node is the key's")
    }

    /// What the node's latest hint says of streams.
    pub(super) fn hinted_stream_port(&self, node: &NodeId) -> Option<u16> {
        self.discovery.heard.get(node)?.stream
    }

    fn somebody_is_missing(&self) -> bool {
        self.peers.missing().next().is_some()
    }

    /// Does what is due; before the timers of handshakes, which it hurries.
    pub(super) fn run_discovery(&mut self, now: Instant) {
        self.discovery.gate.make_room();
        self.forget_strangers(now);
        self.hurry_hinted(now);
        if self.is_revoked {
            return;
        }
        if self.discovery.beacons.due(self.somebody_is_missing()).is_some_and(|at| now >= at) {
            self.beacon(now);
        }
        self.run_asks(now);
        self.run_dht(now);
    }

    fn beacon(&mut self, now: Instant) {
        let hint = self.own_hint(true, now);
        // Nobody can dial a node without an address; when it gets one, it tells.
        if !hint.body().candidates.is_empty() {
            let key = SealKey::lan(self.members.network.secrets.current());
            let sealed = hint.seal(&key, self.random.bytes());
            self.outputs.push_back(Output::Beacon(write_hint(HintStage::Beacon, key.mark(), &sealed)));
        }
        let beacons = &mut self.discovery.beacons;
        let burst = BEACON_BURST.get(beacons.count).copied();
        beacons.count += 1;
        let [soon, late] =
            [BEACON_INTERVAL, BEACON_INTERVAL_CONTENT].map(|interval| burst.unwrap_or(interval));
        beacons.next = Some((now + self.random.jitter(soon), now + self.random.jitter(late)));
    }

    fn forget_strangers(&mut self, now: Instant) {
        let members = &self.members;
        self.discovery.strangers.retain(|node, _| members.chain(node).is_none());
        let is_over = |(node, until): (&NodeId, &Instant)| (now >= *until).then_some(*node);
        let over: Vec<NodeId> = self.discovery.strangers.iter().filter_map(is_over).collect();
        for node in over {
            self.discovery.strangers.remove(&node);
            self.forget_peer(&node, now);
        }
        let peers = &self.peers;
        self.discovery.heard.retain(|node, _| peers.contains_key(node));
    }

    /// Asks the nodes of young hints in short intervals: two NATs open to each other when both are asked at a time.
    fn hurry_hinted(&mut self, now: Instant) {
        for (node, heard) in &self.discovery.heard {
            let is_urgent = heard.urgent_since.is_some_and(|since| now < since + HINT_URGENT_TIME);
            let is_apart = self.peers.get(node).is_some_and(Peer::is_missing);
            let Some(peer) = (is_urgent && is_apart).then(|| self.peers.get_mut(node)).flatten() else {
                continue;
            };
            let soon = peer.attempts.back().map_or(now, |last| now.max(last.sent + HINT_URGENT_RETRY));
            if let Seeking::Asking { next, .. } = &mut peer.seeking {
                *next = soon.min(*next);
            }
        }
    }

    pub(super) fn discovery_deadline(&self, now: Instant) -> Option<Instant> {
        let strangers = self.discovery.strangers.values().min().copied();
        if self.is_revoked {
            return strangers;
        }
        let beacon = self.discovery.beacons.due(self.somebody_is_missing());
        [strangers, beacon, self.asks_deadline(), self.dht_deadline(now)].into_iter().flatten().min()
    }
}

impl Beacons {
    fn due(&self, is_missing: bool) -> Option<Instant> {
        self.next.map(|(soon, late)| if is_missing { soon } else { late })
    }
}

/// A neighbour that is reached over hops is probed where its beacon says.
fn try_lan(peer: &mut Peer, source: HintSource, candidates: &[Candidate]) {
    let is_relayed = peer.paths.primary().is_some_and(|remote| !remote.is_direct());
    if source == HintSource::Lan && is_relayed {
        for candidate in candidates.iter().take(LAN_WAYS_MAX) {
            peer.paths.handle_reached(Remote::udp(candidate.socket_address()));
        }
    }
}
