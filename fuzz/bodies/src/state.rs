//! Files of the state directory, behind their frame: what is read is written back as it was.

use overlay::Identity;
use overlay::state::{
    Network, decode_contacts, decode_invites, decode_leases, decode_records, decode_services,
    encode_contacts, encode_invites, encode_leases, encode_records, encode_services,
};

/// The identity whose network file can be read.
pub(crate) fn identity() -> Identity {
    Identity::generate([4; 32])
}

pub(crate) fn state(bytes: &[u8]) -> bool {
    let mut accepted = false;
    let mut check = |written: &[u8]| {
        assert_eq!(written, bytes);
        accepted = true;
    };
    if let Ok(identity) = Identity::decode(bytes) {
        check(&identity.encode());
    }
    if let Ok(network) = Network::decode(bytes, &identity()) {
        check(&network.encode());
    }
    if let Ok(invites) = decode_invites(bytes) {
        check(&encode_invites(&invites));
    }
    if let Ok(contacts) = decode_contacts(bytes) {
        check(&encode_contacts(&contacts));
    }
    if let Ok(publications) = decode_services(bytes) {
        check(&encode_services(&publications));
    }
    if let Ok(leases) = decode_leases(bytes) {
        // As records: those that do not verify are left out.
        let again = decode_leases(&encode_leases(&leases)).expect("it was just written");
        assert_eq!((again.claims, again.sequences), (leases.claims, leases.sequences));
        accepted = true;
    }
    let Ok(records) = decode_records(bytes) else { return accepted };
    // Records that do not verify are left out; those that do come back as they are.
    let written = encode_records(records.iter());
    assert!(written.len() <= bytes.len());
    assert_eq!(decode_records(&written), Ok(records));
    true
}
