//! Questions about names that are not ours, for those who have no other resolver than this node: they are passed on to the
//! host's own resolvers.
//!
//! Nobody is permitted unless the daemon says so ([`Forwarding::permit`]); all others are refused, as ever. What decides:
//!
//! | who asks | own names | other names |
//! |---|---|---|
//! | this machine: loopback, or an address that we answer at | answered | refused, also where a permitted prefix holds the address; passed on to the exit while there is one |
//! | a mesh address | answered | refused |
//! | a permitted source, of the mesh or not | answered | passed on, but for those below |
//! | anybody else | no answer at all | no answer at all |
//!
//! The first row is what keeps questions from going in a circle: the host's resolver may well ask us, but it asks from this
//! machine. Our own addresses are left out of the upstreams besides, and the loopback addresses of other networks' nodes here.
//!
//! Some names never leave this machine, whoever asks ([`foreign`]): they mean something in the mesh or on one machine, and who hears
//! of them outside learns what is inside.
//!
//! Questions and answers pass untouched but for their id. Each question has a socket and an id of its own (RFC 5452), and what
//! comes is believed when it comes from the upstream that was asked, with that id and that question.
//!
//! While all traffic of this machine leaves by an exit ([`Forwarding::lead`]), all questions that are passed on go to the exit, and this
//! machine's own are among them: the exit asks its host's resolvers, which do not ask us.
//!
//! Must never: keep an answer, or ask anybody but the host's resolvers, or the exit.

mod exchange;
mod foreign;
#[cfg(test)]
mod tests;
mod upstreams;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use ipnet::IpNet;

use super::counters::Counters;
use super::limits::UPSTREAM_TIMEOUT;
use super::message::Transport;
use crate::resolver::Host;
use exchange::{Question, exchange, says_no};
use upstreams::Upstreams;

pub(super) use foreign::{Foreign, foreign};

/// For whom is passed on, and to whom. Its clones are one and the same, also over a new start of the server.
#[derive(Debug, Clone)]
pub struct Forwarding(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    permitted: ArcSwap<Vec<IpNet>>,
    /// Where we answer ourselves.
    own: ArcSwap<BTreeSet<IpAddr>>,
    /// Where the exit answers, while there is one.
    exit: ArcSwapOption<Vec<SocketAddr>>,
    to: To,
    timeout: Duration,
}

/// To whom.
#[derive(Debug)]
enum To {
    /// To whom this host asks.
    Host(Host),
    /// To these, as a test has it.
    #[cfg_attr(not(test), expect(dead_code, reason = "resolvers of tests have no port 53"))]
    These(Vec<SocketAddr>),
}

impl Forwarding {
    /// Passes on to the resolvers of `host`, for nobody yet.
    #[must_use]
    pub fn new(host: Host) -> Self {
        Self::to(To::Host(host), UPSTREAM_TIMEOUT)
    }

    fn to(to: To, timeout: Duration) -> Self {
        Self(Arc::new(Inner {
            permitted: ArcSwap::default(),
            own: ArcSwap::default(),
            exit: ArcSwapOption::empty(),
            to,
            timeout,
        }))
    }

    /// Passes on for sources in these prefixes from now on, and for no others. This machine's own addresses are never meant;
    /// a loopback address is where a prefix lies within loopback.
    pub fn permit(&self, prefixes: &[IpNet]) {
        self.0.permitted.store(Arc::new(prefixes.to_vec()));
    }

    /// For whom is passed on.
    #[must_use]
    pub fn permitted(&self) -> Arc<Vec<IpNet>> {
        self.0.permitted.load_full()
    }

    /// Passes everything on to an exit that answers at these addresses, and this machine's own questions too; without any as before.
    pub fn lead(&self, exit: Option<Vec<SocketAddr>>) {
        self.0.exit.store(exit.map(Arc::new));
    }

    /// Takes where we answer ourselves.
    pub(super) fn set_own(&self, addresses: impl Iterator<Item = SocketAddr>) {
        self.0.own.store(Arc::new(addresses.map(|address| address.ip()).collect()));
    }

    /// Whether is passed on for this source.
    pub(super) fn is_permitted(&self, source: IpAddr) -> bool {
        let holds = |prefix: &IpNet| {
            prefix.contains(&source) && (!source.is_loopback() || prefix.network().is_loopback())
        };
        let is_own = self.0.own.load().contains(&source);
        let is_led = (is_own || source.is_loopback()) && self.0.exit.load().is_some();
        is_led || (self.0.permitted.load().iter().any(holds) && !is_own)
    }
}

impl Default for Forwarding {
    fn default() -> Self {
        Self::new(Host::default())
    }
}

/// What passes on, on the thread of the server.
#[derive(Debug)]
pub(super) struct Forwarder {
    forwarding: Forwarding,
    upstreams: RefCell<Upstreams>,
}

impl Forwarder {
    pub(super) fn new(forwarding: Forwarding) -> Self {
        Self { forwarding, upstreams: RefCell::default() }
    }

    /// Puts what an upstream says to `question`, whose own question ends at `end`, into `answer`. Each is asked in turn until one
    /// has more to say than that it cannot. Whether there is an answer.
    pub(super) async fn forward(
        &self,
        (question, end): (&[u8], usize),
        transport: Transport,
        counters: &Counters,
        answer: &mut Vec<u8>,
    ) -> bool {
        counters.forwarded();
        let Inner { own, exit, to, timeout, .. } = &*self.forwarding.0;
        let upstreams = match (exit.load_full(), to) {
            (Some(exit), _) => exit.to_vec(),
            (None, To::Host(host)) => self.upstreams.borrow_mut().of(host, &own.load()),
            (None, To::These(these)) => these.clone(),
        };
        let question = Question { bytes: question, end };
        let mut last = None;
        for upstream in upstreams {
            let asked = tokio::time::timeout(*timeout, exchange(upstream, transport, &question, counters));
            match asked.await {
                Ok(Ok(said)) if !says_no(&said) => {
                    *answer = said;
                    counters.forward_answered();
                    return true;
                }
                Ok(Ok(said)) => last = Some(said),
                Ok(Err(error)) => tracing::debug!(%upstream, %error, "an upstream cannot be asked"),
                Err(_) => tracing::debug!(%upstream, "an upstream does not answer"),
            }
        }
        let Some(said) = last else {
            counters.forward_failed();
            return false;
        };
        *answer = said;
        counters.forward_answered();
        true
    }
}
