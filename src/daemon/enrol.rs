//! Enrolment from the joiner's side: the pure `Joiner` on real sockets, before there is a Node.

mod mailbox;

pub(super) use mailbox::DhtWay;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use overlay::limits::{JOINER_DHT_AFTER, JOINER_STREAM_AFTER, STREAM_PORT};
use overlay::state::{Contact, Network};
use overlay::{Identity, JoinOutput, Joiner, Remote};
use wire::{Invite, Name};

use super::progress::{Progress, Steps};
use crate::io::multicast::Asker;
use crate::io::poll::{Poll, Wake};
use crate::io::stream::{StreamEvent, Streams};
use crate::io::udp::{Family, ReceiveBuffers, TEST, Udp};
use crate::io::{clock, entropy};
use mailbox::Mailbox;

/// Shortest sleep, so that a deadline that has just passed is not asked about again and again.
const SLEEP_MIN: Duration = Duration::from_millis(1);

/// While there are streams, or the LAN or the DHT is asked, the sockets are looked at this often: they have no sleep in common.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// By which ways the issuer is asked.
pub(super) struct Ways<'a> {
    /// The node's own sockets.
    pub(super) udp: &'a Udp,
    /// The machine's own networks.
    pub(super) lan: &'a Asker,
    /// Whether TCP is tried where nobody answers by UDP.
    pub(super) tcp: bool,
    /// The DHT, if it may be asked.
    pub(super) dht: Option<DhtWay>,
}

/// A machine that has become a member.
pub(super) struct Joined {
    /// Of what.
    pub(super) network: Network,
    /// Whom to reach first, the issuer before all.
    pub(super) contacts: Vec<Contact>,
    /// Other sockets than the ones it began with, where the issuer's NAT lets through what comes to them.
    pub(super) sockets: Option<Udp>,
    /// Whether the answer came over TCP, since none came by UDP.
    pub(super) by_tcp: bool,
}

/// Becomes a member by an invite. Ends when the issuer has answered, or has not for 20 s (two minutes when word was left
/// for it in the DHT), and tells the steps on the way. Where nobody answers by UDP for a while TCP and the DHT are tried.
pub(super) async fn enrol(
    Ways { udp, lan, tcp, dht }: Ways<'_>,
    invite: Invite,
    identity: Identity,
    name: (Name, bool),
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<Joined> {
    let is_lost = invite.addresses.is_empty() && lan.is_empty();
    if is_lost && dht.is_none() {
        bail!(
            "the invite names no address of the machine that made it: make another there, while it is on a network"
        );
    }
    let wake = Wake::new()?;
    let mut poll = Poll::new(None, udp, &wake)?;
    let mut buffers = ReceiveBuffers::new();
    let mut steps = Steps::new(on_progress, clock::now());
    let mut tcp = Tcp {
        dial_at: tcp.then(|| clock::now() + JOINER_STREAM_AFTER),
        streams: None,
        to: addresses(&invite),
    };
    let dht_after = if is_lost { Duration::ZERO } else { JOINER_DHT_AFTER };
    let mut mailbox = Mailbox::new(dht, clock::now() + dht_after);
    let mut joiner = Joiner::new(invite, identity, name, entropy::seed(), clock::now());
    let mut by_tcp = false;
    loop {
        match joiner.poll_output(clock::now()) {
            JoinOutput::Transmit { remote, bytes } => {
                if let Some(address) = remote.address() {
                    steps.asking(address);
                    mailbox.send(udp, remote, &bytes);
                } else {
                    tcp.send(remote, bytes);
                }
            }
            JoinOutput::Ping { remote, bytes } => mailbox.send(udp, remote, &bytes),
            JoinOutput::Dht(request) => mailbox.ask(request),
            JoinOutput::Group(bytes) => {
                if lan.send(&bytes) > 0 {
                    steps.looking_on_lan();
                }
            }
            JoinOutput::Done(network, contacts) => {
                let sockets = mailbox.into_sockets(&joiner);
                return Ok(Joined { network: *network, contacts, sockets, by_tcp });
            }
            JoinOutput::Failed(error) => return Err(error.into()),
            JoinOutput::Wait(until) => {
                let timeout = until.saturating_duration_since(clock::now()).max(SLEEP_MIN);
                let timeout = tcp.take(&mut joiner, timeout).await;
                let mut timeout = mailbox.take((&mut joiner, udp), &mut buffers, &mut steps, timeout).await;
                if !lan.is_empty() && joiner.answered_by().is_none() {
                    timeout = timeout.min(LOOK_INTERVAL);
                }
                let _ready = poll.wait(Some(timeout))?;
                for family in [Family::V4, Family::V6] {
                    let take = |from: SocketAddr, datagram: &mut [u8]| {
                        joiner.handle_datagram(datagram, from.into(), clock::now());
                    };
                    // ICMP errors of earlier datagrams come as errors of the socket: the next read goes on.
                    let _received = udp.receive(family, &mut buffers, take);
                    // Nothing for a joiner comes there; what lay there would end every sleep.
                    let _stray = udp.receive_on(TEST, family, &mut buffers, |_, _| {});
                }
                let mut buffer = [0; wire::datagram::SLOW_LENGTH_MAX];
                while let Some((length, from)) = lan.receive(&mut buffer) {
                    joiner.handle_datagram(&buffer[..length], from.into(), clock::now());
                }
                by_tcp |= matches!(joiner.answered_by(), Some(Remote::Stream(_)));
                match joiner.answered_by().and_then(|remote| remote.address()) {
                    Some(address) => steps.answered(address),
                    None => steps.waiting(clock::now()),
                }
            }
        }
    }
}

/// Where the invite's addresses may be dialled by TCP.
fn addresses(invite: &Invite) -> Vec<SocketAddr> {
    let each = |candidate: &wire::Candidate| {
        let address = candidate.socket_address();
        [STREAM_PORT, address.port()].map(|port| SocketAddr::new(address.ip(), port))
    };
    let mut all: Vec<SocketAddr> = invite.addresses.iter().flat_map(each).collect();
    all.dedup();
    all
}

/// The way over TCP.
struct Tcp {
    /// When it is tried; never, or it was already.
    dial_at: Option<Instant>,
    streams: Option<Streams>,
    to: Vec<SocketAddr>,
}

impl Tcp {
    fn send(&self, remote: Remote, bytes: Vec<u8>) {
        if let (Remote::Stream(number), Some(streams)) = (remote, &self.streams) {
            // Full or over: the joiner asks again.
            let _lost = streams.sender().try_send(number, bytes);
        }
    }

    /// Dials when it is time, takes what has come, and says how long the sockets may sleep.
    async fn take(&mut self, joiner: &mut Joiner, timeout: Duration) -> Duration {
        let now = clock::now();
        if joiner.answered_by().is_none() && self.dial_at.take_if(|at| now >= *at).is_some() {
            let streams = Streams::new(None);
            for address in &self.to {
                let _full = streams.dial(*address);
            }
            self.streams = Some(streams);
        }
        let Some(streams) = &mut self.streams else {
            let left = self.dial_at.map(|at| at.saturating_duration_since(now).max(SLEEP_MIN));
            return left.map_or(timeout, |left| timeout.min(left));
        };
        match tokio::time::timeout(timeout.min(LOOK_INTERVAL), streams.next_event()).await {
            Ok(StreamEvent::Opened { number, .. }) => {
                joiner.handle_stream(Remote::Stream(number), clock::now())
            }
            Ok(StreamEvent::Datagram { number, bytes }) => {
                joiner.handle_datagram(&bytes, Remote::Stream(number), clock::now());
            }
            Ok(StreamEvent::Closed { .. }) | Err(_) => {}
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests;
