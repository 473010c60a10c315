//! Mailboxes of our invites: a joiner that reaches nobody leaves word in the DHT, and finds ours there.
//!
//! ```text
//! joiner ── its hint ──▶ slot to issuer ──▶ we look there, often while the invite is young
//! we ── openers ──▶ its addresses                 our own NAT lets it in from now on
//! we ── our hint, for that hint alone ──▶ slot to joiner
//! joiner ── enrolment ──▶ we                      as from any other
//! ```
//!
//! Who can write there has the invite's secret, and may be anybody by now: it gets a few openers at addresses of its choice
//! and what the invite says as well. A hint there is taken once, so that an old one does nothing.

use super::Node;
use super::dht::DhtRequest;
use crate::drops::DropReason;
use crate::limits::{
    CLOCK_SKEW_S, MAILBOX_LOOK_OLD, MAILBOX_LOOK_YOUNG, MAILBOX_PUT_PAUSE, MAILBOX_YOUNG_TIME, MAILBOXES_MAX,
    OPENER_ADDRESSES_MAX, OPENER_INTERVAL, OPENER_TTLS, OPENERS_PER_INVITE_MAX, OPENERS_TIME,
};
use crate::node::Output;
use nat::Remote;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;
use wire::hint::{Hint, NONCE_LENGTH};
use wire::mailbox::Slot;
use wire::{Candidate, InviteId};

/// What an opener says: nothing. Only that it goes out counts.
const OPENER: [u8; 16] = [0; 16];

/// Those of our open invites.
#[derive(Default)]
pub(super) struct Mailboxes(BTreeMap<InviteId, Mailbox>);

/// The two slots of an invite, and what goes on there.
struct Mailbox {
    to_issuer: Slot,
    to_joiner: Slot,
    since: Instant,
    /// When to look; what it was asked for last time may still come.
    next: Instant,
    word: Option<Word>,
    /// Grows with everything that we leave.
    sequence: u64,
    openers_left: u32,
}

/// A joiner's word.
struct Word {
    /// When, by its clock.
    unix_s: u64,
    /// Of its hint: our answer opens for who has made that.
    nonce: [u8; NONCE_LENGTH],
    addresses: Vec<SocketAddr>,
    openers: usize,
    next_opener: Instant,
    until: Instant,
    /// What it was told of where we are, and when.
    told: Option<(Vec<Candidate>, Instant)>,
}

impl Mailbox {
    fn is_awaited(&self, now: Instant) -> bool {
        self.word.as_ref().is_some_and(|word| now < word.until)
    }

    fn look_interval(&self, now: Instant) -> std::time::Duration {
        let is_young = now < self.since + MAILBOX_YOUNG_TIME;
        if is_young || self.is_awaited(now) { MAILBOX_LOOK_YOUNG } else { MAILBOX_LOOK_OLD }
    }
}

impl Word {
    /// When to tell it where we are: at once, and again when we are elsewhere.
    fn answer_due(&self, own: &[Candidate], now: Instant) -> Option<Instant> {
        match &self.told {
            _ if own.is_empty() => None,
            None => Some(now),
            Some((told, at)) => (told != own).then_some(*at + MAILBOX_PUT_PAUSE),
        }
    }

    fn opener_due(&self) -> Option<Instant> {
        (self.next_opener < self.until).then_some(self.next_opener)
    }
}

impl Mailboxes {
    /// The network is another one: whoever waits is to know soon.
    pub(super) fn restart(&mut self, now: Instant) {
        for mailbox in self.0.values_mut() {
            mailbox.next = mailbox.next.min(now);
        }
    }

    /// What was left was stored on so many DHT nodes.
    pub(super) fn handle_put(&mut self, seed: &[u8; 32], nodes: u32) {
        let mailbox = self.0.values_mut().find(|mailbox| mailbox.to_joiner.seed() == seed);
        let told = mailbox.and_then(|mailbox| mailbox.word.as_mut()?.told.as_mut());
        if let (0, Some((told, _))) = (nodes, told) {
            told.clear();
        }
    }

    fn of(&self, seed: &[u8; 32]) -> Option<InviteId> {
        self.0.iter().find(|(_, mailbox)| mailbox.to_issuer.seed() == seed).map(|(invite, _)| *invite)
    }
}

impl Node {
    /// Takes a value from a slot to us; whether it is from one.
    pub(super) fn take_word(&mut self, seed: &[u8; 32], bytes: &[u8], now: Instant) -> bool {
        let Some(invite) = self.discovery.mailboxes.of(seed) else { return false };
        let own_s = self.unix_s(now);
        let Some(mailbox) = self.discovery.mailboxes.0.get_mut(&invite) else { return false };
        let hint = Hint::open(mailbox.to_issuer.seal_key(), &self.members.id(), bytes);
        let (Ok(hint), Some(nonce)) = (hint, bytes.first_chunk::<NONCE_LENGTH>()) else {
            self.drops.count(DropReason::Hint);
            return true;
        };
        let body = hint.body();
        let is_new = mailbox.word.as_ref().is_none_or(|word| word.unix_s < body.unix_s);
        // What another one has left hours ago is there for hours.
        if !is_new || body.unix_s.abs_diff(own_s) > CLOCK_SKEW_S {
            return true;
        }
        let members = &self.members;
        let outside = body.candidates.iter().filter(|candidate| !members.is_inside(candidate));
        let addresses: Vec<SocketAddr> =
            outside.map(Candidate::socket_address).take(OPENER_ADDRESSES_MAX).collect();
        // A joiner that is where it was is no stranger to our openers any more.
        let openers = mailbox.word.as_ref().filter(|last| last.addresses == addresses);
        mailbox.word = Some(Word {
            unix_s: body.unix_s,
            nonce: *nonce,
            openers: openers.map_or(0, |last| last.openers),
            addresses,
            next_opener: now,
            until: now + OPENERS_TIME,
            told: None,
        });
        true
    }

    pub(super) fn run_mailboxes(&mut self, now: Instant) {
        self.note_mailboxes(now);
        let own = self.discovery.dht.candidates().to_vec();
        let invites: Vec<InviteId> = self.discovery.mailboxes.0.keys().copied().collect();
        for invite in invites {
            self.look_into_mailbox(&invite, now);
            // The NAT is open before the joiner can know where to knock.
            self.send_openers(&invite, now);
            self.answer_word(&invite, &own, now);
        }
    }

    fn note_mailboxes(&mut self, now: Instant) {
        let mut open = self.open_invites(now);
        open.truncate(MAILBOXES_MAX);
        let mailboxes = &mut self.discovery.mailboxes.0;
        mailboxes.retain(|invite, _| open.iter().any(|(id, _)| id == invite));
        for (id, _) in open {
            let issued = self.invites.iter().find(|issued| issued.id == id);
            let Some(issued) = issued.filter(|_| !mailboxes.contains_key(&id)) else { continue };
            let mailbox = Mailbox {
                to_issuer: Slot::to_issuer(&issued.secret),
                to_joiner: Slot::to_joiner(&issued.secret),
                since: now,
                next: now + MAILBOX_LOOK_YOUNG,
                word: None,
                sequence: 0,
                openers_left: OPENERS_PER_INVITE_MAX,
            };
            mailboxes.insert(id, mailbox);
        }
    }

    fn look_into_mailbox(&mut self, invite: &InviteId, now: Instant) {
        let Some(mailbox) = self.discovery.mailboxes.0.get_mut(invite) else { return };
        if now >= mailbox.next {
            mailbox.next = now + self.random.jitter(mailbox.look_interval(now));
            let seed = *mailbox.to_issuer.seed();
            self.outputs.push_back(Output::Dht(DhtRequest::Get { seed }));
        }
    }

    fn send_openers(&mut self, invite: &InviteId, now: Instant) {
        let Some(mailbox) = self.discovery.mailboxes.0.get_mut(invite) else { return };
        let Some(word) = mailbox.word.as_mut() else { return };
        if word.opener_due().is_none_or(|at| now < at) {
            return;
        }
        word.next_opener = now + OPENER_INTERVAL;
        let ttl = OPENER_TTLS.get(word.openers).copied();
        word.openers += 1;
        let sent = word.addresses.iter().take(mailbox.openers_left as usize);
        let addresses: Vec<SocketAddr> = sent.copied().collect();
        mailbox.openers_left -= addresses.len() as u32;
        for address in addresses {
            self.transmit_as("opener", Remote::udp(address), OPENER.to_vec(), ttl);
        }
    }

    fn answer_word(&mut self, invite: &InviteId, own: &[Candidate], now: Instant) {
        let unix_s = self.unix_s(now);
        let due = self.discovery.mailboxes.0.get(invite).filter(|mailbox| {
            let due = mailbox.word.as_ref().and_then(|word| word.answer_due(own, now));
            mailbox.is_awaited(now) && due.is_some_and(|at| now >= at)
        });
        if due.is_none() {
            return;
        }
        let (hint, nonce) = (self.own_hint(false, now), self.random.bytes());
        let Some(mailbox) = self.discovery.mailboxes.0.get_mut(invite) else { return };
        let Some(word) = mailbox.word.as_mut() else { return };
        mailbox.sequence = unix_s.max(mailbox.sequence + 1);
        word.told = Some((own.to_vec(), now));
        let key = mailbox.to_joiner.seal_key().answer_to(&word.nonce);
        let seed = *mailbox.to_joiner.seed();
        let request = DhtRequest::Put { seed, value: hint.seal(&key, nonce), sequence: mailbox.sequence };
        self.outputs.push_back(Output::Dht(request));
    }

    pub(super) fn mailbox_deadline(&self, now: Instant) -> Option<Instant> {
        let own = self.discovery.dht.candidates();
        let of = |mailbox: &Mailbox| {
            let word = mailbox.word.as_ref().filter(|_| mailbox.is_awaited(now));
            let answer = word.and_then(|word| word.answer_due(own, now));
            let opener = word.and_then(Word::opener_due);
            [Some(mailbox.next), answer, opener].into_iter().flatten().min()
        };
        self.discovery.mailboxes.0.values().filter_map(of).min()
    }
}
