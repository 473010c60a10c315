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
//! Here is the admin's side; the member's is in `put_through`.

mod put_through;

use super::Node;
use crate::limits::{ENROLMENT_LIFE, VOUCH_INTERVAL, VOUCHED_PER_ADMIN_MAX, VOUCHING_MEMBERS_MAX};
use nat::Remote;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use wire::control::Message;
use wire::enrolment::{CONTACT_CANDIDATES_MAX, CONTACTS_MAX, Contact};
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
    pub(super) fn open_invites(&self, now: Instant) -> Vec<(InviteId, u64)> {
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

    /// Whether strangers can dial a member, as far as it has told.
    fn can_be_dialled(&self, node: &NodeId) -> bool {
        self.topology.state(node).is_some_and(|state| state.is_anchor || !state.may_translate())
    }

    /// Members that vouch for us: anchors first, then those that do already. Those behind NATs only when there are no
    /// others: the invite would have its holder knock there in vain.
    pub(super) fn vouching_members(&self) -> Vec<NodeId> {
        let mut links = self.links();
        if links.iter().any(|(node, _)| self.can_be_dialled(node)) {
            links.retain(|(node, _)| self.can_be_dialled(node));
        }
        let anchors = self.anchors();
        let is_told = |node: &NodeId| self.vouching.told.keys().any(|(told, _)| told == node);
        links.sort_by_cached_key(|(node, ms)| (!anchors.contains(node), !is_told(node), *ms));
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

    /// Members that a new one may turn to: the one that put it through, and those that vouch for us and can be dialled. To
    /// knock at the others' NATs makes it harder to punch them afterwards, and they are met through the first.
    pub(super) fn contacts_for(&self, way: &Way) -> Vec<Contact> {
        let through = match way {
            Way::Through { member, .. } => Some(*member),
            Way::Straight(_) => None,
        };
        let others = self.vouching_members().into_iter();
        let others = others.filter(|node| Some(*node) != through && self.can_be_dialled(node));
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
