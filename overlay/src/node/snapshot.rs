//! The snapshot that workers decide by, made anew when something in it has changed.

use super::circuit;
use super::{Node, Output};
use crate::tables::{PeerRow, Routes, Tables};
use nat::Remote;
use std::net::IpAddr;
use std::sync::Arc;
use wire::NodeId;

impl Node {
    /// The snapshot of this moment, for workers to begin with; later ones come as [`Output::Publish`].
    #[must_use]
    pub fn snapshot(&mut self) -> Arc<Tables> {
        if self.routes_are_old {
            self.judge_routes();
            let mut routes = self.build_routes();
            self.share_exit(&mut routes);
            self.routes = Arc::new(routes);
            // Who is a member, and how it is called, may be different.
            self.zone.is_old = true;
        }
        self.circuits.bring_up_to_date(&mut self.labels, circuit::label_of);
        let mut longest = None;
        let row = |node: &Option<NodeId>| {
            let peer = self.peers.get(node.as_ref()?)?;
            let session = peer.sessions.current().map(|held| held.session.clone());
            let remote = peer.paths.primary();
            let first_hop = match remote {
                Some(Remote::Circuit(label)) => self.first_hop(label),
                Some(Remote::Udp { .. } | Remote::Stream(_)) | None => None,
            };
            let mtu = peer.path_mtu.mtu();
            if session.is_some() && remote.is_some() {
                longest = longest.max(Some(mtu.length));
            }
            Some(PeerRow { session, remote, first_hop, mtu, shared: peer.shared.clone() })
        };
        let peers = self.positions.iter().map(row).collect();
        self.mtu.handle_longest(longest);
        let tables = Tables {
            routes: self.routes.clone(),
            peers,
            sessions: self.indices.sessions(),
            labels: self.labels.clone(),
            gates: self.gates.clone(),
            hints: self.discovery.gate.clone(),
            invites: Arc::new(
                self.invites
                    .iter()
                    .map(|i| (i.id, wire::invite::mac_key(&i.secret)))
                    .chain(self.vouched_invites())
                    .collect(),
            ),
        };
        self.routes_are_old = false;
        self.tables_are_old = false;
        Arc::new(tables)
    }

    /// Rebuilds the snapshot and queues it.
    pub(super) fn publish_tables(&mut self) {
        let tables = self.snapshot();
        self.outputs.push_back(Output::Publish(tables));
    }

    fn build_routes(&self) -> Routes {
        let mut routes = Routes::default();
        if self.is_revoked {
            return routes;
        }
        let own = self.members.own().claims();
        routes.own = vec![IpAddr::V4(own.ipv4.addr()), IpAddr::V6(own.ipv6())];
        for (position, guest) in self.hosted_guests() {
            let addresses = guest.v4.map(IpAddr::V4).into_iter().chain([IpAddr::V6(guest.v6)]);
            routes.guests.extend(addresses.map(|address| (address, position)));
        }
        for guest in self.guests() {
            // Their IPv4 addresses are in prefixes of their hosts.
            let v6 = guest.addresses.into_iter().filter(IpAddr::is_ipv6);
            if let Some(peer) = self.peers.get(&guest.host) {
                for address in v6 {
                    routes.table.insert(address.into(), peer.position);
                }
            }
        }
        for (prefix, owner) in self.members.owners() {
            if let Some(peer) = self.peers.get(&owner) {
                routes.table.insert(prefix, peer.position);
            }
        }
        self.add_subnets(&mut routes);
        routes
    }
}
