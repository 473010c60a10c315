//! Netlink: what it reads and sets, held against iproute2, and when it tells of a change.

use std::net::IpAddr;
use std::time::Duration;

use hopmesh::io::netlink::{Applied, Changes, DefaultGateway, Netlink, NetlinkError};
use ipnet::IpNet;
use rustix::thread::CapabilitySet;
use tokio::time::timeout;

use crate::namespace::{add_interface, alone_with_netlink, give_up, ip};

const PATIENCE: Duration = Duration::from_secs(5);
/// Longer than notices are gathered for: nothing in this time is nothing at all.
const SILENCE: Duration = Duration::from_millis(400);

fn prefixes<const N: usize>(texts: [&str; N]) -> [IpNet; N] {
    texts.map(|text| text.parse().unwrap())
}

#[test]
fn an_interface_gets_mtu_addresses_and_routes() {
    alone_with_netlink(|netlink| async move {
        add_interface("hm-a");
        let addresses = prefixes(["10.77.0.1/16", "fd77::1/48"]);
        // Host bits in a route are cut off, and a route that the address brings along already is fine.
        let routes = prefixes(["10.78.1.1/16", "fd78::9/48", "10.77.0.0/16"]);
        for _ in 0..2 {
            let applied = netlink.configure("hm-a", &addresses, &routes, 1340, true).await.unwrap();
            assert_eq!(applied, Applied { ipv6: true });
        }
        let link = ip("-o address show hm-a");
        assert!(link.contains("10.77.0.1/16") && link.contains("fd77::1/48"), "{link}");
        assert!(!link.contains("tentative") && !link.contains("fe80"), "{link}");
        assert!(ip("link show hm-a").contains("mtu 1340"));
        assert!(ip("route show").contains("10.78.0.0/16 dev hm-a"), "{}", ip("route show"));
        assert!(ip("-6 route show").contains("fd78::/48 dev hm-a"), "{}", ip("-6 route show"));

        let _ = netlink.configure("hm-a", &[], &[], 1340, false).await.unwrap();
        assert!(!ip("link show hm-a").contains("UP"));
    });
}

#[test]
fn a_route_of_another_interface_is_not_taken_over() {
    alone_with_netlink(|netlink| async move {
        add_interface("eth7");
        ip("link set eth7 up");
        ip("route add 10.80.0.0/16 dev eth7");
        add_interface("hm-a");
        let error =
            netlink.configure("hm-a", &[], &prefixes(["10.80.0.0/16"]), 1340, true).await.unwrap_err();
        assert!(matches!(error, NetlinkError::RouteTaken { .. }), "{error}");
        assert!(error.to_string().contains("10.80.0.0/16"), "{error}");
        assert!(ip("route show").contains("10.80.0.0/16 dev eth7"));
    });
}

#[test]
fn an_address_that_changes_takes_the_old_one_along_and_keeps_the_routes() {
    alone_with_netlink(|netlink| async move {
        add_interface("hm-a");
        let routes = prefixes(["10.90.0.0/16", "fd90::/48"]);
        let _ = netlink
            .configure("hm-a", &prefixes(["10.77.0.1/16", "fd77::1/48"]), &routes, 1340, true)
            .await
            .unwrap();
        // In the same prefix, where the kernel makes it a secondary that goes with the first; and in another.
        for new in [["10.77.0.2/16", "fd77::2/48"], ["10.79.0.1/16", "fd79::1/48"]] {
            let applied = netlink.replace_addresses("hm-a", &prefixes(new), &routes).await.unwrap();
            assert!(applied.ipv6);
            let (addresses, routes) = (ip("-o address show hm-a"), ip("route show") + &ip("-6 route show"));
            assert_eq!(addresses.lines().count(), 2, "{addresses}");
            assert!(new.iter().all(|address| addresses.contains(address)), "{addresses}");
            assert!(
                routes.contains("10.90.0.0/16 dev hm-a") && routes.contains("fd90::/48 dev hm-a"),
                "{routes}"
            );
        }
    });
}

#[test]
fn routes_are_there_at_every_moment_of_a_change() {
    alone_with_netlink(|netlink| async move {
        add_interface("hm-a");
        let _ = netlink.configure("hm-a", &prefixes(["10.77.0.1/16"]), &[], 1340, true).await.unwrap();
        // Not one of ours, so it is there afterwards only if the kernel never dropped it.
        ip("route add 10.91.0.0/16 dev hm-a");
        let _ = netlink.replace_addresses("hm-a", &prefixes(["10.79.0.1/16"]), &[]).await.unwrap();
        assert!(ip("route show").contains("10.91.0.0/16 dev hm-a"), "{}", ip("route show"));
        assert!(!ip("route show").contains("10.77"));
    });
}

#[test]
fn where_ipv6_is_switched_off_ipv4_works() {
    alone_with_netlink(|netlink| async move {
        std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        add_interface("hm-a");
        let addresses = prefixes(["10.77.0.1/16", "fd77::1/48"]);
        let routes = prefixes(["10.78.0.0/16", "fd78::/48"]);
        let applied = netlink.configure("hm-a", &addresses, &routes, 1340, true).await.unwrap();
        assert_eq!(applied, Applied { ipv6: false });
        assert!(ip("-o address show hm-a").contains("10.77.0.1/16"));
        assert!(ip("route show").contains("10.78.0.0/16 dev hm-a"));
    });
}

#[test]
fn routes_are_all_that_a_network_could_clash_with() {
    alone_with_netlink(|netlink| async move {
        add_interface("eth7");
        ip("address add 192.168.5.7/24 dev eth7");
        ip("address add fd05::7/64 dev eth7 nodad noprefixroute");
        ip("link set eth7 up");
        ip("route add default via 192.168.5.1");
        ip("route add 10.1.0.0/16 via 192.168.5.1");
        ip("route add 10.2.0.0/16 via 192.168.5.1 table 52");
        ip("route add unreachable 10.3.0.0/16");
        let routes = netlink.routes().await.unwrap();
        let expected = prefixes([
            "10.1.0.0/16",
            "10.2.0.0/16",
            "10.3.0.0/16",
            "192.168.5.0/24",
            "192.168.5.7/32",
            "fd05::/64",
            "fd05::7/128",
        ]);
        assert_eq!(routes, expected);
    });
}

#[test]
fn local_addresses_are_those_that_others_can_dial() {
    alone_with_netlink(|netlink| async move {
        for (interface, addresses) in [
            (
                "eth7",
                ["192.168.5.7/24 scope global", "fd05::7/64 nodad", "169.254.3.3/16 scope global"].as_slice(),
            ),
            ("eth8", &["192.168.8.7/24"]),
            ("hm-a", &["10.77.0.1/16"]),
        ] {
            add_interface(interface);
            for address in addresses {
                ip(&format!("address add dev {interface} {address}"));
            }
        }
        ip("address add fd05::8/64 dev eth7 nodad preferred_lft 0");
        ip("address add 192.168.6.9/24 dev eth7 scope host");
        ip("link set eth7 up");
        ip("link set hm-a up");
        let addresses = netlink.local_addresses("hm-a").await.unwrap();
        assert_eq!(addresses, ["192.168.5.7", "fd05::7"].map(|text| text.parse::<IpAddr>().unwrap()));
        assert_eq!(netlink.local_addresses("hm-none").await.unwrap().len(), 3);
    });
}

#[test]
fn an_address_on_trial_is_not_dialable() {
    alone_with_netlink(|netlink| async move {
        // The other end stays down: duplicate detection cannot even begin.
        ip("link add eth7 type veth peer name eth8");
        ip("link set eth7 up");
        ip("address add fd05::7/64 dev eth7");
        assert!(ip("-o -6 address show eth7").contains("tentative"), "the trial did not last");
        assert_eq!(netlink.local_addresses("hm-a").await.unwrap(), [] as [IpAddr; 0]);
    });
}

#[test]
fn the_default_gateway_is_that_of_the_best_route() {
    alone_with_netlink(|netlink| async move {
        let expect = async |step: &str, expected: Option<[&str; 2]>| {
            let expected = expected
                .map(|[gateway, local]| [gateway, local].map(|text| text.parse().unwrap()))
                .map(|[gateway, local]| DefaultGateway { gateway, local });
            assert_eq!(netlink.default_gateway().await.unwrap(), expected, "{step}");
        };
        for (interface, addresses) in
            [("eth7", ["10.9.9.9/24", "192.168.5.7/24"].as_slice()), ("eth8", &["192.168.8.7/24"])]
        {
            add_interface(interface);
            for address in addresses {
                ip(&format!("address add {address} dev {interface}"));
            }
            ip(&format!("link set {interface} up"));
        }
        ip("route add 10.1.0.0/16 via 192.168.5.1");
        ip("route add default via 192.168.5.1 table 52");
        expect("no default route in the main table", None).await;
        ip("route add default dev eth8 metric 500");
        expect("a default route without a gateway", None).await;
        ip("route add default via 192.168.5.1 metric 100");
        expect("the address in the gateway's network", Some(["192.168.5.1", "192.168.5.7"])).await;
        ip("route add default via 192.168.8.1 metric 50");
        expect("the lower metric", Some(["192.168.8.1", "192.168.8.7"])).await;
        ip("route add default via 192.168.5.254 src 10.9.9.9 metric 20");
        expect("the source that the route prefers", Some(["192.168.5.254", "10.9.9.9"])).await;
        ip("link set eth7 down");
        expect("the routes of a link that is down are gone", Some(["192.168.8.1", "192.168.8.7"])).await;
        ip("route add default dev eth8 metric 5");
        expect("what is sent goes past the router", None).await;
    });
}

async fn is_told(changes: &mut Changes) -> bool {
    timeout(PATIENCE, changes.next()).await.is_ok_and(|told| told.is_ok())
}

#[test]
fn changes_of_any_kind_are_told_once() {
    alone_with_netlink(|netlink| async move {
        let mut changes = netlink.changes().unwrap();
        // On loopback first: other links give notices of their own, for seconds.
        for change in [
            "address add 192.168.5.7/24 dev lo",
            "address add fd05::7/64 dev lo nodad",
            "route add 10.1.0.0/16 dev lo",
            "-6 route add fd06::/64 dev lo",
            "-6 route del fd06::/64 dev lo",
            "address del 192.168.5.7/24 dev lo",
            "link add eth7 type veth",
            "link set eth7 up",
            "link del eth7",
        ] {
            ip(change);
            assert!(is_told(&mut changes).await, "not told of `ip {change}`");
        }
    });
}

#[test]
fn a_burst_of_changes_is_told_once() {
    alone_with_netlink(|netlink| async move {
        let mut changes = netlink.changes().unwrap();
        for n in 1..50 {
            ip(&format!("address add 192.168.5.{n}/24 dev lo"));
        }
        assert!(is_told(&mut changes).await);
        assert!(timeout(SILENCE, changes.next()).await.is_err(), "told twice of one burst");
    });
}

#[test]
fn a_wait_given_up_loses_no_change() {
    alone_with_netlink(|netlink| async move {
        let mut changes = netlink.changes().unwrap();
        add_interface("eth7");
        assert!(
            timeout(Duration::from_millis(20), changes.next()).await.is_err(),
            "the gathering was not under way"
        );
        assert!(is_told(&mut changes).await);
    });
}

#[test]
fn who_gives_up_waiting_again_and_again_is_told_all_the_same() {
    alone_with_netlink(|netlink| async move {
        let mut changes = netlink.changes().unwrap();
        add_interface("eth7");
        let mut is_told = false;
        for _ in 0..200 {
            is_told |= timeout(Duration::from_millis(20), changes.next()).await.is_ok();
        }
        assert!(is_told, "each time the gathering began anew");
    });
}

#[test]
fn packets_are_diverted_to_a_table_unless_they_are_marked_and_no_more_when_that_is_over() {
    const TABLE: u32 = 4_800_000;
    alone_with_netlink(|netlink| async move {
        ip("link set lo up");
        add_interface("eth7");
        let configured = netlink.configure("eth7", &prefixes(["192.0.2.1/24"]), &[], 1400, true).await;
        assert!(configured.is_ok());
        add_interface("hm-a");
        let configured = netlink.configure("hm-a", &prefixes(["10.7.0.1/16"]), &[], 1400, true).await;
        assert!(configured.is_ok());
        let rules = || [ip("-4 rule"), ip("-6 rule")];
        let before = rules();
        let office = prefixes(["192.168.9.0/24", "fd09::/64", "192.0.2.128/25"]);
        netlink.fill_table(TABLE, "hm-a", (&office, &[])).await.unwrap();
        for _ in 0..2 {
            netlink.divert(TABLE, 7).await.unwrap();
        }
        for to in ["192.168.9.5", "192.0.2.200"] {
            assert!(ip(&format!("route get {to}")).contains("dev hm-a"), "{to}");
        }
        assert!(ip("-6 route get fd09::5").contains("dev hm-a"));
        assert!(ip("route get 192.0.2.200 mark 7").contains("dev eth7"), "what is marked goes its own way");
        assert!(!netlink.routes_beside("hm-a").await.unwrap().contains(&office[0]));
        assert!(netlink.routes_beside("eth7").await.unwrap().contains(&office[0]));
        netlink.fill_table(TABLE, "hm-a", (&office[..1], &[])).await.unwrap();
        assert!(ip("route get 192.0.2.200").contains("dev eth7"), "the other routes have gone");
        assert!(ip("route get 192.168.9.5").contains("dev hm-a"), "and this has stayed");
        let everything = prefixes(["0.0.0.0/0", "::/0"]);
        let lan = prefixes(["192.0.2.0/24"]);
        for _ in 0..2 {
            netlink.fill_table(TABLE, "hm-a", (&everything, &lan)).await.unwrap();
            assert!(ip("route get 11.1.1.1").contains("dev hm-a"));
            assert!(ip("-6 route get 2a00::1").contains("dev hm-a"));
            assert!(ip("route get 192.0.2.200").contains("dev eth7"), "but for what is beside");
        }
        netlink.fill_table(TABLE, "hm-a", (&everything, &[])).await.unwrap();
        assert!(ip("route get 192.0.2.200").contains("dev hm-a"));
        netlink.fill_table(TABLE, "hm-a", (&[], &[])).await.unwrap();
        assert!(ip("route get 192.0.2.200").contains("dev eth7"));
        for _ in 0..2 {
            netlink.undivert(TABLE).await.unwrap();
        }
        assert_eq!(rules(), before);
    });
}

#[test]
fn without_the_right_the_answer_is_sudo() {
    alone_with_netlink(|_| async move {
        add_interface("hm-a");
        give_up(CapabilitySet::NET_ADMIN);
        let netlink = Netlink::open().unwrap();
        let error = netlink.configure("hm-a", &[], &[], 1340, true).await.unwrap_err();
        assert!(matches!(error, NetlinkError::NotPermitted { .. }), "{error}");
        assert!(error.to_string().contains("hm-a") && error.to_string().contains("sudo"), "{error}");
        let error = netlink.configure("hm-none", &[], &[], 1340, true).await.unwrap_err();
        assert!(matches!(error, NetlinkError::NoInterface { .. }), "{error}");
    });
}
