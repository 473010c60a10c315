//! Asking one router, by whichever protocol it speaks.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use crab_nat::TimeoutConfig;

use super::nat_pmp::NatPmpLease;
use super::pcp::PcpLease;
use super::report::Answer;
use super::upnp::UpnpLease;
use super::{Mapping, Network, Protocol};
use crate::io::clock;
use crate::reach::limits::{ANSWER_RETRIES_MAX, ANSWER_WAIT_FIRST, LEASE_MAX};

/// A question to a router.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    pub(super) network: Network,
    pub(super) port: NonZeroU16,
    pub(super) lease: Duration,
}

impl Question {
    /// The lease as routers want it. Never 0, which would take the mapping away.
    pub(super) fn lease_s(&self) -> u32 {
        u32::try_from(self.lease.as_secs()).unwrap_or(u32::MAX).max(1)
    }
}

/// What a router gave: whatever is needed to renew it and give it back.
#[derive(Debug)]
pub(super) enum Lease {
    Pcp(PcpLease),
    NatPmp(NatPmpLease),
    Upnp(UpnpLease),
}

/// One answer: what was given, for how long (`None`: for ever), at which address.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) lease: Lease,
    pub(super) external: SocketAddr,
    pub(super) life: Option<Duration>,
}

impl Given {
    /// The mapping, from now on.
    pub(super) fn mapping(&self) -> Mapping {
        let protocol = match self.lease {
            Lease::Pcp(_) => Protocol::Pcp,
            Lease::NatPmp(_) => Protocol::NatPmp,
            Lease::Upnp(_) => Protocol::Upnp,
        };
        let expires = self.life.map(|life| clock::now() + life.min(LEASE_MAX));
        Mapping { external: self.external, protocol, expires }
    }
}

/// Asks by one protocol.
pub(super) async fn ask(question: Question, protocol: Protocol) -> Result<Given, Answer> {
    match protocol {
        Protocol::Pcp => PcpLease::ask(question, None).await,
        Protocol::NatPmp => NatPmpLease::ask(question, None).await,
        Protocol::Upnp => UpnpLease::ask(question).await,
    }
}

/// Asks for the same again, before it ends.
pub(super) async fn renew(question: Question, lease: &Lease) -> Result<Given, Answer> {
    match lease {
        Lease::Pcp(lease) => PcpLease::ask(question, Some(lease)).await,
        Lease::NatPmp(lease) => NatPmpLease::ask(question, Some(lease)).await,
        Lease::Upnp(lease) => lease.renew(question).await,
    }
}

/// Gives a mapping back. What fails here ends with its lease.
pub(super) async fn give_back(lease: Lease) -> Result<(), Answer> {
    match lease {
        Lease::Pcp(lease) => lease.give_back().await,
        Lease::NatPmp(lease) => lease.give_back().await,
        Lease::Upnp(lease) => lease.give_back().await,
    }
}

/// How long PCP and NAT-PMP wait: much less than their RFCs say, because the next protocol waits for its turn.
pub(super) fn patience() -> TimeoutConfig {
    TimeoutConfig {
        initial_timeout: ANSWER_WAIT_FIRST,
        max_retries: ANSWER_RETRIES_MAX,
        max_retry_timeout: None,
    }
}

/// The life of a lease of PCP or NAT-PMP, whose 0 means that there is none.
pub(super) fn life(lease_s: u32) -> Result<Option<Duration>, Answer> {
    if lease_s == 0 {
        return Err(Answer::refused("it gave a mapping for 0 s"));
    }
    Ok(Some(Duration::from_secs(lease_s.into())))
}

/// Whether a failure to talk to the gateway at all is silence: nobody listens there.
pub(super) fn from_io(error: &std::io::Error) -> Answer {
    use std::io::ErrorKind::{ConnectionRefused, ConnectionReset, TimedOut};
    if matches!(error.kind(), ConnectionRefused | ConnectionReset | TimedOut) {
        Answer::Silent
    } else {
        Answer::refused(error)
    }
}

/// A moment that is never, for a deadline that need not be there.
pub(super) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
