//! How this machine is reached from outside, as the driver sees it: a mapped port, STUN servers, streams over TCP.
//!
//! Each has its own module that does the work; here their news become calls of the Node, and what `netcheck` shows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Instant;

use overlay::fastpath::{Inbound, Opened, SlowInput, inbound};
use overlay::{DropReason, PortMappingView, Remote};
use wire::Candidate;

use super::driver::Driver;
use super::worker::ToWorker;
use crate::io::clock;
use crate::io::netlink::Netlink;
use crate::io::stream::{StreamEvent, StreamServer, Streams};
use crate::reach::port_mapping::{Event, Network, Outcome, Params, PortMapping, Report};
use crate::reach::resolve::resolve;
use crate::reach::stun_client::{self, StunClient};

/// Names of STUN servers that may be looked up at the same time.
const RESOLVES_MAX: usize = 8;

/// The parts.
pub(super) struct Outside {
    mapping: Option<PortMapping>,
    mapping_view: PortMappingView,
    stun: StunClient,
    stun_at: Option<Instant>,
    resolved: (tokio::sync::mpsc::Sender<Resolved>, tokio::sync::mpsc::Receiver<Resolved>),
    streams: Option<Streams>,
    remotes: BTreeMap<u32, SocketAddr>,
}

/// A server's name and its addresses.
type Resolved = (String, Vec<SocketAddr>);

/// What has happened to one of them.
pub(super) enum Happening {
    /// The router has said something.
    Mapping(Event),
    /// A stream has.
    Stream(StreamEvent),
    /// A STUN server's name was looked up.
    Resolved(Resolved),
    /// A STUN server is to be asked.
    StunIsDue,
}

impl Outside {
    /// Starts what the configuration wants.
    pub(super) fn start(settings: &config::Settings, port: u16) -> Self {
        let stream = &settings.stream;
        let server =
            (stream.enabled && stream.listen != 0).then(|| StreamServer::on_port(stream.listen, port));
        let mapping = settings.port_mapping.enabled.then(|| NonZeroU16::new(port)).flatten();
        Self {
            mapping: mapping.map(|port| PortMapping::start(Params::new(port))),
            mapping_view: if mapping.is_some() { PortMappingView::Asking } else { PortMappingView::Off },
            stun: StunClient::new(&settings.stun.servers, clock::now()),
            stun_at: None,
            resolved: tokio::sync::mpsc::channel(RESOLVES_MAX),
            streams: stream.enabled.then(|| Streams::new(server.flatten())),
            remotes: BTreeMap::new(),
        }
    }

    /// By which datagrams are sent over streams.
    pub(super) fn sender(&self) -> Option<crate::io::stream::StreamSender> {
        self.streams.as_ref().map(Streams::sender)
    }

    pub(super) fn stream_port(&self) -> Option<u16> {
        self.streams.as_ref()?.port()
    }

    /// The next thing that happens; can be cancelled without losing any.
    pub(super) async fn next(&mut self) -> Happening {
        let stun_at = self.stun_at;
        let mapping = async {
            match &mut self.mapping {
                Some(mapping) => mapping.next_event().await,
                None => std::future::pending().await,
            }
        };
        let stream = async {
            match &mut self.streams {
                Some(streams) => streams.next_event().await,
                None => std::future::pending().await,
            }
        };
        let stun = async {
            match stun_at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = mapping => Happening::Mapping(event),
            event = stream => Happening::Stream(event),
            Some(resolved) = self.resolved.1.recv() => Happening::Resolved(resolved),
            () = stun => Happening::StunIsDue,
        }
    }

    /// Gives back what others keep for us.
    pub(super) async fn close(self) {
        if let Some(mapping) = self.mapping {
            mapping.close().await;
        }
    }

    /// Tells where the router is that a port may be mapped at.
    pub(super) async fn look_at_gateway(&mut self, netlink: &Netlink) {
        self.stun.handle_network_change(clock::now());
        let Some(mapping) = &self.mapping else { return };
        let gateway = netlink.default_gateway().await.ok().flatten();
        mapping.set_network(gateway.map(|g| Network { gateway: g.gateway, local: g.local }));
    }

    fn take_mapping(&mut self, event: Event) -> Option<Vec<Candidate>> {
        match event {
            Event::Mapped(mapping) => {
                tracing::info!(external = %mapping.external, by = mapping.protocol.as_str(), "a port is mapped");
                Some(Candidate::new(mapping.external).into_iter().collect())
            }
            Event::Lost => Some(vec![]),
            Event::State(report) => {
                self.mapping_view = view_of(&report);
                None
            }
        }
    }
}

fn view_of(report: &Report) -> PortMappingView {
    match &report.outcome {
        Outcome::Asking => PortMappingView::Asking,
        Outcome::Mapped(mapping) => {
            PortMappingView::Mapped { protocol: mapping.protocol.as_str(), external: mapping.external }
        }
        Outcome::NoGateway | Outcome::Failed { .. } => PortMappingView::Failed { why: report.to_string() },
    }
}

impl Driver {
    /// Takes what has happened outside.
    pub(super) fn take_outside(&mut self, outside: &mut Outside, happening: Happening) {
        let now = clock::now();
        match happening {
            Happening::Mapping(event) => {
                if let Some(external) = outside.take_mapping(event) {
                    self.node.handle_port_mapping(external, now);
                }
            }
            Happening::Stream(StreamEvent::Opened { number, remote, dialled }) => {
                outside.remotes.insert(number, remote);
                self.node.handle_stream_opened(number, remote, dialled, now);
            }
            Happening::Stream(StreamEvent::Datagram { number, bytes }) => {
                self.take_streamed(Remote::Stream(number), bytes);
            }
            Happening::Stream(StreamEvent::Closed { number, reason }) => {
                tracing::debug!(number, %reason, "a stream is over");
                outside.remotes.remove(&number);
                self.node.handle_stream_closed(number, now);
            }
            Happening::Resolved((name, addresses)) => outside.stun.handle_resolved(&name, &addresses, now),
            Happening::StunIsDue => {}
        }
        self.pump();
    }

    /// What a worker does with a datagram, here for those that came over TCP.
    fn take_streamed(&mut self, remote: Remote, mut bytes: Vec<u8>) {
        let tables = self.shared.tables.load_full();
        match inbound(&tables, &mut bytes, remote) {
            Inbound::Packet(opened, notice) => self.take_packet(Some((opened, bytes)), notice),
            Inbound::Half(packet, notice) => self.take_packet(packet, notice),
            Inbound::Slow(input, remote) => self.node.handle_slow(input, remote, clock::now()),
            Inbound::Forward(to, notice) => {
                self.shared.send(to, &bytes);
                if let Some(notice) = notice {
                    self.node.handle_slow(notice, remote, clock::now());
                }
            }
            // Guests come by UDP.
            Inbound::WireGuard => self.shared.drops.count(DropReason::Guest),
            Inbound::Drop(reason) => self.shared.drops.count(reason),
        }
    }

    fn take_packet(&mut self, packet: Option<(Opened, Vec<u8>)>, notice: Option<(SlowInput, Remote)>) {
        if let Some((opened, bytes)) = packet {
            self.tell_worker(ToWorker::Received(opened, bytes));
            self.shared.wake_first();
        }
        if let Some((notice, remote)) = notice {
            self.node.handle_slow(notice, remote, clock::now());
        }
    }

    /// Takes an answer that a STUN server may have sent.
    pub(super) fn take_stun(&mut self, outside: &mut Outside, from: SocketAddr, bytes: &[u8]) {
        if !outside.stun.handle_datagram(from, bytes) {
            self.shared.drops.count(DropReason::Unknown);
        }
    }

    /// Carries out what is due outside.
    pub(super) fn pump_outside(&mut self, outside: &mut Outside) {
        for address in std::mem::take(&mut self.dials) {
            // No room for another: one of those that are there may do.
            let _full = outside.streams.as_ref().and_then(|streams| streams.dial(address));
        }
        for number in std::mem::take(&mut self.closed_streams) {
            tracing::debug!(number, "a stream serves nobody");
            outside.remotes.remove(&number);
            outside.streams.iter().for_each(|streams| streams.close(number));
        }
        let now = clock::now();
        loop {
            match outside.stun.poll_output(now) {
                stun_client::Output::Resolve(name) => {
                    let to = outside.resolved.0.clone();
                    tokio::spawn(async move {
                        let addresses = resolve(&name).await;
                        let _ended = to.send((name, addresses)).await;
                    });
                }
                stun_client::Output::Send { to, bytes } => self.shared.send(to.into(), &bytes),
                stun_client::Output::Observed { server, observed } => {
                    self.node.handle_observation(server, observed, now);
                }
                stun_client::Output::Silent { server, unresolved } => {
                    tracing::debug!(server, unresolved, "a STUN server is silent");
                }
                stun_client::Output::Wait(at) => {
                    outside.stun_at = at;
                    break;
                }
            }
        }
        self.pump();
        self.outside.port_mapping = outside.mapping_view.clone();
        self.outside.streams.clone_from(&outside.remotes);
    }
}
