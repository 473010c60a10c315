//! What the users of this exit share: its rate, each direction for itself, counted in bytes of packets.
//!
//! ```text
//! rests   a small budget that workers know and nobody refills ──a worker finds it used up──▶ shares
//! shares  takes part in the refills (`budgets`)               ──nothing taken for a second──▶ rests
//! ```
//!
//! So nothing is woken for an exit that nobody uses, and who rests takes nothing of the others' parts. The directions do not
//! wake each other: a worker tells of what is sent with a packet that goes on, and of what comes back by giving the packet to the
//! Node as it does without a session. Without a rate, or while we are no exit, there are no budgets.

use super::Node;
use super::budgets::Budgets;
use crate::forwarding::{Budget, ExitShare};
use crate::limits::{BUDGET_INTERVAL, EXIT_REST_PART};
use crate::tables::Routes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use wire::NodeId;

/// What we forward for others, as an exit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExitParams {
    /// Bytes a second for all together, each direction for itself; nothing is no limit.
    pub rate_max: Option<u64>,
}

/// The budgets of all that may use us as an exit.
pub(super) struct ExitBudgets {
    params: ExitParams,
    users: BTreeMap<NodeId, ExitShare>,
    sent: Budgets,
    got: Budgets,
    next_refill: Option<Instant>,
}

impl ExitBudgets {
    pub(super) fn new(params: ExitParams) -> Self {
        let [sent, got] = [(); 2].map(|()| Budgets::new(params.rate_max));
        Self { params, users: BTreeMap::new(), sent, got, next_refill: None }
    }

    /// Whether the workers are to get other budgets. Those of another rate are all made anew.
    pub(super) fn set_params(&mut self, params: ExitParams) -> bool {
        let is_other = params != self.params;
        if is_other {
            *self = Self::new(params);
        }
        is_other
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next_refill
    }

    /// The share of a node; it rests when it is new.
    fn of(&mut self, node: NodeId) -> ExitShare {
        let bytes = self.at_rest();
        let new = || {
            let share = ExitShare::default();
            share.sent.refill(bytes);
            share.got.refill(bytes);
            share
        };
        self.users.entry(node).or_insert_with(new).clone()
    }

    fn retain(&mut self, is_user: impl Fn(&NodeId) -> bool) {
        self.users.retain(|node, _| is_user(node));
        self.sent.retain(&is_user);
        self.got.retain(&is_user);
    }

    /// Lets those of a node's budgets share that are used up.
    fn wake(&mut self, node: NodeId, now: Instant) {
        let Some(user) = self.users.get(&node) else { return };
        for (budgets, budget) in [(&mut self.sent, &user.sent), (&mut self.got, &user.got)] {
            if budget.left() <= 0 {
                budgets.enter(node, budget);
                self.next_refill.get_or_insert(now + BUDGET_INTERVAL);
            }
        }
    }

    fn refill(&mut self, now: Instant) {
        let bytes = self.at_rest();
        for budgets in [&mut self.sent, &mut self.got] {
            budgets.refill(Budget::top_up);
            budgets.take_quiet().for_each(|budget: Arc<Budget>| budget.refill(bytes));
        }
        let is_used = !(self.sent.is_empty() && self.got.is_empty());
        self.next_refill = is_used.then_some(now + BUDGET_INTERVAL);
    }

    /// Bytes of a budget that rests.
    fn at_rest(&self) -> i64 {
        self.sent.total() / EXIT_REST_PART
    }
}

impl Node {
    /// Enters everybody's share into the routes for the workers, when we are an exit with a rate.
    pub(super) fn share_exit(&mut self, routes: &mut Routes) {
        let is_exit = routes.is_exit.v4 || routes.is_exit.v6;
        let is_shared = is_exit && self.exit_budgets.params.rate_max.is_some();
        self.exit_budgets.retain(|node| is_shared && self.peers.contains_key(node));
        if is_shared {
            let share = |node: &Option<NodeId>| node.map(|node| self.exit_budgets.of(node));
            routes.shares = self.positions.iter().map(share).collect();
        }
    }

    /// A worker found a budget of the peer at a position used up, or could not send to it for another reason.
    pub(super) fn consume_exiting(&mut self, position: usize, now: Instant) {
        if let Some(node) = self.positions.get(position).copied().flatten() {
            self.exit_budgets.wake(node, now);
        }
    }

    pub(super) fn run_exit_timer(&mut self, now: Instant) {
        if self.exit_budgets.next_refill.is_some_and(|at| now >= at) {
            self.exit_budgets.refill(now);
        }
    }

    /// Looks whose budget is used up without a word: a worker tells once, and the channel may have been full.
    pub(super) fn look_for_used_up(&mut self, now: Instant) {
        let users: Vec<NodeId> = self.exit_budgets.users.keys().copied().collect();
        users.into_iter().for_each(|node| self.exit_budgets.wake(node, now));
    }
}
