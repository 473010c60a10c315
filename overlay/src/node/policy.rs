//! Policies: documents that admins sign for all. Kept and spread here; what they mean is for others.

use super::{CommandError, Node};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use wire::record::{Content, Key, Policy};
use wire::{Kind, Name, Record};

impl Node {
    /// The policies of the network by their names: of each the one with the highest sequence, whichever admin has signed it, and
    /// of one sequence that whose record is higher, byte by byte. Withdrawn ones are none.
    #[must_use]
    pub fn policies(&self) -> BTreeMap<Name, Policy> {
        let mut latest: BTreeMap<&str, &Record> = BTreeMap::new();
        let rank = |record: &Record| (record.body().sequence, record.bytes().to_vec());
        for record in self.registry.of_kind(Kind::Policy) {
            let known = latest.entry(&record.body().name).or_insert(record);
            if rank(record) > rank(known) {
                *known = record;
            }
        }
        let policy = |record: &Record| match record.content(&self.members.id()) {
            Ok(Content::Policy { policy, .. }) if !policy.document.is_empty() => Some(policy),
            _ => None,
        };
        latest.into_values().filter_map(policy).map(|policy| (policy.name.clone(), policy)).collect()
    }

    /// Signs a policy for the network, in place of the one of this name; an empty document withdraws it.
    ///
    /// # Errors
    /// [`CommandError::NotAdmin`], [`CommandError::Revoked`], and [`CommandError::Policy`] when it is too long for a record,
    /// its media type is none, or there are as many as a network may have.
    pub fn publish_policy(&mut self, policy: Policy, now: Instant) -> Result<(), CommandError> {
        self.must_be_admin()?;
        let key = Key { kind: Kind::Policy, owner: self.identity.node(), name: policy.name.to_string() };
        let is_new = self.registry.get(&key).is_none();
        if is_new && !self.registry.has_room(key.kind, key.owner) {
            return Err(CommandError::Policy);
        }
        let of_name = self.registry.of_kind(Kind::Policy).filter(|record| record.body().name == key.name);
        let highest = of_name.map(|record| record.body().sequence).max().unwrap_or(0);
        let sequence = self.next_sequence(&key, now).max(highest.saturating_add(1));
        let content = Content::Policy { policy, by: Box::new(self.members.own().clone()) };
        let record = content.sign(sequence, self.unix_s(now), &self.identity.signing, None);
        let record = record.ok().filter(|record| record.content(&self.members.id()).as_ref() == Ok(&content));
        self.merge((record.ok_or(CommandError::Policy)?, Duration::ZERO), content, None, now);
        Ok(())
    }
}
