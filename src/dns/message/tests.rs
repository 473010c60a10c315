//! Bytes in, bytes out; hickory-proto's own reader is the judge of what comes out.

mod random;

use std::sync::Arc;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use overlay::Instance;

use super::{HEADER_LENGTH, Transport, respond};
use crate::dns::authority::Authority;
use crate::dns::domain::Domain;
use crate::dns::world::{self, RANGES};

/// The world, and services of which answers are long.
fn authority() -> Authority {
    let mut zone = world::home();
    let many = |count: u16| (0..count).map(|port| world::instance("server", 1000 + port));
    world::add_service(&mut zone, "many", many(30));
    world::add_service(&mut zone, "several", many(11));
    let wordy = (0..30).map(|port| Instance {
        labels: (0..20).map(|at| (format!("key{at}"), port.to_string().repeat(40))).collect(),
        ..world::instance("server", port)
    });
    world::add_service(&mut zone, "wordy", wordy);
    let domain = Domain::new(&zone.network, "internal", RANGES.0.parse().unwrap(), RANGES.1.parse().unwrap());
    Authority::new(Arc::new(domain.unwrap()), Arc::new(zone))
}

/// A question with the id 7 that wants recursion, as resolvers send it.
fn question(name: &str, kind: RecordType, payload_max: Option<u16>) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), kind));
    if let Some(payload_max) = payload_max {
        let mut edns = Edns::new();
        // Its setter lets nothing below 512 through, which we must cope with.
        edns.set_max_payload(payload_max);
        message.set_edns(edns);
    }
    message
}

/// The answer's bytes, and what they say.
fn answer(request: &[u8], transport: Transport) -> Option<(Vec<u8>, Message)> {
    let mut bytes = vec![0xff; 3];
    let outcome = respond(request, transport, &authority(), &mut bytes)?;
    let message = Message::from_vec(&bytes).unwrap();
    // Two codes have the number 16, for different records.
    assert_eq!(u16::from(outcome.code), u16::from(message.response_code));
    assert_eq!(outcome.is_truncated, message.truncation);
    Some((bytes, message))
}

fn udp(message: &Message) -> (Vec<u8>, Message) {
    answer(&message.to_vec().unwrap(), Transport::Udp).unwrap()
}

/// A header of these counts, opcode 0.
fn header(flags: u16, counts: [u16; 4]) -> Vec<u8> {
    [7, flags].into_iter().chain(counts).flat_map(u16::to_be_bytes).collect()
}

const LAPTOP: &[u8] = b"\x06laptop\x04home\x08internal\0\0\x01\0\x01";

#[test]
fn an_answer_repeats_the_question_to_the_letter() {
    let request = question("LaPtOp.hOmE.iNtErNaL", RecordType::A, None).to_vec().unwrap();
    let (bytes, message) = answer(&request, Transport::Udp).unwrap();
    assert_eq!(bytes[HEADER_LENGTH..request.len()], request[HEADER_LENGTH..]);
    assert!(message.queries[0].name.eq_case(&message.answers[0].name));
    assert_eq!(
        (message.id, message.message_type, message.response_code),
        (7, MessageType::Response, ResponseCode::NoError)
    );
    assert!(message.authoritative && message.recursion_desired && !message.recursion_available);
    // Header and question, then a pointer, ten bytes and an address.
    assert_eq!(bytes.len(), request.len() + 16);
}

#[test]
fn what_is_no_question_gets_no_answer() {
    assert!(answer(b"", Transport::Udp).is_none());
    assert!(answer(&header(0, [1, 0, 0, 0])[..11], Transport::Udp).is_none());
    let response = [header(0x8000, [1, 0, 0, 0]), LAPTOP.to_vec()].concat();
    assert!(answer(&response, Transport::Udp).is_none());
}

#[test]
fn other_opcodes_are_not_implemented() {
    for opcode in [1, 2, 4, 5, 6, 15] {
        let request = [header(opcode << 11, [1, 0, 0, 0]), LAPTOP.to_vec()].concat();
        let (bytes, message) = answer(&request, Transport::Udp).unwrap();
        assert_eq!((message.response_code, bytes.len()), (ResponseCode::NotImp, HEADER_LENGTH), "{opcode}");
    }
}

#[test]
fn a_message_has_one_question_and_no_records_but_additional_ones() {
    for counts in [[0, 0, 0, 0], [2, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [u16::MAX; 4]] {
        let request = [header(0, counts), LAPTOP.to_vec(), LAPTOP.to_vec()].concat();
        let (bytes, message) = answer(&request, Transport::Udp).unwrap();
        assert_eq!(
            (message.response_code, bytes.len()),
            (ResponseCode::FormErr, HEADER_LENGTH),
            "{counts:?}"
        );
    }
    let (_, message) = answer(&[header(0, [1, 0, 0, 0]), LAPTOP.to_vec()].concat(), Transport::Udp).unwrap();
    assert_eq!(message.answers.len(), 1);
}

#[test]
fn a_question_that_points_elsewhere_makes_no_sense() {
    for name in
        [&b"\xc0\x0c"[..], b"\xc0\x04", b"\x01a\xc0\x0c", b"\xff\xff", b"\x40a\0", b"\x3fa\0", b"\x01", b""]
    {
        let request = [&header(0, [1, 0, 0, 0])[..], name, b"\0\x01\0\x01"].concat();
        let (_, message) = answer(&request, Transport::Udp).unwrap();
        assert_eq!(message.response_code, ResponseCode::FormErr, "{name:?}");
    }
}

#[test]
fn edns_is_answered_with_edns() {
    let (_, message) = udp(&question("laptop.home.internal", RecordType::A, None));
    assert!(message.edns.is_none());
    for name in ["laptop.home.internal", "nobody.home.internal", "example.com"] {
        let (_, message) = udp(&question(name, RecordType::A, Some(4096)));
        assert_eq!(message.edns.unwrap().max_payload(), 1232, "{name}");
    }
    let mut later = question("laptop.home.internal", RecordType::A, Some(1232));
    later.edns.as_mut().unwrap().set_version(1);
    let (_, message) = udp(&later);
    assert_eq!((u16::from(message.response_code), message.answers.len()), (16, 0));
    assert_eq!(message.edns.unwrap().version(), 0);
    let opt = b"\0\0\x29\x10\0\0\0\0\0\0\0";
    let twice = [&header(0, [1, 0, 0, 2])[..], LAPTOP, opt, opt].concat();
    assert_eq!(answer(&twice, Transport::Udp).unwrap().1.response_code, ResponseCode::FormErr);
}

#[test]
fn an_answer_over_udp_is_cut_at_what_was_offered() {
    for (payload_max, limit) in
        [(None, 512), (Some(512), 512), (Some(700), 700), (Some(1232), 1232), (Some(65_535), 1232)]
    {
        let (bytes, message) = udp(&question("wordy.home.internal", RecordType::TXT, payload_max));
        assert!(bytes.len() <= limit, "{} > {limit}", bytes.len());
        assert!(message.truncation && message.edns.is_some() == payload_max.is_some(), "{payload_max:?}");
        // Nothing stays of the record that did not fit.
        assert_eq!(message.to_vec().unwrap().len(), bytes.len());
    }
    let opt_of_zero = [
        &header(0, [1, 0, 0, 1])[..],
        b"\x05wordy",
        &LAPTOP[7..22],
        b"\0\x10\0\x01",
        b"\0\0\x29\0\0\0\0\0\0\0\0",
    ];
    let (bytes, message) = answer(&opt_of_zero.concat(), Transport::Udp).unwrap();
    assert!(message.truncation && bytes.len() <= 512);
}

#[test]
fn what_is_cut_over_udp_is_whole_over_tcp() {
    for (name, kind) in
        [("wordy", RecordType::TXT), ("many", RecordType::SRV), ("_many._tcp", RecordType::PTR)]
    {
        let request = question(&format!("{name}.home.internal"), kind, None);
        assert!(udp(&request).1.truncation, "{name}");
        let (_, message) = answer(&request.to_vec().unwrap(), Transport::Tcp).unwrap();
        assert!(!message.truncation);
        assert_eq!(message.answers.len(), 30, "{name}");
    }
}

#[test]
fn what_will_be_asked_next_is_left_out_without_a_word() {
    let request = question("several.home.internal", RecordType::SRV, None);
    let (_, message) = udp(&request);
    assert_eq!((message.answers.len(), message.additionals.len(), message.truncation), (11, 1, false));
    let (_, message) = udp(&question("several.home.internal", RecordType::SRV, Some(1232)));
    assert_eq!((message.answers.len(), message.additionals.len(), message.truncation), (11, 2, false));
}

#[test]
fn a_refusal_is_no_longer_than_the_question() {
    for (name, kind) in
        [("example.com", RecordType::ANY), ("home.internal", RecordType::AXFR), ("internal", RecordType::NS)]
    {
        for payload_max in [None, Some(4096)] {
            let request = question(name, kind, payload_max).to_vec().unwrap();
            let (bytes, message) = answer(&request, Transport::Udp).unwrap();
            assert_eq!((message.response_code, bytes.len()), (ResponseCode::Refused, request.len()));
            assert!(!message.authoritative);
        }
    }
}
