//! Guests, for the control thread: what people want, and how the tunnels are.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use overlay::fastpath::GUEST_MTU;
use overlay::{
    GuestRequest, GuestView, HostedGuest, HostedGuests, PortMappingView, RouteState, RouteView, is_private,
};
use wire::Name;

use super::driver::Driver;
use super::report;
use super::requests::{Answer, refusal};
use super::routes::everything;
use super::state;
use crate::control::{Refusal, RefusalKind, Reply};
use crate::io::clock;

/// An admin that is up gives an address within a second, another one in its stead after `GRANT_DELAY_S` more.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(10);
/// Where programs ask for names.
const DNS_PORT: u16 = 53;

/// Somebody who waits for the address of a guest.
pub(super) struct NewGuest {
    name: Name,
    /// Whether it is to send everything through the tunnel.
    is_full: bool,
    until: Instant,
    reply: Answer,
}

impl Driver {
    /// Takes a guest in; the answer comes with its address.
    pub(super) fn add_guest(&mut self, request: GuestRequest, is_full: bool, reply: Answer) {
        if is_full && !self.leads_out() {
            let message = "this machine leads nowhere but into the mesh: `hopmesh exit offer` makes it an exit, or `hopmesh exit use NODE` \
                has it use one; then add the guest again";
            let _gone = reply.send(Err(Refusal::new(RefusalKind::Precondition, message.to_owned())));
            return;
        }
        let name = request.name.clone();
        self.write_failure = None;
        let added = self.node.add_guest(request, clock::now()).map_err(|error| refusal(&error));
        let until = clock::now() + ADDRESS_TIMEOUT;
        let added = added.and_then(|()| {
            self.pump();
            self.kept()
        });
        match added {
            Ok(()) => self.new_guests.push(NewGuest { name, is_full, until, reply }),
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
        self.pump();
    }

    /// Takes who our guests are by now: only they have tunnels, and as they may know no other server their questions about names of
    /// others are passed on.
    pub(super) fn house(&mut self, hosted: &HostedGuests) {
        self.shared.guests.set(hosted);
        self.permit_names();
    }

    pub(super) fn remove_guest(&mut self, name: &Name) -> Result<Reply, Refusal> {
        self.write_failure = None;
        self.node.remove_guest(name, clock::now()).map_err(|error| refusal(&error))?;
        self.pump();
        self.kept()?;
        Ok(Reply::GuestRemoved(api::RemoveGuestReply { name: name.to_string() }))
    }

    pub(super) fn guests_deadline(&self) -> Option<Instant> {
        self.new_guests.iter().map(|new| new.until).min()
    }

    /// Answers those whose guests have an address by now, or get none.
    pub(super) fn tell_guests(&mut self) {
        if self.new_guests.is_empty() {
            return;
        }
        let (now, hosted) = (clock::now(), self.node.hosted_guests());
        for new in std::mem::take(&mut self.new_guests) {
            let guest = hosted.values().find(|guest| guest.name == new.name);
            match guest {
                Some(guest) if guest.v4.is_none() && now < new.until => self.new_guests.push(new),
                Some(guest) if guest.v4.is_some() => {
                    let added = self.guest_added(guest, new.is_full);
                    let _gone = new.reply.send(Ok(Reply::GuestAdded(Box::new(added))));
                }
                Some(_) | None => {
                    let _was_there = self.node.remove_guest(&new.name, now);
                    let message = "no admin of the network has given the guest an IPv4 address: start an admin's machine \
                        (`hopmesh status` there shows the role), then add the guest again. If one runs, the range may be full: \
                        remove guests, or revoke machines that are gone";
                    let _gone = new.reply.send(Err(Refusal::new(RefusalKind::Timeout, message.to_owned())));
                    // Its tunnel ends now, not when something else happens. It is nobody's any more, so this comes once.
                    self.pump();
                }
            }
        }
    }

    /// Writes where guests are, for who starts next, when that has changed.
    pub(super) fn keep_guest_places(&mut self) {
        let places = self.shared.guests.places();
        // Those that have not been heard since the start may still be where they were.
        let is_known = |key: &wire::GuestKey| places.iter().any(|(known, _)| known == key);
        let hosted = self.node.hosted_guests();
        let before = self
            .guest_places
            .iter()
            .filter(|(key, _)| !is_known(key) && hosted.values().any(|guest| guest.key == *key));
        let places: Vec<state::Place> = before.copied().chain(places.iter().copied()).collect();
        if places != self.guest_places {
            self.guest_places = places;
            if let Err(error) = state::save_places(&self.directory, &self.guest_places) {
                tracing::warn!("where guests are cannot be kept: {error}");
            }
        }
    }

    /// The guests of all nodes, and how our own are.
    pub(super) fn guest_views(&self) -> Vec<api::Guest> {
        let hosted = self.node.hosted_guests();
        let own = self.node.zone().own;
        let view = |guest: GuestView| {
            let at = hosted.iter().find(|(_, ours)| guest.host == own && ours.name == guest.name);
            let state = at.map(|(position, _)| self.shared.guests.state(*position)).unwrap_or_default();
            api::Guest {
                name: guest.name.to_string(),
                host: guest.host_name.to_string(),
                addresses: guest.addresses.iter().map(ToString::to_string).collect(),
                public_key: guest.key.0.to_vec(),
                is_own: guest.host == own,
                remote: state.remote.and_then(|remote| remote.address()).map(|address| address.to_string()),
                last_handshake_s: state.last_handshake.map(|age| age.as_secs_f64()),
                rx_bytes: state.rx_bytes,
                tx_bytes: state.tx_bytes,
            }
        };
        self.node.guests().into_iter().map(view).collect()
    }

    /// What a guest's configuration needs.
    fn guest_added(&self, guest: &HostedGuest, is_full: bool) -> api::AddGuestReply {
        let own = self.own();
        let host = own.name.to_string();
        let addresses = guest.v4.map(IpAddr::V4).into_iter().chain([IpAddr::V6(guest.v6)]);
        let names = self.names.view();
        let listen = names.iter().flat_map(|names| &names.listen);
        let answered: Vec<SocketAddr> = listen.filter_map(|address| address.parse().ok()).collect();
        let mesh = report::addresses(&own);
        let is_answered = |address: &&String| {
            answered.iter().any(|a| a.port() == DNS_PORT && a.ip().to_string() == **address)
        };
        let dns: Vec<String> = mesh.iter().filter(is_answered).cloned().collect();
        let (endpoints, warning) = self.endpoints();
        let mesh_prefixes = own.network_prefixes().map(|prefix| prefix.to_string());
        // Subnets that are reached from here are reached by way of here.
        let reached = |view: &RouteView| matches!(view.state, RouteState::Taken(_) | RouteState::Served);
        let subnets = self.node.routes().into_iter().filter(reached).map(|view| view.prefix.to_string());
        let allowed_ips = match is_full {
            true => everything().map(|any| any.to_string()).to_vec(),
            false => mesh_prefixes.into_iter().chain(subnets).collect(),
        };
        api::AddGuestReply {
            guest: Some(api::Guest {
                name: guest.name.to_string(),
                host,
                addresses: addresses.map(|address| address.to_string()).collect(),
                public_key: guest.key.0.to_vec(),
                is_own: true,
                ..api::Guest::default()
            }),
            host_public_key: self.shared.guests.public_key().0.to_vec(),
            endpoints,
            allowed_ips,
            domain: names.filter(|_| !dns.is_empty()).map_or_else(String::new, |names| names.domain),
            dns,
            mtu: GUEST_MTU.into(),
            warning,
        }
    }

    /// Where this machine may be dialled, the best first, and a word when that may not do.
    fn endpoints(&self) -> (Vec<String>, Option<String>) {
        let netcheck = self.node.netcheck(clock::now());
        let mapped = match self.outside().port_mapping {
            PortMappingView::Mapped { external, .. } => Some(external),
            PortMappingView::Unknown
            | PortMappingView::Off
            | PortMappingView::Asking
            | PortMappingView::Failed { .. } => None,
        };
        let advertised: Vec<SocketAddr> =
            self.advertised.iter().map(wire::Candidate::socket_address).collect();
        let told = netcheck.candidates.iter().map(wire::Candidate::socket_address);
        let mut endpoints: Vec<SocketAddr> = advertised.iter().copied().chain(mapped).chain(told).collect();
        let rank = |address: &SocketAddr| {
            let is_certain = advertised.contains(address) || Some(*address) == mapped;
            (!is_certain, is_private(address.ip()), address.is_ipv6())
        };
        endpoints.sort_by_key(rank);
        endpoints.dedup();
        let port = self.shared.udp.port();
        let is_certain = !advertised.is_empty() || mapped.is_some() || netcheck.is_anchor;
        let is_open = !netcheck.profile.translates && endpoints.first().is_some_and(|a| !is_private(a.ip()));
        let warning = (!is_certain && !is_open).then(|| {
            format!(
                "Nobody has dialled this machine from outside, so the guest may reach it on its own network only: have the router \
                 pass UDP port {port} on to it, or set `addresses.advertise` in the configuration to where it can be dialled, or add \
                 the guest on another machine."
            )
        });
        (endpoints.iter().map(ToString::to_string).collect(), warning)
    }
}
