//! The router behind which this machine is: the gateway of the default route.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use rtnetlink::packet_route::address::AddressMessage;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteType,
};

use super::{Netlink, NetlinkError, address_of};

/// The router that IPv4 packets to the internet go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultGateway {
    /// Its address in our network.
    pub gateway: Ipv4Addr,
    /// Our address, which packets to it come from.
    pub local: Ipv4Addr,
}

/// What matters of a route.
struct Route {
    metric: u32,
    interface: u32,
    gateway: Option<Ipv4Addr>,
    preferred: Option<Ipv4Addr>,
}

impl Netlink {
    /// The gateway of the best IPv4 default route in the main table; `None` without one, and where the best one has no
    /// gateway, like a tunnel's: a router beside it would get nothing of what we send.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn default_gateway(&self) -> Result<Option<DefaultGateway>, NetlinkError> {
        let routes = self.dump_routes().await?;
        // Of two with the same metric the kernel takes the first, and so does this.
        let Some(route) = routes.iter().filter_map(default_route).min_by_key(|route| route.metric) else {
            return Ok(None);
        };
        let Some(gateway) = route.gateway else { return Ok(None) };
        let local = match route.preferred {
            Some(preferred) => Some(preferred),
            None => source(&self.dump_addresses().await?, route.interface, gateway),
        };
        Ok(local.map(|local| DefaultGateway { gateway, local }))
    }
}

fn default_route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let is_default = header.destination_prefix_length == 0
        && header.kind == RouteType::Unicast
        && header.table == RouteHeader::RT_TABLE_MAIN
        && !header.flags.intersects(RouteFlags::Dead | RouteFlags::Linkdown);
    if !is_default {
        return None;
    }
    let (mut metric, mut interface, mut gateway, mut preferred) = (0, None, None, None);
    for attribute in &message.attributes {
        if let RouteAttribute::Priority(told) = attribute {
            metric = *told;
        } else if let RouteAttribute::Oif(told) = attribute {
            interface = Some(*told);
        } else if let RouteAttribute::Gateway(RouteAddress::Inet(told)) = attribute {
            gateway = Some(*told);
        } else if let RouteAttribute::PrefSource(RouteAddress::Inet(told)) = attribute {
            preferred = Some(*told);
        }
    }
    Some(Route { metric, interface: interface?, gateway, preferred })
}

/// The address that the kernel sends from to a gateway: the first of the interface in the gateway's own network, else
/// the first there is.
fn source(addresses: &[AddressMessage], interface: u32, gateway: Ipv4Addr) -> Option<Ipv4Addr> {
    let own: Vec<Ipv4Net> = addresses
        .iter()
        .filter(|message| message.header.index == interface)
        .filter_map(|message| match address_of(message)? {
            IpAddr::V4(ip) => Ipv4Net::new(ip, message.header.prefix_len).ok(),
            IpAddr::V6(_) => None,
        })
        .collect();
    let near = own.iter().find(|net| net.contains(&gateway));
    near.or_else(|| own.first()).map(Ipv4Net::addr)
}
