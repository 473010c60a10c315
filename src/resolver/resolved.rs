//! systemd-resolved: our zones, and nothing else, are routed to the mesh's link; all names while there is an exit.
//!
//! Nothing of this needs undoing after a kill -9: systemd-resolved keeps it with the link, and the TUN ends with us.

use std::net::IpAddr;

use super::bus::{Bus, Object, is_unknown_method};
use super::error::ResolverError;
use super::plan::{Plan, Zone};

const SERVICE: &str = "org.freedesktop.resolve1";
const UNIT: &str = "systemd-resolved";
const MANAGER: Object = Object {
    service: SERVICE,
    path: "/org/freedesktop/resolve1",
    interface: "org.freedesktop.resolve1.Manager",
    unit: UNIT,
};
/// What every service answers.
const PEER: Object = Object { interface: "org.freedesktop.DBus.Peer", ..MANAGER };
/// Its error when the link has gone before us.
const NO_SUCH_LINK: &str = "org.freedesktop.resolve1.NoSuchLink";
/// Address families, as the kernel numbers them.
const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;

/// What would be wrong on our link, whatever the host's settings say elsewhere: our zones are not signed, our server
/// speaks no TLS, and a host's guesses at names are none of the mesh's business.
const SWITCHED_OFF: [&str; 4] = ["SetLinkDNSSEC", "SetLinkDNSOverTLS", "SetLinkLLMNR", "SetLinkMulticastDNS"];

/// Whether it runs, or starts when it is asked.
pub(super) async fn answers(bus: &Bus) -> bool {
    bus.call(PEER, "Ping", &()).await.is_ok()
}

pub(super) async fn apply(bus: &Bus, plan: &Plan) -> Result<(), ResolverError> {
    let index = index(plan);
    // The zones come before the servers: a link with servers and no zone is asked for every name.
    // The root beats the other links' claim to all names, which is none when a link has it.
    let everything = plan.is_everything.then_some(".");
    let zones = plan.zones.iter().map(Zone::as_str).chain(everything);
    let zones: Vec<(&str, bool)> = zones.map(|zone| (zone, true)).collect();
    bus.call(MANAGER, "SetLinkDomains", &(index, zones)).await?;
    set_if_known(bus, "SetLinkDefaultRoute", &(index, plan.is_everything)).await?;
    for method in SWITCHED_OFF {
        set_if_known(bus, method, &(index, "no")).await?;
    }
    // Not SetLinkDNSEx: the port is always 53, and this one is known to every version.
    let servers: Vec<(i32, Vec<u8>)> = plan.servers.iter().map(bytes).collect();
    bus.call(MANAGER, "SetLinkDNS", &(index, servers)).await?;
    // What others answered for our names meanwhile is forgotten.
    bus.call(MANAGER, "FlushCaches", &()).await?;
    Ok(())
}

pub(super) async fn revert(bus: &Bus, plan: &Plan) -> Result<(), ResolverError> {
    match bus.call(MANAGER, "RevertLink", &(index(plan),)).await {
        Err(error) if !is_no_such_link(&error) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

async fn set_if_known<B>(bus: &Bus, method: &'static str, body: &B) -> Result<(), ResolverError>
where
    B: serde::Serialize + zbus::DynamicType,
{
    match bus.call(MANAGER, method, body).await {
        Err(error) if !is_unknown_method(&error) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn is_no_such_link(error: &ResolverError) -> bool {
    let ResolverError::Call { source: zbus::Error::MethodError(name, ..), .. } = error else { return false };
    name.as_str() == NO_SUCH_LINK
}

fn index(plan: &Plan) -> i32 {
    i32::try_from(plan.index).expect("the kernel's indices are positive 32-bit numbers")
}

fn bytes(server: &IpAddr) -> (i32, Vec<u8>) {
    match server {
        IpAddr::V4(address) => (AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (AF_INET6, address.octets().to_vec()),
    }
}
