//! Errors are read back field by field, with a checksum of another make than the code's.

use super::*;

const REASONS: [(Unreachable, u8, u8); 3] = [
    (Unreachable::NoRoute, 0, 0),
    (Unreachable::HostUnreachable, 1, 3),
    (Unreachable::AdminProhibited, 13, 1),
];

fn ipv4_reporter() -> IpAddr {
    "10.9.0.1".parse().unwrap()
}

fn ipv6_reporter() -> IpAddr {
    "fd09::1".parse().unwrap()
}

fn ipv4(source: &str, destination: &str, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
    bytes.extend(source.parse::<Ipv4Addr>().unwrap().octets());
    bytes.extend(destination.parse::<Ipv4Addr>().unwrap().octets());
    [&bytes, payload].concat()
}

fn ipv6(source: &str, destination: &str, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![0x60, 0, 0, 0, length[0], length[1], next_header, 64];
    bytes.extend(source.parse::<Ipv6Addr>().unwrap().octets());
    bytes.extend(destination.parse::<Ipv6Addr>().unwrap().octets());
    [&bytes, payload].concat()
}

/// A number sequence that is the same in every run (xorshift64).
fn random_bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Whether bytes with their checksum in place sum up to all ones, byte by byte in one's complement.
fn verifies(parts: &[&[u8]]) -> bool {
    let bytes = parts.concat();
    let (mut high, mut low) = (0u64, 0u64);
    for (i, byte) in bytes.iter().enumerate() {
        *(if i % 2 == 0 { &mut high } else { &mut low }) += u64::from(*byte);
    }
    (high * 256 + low) % 0xffff == 0 && high + low > 0
}

/// Checks all that holds for every error, and returns type, code, second word and the quoted bytes.
fn dissect(error: &[u8]) -> (u8, u8, u32, &[u8]) {
    let packet = Packet::parse(error).expect("an error is a packet");
    assert_eq!(packet.length, error.len());
    let icmp = match packet.source {
        IpAddr::V4(_) => {
            assert!(error.len() <= 576, "{} bytes", error.len());
            assert!(verifies(&[&error[..20]]), "IPv4 header checksum");
            assert!(verifies(&[&error[20..]]), "ICMP checksum");
            assert_eq!(packet.protocol, 1);
            &error[20..]
        }
        IpAddr::V6(_) => {
            assert!(error.len() <= 1280, "{} bytes", error.len());
            let length = u32::try_from(error.len() - 40).unwrap().to_be_bytes();
            let pseudo_header = [&error[8..40], &length[..], &[0, 0, 0, 58]].concat();
            assert!(verifies(&[&pseudo_header, &error[40..]]), "ICMPv6 checksum");
            assert_eq!(packet.protocol, 58);
            &error[40..]
        }
    };
    (icmp[0], icmp[1], u32::from_be_bytes([icmp[4], icmp[5], icmp[6], icmp[7]]), &icmp[8..])
}

#[test]
fn the_independent_checksum_knows_right_from_wrong() {
    // The worked IPv4 header of RFC 1071's companions: checksum 0xb861.
    let mut header = vec![0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61];
    header.extend([0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7]);
    assert!(verifies(&[&header]));
    header[10..12].fill(0);
    assert!(!verifies(&[&header]));
    assert_eq!(Sum::default().with(&header).checksum(), [0xb8, 0x61]);
}

#[test]
fn unreachable_answers_the_source_with_the_reason() {
    for length in (0..1500).step_by(7).chain([520, 521, 527, 528, 529, 1191, 1192, 1193]) {
        let payload = random_bytes(length, length as u64);
        for (reason, ipv4_code, ipv6_code) in REASONS {
            let offending = ipv4("10.9.0.2", "10.9.0.3", 17, &payload);
            let error = unreachable(&offending, ipv4_reporter(), reason).unwrap();
            assert_eq!(dissect(&error), (3, ipv4_code, 0, &offending[..offending.len().min(548)]));
            let packet = Packet::parse(&error).unwrap();
            assert_eq!((packet.source, packet.destination), (ipv4_reporter(), "10.9.0.2".parse().unwrap()));

            if length == 0 {
                continue; // no IPv6 packet with UDP
            }
            let offending = ipv6("fd09::2", "fd09::3", 17, &payload);
            let error = unreachable(&offending, ipv6_reporter(), reason).unwrap();
            assert_eq!(dissect(&error), (1, ipv6_code, 0, &offending[..offending.len().min(1232)]));
            let packet = Packet::parse(&error).unwrap();
            assert_eq!((packet.source, packet.destination), (ipv6_reporter(), "fd09::2".parse().unwrap()));
        }
    }
}

#[test]
fn too_big_tells_the_mtu() {
    let offending = ipv4("10.9.0.2", "10.9.0.3", 6, &[7; 1400]);
    let error = too_big(&offending, ipv4_reporter(), 1380).unwrap();
    assert_eq!(dissect(&error), (3, 4, 1380, &offending[..548]));
    let offending = ipv6("fd09::2", "fd09::3", 6, &[7; 1400]);
    let error = too_big(&offending, ipv6_reporter(), 1380).unwrap();
    assert_eq!(dissect(&error), (2, 0, 1380, &offending[..1232]));
}

#[test]
fn padding_behind_the_packet_is_not_quoted() {
    let offending = ipv4("10.9.0.2", "10.9.0.3", 17, b"data");
    let padded = [&offending[..], &[9; 40]].concat();
    let error = unreachable(&padded, ipv4_reporter(), Unreachable::NoRoute).unwrap();
    assert_eq!(dissect(&error).3, offending);
}

#[test]
fn icmp_errors_are_never_answered() {
    for kind in 0..=255 {
        let query = matches!(kind, 0 | 8 | 9 | 10 | 13 | 14 | 15 | 16 | 17 | 18);
        let offending = ipv4("10.9.0.2", "10.9.0.3", 1, &[kind, 0, 0, 0, 0, 0, 0, 0]);
        let answered = unreachable(&offending, ipv4_reporter(), Unreachable::NoRoute).is_some();
        assert_eq!(answered, query, "ICMP type {kind}");
        let information = (128..=255).contains(&kind) && kind != 137;
        // A hop-by-hop header before it makes no difference.
        let direct = ipv6("fd09::2", "fd09::3", 58, &[kind, 0, 0, 0, 0, 0, 0, 0]);
        let behind = ipv6("fd09::2", "fd09::3", 0, &[58, 0, 1, 4, 0, 0, 0, 0, kind, 0, 0, 0]);
        for offending in [direct, behind] {
            let answered = too_big(&offending, ipv6_reporter(), 1280).is_some();
            assert_eq!(answered, information, "ICMPv6 type {kind}");
        }
    }
    let bare = ipv4("10.9.0.2", "10.9.0.3", 1, &[]);
    assert_eq!(unreachable(&bare, ipv4_reporter(), Unreachable::NoRoute), None, "ICMP without a type");
    let error = unreachable(&ipv4("10.9.0.2", "10.9.0.3", 6, b"data"), ipv4_reporter(), Unreachable::NoRoute);
    assert_eq!(unreachable(&error.unwrap(), ipv4_reporter(), Unreachable::NoRoute), None, "our own error");
}

#[test]
fn only_first_fragments_are_answered() {
    let mut offending = ipv4("10.9.0.2", "10.9.0.3", 17, b"data data");
    offending[6] = 0x20; // more fragments
    assert!(unreachable(&offending, ipv4_reporter(), Unreachable::NoRoute).is_some());
    offending[7] = 1; // not the first
    assert_eq!(unreachable(&offending, ipv4_reporter(), Unreachable::NoRoute), None);
    let first = ipv6("fd09::2", "fd09::3", 44, &[17, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4]);
    let later = ipv6("fd09::2", "fd09::3", 44, &[17, 0, 0, 8, 0, 0, 0, 0, 1, 2, 3, 4]);
    assert!(unreachable(&first, ipv6_reporter(), Unreachable::NoRoute).is_some());
    assert_eq!(unreachable(&later, ipv6_reporter(), Unreachable::NoRoute), None);
}

#[test]
fn groups_and_nobody_are_never_answered() {
    for bad in ["0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255"] {
        let from = ipv4(bad, "10.9.0.3", 17, b"data");
        assert_eq!(unreachable(&from, ipv4_reporter(), Unreachable::NoRoute), None, "from {bad}");
    }
    for bad in ["0.0.0.0", "224.0.0.1", "255.255.255.255"] {
        let to = ipv4("10.9.0.2", bad, 17, b"data");
        assert_eq!(unreachable(&to, ipv4_reporter(), Unreachable::NoRoute), None, "to {bad}");
    }
    for bad in ["::", "::1", "fe80::1", "ff02::1", "::ffff:10.0.0.1"] {
        let from = ipv6(bad, "fd09::3", 17, b"data");
        assert_eq!(unreachable(&from, ipv6_reporter(), Unreachable::NoRoute), None, "from {bad}");
    }
    let to = ipv6("fd09::2", "ff02::fb", 17, b"data");
    assert_eq!(too_big(&to, ipv6_reporter(), 1280), None, "to a group");
    let other_family = ipv6("fd09::2", "fd09::3", 17, b"data");
    assert_eq!(unreachable(&other_family, ipv4_reporter(), Unreachable::NoRoute), None);
}

#[test]
fn random_bytes_of_any_length_do_no_harm() {
    let mut answered = 0;
    for length in 0..200 {
        for seed in 0..60 {
            let mut bytes = random_bytes(length, seed << 8 | length as u64);
            // Half of them begin like a packet of the right length, so that more than the version is tried.
            if let Some([first, _, a, b, c, d]) = bytes.first_chunk_mut() {
                match seed % 4 {
                    0 => (*first, *a, *b) = (0x45 + (seed % 3) as u8, 0, length as u8),
                    1 => (*first, *c, *d) = (0x60, 0, (length as u8).saturating_sub(40)),
                    _ => {}
                }
            }
            for reporter in [ipv4_reporter(), ipv6_reporter()] {
                let errors = [unreachable(&bytes, reporter, REASONS[0].0), too_big(&bytes, reporter, 1280)];
                for error in errors.iter().flatten() {
                    dissect(error);
                    answered += 1;
                }
            }
        }
    }
    assert!(answered > 1000, "only {answered} were packets");
}
