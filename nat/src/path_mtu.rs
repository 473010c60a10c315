//! How long a packet may be on the path to one peer: packetization layer path MTU discovery for datagrams (RFC 8899), by
//! probes that are as long as the packets in question and are answered.
//!
//! ```text
//! unknown ──packets go──▶ searching ──nothing left to try──▶ settled ──every 10 min, packets go──▶ searching upwards
//!    ▲                        ▲                                 │
//!    └── another path         └── the length itself is lost, while short probes of the path are answered
//! ```
//!
//! Lengths are those of inner packets. Only a path that packets go by is measured, and looked at only when [`crate::Paths`] is
//! looked at anyway: an idle peer costs nothing. Until a search is over nothing is refused for its length; from then on
//! a longer packet is. A path that cannot even carry [`MTU_MIN`] carries packets in halves.

mod search;

use crate::limits::{
    MTU_CONFIRM_INTERVAL, MTU_CONFIRM_SILENT, MTU_PROBE_MARGIN, MTU_PROBE_TIMEOUT_MAX, MTU_PROBES_MAX,
    MTU_RAISE_INTERVAL, MTU_SILENCE,
};
use crate::paths::Traffic;
use crate::remote::Remote;
use search::{Range, Step};
use std::time::{Duration, Instant};

/// The least length that every path is made to carry: the least MTU of IPv6 (RFC 8200 section 5), inside the mesh.
pub const MTU_MIN: u16 = 1280;
/// What is taken for granted of a path that was not measured: 1500 of Ethernet, less the outer IPv6 and UDP headers (48) and
/// our header and tag (32).
pub const MTU_ASSUMED: u16 = 1420;
/// The longest packet of any path: what one UDP datagram over IPv4 can hold (65507), less our header and tag (32).
pub const MTU_MAX: u16 = 65_475;

/// What any path carries in one datagram.
const WHOLE: u16 = wire::datagram::WHOLE_LENGTH_MIN as u16;

/// How long packets to a peer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mtu {
    /// In bytes. TCP is cut to [`Mtu::whole`] in any case.
    pub length: u16,
    /// Whether that is the result of a search, so that longer packets are refused.
    pub is_measured: bool,
    /// Whether the path carries less than that in one datagram: what is longer than [`Mtu::whole`] goes in two.
    pub is_narrow: bool,
}

impl Mtu {
    /// What goes in one datagram, in bytes.
    #[must_use]
    pub fn whole(&self) -> u16 {
        if self.is_narrow { self.length.min(WHOLE) } else { self.length }
    }
}

/// A path as far as lengths go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Its far end.
    pub remote: Remote,
    /// What stands around a packet in the network: IP and UDP headers, ours, the label of a circuit, in bytes.
    pub overhead: u16,
}

/// What is to be known of a path at a look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// The primary path; nothing when there is none, or datagrams have no length by it (streams).
    pub path: Option<Measured>,
    /// What has flowed.
    pub traffic: Traffic,
    /// Round trip of a short probe.
    pub round_trip: Option<Duration>,
    /// Whether a short probe has had no answer either: nothing is concluded then.
    pub is_suspect: bool,
}

/// A probe to be sent, unfragmented, by the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeProbe {
    /// Comes back in the answer.
    pub token: u64,
    /// As long as a packet of so many bytes.
    pub length: u16,
}

/// A length that is being tried.
#[derive(Debug, Clone, Copy)]
struct Trial {
    probe: SizeProbe,
    /// Probes that went out.
    sent: u32,
    /// When the next one goes out, or the length is given up.
    next: Instant,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Unknown,
    Searching {
        range: Range,
        trial: Trial,
        /// What holds until it is over.
        meanwhile: Mtu,
    },
    Settled {
        mtu: Mtu,
        /// When packets of this length were last known to come through.
        confirmed: Instant,
        /// When a longer one is tried.
        raise: Instant,
        /// A confirmation under way.
        trial: Option<Trial>,
    },
}

/// The search for one peer.
#[derive(Debug)]
pub struct PathMtu {
    state: State,
    path: Option<Measured>,
    ceiling: u16,
    traffic: Traffic,
    /// When something was received last, as far as we looked.
    heard: Option<Instant>,
    tokens: u64,
}

impl PathMtu {
    /// Nothing is known. No packet is longer than `ceiling`; tokens count up from `seed`.
    #[must_use]
    pub fn new(ceiling: u16, seed: u64) -> Self {
        let ceiling = ceiling.clamp(MTU_MIN, MTU_MAX);
        let traffic = Traffic::default();
        Self { state: State::Unknown, path: None, ceiling, traffic, heard: None, tokens: seed }
    }

    /// What holds now.
    #[must_use]
    pub fn mtu(&self) -> Mtu {
        match self.state {
            State::Unknown => {
                Mtu { length: MTU_ASSUMED.min(self.ceiling), is_measured: false, is_narrow: false }
            }
            State::Searching { meanwhile, .. } => meanwhile,
            State::Settled { mtu, .. } => mtu,
        }
    }

    /// When [`PathMtu::poll`] is to be called at the latest; whenever the path is looked at otherwise.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Unknown => None,
            State::Searching { trial, .. } => Some(trial.next),
            State::Settled { trial, .. } => trial.map(|trial| trial.next),
        }
    }

    /// What is to be sent now; call it until there is nothing.
    pub fn poll(&mut self, look: &Look, now: Instant) -> Option<SizeProbe> {
        if look.path != self.path {
            // What went by the path before says nothing of this one.
            self.path = look.path;
            self.state = State::Unknown;
        }
        let path = self.path?;
        let (sends, is_silent) = self.note_traffic(look.traffic, now);
        match self.state {
            State::Unknown if sends => self.go_on(Range::new(path.overhead, self.ceiling), self.mtu(), now),
            State::Unknown => return None,
            State::Searching { .. } => {}
            State::Settled { trial: Some(_), .. } => {}
            State::Settled { mtu, raise, .. } if sends && now >= raise => {
                self.go_on(Range::above(mtu, path.overhead, self.ceiling), mtu, now);
            }
            State::Settled { trial: None, .. } if sends => {
                self.confirm(if is_silent { MTU_CONFIRM_SILENT } else { MTU_CONFIRM_INTERVAL }, now);
            }
            State::Settled { trial: None, .. } => return None,
        }
        self.try_on(look, now)
    }

    /// The answer to a probe.
    pub fn handle_answer(&mut self, token: u64, now: Instant) {
        match self.state {
            State::Searching { range, trial, meanwhile } if trial.probe.token == token => {
                self.go_on(range.fits(trial.probe.length), meanwhile, now);
            }
            State::Settled { mtu, raise, trial: Some(trial), .. } if trial.probe.token == token => {
                self.state = State::Settled { mtu, confirmed: now, raise, trial: None };
            }
            State::Unknown | State::Searching { .. } | State::Settled { .. } => {}
        }
    }

    /// The machine itself says that this probe is too long to go out in one piece.
    pub fn handle_refused(&mut self, token: u64, now: Instant) {
        match self.state {
            State::Searching { trial, .. } | State::Settled { trial: Some(trial), .. }
                if trial.probe.token == token =>
            {
                self.give_up(trial.probe.length, now);
            }
            State::Unknown | State::Searching { .. } | State::Settled { .. } => {}
        }
    }

    /// Datagrams of packets were too long to go out in one piece: what is known is looked into at once.
    pub fn handle_too_long(&mut self, now: Instant) {
        self.confirm(MTU_CONFIRM_SILENT, now);
    }

    /// Tries whether packets of the whole length still come through, when that was last known longer ago than this.
    fn confirm(&mut self, interval: Duration, now: Instant) {
        if let State::Settled { mtu, confirmed, raise, trial: None } = self.state
            && !mtu.is_narrow
            && now >= confirmed + interval
        {
            let trial = Some(self.trial(mtu.length, now));
            self.state = State::Settled { mtu, confirmed, raise, trial };
        }
    }

    /// Whether packets went since the look before, and whether nothing comes although they do.
    fn note_traffic(&mut self, traffic: Traffic, now: Instant) -> (bool, bool) {
        let before = std::mem::replace(&mut self.traffic, traffic);
        if traffic.received != before.received || self.heard.is_none() {
            self.heard = Some(now);
        }
        let is_silent = self.heard.is_some_and(|heard| now >= heard + MTU_SILENCE);
        (traffic.sent != before.sent, is_silent)
    }

    /// Sends the next probe of the trial under way when it is time, or gives its length up.
    fn try_on(&mut self, look: &Look, now: Instant) -> Option<SizeProbe> {
        let timeout = look.round_trip.map_or(MTU_PROBE_TIMEOUT_MAX, |usual| usual * 2 + MTU_PROBE_MARGIN);
        loop {
            let (State::Searching { trial, .. } | State::Settled { trial: Some(trial), .. }) =
                &mut self.state
            else {
                return None;
            };
            if now < trial.next {
                return None;
            }
            trial.next = now + timeout.min(MTU_PROBE_TIMEOUT_MAX);
            // Perhaps all is lost, whatever its length.
            if look.is_suspect {
                return None;
            }
            if trial.sent < MTU_PROBES_MAX {
                trial.sent += 1;
                return Some(trial.probe);
            }
            let length = trial.probe.length;
            self.give_up(length, now);
        }
    }

    /// A length does not come through.
    fn give_up(&mut self, length: u16, now: Instant) {
        // What may be too long goes in halves until the search is over: nothing is lost meanwhile.
        let shortest = Mtu { length: MTU_MIN, is_measured: false, is_narrow: true };
        match self.state {
            State::Searching { range, meanwhile, .. } => {
                let is_above = meanwhile.is_measured || range.has_fitting();
                self.go_on(range.too_long(length), if is_above { meanwhile } else { shortest }, now);
            }
            State::Settled { .. } => {
                let Some(path) = self.path else { return };
                let range = Range::new(path.overhead, self.ceiling).too_long(length);
                self.go_on(range, shortest, now);
            }
            State::Unknown => {}
        }
    }

    fn go_on(&mut self, range: Range, meanwhile: Mtu, now: Instant) {
        match range.next() {
            Step::Try(length) => {
                let trial = self.trial(length, now);
                self.state = State::Searching { range, trial, meanwhile };
            }
            Step::Found(length) => {
                let mtu = match length {
                    Some(length) => Mtu { length, is_measured: true, is_narrow: false },
                    None => Mtu { length: MTU_MIN, is_measured: true, is_narrow: true },
                };
                let raise = now + MTU_RAISE_INTERVAL;
                self.state = State::Settled { mtu, confirmed: now, raise, trial: None };
            }
        }
    }

    fn trial(&mut self, length: u16, now: Instant) -> Trial {
        self.tokens = self.tokens.wrapping_add(1);
        Trial { probe: SizeProbe { token: self.tokens, length }, sent: 0, next: now }
    }
}

#[cfg(test)]
mod tests;
