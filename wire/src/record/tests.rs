use super::*;
use crate::credential::{Claims, Roles};
use crate::{Candidate, Chain, Commitment, NetworkId, NoisePublicKey};

fn claims(network: NetworkId, key: &SigningKey, host: u8, admin: bool) -> Claims {
    Claims {
        network,
        node: NodeId(key.verifying_key().to_bytes()),
        noise_key: NoisePublicKey([9; 32]),
        name: "a".repeat(63).parse().unwrap(),
        ipv4: format!("10.7.0.{host}/16").parse().unwrap(),
        prefixes: vec![],
        tags: vec![],
        services: vec![],
        roles: Roles { admin, hop: false },
        serial: 1,
        not_before_s: 1,
        expires_s: 2,
    }
}

struct Keys {
    network: NetworkId,
    root: SigningKey,
    admin: SigningKey,
    member: SigningKey,
    admin_chain: Chain,
    member_chain: Chain,
}

fn keys() -> Keys {
    let [root, admin, member] = [1, 2, 3].map(|n| SigningKey::from_bytes(&[n; 32]));
    let network = NetworkId::of_root(&root.verifying_key().to_bytes());
    let admin_chain = Chain::of_root(claims(network, &admin, 1, true), &root);
    let member_chain = admin_chain.extend(claims(network, &member, 2, false), &admin).unwrap();
    Keys { network, root, admin, member, admin_chain, member_chain }
}

fn node(key: &SigningKey) -> NodeId {
    NodeId(key.verifying_key().to_bytes())
}

#[test]
fn the_longest_member_record_reads_back_and_fits() {
    let keys = keys();
    let candidates = vec![Candidate::new("[2001:db8::1]:65535".parse().unwrap()).unwrap(); 8];
    let content = Content::Member { chain: keys.member_chain.clone(), candidates };
    let record = content.sign(u64::MAX, u64::from(u32::MAX), &keys.member, None).unwrap();
    let read = Record::verify(record.bytes()).unwrap();
    assert_eq!(read, record);
    assert_eq!(read.content(&keys.network), Ok(content));
    assert_eq!(read.content(&NetworkId([0; 16])), Err(RecordError::Malformed), "of another network");
}

#[test]
fn every_flipped_bit_is_refused() {
    let keys = keys();
    let content = Content::Member { chain: keys.member_chain.clone(), candidates: vec![] };
    let record = content.sign(1, 2, &keys.member, None).unwrap();
    for i in 0..record.bytes().len() * 8 {
        let mut flipped = record.bytes().to_vec();
        flipped[i / 8] ^= 1 << (i % 8);
        assert!(Record::verify(&flipped).is_err(), "bit {i}");
    }
}

#[test]
fn a_member_speaks_only_of_itself() {
    let keys = keys();
    let content = Content::Member { chain: keys.admin_chain.clone(), candidates: vec![] };
    let record = content.sign(1, 2, &keys.member, None).unwrap();
    assert_eq!(record.content(&keys.network), Err(RecordError::Authority));
}

#[test]
fn revocations_come_from_the_node_itself_or_an_admin() {
    let keys = keys();
    let of = |target: &SigningKey, by: &Chain, by_root| Content::Revocation {
        node: node(target),
        by: Box::new(by.clone()),
        by_root,
    };
    for (content, key, root) in [
        (of(&keys.member, &keys.admin_chain, false), &keys.admin, None),
        (of(&keys.member, &keys.member_chain, false), &keys.member, None),
        (of(&keys.admin, &keys.admin_chain, true), &keys.admin, Some(&keys.root)),
    ] {
        let record = content.sign(1, 2, key, root).unwrap();
        assert_eq!(record.content(&keys.network), Ok(content));
    }
    let by_member = of(&keys.admin, &keys.member_chain, false).sign(1, 2, &keys.member, None).unwrap();
    assert_eq!(by_member.content(&keys.network), Err(RecordError::Authority));
    let in_its_name = of(&keys.member, &keys.admin_chain, false).sign(1, 2, &keys.member, None).unwrap();
    assert_eq!(in_its_name.content(&keys.network), Err(RecordError::Authority));
    let false_root =
        of(&keys.admin, &keys.admin_chain, true).sign(1, 2, &keys.admin, Some(&keys.admin)).unwrap();
    assert_eq!(false_root.content(&keys.network), Err(RecordError::Signature));
}

#[test]
fn reissues_carry_their_authority_in_the_chain() {
    let keys = keys();
    let content = Content::Reissue { chain: keys.member_chain.clone() };
    let record = content.sign(1, 2, &keys.admin, None).unwrap();
    assert_eq!(record.content(&keys.network), Ok(content.clone()));
    let by_member = content.sign(1, 2, &keys.member, None).unwrap();
    assert_eq!(by_member.content(&keys.network), Err(RecordError::Authority));
    // What the root key has signed, only the root key may announce.
    let content = Content::Reissue { chain: keys.admin_chain.clone() };
    let by_root = content.sign(1, 2, &keys.root, None).unwrap();
    assert_eq!(by_root.content(&keys.network), Ok(content.clone()));
    let by_admin = content.sign(1, 2, &keys.admin, None).unwrap();
    assert_eq!(by_admin.content(&keys.network), Err(RecordError::Authority));
}

fn epoch(number: u32, nodes: Vec<NodeId>) -> Epoch {
    Epoch { number, commitment: Commitment([5; 32]), nodes, revocations: u32::MAX }
}

#[test]
fn epochs_come_from_admins_under_their_number_and_the_longest_fits() {
    let keys = keys();
    let of = |epoch: Epoch, by: &Chain| Content::Epoch { epoch, by: Box::new(by.clone()) };
    let nodes: Vec<NodeId> = (0..EPOCH_NODES_MAX as u8).map(|n| NodeId([n; 32])).collect();
    let content = of(epoch(u32::MAX, nodes.clone()), &keys.admin_chain);
    let record = content.sign(u32::MAX.into(), u64::from(u32::MAX), &keys.admin, None).unwrap();
    assert_eq!(record.content(&keys.network), Ok(content.clone()));
    assert!(record.bytes().len() + 300 < RECORD_LENGTH_MAX, "a name of 63 bytes is not all that is long");

    let judge = |content: &Content, sequence, key: &SigningKey| {
        content.sign(sequence, 1, key, None).unwrap().content(&keys.network)
    };
    let by_member = of(epoch(2, vec![]), &keys.member_chain);
    assert_eq!(judge(&by_member, 2, &keys.member), Err(RecordError::Authority));
    let in_its_name = of(epoch(2, vec![]), &keys.admin_chain);
    assert_eq!(judge(&in_its_name, 2, &keys.member), Err(RecordError::Authority));
    assert_eq!(judge(&in_its_name, 0, &keys.admin), Err(RecordError::Malformed), "epochs count from 1");
    assert_eq!(judge(&in_its_name, 1 << 32, &keys.admin), Err(RecordError::Malformed));
    assert!(
        matches!(judge(&in_its_name, 3, &keys.admin), Ok(Content::Epoch { epoch, .. }) if epoch.number == 3)
    );
    let mut unsorted = nodes.clone();
    unsorted.reverse();
    let twice = vec![nodes[0]; 2];
    let many = (0..=EPOCH_NODES_MAX as u8).map(|n| NodeId([n; 32])).collect();
    for nodes in [unsorted, twice, many] {
        let content = of(epoch(2, nodes), &keys.admin_chain);
        assert_eq!(judge(&content, 2, &keys.admin), Err(RecordError::Malformed));
    }
    // Its name is its commitment, so that two that were begun apart are two records.
    let Body { kind, owner, sequence, payload, .. } = record.body().clone();
    let body = Body {
        kind,
        owner,
        name: String::new(),
        sequence,
        not_before_s: 1,
        ttl_s: 0,
        labels: BTreeMap::new(),
        payload,
    };
    assert_eq!(Record::sign(body, &keys.admin).unwrap().content(&keys.network), Err(RecordError::Malformed));
}

#[test]
fn policies_come_from_admins_and_are_as_long_as_a_record_has_room() {
    let keys = keys();
    let of = |media_type: &str, document: &[u8], by: &Chain| Content::Policy {
        policy: Policy {
            name: "access".parse().unwrap(),
            media_type: media_type.to_owned(),
            document: document.to_vec(),
        },
        by: Box::new(by.clone()),
    };
    for document in [&b""[..], b"package access", &[7; 500]] {
        let content = of("application/rego", document, &keys.admin_chain);
        let record = content.sign(4, 1, &keys.admin, None).unwrap();
        assert_eq!(record.content(&keys.network), Ok(content));
    }
    let too_long = of("application/rego", &[7; 1000], &keys.admin_chain);
    assert_eq!(too_long.sign(4, 1, &keys.admin, None), Err(RecordError::Malformed));
    for (content, key, error) in [
        (of("application/rego", b"x", &keys.member_chain), &keys.member, RecordError::Authority),
        (of("application/rego", b"x", &keys.admin_chain), &keys.member, RecordError::Authority),
        (of("rego", b"x", &keys.admin_chain), &keys.admin, RecordError::Malformed),
    ] {
        assert_eq!(content.sign(4, 1, key, None).unwrap().content(&keys.network), Err(error));
    }
}

#[test]
fn what_is_about_one_name_is_in_one_range_of_hashes() {
    let key = |kind, owner: u8, name: &str| Key { kind, owner: NodeId([owner; 32]), name: name.to_owned() };
    let of_web = [key(Kind::Claim, 1, "web"), key(Kind::Service, 2, "web"), key(Kind::Service, 3, "web/1.4")];
    let begin = |key: &Key| key.hash() >> (63 - POSITION_BITS);
    let expected = 1 << POSITION_BITS | u64::from(Position::of_name("web").number());
    assert!(of_web.iter().all(|key| begin(key) == expected));
    assert_ne!(begin(&key(Kind::Claim, 1, "db")), expected);
    for part in (0..=15).map(|depth| crate::Part::around(Position::of_name("web"), depth)) {
        assert!(of_web.iter().all(|key| part.covers_hash(key.hash())), "{part:?}");
        assert!(!part.sibling().covers_hash(of_web[0].hash()) || part.depth() == 0);
    }
    for kind in [Kind::Member, Kind::Revocation, Kind::Reissue, Kind::LinkState] {
        let key = key(kind, 1, "web");
        assert_eq!((key.hash() >> 63, key.position()), (0, None));
        assert!(!crate::Part::WHOLE.covers_hash(key.hash()));
    }
}
