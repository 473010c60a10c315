//! The member's side: invites that admins have told us of, and joiners that we put through to them.

use super::{PutThrough, Vouched, Vouching, Way};
use crate::drops::DropReason;
use crate::limits::{
    ENROLMENT_LIFE, INVITE_LIFE_MAX, JOINERS_MAX, JOINERS_PER_INVITE_MAX, PUT_THROUGH_PER_SECOND,
    VOUCHED_MAX, VOUCHED_PER_ADMIN_MAX,
};
use crate::node::Node;
use nat::Remote;
use std::time::{Duration, Instant};
use wire::control::Message;
use wire::datagram::{Datagram, ENROLMENT_FIRST_LENGTH, Enrolment};
use wire::enrolment::LENGTH_MAX;
use wire::gate::MAC_LENGTH;
use wire::{InviteId, NodeId};

impl Node {
    /// An admin tells us of an invite.
    pub(in crate::node) fn consume_vouch(
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

    pub(super) fn forget_vouched(&mut self, now: Instant) {
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
    pub(in crate::node) fn vouched_invites(&self) -> impl Iterator<Item = (InviteId, [u8; 32])> + '_ {
        self.vouching.vouched.iter().filter(|v| self.is_admin(&v.admin)).map(|v| (v.invite, v.mac_key))
    }

    /// Passes a joiner's datagram on to the admin whose invite it is; the worker has verified its MAC.
    pub(in crate::node) fn put_through(
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
    pub(in crate::node) fn consume_put_through(
        &mut self,
        from: NodeId,
        joiner: u64,
        bytes: &[u8],
        now: Instant,
    ) {
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
}
