//! What is due for the paths to a peer: looks at what flows, probes, retries, and the end of a path.

use super::{Liveness, Output, Paths, Traffic, WaitReason};
use crate::limits::{
    LOOK_ACTIVE, LOOK_EARLY, LOOK_INTERVAL, PROBE_ACTIVE_INTERVAL, PROBE_ALL_EVERY, PROBE_TRIES,
};
use crate::remote::Remote;
use std::time::Instant;

impl Paths {
    /// When [`Paths::poll_output`] is to be called next, which may be at once, and what for; never, when there is no path.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<(Instant, WaitReason)> {
        if self.suspicion || !self.queue.is_empty() {
            return Some((now, WaitReason::NextProbe));
        }
        let (next, reason) = match self.primary?.liveness {
            Liveness::Alive { next } => (next, WaitReason::NextProbe),
            Liveness::Suspect { next, .. } => (next, WaitReason::ProbeAnswer),
        };
        Some(self.before_challenge_ends(next, reason))
    }

    /// Whether a look that is due soon is done now, and shows that nothing flows.
    fn looks_early(&self, next: Instant, traffic: Traffic, now: Instant) -> bool {
        let is_soon = next.saturating_duration_since(now) <= LOOK_EARLY;
        is_soon && !self.has_flowed && !self.is_flowing && self.traffic == traffic
    }

    /// What is to be done now.
    pub fn poll_output(&mut self, traffic: Traffic, now: Instant) -> Output {
        if std::mem::take(&mut self.suspicion) {
            return Output::Suspect;
        }
        if let Some(remote) = self.queue.pop_front() {
            return self.probe(remote, now);
        }
        if let Some(remote) = self.judge_challenge(now) {
            return Output::Promoted(remote);
        }
        let Some(mut primary) = self.primary else { return Output::Wait(None, WaitReason::NextProbe) };
        match primary.liveness {
            Liveness::Alive { next } if now < next => {
                let is_early = self.looks_early(next, traffic, now);
                let due = primary.last_probe + self.idle_interval;
                let next = if is_early { due.min(now + LOOK_INTERVAL).max(next) } else { next };
                self.wait_for(Liveness::Alive { next }, next, WaitReason::NextProbe)
            }
            Liveness::Alive { .. } => self.look(traffic, now),
            // It was slow, no more: it has the time that it always has.
            Liveness::Suspect { unanswered: 0, is_hurried: true, .. }
                if traffic.received != self.traffic.received =>
            {
                let next = primary.last_probe + primary.timeout();
                primary.liveness = Liveness::Suspect { unanswered: 0, next, is_hurried: false };
                self.primary = Some(primary);
                self.poll_output(traffic, now)
            }
            Liveness::Suspect { next, .. } if now < next => {
                self.wait_for(primary.liveness, next, WaitReason::ProbeAnswer)
            }
            Liveness::Suspect { unanswered, .. } if unanswered >= PROBE_TRIES => {
                self.handle_close();
                Output::Lost
            }
            Liveness::Suspect { unanswered, .. } => {
                self.miss(unanswered, now);
                self.poll_output(traffic, now)
            }
        }
    }

    /// Looks what has flowed since the look before: a path that owes something is probed.
    fn look(&mut self, traffic: Traffic, now: Instant) -> Output {
        let Some(mut primary) = self.primary else { return Output::Wait(None, WaitReason::NextProbe) };
        let before = std::mem::replace(&mut self.traffic, traffic);
        let (receives, sends) = (traffic.received != before.received, traffic.sent != before.sent);
        let flowed = std::mem::replace(&mut self.is_flowing, receives || sends);
        self.has_flowed |= self.is_flowing;
        let is_silent = flowed && sends && !receives;
        let idle_due = primary.last_probe + self.idle_interval;
        // What has stopped to flow may have been stopped.
        let active_due = primary.last_probe + PROBE_ACTIVE_INTERVAL;
        if is_silent || now >= idle_due || (self.has_flowed && now >= active_due) {
            self.has_flowed = false;
            primary.last_probe = now;
            let timeout = if is_silent { primary.silence_timeout() } else { primary.timeout() };
            primary.liveness =
                Liveness::Suspect { unanswered: 0, next: now + timeout, is_hurried: is_silent };
            self.primary = Some(primary);
            return self.probe(primary.remote, now);
        }
        let next = match (self.is_flowing, self.has_flowed) {
            (true, _) => now + LOOK_ACTIVE,
            (false, true) => active_due,
            (false, false) => now + LOOK_INTERVAL,
        };
        let next = next.min(idle_due);
        self.wait_for(Liveness::Alive { next }, next, WaitReason::NextProbe)
    }

    /// The primary path owes an answer: it is asked again, and others are.
    fn miss(&mut self, unanswered: u32, now: Instant) {
        let Some(primary) = &mut self.primary else { return };
        primary.answers.note(false);
        let next = now + primary.silence_timeout() / 2;
        primary.liveness = Liveness::Suspect { unanswered: unanswered + 1, next, is_hurried: false };
        self.suspicion = unanswered == 0;
        let is_direct = primary.remote.is_direct();
        let asks_all = unanswered.is_multiple_of(PROBE_ALL_EVERY);
        // Over hops only other hops are tried: to knock at the peer's NAT unasked is what a punch takes care not to.
        let is_asked = |remote: &Remote| match remote {
            Remote::Udp { .. } => is_direct && (asks_all || self.primary() == Some(*remote)),
            Remote::Stream(_) | Remote::Circuit(_) => true,
        };
        let asked: Vec<Remote> = self.targets().into_iter().filter(is_asked).collect();
        self.queue.extend(asked);
    }

    fn wait_for(&mut self, liveness: Liveness, next: Instant, reason: WaitReason) -> Output {
        if let Some(primary) = &mut self.primary {
            primary.liveness = liveness;
        }
        let (next, reason) = self.before_challenge_ends(next, reason);
        Output::Wait(Some(next), reason)
    }
}
