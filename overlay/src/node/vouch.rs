//! Vouching: a machine joins although it cannot reach the admin that has invited it.
//!
//! ```text
//! admin   ── Vouch{invite, MAC key} ──▶ member                     while the invite is open
//! joiner  ── enrolment datagram ──▶ member ── Enrolment ──▶ admin  when its MAC is right
//! joiner  ◀── enrolment datagram ── member ◀── Enrolment ── admin  one for each that came
//! ```
//!
//! The member reads nothing and decides nothing: the MAC key opens no message. It keeps little, for a short time, and
//! only for who has shown that it holds an invite; it sends to a joiner only what answers the joiner's own datagram.

use super::Node;
use crate::drops::DropReason;
use crate::limits::{
    ENROLMENT_LIFE, INVITE_LIFE_MAX, JOINERS_MAX, JOINERS_PER_INVITE_MAX, PUT_THROUGH_PER_SECOND,
    VOUCH_INTERVAL, VOUCHED_MAX, VOUCHED_PER_ADMIN_MAX, VOUCHING_MEMBERS_MAX,
};
use nat::Remote;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use wire::control::Message;
use wire::datagram::{Datagram, ENROLMENT_FIRST_LENGTH, Enrolment};
use wire::enrolment::{CONTACT_CANDIDATES_MAX, CONTACTS_MAX, Contact, LENGTH_MAX};
use wire::gate::MAC_LENGTH;
use wire::invite::ADDRESSES_MAX;
use wire::{Candidate, InviteId, NodeId};

/// Addresses of an invite that are kept for vouching members, when there are any.
const MEMBER_ADDRESSES_MIN: usize = 2;

/// How an admin and a joiner reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By themselves.
    Straight(Remote),
    /// Through a member, which knows the joiner by a number.
    Through { member: NodeId, joiner: u64 },
}

/// What an admin has told a member about an invite.
struct Told {
    at: Instant,
    until: Instant,
}

/// An invite that an admin has told us of.
struct Vouched {
    invite: InviteId,
    mac_key: [u8; 32],
    admin: NodeId,
    until: Instant,
}

/// A joiner that we put through.
struct PutThrough {
    number: u64,
    invite: InviteId,
    conversation: u32,
    remote: Remote,
    since: Instant,
    /// Datagrams of the joiner that were not answered yet: no more go back than came.
    unanswered: u8,
}

/// Both sides of it: what we said as an admin, and what we do as a member.
#[derive(Default)]
pub(super) struct Vouching {
    told: BTreeMap<(NodeId, InviteId), Told>,
    vouched: Vec<Vouched>,
    joiners: Vec<PutThrough>,
    second: Option<Instant>,
    in_second: u32,
}

impl Node {
    /// Tells members of invites, and forgets what is over.
    pub(super) fn run_vouch_timers(&mut self, now: Instant) {
        self.tell_vouching_members(now);
        self.forget_vouched(now);
    }

    /// When something is to be told again, or is over.
    pub(super) fn vouch_deadline(&self) -> Option<Instant> {
        let Vouching { told, vouched, joiners, .. } = &self.vouching;
        let told = told.values().map(|told| told.until.min(told.at + VOUCH_INTERVAL));
        let vouched = vouched.iter().map(|vouched| vouched.until);
        told.chain(vouched).chain(joiners.iter().map(|joiner| joiner.since + ENROLMENT_LIFE)).min()
    }

    fn tell_vouching_members(&mut self, now: Instant) {
        let open = self.open_invites(now);
        if open.is_empty() && self.vouching.told.is_empty() {
            return;
        }
        let members = self.vouching_members();
        let is_over = |(node, invite): &(NodeId, InviteId)| {
            !members.contains(node) || !open.iter().any(|(id, _)| id == invite)
        };
        let over: Vec<_> = self.vouching.told.keys().filter(|key| is_over(key)).copied().collect();
        for (node, invite) in over {
            self.vouching.told.remove(&(node, invite));
            self.send(&node, &Message::Vouch { invite, mac_key: [0; 32].into(), open_s: 0 }, None);
        }
        for node in members {
            for (invite, open_s) in &open {
                self.tell_of_invite(node, *invite, *open_s, now);
            }
        }
    }

    fn tell_of_invite(&mut self, node: NodeId, invite: InviteId, open_s: u64, now: Instant) {
        // With a new session the member may have been started again, and know nothing.
        let handshake = self.peers.get(&node).and_then(|peer| peer.last_handshake);
        let is_due = |told: &Told| {
            let is_old = now >= told.until.min(told.at + VOUCH_INTERVAL);
            is_old || handshake.is_some_and(|handshake| handshake > told.at)
        };
        if !self.vouching.told.get(&(node, invite)).is_none_or(is_due) {
            return;
        }
        let Some(issued) = self.invites.iter().find(|issued| issued.id == invite) else { return };
        let mac_key = wire::invite::mac_key(&issued.secret).into();
        self.send(&node, &Message::Vouch { invite, mac_key, open_s }, None);
        let until = now + Duration::from_secs(open_s);
        self.vouching.told.insert((node, invite), Told { at: now, until });
    }

    /// Our invites that can be used, and for how many seconds; the latest, as many as a member keeps.
    fn open_invites(&self, now: Instant) -> Vec<(InviteId, u64)> {
        if self.is_revoked || !self.members.own().claims().roles.admin {
            return vec![];
        }
        let unix_s = self.unix_s(now);
        let open = self.invites.iter().rev().filter_map(|issued| {
            // Whoever has just used it, perhaps through a member, may have to ask for the answer again.
            let is_told = self.vouching.told.keys().any(|(_, invite)| *invite == issued.id);
            let is_asked = is_told && self.enrolments.iter().any(|enrolment| enrolment.is_of(&issued.id));
            let left_s = if issued.used_by.is_none() { issued.expires_s.saturating_sub(unix_s) } else { 0 };
            let open_s = if is_asked { left_s.max(ENROLMENT_LIFE.as_secs()) } else { left_s };
            (open_s > 0).then_some((issued.id, open_s))
        });
        open.take(VOUCHED_PER_ADMIN_MAX).collect()
    }

    /// Members that vouch for us: anchors first, then those that do already.
    pub(super) fn vouching_members(&self) -> Vec<NodeId> {
        let mut links = self.links();
        let is_anchor = |node: &NodeId| self.topology.state(node).is_some_and(|state| state.is_anchor);
        let is_told = |node: &NodeId| self.vouching.told.keys().any(|(told, _)| told == node);
        links.sort_by_key(|(node, ms)| (!is_anchor(node), !is_told(node), *ms));
        links.into_iter().map(|(node, _)| node).take(VOUCHING_MEMBERS_MAX).collect()
    }

    /// Where whoever holds an invite may turn to: to us, and to members that vouch for us; public addresses first.
    pub(super) fn invite_addresses(&self) -> Vec<Candidate> {
        let own = public_first(self.candidates.clone());
        let members: Vec<_> = self.vouching_members().iter().map(|node| self.dialled_at(node)).collect();
        let rounds = members.iter().map(Vec::len).max().unwrap_or(0);
        let mut theirs: Vec<Candidate> = vec![];
        for candidate in (0..rounds).flat_map(|i| members.iter().filter_map(move |list| list.get(i))) {
            if !own.contains(candidate) && !theirs.contains(candidate) {
                theirs.push(*candidate);
            }
        }
        let kept = theirs.len().min(MEMBER_ADDRESSES_MIN);
        let (first, rest) = own.split_at(own.len().min(ADDRESSES_MAX - kept));
        let all = first.iter().chain(&theirs).chain(rest);
        public_first(all.copied().take(ADDRESSES_MAX).collect())
    }

    /// Members that a new one may turn to: the one that put it through, and those that vouch for us.
    pub(super) fn contacts_for(&self, way: &Way) -> Vec<Contact> {
        let through = match way {
            Way::Through { member, .. } => Some(*member),
            Way::Straight(_) => None,
        };
        let others = self.vouching_members().into_iter().filter(|node| Some(*node) != through);
        let contact = |node: NodeId| {
            let mut candidates = self.dialled_at(&node);
            candidates.truncate(CONTACT_CANDIDATES_MAX);
            Some(Contact { node, noise_key: self.peers.get(&node)?.noise_key, candidates })
        };
        through.into_iter().chain(others).filter_map(contact).take(CONTACTS_MAX).collect()
    }

    /// Where a member says that it may be dialled; where we reach it when it says nothing.
    fn dialled_at(&self, node: &NodeId) -> Vec<Candidate> {
        let mut candidates = self.announced_candidates(*node);
        candidates.retain(|candidate| !self.members.is_inside(candidate));
        if candidates.is_empty() {
            let remote = self.peers.get(node).and_then(|peer| peer.paths.primary());
            candidates.extend(remote.and_then(|remote| remote.candidate()));
        }
        public_first(candidates)
    }

    /// An admin tells us of an invite.
    pub(super) fn consume_vouch(
        &mut self,
        admin: NodeId,
        (invite, mac_key, open_s): (InviteId, [u8; 32], u64),
        now: Instant,
    ) {
        let vouched = &mut self.vouching.vouched;
        let known = vouched.iter().position(|v| v.admin == admin && v.invite == invite);
        if open_s == 0 {
            if let Some(at) = known {
                vouched.remove(at);
                self.tables_are_old = true;
            }
            return;
        }
        let until = now + Duration::from_secs(open_s).min(INVITE_LIFE_MAX);
        let is_anothers = self.invites.iter().any(|issued| issued.id == invite)
            || self.vouching.vouched.iter().any(|v| v.admin != admin && v.invite == invite);
        let of_admin = self.vouching.vouched.iter().filter(|v| v.admin == admin).count();
        let is_full = of_admin >= VOUCHED_PER_ADMIN_MAX || self.vouching.vouched.len() >= VOUCHED_MAX;
        if !self.is_admin(&admin) || is_anothers || (known.is_none() && is_full) {
            return self.drops.count(DropReason::Control);
        }
        let new = Vouched { invite, mac_key, admin, until };
        match known {
            Some(at) => self.vouching.vouched[at] = new,
            None => self.vouching.vouched.push(new),
        }
        self.tables_are_old = true;
    }

    fn is_admin(&self, node: &NodeId) -> bool {
        let chain = self.members.chain(node);
        chain.is_some_and(|chain| chain.claims().roles.admin && !self.members.is_revoked(chain))
    }

    fn forget_vouched(&mut self, now: Instant) {
        if self.vouching.vouched.is_empty() && self.vouching.joiners.is_empty() {
            return;
        }
        let before = self.vouching.vouched.len();
        let mut vouched = std::mem::take(&mut self.vouching.vouched);
        vouched.retain(|v| now < v.until && !self.is_revoked && self.is_admin(&v.admin));
        self.tables_are_old |= vouched.len() != before;
        self.vouching.joiners.retain(|joiner| {
            now < joiner.since + ENROLMENT_LIFE && vouched.iter().any(|v| v.invite == joiner.invite)
        });
        self.vouching.vouched = vouched;
    }

    /// Invites that others than their admin let in, and the keys of their MACs.
    pub(super) fn vouched_invites(&self) -> impl Iterator<Item = (InviteId, [u8; 32])> + '_ {
        self.vouching.vouched.iter().filter(|v| self.is_admin(&v.admin)).map(|v| (v.invite, v.mac_key))
    }

    /// Passes a joiner's datagram on to the admin whose invite it is; the worker has verified its MAC.
    pub(super) fn put_through(
        &mut self,
        message: &Enrolment<'_>,
        remote: Remote,
        now: Instant,
    ) -> Option<()> {
        self.forget_vouched(now);
        let admin = self.vouching.vouched.iter().find(|v| v.invite == message.invite)?.admin;
        let is_connected = self.peers.get(&admin)?.is_connected();
        let bytes = [message.covered, &message.mac].concat();
        if !matches!(message.stage, 1 | 3) || !is_connected || bytes.len() > LENGTH_MAX {
            return None;
        }
        let joiner = self.joiner_of(message, remote, now)?;
        self.send(&admin, &Message::Enrolment { joiner, bytes: bytes.into() }, None);
        Some(())
    }

    /// The number of a joiner, when it may send now.
    fn joiner_of(&mut self, message: &Enrolment<'_>, remote: Remote, now: Instant) -> Option<u64> {
        let number = self.random.u64();
        let Vouching { joiners, second, in_second, .. } = &mut self.vouching;
        if second.is_none_or(|second| now >= second + Duration::from_secs(1)) {
            (*second, *in_second) = (Some(now), 0);
        }
        if *in_second >= PUT_THROUGH_PER_SECOND {
            return None;
        }
        let same = |j: &&mut PutThrough| {
            (j.invite, j.conversation, j.remote) == (message.invite, message.conversation, remote)
        };
        if let Some(known) = joiners.iter_mut().find(same) {
            *in_second += 1;
            known.unanswered = known.unanswered.saturating_add(1);
            return Some(known.number);
        }
        let of_invite = |j: &PutThrough| j.invite == message.invite;
        if joiners.iter().filter(|j| of_invite(j)).count() >= JOINERS_PER_INVITE_MAX {
            // They stand in the order in which they came: the oldest of this invite goes.
            let oldest = joiners.iter().position(of_invite)?;
            joiners.remove(oldest);
        }
        if joiners.len() >= JOINERS_MAX {
            return None;
        }
        *in_second += 1;
        let (invite, conversation) = (message.invite, message.conversation);
        joiners.push(PutThrough { number, invite, conversation, remote, since: now, unanswered: 1 });
        Some(number)
    }

    /// A datagram of an enrolment has come inside a session: a joiner's to us, or an admin's to a joiner.
    pub(super) fn consume_put_through(&mut self, from: NodeId, joiner: u64, bytes: &[u8], now: Instant) {
        let outcome = match Datagram::parse(bytes) {
            Some(Datagram::Enrolment(message)) if matches!(message.stage, 1 | 3) => {
                let issued = self.invites.iter().find(|issued| issued.id == message.invite);
                let key = issued.map(|issued| wire::invite::mac_key(&issued.secret));
                // No worker has looked at it.
                key.filter(|key| message.passes(key))
                    .and_then(|_| self.take_enrolment(&message, Way::Through { member: from, joiner }, now))
            }
            Some(Datagram::Enrolment(message)) => self.answer_joiner(from, joiner, &message),
            Some(_) | None => None,
        };
        if outcome.is_none() {
            self.drops.count(DropReason::Enrolment);
        }
    }

    /// Sends an admin's answer to the joiner whom it is for.
    fn answer_joiner(&mut self, admin: NodeId, number: u64, message: &Enrolment<'_>) -> Option<()> {
        let vouched =
            self.vouching.vouched.iter().find(|v| v.invite == message.invite && v.admin == admin)?;
        let is_for = |j: &&mut PutThrough| {
            (j.number, j.invite, j.conversation) == (number, message.invite, message.conversation)
        };
        let joiner = self.vouching.joiners.iter_mut().find(is_for)?;
        let length = message.covered.len() + MAC_LENGTH;
        // Before the joiner has shown that it receives, it gets less than it has sent.
        let is_short = message.stage != 2 || length <= ENROLMENT_FIRST_LENGTH / 2;
        if !is_short || length > LENGTH_MAX || !message.passes(&vouched.mac_key) {
            return None;
        }
        joiner.unanswered = joiner.unanswered.checked_sub(1)?;
        let remote = joiner.remote;
        self.transmit(remote, [message.covered, &message.mac].concat());
        Some(())
    }

    /// How many invites we vouch for, and the numbers of the joiners that we put through.
    #[cfg(test)]
    pub(super) fn vouching_for(&self) -> (usize, Vec<u64>) {
        (self.vouching.vouched.len(), self.vouching.joiners.iter().map(|joiner| joiner.number).collect())
    }
}

/// Addresses that everybody may reach before those of somebody's own network.
fn public_first(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by_key(|candidate| !is_public(candidate));
    candidates
}

fn is_public(candidate: &Candidate) -> bool {
    match candidate.socket_address().ip() {
        IpAddr::V4(ip) => {
            // 100.64.0.0/10 is what providers use behind their NATs (RFC 6598).
            let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared)
        }
        IpAddr::V6(ip) => !(ip.is_unique_local() || ip.is_loopback()),
    }
}
