//! Bytes written out by hand from RFC 8489 and RFC 5769, and what strangers may send.

use std::time::Instant;

use super::*;
use crate::io::entropy;

/// Header of a Binding request with `length` bytes of attributes.
fn header(length: u16) -> Vec<u8> {
    let mut bytes = vec![0, 1];
    bytes.extend(length.to_be_bytes());
    bytes.extend([0x21, 0x12, 0xa4, 0x42]);
    bytes.extend(*b"transaction!");
    bytes
}

fn with_attributes(attributes: &[u8]) -> Vec<u8> {
    let mut bytes = header(u16::try_from(attributes.len()).unwrap());
    bytes.extend(attributes);
    bytes
}

fn asked(datagram: &[u8], from: &str) -> Option<Vec<u8>> {
    let now = Instant::now();
    answer(datagram, from.parse().unwrap(), &mut Budget::new(now), now)
}

#[test]
fn a_request_is_twenty_bytes() {
    assert_eq!(request(*b"transaction!"), header(0));
    assert!(looks_like_stun(&request([0; 12])));
}

#[test]
fn an_answer_is_the_address_and_nothing_else() {
    let expected = [
        &[1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42][..],
        b"transaction!",
        // 192.0.2.1:32853 as in RFC 5769 section 2.2.
        &[0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43],
    ]
    .concat();
    assert_eq!(asked(&header(0), "192.0.2.1:32853").unwrap(), expected);
    // A socket of both families tells an IPv4 address this way.
    assert_eq!(asked(&header(0), "[::ffff:192.0.2.1]:32853").unwrap(), expected);
}

#[test]
fn what_one_side_answers_the_other_understands() {
    for from in ["192.0.2.1:1", "[2001:db8::7]:65535"] {
        let bytes = asked(&request([7; 12]), from).unwrap();
        assert_eq!(bytes.len(), if from.starts_with('[') { 44 } else { 32 });
        assert_eq!(parse_response(&bytes, [7; 12]), Some(from.parse().unwrap()));
        assert_eq!(response_transaction(&bytes), Some([7; 12]));
        assert_eq!(parse_response(&bytes, [8; 12]), None, "an answer to another question");
    }
}

#[test]
fn what_need_not_be_understood_is_passed_over() {
    // SOFTWARE "abc", and an attribute nobody knows.
    let optional = with_attributes(&[0x80, 0x22, 0, 3, b'a', b'b', b'c', 0, 0xfe, 0xdc, 0, 4, 1, 2, 3, 4]);
    assert!(parse_response(&asked(&optional, "192.0.2.1:9").unwrap(), *b"transaction!").is_some());
}

#[test]
fn what_must_be_understood_and_is_not_gets_error_420() {
    // CHANGE-REQUEST of RFC 5780: asks for an answer from elsewhere, which would make us a cannon.
    let change = with_attributes(&[0, 3, 0, 4, 0, 0, 0, 6]);
    let expected = [
        &[1, 0x11, 0, 16, 0x21, 0x12, 0xa4, 0x42][..],
        b"transaction!",
        &[0, 9, 0, 4, 0, 0, 4, 20],
        &[0, 10, 0, 2, 0, 3, 0, 0],
    ]
    .concat();
    let told = asked(&change, "192.0.2.1:9").unwrap();
    assert_eq!(told, expected);
    assert_eq!(parse_response(&told, *b"transaction!"), None, "an error is no address");
}

#[test]
fn an_error_is_hardly_longer_than_its_request() {
    for number in 1..=132_u16 {
        let attributes: Vec<u8> =
            (0..number).flat_map(|n| [0x70 + n.to_be_bytes()[0], n.to_be_bytes()[1], 0, 0]).collect();
        let request = with_attributes(&attributes);
        let told = asked(&request, "192.0.2.1:9").unwrap();
        assert!(told.len() <= request.len() + 16, "{number}: {} to {}", told.len(), request.len());
    }
}

#[test]
fn whatever_else_is_silence() {
    let plain = header(0);
    let change = |at: usize, to: u8| {
        let mut bytes = plain.clone();
        bytes[at] = to;
        bytes
    };
    for (what, bytes) in [
        ("nothing", vec![]),
        ("a header cut short", plain[..19].to_vec()),
        ("another cookie", change(7, 0x43)),
        ("an indication", change(1, 0x11)),
        ("a response", change(0, 1)),
        ("another method", change(1, 3)),
        ("bits of another protocol", change(0, 0x40)),
        ("a length too long", change(3, 4)),
        ("a length that is no multiple of four", with_attributes(&[0x80, 0x22, 0])),
        ("bytes behind its end", [&plain[..], &[0; 4]].concat()),
        ("an attribute cut short", with_attributes(&[0x80, 0x22, 0, 8])),
        (
            "more than a request needs",
            with_attributes(&[0x80, 0x22, 2, 16].into_iter().chain([0; 528]).collect::<Vec<_>>()),
        ),
    ] {
        assert_eq!(asked(&bytes, "192.0.2.1:9"), None, "{what}");
    }
    for from in
        ["192.0.2.1:0", "0.0.0.0:9", "255.255.255.255:9", "224.0.0.1:9", "[ff02::1]:9", "[::ffff:0.0.0.0]:9"]
    {
        assert_eq!(asked(&plain, from), None, "from {from}");
    }
}

#[test]
fn a_spent_budget_is_silence() {
    let now = Instant::now();
    let mut budget = Budget::new(now);
    let from = "192.0.2.1:9".parse().unwrap();
    let answers = (0..100).filter(|_| answer(&header(0), from, &mut budget, now).is_some()).count();
    assert_eq!(answers, usize::from(crate::reach::limits::STUN_ANSWERS_PER_PREFIX));
    // What is not answered costs nothing of it.
    let mut budget = Budget::new(now);
    for _ in 0..1000 {
        assert_eq!(answer(&header(4), from, &mut budget, now), None);
    }
    assert!(answer(&header(0), from, &mut budget, now).is_some());
}

#[test]
fn a_response_that_names_nowhere_is_none() {
    // Port 0, and the unspecified address.
    for attribute in [
        [0, 0x20, 0, 8, 0, 1, 0x21, 0x12, 0xe1, 0x12, 0xa6, 0x43],
        [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0x21, 0x12, 0xa4, 0x42],
    ] {
        let mut bytes = with_attributes(&attribute);
        bytes[0] = 1;
        assert_eq!(parse_response(&bytes, *b"transaction!"), None);
    }
}

#[test]
fn no_bytes_can_do_harm() {
    // All that a stranger controls: kinds, lengths and values of attributes, each of the known kinds among them.
    let mut random = [0; 512];
    for round in 0..20_000_usize {
        entropy::fill(&mut random);
        let length = usize::from(random[0]) % 120 * 4;
        let mut bytes = with_attributes(&random[1..=length]);
        let mut at = HEADER_LENGTH;
        while at + 4 <= bytes.len() {
            let known = [0x80 * (bytes[at] & 1), bytes[at + 1] % 0x32];
            bytes[at..at + 2].copy_from_slice(&known);
            let value = if round % 8 == 0 { u16::from(bytes[at + 3]) } else { u16::from(bytes[at + 3]) % 24 };
            bytes[at + 2..at + 4].copy_from_slice(&value.to_be_bytes());
            at += 4 + usize::from(value).next_multiple_of(4);
        }
        if let Some(told) = asked(&bytes, "192.0.2.1:9") {
            assert!(told.len() <= ANSWER_LENGTH_MAX);
        }
        bytes[0] = 1;
        let _ = parse_response(&bytes, *b"transaction!");
    }
}
