use super::*;
use crate::{NetworkSecret, NoisePublicKey};

fn keys() -> GateKeys {
    GateKeys::of_receiver(&secret(1), &NoisePublicKey([2; 32]))
}

/// Of epoch 260, whose mark is 4.
fn secret(byte: u8) -> NetworkSecret {
    NetworkSecret::new(260, [byte; 32])
}

#[test]
fn an_initiation_reads_back_and_shows_its_cookie() {
    let bytes = write_initiation(7, b"noise", &keys(), Some(&[9; 16]));
    assert_eq!(bytes.len(), INITIATION_LENGTH);
    let Some(Datagram::Initiation(initiation)) = Datagram::parse(&bytes) else { panic!("{bytes:?}") };
    assert_eq!((initiation.sender, initiation.noise), (7, &b"noise"[..]));
    assert!(initiation.gate.passes(&keys()));
    assert_eq!(initiation.gate.mark, 4);
    assert!(initiation.gate.shows(&[9; 16]));
    assert!(!initiation.gate.shows(&[8; 16]));
}

#[test]
fn a_changed_byte_does_not_pass_the_gate() {
    let bytes = write_initiation(7, b"noise", &keys(), None);
    for i in 0..bytes.len() - MAC_LENGTH {
        let mut changed = bytes.clone();
        changed[i] ^= 1;
        let passes = match Datagram::parse(&changed) {
            Some(Datagram::Initiation(initiation)) => initiation.gate.passes(&keys()),
            _ => false,
        };
        assert!(!passes, "byte {i}");
    }
}

#[test]
fn responses_cookies_and_enrolments_read_back() {
    let bytes = write_response(1, 2, b"noise", &keys());
    let Some(Datagram::Response(response)) = Datagram::parse(&bytes) else { panic!() };
    assert_eq!((response.sender, response.receiver, response.noise), (1, 2, &b"noise"[..]));
    assert!(response.gate.passes(&keys()));
    assert_eq!(response.gate.mark, 4);

    let reply = CookieReply::new(3, [4; 16], [5; 32], &keys());
    assert_eq!(reply.mark, 4);
    assert!(
        reply.passes(&GateKeys::of_receiver(&secret(1), &NoisePublicKey([9; 32]))),
        "any member of the network"
    );
    assert!(!reply.passes(&GateKeys::of_receiver(&secret(9), &NoisePublicKey([2; 32]))), "a stranger");
    assert_eq!(Datagram::parse(&write_cookie_reply(&reply)), Some(Datagram::CookieReply(reply)));

    for stage in 1..=4 {
        let bytes = write_enrolment(stage, &InviteId([6; 16]), 8, b"body", &[7; 32]);
        let Some(Datagram::Enrolment(enrolment)) = Datagram::parse(&bytes) else { panic!() };
        assert_eq!(
            (enrolment.stage, enrolment.invite, enrolment.conversation),
            (stage, InviteId([6; 16]), 8)
        );
        assert_eq!(enrolment.body, b"body");
        assert!(enrolment.passes(&[7; 32]));
        assert!(!enrolment.passes(&[8; 32]));
    }
}

#[test]
fn sealed_headers_read_back() {
    let sealed = Sealed { receiver: 0xdead_beef, counter: 1 << 40 };
    let data = [&sealed.data_header()[..], &[0; TAG_LENGTH]].concat();
    assert_eq!(Datagram::parse(&data), Some(Datagram::Data(sealed)));
    assert!(Datagram::is_data(&data));
    let control = [&sealed.control_header()[..], &[0; TAG_LENGTH]].concat();
    assert_eq!(Datagram::parse(&control), Some(Datagram::Control(sealed)));
    assert_eq!(Datagram::parse(&data[..OVERHEAD - 1]), None);
}

#[test]
fn foreign_protocols_on_the_port_are_none_of_ours() {
    for first in (0..=0xa0).chain(0xa7..=0xff) {
        assert_eq!(Datagram::parse(&[first; 200]), None, "{first:#x}");
    }
    for length in 0..200 {
        for first in 0xa1..=0xa6 {
            let mut bytes = vec![0; length];
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            let _ = Datagram::parse(&bytes);
        }
    }
    assert_eq!(Datagram::parse(&[0xa1; 65507]), None);
}

#[test]
fn hints_read_back_and_an_answer_is_half_of_its_ask() {
    assert_eq!(ASK_LENGTH, 2 * HINT_LENGTH);
    for stage in [HintStage::Ask, HintStage::Answer, HintStage::Beacon] {
        let sealed: Vec<u8> = (0..stage.length() - 4).map(|n| n as u8).collect();
        let bytes = write_hint(stage, 4, &sealed);
        let Some(Datagram::Hint(hint)) = Datagram::parse(&bytes) else { panic!("{stage:?}") };
        assert_eq!(hint, HintMessage { stage, mark: 4, sealed: &sealed });
        assert_eq!(hint.nonce()[..], sealed[..12]);
        for length in (0..2 * ASK_LENGTH).filter(|length| *length != stage.length()) {
            let mut other = bytes.clone();
            other.resize(length, 0);
            assert_eq!(Datagram::parse(&other), None, "{stage:?} of {length}");
        }
        for (at, byte) in [(1, 0), (1, 2), (2, 0), (2, 4)] {
            let mut other = bytes.clone();
            other[at] = byte;
            assert_eq!(Datagram::parse(&other), None, "{stage:?} with byte {at} {byte}");
        }
    }
}
