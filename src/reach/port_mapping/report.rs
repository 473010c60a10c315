//! What came of asking, for people.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use super::{Mapping, Network, Protocol};
use crate::reach::limits::WORDS_LENGTH_MAX;

/// What `netcheck` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whom we asked; `None` without an IPv4 default route.
    pub network: Option<Network>,
    /// What each protocol that was tried came to, in the order of trying.
    pub answers: Vec<(Protocol, Answer)>,
    /// What came of it all.
    pub outcome: Outcome,
}

/// What the router said to one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Silent,
    /// No, in these words.
    Refused(String),
    /// A mapping.
    Given,
}

/// Where things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There is no gateway to ask.
    NoGateway,
    /// Answers are awaited.
    Asking,
    /// There is a mapping.
    Mapped(Mapping),
    /// There is none.
    Failed {
        /// When the router is asked again.
        next_try: Instant,
    },
}

impl Answer {
    /// No, in words that are not ours: cut to length, without control characters.
    pub(super) fn refused(words: impl fmt::Display) -> Self {
        let words = words.to_string();
        Self::Refused(words.chars().filter(|c| !c.is_control()).take(WORDS_LENGTH_MAX).collect())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.outcome, &self.network) {
            (Outcome::NoGateway, _) | (_, None) => f.write_str("there is no IPv4 router to ask for a port"),
            (Outcome::Asking, Some(network)) => write!(f, "asking {} for a port", network.gateway),
            (Outcome::Mapped(mapping), Some(network)) => {
                write!(
                    f,
                    "{} maps {} to us by {}",
                    network.gateway,
                    mapping.external,
                    mapping.protocol.as_str()
                )?;
                if mapping.is_behind_another_nat() {
                    f.write_str("; that is no public address: another NAT is in front of the router")?;
                }
                Ok(())
            }
            (Outcome::Failed { .. }, Some(network)) => {
                write!(f, "{} maps no port to us", network.gateway)?;
                for (n, (protocol, answer)) in self.answers.iter().enumerate() {
                    f.write_str(if n == 0 { ": " } else { "; " })?;
                    match answer {
                        Answer::Silent => write!(f, "no answer to {}", protocol.as_str())?,
                        Answer::Refused(words) => write!(f, "{} says: {words}", protocol.as_str())?,
                        Answer::Given => write!(f, "{} gave one that was lost", protocol.as_str())?,
                    }
                }
                Ok(())
            }
        }
    }
}

/// Whether the internet can reach an address (RFC 6890, less the blocks for documentation, which only a lab has).
pub(super) fn is_public(ip: IpAddr) -> bool {
    let IpAddr::V4(ip) = ip.to_canonical() else { return false };
    let [a, b, ..] = ip.octets();
    let shared = a == 100 && b & 0xc0 == 64;
    // 0/8 is "this network", 192.0.0/24 is for protocols, 198.18/15 for benchmarks, 240/4 reserved.
    let special = a == 0 || ip.octets().starts_with(&[192, 0, 0]) || (a == 198 && b & 0xfe == 18) || a >= 240;
    !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || shared || special)
}

/// Whether an address outside can be one at all.
pub(super) fn is_usable(ip: Ipv4Addr) -> bool {
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_broadcast())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcome: Outcome, answers: &[(Protocol, Answer)]) -> String {
        let network = Network { gateway: [192, 168, 1, 1].into(), local: [192, 168, 1, 7].into() };
        Report { network: Some(network), answers: answers.to_vec(), outcome }.to_string()
    }

    #[test]
    fn the_words_say_who_said_what() {
        let next_try = Instant::now();
        let answers =
            [(Protocol::Pcp, Answer::Silent), (Protocol::Upnp, Answer::refused("not\u{1b}[2J authorized"))];
        assert_eq!(
            report(Outcome::Failed { next_try }, &answers),
            "192.168.1.1 maps no port to us: no answer to PCP; UPnP says: not[2J authorized"
        );
        let mapping = |external: &str| {
            let external = external.parse().unwrap();
            Outcome::Mapped(Mapping { external, protocol: Protocol::NatPmp, expires: None })
        };
        assert_eq!(
            report(mapping("203.0.113.9:41"), &[]),
            "192.168.1.1 maps 203.0.113.9:41 to us by NAT-PMP"
        );
        assert!(report(mapping("100.64.0.9:41"), &[]).ends_with("another NAT is in front of the router"));
        assert_eq!(report(Outcome::NoGateway, &[]), "there is no IPv4 router to ask for a port");
    }

    #[test]
    fn a_router_cannot_talk_for_ever() {
        let Answer::Refused(words) = Answer::refused("x".repeat(10_000)) else { panic!("it refused") };
        assert_eq!(words.len(), WORDS_LENGTH_MAX);
    }

    #[test]
    fn addresses_behind_another_nat_are_known() {
        for (ip, public) in [
            ("10.0.0.1", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("100.64.0.1", false),
            ("100.127.255.1", false),
            ("100.128.0.1", true),
            ("169.254.1.1", false),
            ("192.0.0.5", false),
            ("198.18.0.1", false),
            ("0.1.2.3", false),
            ("240.0.0.1", false),
            ("8.8.8.8", true),
            ("203.0.113.9", true),
        ] {
            assert_eq!(is_public(ip.parse().unwrap()), public, "{ip}");
        }
    }
}
