//! What the daemon sets and sees on the machine: addresses of the interface, addresses where we may be dialled.

use std::net::IpAddr;

use anyhow::Result;
use ipnet::IpNet;
use wire::Candidate;
use wire::address::ipv6_prefix;
use wire::credential::Claims;

use super::driver::Driver;
use crate::io::clock;
use crate::io::netlink::Netlink;

impl Driver {
    pub(super) async fn configure_host(&mut self, netlink: &Netlink) -> Result<()> {
        let own = self.own();
        let clash = |route: &IpNet| {
            IpNet::V4(own.ipv4.trunc()).contains(route) || route.contains(&IpNet::V4(own.ipv4.trunc()))
        };
        let clashes: Vec<_> =
            netlink.routes().await?.into_iter().filter(clash).map(|r| r.to_string()).collect();
        if !clashes.is_empty() {
            let problem = format!(
                "The network's range {} overlaps with routes of this machine ({}): some addresses on one side cannot be reached. Renumber that side, or found the network anew with another `network.ipv4_range`.",
                own.ipv4.trunc(),
                clashes.join(", ")
            );
            tracing::warn!("{problem}");
            self.host_problem = Some(problem);
        }
        let applied =
            netlink.configure(&self.interface, &interface_addresses(&own), &[], self.mtu, true).await?;
        if !applied.ipv6 {
            let problem = "This machine has IPv6 switched off: the mesh is reached by IPv4 only. To have both, `sysctl net.ipv6.conf.all.disable_ipv6=0` and start the node again.";
            tracing::warn!("{problem}");
            self.host_problem.get_or_insert(problem.to_owned());
        }
        Ok(())
    }

    /// Gives the interface the MTU that the paths to peers are worth, unless one was configured.
    pub(super) async fn follow_mtu(&mut self, netlink: &Netlink) {
        let Some(mtu) = self.wanted_mtu.take().filter(|mtu| !self.is_mtu_fixed && *mtu != self.mtu) else {
            return;
        };
        match netlink.set_mtu(&self.interface, mtu).await {
            Ok(()) => {
                tracing::info!(before = self.mtu, mtu, "the interface takes packets of another length");
                self.mtu = mtu;
            }
            Err(error) => tracing::warn!("{error}; packets are as long as before"),
        }
    }

    pub(super) async fn readdress_host(&mut self, netlink: &Netlink) {
        let addresses = interface_addresses(&self.own());
        if let Err(error) = netlink.replace_addresses(&self.interface, &addresses, &[]).await {
            let problem = format!(
                "The interface could not be given its new addresses: {error}. Start the node again, which tries it anew."
            );
            tracing::error!("{problem}");
            self.host_problem = Some(problem);
        }
    }

    /// Tells the Node where this machine may be dialled now.
    pub(super) async fn look_at_addresses(&mut self, netlink: &Netlink) {
        let local = match netlink.local_addresses(&self.interface).await {
            Ok(local) => local,
            Err(error) => return tracing::warn!("{error}; addresses are taken as they were"),
        };
        let port = self.shared.udp.port();
        let mut candidates = self.advertised.clone();
        // IPv4 and IPv6 in turn, so that a machine with many of one still tells some of the other.
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = local.into_iter().partition(IpAddr::is_ipv4);
        for i in 0..v4.len().max(v6.len()) {
            let both = v4.get(i).into_iter().chain(v6.get(i));
            candidates.extend(both.filter_map(|ip| Candidate::new((*ip, port).into())));
        }
        self.node.handle_candidates(candidates, clock::now());
        self.pump();
    }
}

/// Our addresses with the network's prefixes, which makes the kernel route the whole mesh to the interface.
fn interface_addresses(own: &Claims) -> Vec<IpNet> {
    let length = ipv6_prefix(&own.network).prefix_len();
    let v6 = IpNet::new(IpAddr::V6(own.ipv6()), length).expect("the network's own prefix length");
    vec![IpNet::V4(own.ipv4), v6]
}
