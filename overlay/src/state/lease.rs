//! Publications and leases over a restart.
//!
//! Instances of services are not written: they change all the time, and their publishers tell them again. Claims are, so
//! that a name stays its owner's when all nodes are started again, and confirmations of them; and of every lease the sequence, so that an old record
//! is not believed by a node that knew better before its restart.

use super::StateError;
use crate::guest::Guest;
use crate::service::Publication;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use registry::Sequence;
use std::time::Duration;
use wire::record::Key;
use wire::{Kind, NodeId, Record, cbor};
use zeroize::Zeroizing;

/// What is known of leases.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    /// When it was written, seconds since 1970.
    pub written_s: u64,
    /// Claims to names and confirmations of them, and how old each was then.
    pub claims: Vec<(Record, Duration)>,
    /// What is remembered of all leases.
    pub sequences: Vec<Sequence>,
}

#[derive(Encode, Decode)]
struct LeasesForm {
    #[n(0)]
    written_s: u64,
    #[n(1)]
    claims: Vec<ClaimForm>,
    #[n(2)]
    sequences: Vec<SequenceForm>,
}

#[derive(Encode, Decode)]
struct ClaimForm {
    #[n(0)]
    record: ByteVec,
    #[n(1)]
    age_s: u64,
}

#[derive(Encode, Decode)]
struct SequenceForm {
    #[n(0)]
    kind: Kind,
    #[n(1)]
    owner: NodeId,
    #[n(2)]
    name: String,
    #[n(3)]
    floor: u64,
}

/// The bytes of [`super::StateFile::Leases`].
#[must_use]
pub fn encode_leases(leases: &Leases) -> Zeroizing<Vec<u8>> {
    let claim = |(record, age): &(Record, Duration)| ClaimForm {
        record: record.bytes().to_vec().into(),
        age_s: age.as_secs(),
    };
    let sequence = |Sequence { key, floor }: &Sequence| SequenceForm {
        kind: key.kind,
        owner: key.owner,
        name: key.name.clone(),
        floor: *floor,
    };
    Zeroizing::new(cbor::encode(&LeasesForm {
        written_s: leases.written_s,
        claims: leases.claims.iter().map(claim).collect(),
        sequences: leases.sequences.iter().map(sequence).collect(),
    }))
}

/// Reads [`super::StateFile::Leases`]; claims that do not verify are left out.
///
/// # Errors
/// [`StateError::Malformed`].
pub fn decode_leases(bytes: &[u8]) -> Result<Leases, StateError> {
    let form: LeasesForm = cbor::decode(bytes)?;
    let claim =
        |claim: &ClaimForm| Some((Record::verify(&claim.record).ok()?, Duration::from_secs(claim.age_s)));
    let sequence =
        |SequenceForm { kind, owner, name, floor }| Sequence { key: Key { kind, owner, name }, floor };
    Ok(Leases {
        written_s: form.written_s,
        claims: form.claims.iter().filter_map(claim).collect(),
        sequences: form.sequences.into_iter().map(sequence).collect(),
    })
}

/// The bytes of [`super::StateFile::Services`].
#[must_use]
pub fn encode_services(publications: &Vec<Publication>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(cbor::encode(publications))
}

/// Reads [`super::StateFile::Services`].
///
/// # Errors
/// [`StateError::Malformed`].
pub fn decode_services(bytes: &[u8]) -> Result<Vec<Publication>, StateError> {
    Ok(cbor::decode(bytes)?)
}

/// The bytes of [`super::StateFile::Guests`].
#[must_use]
pub fn encode_guests(guests: &Vec<Guest>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(cbor::encode(guests))
}

/// Reads [`super::StateFile::Guests`].
///
/// # Errors
/// [`StateError::Malformed`].
pub fn decode_guests(bytes: &[u8]) -> Result<Vec<Guest>, StateError> {
    Ok(cbor::decode(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use wire::record::{Content, Lease, TTL_S_MAX};
    use wire::service::{Protocol, Sharing};

    #[test]
    fn publications_come_back() {
        let publication = Publication {
            name: "web".parse().unwrap(),
            version: Some("2".parse().unwrap()),
            protocol: Protocol::Udp,
            port: 80,
            labels: [("tier".to_owned(), "a".to_owned())].into(),
            ttl_s: 60,
            sharing: Sharing::Nodes(vec![NodeId([1; 32])]),
            health: "http:/up".parse().unwrap(),
            target: None,
        };
        let plain = Publication { version: None, sharing: Sharing::Members, ..publication.clone() };
        let target = Some("printer.office:631".parse().unwrap());
        let passed_on = Publication { version: Some("3".parse().unwrap()), target, ..publication.clone() };
        let all = vec![publication, plain, passed_on];
        assert_eq!(decode_services(&encode_services(&all)), Ok(all));
        assert_eq!(decode_services(b"x"), Err(StateError::Malformed));
    }

    #[test]
    fn a_file_from_before_there_were_targets_is_read_and_written_as_it_was() {
        let before = [
            &[0x81, 0x88, 0x63][..],
            b"web",
            &[0xf6, 0x00, 0x18, 80, 0xa0, 0x18, 60, 0x82, 0x00, 0x80, 0x64],
            b"none",
        ]
        .concat();
        let read = decode_services(&before).unwrap();
        assert_eq!((read[0].port, &read[0].target), (80, &None));
        assert_eq!(encode_services(&read).to_vec(), before);
    }

    #[test]
    fn claims_and_sequences_come_back() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let node = NodeId(key.verifying_key().to_bytes());
        let claim = Content::Claim { node, name: "web".parse().unwrap(), sharing: Sharing::Owner };
        let lease = Lease { sequence: 3, not_before_s: 4, ttl_s: TTL_S_MAX, labels: [].into() };
        let record = claim.sign_lease(lease, &key).unwrap();
        let sequence = Sequence { key: record.key(), floor: 3 };
        let age = Duration::from_secs(7);
        let leases = Leases { written_s: 5, claims: vec![(record, age)], sequences: vec![sequence] };
        let read = decode_leases(&encode_leases(&leases)).unwrap();
        assert_eq!(read.claims, leases.claims);
        assert_eq!((read.written_s, read.sequences), (5, leases.sequences));
    }
}
