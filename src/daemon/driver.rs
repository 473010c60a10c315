//! The driver: the control thread's loop around the Node.
//!
//! Whatever happens (slow input, a command, a change of addresses, a signal, a deadline) becomes one call of
//! the Node, and then `pump` carries out what the Node wants until it waits. A write of state is done before the
//! next output is taken, so what follows it may depend on it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use overlay::{DialStreams, InviteRequest, Node, Output, Params, SocketId, View};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc as channel, oneshot};
use wire::invite::InviteRole;
use wire::{Candidate, credential::Claims};

use super::asks::WaitingAsk;
use super::discovery::Discovery;
use super::events;
use super::exit::Exit;
use super::guests::NewGuest;
use super::metrics::Exporter;
use super::names::Names;
use super::outside::Outside;
use super::reload::Reload;
use super::report::{self, Surroundings};
use super::requests::{Answer, WaitingPing};
use super::routes::Routes;
use super::services::Services;
use super::start::{Started, advertised, quick_suites};
use super::state::{self, Loaded};
use super::supervisor::beat;
use super::worker::{self, Crew, RELEASED_MAX, SLOW_MAX, Shared, ToNode, ToWorker};
use super::{FIRST_INVITE_LIFE, Ready};
use crate::control::{self, REQUESTS_MAX, Reply, Request};
use crate::dns::{ASKS_MAX, Ask, Forwarding};
use crate::guests::{GuestThread, Guests};
use crate::io::netlink::Netlink;
use crate::io::nftables;
use crate::io::notify::Notifier;
use crate::io::poll::Wake;
use crate::io::stream::StreamSender;
use crate::io::udp::Udp;
use crate::io::{clock, entropy};
use crate::metrics::Tally;
use crate::reach::stun::Budget;
use crate::store::StateDirectory;

/// How often the wall clock is told to the Node, besides at every command: a clock that was set right is to count before
/// people wonder, and only credentials and invites depend on it.
const WALL_CLOCK_INTERVAL: Duration = Duration::from_secs(10);
/// Messages of the worker that are taken before the Node's outputs are carried out.
const SLOW_BATCH: usize = 64;

/// How a node ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It stays a member.
    Down,
    /// It gives up its membership.
    Leave,
}

/// The control thread's state.
pub(super) struct Driver {
    pub(super) node: Node,
    pub(super) pings: Vec<WaitingPing>,
    /// Who waits for what a name means that others know.
    pub(super) asks: Vec<WaitingAsk>,
    /// What the Node has found out, not told yet.
    pub(super) found: Vec<(wire::Name, Option<Arc<overlay::Zone>>)>,
    /// Who waits for the address of a guest.
    pub(super) new_guests: Vec<NewGuest>,
    /// Where guests were heard last, as it was written.
    pub(super) guest_places: Vec<state::Place>,
    /// The latest write that failed.
    pub(super) write_failure: Option<String>,
    pub(super) directory: StateDirectory,
    pub(super) shared: Arc<Shared>,
    /// What names mean, for whoever answers questions about them.
    pub(super) zone: Arc<ArcSwap<overlay::Zone>>,
    /// What the Node does not know, for people.
    pub(super) outside: report::Outside,
    /// The carriers of hints.
    pub(super) discovery: Discovery,
    /// What the Node does not know of services.
    pub(super) services: Services,
    /// Names for this machine's programs.
    pub(super) names: Names,
    /// Subnets, others' and our own.
    pub(super) routes: Routes,
    /// The way out by another machine.
    pub(super) exit: Exit,
    /// Whose questions about names of others are passed on. It outlives the server, which is started anew with its settings.
    pub(super) forwarding: Forwarding,
    /// What has happened.
    pub(super) tally: Tally,
    /// The port where metrics are given.
    pub(super) exporter: Exporter,
    /// The configuration, and what is needed to take another.
    pub(super) reload: Reload,
    /// Addresses that the Node wants to be dialled by TCP.
    pub(super) dials: Vec<std::net::SocketAddr>,
    /// Streams that it wants no more.
    pub(super) closed_streams: Vec<u32>,
    /// The way to the service manager.
    pub(super) notifier: Notifier,
    to_worker: mpsc::SyncSender<ToWorker>,
    deadline: Instant,
    new_addresses: bool,
    ending: Option<(Ending, Option<Answer>)>,
    pub(super) interface: String,
    pub(super) mtu: u32,
    /// Whether it was configured.
    pub(super) is_mtu_fixed: bool,
    /// What it is to be, when it is to be something else.
    pub(super) wanted_mtu: Option<u32>,
    socket: PathBuf,
    pub(super) started: Instant,
    pub(super) advertised: Vec<Candidate>,
    /// What of the state is not on the disk as it should be, and why.
    unwritten: BTreeMap<overlay::state::StateFile, String>,
    pub(super) host_problem: Option<String>,
}

/// Runs a node to its end.
pub(super) async fn run(started: Started, on_ready: impl FnOnce(&Ready)) -> Result<()> {
    let Started { paths, directory, loaded, is_new, udp, tun, netlink, socket, settings, source, exit } =
        started;
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [interrupt, terminate, hangup] = signals;
    let signals = [interrupt?, terminate?, hangup?];
    let door = wire::secret::guest_door_key(&loaded.identity.noise.to_bytes());
    let routes = Routes::new(&loaded.network, &loaded.offers, &settings.routes);
    let mut node = make_node(loaded, &settings);
    node.handle_offers(routes.offers.clone(), clock::now());
    let (guests, knocks) = Guests::new(door, node.drops());
    let (to_node, from_worker) = channel::channel(SLOW_MAX);
    let (to_worker, from_node) = mpsc::sync_channel(RELEASED_MAX);
    let mut outside = Outside::start(&settings, udp.port());
    let (ask, asked) = channel::channel(ASKS_MAX);
    let (requests, requested) = channel::channel(REQUESTS_MAX);
    let reload = Reload::new(settings.clone(), source, (ask, requests.clone()), tun.index());
    let mut driver = Driver::new(
        (node, outside.sender(), guests.clone(), (routes, exit)),
        udp,
        directory,
        to_worker,
        (&settings, reload),
        (tun.name(), paths.socket),
    )?;
    driver.configure_host(&netlink).await?;
    driver.house(&driver.node.hosted_guests());
    driver.resume_exit();
    driver.start_names(&settings.dns).await;
    driver.exporter.follow(settings.metrics.listen, &requests).await;
    driver.discovery.look_at_links(&netlink).await;
    driver.look_at_prefixes(&netlink).await;
    driver.look_at_addresses(&netlink).await;
    driver.node.handle_carriers(driver.discovery.carriers(), clock::now());
    outside.look_at_gateway(&netlink).await;
    driver.node.handle_stream_port(outside.stream_port(), clock::now());
    let wire = driver.shared.clone();
    let places = driver.guest_places.clone();
    let guest_thread =
        GuestThread::start(guests, (knocks, places), move |remote, bytes| wire.send(remote, bytes))?;
    let crew = Crew::start(tun, &driver.shared, &to_node, from_node)?;
    drop(to_node);
    driver.declare(settings.service);
    let (shutdown, shut) = oneshot::channel::<()>();
    let server = tokio::spawn(control::serve(socket, requests, async move {
        let _closed = shut.await;
    }));
    let ready = driver.ready(is_new);
    on_ready(&ready);
    tracing::info!(interface = %driver.interface, "up");
    driver.notifier = Notifier::from_environment();
    driver.tell_supervisor(Notifier::ready);
    driver.turn((&netlink, &mut outside), signals, from_worker, (requested, asked)).await?;
    driver.notifier.stopping();
    outside.close().await;
    driver.routes.close(&netlink, &driver.directory).await;
    if matches!(driver.ending, Some((Ending::Leave, _))) {
        driver.exit.leave(&driver.directory).await;
    }
    std::mem::take(&mut driver.names).close(&driver.directory).await;
    driver.keep_guest_places();
    guest_thread.stop();
    let outcome = driver.finish(crew);
    drop(shutdown);
    server.await.context("the control server failed")?;
    outcome
}

fn make_node(loaded: Loaded, settings: &config::Settings) -> Node {
    let params = Params {
        identity: loaded.identity,
        network: loaded.network,
        invites: loaded.invites,
        records: loaded.records,
        contacts: loaded.contacts,
        publications: loaded.publications,
        guests: loaded.guests,
        leases: loaded.leases,
        rekey_after: Duration::from_secs(settings.session.rekey_after_s),
        suites: quick_suites(),
        revisions: wire::Revisions::OURS,
        full_replication_max: settings.registry.full_replication_max,
        hop: hop_params(settings),
        exit: exit_params(settings),
        streams: match (settings.stream.enabled, loaded.by_tcp) {
            (false, _) => DialStreams::Never,
            (true, false) => DialStreams::WhenAlone,
            (true, true) => DialStreams::AtOnce,
        },
        mtu_max: settings.interface.mtu.unwrap_or(overlay::MTU_MAX),
        seed: entropy::seed(),
        unix_s: clock::unix_s(),
    };
    Node::new(params, clock::now())
}

/// What this machine carries for others.
pub(super) fn hop_params(settings: &config::Settings) -> overlay::HopParams {
    overlay::HopParams { enabled: settings.hop.enabled, rate_max: settings.hop.bytes_per_second() }
}

/// What this machine forwards to the internet for others, once it is an exit.
pub(super) fn exit_params(settings: &config::Settings) -> overlay::ExitParams {
    overlay::ExitParams { rate_max: settings.exit.bytes_per_second() }
}

impl Driver {
    fn new(
        (mut node, streams, guests, (routes, exit)): (
            Node,
            Option<StreamSender>,
            Arc<Guests>,
            (Routes, Exit),
        ),
        udp: Udp,
        directory: StateDirectory,
        to_worker: mpsc::SyncSender<ToWorker>,
        (settings, reload): (&config::Settings, Reload),
        (interface, socket): (&str, PathBuf),
    ) -> Result<Self> {
        let shared = Shared {
            udp,
            tables: ArcSwap::new(node.snapshot()),
            drops: node.drops(),
            streams,
            too_long_told: AtomicBool::new(false),
            guests,
            asks_stun: !settings.stun.servers.is_empty(),
            stun_budget: Mutex::new(Budget::new(clock::now())),
            wakes: (0..worker::count(settings.interface.workers).get())
                .map(|_| Wake::new())
                .collect::<std::io::Result<_>>()?,
            stop: AtomicBool::new(false),
        };
        let now = clock::now();
        let zone = Arc::new(ArcSwap::new(node.zone()));
        let discovery = Discovery::start(settings, state::load_dht(&directory));
        let guest_places = state::load_places(&directory);
        Ok(Self {
            node,
            pings: vec![],
            asks: vec![],
            found: vec![],
            new_guests: vec![],
            guest_places,
            write_failure: None,
            directory,
            shared: Arc::new(shared),
            zone: zone.clone(),
            outside: report::Outside::default(),
            discovery,
            services: Services::new(interface, zone),
            names: Names::default(),
            routes,
            exit,
            forwarding: Forwarding::default(),
            tally: Tally::default(),
            exporter: Exporter::default(),
            reload,
            dials: vec![],
            closed_streams: vec![],
            notifier: Notifier::default(),
            to_worker,
            deadline: now,
            new_addresses: false,
            ending: None,
            interface: interface.to_owned(),
            mtu: settings.interface.mtu.unwrap_or(overlay::MTU_ASSUMED).into(),
            is_mtu_fixed: settings.interface.mtu.is_some(),
            wanted_mtu: None,
            socket,
            started: now,
            advertised: advertised(settings),
            unwritten: BTreeMap::new(),
            host_problem: None,
        })
    }

    /// The loop: waits for whatever comes first, until the node is to end.
    async fn turn(
        &mut self,
        (netlink, outside): (&Netlink, &mut Outside),
        [mut interrupt, mut terminate, mut hangup]: [Signal; 3],
        mut from_worker: channel::Receiver<ToNode>,
        (mut requested, mut asked): (channel::Receiver<Request>, channel::Receiver<Ask>),
    ) -> Result<()> {
        let mut changes = netlink.changes()?;
        let mut firewall = nftables::Notices::open();
        let mut wall_clock = tokio::time::interval(WALL_CLOCK_INTERVAL);
        let mut heartbeat = self.notifier.interval().map(tokio::time::interval);
        while self.ending.is_none() {
            let deadline = self.guests_deadline().map_or(self.deadline, |at| at.min(self.deadline)).into();
            tokio::select! {
                message = from_worker.recv() => match message {
                    Some(message) => self.take_slow(message, &mut from_worker, outside),
                    // The workers have ended by themselves: the interface is gone.
                    None => self.end(Ending::Down, None),
                },
                Some(request) = requested.recv() => self.take_request(request),
                Some(ask) = asked.recv() => self.take_ask(ask),
                happening = self.discovery.next() => {
                    self.discovery.pass_on(happening, &mut self.node);
                    self.keep_dht_contacts();
                    self.pump();
                }
                Ok(()) = changes.next() => {
                    self.discovery.look_at_links(netlink).await;
                    self.look_at_prefixes(netlink).await;
                    self.look_at_addresses(netlink).await;
                    outside.look_at_gateway(netlink).await;
                    self.hold_diversion(netlink).await;
                }
                Ok(()) = firewall.next() => self.hold_rules().await,
                happening = outside.next() => self.take_outside(outside, happening),
                verdict = self.services.health.next() => self.take_verdict(&verdict),
                _ = wall_clock.tick() => {
                    self.node.handle_wall_clock(clock::unix_s(), clock::now());
                    self.declare_again();
                    self.keep_guest_places();
                    self.open_fronts_again();
                    self.lead_names();
                }
                () = beat(&mut heartbeat) => self.tell_supervisor(Notifier::tick),
                () = tokio::time::sleep_until(deadline) => self.pump(),
                _ = interrupt.recv() => self.end(Ending::Down, None),
                _ = terminate.recv() => self.end(Ending::Down, None),
                _ = hangup.recv() => self.ask_reload(None),
            }
            self.pump_outside(outside);
            self.follow_mtu(netlink).await;
            self.follow_exit(netlink).await;
            self.follow_routes(netlink).await;
            self.run_reload(netlink).await;
            if std::mem::take(&mut self.new_addresses) {
                self.readdress_host(netlink).await;
                self.names.readdress(&self.own(), &self.directory).await;
                self.look_after_services();
            }
        }
        Ok(())
    }

    /// Carries out what the Node wants, until it waits.
    pub(super) fn pump(&mut self) {
        let mut woken = false;
        loop {
            match self.node.poll_output(clock::now()) {
                Output::Transmit { remote, bytes, ttl } => self.shared.send_with_ttl(remote, &bytes, ttl),
                Output::TransmitWhole { remote, bytes, probe } => {
                    if !self.shared.send_whole(remote, &bytes) {
                        self.node.handle_refused(probe, clock::now());
                    }
                }
                Output::InterfaceMtu(mtu) => self.wanted_mtu = Some(mtu.into()),
                Output::Beacon(bytes) => self.discovery.beacon(&bytes),
                Output::Dht(request) => self.discovery.ask_dht(request),
                Output::Dial(address) => self.dials.push(address),
                Output::CloseStream(number) => self.closed_streams.push(number),
                Output::OpenSockets { first, count } => self.open_sockets(first, count),
                Output::CloseSockets { first, count } => {
                    (first.0..first.0.saturating_add(count))
                        .for_each(|id| self.shared.udp.close_spare(SocketId(id)));
                }
                Output::Publish(tables) => self.shared.tables.store(tables),
                Output::Release(packets) => {
                    packets.into_iter().for_each(|packet| self.tell_worker(ToWorker::Released(packet)));
                    woken = true;
                }
                Output::Unreachable { packet, reason } => {
                    self.tell_worker(ToWorker::Unreachable(packet, reason));
                    woken = true;
                }
                Output::Persist { file, bytes, ticket } => {
                    let written = state::write(&self.directory, file, &bytes);
                    self.node.handle_persisted(ticket, written.is_ok(), clock::now());
                    match written {
                        Ok(()) => drop(self.unwritten.remove(&file)),
                        Err(error) => {
                            tracing::error!("{error}");
                            self.write_failure = Some(error.to_string());
                            self.unwritten.insert(file, error.to_string());
                        }
                    }
                }
                Output::PingDone { ticket, outcome } => self.ping_done(ticket, outcome),
                Output::Addresses(addresses) => {
                    tracing::info!(?addresses, "an admin has given this machine other mesh addresses");
                    self.new_addresses = true;
                }
                Output::Guests(hosted) => self.house(&hosted),
                Output::Routes(routes) => self.routes.wanted = Some(routes),
                Output::Zone(zone) => {
                    self.services.handle_zone(zone.clone());
                    self.zone.store(zone);
                }
                Output::Found { name, zone } => self.found.push((name, zone)),
                Output::Event(event) => {
                    self.tally.note(&event);
                    events::log(&event);
                }
                Output::Wait(deadline, _) => {
                    self.deadline = deadline;
                    break;
                }
            }
        }
        if woken {
            self.shared.wake_first();
        }
        self.tell_found();
        self.tell_guests();
    }

    fn open_sockets(&self, first: SocketId, count: u16) {
        for id in first.0..first.0.saturating_add(count) {
            if let Err(error) = self.shared.udp.open_spare(SocketId(id)) {
                tracing::debug!(id, %error, "a spare socket could not be opened");
            }
        }
    }

    pub(super) fn tell_worker(&self, message: ToWorker) {
        if self.to_worker.try_send(message).is_err() {
            self.shared.drops.count(overlay::DropReason::StagedFull);
        }
    }

    fn take_slow(&mut self, first: ToNode, more: &mut channel::Receiver<ToNode>, outside: &mut Outside) {
        let more = std::iter::from_fn(|| more.try_recv().ok()).take(SLOW_BATCH);
        for message in std::iter::once(first).chain(more) {
            match message {
                ToNode::Slow(input, remote) => self.node.handle_slow(input, remote, clock::now()),
                ToNode::Stun(from, bytes) => self.take_stun(outside, from, &bytes),
                ToNode::TooLong(remote) => {
                    self.shared.too_long_told.store(false, Relaxed);
                    self.node.handle_too_long(remote, clock::now());
                }
                ToNode::Packet(position, packet) => self.node.handle_packet(position, packet, clock::now()),
            }
        }
        self.pump();
    }

    /// Ends the loop; who asked for it is answered when the host is left.
    pub(super) fn end(&mut self, ending: Ending, reply: Option<Answer>) {
        self.pump();
        self.node.close(clock::now());
        self.pump();
        self.ending = Some((ending, reply));
    }

    /// Stops the workers, which takes the interface away, gives the state back or removes it, and answers.
    fn finish(self, crew: Crew) -> Result<()> {
        let worked = crew.stop();
        let (ending, reply) = self.ending.unwrap_or((Ending::Down, None));
        if ending == Ending::Leave {
            // The socket may lie in the directory; whoever has called is answered all the same.
            let _absent = std::fs::remove_file(&self.socket);
            let wiped = self.directory.wipe()?;
            if !wiped.left.is_empty() {
                tracing::warn!(left = ?wiped.left, "files in the state directory that are not ours were left");
            }
        } else {
            drop(self.directory);
        }
        if let Some(reply) = reply {
            let _gone = reply.send(Ok(Reply::Done));
        }
        tracing::info!("down");
        worked
    }

    pub(super) fn own(&self) -> Claims {
        self.node.view(clock::now()).own
    }

    pub(super) fn status(&self) -> api::StatusReply {
        let now = clock::now();
        let view = self.node.view(now);
        let around = Surroundings {
            interface: &self.interface,
            mtu: self.mtu,
            listen: self.shared.udp.local_addresses().iter().map(ToString::to_string).collect(),
            uptime: now.saturating_duration_since(self.started),
            drops: &self.shared.drops,
            outside: &self.outside(),
            problems: self.problems(&view),
            names: self.names.view(),
            guests: self.guest_views(),
            fronts: self.services.fronts.views().map(report::front).collect(),
            exits: self.exits(),
        };
        report::status(&view, around)
    }

    /// One sentence for each thing that is wrong and that the Node does not know.
    pub(super) fn problems(&self, view: &View) -> Vec<String> {
        let here = [self.disk_problem(), self.host_problem.clone(), self.dht_problem(view)];
        here.into_iter()
            .flatten()
            .chain(self.service_problems())
            .chain(self.names.problems())
            .chain(self.routes.problem.clone())
            .chain(self.exit.problem.clone())
            .chain(self.exporter.problem())
            .chain(self.reload.problem())
            .collect()
    }

    fn disk_problem(&self) -> Option<String> {
        let (_, why) = self.unwritten.first_key_value()?;
        let others = match self.unwritten.len() {
            1 => String::new(),
            all => format!(", nor can {} other files", all - 1),
        };
        Some(format!(
            "State cannot be written{others}: {why}. It is tried again every few seconds; until then a restart forgets what is new."
        ))
    }

    fn ready(&mut self, is_new: bool) -> Ready {
        let view = self.node.view(clock::now());
        let request = InviteRequest {
            name: None,
            address: None,
            role: InviteRole::Member,
            life: FIRST_INVITE_LIFE,
            services: vec![],
        };
        let invite = is_new.then(|| self.invite(&request).ok()).flatten();
        Ready {
            network_name: view.network_name.to_string(),
            network_id: view.own.network.to_string(),
            ipv4_range: view.own.ipv4.trunc().to_string(),
            ipv6_prefix: wire::address::ipv6_prefix(&view.own.network).to_string(),
            node_name: view.own.name.to_string(),
            node_id: view.own.node.to_string(),
            addresses: vec![IpAddr::V4(view.own.ipv4.addr()), IpAddr::V6(view.own.ipv6())],
            roles: report::roles(&view.own),
            interface: self.interface.clone(),
            mtu: self.mtu,
            listen: self.shared.udp.local_addresses(),
            invite: invite.map(|invite| invite.to_string()),
        }
    }
}
