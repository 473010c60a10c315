//! A serving node of BitTorrent's DHT, for networks that are cut off from the internet's.
//!
//! It is no part of a Hopmesh network and knows no secret: it stores what anybody gives it, within limits, and forgets it
//! at its end. Members enter by it when it stands in their `dht.bootstrap`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use config::HostPort;
use mainline::async_dht::AsyncDht;
use mainline::{RequestFilter, RequestSpecific, ServerSettings};
use tokio::signal::unix::{SignalKind, signal};

use super::dht::entries;
use super::seeds;
use crate::io::clock;

/// Requests that one address may make in a [`WINDOW`]: a member's busiest second is some 100.
const REQUESTS_MAX: u32 = 200;
/// Addresses that are counted in a window; what others ask in it is not heard.
const ADDRESSES_MAX: usize = 4096;
/// What the counts are for.
const WINDOW: Duration = Duration::from_secs(1);

/// Serves until SIGINT or SIGTERM. `on_ready` is told once where it listens.
///
/// # Errors
/// One sentence: the port is taken, or no name of `bootstrap` resolves.
pub async fn serve(
    listen: SocketAddrV4,
    bootstrap: &[HostPort],
    on_ready: impl FnOnce(SocketAddrV4),
) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let resolved = resolve(bootstrap).await?;
    let node = start(listen, resolved).await.with_context(|| format!("cannot serve the DHT at {listen}"))?;
    on_ready(node.info().await.local_addr());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn resolve(bootstrap: &[HostPort]) -> Result<Vec<SocketAddrV4>> {
    let mut entries = Vec::new();
    for host in bootstrap {
        let resolved = seeds::lookup(host).await.with_context(|| format!("cannot look up {host}"))?;
        entries.extend(resolved.into_iter().filter_map(|address| match address {
            std::net::SocketAddr::V4(address) => Some(address),
            std::net::SocketAddr::V6(_) => None,
        }));
    }
    if entries.is_empty() && !bootstrap.is_empty() {
        bail!("no host to enter the DHT by has an IPv4 address, and this DHT knows no other");
    }
    Ok(entries)
}

async fn start(listen: SocketAddrV4, entries: Vec<SocketAddrV4>) -> Result<AsyncDht> {
    let settings = ServerSettings { filter: Box::new(Budget::default()), ..ServerSettings::default() };
    let mut builder = mainline::Dht::builder();
    builder.server_mode().server_settings(settings).bootstrap(&entries);
    Ok(entries::start(builder, listen).await?)
}

/// How much each address has asked lately.
#[derive(Debug, Clone, Default)]
struct Budget(Arc<Mutex<Option<Window>>>);

#[derive(Debug)]
struct Window {
    end: Instant,
    counts: BTreeMap<Ipv4Addr, u32>,
}

impl Budget {
    fn allows(&self, from: Ipv4Addr, now: Instant) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.as_ref().is_none_or(|window| window.end <= now) {
            *window = Some(Window { end: now + WINDOW, counts: BTreeMap::new() });
        }
        let Some(Window { counts, .. }) = window.as_mut() else { return false };
        if counts.len() >= ADDRESSES_MAX && !counts.contains_key(&from) {
            return false;
        }
        let count = counts.entry(from).or_default();
        *count = count.saturating_add(1);
        *count <= REQUESTS_MAX
    }
}

impl RequestFilter for Budget {
    fn allow_request(&self, _request: &RequestSpecific, from: SocketAddrV4) -> bool {
        self.allows(*from.ip(), clock::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_budget_anew_in_every_window() {
        let (budget, now) = (Budget::default(), clock::now());
        let [a, b] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
        assert_eq!((0..2 * REQUESTS_MAX).filter(|_| budget.allows(a, now)).count() as u32, REQUESTS_MAX);
        assert!(budget.allows(b, now), "another one's is untouched");
        assert!(!budget.clone().allows(a, now), "a clone counts with the original");
        assert!(!budget.allows(a, now + WINDOW - Duration::from_nanos(1)));
        assert!(budget.allows(a, now + WINDOW));
    }

    #[test]
    fn addresses_beyond_the_limit_are_not_counted_and_not_heard() {
        let (budget, now) = (Budget::default(), clock::now());
        let address = |n: usize| Ipv4Addr::from_bits(n as u32);
        assert!((0..ADDRESSES_MAX).all(|n| budget.allows(address(n), now)));
        assert!(!budget.allows(address(ADDRESSES_MAX), now));
        assert!(budget.allows(address(0), now), "who is known goes on");
        assert!(budget.allows(address(ADDRESSES_MAX), now + WINDOW));
    }

    #[tokio::test]
    async fn a_taken_port_is_named_and_so_is_a_host_of_the_wrong_family() {
        let listen = "127.0.0.1:0".parse().unwrap();
        let node = start(listen, vec![]).await.unwrap();
        let taken = node.info().await.local_addr();
        assert!(start(taken, vec![]).await.unwrap_err().to_string().contains("in use"));
        let error = resolve(&["[::1]:5".parse().unwrap()]).await.unwrap_err();
        assert!(error.to_string().contains("IPv4"), "{error}");
    }
}
