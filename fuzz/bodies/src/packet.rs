//! Inner packets and the ICMP errors that answer them.

use crate::plain::ones_complement_sum;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wire::icmp::{Unreachable, too_big, unreachable};
use wire::packet::Packet;

const REPORTER_IPV4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 7, 0, 1));
const REPORTER_IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));

pub(crate) fn packet(bytes: &[u8]) -> bool {
    let parsed = Packet::parse(bytes).ok();
    if let Some(packet) = parsed {
        assert!(packet.length <= bytes.len());
        assert_eq!(
            Packet::parse(&bytes[..packet.length]),
            Ok(packet),
            "what stands behind a packet is padding"
        );
        assert!(Packet::parse(&bytes[..packet.length - 1]).is_err(), "and nothing of it can be missing");
        assert_eq!(packet.source.is_ipv4(), packet.destination.is_ipv4());
    }
    for reporter in [REPORTER_IPV4, REPORTER_IPV6] {
        let reasons = [Unreachable::NoRoute, Unreachable::HostUnreachable, Unreachable::AdminProhibited];
        let answers = reasons.map(|reason| unreachable(bytes, reporter, reason));
        for answer in answers.into_iter().chain([too_big(bytes, reporter, 1280)]).flatten() {
            let packet = parsed.expect("only packets are answered");
            check_answer(&packet, &bytes[..packet.length], reporter, &answer);
        }
    }
    parsed.is_some()
}

fn check_answer(packet: &Packet, offending: &[u8], reporter: IpAddr, answer: &[u8]) {
    let parsed = Packet::parse(answer).expect("an answer is a packet");
    assert_eq!((parsed.source, parsed.destination), (reporter, packet.source));
    assert_eq!(parsed.length, answer.len());
    assert_eq!(parsed.forbidden(), None, "an answer goes to one host");
    assert!(unreachable(answer, reporter, Unreachable::NoRoute).is_none(), "errors are not answered");
    let (header, limit, pseudo_header) = match reporter {
        IpAddr::V4(_) => {
            assert_eq!(ones_complement_sum(&answer[..20]), 0xffff, "the checksum of the header");
            (20, 576, Vec::new())
        }
        IpAddr::V6(_) => {
            let rest = [0, 0, answer[4], answer[5], 0, 0, 0, 58];
            (40, 1280, [&answer[8..40], &rest].concat())
        }
    };
    assert!(answer.len() <= limit);
    let covered = [&pseudo_header, &answer[header..]].concat();
    assert_eq!(ones_complement_sum(&covered), 0xffff, "the checksum of the message");
    assert!(offending.starts_with(&answer[header + 8..]), "it quotes what it answers");
}
