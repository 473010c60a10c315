//! Packets are made by hand, byte by byte.

use super::*;

/// An IPv4 packet from 10.0.0.1 to 10.0.0.2 with these options (padded by the caller) and payload.
fn ipv4(options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header_length = IPV4_HEADER_LENGTH + options.len();
    let length = u16::try_from(header_length + payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![0x40 | u8::try_from(header_length / 4).unwrap(), 0, length[0], length[1]];
    bytes.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    [&bytes, options, payload].concat()
}

/// An IPv6 packet from fd00::1 to fd00::2.
fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![0x60, 0, 0, 0, length[0], length[1], next_header, 64];
    bytes.extend("fd00::1".parse::<Ipv6Addr>().unwrap().octets());
    bytes.extend("fd00::2".parse::<Ipv6Addr>().unwrap().octets());
    [&bytes, payload].concat()
}

#[test]
fn reads_the_facts_of_both_families() {
    let packet = Packet::parse(&[&ipv4(&[1, 1, 1, 0], b"data")[..], b"padding"].concat()).unwrap();
    assert_eq!(
        (packet.source, packet.destination),
        ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap())
    );
    assert_eq!((packet.protocol, packet.length, packet.payload_offset), (17, 28, 24));
    let packet = Packet::parse(&[&ipv6(17, b"data")[..], b"padding"].concat()).unwrap();
    assert_eq!((packet.source, packet.destination), ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap()));
    assert_eq!((packet.protocol, packet.length, packet.payload_offset), (17, 44, 40));
    assert_eq!(packet.forbidden(), None);
}

#[test]
fn stated_lengths_must_fit_the_buffer() {
    for whole in [ipv4(&[], b"data"), ipv4(&[7, 4, 4, 0], b""), ipv6(6, b"data"), ipv6(59, b"")] {
        assert!(Packet::parse(&whole).is_ok());
        for length in 0..whole.len() {
            assert_eq!(Packet::parse(&whole[..length]), Err(PacketError::Truncated), "{length}");
        }
    }
    let mut short_header = ipv4(&[], b"data");
    short_header[0] = 0x44;
    assert_eq!(Packet::parse(&short_header), Err(PacketError::Length));
    for stated in [0, 19] {
        let mut short_total = ipv4(&[], b"data");
        short_total[3] = stated;
        assert_eq!(Packet::parse(&short_total), Err(PacketError::Length), "{stated}");
    }
    for jumbo in [ipv6(0, b""), ipv6(6, b"")] {
        assert_eq!(Packet::parse(&jumbo), Err(PacketError::Jumbogram));
    }
    for version in (0..16).filter(|version| ![4, 6].contains(version)) {
        assert_eq!(Packet::parse(&[version << 4; 60]), Err(PacketError::Version(version)));
    }
}

#[test]
fn source_routes_are_found_wherever_they_stand() {
    for options in [[131, 3, 4, 0], [1, 137, 3, 4], [1, 1, 1, 131]] {
        assert_eq!(Packet::parse(&ipv4(&options, b"")), Err(PacketError::SourceRoute), "{options:?}");
    }
    assert!(Packet::parse(&ipv4(&[0, 131, 3, 4], b"")).is_ok(), "nothing counts behind the end of options");
    for options in [[7, 0, 0, 0], [7, 1, 0, 0], [7, 5, 4, 0], [1, 1, 1, 7]] {
        assert_eq!(Packet::parse(&ipv4(&options, b"")), Err(PacketError::Options), "{options:?}");
    }
    let routing = [17, 0, 0, 1, 0, 0, 0, 0];
    let before_routing = [43, 0, 0, 0, 0, 0, 0, 0];
    let later_fragment_before_routing = [43, 0, 0, 8, 0, 0, 0, 0];
    assert_eq!(Packet::parse(&ipv6(43, &routing)), Err(PacketError::SourceRoute));
    for next in [0, 44, 60] {
        let payload = [before_routing, routing].concat();
        assert_eq!(Packet::parse(&ipv6(next, &payload)), Err(PacketError::SourceRoute), "behind {next}");
    }
    let hidden = Packet::parse(&ipv6(44, &later_fragment_before_routing));
    assert_eq!(hidden, Err(PacketError::SourceRoute));
}

#[test]
fn extension_headers_are_walked_to_the_payload() {
    let options = [60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]; // 16 bytes, then destination options
    let more_options = [51, 0, 0, 0, 0, 0, 0, 0]; // 8 bytes, then an authentication header
    let authentication = [44, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]; // 16 bytes, then a fragment header
    let first_fragment = [17, 255, 0, 1, 0, 0, 0, 0]; // 8 bytes whatever its reserved byte says
    let chain = [&options[..], &more_options, &authentication, &first_fragment].concat();
    let packet = Packet::parse(&ipv6(0, &[&chain[..], b"data"].concat())).unwrap();
    assert_eq!((packet.protocol, packet.payload_offset, packet.later_fragment), (17, 88, false));
    for cut in 1..chain.len() {
        assert_eq!(Packet::parse(&ipv6(0, &chain[..cut])), Err(PacketError::Options), "chain cut at {cut}");
    }
    let later_fragment = Packet::parse(&ipv6(44, &[17, 0, 0, 8, 0, 0, 0, 0, 1])).unwrap();
    assert_eq!((later_fragment.protocol, later_fragment.later_fragment), (17, true));
    let chain_of = |count: usize| {
        let mut chain = [60, 0, 0, 0, 0, 0, 0, 0].repeat(count);
        chain[(count - 1) * 8] = 17;
        ipv6(60, &chain)
    };
    assert!(Packet::parse(&chain_of(8)).is_ok());
    assert_eq!(Packet::parse(&chain_of(9)), Err(PacketError::Options), "too many");
    for (next, kind) in [(60, 17), (51, 17), (0, 17), (60, 59)] {
        let longer_than_the_packet = ipv6(next, &[kind, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Packet::parse(&longer_than_the_packet), Err(PacketError::Options), "behind {next}");
    }
}

#[test]
fn forbidden_addresses_are_named_on_either_side() {
    for (address, kind) in [
        ("0.1.2.3", Some(Forbidden::Unspecified)),
        ("127.0.0.53", Some(Forbidden::Loopback)),
        ("169.254.169.254", Some(Forbidden::LinkLocal)),
        ("224.0.0.251", Some(Forbidden::Multicast)),
        ("239.255.255.255", Some(Forbidden::Multicast)),
        ("255.255.255.255", Some(Forbidden::Broadcast)),
        ("10.255.255.255", None),
        ("100.64.0.1", None),
        ("::", Some(Forbidden::Unspecified)),
        ("::1", Some(Forbidden::Loopback)),
        ("::2", Some(Forbidden::Mapped)),
        ("::ffff:10.0.0.1", Some(Forbidden::Mapped)),
        ("::ffff:127.0.0.1", Some(Forbidden::Mapped)),
        ("fe80::1", Some(Forbidden::LinkLocal)),
        ("febf::1", Some(Forbidden::LinkLocal)),
        ("ff02::fb", Some(Forbidden::Multicast)),
        ("fd00::1", None),
        ("2001:db8::1", None),
    ] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(Forbidden::of(address), kind, "{address}");
        let (mut bytes, source, destination) = match address {
            IpAddr::V4(_) => (ipv4(&[], b""), 12, 16),
            IpAddr::V6(_) => (ipv6(17, b"data"), 8, 24),
        };
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        for at in [source, destination] {
            let original = bytes.clone();
            bytes[at..at + octets.len()].copy_from_slice(&octets);
            assert_eq!(Packet::parse(&bytes).unwrap().forbidden(), kind, "{address} at {at}");
            bytes = original;
        }
    }
}
