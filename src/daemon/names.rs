//! Names for this machine's programs: the DNS server beside the Node, and what the host's resolver is told of it.
//!
//! Nothing here keeps a node from coming up: what does not work is a problem of `status`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use config::DnsHost;
use tokio::sync::mpsc;
use wire::address::ipv6_prefix;
use wire::credential::Claims;

use crate::dns::{Ask, Counted, Dns, Domain, Forwarding, loopback_address};
use crate::resolver::{Host, Kind, Plan, Resolver, Zone, restore};
use crate::store::StateDirectory;

/// Where resolvers ask; most know no other port.
const PORT: u16 = 53;

/// The server and the host's resolver, as far as they are wanted.
#[derive(Default)]
pub(super) struct Names {
    server: Option<Server>,
    resolver: Option<Resolver>,
    /// Whether the host asks for all names, not for ours alone.
    is_everything: bool,
    /// Why there is no server, or why the host does not ask it.
    problem: Option<String>,
}

/// The server, and what is asked of it.
struct Server {
    dns: Dns,
    domain: String,
    /// The configuration's own addresses.
    listen: Option<Vec<SocketAddr>>,
    interface: String,
    index: u32,
}

impl Names {
    /// Answers names, and has the host ask for them, once the interface has its addresses.
    pub(super) async fn start(
        settings: &config::Dns,
        (zone, asks, forwarding): (Arc<ArcSwap<overlay::Zone>>, mpsc::Sender<Ask>, Forwarding),
        own: &Claims,
        (interface, index): (&str, u32),
        (state, is_everything): (&StateDirectory, bool),
    ) -> Self {
        if !settings.enabled {
            return Self { is_everything, ..Self::default() };
        }
        let listen = settings.listen.clone();
        let addresses = addresses(listen.as_deref(), own);
        let network = zone.load().network.clone();
        let v6 = ipv6_prefix(&own.network);
        let started = Domain::new(&network, &settings.suffix, own.ipv4.trunc(), v6)
            .map_err(|error| error.to_string())
            .and_then(|domain| {
                let name = domain.name();
                let dns = Dns::start_asking(zone, domain, addresses, (asks, forwarding))
                    .map_err(|error| error.to_string())?;
                Ok((dns, name))
            });
        let (dns, domain) = match started {
            Ok(started) => started,
            Err(error) => {
                let problem = format!("Names are not answered: {error}.");
                tracing::warn!("{problem}");
                return Self { problem: Some(problem), is_everything, ..Self::default() };
            }
        };
        tracing::info!(%domain, addresses = ?dns.addresses(), "names are answered");
        let server = Server { dns, domain, listen, interface: interface.to_owned(), index };
        let resolver = match settings.host {
            DnsHost::Auto => Some(Resolver::detect(Host::default()).await),
            DnsHost::Off => None,
        };
        let mut names = Self { server: Some(server), resolver, is_everything, problem: None };
        names.tell_host(own, state).await;
        names
    }

    /// Takes that the mesh addresses are others.
    pub(super) async fn readdress(&mut self, own: &Claims, state: &StateDirectory) {
        if let Some(Server { dns, listen, .. }) = &mut self.server {
            dns.rebind(addresses(listen.as_deref(), own));
            self.tell_host(own, state).await;
        }
    }

    /// Has the host ask for all names, or for ours alone again.
    pub(super) async fn ask_everything(&mut self, is_everything: bool, own: &Claims, state: &StateDirectory) {
        if std::mem::replace(&mut self.is_everything, is_everything) != is_everything {
            self.tell_host(own, state).await;
        }
    }

    /// Leaves the host as it was found, while names are still answered, and answers no more.
    pub(super) async fn close(self, state: &StateDirectory) {
        if let Some(mut resolver) = self.resolver
            && let Err(error) = resolver.revert(state).await
        {
            tracing::warn!("{error}");
        }
        if let Some(server) = self.server {
            server.dns.shutdown();
        }
    }

    /// What was asked; `None` where names are not answered.
    pub(super) fn counted(&self) -> Option<Counted> {
        self.server.as_ref().map(|server| server.dns.counted())
    }

    /// For `status`.
    pub(super) fn view(&self) -> Option<api::Names> {
        let server = self.server.as_ref()?;
        let listen: Vec<String> = server.dns.addresses().iter().map(ToString::to_string).collect();
        let host = match &self.resolver {
            Some(resolver) => resolver.describe(),
            None => format!(
                "names under {} are answered at {}, and this machine's resolver is left alone",
                server.domain,
                listen.join(" ")
            ),
        };
        Some(api::Names { domain: server.domain.clone(), listen, host })
    }

    /// One sentence for each thing that is wrong.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> {
        let unheard = self.server.iter().flat_map(|server| server.dns.problems());
        unheard.map(|problem| format!("{problem}.")).chain(self.problem.clone())
    }

    async fn tell_host(&mut self, own: &Claims, state: &StateDirectory) {
        let (Some(server), Some(resolver)) = (&self.server, &mut self.resolver) else { return };
        if matches!(resolver.kind(), Kind::Nothing(_)) {
            return;
        }
        let plan = server.plan(own, self.is_everything);
        self.problem = None;
        if plan.servers.is_empty() {
            self.problem =
                Some("The host cannot ask us for names: they are answered nowhere at port 53, which is what resolvers ask. Have port 53 in `dns.listen`.".to_owned());
        } else if let Err(error) = resolver.apply(&plan, state).await {
            self.problem = Some(format!("The host does not ask us for names: {error}."));
        }
        if let Some(problem) = &self.problem {
            tracing::warn!("{problem}");
        }
    }
}

impl Server {
    /// What the host is to ask, and where: the mesh address first, which every resolver can ask by the interface.
    fn plan(&self, own: &Claims, is_everything: bool) -> Plan {
        let mut servers: Vec<IpAddr> = self
            .dns
            .addresses()
            .into_iter()
            .filter(|address| address.port() == PORT)
            .map(|address| address.ip())
            .collect();
        servers.sort_by_key(|address| (address.is_loopback(), address.is_ipv6()));
        let ranges = own.network_prefixes().into_iter();
        let zones = Zone::new(&self.domain).into_iter().chain(ranges.flat_map(Zone::reverse));
        let (interface, index) = (self.interface.clone(), self.index);
        Plan { interface, index, servers, zones: zones.collect(), is_everything }
    }
}

/// Undoes what a run that was killed has left on the host.
pub(super) async fn restore_host(state: &StateDirectory) {
    match restore(&Host::default(), state).await {
        Ok(true) => tracing::info!("the host's resolver is as it was before the last run"),
        Ok(false) => {}
        Err(error) => tracing::warn!("{error}"),
    }
}

fn addresses(configured: Option<&[SocketAddr]>, own: &Claims) -> Vec<SocketAddr> {
    if let Some(configured) = configured {
        return configured.to_vec();
    }
    let loopback = IpAddr::V4(loopback_address(&own.network));
    let mesh = [IpAddr::V4(own.ipv4.addr()), IpAddr::V6(own.ipv6())];
    mesh.into_iter().chain([loopback]).map(|address| SocketAddr::new(address, PORT)).collect()
}
