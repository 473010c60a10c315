//! Who may begin a stream: how many there are, from where, and how fast they come. Pure but for [`Slot`], which
//! gives the place back.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shared;
use super::limits::{
    ACCEPTED_MAX, ACCEPTED_PER_PREFIX_MAX, DIALLED_MAX, PREFIX_BURST, PREFIX_INTERVAL, PREFIXES_MAX,
    TOTAL_BURST, TOTAL_INTERVAL,
};

/// Whoever shares this is taken for one: an IPv4 address, or the first half of an IPv6 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefix(IpAddr);

impl Prefix {
    fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(ip) => IpAddr::V4(ip),
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        })
    }
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There are [`ACCEPTED_MAX`].
    Full,
    /// There are [`ACCEPTED_PER_PREFIX_MAX`] from there.
    PrefixFull,
    /// They come too fast.
    TooFast,
    /// They come too fast from there.
    PrefixTooFast,
}

/// A budget that refills with time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// When it was, or will be, full.
    full_at: Instant,
}

impl Bucket {
    /// Takes one, if there is one.
    fn take(full_at: Option<Self>, burst: u32, interval: Duration, now: Instant) -> Option<Self> {
        let full_at = full_at.map_or(now, |bucket| bucket.full_at.max(now)) + interval;
        (full_at <= now + interval * burst).then_some(Self { full_at })
    }
}

/// The places, and the rates.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    accepted: BTreeMap<Prefix, usize>,
    dialled: usize,
    total: Option<Bucket>,
    prefixes: BTreeMap<Prefix, Bucket>,
}

impl Ledger {
    /// Gives a place to a connection from `ip`. What is refused costs nobody else a place or a chance.
    fn accept(&mut self, ip: IpAddr, now: Instant) -> Result<Prefix, Refusal> {
        let prefix = Prefix::of(ip);
        if self.prefixes.len() >= PREFIXES_MAX {
            self.prefixes.retain(|_, bucket| bucket.full_at > now);
        }
        let own = Bucket::take(self.prefixes.get(&prefix).copied(), PREFIX_BURST, PREFIX_INTERVAL, now)
            .ok_or(Refusal::PrefixTooFast)?;
        let from_there = self.accepted.get(&prefix).copied().unwrap_or(0);
        if from_there >= ACCEPTED_PER_PREFIX_MAX {
            return Err(Refusal::PrefixFull);
        }
        if self.counts().0 >= ACCEPTED_MAX {
            return Err(Refusal::Full);
        }
        self.total =
            Some(Bucket::take(self.total, TOTAL_BURST, TOTAL_INTERVAL, now).ok_or(Refusal::TooFast)?);
        self.prefixes.insert(prefix, own);
        self.accepted.insert(prefix, from_there + 1);
        Ok(prefix)
    }

    fn dial(&mut self) -> bool {
        let has_room = self.dialled < DIALLED_MAX;
        self.dialled += usize::from(has_room);
        has_room
    }

    /// `None`: a dialled one.
    fn release(&mut self, prefix: Option<Prefix>) {
        let Some(prefix) = prefix else {
            self.dialled -= 1;
            return;
        };
        match self.accepted.get_mut(&prefix) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => _ = self.accepted.remove(&prefix),
        }
    }

    /// How many there are: accepted ones, and dialled ones.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.accepted.values().sum(), self.dialled)
    }
}

/// A place, given back when dropped.
pub(super) struct Slot {
    shared: Arc<Shared>,
    prefix: Option<Prefix>,
}

impl Slot {
    /// A place for who dialled us.
    pub(super) fn accepted(shared: &Arc<Shared>, ip: IpAddr, now: Instant) -> Result<Self, Refusal> {
        let prefix = shared.ledger().accept(ip, now)?;
        Ok(Self { shared: Arc::clone(shared), prefix: Some(prefix) })
    }

    /// A place for whom we dial, if there is one.
    pub(super) fn dialled(shared: &Arc<Shared>) -> Option<Self> {
        let has_room = shared.ledger().dial();
        has_room.then(|| Self { shared: Arc::clone(shared), prefix: None })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.ledger().release(self.prefix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::clock;

    /// Long enough for every bucket to be full again.
    const PAUSE: Duration = Duration::from_secs(3600);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_and_one_64_have_sixteen_places() {
        for (one, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:2:3:4", "2001:db8:0:1::1"),
        ] {
            let (mut ledger, now) = (Ledger::default(), clock::now());
            let prefixes: Vec<_> = (0..16).map(|_| ledger.accept(ip(one), now).unwrap()).collect();
            assert_eq!(ledger.accept(ip(same), now), Err(Refusal::PrefixFull));
            ledger.accept(ip(other), now).unwrap();
            ledger.release(Some(prefixes[0]));
            ledger.accept(ip(same), now).unwrap();
            assert_eq!(ledger.counts(), (17, 0));
        }
    }

    #[test]
    fn there_are_256_places_in_all() {
        let (mut ledger, mut now) = (Ledger::default(), clock::now());
        for i in 0..=255 {
            now += PAUSE;
            ledger.accept(ip(&format!("192.0.2.{i}")), now).unwrap();
        }
        now += PAUSE;
        assert_eq!(ledger.accept(ip("198.51.100.1"), now), Err(Refusal::Full));
        ledger.release(Some(Prefix::of(ip("192.0.2.7"))));
        ledger.accept(ip("198.51.100.1"), now).unwrap();
    }

    #[test]
    fn dialled_ones_have_places_of_their_own() {
        let mut ledger = Ledger::default();
        assert!((0..DIALLED_MAX).all(|_| ledger.dial()));
        assert!(!ledger.dial());
        assert_eq!(ledger.counts(), (0, DIALLED_MAX));
        ledger.release(None);
        assert!(ledger.dial());
    }

    #[test]
    fn who_comes_and_goes_too_fast_is_refused_alone() {
        let (mut ledger, mut now) = (Ledger::default(), clock::now());
        let mut come_and_go = |from: &str, now| {
            let place = ledger.accept(ip(from), now)?;
            ledger.release(Some(place));
            Ok(())
        };
        for _ in 0..PREFIX_BURST {
            come_and_go("192.0.2.1", now).unwrap();
        }
        assert_eq!(come_and_go("192.0.2.1", now), Err(Refusal::PrefixTooFast));
        come_and_go("192.0.2.2", now).unwrap();
        now += PREFIX_INTERVAL;
        come_and_go("192.0.2.1", now).unwrap();
        assert_eq!(come_and_go("192.0.2.1", now), Err(Refusal::PrefixTooFast));
    }

    #[test]
    fn many_that_come_too_fast_are_refused_and_few_are_remembered() {
        let (mut ledger, mut now) = (Ledger::default(), clock::now());
        let mut accepted = 0;
        for i in 0..20_000_u32 {
            match ledger.accept(IpAddr::V4(i.into()), now) {
                Ok(prefix) => {
                    accepted += 1;
                    ledger.release(Some(prefix));
                }
                Err(refusal) => assert_eq!(refusal, Refusal::TooFast),
            }
            assert!(ledger.prefixes.len() <= PREFIXES_MAX);
            now += Duration::from_millis(5);
        }
        // A burst, and one every 50 ms of 100 s, the last of which is not over.
        assert_eq!(accepted, TOTAL_BURST + 2000 - 1);
    }
}
