//! The carriers of hints, as the driver sees them: the LAN's group, names of seeds, the DHT.
//!
//! Each has its own module that does the work; here their news become calls of the Node, and what the Node wants goes to
//! them. What does not get through is lost like a datagram: the Node asks again.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use overlay::{Carriers, DhtEvent, DhtRequest, DhtState, DhtView, Node, PeerState, PeerView, View};

use super::driver::Driver;
use super::state;
use crate::discovery::dht::{self, Dht, Ended};
use crate::discovery::seeds::Seeds;
use crate::io::clock;
use crate::io::multicast::{Heard, Interface, Multicast};
use crate::io::netlink::Netlink;

/// Room for the longest datagram that means something, and one byte more, so that longer ones are none.
const DATAGRAM_ROOM: usize = wire::datagram::SLOW_LENGTH_MAX + 1;

/// Nodes of the DHT are written down at most this often, unless there are more of them than before.
const CONTACTS_INTERVAL: Duration = Duration::from_secs(600);

/// The parts.
pub(super) struct Discovery {
    lan: Option<Multicast>,
    seeds: Seeds,
    dht: Option<Dht>,
    buffer: Box<[u8]>,
    state: DhtState,
    /// The nodes of the DHT that were written down last, and when.
    kept: (Vec<SocketAddrV4>, Option<Instant>),
    interfaces: Vec<Interface>,
}

/// What has happened to one of them.
pub(super) enum Happening {
    /// Somebody has sent this to the group.
    Heard(SocketAddr, Vec<u8>),
    /// A seed's name is these addresses.
    Seed(Vec<SocketAddr>),
    /// The DHT says something.
    Dht(dht::Event),
}

impl Discovery {
    /// Takes other seeds. To be called in a tokio runtime.
    pub(super) fn set_seeds(&mut self, seeds: Vec<config::HostPort>) {
        self.seeds = Seeds::new(seeds);
    }

    /// Starts what the configuration wants. To be called in a tokio runtime.
    pub(super) fn start(settings: &config::Settings, contacts: Vec<SocketAddrV4>) -> Self {
        let dht = dht_settings(settings, contacts.clone()).map(Dht::start);
        Self {
            lan: settings.lan.enabled.then(Multicast::new),
            seeds: Seeds::new(settings.addresses.seeds.clone()),
            dht,
            buffer: vec![0; DATAGRAM_ROOM].into(),
            state: DhtState::default(),
            kept: (contacts, None),
            interfaces: vec![],
        }
    }

    /// What carries hints here.
    pub(super) fn carriers(&self) -> Carriers {
        Carriers { lan: self.lan.is_some(), dht: self.dht.is_some() }
    }

    /// The machine's links or addresses may be others: the group is joined on those of now.
    pub(super) async fn look_at_links(&mut self, netlink: &Netlink) {
        let interfaces = match netlink.lan_interfaces().await {
            Ok(interfaces) => interfaces,
            Err(error) => return tracing::warn!("{error}; beacons go where they went"),
        };
        for (interface, error) in self.lan.iter_mut().flat_map(|lan| lan.join(&interfaces)) {
            tracing::debug!(interface = interface.name, %error, "no beacons on this interface");
        }
        if interfaces != self.interfaces {
            self.interfaces = interfaces;
            self.seeds.refresh();
        }
    }

    /// The next thing that happens; can be cancelled without losing any.
    pub(super) async fn next(&mut self) -> Happening {
        let Self { lan, seeds, dht, buffer, .. } = self;
        tokio::select! {
            Heard { from, length, .. } = hear(lan, buffer) => Happening::Heard(from, buffer[..length].to_vec()),
            resolved = seeds.next() => Happening::Seed(resolved.addresses),
            event = tell(dht) => Happening::Dht(event),
        }
    }

    /// Tells the Node.
    pub(super) fn pass_on(&mut self, happening: Happening, node: &mut Node) {
        let now = clock::now();
        match happening {
            Happening::Heard(from, bytes) => node.handle_group(&bytes, from, now),
            Happening::Seed(addresses) => node.handle_seed(&addresses, now),
            Happening::Dht(event) => {
                if let Some(event) = self.event(event) {
                    node.handle_dht(event, now);
                }
            }
        }
    }

    fn event(&mut self, event: dht::Event) -> Option<DhtEvent> {
        let event = dht_event(event)?;
        if let DhtEvent::State(state) = &event {
            self.state.clone_from(state);
        }
        Some(event)
    }

    /// Nodes of the DHT that are to be written down now.
    fn contacts_to_keep(&mut self, now: Instant) -> Option<&[SocketAddrV4]> {
        let (kept, at) = &mut self.kept;
        let found = &self.state.contacts;
        let is_due = found.len() > kept.len() || at.is_none_or(|at| now >= at + CONTACTS_INTERVAL);
        if found.is_empty() || found == kept || !is_due {
            return None;
        }
        (*kept, *at) = (found.clone(), Some(now));
        Some(kept)
    }

    /// Sends a datagram to the group.
    pub(super) fn beacon(&self, bytes: &[u8]) {
        let sent = self.lan.as_ref().map_or(0, |lan| lan.send(bytes));
        tracing::trace!(sent, "beacon");
    }

    /// Asks the DHT.
    pub(super) fn ask_dht(&mut self, request: DhtRequest) {
        if request == DhtRequest::Refresh {
            self.seeds.refresh();
        }
        if self.dht.as_ref().is_some_and(|dht| dht.command(request).is_err()) {
            tracing::debug!("the DHT has more to do than it can");
        }
    }
}

/// How the DHT's client runs by the configuration, if it does; with these nodes to enter by as well.
pub(super) fn dht_settings(
    settings: &config::Settings,
    contacts: Vec<SocketAddrV4>,
) -> Option<dht::Settings> {
    let bootstrap = settings.dht.bootstrap.clone();
    settings.dht.enabled.then_some(dht::Settings { bootstrap, contacts, bind: Ipv4Addr::UNSPECIFIED })
}

/// What the pure side is told of an event, if it is.
pub(super) fn dht_event(event: dht::Event) -> Option<DhtEvent> {
    Some(match event {
        dht::Event::Value { seed, bytes, .. } => DhtEvent::Value { seed, bytes },
        dht::Event::Peers { addresses, .. } => DhtEvent::Peers(addresses),
        dht::Event::Ended(Ended::Put { seed, nodes }) => DhtEvent::Put { seed, nodes },
        dht::Event::Ended(Ended::Get { seed, .. }) => DhtEvent::Got { seed },
        dht::Event::Ended(Ended::Announce { .. } | Ended::Lookup { .. }) => return None,
        dht::Event::State(state) => DhtEvent::State(DhtState {
            is_entered: state.bootstrapped,
            nodes: u32::try_from(state.nodes).unwrap_or(u32::MAX),
            contacts: state.contacts,
        }),
    })
}

impl Driver {
    /// Writes down a few nodes of the DHT, to enter it by after a restart.
    pub(super) fn keep_dht_contacts(&mut self) {
        if let Some(contacts) = self.discovery.contacts_to_keep(clock::now())
            && let Err(error) = state::save_dht(&self.directory, contacts)
        {
            tracing::debug!(%error, "nodes of the DHT are not written down");
        }
    }

    /// What keeps a node waiting that has nobody but the DHT to ask.
    pub(super) fn dht_problem(&self, view: &View) -> Option<String> {
        let is_connected = |peer: &PeerView| peer.state == PeerState::Connected;
        let is_alone = !view.peers.is_empty() && !view.peers.iter().any(is_connected);
        let waits = self.discovery.dht.is_some() && !self.discovery.state.is_entered && is_alone;
        waits.then(|| "The DHT does not answer either, by which members find each other: allow UDP to the internet, or name a DHT node by `dht.bootstrap`.".to_owned())
    }

    /// How it goes with the DHT, for people.
    pub(super) fn dht_view(&self) -> DhtView {
        let state = &self.discovery.state;
        let published = self.node.last_published();
        DhtView {
            is_enabled: self.discovery.dht.is_some(),
            nodes: state.nodes,
            is_bootstrapped: state.is_entered,
            last_published: published.map(|at| clock::now().saturating_duration_since(at)),
        }
    }
}

async fn hear(lan: &mut Option<Multicast>, buffer: &mut [u8]) -> Heard {
    match lan {
        Some(lan) => lan.receive(buffer).await,
        None => std::future::pending().await,
    }
}

async fn tell(dht: &mut Option<Dht>) -> dht::Event {
    match dht {
        Some(dht) => dht.next().await,
        None => std::future::pending().await,
    }
}
