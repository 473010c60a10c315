//! A routing table of our own, and the rule by which packets look there first, unless they carry the mesh itself.
//!
//! The table's routes lead to our interface and go with it. The rule stays when we are killed, and then leads to an empty
//! table, which is as if there were none.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage, RouteScope, RouteType};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use rtnetlink::{IpVersion, RouteMessageBuilder};
use rustix::io::Errno;

use super::{Netlink, NetlinkError, destination, errno, failure, is_cached, is_ipv6_off};

/// Before the kernel's own rule for the main table, 32766, and behind the one for this machine's own addresses, 0.
const PRIORITY: u32 = 30_000;

impl Netlink {
    /// Has packets without `mark` look for a route in `table` first. Nothing happens when they do already.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn divert(&self, table: u32, mark: u32) -> Result<(), NetlinkError> {
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = self.handle.rule().add();
            let message = request.message_mut();
            message.header.family = family;
            message.header.flags = RuleFlags::Invert;
            message.header.action = RuleAction::ToTable;
            message.header.table = 0;
            message.attributes = vec![
                RuleAttribute::Priority(PRIORITY),
                RuleAttribute::FwMark(mark),
                RuleAttribute::Table(table),
            ];
            match request.execute().await {
                Ok(()) => {}
                Err(error) if errno(&error) == Some(Errno::EXIST) => {}
                Err(error) if is_family_off(&error) => {}
                Err(error) => return Err(failure(format!("adding the rule for table {table}"), error)),
            }
        }
        Ok(())
    }

    /// Takes every rule for `table` away; nothing happens when there is none.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn undivert(&self, table: u32) -> Result<(), NetlinkError> {
        for family in [IpVersion::V4, IpVersion::V6] {
            let rules: Vec<RuleMessage> = match self.handle.rule().get(family).execute().try_collect().await {
                Ok(rules) => rules,
                Err(error) if is_family_off(&error) => continue,
                Err(error) => return Err(failure("listing the rules".to_owned(), error)),
            };
            for rule in
                rules.into_iter().filter(|rule| rule.attributes.contains(&RuleAttribute::Table(table)))
            {
                match self.handle.rule().del(rule).execute().await {
                    Ok(()) => {}
                    Err(error) if errno(&error) == Some(Errno::NOENT) => {}
                    Err(error) => return Err(failure(format!("removing the rule for table {table}"), error)),
                }
            }
        }
        Ok(())
    }

    /// Makes `through` all routes of `table` through `interface`, and has packets to `beside` look on in other tables.
    ///
    /// # Errors
    /// [`NetlinkError`]; what was set before the failure stays set.
    pub async fn fill_table(
        &self,
        table: u32,
        interface: &str,
        (through, beside): (&[IpNet], &[IpNet]),
    ) -> Result<(), NetlinkError> {
        let index = self.index(interface).await?;
        let entry = |prefix: &IpNet, is_beside| (prefix.trunc(), is_beside);
        let wanted: BTreeSet<(IpNet, bool)> =
            through.iter().map(|p| entry(p, false)).chain(beside.iter().map(|p| entry(p, true))).collect();
        let mut present = BTreeSet::new();
        for route in self.dump_routes().await? {
            let is_of_table = table_of(&route) == table && !is_cached(&route);
            let Some(prefix) = prefix_of(&route).filter(|_| is_of_table) else { continue };
            let entry = (prefix, route.header.kind == RouteType::Throw);
            if wanted.contains(&entry) {
                present.insert(entry);
            } else {
                match self.handle.route().del(route).execute().await {
                    Ok(()) => {}
                    Err(error) if errno(&error) == Some(Errno::SRCH) => {}
                    Err(error) => return Err(failure(format!("removing the route to {prefix}"), error)),
                }
            }
        }
        for (prefix, is_beside) in wanted.difference(&present) {
            let what = || format!("setting the route to {prefix}");
            let invalid =
                |_| NetlinkError::Os { what: what(), source: std::io::ErrorKind::InvalidInput.into() };
            let builder = RouteMessageBuilder::<IpAddr>::new()
                .destination_prefix(prefix.network(), prefix.prefix_len())
                .map_err(invalid)?
                .table_id(table);
            let scope = if prefix.addr().is_ipv4() { RouteScope::Link } else { RouteScope::Universe };
            let route = match is_beside {
                true => builder.kind(RouteType::Throw).scope(RouteScope::Universe),
                false => builder.output_interface(index).scope(scope),
            };
            match self.handle.route().add(route.build()).execute().await {
                Ok(()) => {}
                Err(error) if errno(&error) == Some(Errno::EXIST) => {}
                Err(error) if is_ipv6_off(prefix, &error) => {}
                Err(error) => return Err(failure(what(), error)),
            }
        }
        Ok(())
    }

    /// As [`Netlink::routes`], without those through `interface`: what this machine reaches by other ways.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn routes_beside(&self, interface: &str) -> Result<Vec<IpNet>, NetlinkError> {
        let index = self.index(interface).await?;
        self.routes_unless(|told| told == Some(index)).await
    }
}

pub(super) fn output_of(route: &RouteMessage) -> Option<u32> {
    route
        .attributes
        .iter()
        .find_map(|attribute| if let RouteAttribute::Oif(index) = attribute { Some(*index) } else { None })
}

/// The prefix of a route; a default route has no destination.
fn prefix_of(route: &RouteMessage) -> Option<IpNet> {
    destination(route).or_else(|| {
        match (route.header.destination_prefix_length, route.header.address_family) {
            (0, AddressFamily::Inet) => Some(IpNet::new_assert(Ipv4Addr::UNSPECIFIED.into(), 0)),
            (0, AddressFamily::Inet6) => Some(IpNet::new_assert(Ipv6Addr::UNSPECIFIED.into(), 0)),
            _ => None,
        }
    })
}

fn table_of(route: &RouteMessage) -> u32 {
    let long = route
        .attributes
        .iter()
        .find_map(|attribute| if let RouteAttribute::Table(table) = attribute { Some(*table) } else { None });
    long.unwrap_or(route.header.table.into())
}

/// What a kernel says that has no rules for a family.
fn is_family_off(error: &rtnetlink::Error) -> bool {
    matches!(errno(error), Some(Errno::OPNOTSUPP | Errno::AFNOSUPPORT))
}
