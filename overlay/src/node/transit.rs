//! Circuits through us: carried for other members of the network, inside their budgets.
//!
//! A circuit has two labels here, one for each direction; each knows the other. A neighbour's budget is for all that it
//! sends through us. Who sends little is never held up by who sends much.

use super::Node;
use super::circuit::{Circuit, Wanted};
use crate::forwarding::{Budget, Carried, Forward};
use crate::limits::{
    BUDGET_INTERVAL, BUDGET_REST_INTERVALS, LABELS_MAX, TRANSIT_IDLE_TIME, TRANSITS_PER_NEIGHBOUR_MAX,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::NodeId;
use wire::control::{CircuitEnd, Message};

/// One direction of a circuit through us.
pub(super) struct Transit {
    /// Who sends with this label.
    pub(super) from: NodeId,
    /// Who gets it.
    pub(super) next: NodeId,
    /// By which that one knows the circuit; nothing until it has said so.
    pub(super) forward: Option<u64>,
    /// The label of the other direction.
    twin: u64,
    /// Where that one stands among peers.
    position: usize,
    /// What the one who sends may still send.
    budget: Arc<Budget>,
    carried: Arc<Carried>,
    seen_bytes: u64,
    last_used: Instant,
}

impl Transit {
    /// What a worker does with what comes by this label.
    pub(super) fn forward(&self) -> Option<Forward> {
        Some(Forward {
            peer: self.position,
            label: self.forward?,
            budget: self.budget.clone(),
            carried: self.carried.clone(),
        })
    }
}

/// What we carry for others.
#[derive(Debug, Clone, Copy)]
pub struct HopParams {
    /// Whether we do.
    pub enabled: bool,
    /// Bytes a second for all together; nothing is no limit.
    pub rate_max: Option<u64>,
}

impl Default for HopParams {
    fn default() -> Self {
        Self { enabled: true, rate_max: None }
    }
}

/// The budgets of all neighbours that send through us.
pub(super) struct Budgets {
    pub(super) params: HopParams,
    by_neighbour: BTreeMap<NodeId, Arc<Budget>>,
    next_refill: Option<Instant>,
    quiet_intervals: u32,
    /// What each was given at the last refill.
    given: BTreeMap<NodeId, i64>,
}

impl Budgets {
    pub(super) fn new(params: HopParams) -> Self {
        Self {
            params,
            by_neighbour: BTreeMap::new(),
            next_refill: None,
            quiet_intervals: 0,
            given: BTreeMap::new(),
        }
    }

    /// Whether what others are told of us is different from now on. Circuits that we carry end with their time.
    pub(super) fn set_params(&mut self, params: HopParams) -> bool {
        std::mem::replace(&mut self.params, params).enabled != params.enabled
    }

    /// Bytes for all in one interval.
    fn total(&self) -> i64 {
        const UNLIMITED: u64 = 10_000_000_000 / 8;
        let rate = self.params.rate_max.unwrap_or(UNLIMITED);
        i64::try_from(rate / (1000 / BUDGET_INTERVAL.as_millis() as u64)).unwrap_or(i64::MAX)
    }

    fn of(&mut self, neighbour: NodeId) -> Arc<Budget> {
        let total = self.total();
        let budget = self.by_neighbour.entry(neighbour).or_default();
        if self.given.insert(neighbour, total).is_none() {
            budget.refill(total);
        }
        budget.clone()
    }

    fn retain(&mut self, is_used: impl Fn(&NodeId) -> bool) {
        self.by_neighbour.retain(|neighbour, _| is_used(neighbour));
        self.given.retain(|neighbour, _| is_used(neighbour));
    }

    /// Gives everybody a share for the next interval: what is there is divided among those that used theirs up, after
    /// those that need less have got what they need.
    fn refill(&mut self) {
        let mut wants: Vec<(i64, NodeId)> = self
            .by_neighbour
            .iter()
            .map(|(neighbour, budget)| {
                let given = self.given.get(neighbour).copied().unwrap_or(0);
                let left = budget.left();
                // Who has nothing left wants as much as there is.
                let want = if left <= 0 { i64::MAX } else { given.saturating_sub(left) };
                (want, *neighbour)
            })
            .collect();
        wants.sort_unstable();
        let was_used = wants.iter().any(|(want, _)| *want > 0);
        self.quiet_intervals = if was_used { 0 } else { self.quiet_intervals + 1 };
        let (mut rest, mut others) = (self.total(), wants.len() as i64);
        let mut shares = Vec::with_capacity(wants.len());
        for (want, neighbour) in wants {
            let fair = rest / others.max(1);
            // Room to grow: twice of what was wanted, and never less than some packets.
            let share = want.saturating_mul(2).max(fair / 8).min(fair);
            shares.push((neighbour, share));
            rest -= share;
            others -= 1;
        }
        // What nobody wanted is there for whoever comes first.
        let spare = if shares.is_empty() { 0 } else { rest / shares.len() as i64 };
        for (neighbour, share) in shares {
            let bytes = share + spare;
            self.given.insert(neighbour, bytes);
            if let Some(budget) = self.by_neighbour.get(&neighbour) {
                budget.refill(bytes);
            }
        }
    }
}

impl Node {
    /// Passes on what a neighbour asks for, when we may and can.
    pub(super) fn extend_circuit(
        &mut self,
        (from, back): (NodeId, u64),
        (next, others): (NodeId, &[NodeId]),
        wanted: &Wanted,
        now: Instant,
    ) -> Result<(), CircuitEnd> {
        let of_neighbour = |(_, circuit): &(u64, &Circuit)| matches!(circuit, Circuit::Transit(transit) if transit.from == from);
        let is_full = self.circuits.iter().filter(of_neighbour).count() >= TRANSITS_PER_NEIGHBOUR_MAX;
        if !self.budgets.params.enabled || is_full {
            return Err(CircuitEnd::Refused);
        }
        if self.straight_remote(&next).is_none() {
            return Err(CircuitEnd::Unreachable);
        }
        let (first, second) = (self.random.u64(), self.random.u64());
        let position = |node: &NodeId| self.peers.get(node).map(|peer| peer.position);
        let (Some(position_back), Some(position_on)) = (position(&from), position(&next)) else {
            return Err(CircuitEnd::Unreachable);
        };
        let (budget_on, budget_back) = (self.budgets.of(from), self.budgets.of(next));
        let transit = |(from, budget), (next, position), forward, twin| {
            let (carried, seen_bytes, last_used) = (Arc::default(), 0, now);
            Circuit::Transit(Transit {
                from,
                next,
                forward,
                twin,
                position,
                budget,
                carried,
                seen_bytes,
                last_used,
            })
        };
        let there =
            self.circuits.insert(transit((from, budget_on), (next, position_on), None, 0), first, LABELS_MAX);
        let there = there.ok_or(CircuitEnd::Refused)?;
        let twin = transit((next, budget_back), (from, position_back), Some(back), there);
        let Some(here) = self.circuits.insert(twin, second, LABELS_MAX) else {
            self.circuits.remove(there);
            return Err(CircuitEnd::Refused);
        };
        if let Some(Circuit::Transit(transit)) = self.circuits.get_mut(there) {
            transit.twin = here;
        }
        self.tables_are_old = true;
        let passed = wanted.passed.iter().copied().chain([self.identity.node()]).collect();
        let (route, origin) = (others.to_vec(), wanted.origin);
        self.send(&next, &Message::CircuitOpen { label: here, route, origin, passed }, None);
        Ok(())
    }

    /// The next node has said by which label it knows the circuit, so the one before us gets to know ours.
    pub(super) fn transit_opened(&mut self, here: u64, forward: u64) {
        let Some(Circuit::Transit(Transit { next: before, forward: Some(back), twin, .. })) =
            self.circuits.get(here)
        else {
            return;
        };
        let (before, back, there) = (*before, *back, *twin);
        if let Some(Circuit::Transit(transit)) = self.circuits.get_mut(there) {
            transit.forward = Some(forward);
        }
        // The workers know the label before anything can come by it.
        self.publish_tables();
        self.send(&before, &Message::CircuitOpened { label: back, forward: there }, None);
    }

    /// One side of a circuit is over: so is the other.
    pub(super) fn transit_is_gone(&mut self, transit: &Transit, reason: CircuitEnd) {
        self.circuits.remove(transit.twin);
        self.tables_are_old = true;
        if let Some(label) = transit.forward {
            self.send(&transit.next, &Message::CircuitClosed { label, reason }, None);
        }
    }

    /// A worker carries again, or found a budget used up.
    pub(super) fn consume_carrying(&mut self, now: Instant) {
        if self.budgets.next_refill.is_none() {
            self.budgets.refill();
            self.budgets.quiet_intervals = 0;
            self.budgets.next_refill = Some(now + BUDGET_INTERVAL);
        }
    }

    pub(super) fn run_transit_timers(&mut self, now: Instant) {
        if self.budgets.next_refill.is_some_and(|at| now >= at) {
            self.budgets.refill();
            // A budget that rests is full: the next datagrams find it so.
            let rests = self.budgets.quiet_intervals >= BUDGET_REST_INTERVALS;
            self.budgets.next_refill = (!rests).then_some(now + BUDGET_INTERVAL);
        }
        if now < self.next_transit_look {
            return;
        }
        self.next_transit_look = now + TRANSIT_IDLE_TIME / 4;
        self.close_idle_transits(now);
    }

    fn close_idle_transits(&mut self, now: Instant) {
        let labels: Vec<u64> = self.circuits.iter().map(|(label, _)| label).collect();
        let mut idle = vec![];
        for label in labels {
            let Some(Circuit::Transit(transit)) = self.circuits.get_mut(label) else { continue };
            let bytes = transit.carried.bytes();
            if bytes != transit.seen_bytes {
                (transit.seen_bytes, transit.last_used) = (bytes, now);
            }
            let (twin, last_used) = (transit.twin, transit.last_used);
            let other = match self.circuits.get(twin) {
                Some(Circuit::Transit(other)) => other.last_used,
                Some(Circuit::End(_)) | None => last_used,
            };
            if now >= last_used.max(other) + TRANSIT_IDLE_TIME {
                idle.push(label);
            }
        }
        for label in idle {
            if let Some(Circuit::Transit(transit)) = self.circuits.remove(label) {
                let back = match self.circuits.get(transit.twin) {
                    Some(Circuit::Transit(twin)) => twin.forward,
                    Some(Circuit::End(_)) | None => None,
                };
                if let Some(label) = back {
                    let reason = CircuitEnd::Done;
                    self.send(&transit.from, &Message::CircuitClosed { label, reason }, None);
                }
                self.transit_is_gone(&transit, CircuitEnd::Done);
            }
        }
        let used: std::collections::BTreeSet<NodeId> = self.transits().map(|transit| transit.from).collect();
        self.budgets.retain(|neighbour| used.contains(neighbour));
    }

    fn transits(&self) -> impl Iterator<Item = &Transit> {
        self.circuits.iter().filter_map(|(_, circuit)| match circuit {
            Circuit::Transit(transit) => Some(transit),
            Circuit::End(_) => None,
        })
    }

    pub(super) fn transit_deadline(&self) -> Option<Instant> {
        let look = self.transits().next().is_some().then_some(self.next_transit_look);
        look.into_iter().chain(self.budgets.next_refill).min()
    }

    /// Circuits through us, each counted once.
    #[must_use]
    pub fn carried_circuits(&self) -> usize {
        self.transits().count() / 2
    }
}

/// The interval as a fraction of a second must be whole, or shares would drift.
const _: () = assert!(Duration::from_secs(1).as_millis().is_multiple_of(BUDGET_INTERVAL.as_millis()));
