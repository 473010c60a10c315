//! Budgets: a rate that several nodes share, divided anew a few times a second so that who needs little is never held up by
//! who takes much. Hops count by them what they carry, exits what they forward.
//!
//! Workers take from the budgets (`forwarding::Budget`); here is only decided what is in them. **Must never** be asked about a
//! single packet.

use crate::forwarding::Budget;
use crate::limits::{BUDGET_INTERVAL, BUDGET_REST_INTERVALS};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wire::NodeId;

/// The part of one node.
struct Share {
    budget: Arc<Budget>,
    /// What it was given at the last refill.
    given: i64,
    /// Refills since it last took anything.
    quiet_intervals: u32,
}

impl Share {
    fn is_quiet(&self) -> bool {
        self.quiet_intervals >= BUDGET_REST_INTERVALS
    }
}

/// The budgets of all nodes that share a rate.
pub(super) struct Budgets {
    /// Bytes a second; nothing is no limit.
    rate_max: Option<u64>,
    shares: BTreeMap<NodeId, Share>,
}

impl Budgets {
    pub(super) fn new(rate_max: Option<u64>) -> Self {
        Self { rate_max, shares: BTreeMap::new() }
    }

    /// Counts from the next refill on.
    pub(super) fn set_rate(&mut self, rate_max: Option<u64>) {
        self.rate_max = rate_max;
    }

    /// Bytes for all in one interval.
    pub(super) fn total(&self) -> i64 {
        const UNLIMITED: u64 = 10_000_000_000 / 8;
        let rate = self.rate_max.unwrap_or(UNLIMITED);
        i64::try_from(rate / (1000 / BUDGET_INTERVAL.as_millis() as u64)).unwrap_or(i64::MAX)
    }

    /// The budget of a node, full when it is new, and who asks for it may want more than before.
    pub(super) fn of(&mut self, node: NodeId) -> Arc<Budget> {
        let total = self.total();
        let share = self.shares.entry(node).or_insert_with(|| {
            let budget = Arc::<Budget>::default();
            budget.refill(total);
            Share { budget, given: total, quiet_intervals: 0 }
        });
        share.given = total;
        share.budget.clone()
    }

    /// Lets a node's budget take part from now on; until the next refill with an even part, whatever the others have.
    pub(super) fn enter(&mut self, node: NodeId, budget: &Arc<Budget>) {
        let given = self.total() / (self.shares.len() as i64 + 1);
        self.shares.entry(node).or_insert_with(|| {
            budget.top_up(given);
            Share { budget: budget.clone(), given, quiet_intervals: 0 }
        });
    }

    /// Takes the budgets out that nothing was taken from for a while.
    pub(super) fn take_quiet(&mut self) -> impl Iterator<Item = Arc<Budget>> + '_ {
        self.shares.extract_if(.., |_, share| share.is_quiet()).map(|(_, share)| share.budget)
    }

    pub(super) fn retain(&mut self, is_used: impl Fn(&NodeId) -> bool) {
        self.shares.retain(|node, _| is_used(node));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    /// Whether nobody has taken anything for a while.
    pub(super) fn is_quiet(&self) -> bool {
        self.shares.values().all(Share::is_quiet)
    }

    /// Somebody takes again.
    pub(super) fn wake(&mut self) {
        self.shares.values_mut().for_each(|share| share.quiet_intervals = 0);
    }

    /// Gives everybody a share for the next interval, by [`Budget::refill`] or [`Budget::top_up`]: what is there is divided
    /// among those that used theirs up, after those that need less have got what they need.
    pub(super) fn refill(&mut self, give: impl Fn(&Budget, i64)) {
        let want = |(node, share): (&NodeId, &mut Share)| {
            let left = share.budget.left();
            // Who has nothing left wants as much as there is.
            let want = if left <= 0 { i64::MAX } else { share.given.saturating_sub(left) };
            share.quiet_intervals = if want > 0 { 0 } else { share.quiet_intervals.saturating_add(1) };
            (want, *node)
        };
        let mut wants: Vec<(i64, NodeId)> = self.shares.iter_mut().map(want).collect();
        wants.sort_unstable();
        let (mut rest, mut others) = (self.total(), wants.len() as i64);
        let mut parts = Vec::with_capacity(wants.len());
        for (want, node) in wants {
            let fair = rest / others.max(1);
            // Room to grow: twice of what was wanted, and never less than some packets.
            let part = want.saturating_mul(2).max(fair / 8).min(fair);
            parts.push((node, part));
            rest -= part;
            others -= 1;
        }
        // What nobody wanted is there for whoever comes first.
        let spare = if parts.is_empty() { 0 } else { rest / parts.len() as i64 };
        for (node, part) in parts {
            if let Some(share) = self.shares.get_mut(&node) {
                share.given = part + spare;
                give(&share.budget, share.given);
            }
        }
    }
}

/// The interval as a fraction of a second must be whole, or shares would drift.
const _: () = assert!(Duration::from_secs(1).as_millis().is_multiple_of(BUDGET_INTERVAL.as_millis()));

#[cfg(test)]
mod tests {
    use super::*;

    const TOTAL: i64 = 9000;

    /// Budgets of so many nodes, each with what it takes in an interval, after some intervals; and what each of them got.
    fn taken(wants: &[i64]) -> (Budgets, Vec<i64>) {
        let mut budgets = Budgets::new(Some(TOTAL as u64 * 20));
        let mine: Vec<_> = (0..wants.len()).map(|n| budgets.of(NodeId([n as u8; 32]))).collect();
        let mut taken = vec![];
        for _ in 0..10 {
            taken = mine
                .iter()
                .zip(wants)
                .map(|(budget, want)| (0..want / 10).filter(|_| budget.take(10)).count() as i64 * 10)
                .collect();
            budgets.refill(Budget::top_up);
        }
        (budgets, taken)
    }

    #[test]
    fn who_needs_less_than_its_part_gets_it_and_the_others_share_the_rest() {
        assert_eq!(taken(&[90, 50_000, 50_000]).1[0], 90);
        let (_, all) = taken(&[900, 5000, 50_000]);
        assert_eq!(all[0], 900);
        assert!((all[1] - all[2]).abs() <= 10, "{all:?}");
        assert!(all.iter().sum::<i64>() <= TOTAL + 30, "{all:?}");
        // Of what the little one may need beyond what it takes nothing goes to others.
        assert!(all.iter().sum::<i64>() >= TOTAL - 900, "{all:?}");
        assert_eq!(taken(&[50_000]).1, [TOTAL]);
    }

    #[test]
    fn who_takes_nothing_is_quiet_after_a_while_and_is_taken_out() {
        let (mut budgets, _) = taken(&[0, 500]);
        for _ in 0..BUDGET_REST_INTERVALS {
            assert!(!budgets.is_quiet());
            let busy = budgets.of(NodeId([1; 32]));
            budgets.refill(Budget::refill);
            assert!(busy.take(10));
        }
        budgets.refill(Budget::refill);
        assert_eq!((budgets.take_quiet().count(), budgets.shares.len()), (1, 1));
        assert_eq!(budgets.shares.keys().next(), Some(&NodeId([1; 32])));
    }
}
