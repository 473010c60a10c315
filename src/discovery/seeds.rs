//! Seeds: names of hosts where members may be found, looked up again and again.
//!
//! A name that resolves is looked up anew every [`AGAIN_AFTER`], since home addresses change; one that does not is tried
//! with growing pauses. When to look is a pure schedule; looking is the resolver's of the host.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use config::HostPort;
use tokio::task::JoinSet;

use crate::io::clock;

/// How long an answer is good: a home address that changed is found within this.
pub const AGAIN_AFTER: Duration = Duration::from_secs(600);
/// First and longest pause after a failure.
pub const RETRY_MIN: Duration = Duration::from_secs(2);
/// See [`RETRY_MIN`].
pub const RETRY_MAX: Duration = Duration::from_secs(300);
/// Most addresses of one name: a resolver may answer with any number.
pub const ADDRESSES_MAX: usize = 8;
/// How long one look-up may take: resolvers give up after some 10 to 30 s.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(15);

/// What a seed is found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// As configured.
    pub seed: HostPort,
    /// Where it is now, at most [`ADDRESSES_MAX`]; never empty.
    pub addresses: Vec<SocketAddr>,
}

/// Looks a host up once, by the resolver of the machine; an address is itself.
///
/// # Errors
/// What the resolver said, or `TimedOut`.
pub async fn lookup(host: &HostPort) -> io::Result<Vec<SocketAddr>> {
    if let Some(address) = host.address() {
        return Ok(vec![SocketAddr::new(address, host.port)]);
    }
    let resolving = tokio::net::lookup_host((host.host.as_str(), host.port));
    let resolved = tokio::time::timeout(LOOKUP_TIMEOUT, resolving).await.map_err(io::Error::from)??;
    Ok(resolved.take(ADDRESSES_MAX).collect())
}

type Answer = (usize, io::Result<Vec<SocketAddr>>);
type Lookup = fn(HostPort) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// All seeds of the configuration.
pub struct Seeds {
    seeds: Vec<HostPort>,
    schedule: Schedule,
    running: JoinSet<Answer>,
    lookup: Lookup,
}

impl Seeds {
    /// All are due at once.
    #[must_use]
    pub fn new(seeds: Vec<HostPort>) -> Self {
        Self::with_lookup(seeds, |host| Box::pin(async move { lookup(&host).await }))
    }

    fn with_lookup(seeds: Vec<HostPort>, lookup: Lookup) -> Self {
        let schedule = Schedule::new(seeds.len(), clock::now());
        Self { seeds, schedule, running: JoinSet::new(), lookup }
    }

    /// The machine's network is another: all are due at once.
    pub fn refresh(&mut self) {
        self.schedule.refresh(clock::now());
    }

    /// Waits until a seed is resolved. May be dropped at any point. Without seeds it waits for ever.
    pub async fn next(&mut self) -> Resolved {
        loop {
            for index in self.schedule.take_due(clock::now()) {
                let looking = (self.lookup)(self.seeds[index].clone());
                self.running.spawn(async move { (index, looking.await) });
            }
            let due = self.schedule.next_due();
            tokio::select! {
                Some(answer) = self.running.join_next() => {
                    if let Ok(answer) = answer
                        && let Some(resolved) = self.take(answer)
                    {
                        return resolved;
                    }
                }
                () = wait_until(due) => {}
            }
        }
    }

    fn take(&mut self, (index, answer): Answer) -> Option<Resolved> {
        let addresses = match answer {
            Ok(addresses) if !addresses.is_empty() => addresses,
            failed => {
                let error = failed.err().map(|error| error.to_string());
                tracing::debug!(seed = %self.seeds[index], error, "a seed does not resolve");
                self.schedule.failed(index, clock::now());
                return None;
            }
        };
        self.schedule.resolved(index, clock::now());
        Some(Resolved { seed: self.seeds[index].clone(), addresses })
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// When each seed is to be looked up.
#[derive(Debug)]
struct Schedule(Vec<Seed>);

#[derive(Debug, Clone, Copy)]
struct Seed {
    /// `None` while it is being looked up.
    due: Option<Instant>,
    pause: Duration,
    /// The network changed while it was being looked up: what comes back may be of before.
    stale: bool,
}

impl Schedule {
    fn new(seeds: usize, now: Instant) -> Self {
        Self(vec![Seed { due: Some(now), pause: RETRY_MIN, stale: false }; seeds])
    }

    fn next_due(&self) -> Option<Instant> {
        self.0.iter().filter_map(|seed| seed.due).min()
    }

    fn take_due(&mut self, now: Instant) -> Vec<usize> {
        let mut taken = Vec::new();
        for (index, seed) in self.0.iter_mut().enumerate() {
            if seed.due.is_some_and(|due| due <= now) {
                seed.due = None;
                taken.push(index);
            }
        }
        taken
    }

    fn resolved(&mut self, index: usize, now: Instant) {
        let after = if self.0[index].stale { Duration::ZERO } else { AGAIN_AFTER };
        self.0[index] = Seed { due: Some(now + after), pause: RETRY_MIN, stale: false };
    }

    fn failed(&mut self, index: usize, now: Instant) {
        let Seed { pause, stale, .. } = self.0[index];
        let after = if stale { Duration::ZERO } else { pause };
        self.0[index] = Seed { due: Some(now + after), pause: (pause * 2).min(RETRY_MAX), stale: false };
    }

    fn refresh(&mut self, now: Instant) {
        for seed in &mut self.0 {
            seed.pause = RETRY_MIN;
            match seed.due {
                Some(_) => seed.due = Some(now),
                None => seed.stale = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_at_once_then_late_and_failures_ever_later() {
        let start = clock::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut schedule = Schedule::new(2, start);
        assert_eq!(schedule.take_due(start), [0, 1]);
        assert_eq!((schedule.take_due(at(9999)), schedule.next_due()), (vec![], None), "both are under way");
        schedule.resolved(0, start);
        schedule.failed(1, start);
        assert_eq!(schedule.next_due(), Some(at(2)));
        let mut pauses = Vec::new();
        let mut now = at(2);
        for _ in 0..9 {
            assert_eq!(schedule.take_due(now), [1]);
            schedule.failed(1, now);
            let due = schedule.0[1].due.unwrap();
            pauses.push((due - now).as_secs());
            now = due;
            schedule.0[0].due = Some(at(1_000_000));
        }
        assert_eq!(pauses, [4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(schedule.take_due(now), [1]);
        schedule.resolved(1, now);
        assert_eq!(schedule.0[1].due, Some(now + AGAIN_AFTER));
    }

    #[test]
    fn a_change_of_the_network_makes_all_due_also_what_is_under_way() {
        let start = clock::now();
        let mut schedule = Schedule::new(3, start);
        schedule.take_due(start);
        schedule.resolved(0, start);
        schedule.refresh(start);
        assert_eq!(schedule.take_due(start), [0]);
        schedule.resolved(1, start);
        schedule.failed(2, start);
        assert_eq!(schedule.take_due(start), [1, 2], "their answers were of before");
        schedule.resolved(1, start);
        assert_eq!(schedule.take_due(start), [0; 0]);
    }

    #[tokio::test]
    async fn addresses_and_names_resolve_and_the_others_do_not_hold_them_up() {
        let seeds = ["192.0.2.1:5", "good.example:6", "bad.example:7", "empty.example:8", "[2001:db8::1]:9"];
        let seeds = seeds.map(|seed| seed.parse().unwrap()).to_vec();
        let mut seeds = Seeds::with_lookup(seeds, |host| {
            Box::pin(async move {
                match host.host.as_str() {
                    "good.example" => Ok(vec![SocketAddr::from(([198, 51, 100, 1], host.port))]),
                    "bad.example" => Err(io::ErrorKind::NotFound.into()),
                    "empty.example" => Ok(vec![]),
                    _ => lookup(&host).await,
                }
            })
        });
        let mut found = Vec::new();
        for _ in 0..3 {
            let resolved = seeds.next().await;
            found.push(format!("{} {:?}", resolved.seed, resolved.addresses));
        }
        found.sort();
        assert_eq!(
            found,
            [
                "192.0.2.1:5 [192.0.2.1:5]",
                "[2001:db8::1]:9 [[2001:db8::1]:9]",
                "good.example:6 [198.51.100.1:6]"
            ]
        );
        seeds.refresh();
        assert!(!seeds.next().await.addresses.is_empty(), "after a change all are told again");
    }
}
