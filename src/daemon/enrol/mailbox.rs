//! The DHT of a machine that is no member yet: its client, and the sockets that the issuer is met at.
//!
//! Both begin when nobody has answered for a moment. The sockets are fresh ones: what was sent to the invite's addresses
//! before may have set the issuer's NAT against the old ones. If the answer comes there, the node stays with them.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use overlay::{DhtRequest, Joiner, MailboxParams, Remote, SocketId};
use wire::Candidate;

use super::{LOOK_INTERVAL, SLEEP_MIN};
use crate::daemon::discovery::dht_event;
use crate::daemon::progress::Steps;
use crate::discovery::dht::{self, Dht};
use crate::io::clock;
use crate::io::udp::{Family, ReceiveBuffers, Udp};

/// The fresh sockets, to the joiner.
const FRESH: SocketId = SocketId(2);

/// How the DHT is used.
pub(in crate::daemon) struct DhtWay {
    /// Of the client.
    pub(in crate::daemon) settings: dht::Settings,
    /// The machine's own addresses.
    pub(in crate::daemon) local: Vec<IpAddr>,
    /// Whether the node may have another port than the one it has.
    pub(in crate::daemon) may_move: bool,
}

/// The way by the DHT.
pub(super) struct Mailbox {
    way: Option<DhtWay>,
    begin_at: Instant,
    running: Option<Running>,
}

struct Running {
    dht: Dht,
    fresh: Option<Udp>,
}

impl Mailbox {
    pub(super) fn new(way: Option<DhtWay>, begin_at: Instant) -> Self {
        Self { way, begin_at, running: None }
    }

    /// Sends a datagram by UDP, from these sockets or from fresh ones.
    pub(super) fn send(&self, udp: &Udp, remote: Remote, bytes: &[u8]) {
        let Remote::Udp { socket, address } = remote else { return };
        let fresh = self.running.as_ref().and_then(|running| running.fresh.as_ref());
        // An address that cannot be reached from here is one of several.
        if let Err(error) = fresh.filter(|_| socket == FRESH).unwrap_or(udp).send(address, bytes) {
            tracing::debug!(%address, %error, "an address that may be the issuer's cannot be reached");
        }
    }

    /// Asks the DHT for something.
    pub(super) fn ask(&self, request: DhtRequest) {
        if self.running.as_ref().is_some_and(|running| running.dht.command(request).is_err()) {
            tracing::debug!("the DHT has more to do than it can");
        }
    }

    /// Begins when it is time, takes what has come, and says how long the other sockets may sleep.
    pub(super) async fn take(
        &mut self,
        (joiner, udp): (&mut Joiner, &Udp),
        buffers: &mut ReceiveBuffers,
        steps: &mut Steps<'_>,
        timeout: Duration,
    ) -> Duration {
        let now = clock::now();
        if joiner.answered_by().is_none()
            && now >= self.begin_at
            && let Some(way) = self.way.take()
        {
            steps.asking_dht();
            self.running = Some(begin(way, joiner, udp));
        }
        let Some(Running { dht, fresh }) = &mut self.running else {
            let left = self.begin_at.saturating_duration_since(now).max(SLEEP_MIN);
            return if self.way.is_some() { timeout.min(left) } else { timeout };
        };
        if let Ok(event) = tokio::time::timeout(timeout.min(LOOK_INTERVAL), dht.next()).await
            && let Some(event) = dht_event(event)
        {
            joiner.handle_dht(event, clock::now());
        }
        for family in [Family::V4, Family::V6] {
            let take = |address: SocketAddr, datagram: &mut [u8]| {
                let remote = Remote::Udp { socket: FRESH, address };
                joiner.handle_datagram(datagram, remote, clock::now());
            };
            let _received = fresh.as_ref().map(|fresh| fresh.receive(family, buffers, take));
        }
        Duration::ZERO
    }

    /// The fresh sockets, if the issuer has answered there.
    pub(super) fn into_sockets(self, joiner: &Joiner) -> Option<Udp> {
        self.running.filter(|_| joiner.socket() == FRESH)?.fresh
    }
}

fn begin(way: DhtWay, joiner: &mut Joiner, udp: &Udp) -> Running {
    let fresh = way.may_move.then(|| Udp::bind(0).ok()).flatten();
    let (socket, port) = match &fresh {
        Some(fresh) => (FRESH, fresh.port()),
        None => (SocketId::MAIN, udp.port()),
    };
    let outside = way.local.iter().filter(|ip| !overlay::is_private(**ip));
    let local = outside.filter_map(|ip| Candidate::new((*ip, port).into())).collect();
    joiner.handle_mailbox(MailboxParams { socket, local, unix_s: clock::unix_s() }, clock::now());
    Running { dht: Dht::start(way.settings), fresh }
}
