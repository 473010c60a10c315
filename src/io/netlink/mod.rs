//! Links, addresses and routes of the machine, by netlink: what there is, what we set, and when it changes.
//!
//! Works in the network namespace of the thread that opened it. Reads and writes are here and in `configure`;
//! [`Changes`] has a socket of its own.

mod changes;
mod configure;
mod diversion;
mod gateway;
mod links;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use rtnetlink::packet_route::link::LinkFlags;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteType};
use rtnetlink::{Handle, RouteMessageBuilder};
use rustix::io::Errno;
use tokio::task::JoinHandle;

pub use changes::Changes;
pub use configure::Applied;
use configure::is_ipv6_off;
use diversion::output_of;
pub use gateway::DefaultGateway;

/// An open netlink socket.
#[derive(Debug)]
pub struct Netlink {
    handle: Handle,
    connection: JoinHandle<()>,
}

/// Why a netlink request failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket could not be opened.
    #[error("the kernel gives no netlink socket, which Hopmesh sets addresses and routes by: {0}")]
    Unavailable(io::Error),
    /// The process may not change the network.
    #[error("{what} needs root or CAP_NET_ADMIN: run hopmesh with sudo")]
    NotPermitted {
        /// What was tried.
        what: String,
    },
    /// The interface is gone or never was.
    #[error("there is no interface named {name}")]
    NoInterface {
        /// The name asked for.
        name: String,
    },
    /// A route of that prefix leads elsewhere; it was left alone.
    #[error(
        "{prefix} is routed elsewhere on this machine already: remove that route, or choose another range"
    )]
    RouteTaken {
        /// The prefix.
        prefix: IpNet,
    },
    /// Anything else the kernel said.
    #[error("{what} failed: {source}")]
    Os {
        /// What was tried.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Netlink {
    /// Opens the socket; a task of the current tokio runtime serves it until this is dropped.
    ///
    /// # Errors
    /// [`NetlinkError::Unavailable`].
    pub fn open() -> Result<Self, NetlinkError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::Unavailable)?;
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// Tells of changes of addresses, links, routes and rules from now on.
    ///
    /// # Errors
    /// [`NetlinkError::Unavailable`].
    pub fn changes(&self) -> Result<Changes, NetlinkError> {
        Changes::of_routing().map_err(NetlinkError::Unavailable)
    }

    /// Every prefix that the machine routes or owns, in any table, in order: what a new network must not clash with.
    /// Without the default route, and without loopback, link-local and multicast, which no network is chosen from.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn routes(&self) -> Result<Vec<IpNet>, NetlinkError> {
        self.routes_unless(|_| false).await
    }

    /// Without those of an interface that `is_left_out` is true of, by its index.
    async fn routes_unless(
        &self,
        is_left_out: impl Fn(Option<u32>) -> bool,
    ) -> Result<Vec<IpNet>, NetlinkError> {
        let mut prefixes = BTreeSet::new();
        let routes = self.dump_routes().await?;
        for route in routes.iter().filter(|route| !is_left_out(output_of(route)) && !is_cached(route)) {
            if !matches!(route.header.kind, RouteType::Broadcast | RouteType::Anycast | RouteType::Multicast)
            {
                prefixes.extend(destination(route));
            }
        }
        for message in self.dump_addresses().await? {
            if is_left_out(Some(message.header.index)) {
                continue;
            }
            let prefix = address_of(&message)
                .and_then(|address| IpNet::new(address, message.header.prefix_len).ok())
                .map(|prefix| prefix.trunc());
            prefixes.extend(prefix);
        }
        Ok(prefixes.into_iter().filter(is_choosable).collect())
    }

    /// The addresses at which another machine may dial this one: of global scope, usable, on interfaces that are up,
    /// without those of the interface `except`, which is our own.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn local_addresses(&self, except: &str) -> Result<Vec<IpAddr>, NetlinkError> {
        let up = self.links_up(except).await?;
        let mut addresses = Vec::new();
        for message in self.dump_addresses().await? {
            if up.contains(&message.header.index) && is_dialable(&message) {
                addresses.extend(address_of(&message).filter(|address| !addresses.contains(address)));
            }
        }
        Ok(addresses)
    }

    async fn links_up(&self, except: &str) -> Result<BTreeSet<u32>, NetlinkError> {
        let excluded = match self.index(except).await {
            Ok(index) => Some(index),
            Err(NetlinkError::NoInterface { .. }) => None,
            Err(error) => return Err(error),
        };
        let links = self.dump_links().await?;
        Ok(links
            .into_iter()
            .filter(|link| link.header.flags.contains(LinkFlags::Up) && Some(link.header.index) != excluded)
            .map(|link| link.header.index)
            .collect())
    }

    async fn index(&self, interface: &str) -> Result<u32, NetlinkError> {
        let absent = || NetlinkError::NoInterface { name: interface.to_owned() };
        let mut links = self.handle.link().get().match_name(interface).execute();
        match links.try_next().await {
            Ok(link) => link.map(|link| link.header.index).ok_or_else(absent),
            Err(error) if errno(&error) == Some(Errno::NODEV) => Err(absent()),
            Err(error) => Err(failure(format!("looking for the interface {interface}"), error)),
        }
    }

    async fn dump_addresses(&self) -> Result<Vec<AddressMessage>, NetlinkError> {
        let addresses = self.handle.address().get().execute().try_collect().await;
        addresses.map_err(|error| failure("listing the addresses".to_owned(), error))
    }

    async fn dump_routes(&self) -> Result<Vec<RouteMessage>, NetlinkError> {
        let v4 = RouteMessageBuilder::<std::net::Ipv4Addr>::new().build();
        let v6 = RouteMessageBuilder::<std::net::Ipv6Addr>::new().build();
        let mut routes = Vec::new();
        for family in [v4, v6] {
            let part: Vec<_> = match self.handle.route().get(family).execute().try_collect().await {
                Ok(part) => part,
                // A kernel without IPv6 has no such routes.
                Err(error) if matches!(errno(&error), Some(Errno::OPNOTSUPP | Errno::AFNOSUPPORT)) => {
                    continue;
                }
                Err(error) => return Err(failure("listing the routes".to_owned(), error)),
            };
            routes.extend(part);
        }
        Ok(routes)
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Whether the kernel has made it of another one, for a host that a redirect or a narrow path is known of: no prefix of the
/// machine's own.
fn is_cached(route: &RouteMessage) -> bool {
    route.header.flags.contains(RouteFlags::Cloned)
}

fn destination(route: &RouteMessage) -> Option<IpNet> {
    let address = route.attributes.iter().find_map(|attribute| {
        let RouteAttribute::Destination(address) = attribute else { return None };
        if let RouteAddress::Inet(address) = address {
            Some(IpAddr::from(*address))
        } else if let RouteAddress::Inet6(address) = address {
            Some(IpAddr::from(*address))
        } else {
            None
        }
    })?;
    IpNet::new(address, route.header.destination_prefix_length).ok()
}

/// The address itself: `Local` where both are given, since `Address` is then the other end's.
fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let own = message.attributes.iter().find_map(|attribute| {
        if let AddressAttribute::Local(address) = attribute { Some(*address) } else { None }
    });
    let other = || {
        message.attributes.iter().find_map(|attribute| {
            if let AddressAttribute::Address(address) = attribute { Some(*address) } else { None }
        })
    };
    own.or_else(other)
}

fn is_dialable(message: &AddressMessage) -> bool {
    let long_flags = message.attributes.iter().find_map(|attribute| {
        if let AddressAttribute::Flags(flags) = attribute { Some(*flags) } else { None }
    });
    let flags = long_flags.unwrap_or(AddressFlags::from_bits_retain(message.header.flags.bits().into()));
    let mut unusable = AddressFlags::Tentative | AddressFlags::Dadfailed | AddressFlags::Deprecated;
    let Some(address) = address_of(message) else { return false };
    // For IPv6 the same bit says that a privacy address is meant: made to be dialled from, and short-lived.
    if address.is_ipv6() {
        unusable |= AddressFlags::Secondary;
    }
    matches!(message.header.scope, AddressScope::Universe | AddressScope::Site)
        && !flags.intersects(unusable)
        && is_choosable(&IpNet::from(address))
}

/// Whether a prefix is neither everything nor of a kind that is never a network's: loopback, link-local, multicast.
fn is_choosable(prefix: &IpNet) -> bool {
    if prefix.prefix_len() == 0 {
        return false;
    }
    match prefix.network() {
        IpAddr::V4(ip) => !(ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast()),
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unicast_link_local() || ip.is_multicast()),
    }
}

fn errno(error: &rtnetlink::Error) -> Option<Errno> {
    let rtnetlink::Error::NetlinkError(message) = error else { return None };
    Some(Errno::from_raw_os_error(message.raw_code().abs()))
}

fn failure(what: String, error: rtnetlink::Error) -> NetlinkError {
    match errno(&error) {
        Some(Errno::PERM) => NetlinkError::NotPermitted { what },
        Some(errno) => NetlinkError::Os { what, source: errno.into() },
        None => NetlinkError::Os { what, source: io::Error::other(error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prefixes_a_network_could_take_count() {
        for (prefix, counts) in [
            ("0.0.0.0/0", false),
            ("::/0", false),
            ("127.0.0.0/8", false),
            ("169.254.0.0/16", false),
            ("224.0.0.0/4", false),
            ("255.255.255.255/32", false),
            ("::1/128", false),
            ("fe80::/64", false),
            ("ff00::/8", false),
            ("10.0.0.0/8", true),
            ("100.64.0.0/10", true),
            ("fd00::/8", true),
        ] {
            assert_eq!(is_choosable(&prefix.parse().unwrap()), counts, "{prefix}");
        }
    }

    #[tokio::test]
    async fn this_machine_can_be_read_without_privilege() {
        let netlink = Netlink::open().unwrap();
        let routes = netlink.routes().await.unwrap();
        for address in netlink.local_addresses("no-such-device").await.unwrap() {
            assert!(!address.is_loopback());
            assert!(
                routes.iter().any(|prefix| prefix.contains(&address)),
                "{address} is in none of {routes:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_interface_that_is_not_there_is_named() {
        let netlink = Netlink::open().unwrap();
        let error = netlink.index("no-such-device").await.unwrap_err();
        assert_eq!(error.to_string(), "there is no interface named no-such-device");
    }
}
