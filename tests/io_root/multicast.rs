//! Multicast between the two ends of a cable.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use hopmesh::io::multicast::{Heard, Interface, Multicast};
use hopmesh::io::netlink::Netlink;

use crate::namespace::{add_interface, alone_with_netlink, ip};

/// After this nothing comes any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cable of which both ends are here, each with an address of both families.
fn cable() {
    add_interface("eth7");
    ip("link set eth7 up");
    for (end, last) in [("eth7", 7), ("eth7-peer", 8)] {
        ip(&format!("address add 192.168.5.{last}/24 dev {end}"));
        ip(&format!("address add fe80::{last}/64 dev {end} nodad"));
        // The kernel does not expect to hear itself on a cable.
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{end}/accept_local"), "1").unwrap();
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{end}/rp_filter"), "0").unwrap();
    }
    std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "0").unwrap();
}

async fn hear(multicast: &mut Multicast) -> (Heard, Vec<u8>) {
    let mut buffer = [0; 2048];
    let heard =
        tokio::time::timeout(PATIENCE, multicast.receive(&mut buffer)).await.expect("a datagram comes");
    (heard, buffer[..heard.length].to_vec())
}

async fn ends(netlink: &Netlink) -> Vec<Interface> {
    let ends = netlink.lan_interfaces().await.unwrap();
    let mut names: Vec<_> = ends.iter().map(|end| end.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["eth7", "eth7-peer"]);
    ends
}

/// Who was heard where, until these were all.
async fn hear_all(multicast: &mut Multicast, ends: &[Interface], wanted: &[(&str, &str)]) {
    let name = |index| ends.iter().find(|end| end.index == index).unwrap().name.clone();
    let mut missing: BTreeSet<(String, IpAddr)> =
        wanted.iter().map(|(end, from)| ((*end).to_owned(), from.parse().unwrap())).collect();
    while !missing.is_empty() {
        let (heard, bytes) = hear(multicast).await;
        assert_eq!(bytes, b"beacon");
        missing.remove(&(name(heard.interface), heard.from.ip()));
    }
}

#[test]
fn a_beacon_is_heard_on_the_other_end_in_both_families_by_every_program() {
    alone_with_netlink(async |netlink| {
        cable();
        let ends = ends(&netlink).await;
        let [mut a, mut b] = [Multicast::new(), Multicast::new()];
        assert!(a.join(&ends).is_empty() && b.join(&ends).is_empty());
        assert_eq!(a.interfaces().count(), 2);
        assert_eq!(a.send(b"beacon"), 4, "two ends, two families");
        let across = [
            ("eth7", "192.168.5.8"),
            ("eth7", "fe80::8"),
            ("eth7-peer", "192.168.5.7"),
            ("eth7-peer", "fe80::7"),
        ];
        hear_all(&mut b, &ends, &across).await;
        // One's own datagrams come back as well.
        hear_all(&mut a, &ends, &[&across[..], &[("eth7", "192.168.5.7")]].concat()).await;
    });
}

#[test]
fn a_datagram_stays_on_its_interface() {
    alone_with_netlink(async |netlink| {
        cable();
        let ends = ends(&netlink).await;
        let [mut all, mut one] = [Multicast::new(), Multicast::new()];
        let only = ends.iter().filter(|end| end.name == "eth7").cloned().collect::<Vec<_>>();
        assert!(all.join(&ends).is_empty() && one.join(&only).is_empty());
        assert_eq!(one.send(b"beacon"), 2);
        for _ in 0..4 {
            let (heard, _) = hear(&mut all).await;
            let from = heard.from.ip().to_string();
            assert!(from == "192.168.5.7" || from == "fe80::7", "{from}");
        }
        assert!(one.join(&[]).is_empty());
        assert_eq!((one.send(b"beacon"), one.interfaces().count()), (0, 0), "it has left");
    });
}

#[test]
fn interfaces_come_go_and_get_addresses_late() {
    alone_with_netlink(async |netlink| {
        add_interface("eth7");
        let mut multicast = Multicast::new();
        assert_eq!(netlink.lan_interfaces().await.unwrap().len(), 1, "eth7 is down");
        ip("link set eth7 up");
        let before = ends(&netlink).await;
        let _no_address_yet = multicast.join(&before);
        ip("link delete eth7");
        assert_eq!(netlink.lan_interfaces().await.unwrap(), []);
        assert!(multicast.join(&[]).is_empty());
        let gone = multicast.join(&before);
        assert_eq!(gone.len(), 2, "of interfaces that are not there, each is told");
        cable();
        let after = ends(&netlink).await;
        assert!(multicast.join(&after).is_empty());
        assert_eq!(multicast.send(b"beacon"), 4);
        hear_all(&mut multicast, &after, &[("eth7", "fe80::8"), ("eth7-peer", "192.168.5.7")]).await;
    });
}

#[test]
fn tunnels_and_loopback_are_no_lan() {
    alone_with_netlink(async |netlink| {
        ip("tuntap add mode tun name tun7");
        ip("tuntap add mode tap name tap7");
        ip("link set tun7 up");
        ip("link set tap7 up");
        assert_eq!(netlink.lan_interfaces().await.unwrap(), []);
        add_interface("eth7");
        assert_eq!(netlink.lan_interfaces().await.unwrap()[0].name, "eth7-peer");
    });
}
