//! Circuits through us: carried for other members of the network, inside their budgets.
//!
//! A circuit has two labels here, one for each direction; each knows the other. A neighbour's budget is for all that it
//! sends through us ([`super::budgets`]).

use super::Node;
use super::budgets::Budgets;
use super::circuit::{Circuit, Wanted};
use crate::forwarding::{Budget, Carried, Forward};
use crate::limits::{BUDGET_INTERVAL, LABELS_MAX, TRANSIT_IDLE_TIME, TRANSITS_PER_NEIGHBOUR_MAX};
use std::sync::Arc;
use std::time::Instant;
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

/// What we are as a hop.
pub(super) struct Hop {
    pub(super) params: HopParams,
    /// Of all neighbours that send through us.
    budgets: Budgets,
    next_refill: Option<Instant>,
    next_look: Instant,
}

impl Hop {
    pub(super) fn new(params: HopParams, now: Instant) -> Self {
        Self { params, budgets: Budgets::new(params.rate_max), next_refill: None, next_look: now }
    }

    /// Whether what others are told of us is different from now on. Circuits that we carry end with their time.
    pub(super) fn set_params(&mut self, params: HopParams) -> bool {
        self.budgets.set_rate(params.rate_max);
        std::mem::replace(&mut self.params, params).enabled != params.enabled
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
        if !self.hop.params.enabled || is_full {
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
        let (budget_on, budget_back) = (self.hop.budgets.of(from), self.hop.budgets.of(next));
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
        if self.hop.next_refill.is_none() {
            self.hop.budgets.refill(Budget::refill);
            self.hop.budgets.wake();
            self.hop.next_refill = Some(now + BUDGET_INTERVAL);
        }
    }

    pub(super) fn run_transit_timers(&mut self, now: Instant) {
        if self.hop.next_refill.is_some_and(|at| now >= at) {
            self.hop.budgets.refill(Budget::refill);
            // A budget that rests is full: the next datagrams find it so.
            self.hop.next_refill = (!self.hop.budgets.is_quiet()).then_some(now + BUDGET_INTERVAL);
        }
        if now < self.hop.next_look {
            return;
        }
        self.hop.next_look = now + TRANSIT_IDLE_TIME / 4;
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
        self.hop.budgets.retain(|neighbour| used.contains(neighbour));
    }

    fn transits(&self) -> impl Iterator<Item = &Transit> {
        self.circuits.iter().filter_map(|(_, circuit)| match circuit {
            Circuit::Transit(transit) => Some(transit),
            Circuit::End(_) => None,
        })
    }

    pub(super) fn transit_deadline(&self) -> Option<Instant> {
        let look = self.transits().next().is_some().then_some(self.hop.next_look);
        look.into_iter().chain(self.hop.next_refill).min()
    }

    /// Circuits through us, each counted once.
    #[must_use]
    pub fn carried_circuits(&self) -> usize {
        self.transits().count() / 2
    }
}
