//! How often what is new of one owner is passed on: so that a member which signs its records anew without a pause keeps its neighbours
//! busy, and nobody else.
//!
//! What is not passed on is kept all the same, and found by anti-entropy: of many versions only the latest is.

use crate::limits::{ALLOWANCE_OWNERS_MAX, ALLOWANCE_PRUNING, NEWS_AT_ONCE, NEWS_INTERVAL};
use std::collections::BTreeMap;
use std::time::Instant;
use wire::NodeId;

/// What each owner has left.
#[derive(Debug, Default)]
pub struct Allowance {
    /// Until when what was passed on is paid for, for owners that have not all left.
    paid: BTreeMap<NodeId, Instant>,
    next_pruning: Option<Instant>,
}

impl Allowance {
    /// Whether something new of an owner is passed on; it has less left then.
    pub fn take(&mut self, owner: NodeId, now: Instant) -> bool {
        self.prune(now);
        if !self.paid.contains_key(&owner) && self.paid.len() >= ALLOWANCE_OWNERS_MAX {
            return false;
        }
        let paid = self.paid.entry(owner).or_insert(now);
        let after = (*paid).max(now) + NEWS_INTERVAL;
        let has_some = after <= now + NEWS_INTERVAL * NEWS_AT_ONCE;
        if has_some {
            *paid = after;
        }
        has_some
    }

    /// Forgets those who have all left again.
    fn prune(&mut self, now: Instant) {
        if self.next_pruning.is_none_or(|at| at <= now) {
            self.paid.retain(|_, paid| *paid > now);
            self.next_pruning = Some(now + ALLOWANCE_PRUNING);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn node(n: u32) -> NodeId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&n.to_be_bytes());
        NodeId(id)
    }

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
        Instant::now()
    }

    #[test]
    fn an_owner_has_many_at_once_and_then_a_few_a_second() {
        let (mut allowance, now) = (Allowance::default(), start());
        let mut taken = |owner, now| (0..10_000).filter(|_| allowance.take(node(owner), now)).count();
        assert_eq!(taken(1, now), NEWS_AT_ONCE as usize);
        assert_eq!(taken(2, now), NEWS_AT_ONCE as usize, "of others that takes nothing");
        assert_eq!(taken(1, now + Duration::from_secs(1)), 20);
        assert_eq!(taken(1, now + Duration::from_secs(3)), 40);
        assert_eq!(
            taken(1, now + Duration::from_secs(3600)),
            NEWS_AT_ONCE as usize,
            "and not more for waiting"
        );
    }

    #[test]
    fn owners_that_rest_are_forgotten_and_there_are_not_too_many() {
        let (mut allowance, now) = (Allowance::default(), start());
        let most = ALLOWANCE_OWNERS_MAX as u32;
        assert_eq!((0..most + 5).filter(|n| allowance.take(node(*n), now)).count(), ALLOWANCE_OWNERS_MAX);
        assert!(allowance.take(node(most), now + ALLOWANCE_PRUNING));
        assert_eq!(allowance.paid.len(), 1);
    }
}
