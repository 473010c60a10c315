//! What a node of a later version may say to this one.

use super::lab::{Flight, Lab};
use super::revision::range;
use crate::DropReason;
use crate::fastpath::SlowInput;
use crate::noise::SessionNoise;
use crate::random::Random;
use ed25519_dalek::Signer;
use std::time::Duration;
use wire::Revisions;
use wire::control::Message;
use wire::datagram::{Datagram, write_initiation, write_response};
use wire::gate::GateKeys;
use wire::handshake::{InitiationPayload, Refusal, ResponsePayload, Suite};

const SECOND: Duration = Duration::from_secs(1);

/// Gives the first machine a control message of the second, as its session would.
fn hear(lab: &mut Lab, message: Vec<u8>) {
    let session = lab.session(0, 1).unwrap().local_index;
    let from = lab.machines[1].remote;
    lab.command(0, |node, now| node.handle_slow(SlowInput::Control { session, message }, from, now));
}

/// A packet each way still arrives.
fn talks(lab: &mut Lab) {
    lab.send(0, 1, b"to");
    lab.send(1, 0, b"fro");
    lab.run(SECOND);
    assert_eq!((lab.received(0).len(), lab.received(1).len()), (1, 1));
}

#[test]
fn kinds_of_messages_that_are_not_known_are_passed_over() {
    let mut lab = Lab::with(&["b"]);
    let handshakes = |lab: &Lab| lab.peer(0, 1).unwrap().last_handshake;
    let before = handshakes(&lab);
    // CBOR: a kind of 200 with no fields, with two, and a ping with a field more than it has.
    let ping = wire::cbor::encode(&Message::Ping { token: 1, digest: 2, share: None });
    let mut longer = ping.clone();
    longer[2] += 1;
    longer.push(0);
    for unknown in [vec![0x82, 0x18, 200, 0x80], vec![0x82, 0x18, 200, 0x82, 1, 2], longer] {
        hear(&mut lab, unknown);
    }
    assert_eq!(lab.drops(0, DropReason::Control), 3);
    talks(&mut lab);
    assert!(handshakes(&lab) >= before, "the session is the same");
    hear(&mut lab, ping);
    assert_eq!(lab.drops(0, DropReason::Control), 3, "what is known is taken");
}

#[test]
fn kinds_of_records_that_are_not_known_are_not_kept() {
    let mut lab = Lab::with(&["b"]);
    let key = lab.machines[1].identity().signing.clone();
    let records = lab.view(0).held.records;
    let known = wire::record::Body {
        kind: wire::Kind::Service,
        owner: lab.id(1),
        name: "x".to_owned(),
        sequence: 1,
        not_before_s: super::lab::UNIX_S,
        ttl_s: 60,
        labels: std::collections::BTreeMap::new(),
        payload: vec![].into(),
    };
    let mut body = wire::cbor::encode(&known);
    assert_eq!(body[1], wire::Kind::Service as u8, "the kind is the first field");
    // The highest kind that one byte holds.
    body[1] = 23;
    let signature = key.sign(&[b"hopmesh record 1 ", &body[..]].concat()).to_bytes();
    let length = u8::try_from(body.len()).unwrap();
    let bytes = [&[0x82, 0x58, length][..], &body, &[0x58, 64], &signature].concat();
    hear(&mut lab, wire::cbor::encode(&Message::Record { bytes: bytes.into(), age_s: None }));
    assert_eq!((lab.drops(0, DropReason::Record), lab.view(0).held.records), (1, records));
    talks(&mut lab);
}

#[test]
fn datagrams_of_another_version_get_no_answer() {
    let mut lab = Lab::with(&["b"]);
    lab.machines[0].is_up = false;
    lab.restart(1);
    lab.run(SECOND);
    let is_initiation =
        |flight: &&Flight| matches!(Datagram::parse(&flight.bytes), Some(Datagram::Initiation(_)));
    let mut initiation = lab.sent.iter().rfind(is_initiation).unwrap().clone();
    lab.machines[0].is_up = true;
    // The second byte is the version.
    initiation.bytes[1] = 2;
    let (sent, strange) = (lab.sent.len(), lab.drops(0, DropReason::Unknown));
    lab.arrive(&initiation);
    assert_eq!((lab.sent.len(), lab.drops(0, DropReason::Unknown)), (sent, strange + 1));
    initiation.bytes[1] = 1;
    lab.arrive(&initiation);
    assert!(lab.sent.len() > sent, "the same of this version is answered");
}

/// Asks the founder for a session as a member does that is of a later version; what is answered.
fn ask_as_later(lab: &mut Lab, revisions: Revisions) -> ResponsePayload {
    let (identity, to) = (lab.machines[1].identity(), lab.machines[0].noise_key());
    let network = lab.machines[1].network().clone();
    let payload = InitiationPayload {
        timestamp: u64::from(u32::MAX) << 42,
        unix_s: 0,
        suites: vec![Suite::ChaCha20Poly1305],
        chain: network.chain.encode().into(),
        revisions,
    };
    let mut payload = [&payload.encode()[..], &[0x82, 1, 0x61, b'x', 0xf6]].concat();
    payload[0] += 2;
    let secret = network.secrets.current();
    let (id, psk) = (network.chain.claims().network, secret.psk());
    let noise = SessionNoise { secret: &identity.noise, network: &id, psk: &psk };
    let mut handshake = noise.initiator(&to, &mut Random::new([9; 32]));
    let message = handshake.write(&payload).unwrap();
    let bytes = write_initiation(7, &message, &GateKeys::of_receiver(secret, &to), None);
    let (from, to) = (lab.machines[1].remote, lab.machines[0].remote);
    let sent = lab.sent.len();
    lab.arrive(&Flight { from, to, bytes });
    let answer = lab.sent[sent..].iter().find_map(|flight| match Datagram::parse(&flight.bytes) {
        Some(Datagram::Response(response)) => Some(handshake.read(response.noise).unwrap()),
        _ => None,
    });
    ResponsePayload::decode(&answer.expect("there is an answer")).unwrap()
}

#[test]
fn fields_that_a_later_version_adds_change_nothing() {
    let mut lab = Lab::with(&["b"]);
    let answer = ask_as_later(&mut lab, range((1, 9)));
    let ResponsePayload::Accepted { revisions, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(revisions, Revisions::OURS);
    assert_eq!(lab.peer(0, 1).unwrap().revisions, Some(range((1, 9))));
    let mut lab = Lab::with(&["b"]);
    let answer = ask_as_later(&mut lab, range((7, 9)));
    let ResponsePayload::Refused { refusal: Refusal::Revision, revisions, .. } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(revisions, Revisions::OURS);
}

#[test]
fn who_is_accepted_by_mistake_makes_no_session_either() {
    for (revisions, is_taken) in [((2, 8), true), ((7, 9), false)] {
        let mut lab = Lab::with(&["b"]);
        lab.machines[1].is_up = false;
        lab.restart(0);
        let to = lab.machines[1].remote;
        let initiation = lab.sent.iter().rfind(|flight| flight.to == to).unwrap().bytes.clone();
        let Some(Datagram::Initiation(initiation)) = Datagram::parse(&initiation) else { panic!() };
        let (identity, network) = (lab.machines[1].identity(), lab.machines[1].network().clone());
        let secret = network.secrets.current();
        let (id, psk) = (network.chain.claims().network, secret.psk());
        let noise = SessionNoise { secret: &identity.noise, network: &id, psk: &psk };
        let mut handshake = noise.responder(&mut Random::new([9; 32]));
        handshake.read(initiation.noise).unwrap();
        let answer = ResponsePayload::Accepted {
            suite: Suite::ChaCha20Poly1305,
            observed: None,
            chain: network.chain.encode_without_root().into(),
            unix_s: super::lab::UNIX_S,
            revisions: range(revisions),
        };
        let message = handshake.write(&answer.encode()).unwrap();
        let keys = GateKeys::of_receiver(secret, &lab.machines[0].noise_key());
        let bytes = write_response(7, initiation.sender, &message, &keys);
        let (from, to) = (to, lab.machines[0].remote);
        lab.arrive(&Flight { from, to, bytes });
        assert_eq!(lab.connected(0, 1), is_taken);
        assert_eq!(lab.drops(0, DropReason::Revision), u64::from(!is_taken));
        assert_eq!(lab.view(0).problems.iter().any(|p| p.contains("Upgrade Hopmesh on this")), !is_taken);
    }
}
