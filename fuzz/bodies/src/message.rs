//! Messages in CBOR: control, handshake and enrolment. One message has one encoding, and none has a long effect.

use crate::{credential, datagram, record, world};
use registry::Registry;
use registry::limits::{DIGESTS_ANSWERS_MAX, NEWER_RECORDS_MAX};
use wire::cbor;
use wire::control::{Message, WANT_KEYS_MAX};
use wire::enrolment;
use wire::handshake::{InitiationPayload, ResponsePayload};
use wire::record::Content;

const NEWEST: wire::Revision = wire::Revision::CURRENT;

pub(crate) fn control(bytes: &[u8]) -> bool {
    let Ok(message) = cbor::decode::<Message>(bytes) else { return false };
    assert_eq!(cbor::encode(&message), bytes);
    let registry = registry();
    match message {
        Message::Have { from, to, entries } => {
            let difference = registry.compare((from, to), &entries, NEWEST);
            assert!(difference.newer.len() <= NEWER_RECORDS_MAX.min(registry.len()));
            assert!(difference.wanted.len() <= WANT_KEYS_MAX.min(entries.len()));
            assert!(difference.wanted.iter().all(|hash| (from..=to).contains(hash)));
            assert!(difference.newer.iter().all(|record| (from..=to).contains(&record.key_hash())));
        }
        Message::Digests { bits, ranges } => {
            let answers = registry.compare_digests(bits, &ranges, NEWEST);
            assert!(answers.len() <= DIGESTS_ANSWERS_MAX.min(ranges.len()));
        }
        Message::Want { keys } => assert!(registry.by_hashes(&keys).len() <= registry.len()),
        Message::Record { bytes, .. } | Message::Found { record: Some(bytes), .. } => {
            record::record(&bytes);
        }
        Message::Pong { observed, .. } => {
            assert!(observed.is_none_or(|candidate| candidate.socket_address().port() != 0));
        }
        Message::Enrolment { bytes, .. } => {
            datagram::datagram(&bytes);
        }
        Message::CircuitOpen { .. }
        | Message::CircuitOpened { .. }
        | Message::CircuitClosed { .. }
        | Message::Call { .. }
        | Message::DialBack { .. }
        | Message::Vouch { .. }
        | Message::Ping { .. }
        | Message::View(_)
        | Message::News(_)
        | Message::Epoch(_)
        | Message::Rest { .. }
        | Message::Find { .. }
        | Message::Found { record: None, .. }
        | Message::Measure { .. }
        | Message::Measured { .. }
        | Message::Close => {}
    }
    true
}

/// What a node of the network would hold.
fn registry() -> Registry {
    let mut registry = Registry::new();
    for (chain, key) in [(world::admin_chain(), world::admin()), (world::member_chain(), world::member())] {
        let content = Content::Member { chain, candidates: vec![] };
        let record = content.sign(2, world::NOT_BEFORE_S, &key, None).expect("a plain record is short");
        #[expect(clippy::disallowed_methods, reason = "these records are no leases and know no time")]
        let now = std::time::Instant::now();
        let _ = registry.insert(record, std::time::Duration::ZERO, now);
    }
    registry
}

pub(crate) fn handshake(bytes: &[u8]) -> bool {
    let initiation = InitiationPayload::decode(bytes);
    let response = ResponsePayload::decode(bytes);
    if let Ok(payload) = &initiation {
        // What a later revision has put behind it is passed over; the rest means the same.
        assert!(payload.encode().len() <= bytes.len());
        assert_eq!(InitiationPayload::decode(&payload.encode()).as_ref(), Ok(payload));
        credential::chain(&payload.chain);
    }
    if let Ok(payload) = &response {
        assert!(payload.encode().len() <= bytes.len());
        assert_eq!(ResponsePayload::decode(&payload.encode()).as_ref(), Ok(payload));
        if let ResponsePayload::Accepted { chain, .. } = payload {
            credential::chain(chain);
        }
    }
    assert!(initiation.is_err() || response.is_err(), "one cannot pass for the other");
    initiation.is_ok() || response.is_ok()
}

pub(crate) fn enrolment(bytes: &[u8]) -> bool {
    let request = cbor::decode::<enrolment::Request>(bytes);
    let answer = cbor::decode::<enrolment::Answer>(bytes);
    if let Ok(request) = &request {
        assert_eq!(cbor::encode(request), bytes);
        assert_eq!(request.name.as_str().parse().as_ref(), Ok(&request.name));
    }
    if let Ok(answer) = &answer {
        assert_eq!(cbor::encode(answer), bytes);
        if let enrolment::Answer::Accepted { chain, .. } = answer {
            credential::chain(chain);
        }
    }
    assert!(request.is_err() || answer.is_err(), "one cannot pass for the other");
    request.is_ok() || answer.is_ok()
}
