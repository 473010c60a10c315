//! UPnP's Internet Gateway Device, by `igd-next`.
//!
//! Any device of the LAN can call itself a gateway; only the one that our default route leads to is asked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU16;
use std::time::Duration;

use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{
    AddAnyPortError, AddPortError, PortMappingProtocol, RequestError, SearchError, SearchOptions,
};
use tokio::time::timeout;

use super::Network;
use super::report::{Answer, is_usable};
use super::router::{Given, Lease, Question};
use crate::reach::limits::{SEARCH_WAIT, UPNP_WAIT};

/// Where devices listen for searches.
const SSDP_PORT: u16 = 1900;
/// The group of all devices that do.
const SSDP_GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// What the router's own pages call the mapping.
const DESCRIPTION: &str = "hopmesh";
/// A lease without end, the only kind that some routers give.
const FOR_EVER: u32 = 0;
/// Codes by which other routers say that they give no other kind: invalid arguments, action failed.
const NO_LEASES: [u16; 2] = [402, 501];

/// What UPnP gave.
#[derive(Debug)]
pub(super) struct UpnpLease {
    gateway: Gateway<Tokio>,
    external_port: NonZeroU16,
}

impl UpnpLease {
    pub(super) async fn ask(question: Question) -> Result<Given, Answer> {
        let gateway = find(question.network).await?;
        patiently(map(gateway, question, question.port)).await
    }

    pub(super) async fn renew(&self, question: Question) -> Result<Given, Answer> {
        patiently(map(self.gateway.clone(), question, self.external_port)).await
    }

    pub(super) async fn give_back(self) -> Result<(), Answer> {
        let port = self.external_port.get();
        self.gateway.remove_port(PortMappingProtocol::UDP, port).await.map_err(Answer::refused)
    }
}

/// Searches by multicast, and then by unicast: some access points keep multicast away, some routers do not answer unicast.
async fn find(network: Network) -> Result<Gateway<Tokio>, Answer> {
    let mut answer = Answer::Silent;
    for target in [SSDP_GROUP, network.gateway] {
        let mut options = SearchOptions::default();
        options.bind_addr = SocketAddr::from((network.local, 0));
        options.broadcast_address = SocketAddr::from((target, SSDP_PORT));
        options.timeout = Some(SEARCH_WAIT);
        options.single_search_timeout = Some(SEARCH_WAIT);
        match search_gateway(options).await {
            Ok(gateway) if gateway.addr.ip() == IpAddr::V4(network.gateway) => return Ok(gateway),
            Ok(gateway) => {
                answer =
                    Answer::refused(format_args!("{} answers, which is not our router", gateway.addr.ip()));
            }
            Err(SearchError::NoResponseWithinTimeout) => {}
            Err(error) => answer = Answer::refused(error),
        }
    }
    Err(answer)
}

/// A router that takes too long has not answered.
async fn patiently(asking: impl Future<Output = Result<Given, Answer>>) -> Result<Given, Answer> {
    timeout(UPNP_WAIT, asking).await.unwrap_or(Err(Answer::Silent))
}

async fn map(gateway: Gateway<Tokio>, question: Question, wished: NonZeroU16) -> Result<Given, Answer> {
    let IpAddr::V4(ip) = gateway.get_external_ip().await.map_err(Answer::refused)? else {
        return Err(Answer::refused("its address outside is not IPv4"));
    };
    if !is_usable(ip) {
        return Err(Answer::refused("it has no address outside"));
    }
    let local = SocketAddr::from(SocketAddrV4::new(question.network.local, question.port.get()));
    let lease_s = question.lease_s();
    let (port, lease_s) = match map_port(&gateway, local, wished, lease_s).await {
        Err(Refusal::OnlyForEver) => (map_port(&gateway, local, wished, FOR_EVER).await, FOR_EVER),
        other => (other, lease_s),
    };
    let external_port = port.map_err(|refusal| match refusal {
        Refusal::OnlyForEver => Answer::refused("it gives neither leases nor mappings without end"),
        Refusal::Other(answer) => answer,
    })?;
    let external = SocketAddr::from((ip, external_port.get()));
    let life = (lease_s != FOR_EVER).then(|| Duration::from_secs(lease_s.into()));
    Ok(Given { lease: Lease::Upnp(UpnpLease { gateway, external_port }), external, life })
}

/// Why a router does not map a port.
enum Refusal {
    OnlyForEver,
    Other(Answer),
}

/// Maps the wished port, or any where somebody else has that one.
async fn map_port(
    gateway: &Gateway<Tokio>,
    local: SocketAddr,
    wished: NonZeroU16,
    lease_s: u32,
) -> Result<NonZeroU16, Refusal> {
    let udp = PortMappingProtocol::UDP;
    match gateway.add_port(udp, wished.get(), local, lease_s, DESCRIPTION).await {
        Ok(()) => return Ok(wished),
        Err(AddPortError::PortInUse | AddPortError::SamePortValuesRequired) => {}
        Err(AddPortError::OnlyPermanentLeasesSupported) => return Err(Refusal::OnlyForEver),
        Err(AddPortError::RequestError(RequestError::ErrorCode(code, _)))
            if lease_s != FOR_EVER && NO_LEASES.contains(&code) =>
        {
            return Err(Refusal::OnlyForEver);
        }
        Err(error) => return Err(Refusal::Other(Answer::refused(error))),
    }
    match gateway.add_any_port(udp, local, lease_s, DESCRIPTION).await {
        Ok(port) => NonZeroU16::new(port).ok_or_else(|| Refusal::Other(Answer::refused("it mapped port 0"))),
        Err(AddAnyPortError::OnlyPermanentLeasesSupported) => Err(Refusal::OnlyForEver),
        Err(error) => Err(Refusal::Other(Answer::refused(error))),
    }
}
