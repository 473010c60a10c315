//! What happens because time has passed: questions again, searches, samples, mixing.

use super::active::Doubt;
use super::attempts::{Due, Purpose};
use super::pace::Mix;
use super::{ViewOutput, Views};
use crate::limits::{ACTIVE_ENOUGH, ACTIVE_MAX};
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
        if !self.active.is_empty() {
            self.mix(now);
        }
    }

    fn mix(&mut self, now: Instant) {
        match self.mixing.due(&mut self.random, now) {
            Some(Mix::Recall) => self.outputs.push_back(ViewOutput::Recall),
            Some(Mix::Passive) => {
                if let Some(node) = self.candidate() {
                    self.attempt(node, Purpose::Mix, now);
                }
            }
            None => {}
        }
    }

    /// As many attempts as there is room for.
    fn promote(&mut self, now: Instant) {
        for _ in 0..ACTIVE_MAX {
            if self.wants_more()
                && let Some(node) = self.candidate()
            {
                self.attempt(node, Purpose::Promotion, now);
            }
        }
        if self.is_wanting() {
            // Whether somebody is back, or we are, is tried with ever longer pauses.
            self.search.slow_down(false, &mut self.random, now);
            self.outputs.push_back(ViewOutput::Recall);
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

    /// There are few neighbours, and nobody else is known or being asked.
    pub(super) fn is_wanting(&self) -> bool {
        self.active.len() < ACTIVE_ENOUGH && self.attempts.is_empty() && self.passive.len() == 0
    }

    fn deadline(&self) -> Instant {
        let has_candidate = self.passive.iter().any(|entry| !self.attempts.contains(&entry.node));
        let search = self.wants_more() && (has_candidate || self.is_wanting());
        let search = search.then(|| self.search.next());
        let mix = (!self.active.is_empty()).then(|| self.mixing.next());
        let others = [self.attempts.deadline(), self.active.deadline(), search, mix];
        others.into_iter().flatten().fold(self.shuffles.next, Instant::min)
    }
}
