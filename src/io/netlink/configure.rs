//! Gives the interface its MTU, addresses and routes.
//!
//! Never takes a route from another interface: one that exists elsewhere is an error with its prefix.

use std::net::IpAddr;

use ipnet::IpNet;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute};
use rtnetlink::packet_route::route::{RouteAttribute, RouteScope};
use rtnetlink::{LinkUnspec, RouteMessageBuilder};
use rustix::io::Errno;

use super::{Netlink, NetlinkError, address_of, destination, errno, failure, is_choosable};

/// What came of a configuration that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Applied {
    /// Whether IPv6 addresses and routes were set. False where the machine has IPv6 switched off: IPv4 works then.
    pub ipv6: bool,
}

impl Netlink {
    /// Sets MTU (bytes), addresses (each with the length of its on-link prefix) and routes of `interface`, and brings it
    /// up or down. Addresses and routes that are there already stay; routes need `up`.
    ///
    /// # Errors
    /// [`NetlinkError`]; what was set before the failure stays set.
    pub async fn configure(
        &self,
        interface: &str,
        addresses: &[IpNet],
        routes: &[IpNet],
        mtu: u32,
        up: bool,
    ) -> Result<Applied, NetlinkError> {
        let index = self.index(interface).await?;
        self.keep_link_local_off(index).await;
        let link = LinkUnspec::new_with_index(index).mtu(mtu);
        let link = if up { link.up() } else { link.down() };
        let what =
            || format!("setting MTU {mtu} of {interface} and bringing it {}", if up { "up" } else { "down" });
        self.handle.link().set(link.build()).execute().await.map_err(|error| failure(what(), error))?;
        let mut ipv6 = self.add_addresses(index, addresses).await?;
        if up {
            ipv6 &= self.add_routes(index, routes).await?;
        }
        Ok(Applied { ipv6 })
    }

    /// Sets the MTU of `interface`, in bytes.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn set_mtu(&self, interface: &str, mtu: u32) -> Result<(), NetlinkError> {
        let index = self.index(interface).await?;
        let link = LinkUnspec::new_with_index(index).mtu(mtu).build();
        let what = || format!("setting MTU {mtu} of {interface}");
        self.handle.link().set(link).execute().await.map_err(|error| failure(what(), error))
    }

    /// Makes `addresses` the addresses of `interface`, less link-local ones, which are the kernel's, and `routes`
    /// routes through it. Connections over addresses that stay are not disturbed.
    ///
    /// # Errors
    /// [`NetlinkError`]; what was set before the failure stays set.
    pub async fn replace_addresses(
        &self,
        interface: &str,
        addresses: &[IpNet],
        routes: &[IpNet],
    ) -> Result<Applied, NetlinkError> {
        let index = self.index(interface).await?;
        // Before any goes: with the last address of a family the kernel drops its routes, and packets for the mesh would
        // leave by the default route.
        let _ = self.add_addresses(index, addresses).await?;
        for message in self.dump_addresses().await? {
            let Some(address) = address_of(&message) else { continue };
            let prefix = IpNet::new(address, message.header.prefix_len).ok();
            let is_kept = prefix.is_none_or(|prefix| addresses.contains(&prefix));
            if message.header.index != index || is_kept || !is_choosable(&IpNet::from(address)) {
                continue;
            }
            match self.handle.address().del(message).execute().await {
                Ok(()) => {}
                // It went together with the one before, of which it was a secondary.
                Err(error) if errno(&error) == Some(Errno::ADDRNOTAVAIL) => {}
                Err(error) => return Err(failure(format!("removing {address} from {interface}"), error)),
            }
        }
        // With an address go its secondaries, which may be all the new ones: set again.
        let ipv6_addresses = self.add_addresses(index, addresses).await?;
        let ipv6_routes = self.add_routes(index, routes).await?;
        Ok(Applied { ipv6: ipv6_addresses && ipv6_routes })
    }

    /// A mesh interface wants no link-local address: it would send router solicitations to nobody. A kernel without
    /// IPv6 refuses, and needs it not.
    async fn keep_link_local_off(&self, index: u32) {
        let none = vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)];
        let spec = LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(none)]);
        let link = LinkUnspec::new_with_index(index).append_extra_attribute(spec);
        if let Err(error) = self.handle.link().set(link.build()).execute().await {
            tracing::debug!("the kernel keeps IPv6 link-local addresses as they are: {error}");
        }
    }

    /// Whether there is IPv6 for what wants it.
    async fn add_addresses(&self, index: u32, addresses: &[IpNet]) -> Result<bool, NetlinkError> {
        let mut ipv6 = true;
        for prefix in addresses {
            let mut request = self.handle.address().add(index, prefix.addr(), prefix.prefix_len()).replace();
            if prefix.addr().is_ipv6() {
                // No two nodes have one address, and duplicate detection would keep it unusable for a second.
                request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
            }
            match request.execute().await {
                Ok(()) => {}
                Err(error) if is_ipv6_off(prefix, &error) => ipv6 = false,
                Err(error) => return Err(failure(format!("setting the address {prefix}"), error)),
            }
        }
        Ok(ipv6)
    }

    async fn add_routes(&self, index: u32, routes: &[IpNet]) -> Result<bool, NetlinkError> {
        let mut ipv6 = true;
        for prefix in routes.iter().map(IpNet::trunc) {
            let what = || format!("setting the route to {prefix}");
            let invalid =
                |_| NetlinkError::Os { what: what(), source: std::io::ErrorKind::InvalidInput.into() };
            let builder = RouteMessageBuilder::<IpAddr>::new()
                .destination_prefix(prefix.network(), prefix.prefix_len())
                .map_err(invalid)?
                .output_interface(index);
            let scope = if prefix.addr().is_ipv4() { RouteScope::Link } else { RouteScope::Universe };
            match self.handle.route().add(builder.scope(scope).build()).execute().await {
                Ok(()) => {}
                Err(error) if errno(&error) == Some(Errno::EXIST) => self.expect_route(index, prefix).await?,
                Err(error) if is_ipv6_off(&prefix, &error) => ipv6 = false,
                Err(error) => return Err(failure(what(), error)),
            }
        }
        Ok(ipv6)
    }

    /// A route that exists is fine when it is ours.
    async fn expect_route(&self, index: u32, prefix: IpNet) -> Result<(), NetlinkError> {
        let is_ours = self.dump_routes().await?.iter().any(|route| {
            destination(route) == Some(prefix) && route.attributes.contains(&RouteAttribute::Oif(index))
        });
        if is_ours { Ok(()) } else { Err(NetlinkError::RouteTaken { prefix }) }
    }
}

/// What the kernel says to IPv6 settings where IPv6 is switched off: by sysctl, or from the command line.
pub(super) fn is_ipv6_off(prefix: &IpNet, error: &rtnetlink::Error) -> bool {
    let refused = [Errno::ACCESS, Errno::OPNOTSUPP, Errno::AFNOSUPPORT, Errno::NODEV];
    prefix.addr().is_ipv6() && errno(error).is_some_and(|errno| refused.contains(&errno))
}
