//! The interfaces that lead to a network of neighbours.

use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};

use super::{Netlink, NetlinkError, failure};
use crate::io::multicast::Interface;

impl Netlink {
    /// The interfaces that are up and have neighbours to hear a multicast, in order of their index: no loopback, and no
    /// tunnel, where a beacon would be seen by whoever keeps its other end.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn lan_interfaces(&self) -> Result<Vec<Interface>, NetlinkError> {
        let mut interfaces: Vec<_> = self.dump_links().await?.iter().filter_map(lan_interface).collect();
        interfaces.sort();
        Ok(interfaces)
    }

    pub(super) async fn dump_links(&self) -> Result<Vec<LinkMessage>, NetlinkError> {
        let links = self.handle.link().get().execute().try_collect().await;
        links.map_err(|error| failure("listing the interfaces".to_owned(), error))
    }
}

fn lan_interface(link: &LinkMessage) -> Option<Interface> {
    let flags = link.header.flags;
    let wanted = LinkFlags::Up | LinkFlags::Multicast;
    let unwanted = LinkFlags::Loopback | LinkFlags::Pointopoint | LinkFlags::Noarp;
    if !flags.contains(wanted) || flags.intersects(unwanted) || is_tun(link) {
        return None;
    }
    link.attributes.iter().find_map(|attribute| {
        let LinkAttribute::IfName(name) = attribute else { return None };
        Some(Interface { index: link.header.index, name: name.clone() })
    })
}

/// TUN and TAP: the other end is a program.
fn is_tun(link: &LinkMessage) -> bool {
    link.attributes.iter().any(|attribute| {
        let LinkAttribute::LinkInfo(infos) = attribute else { return false };
        infos.iter().any(|info| matches!(info, LinkInfo::Kind(InfoKind::Tun)))
    })
}
