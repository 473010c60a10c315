//! Leases of all nodes: who may have one, how old it is, when it ends, and what of them is written.

use super::Node;
use crate::limits::{LEASE_SLACK, LEASES_DELAY};
use crate::state::{Leases, StateFile, encode_leases};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use wire::credential::CLOCK_SKEW_S;
use wire::record::{Content, Key, Lease};
use wire::{Kind, NodeId, Record};

impl Node {
    /// Whether a record is by nobody who may have one of its kind, or was over long ago by the wall clock: an old one that
    /// somebody has kept.
    pub(super) fn is_unfit(&self, record: &Record, now: Instant) -> bool {
        let body = record.body();
        let is_of_member = || self.credentials(&body.owner).is_some();
        match body.kind {
            Kind::Member | Kind::Revocation | Kind::Reissue | Kind::Epoch | Kind::Policy => false,
            // Whoever it is, its own record has not come yet; this one comes again.
            Kind::LinkState | Kind::Routes => !is_of_member(),
            Kind::Confirmation if !self.is_admin(&body.owner) => true,
            Kind::Confirmation if !record.is_tombstone() => false,
            Kind::Guest if !record.is_tombstone() => !is_of_member(),
            Kind::Service | Kind::Claim | Kind::Confirmation | Kind::Guest => {
                let end = body.not_before_s.saturating_add(body.ttl_s.into());
                !is_of_member() || self.unix_s(now) > end.saturating_add(CLOCK_SKEW_S)
            }
        }
    }

    /// Lets a lease take effect that has become the latest of its key.
    pub(super) fn apply_lease(&mut self, key: &Key, content: &Content, was_there: bool, now: Instant) {
        let Some(record) = self.registry.get(key) else { return };
        if key.kind == Kind::Guest && self.guests.handle_record(content) {
            self.zone.is_old = true;
            self.unwritten.leases.get_or_insert(now + LEASES_DELAY);
            return self.look_at_hosts(now);
        }
        let is_different = self.services.handle_record(record, content);
        if is_different {
            self.services_changed(now);
        }
        if is_different || !was_there {
            // What we have confirmed we stand by: whoever wants the name may be the first that we meet after a crash.
            let is_our_word = key.kind == Kind::Confirmation && key.owner == self.identity.node();
            let write_at = if is_our_word { now } else { now + LEASES_DELAY };
            self.unwritten.leases = Some(self.unwritten.leases.map_or(write_at, |at| at.min(write_at)));
        }
    }

    /// Somebody tells us what we have said ourselves: before our state was lost, or set back. What holds now is said anew.
    pub(super) fn handle_own_lease(&mut self, key: &Key, now: Instant) {
        match key.kind {
            Kind::Confirmation => self.handle_own_confirmation(key, now),
            Kind::Guest => self.tell_of_guests(now),
            Kind::Service
            | Kind::Claim
            | Kind::Member
            | Kind::Revocation
            | Kind::Reissue
            | Kind::LinkState
            | Kind::Epoch
            | Kind::Policy
            | Kind::Routes => self.publishing.handle_own_word(now),
        }
    }

    /// Ends the leases of a node that is no member any more.
    pub(super) fn forget_leases(&mut self, node: NodeId, now: Instant) {
        for kind in [Kind::Service, Kind::Claim, Kind::Confirmation] {
            self.registry.forget_owner(kind, node);
        }
        self.services.forget_owner(node);
        self.forget_guests(node, now);
        self.services_changed(now);
    }

    /// Signs a lease of ours under the next sequence, and spreads it; not one of a kind that came after the revisions that we speak.
    pub(super) fn publish_lease(
        &mut self,
        content: &Content,
        key: &Key,
        (ttl_s, labels): (u32, BTreeMap<String, String>),
        now: Instant,
    ) {
        if !self.speaks_of(key.kind) {
            return;
        }
        let lease =
            Lease { sequence: self.next_sequence(key, now), not_before_s: self.unix_s(now), ttl_s, labels };
        match content.sign_lease(lease, &self.identity.signing) {
            Ok(record) => {
                let said = |record: &Record| (record.body().payload.clone(), record.body().labels.clone());
                let says_the_same = self.registry.get(key).map(said) == Some(said(&record));
                self.merge((record, Duration::ZERO), content.clone(), None, now);
                if !says_the_same {
                    self.check_later(key.service_name(), now);
                }
            }
            Err(_) => self.drops.count(crate::drops::DropReason::Record),
        }
    }

    /// How old a record of ours is that is passed on, in whole seconds; nothing when it is no lease.
    pub(super) fn age_s(&self, record: &Record, now: Instant) -> Option<u32> {
        let age = self.registry.age(record, now)?;
        Some(u32::try_from((age.as_millis() + 500) / 1000).unwrap_or(u32::MAX))
    }

    pub(super) fn run_lease_timers(&mut self, now: Instant) {
        if self.lease_deadline().is_some_and(|at| now >= at) {
            let ended = self.registry.end_leases(now);
            let changes = ended.iter().filter(|key| self.services.handle_end(key)).count();
            if changes > 0 {
                self.services_changed(now);
            }
            if !ended.is_empty() {
                self.unwritten.leases.get_or_insert(now + LEASES_DELAY);
            }
        }
        if self.unwritten.leases.is_some_and(|at| now >= at) {
            self.persist_leases(now);
        }
    }

    /// Those that end at about the same time end together.
    pub(super) fn lease_deadline(&self) -> Option<Instant> {
        self.registry.deadline().map(|at| at + LEASE_SLACK)
    }

    pub(super) fn persist_leases(&mut self, now: Instant) {
        self.unwritten.leases = None;
        let lease = |record: &Record| (record.clone(), self.registry.age(record, now).unwrap_or_default());
        let kept = [Kind::Claim, Kind::Confirmation, Kind::Guest].map(|kind| self.registry.of_kind(kind));
        let leases = Leases {
            written_s: self.unix_s(now),
            claims: kept.into_iter().flatten().map(lease).collect(),
            sequences: self.registry.sequences().collect(),
        };
        self.persist(StateFile::Leases, encode_leases(&leases));
    }

    /// Takes what was known of leases before the restart. By our own clock, which was perhaps set in between, they have aged.
    pub(super) fn restore_leases(&mut self, leases: Leases, now: Instant) {
        let off = Duration::from_secs(self.unix_s(now).saturating_sub(leases.written_s));
        for (record, age) in leases.claims {
            let Ok(content) = record.content(&self.members.id()) else { continue };
            let kind = record.body().kind;
            if !matches!(kind, Kind::Claim | Kind::Confirmation | Kind::Guest) || !self.speaks_of(kind) {
                continue;
            }
            let key = record.key();
            if !self.is_unfit(&record, now) && self.registry.insert(record, age + off, now).is_news() {
                self.apply_lease(&key, &content, true, now);
            }
        }
        for sequence in leases.sequences {
            // What somebody still shows of ours we want to hear again, to withdraw it: the last word before a crash may have
            // reached nobody. Our sequences of this run are above all of earlier ones anyhow.
            let is_lease = sequence.key.kind.is_lease() && sequence.key.owner != self.identity.node();
            let is_known = self.speaks_of(sequence.key.kind);
            if is_lease && is_known && self.credentials(&sequence.key.owner).is_some() {
                self.registry.remember(sequence, now);
            }
        }
    }
}
