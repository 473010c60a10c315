//! Datagrams: what is parsed is all of what was there, and writing it again gives the same bytes up to the MACs.

use wire::datagram::{
    Datagram, ENROLMENT_FIRST_LENGTH, Gate, HEADER_LENGTH, INITIATION_LENGTH, LABEL_LENGTH, OVERHEAD,
    SLOW_LENGTH_MAX, Sealed, write_cookie_reply, write_enrolment, write_hint, write_initiation, write_label,
    write_response,
};
use wire::gate::{GateKeys, MAC_LENGTH};
use wire::{NetworkSecret, NoisePublicKey};

pub(crate) fn datagram(bytes: &[u8]) -> bool {
    let parsed = Datagram::parse(bytes);
    let is_data = matches!(parsed, Some(Datagram::Data(_) | Datagram::Unsummed(_) | Datagram::Half(..)));
    assert!(!is_data || Datagram::is_data(bytes), "the fast path sees all data");
    let Some(parsed) = parsed else { return false };
    let keys =
        |mark: u8| GateKeys::of_receiver(&NetworkSecret::new(mark.into(), [1; 32]), &NoisePublicKey([2; 32]));
    match parsed {
        Datagram::Data(sealed) => check_sealed(bytes, sealed, sealed.data_header()),
        Datagram::Unsummed(sealed) => check_sealed(bytes, sealed, sealed.unsummed_header()),
        Datagram::Half(sealed, half) => check_sealed(bytes, sealed, sealed.half_header(half)),
        Datagram::Control(sealed) => check_sealed(bytes, sealed, sealed.control_header()),
        Datagram::Initiation(initiation) => {
            assert_eq!(bytes.len(), INITIATION_LENGTH);
            let written =
                write_initiation(initiation.sender, initiation.noise, &keys(initiation.gate.mark), None);
            check_gate(bytes, &written, &initiation.gate, &keys(initiation.gate.mark));
        }
        Datagram::Response(response) => {
            let written =
                write_response(response.sender, response.receiver, response.noise, &keys(response.gate.mark));
            check_gate(bytes, &written, &response.gate, &keys(response.gate.mark));
        }
        Datagram::CookieReply(reply) => assert_eq!(write_cookie_reply(&reply), bytes),
        Datagram::Labelled(labelled) => {
            let (header, inner) = bytes.split_first_chunk().expect("a label stands before something");
            let mut written = [0; LABEL_LENGTH];
            write_label(&mut written, labelled.label);
            assert_eq!(header, &written);
            let inner = Datagram::parse(inner);
            assert!(
                !matches!(inner, Some(Datagram::Labelled(_) | Datagram::Enrolment(_))),
                "one label at most"
            );
        }
        Datagram::Enrolment(message) => {
            let written =
                write_enrolment(message.stage, &message.invite, message.conversation, message.body, &[3; 32]);
            let (covered, mac) = bytes.split_at(bytes.len() - MAC_LENGTH);
            assert_eq!((message.covered, &message.mac[..]), (covered, mac));
            let length = HEADER_LENGTH + 10 + message.body.len();
            assert_eq!(covered[..length], written[..length]);
            assert!(covered[length..].iter().all(|byte| *byte == 0), "nothing hides in the padding");
            assert!(message.stage != 1 || written.len() == ENROLMENT_FIRST_LENGTH || length > 496);
        }
        Datagram::WireGuard => {
            assert!(matches!(bytes, [1..=4, 0, 0, 0, ..]) && bytes.len() >= OVERHEAD);
            return true;
        }
        Datagram::Hint(message) => {
            assert_eq!(write_hint(message.stage, message.mark, message.sealed), bytes);
            assert_eq!(message.nonce()[..], bytes[4..16]);
        }
    }
    let is_sealed = matches!(parsed, Datagram::Data(_) | Datagram::Control(_) | Datagram::Labelled(_));
    assert!(is_sealed || bytes.len() <= SLOW_LENGTH_MAX);
    true
}

fn check_sealed(bytes: &[u8], sealed: Sealed, header: [u8; HEADER_LENGTH]) {
    assert!(bytes.len() >= OVERHEAD);
    assert_eq!(bytes[..HEADER_LENGTH], header);
    assert_eq!(Sealed::parse(bytes), Some(sealed));
}

fn check_gate(bytes: &[u8], written: &[u8], gate: &Gate<'_>, keys: &GateKeys) {
    let covered = bytes.len() - 2 * MAC_LENGTH;
    assert_eq!(gate.covered, &bytes[..covered]);
    assert_eq!(bytes[..covered], written[..covered]);
    assert_eq!([gate.mac1, gate.mac2].concat(), bytes[covered..]);
    assert_eq!(gate.passes(keys), bytes[covered..][..MAC_LENGTH] == written[covered..][..MAC_LENGTH]);
}
