//! Files of the state directory, behind their frame: what is read is written back as it was.

use overlay::Identity;
use overlay::state::{
    Network, decode_contacts, decode_invites, decode_records, encode_contacts, encode_invites, encode_records,
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
    let Ok(records) = decode_records(bytes) else { return accepted };
    // Records that do not verify are left out; those that do come back as they are.
    let written = encode_records(records.iter());
    assert!(written.len() <= bytes.len());
    assert_eq!(decode_records(&written), Ok(records));
    true
}
