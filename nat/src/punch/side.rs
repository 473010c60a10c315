//! What one side of a punch tells the other: the profile of its NAT and where it may be reached.

use crate::limits::{PORT_MIN, TARGETS_MAX};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use wire::{Candidate, NatProfile, Ports};

/// One side of a punch, as it tells of itself in a call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Side {
    /// How its NAT behaves.
    pub profile: NatProfile,
    /// Where it may be reached.
    pub candidates: Vec<Candidate>,
    /// Its address as seen from outside, with the port seen last; without it, the first public candidate counts.
    pub public: Option<Candidate>,
    /// The port that its NAT gave last, where they come one after the other.
    pub predicted: Option<u16>,
}

impl Side {
    /// The address that hard strategies go to: what is seen from outside, else the first public IPv4 candidate, else
    /// the first.
    #[must_use]
    pub fn aim(&self) -> Option<SocketAddr> {
        let public = self.candidates.iter().find(|c| scope(c) == Scope::PublicV4);
        self.public.or(public.copied()).or(self.candidates.first().copied()).map(|c| c.socket_address())
    }

    /// The ports that its NAT may give, for a birthday in blocks.
    pub(crate) fn block(&self) -> RangeInclusive<u16> {
        match self.profile.ports {
            Ports::Block { first, last } if first <= last => first.max(1)..=last.max(1),
            Ports::Block { .. }
            | Ports::Unknown
            | Ports::Preserved
            | Ports::Fixed
            | Ports::Sequential { .. }
            | Ports::Random => PORT_MIN..=u16::MAX,
        }
    }

    /// From one port to the next, and the port given last, of a sequential NAT.
    pub(crate) fn sequence(&self) -> (i16, u16) {
        let step = match self.profile.ports {
            Ports::Sequential { step } if step != 0 => step,
            Ports::Sequential { .. }
            | Ports::Unknown
            | Ports::Preserved
            | Ports::Fixed
            | Ports::Block { .. }
            | Ports::Random => 1,
        };
        let last = self.predicted.or(self.aim().map(|aim| aim.port()));
        (step, last.unwrap_or(PORT_MIN))
    }

    fn has_ipv6(&self) -> bool {
        self.candidates.iter().any(|candidate| scope(candidate) == Scope::PublicV6)
    }
}

/// Whether both are behind the same NAT: they are seen under the same address.
#[must_use]
pub fn same_nat(ours: &Side, theirs: &Side) -> bool {
    let public = |side: &Side| side.public.map(|public| public.socket_address().ip());
    public(ours).is_some() && public(ours) == public(theirs)
}

/// Whether there is a way that does not depend on the NATs: the LAN behind both, or IPv6.
pub(crate) fn has_near_way(ours: &Side, theirs: &Side) -> bool {
    same_nat(ours, theirs) || (ours.has_ipv6() && theirs.has_ipv6())
}

/// The peer's candidates, each once, best first: IPv6, and behind the same NAT the LAN before it; bounded.
pub(crate) fn targets(ours: &Side, theirs: &Side) -> Vec<SocketAddr> {
    let same = same_nat(ours, theirs);
    let rank = |candidate: &Candidate| match scope(candidate) {
        Scope::Private if same => 0,
        Scope::PublicV6 => 1,
        Scope::PublicV4 => 2,
        Scope::Private => 3,
    };
    let mut candidates: Vec<Candidate> = Vec::new();
    for candidate in theirs.public.iter().chain(&theirs.candidates) {
        if !candidates.contains(candidate) {
            candidates.push(*candidate);
        }
    }
    candidates.sort_by_key(rank);
    candidates.iter().take(TARGETS_MAX).map(Candidate::socket_address).collect()
}

/// Of these, those that a hard strategy leaves to plain probes: other addresses than the one it goes to.
pub(crate) fn targets_beside(ours: &Side, theirs: &Side) -> Vec<SocketAddr> {
    let aim = theirs.aim().map(|aim| aim.ip());
    targets(ours, theirs).into_iter().filter(|target| Some(target.ip()) != aim).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Private,
    PublicV4,
    PublicV6,
}

fn scope(candidate: &Candidate) -> Scope {
    match candidate.socket_address().ip() {
        IpAddr::V4(ip) if ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared(ip) => {
            Scope::Private
        }
        IpAddr::V4(_) => Scope::PublicV4,
        IpAddr::V6(ip) if ip.is_unique_local() || ip.is_loopback() => Scope::Private,
        IpAddr::V6(_) => Scope::PublicV6,
    }
}

/// Whether providers use it behind their NATs (RFC 6598).
fn is_shared(ip: Ipv4Addr) -> bool {
    ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(text: &str) -> Candidate {
        Candidate::new(text.parse().unwrap()).unwrap()
    }

    fn side(public: &str, candidates: &[&str]) -> Side {
        Side {
            candidates: candidates.iter().map(|text| candidate(text)).collect(),
            public: Some(candidate(public)),
            ..Side::default()
        }
    }

    fn order(ours: &Side, theirs: &Side) -> Vec<String> {
        targets(ours, theirs).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn behind_the_same_nat_the_lan_comes_first_and_the_hairpin_last() {
        let ours = side("203.0.113.1:1", &["192.168.1.2:7"]);
        let theirs = side("203.0.113.1:2", &["[2001:db8::2]:7", "203.0.113.1:2", "192.168.1.3:7"]);
        assert!(same_nat(&ours, &theirs));
        assert_eq!(order(&ours, &theirs), ["192.168.1.3:7", "[2001:db8::2]:7", "203.0.113.1:2"]);
    }

    #[test]
    fn behind_different_nats_ipv6_comes_first_and_the_lan_last() {
        let ours = side("203.0.113.9:1", &["192.168.1.2:7"]);
        let theirs = side("203.0.113.1:2", &["100.64.0.1:7", "[2001:db8::2]:7", "[fd00::1]:7"]);
        assert!(!same_nat(&ours, &theirs));
        assert_eq!(
            order(&ours, &theirs),
            ["[2001:db8::2]:7", "203.0.113.1:2", "100.64.0.1:7", "[fd00::1]:7"]
        );
        assert_eq!(targets_beside(&ours, &theirs).len(), 3);
        assert!(!has_near_way(&ours, &theirs), "only the peer has IPv6");
    }

    #[test]
    fn targets_are_bounded() {
        let many: Vec<String> = (1..100).map(|host| format!("198.51.100.{host}:7")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(targets(&Side::default(), &side("203.0.113.1:2", &many)).len(), TARGETS_MAX);
    }

    #[test]
    fn the_aim_is_what_is_seen_from_outside() {
        let mut theirs = side("10.0.0.1:5", &["192.168.1.2:7", "198.51.100.1:7"]);
        assert_eq!(theirs.aim(), Some("10.0.0.1:5".parse().unwrap()));
        theirs.public = None;
        assert_eq!(theirs.aim(), Some("198.51.100.1:7".parse().unwrap()));
    }
}
