//! How often a mapping must be used to live: measured on a spare socket, so that the real one is never at stake.
//!
//! ```text
//! OpenSocket ─▶ Prime, twice ─▶ Wait an interval and a margin ─▶ AskDialBack ─▶ arrived?  the interval holds, try the next
//!                                                                             └▶ nothing?  it does not, stay below
//! ```
//!
//! It sends nothing itself. The anchor that is asked must dial back from the address that the spare socket was primed with:
//! of another one a silence would tell nothing.

use crate::limits::{
    KEEPALIVE_FIRST, KEEPALIVE_MARGIN, KEEPALIVES, MEASURE_PAUSE, MEASURE_RETRY, MEASURE_TIMEOUT,
    MEASURE_TRIES, PRIME_GAP,
};
use std::time::{Duration, Instant};

/// What is to be done to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifetimeOutput {
    /// Open the spare socket, on a port of its own.
    OpenSocket,
    /// Send a ping to the anchor from the spare socket; its answer is [`Lifetime::handle_primed`].
    Prime,
    /// Ask the anchor, from the main socket, to send to the address at which it saw the spare one.
    AskDialBack,
    /// Close the spare socket.
    CloseSocket,
    /// Nothing until then.
    Wait(Instant),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No spare socket.
    Resting { until: Instant },
    /// Pings from the spare socket, so many answered.
    Priming { answered: u32, tries: u32, next: Instant },
    /// The spare socket is silent.
    Silent { until: Instant },
    /// The anchor has been asked so often.
    Asking { tries: u32, next: Instant },
    /// The spare socket is to be closed.
    Closing { until: Instant },
}

/// The interval of keepalives, and how it is found.
#[derive(Debug)]
pub struct Lifetime {
    state: State,
    /// Position of the interval in use.
    held: usize,
    /// Whether it was seen to hold.
    is_proved: bool,
    /// Position of the interval that is measured.
    tested: usize,
}

impl Lifetime {
    /// 15 s for now; measures from the beginning.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            state: State::Resting { until: now },
            held: KEEPALIVE_FIRST,
            is_proved: false,
            tested: KEEPALIVE_FIRST + 1,
        }
    }

    /// How often to send something to an anchor.
    #[must_use]
    pub fn interval(&self) -> Duration {
        KEEPALIVES[self.held]
    }

    /// What was measured in this network before; it is verified first.
    pub fn restore(&mut self, interval: Duration) {
        self.held = KEEPALIVES.iter().rposition(|known| *known <= interval).unwrap_or(0);
        self.tested = self.held;
        self.is_proved = false;
    }

    /// We are in another network: all begins anew. The caller restores what it remembers of that one.
    pub fn handle_local_change(&mut self, now: Instant) {
        let state = match self.state {
            State::Resting { .. } => State::Resting { until: now },
            State::Priming { .. } | State::Silent { .. } | State::Asking { .. } | State::Closing { .. } => {
                State::Closing { until: now }
            }
        };
        *self = Self { state, ..Self::new(now) };
    }

    /// The anchor has answered a ping from the spare socket.
    pub fn handle_primed(&mut self, now: Instant) {
        if let State::Priming { answered, .. } = self.state {
            self.state = if answered == 0 {
                State::Priming { answered: 1, tries: 0, next: now + PRIME_GAP }
            } else {
                State::Silent { until: now + silence(self.tested) }
            };
        }
    }

    /// The spare socket was dialled back (`arrived`), or the anchor says that it cannot.
    pub fn handle_dial_back(&mut self, arrived: bool, now: Instant) {
        if let State::Asking { .. } = self.state {
            if arrived {
                self.handle_alive(now);
            } else {
                self.give_up(now);
            }
        }
    }

    /// What is to be done now.
    pub fn poll_output(&mut self, now: Instant) -> LifetimeOutput {
        match self.state {
            State::Resting { until } if now < until => LifetimeOutput::Wait(until),
            State::Resting { .. } => {
                self.state = State::Priming { answered: 0, tries: 0, next: now };
                LifetimeOutput::OpenSocket
            }
            State::Priming { next, .. } if now < next => LifetimeOutput::Wait(next),
            State::Priming { tries: MEASURE_TRIES, .. } => {
                self.give_up(now);
                self.poll_output(now)
            }
            State::Priming { answered, tries, .. } => {
                self.state = State::Priming { answered, tries: tries + 1, next: now + MEASURE_TIMEOUT };
                LifetimeOutput::Prime
            }
            State::Silent { until } if now < until => LifetimeOutput::Wait(until),
            State::Silent { .. } => self.ask(1, now),
            State::Asking { next, .. } if now < next => LifetimeOutput::Wait(next),
            State::Asking { tries: MEASURE_TRIES, .. } => {
                self.handle_dead(now);
                self.poll_output(now)
            }
            State::Asking { tries, .. } => self.ask(tries + 1, now),
            State::Closing { until } => {
                self.state = State::Resting { until };
                LifetimeOutput::CloseSocket
            }
        }
    }

    fn ask(&mut self, tries: u32, now: Instant) -> LifetimeOutput {
        self.state = State::Asking { tries, next: now + MEASURE_TIMEOUT };
        LifetimeOutput::AskDialBack
    }

    /// The interval holds: the next one is measured, on a new socket, since this mapping has just been used.
    fn handle_alive(&mut self, now: Instant) {
        self.held = self.tested;
        self.is_proved = true;
        if self.tested + 1 < KEEPALIVES.len() {
            self.measure(self.tested + 1, now);
        } else {
            self.rest(now);
        }
    }

    /// It does not hold: the one below, which is measured too unless it is known to hold.
    fn handle_dead(&mut self, now: Instant) {
        let below = self.tested.saturating_sub(1);
        if self.is_proved && self.held <= below {
            return self.rest(now);
        }
        self.held = self.held.min(below);
        if self.tested == 0 {
            return self.rest(now);
        }
        self.measure(below, now);
    }

    fn measure(&mut self, position: usize, now: Instant) {
        self.tested = position;
        self.state = State::Closing { until: now };
    }

    /// Nothing was learnt; the same is measured later.
    fn give_up(&mut self, now: Instant) {
        self.state = State::Closing { until: now + MEASURE_RETRY };
    }

    /// All is known. The next time what we use is verified first.
    fn rest(&mut self, now: Instant) {
        self.tested = self.held;
        self.is_proved = false;
        self.state = State::Closing { until: now + MEASURE_PAUSE };
    }
}

fn silence(position: usize) -> Duration {
    KEEPALIVES[position] + KEEPALIVE_MARGIN.min(KEEPALIVES[position] / 4)
}

#[cfg(test)]
mod tests;
