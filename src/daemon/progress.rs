//! What a node that comes up is waiting for, step by step, for whoever is waiting too.
//!
//! Steps only tell: nothing depends on them. Each is told once, so what is printed stays short however often
//! something is tried.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Without a new step, people are told this often that there still is none.
const STILL_WAITING_INTERVAL: Duration = Duration::from_secs(5);

/// One step; as text, a line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A network is created.
    Creating {
        /// Its name.
        network: String,
    },
    /// This machine is a member: it looks for the nodes that it knows.
    LookingForPeers {
        /// How many of them it has met before.
        known: usize,
    },
    /// A node is asked at this address.
    Asking {
        /// The address.
        remote: SocketAddr,
    },
    /// Beacons are sent and listened for on the local network.
    LookingOnLan,
    /// The issuer of an invite is looked for in the DHT.
    AskingDht,
    /// Somebody who may answer has.
    Answered {
        /// From this address.
        remote: SocketAddr,
    },
    /// There is no answer yet.
    StillWaiting {
        /// Since the beginning.
        waited: Duration,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Creating { network } => write!(f, "creating the network {network}"),
            Self::LookingForPeers { known: 1 } => f.write_str("looking for the one node met before …"),
            Self::LookingForPeers { known } => write!(f, "looking for {known} nodes met before …"),
            Self::Asking { remote } => write!(f, "asking {remote} …"),
            Self::LookingOnLan => f.write_str("looking on the LAN …"),
            Self::AskingDht => f.write_str("asking the DHT for the one who invited you …"),
            Self::Answered { remote } => write!(f, "answered by {remote}"),
            Self::StillWaiting { waited } => write!(f, "no answer after {} s …", waited.as_secs()),
        }
    }
}

/// The steps of one wait for somebody's answer; tells each once.
pub(super) struct Steps<'a> {
    tell: &'a mut dyn FnMut(&Progress),
    asked: BTreeSet<SocketAddr>,
    has_answer: bool,
    on_lan: bool,
    in_dht: bool,
    started: Instant,
    next: Instant,
}

impl<'a> Steps<'a> {
    pub(super) fn new(tell: &'a mut dyn FnMut(&Progress), now: Instant) -> Self {
        let next = now + STILL_WAITING_INTERVAL;
        Self {
            tell,
            asked: BTreeSet::new(),
            has_answer: false,
            on_lan: false,
            in_dht: false,
            started: now,
            next,
        }
    }

    /// Somebody is asked at this address, perhaps again. Addresses are few: an invite's, and who has answered.
    pub(super) fn asking(&mut self, remote: SocketAddr) {
        if self.asked.insert(remote) {
            (self.tell)(&Progress::Asking { remote });
        }
    }

    /// The group of the LAN is asked, perhaps again.
    pub(super) fn looking_on_lan(&mut self) {
        if !std::mem::replace(&mut self.on_lan, true) {
            (self.tell)(&Progress::LookingOnLan);
        }
    }

    /// The DHT is asked, perhaps again.
    pub(super) fn asking_dht(&mut self) {
        if !std::mem::replace(&mut self.in_dht, true) {
            (self.tell)(&Progress::AskingDht);
        }
    }

    /// Somebody has answered from this address, perhaps again.
    pub(super) fn answered(&mut self, remote: SocketAddr) {
        if !std::mem::replace(&mut self.has_answer, true) {
            self.asked.insert(remote);
            (self.tell)(&Progress::Answered { remote });
        }
    }

    /// Nothing has come so far.
    pub(super) fn waiting(&mut self, now: Instant) {
        if now >= self.next && !self.has_answer {
            self.next = now + STILL_WAITING_INTERVAL;
            (self.tell)(&Progress::StillWaiting { waited: now.saturating_duration_since(self.started) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::clock;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_step_is_told_once() {
        let (a, b) = (address("192.0.2.1:7"), address("192.0.2.2:7"));
        let mut told = vec![];
        let mut tell = |step: &Progress| told.push(step.to_string());
        let start = clock::now();
        let mut steps = Steps::new(&mut tell, start);
        for s in 0..=11 {
            steps.asking(a);
            steps.asking(b);
            steps.waiting(start + Duration::from_secs(s));
        }
        for s in 12..=40 {
            steps.answered(b);
            steps.asking(b);
            steps.waiting(start + Duration::from_secs(s));
        }
        assert_eq!(
            told,
            [
                "asking 192.0.2.1:7 …",
                "asking 192.0.2.2:7 …",
                "no answer after 5 s …",
                "no answer after 10 s …",
                "answered by 192.0.2.2:7",
            ]
        );
    }

    #[test]
    fn every_step_has_its_line() {
        for (step, line) in [
            (Progress::Creating { network: "home".to_owned() }, "creating the network home"),
            (Progress::LookingForPeers { known: 1 }, "looking for the one node met before …"),
            (Progress::LookingForPeers { known: 2 }, "looking for 2 nodes met before …"),
            (Progress::LookingOnLan, "looking on the LAN …"),
            (Progress::AskingDht, "asking the DHT for the one who invited you …"),
        ] {
            assert_eq!(step.to_string(), line);
        }
    }
}
