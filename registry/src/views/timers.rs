//! What happens because time has passed: questions again, searches, samples, mixing.

use super::active::Doubt;
use super::attempts::{Due, Purpose};
use super::{ViewOutput, Views};
use crate::limits::{ACTIVE_MAX, MIX_INTERVAL};
use std::time::Instant;
use wire::{NodeId, ViewMessage};

impl Views {
    /// What is to be done next. [`ViewOutput::Wait`] comes only when there is nothing else.
    pub fn poll_output(&mut self, now: Instant) -> ViewOutput {
        if self.outputs.is_empty() {
            self.run_timers(now);
        }
        self.outputs.pop_front().unwrap_or_else(|| ViewOutput::Wait(self.deadline()))
    }

    fn run_timers(&mut self, now: Instant) {
        for due in self.attempts.due(now) {
            match due {
                Due::Ask(node, question) => self.send(node, question),
                Due::GiveUp(node) => self.handle_unreachable(&node, now),
            }
        }
        for doubt in self.active.doubts(now) {
            match doubt {
                Doubt::Ask(node) => self.send(node, ViewMessage::Neighbour { is_high_priority: false }),
                Doubt::GiveUp(node) => self.handle_unreachable(&node, now),
            }
        }
        if self.search.next() <= now {
            self.promote(now);
        }
        if self.shuffles.next <= now {
            self.shuffle(now);
        }
        if self.mix_next <= now {
            self.mix_next = now + self.random.jitter(MIX_INTERVAL);
            if !self.active.is_empty()
                && let Some(node) = self.candidate()
            {
                self.attempt(node, Purpose::Mix, now);
            }
        }
    }

    /// As many attempts as there is room for.
    fn promote(&mut self, now: Instant) {
        while self.wants_more() {
            let Some(node) = self.candidate() else { break };
            self.attempt(node, Purpose::Promotion, now);
        }
        if self.is_alone() && !self.lost.is_empty() {
            // Whether they are back, or we are, is tried with ever longer pauses.
            self.search.slow_down(false, &mut self.random, now);
            for entry in std::mem::take(&mut self.lost) {
                self.passive.insert(entry, &[], &mut self.random);
            }
        }
    }

    fn candidate(&mut self) -> Option<NodeId> {
        let attempts = &self.attempts;
        self.passive.candidate(|node| attempts.contains(node), &mut self.random)
    }

    fn wants_more(&self) -> bool {
        self.active.len() + self.attempts.promotions() < ACTIVE_MAX && self.attempts.has_room()
    }

    /// Nobody is known, and nobody is being asked.
    pub(super) fn is_alone(&self) -> bool {
        self.active.is_empty() && self.attempts.is_empty() && self.passive.len() == 0
    }

    fn deadline(&self) -> Instant {
        let has_candidate = self.passive.iter().any(|entry| !self.attempts.contains(&entry.node));
        let search = (self.wants_more() && has_candidate) || (self.is_alone() && !self.lost.is_empty());
        let search = search.then(|| self.search.next());
        let others = [self.attempts.deadline(), self.active.deadline(), search];
        others.into_iter().flatten().fold(self.shuffles.next.min(self.mix_next), Instant::min)
    }
}
