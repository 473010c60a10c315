//! The DNS server where it really is: at port 53 of mesh addresses, asked by the machine's own resolver.

use std::fs;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hopmesh::dns::{Dns, Domain, loopback_address};
use overlay::{Zone, ZoneNode};
use rustix::mount::mount_bind;
use wire::{NetworkId, NodeId};

use crate::namespace::{alone, ip};

const V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);

/// A network of this machine alone, called `laptop`, answered at `address`.
fn serve(addresses: [IpAddr; 2]) -> Dns {
    let laptop: wire::Name = "laptop".parse().unwrap();
    let mut zone = Zone::empty("home".parse().unwrap(), NodeId([1; 32]));
    zone.nodes.insert(laptop.clone(), ZoneNode { node: NodeId([1; 32]), v4: V4, v6: V6 });
    zone.addresses = [(V4.into(), laptop.clone()), (V6.into(), laptop)].into();
    let ranges = ("10.77.0.0/16".parse().unwrap(), "fd77::/48".parse().unwrap());
    let domain = Domain::new(&zone.network, "internal", ranges.0, ranges.1).unwrap();
    let addresses = addresses.map(|address| SocketAddr::new(address, 53));
    Dns::start(Arc::new(ArcSwap::from_pointee(zone)), domain, addresses).unwrap()
}

/// Runs a program of the system's and gives its words.
fn words(command: &str) -> Vec<String> {
    let mut parts = command.split(' ');
    let output = Command::new(parts.next().unwrap()).args(parts).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn programs_of_the_machine_find_names() {
    alone(|| {
        ip("link set lo up");
        // The resolver asks for no address of a family in which the machine has none.
        ip("address add 10.77.0.1/32 dev lo");
        ip("address add fd77::1/128 dev lo");
        let loopback = loopback_address(&NetworkId([9; 16]));
        let dns = serve([loopback.into(), V4.into()]);
        assert!(dns.problems().is_empty(), "{:?}", dns.problems());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolv.conf");
        fs::write(&file, format!("nameserver {loopback}\nsearch home.internal\n")).unwrap();
        mount_bind(&file, fs::canonicalize("/etc/resolv.conf").unwrap()).unwrap();
        assert_eq!(words("getent ahostsv4 laptop.home.internal")[0], "10.77.0.1");
        assert_eq!(words("getent ahostsv6 laptop.home.internal")[0], "fd77::1");
        // By the search list, and backwards.
        assert_eq!(words("getent ahostsv4 laptop")[0], "10.77.0.1");
        assert_eq!(words("getent hosts 10.77.0.1"), ["10.77.0.1", "laptop.home.internal"]);
        assert_eq!(words("getent hosts fd77::1"), ["fd77::1", "laptop.home.internal"]);
        assert!(words("getent ahosts nobody.home.internal").is_empty());
        assert!(dns.counted().refused == 0 && dns.counted().not_found > 0);
    });
}

#[test]
fn a_mesh_address_may_come_after_the_server() {
    alone(|| {
        ip("link set lo up");
        let dns = serve([V4.into(), V6.into()]);
        assert_eq!(dns.addresses().len(), 2, "{:?}", dns.problems());
        ip("address add 10.77.0.1/32 dev lo");
        ip("address add fd77::1/128 dev lo");
        for address in ["10.77.0.1", "fd77::1"] {
            let found =
                words(&format!("dig @{address} +short laptop.home.internal A laptop.home.internal AAAA"));
            assert_eq!(found, ["10.77.0.1", "fd77::1"], "{address}");
        }
        assert_eq!(words("dig @10.77.0.1 +tcp +short -x 10.77.0.1"), ["laptop.home.internal."]);
    });
}

#[test]
fn strangers_get_no_answer() {
    alone(|| {
        ip("link set lo up");
        ip("address add 10.77.0.1/32 dev lo");
        ip("address add 192.0.2.9/32 dev lo");
        let dns = serve([V4.into(), V6.into()]);
        let question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x06laptop\x04home\x08internal\0\0\x01\0\x01";
        let ask = |from: &str| {
            let socket = UdpSocket::bind((from, 0)).unwrap();
            socket.send_to(question, (V4, 53)).unwrap();
            socket
        };
        let stranger = ask("192.0.2.9");
        let member = ask("10.77.0.1");
        member.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        assert!(member.recv(&mut [0; 512]).unwrap() > question.len());
        // What came before was dealt with before.
        stranger.set_nonblocking(true).unwrap();
        assert!(stranger.recv(&mut [0; 512]).is_err());
        assert_eq!((dns.counted().strangers, dns.counted().questions), (1, 1));
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([192, 0, 2, 9], 0)).into()).unwrap();
        socket.connect(&SocketAddr::from((V4, 53)).into()).unwrap();
        assert_eq!(TcpStream::from(socket).read(&mut [0; 1]).unwrap_or(0), 0);
        assert_eq!(dns.counted().strangers, 2);
    });
}
