//! The TUN device: packets both ways, names, and what is said when there is none.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use hopmesh::io::poll::{Poll, Ready, Wake};
use hopmesh::io::tun::{Offloads, Queues, Tun, TunError};
use hopmesh::io::udp::Udp;
use rustix::mount::{MountFlags, mount};
use rustix::thread::CapabilitySet;
use wire::offload::{OFFLOAD_LENGTH, Offload, PartialChecksum, SegmentKind, Segments};

use crate::namespace::{add_interface, alone, alone_with_netlink, give_up, ip};

const PATIENCE: Option<Duration> = Some(Duration::from_secs(5));
/// Where the checksum of UDP stands behind an IPv4 header.
const UDP_CHECKSUM: PartialChecksum = PartialChecksum { start: 20, offset: 6 };

/// An IPv4 UDP packet without a UDP checksum, which IPv4 allows.
fn udp_packet(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), content: &[u8]) -> Vec<u8> {
    let total = u16::try_from(28 + content.len()).unwrap();
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    packet.extend(source.0.octets());
    packet.extend(destination.0.octets());
    let sum: u32 = packet.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(source.1.to_be_bytes());
    packet.extend(destination.1.to_be_bytes());
    packet.extend((total - 20).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(content);
    packet
}

fn send(tun: &Tun, packet: &[u8]) -> std::io::Result<usize> {
    tun.send(Offload::NONE, std::iter::once(packet))
}

#[test]
fn another_queue_has_a_part_of_the_flows() {
    alone_with_netlink(|netlink| async move {
        let first = Tun::create("hm-test", Queues::Several).unwrap();
        let second = first.another_queue().unwrap();
        let addresses = ["10.77.0.1/24".parse().unwrap()];
        let _applied = netlink.configure("hm-test", &addresses, &[], 1380, true).await.unwrap();
        let (us, them) = (Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2));
        for _ in 0..32 {
            UdpSocket::bind((us, 0)).unwrap().send_to(b"flow", (them, 7)).unwrap();
        }
        let flows = [&first, &second].map(|tun| {
            let mut buffer = [0; 2048];
            let packets = std::iter::from_fn(|| tun.recv(&mut buffer).ok());
            packets.filter(|(_, length)| *length == 32).count()
        });
        assert_eq!(flows.iter().sum::<usize>(), 32);
        assert!(flows.iter().all(|count| *count > 0), "{flows:?}");
    });
    alone(|| {
        let only = Tun::create("hm-test", Queues::One).unwrap();
        assert!(only.another_queue().is_err(), "it was made for one");
    });
}

#[test]
fn packets_cross_both_ways_and_nothing_is_sent_unasked() {
    alone_with_netlink(|netlink| async move {
        let tun = Tun::create("hm-test", Queues::One).unwrap();
        assert_eq!(tun.name(), "hm-test");
        assert!(ip("-o link show hm-test").starts_with(&format!("{}: hm-test:", tun.index())));
        let addresses = ["10.77.0.1/24".parse().unwrap(), "fd77::1/64".parse().unwrap()];
        let applied = netlink.configure("hm-test", &addresses, &[], 1380, true).await.unwrap();
        assert!(applied.ipv6);

        let (udp, wake) = (Udp::bind(0).unwrap(), Wake::new().unwrap());
        let (us, them) = (Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2));
        let program = UdpSocket::bind((us, 0)).unwrap();
        program.set_read_timeout(PATIENCE).unwrap();
        let port = program.local_addr().unwrap().port();

        program.send_to(b"outbound", (them, 7)).unwrap();
        let mut poll = Poll::new(Some(&tun), &udp, &wake).unwrap();
        assert_eq!(poll.wait(PATIENCE).unwrap(), Ready { tun: true, ..Ready::default() });
        let mut buffer = [0; 2000];
        let (offload, length) = tun.recv(&mut buffer).unwrap();
        // The first packet of all: no router solicitation or multicast report came before it.
        let packet = &buffer[OFFLOAD_LENGTH..][..length];
        assert_eq!((&packet[16..20], &packet[28..]), (them.octets().as_slice(), b"outbound".as_slice()));
        assert_eq!(offload, Offload { checksum: Some(UDP_CHECKSUM), segments: None });
        assert_eq!(tun.recv(&mut buffer).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);

        let inbound = udp_packet((them, 7), (us, port), b"inbound");
        assert_eq!(send(&tun, &inbound).unwrap(), OFFLOAD_LENGTH + inbound.len());
        let (length, from) = program.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (b"inbound".as_slice(), (them, 7).into()));

        assert!(send(&tun, b"").is_err());
        assert!(send(&tun, &[0xff; 100]).is_err(), "what is no IP packet was taken");
    });
}

#[test]
fn superpackets_cross_both_ways() {
    alone_with_netlink(|netlink| async move {
        let tun = Tun::create("hm-test", Queues::One).unwrap();
        assert_eq!(tun.offloads(), Offloads::TcpAndUdp, "this kernel has them all");
        let addresses = ["10.77.0.1/24".parse().unwrap()];
        let _applied = netlink.configure("hm-test", &addresses, &[], 1380, true).await.unwrap();
        let (us, them) = (Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2));
        let program = UdpSocket::bind((us, 0)).unwrap();
        program.set_read_timeout(PATIENCE).unwrap();
        let port = program.local_addr().unwrap().port();

        // Three datagrams that a program would send in one call, cut by the kernel and not by us.
        let whole = udp_packet((them, 7), (us, port), &[[1; 500], [2; 500], [3; 500]].concat());
        let mut joined = whole.clone();
        let packet = wire::packet::Packet::parse(&joined).unwrap();
        let transport = wire::transport::Transport::of(&packet, &joined).unwrap();
        joined[26..28].copy_from_slice(&transport.pseudo_header(&packet).folded());
        let segments = Some(Segments { kind: SegmentKind::Udp, size: 500, headers: 28 });
        let offload = Offload { checksum: Some(UDP_CHECKSUM), segments };
        let parts = [&joined[..528], &joined[528..1000], &joined[1000..]];
        tun.send(offload, parts.into_iter()).unwrap();
        let mut buffer = [0; 2000];
        for byte in 1..=3 {
            let (length, _) = program.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer[..length], [byte; 500]);
        }
    });
}

#[test]
fn a_name_in_use_is_left_alone_whatever_has_it() {
    alone(|| {
        add_interface("eth7");
        ip("tuntap add mode tun name hm-persist");
        let first = Tun::create("hm-first", Queues::One).unwrap();
        let before = ip("-d link show");
        for name in ["eth7", "hm-persist", "hm-first", "lo"] {
            let error = Tun::create(name, Queues::One).unwrap_err();
            assert!(matches!(&error, TunError::NameInUse { name: used } if used == name), "{name}: {error}");
        }
        assert_eq!(ip("-d link show"), before);
        drop(first);
        Tun::create("hm-first", Queues::One).expect("a TUN goes with its process and leaves its name");
    });
}

#[test]
fn an_interface_removed_under_us_is_an_error_and_no_hang() {
    alone(|| {
        let tun = Tun::create("hm-gone", Queues::One).unwrap();
        let (udp, wake) = (Udp::bind(0).unwrap(), Wake::new().unwrap());
        let mut poll = Poll::new(Some(&tun), &udp, &wake).unwrap();
        assert_eq!(poll.wait(Some(Duration::ZERO)).unwrap(), Ready::default());
        ip("link del hm-gone");
        assert!(poll.wait(PATIENCE).unwrap().tun);
        let error = tun.recv(&mut [0; 100]).unwrap_err();
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
        assert!(send(&tun, &[0x45; 100]).is_err());
    });
}

#[test]
fn without_the_right_the_answer_is_sudo() {
    alone(|| {
        give_up(CapabilitySet::NET_ADMIN);
        let error = Tun::create("hm-denied", Queues::One).unwrap_err();
        assert!(matches!(error, TunError::NotPermitted), "{error}");
        assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    });
}

#[test]
fn without_the_device_the_answer_is_modprobe_and_none_is_made() {
    alone(|| {
        mount("tmpfs", "/dev/net", "tmpfs", MountFlags::empty(), None).unwrap();
        let error = Tun::create("hm-nodev", Queues::One).unwrap_err();
        assert!(matches!(error, TunError::NoDevice), "{error}");
        assert!(error.to_string().contains("modprobe tun"), "{error}");
        assert_eq!(std::fs::read_dir("/dev/net").unwrap().count(), 0);
    });
}
