//! The door: how many initiations are answered, and to whom first a cookie is sent.
//!
//! Who stands here knows the network secret already (the gate, `wire::gate`). The door holds against members that
//! misbehave and against replayed initiations: cookies before work when there is much of it, a budget per
//! address range, and never a reply longer than half the request to an address that is not proved.

use crate::limits::{
    COOKIE_LIFE, COUNTED_PREFIXES_MAX, EARLIER_INITIATIONS_MAX, EARLIER_WITHOUT_COOKIE, INITIATIONS_MAX,
    INITIATIONS_PER_PREFIX, INITIATIONS_WITHOUT_COOKIE,
};
use crate::random::Random;
use nat::Remote;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use wire::datagram::Gate;
use wire::gate::{self, Cookie};

/// What happens to an initiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is looked at.
    Admit,
    /// Its sender must first show that it receives at its address.
    AskForCookie(Cookie),
    /// It is dropped.
    Refuse,
}

/// What matters of an initiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Knock {
    /// Our reply would exceed half of it.
    pub(crate) reply_is_long: bool,
    /// It is under an earlier network secret: from a member that was away, or from who was revoked.
    pub(crate) is_earlier: bool,
}

pub(crate) struct Door {
    secrets: [[u8; 32]; 2],
    changed: Instant,
    second: Instant,
    seen: u32,
    seen_earlier: u32,
    prefixes: BTreeMap<IpAddr, u32>,
}

impl Door {
    pub(crate) fn new(random: &mut Random, now: Instant) -> Self {
        Self {
            secrets: [random.bytes(), random.bytes()],
            changed: now,
            second: now,
            seen: 0,
            seen_earlier: 0,
            prefixes: BTreeMap::new(),
        }
    }

    /// Judges an initiation that has passed the gate.
    pub(crate) fn admit(
        &mut self,
        gate: &Gate<'_>,
        remote: Remote,
        knock: Knock,
        random: &mut Random,
        now: Instant,
    ) -> Admission {
        self.turn(random, now);
        let remote = address_of(remote);
        let (seen, without_cookie, most) = match knock.is_earlier {
            false => (&mut self.seen, INITIATIONS_WITHOUT_COOKIE, INITIATIONS_MAX),
            true => (&mut self.seen_earlier, EARLIER_WITHOUT_COOKIE, EARLIER_INITIATIONS_MAX),
        };
        *seen = seen.saturating_add(1);
        let (is_busy, is_full) = (*seen > without_cookie, *seen > most);
        let proved = self.secrets.iter().any(|secret| gate.shows(&cookie(secret, remote)));
        if knock.is_earlier && is_full {
            // Who was revoked can make as many as it likes, and is not worth a reply to each.
            return Admission::Refuse;
        }
        if !proved && (knock.reply_is_long || is_busy) {
            return Admission::AskForCookie(cookie(&self.secrets[0], remote));
        }
        if is_full || (proved && !self.count(remote.ip())) {
            return Admission::Refuse;
        }
        Admission::Admit
    }

    fn turn(&mut self, random: &mut Random, now: Instant) {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.seen = 0;
            self.seen_earlier = 0;
            self.prefixes.clear();
        }
        if now.saturating_duration_since(self.changed) >= COOKIE_LIFE {
            self.changed = now;
            self.secrets = [random.bytes(), self.secrets[0]];
        }
    }

    fn count(&mut self, ip: IpAddr) -> bool {
        let prefix = match ip {
            IpAddr::V4(_) => ip,
            IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        };
        if self.prefixes.len() >= COUNTED_PREFIXES_MAX && !self.prefixes.contains_key(&prefix) {
            return false;
        }
        let count = self.prefixes.entry(prefix).or_default();
        *count += 1;
        *count <= INITIATIONS_PER_PREFIX
    }
}

/// What stands for a remote in cookies and budgets. Circuits and streams count by their own numbers.
fn address_of(remote: Remote) -> SocketAddr {
    let number = match remote {
        Remote::Udp { address, .. } => return address,
        Remote::Stream(number) => u64::from(number),
        Remote::Circuit(label) => label,
    };
    SocketAddr::new(IpAddr::V6((u128::from(number) << 64).into()), 0)
}

fn cookie(secret: &[u8; 32], remote: SocketAddr) -> Cookie {
    let ip = match remote.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    gate::mac(secret, &[&ip.octets(), &remote.port().to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::datagram::{Datagram, write_initiation};
    use wire::gate::GateKeys;

    struct Fixture {
        door: Door,
        random: Random,
        now: Instant,
        keys: GateKeys,
    }

    impl Fixture {
        fn new() -> Self {
            #[expect(clippy::disallowed_methods, reason = "a test needs some instant to begin with")]
            let now = Instant::now();
            let mut random = Random::new([1; 32]);
            let keys =
                GateKeys::of_receiver(&wire::NetworkSecret::new(1, [2; 32]), &wire::NoisePublicKey([3; 32]));
            Self { door: Door::new(&mut random, now), random, now, keys }
        }

        fn knock(&mut self, from: &str, cookie: Option<&Cookie>, long: bool) -> Admission {
            self.knock_as(from, cookie, Knock { reply_is_long: long, is_earlier: false })
        }

        fn knock_as(&mut self, from: &str, cookie: Option<&Cookie>, knock: Knock) -> Admission {
            let bytes = write_initiation(1, b"", &self.keys, cookie);
            let Some(Datagram::Initiation(initiation)) = Datagram::parse(&bytes) else { panic!() };
            self.door.admit(
                &initiation.gate,
                Remote::udp(from.parse().unwrap()),
                knock,
                &mut self.random,
                self.now,
            )
        }
    }

    #[test]
    fn a_long_reply_needs_a_proved_address() {
        let mut f = Fixture::new();
        assert_eq!(f.knock("192.0.2.1:5", None, false), Admission::Admit);
        let Admission::AskForCookie(cookie) = f.knock("192.0.2.1:5", None, true) else { panic!() };
        assert_eq!(f.knock("192.0.2.1:5", Some(&cookie), true), Admission::Admit);
        assert!(
            matches!(f.knock("192.0.2.1:6", Some(&cookie), true), Admission::AskForCookie(_)),
            "another port"
        );
        f.now += COOKIE_LIFE;
        assert_eq!(f.knock("192.0.2.1:5", Some(&cookie), true), Admission::Admit, "the cookie before");
        f.now += COOKIE_LIFE;
        assert!(matches!(f.knock("192.0.2.1:5", Some(&cookie), true), Admission::AskForCookie(_)));
    }

    #[test]
    fn under_load_cookies_come_first_and_budgets_hold() {
        let mut f = Fixture::new();
        for _ in 0..INITIATIONS_WITHOUT_COOKIE {
            assert_eq!(f.knock("192.0.2.1:5", None, false), Admission::Admit);
        }
        let Admission::AskForCookie(cookie) = f.knock("192.0.2.1:5", None, false) else { panic!() };
        for _ in 0..INITIATIONS_PER_PREFIX {
            assert_eq!(f.knock("192.0.2.1:5", Some(&cookie), false), Admission::Admit);
        }
        assert_eq!(
            f.knock("192.0.2.1:5", Some(&cookie), false),
            Admission::Refuse,
            "the prefix's budget is used up"
        );
        f.now += Duration::from_secs(1);
        assert_eq!(f.knock("192.0.2.1:5", None, false), Admission::Admit, "a new second");
    }
    #[test]
    fn who_comes_under_an_earlier_secret_has_a_smaller_budget_of_its_own() {
        let mut f = Fixture::new();
        let earlier = Knock { reply_is_long: false, is_earlier: true };
        for _ in 0..EARLIER_WITHOUT_COOKIE {
            assert_eq!(f.knock_as("192.0.2.1:5", None, earlier), Admission::Admit);
        }
        let Admission::AskForCookie(cookie) = f.knock_as("192.0.2.1:5", None, earlier) else { panic!() };
        assert_eq!(f.knock("192.0.2.2:5", None, false), Admission::Admit, "others are not asked");
        for n in EARLIER_WITHOUT_COOKIE + 1..EARLIER_INITIATIONS_MAX {
            assert_eq!(f.knock_as("192.0.2.1:5", Some(&cookie), earlier), Admission::Admit, "{n}");
        }
        assert_eq!(f.knock_as("192.0.2.1:5", Some(&cookie), earlier), Admission::Refuse);
        assert_eq!(f.knock("192.0.2.2:5", None, false), Admission::Admit);
    }
}
