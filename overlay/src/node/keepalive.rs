//! How often a path that carries nothing is probed: as seldom as the NAT before us lets mappings live.
//!
//! That is measured on a socket of its own, with a neighbour that dials back (`nat::Lifetime`).

use super::{Node, Output};
use nat::{Lifetime, LifetimeOutput, Remote, SocketId};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use wire::NodeId;
use wire::control::Message;
use wire::record::LinkState;

/// The socket on which it is measured.
const SOCKET: SocketId = SocketId(60);

/// A measurement, and what came of it.
pub(super) struct Keepalive {
    lifetime: Lifetime,
    /// The neighbour that helps.
    helper: Option<(NodeId, SocketAddr)>,
    /// In pings that go out, and in the one that is to come.
    token: u64,
    /// The port at which the neighbour sees the socket.
    port: Option<u16>,
    /// What the paths were told last.
    told: Option<Duration>,
    next: Instant,
}

impl Keepalive {
    pub(super) fn new(now: Instant) -> Self {
        Self { lifetime: Lifetime::new(now), helper: None, token: 0, port: None, told: None, next: now }
    }

    /// The interval, once a NAT makes it matter.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.told
    }
}

impl Node {
    pub(super) fn run_keepalive(&mut self, now: Instant) {
        if !self.reach.profile.translates {
            return;
        }
        loop {
            match self.keepalive.lifetime.poll_output(now) {
                LifetimeOutput::OpenSocket => {
                    self.keepalive.helper = self.find_helper();
                    self.keepalive.port = None;
                    self.outputs.push_back(Output::OpenSockets { first: SOCKET, count: 1 });
                }
                LifetimeOutput::Prime => {
                    self.keepalive.token = self.random.u64();
                    if let Some((node, address)) = self.keepalive.helper {
                        let ping = self.ping_to(&node, self.keepalive.token);
                        self.send(&node, &ping, Some(Remote::Udp { socket: SOCKET, address }));
                    }
                }
                LifetimeOutput::AskDialBack => {
                    if let (Some((node, _)), Some(port)) = (self.keepalive.helper, self.keepalive.port) {
                        let ask = Message::DialBack { token: self.keepalive.token, port, is_same_port: true };
                        self.send(&node, &ask, None);
                    }
                }
                LifetimeOutput::CloseSocket => {
                    self.outputs.push_back(Output::CloseSockets { first: SOCKET, count: 1 });
                }
                LifetimeOutput::Wait(at) => {
                    self.keepalive.next = at;
                    break;
                }
            }
        }
        let interval = self.keepalive.lifetime.interval();
        if self.keepalive.told != Some(interval) {
            self.keepalive.told = Some(interval);
            for peer in self.peers.values_mut() {
                peer.paths.handle_idle_interval(interval);
            }
        }
    }

    /// A neighbour beyond the NAT that strangers can dial: behind a NAT of its own it would not hear the socket, and a
    /// measurement that cannot be made is only tried again after a while.
    fn find_helper(&self) -> Option<(NodeId, SocketAddr)> {
        let may_be_dialled = |node: &NodeId| self.topology.state(node).is_some_and(LinkState::may_be_dialled);
        self.links().into_iter().filter(|(node, _)| may_be_dialled(node)).find_map(|(node, _)| {
            let address = self.straight_remote(&node)?.address()?;
            let is_beyond = self.reach.told.get(&node).is_some_and(|seen| {
                !self.reach.local.iter().any(|local| local.socket_address().ip() == seen.ip())
            });
            (address.is_ipv4() && is_beyond).then_some((node, address))
        })
    }

    /// An answer to a ping from the socket: whether it was one.
    pub(super) fn take_primed(
        &mut self,
        token: u64,
        remote: Remote,
        observed: Option<wire::Candidate>,
        now: Instant,
    ) -> bool {
        let is_ours = matches!(remote, Remote::Udp { socket: SOCKET, .. }) && token == self.keepalive.token;
        if is_ours {
            self.keepalive.port = observed.map(|observed| observed.socket_address().port());
            self.keepalive.lifetime.handle_primed(now);
            self.keepalive.next = now;
        }
        is_ours
    }

    /// A ping at the socket: the mapping lives.
    pub(super) fn note_alive(&mut self, token: u64, remote: Remote, now: Instant) {
        if matches!(remote, Remote::Udp { socket: SOCKET, .. }) && token == self.keepalive.token {
            self.keepalive.lifetime.handle_dial_back(true, now);
            self.keepalive.next = now;
        }
    }

    /// Another network: what was measured says nothing of it.
    pub(super) fn restart_keepalive(&mut self, now: Instant) {
        self.keepalive.lifetime.handle_local_change(now);
    }

    pub(super) fn keepalive_deadline(&self) -> Option<Instant> {
        self.reach.profile.translates.then_some(self.keepalive.next)
    }
}
