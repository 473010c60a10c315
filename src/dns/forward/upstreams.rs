//! Whom the host itself asks: the servers of its resolv.conf, as it stands.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;

use crate::dns::limits::UPSTREAMS_MAX;
use crate::io::clock;
use crate::resolver::Host;

/// Where servers listen.
const PORT: u16 = 53;
/// The file is read this often at most: whoever changes networks waits no longer, and a flood of questions reads it once.
const READ_INTERVAL: Duration = Duration::from_secs(1);
/// Loopback addresses of networks' nodes on this machine ([`crate::dns::loopback_address`]), which are no upstreams: they pass
/// nothing on for us, and what they know of another network is no business of this one's.
const NODES: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 77, 0, 0), 16);

/// What was read last.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    read: Option<(Instant, Vec<IpAddr>)>,
}

impl Upstreams {
    /// The host's servers but for `own` addresses, in the host's order.
    pub(super) fn of(&mut self, host: &Host, own: &BTreeSet<IpAddr>) -> Vec<SocketAddr> {
        self.at(host, own, clock::now())
    }

    fn at(&mut self, host: &Host, own: &BTreeSet<IpAddr>, now: Instant) -> Vec<SocketAddr> {
        let is_fresh = |at: &Instant| now.checked_duration_since(*at).is_some_and(|age| age < READ_INTERVAL);
        if !self.read.as_ref().is_some_and(|(at, _)| is_fresh(at)) {
            self.read = Some((now, host.servers()));
        }
        let (_, servers) = self.read.as_ref().expect("it was read just now, or before");
        let is_node = |address: &IpAddr| matches!(address, IpAddr::V4(v4) if NODES.contains(v4));
        let others = servers.iter().filter(|address| !own.contains(address) && !is_node(address));
        others.take(UPSTREAMS_MAX).map(|address| SocketAddr::new(*address, PORT)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_servers_are_read_again_after_a_while_and_ours_are_none() {
        let root = tempfile::tempdir().unwrap();
        let host = Host { root: root.path().to_owned(), bus: String::new() };
        let write = |text: &str| std::fs::write(root.path().join("etc/resolv.conf"), text).unwrap();
        let own = BTreeSet::from(["10.77.0.1".parse().unwrap()]);
        let mut upstreams = Upstreams::default();
        let mut at = |now| upstreams.at(&host, &own, now).iter().map(ToString::to_string).collect::<Vec<_>>();
        let began = clock::now();
        assert!(at(began).is_empty(), "there is no file");
        std::fs::create_dir(root.path().join("etc")).unwrap();
        write(
            "nameserver 127.77.3.4\nnameserver 10.77.0.1\n#nameserver 192.0.2.9\nnameserver 127.0.0.53\nnameserver 2001:db8::1\n",
        );
        assert!(at(began).is_empty(), "it was read just now");
        let later = began + READ_INTERVAL;
        assert_eq!(at(later), ["127.0.0.53:53", "[2001:db8::1]:53"]);
        write("nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n");
        assert_eq!(at(later + READ_INTERVAL), ["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"]);
    }
}
