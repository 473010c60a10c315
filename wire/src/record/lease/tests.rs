use super::*;
use crate::record::{Body, Content, RECORD_LENGTH_MAX, key_of_guest};
use crate::{GuestKey, NetworkId};
use ed25519_dalek::SigningKey;
use std::net::Ipv4Addr;

const NETWORK: NetworkId = NetworkId([7; 16]);

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn owner() -> NodeId {
    NodeId(key().verifying_key().to_bytes())
}

fn service(name: &str, version: Option<&str>, port: u16) -> Content {
    Content::Service {
        node: owner(),
        name: name.parse().unwrap(),
        version: version.map(|version| version.parse().unwrap()),
        protocol: Protocol::Tcp,
        port,
        is_healthy: true,
    }
}

fn claim(sharing: Sharing) -> Content {
    Content::Claim { node: owner(), name: "web".parse().unwrap(), sharing }
}

fn confirmation() -> Content {
    Content::Confirmation { by: owner(), node: NodeId([8; 32]), name: "web".parse().unwrap() }
}

fn lease(ttl_s: u32) -> Lease {
    let labels = BTreeMap::from([("tier".to_owned(), "a".to_owned())]);
    Lease { sequence: u64::MAX, not_before_s: u64::MAX, ttl_s, labels }
}

fn body(kind: Kind, name: &str, payload: Vec<u8>) -> Body {
    let (owner, name) = (owner(), name.to_owned());
    let (labels, payload) = (BTreeMap::new(), payload.into());
    Body { kind, owner, name, sequence: 1, not_before_s: 1, ttl_s: 60, labels, payload }
}

fn judge(body: Body) -> Result<Content, RecordError> {
    Record::sign(body, &key()).and_then(|record| record.content(&NETWORK))
}

#[test]
fn services_and_claims_read_back_and_fit() {
    let long = "x".repeat(63);
    let nodes: Vec<NodeId> = (0..SHARED_NODES_MAX).map(|n| NodeId([n as u8; 32])).collect();
    for content in [
        service("web", None, 80),
        service(&long, Some(&"9".repeat(16)), u16::MAX),
        claim(Sharing::Owner),
        claim(Sharing::Members),
        claim(Sharing::Nodes(nodes)),
    ] {
        let record = content.sign_lease(lease(TTL_S_MAX), &key()).unwrap();
        assert!(record.bytes().len() <= RECORD_LENGTH_MAX);
        assert_eq!(record.content(&NETWORK), Ok(content));
        assert_eq!(record.ttl().unwrap().as_secs(), u64::from(TTL_S_MAX));
        assert_eq!(record.key().hash(), record.key_hash());
    }
}

#[test]
fn an_empty_payload_withdraws() {
    let web = "web".parse().unwrap();
    let (claim, confirmation) = (key_of_claim(owner(), &web), key_of_confirmation(owner(), &web));
    for gone in [key_of_service(owner(), &web, None), claim, confirmation] {
        let content = Content::Withdrawn { key: gone.clone() };
        let whole = Lease { labels: BTreeMap::new(), ..lease(TTL_S_MAX) };
        let record = content.sign_lease(whole.clone(), &key()).unwrap();
        assert!(record.is_tombstone());
        assert_eq!((record.key(), record.content(&NETWORK)), (gone, Ok(content.clone())));
        let short = content.sign_lease(Lease { ttl_s: 60, ..whole }, &key()).unwrap();
        assert_eq!(short.content(&NETWORK), Err(RecordError::Malformed), "it would go before what it is for");
        let labelled = content.sign_lease(lease(TTL_S_MAX), &key()).unwrap();
        assert_eq!(labelled.content(&NETWORK), Err(RecordError::Malformed));
    }
    let member = judge(Body { ttl_s: TTL_S_MAX, ..body(Kind::Member, "", vec![]) });
    assert_eq!(member, Err(RecordError::Malformed), "other kinds cannot be withdrawn");
}

#[test]
fn lives_are_bounded_and_other_kinds_have_none() {
    for (ttl_s, fits) in [(0, false), (4, false), (5, true), (3600, true), (3601, false), (u32::MAX, false)] {
        let record = service("web", None, 80).sign_lease(lease(ttl_s), &key()).unwrap();
        assert_eq!(record.content(&NETWORK).is_ok(), fits, "{ttl_s}");
    }
    let payload = crate::cbor::encode(&crate::record::LinkState {
        is_hop: false,
        is_anchor: false,
        profile: crate::NatProfile::default(),
        stream_port: None,
        links: vec![],
    });
    let plain = Body { ttl_s: 0, ..body(Kind::LinkState, "", payload) };
    assert!(judge(plain.clone()).is_ok());
    assert_eq!(judge(Body { ttl_s: 60, ..plain }), Err(RecordError::Malformed));
}

#[test]
fn a_confirmation_stands_until_it_is_replaced() {
    let whole = Lease { labels: BTreeMap::new(), ..lease(0) };
    let record = confirmation().sign_lease(whole.clone(), &key()).unwrap();
    assert_eq!((record.ttl(), record.content(&NETWORK)), (None, Ok(confirmation())));
    assert!(record.body().kind.is_lease() && !record.is_tombstone());
    let ends = confirmation().sign_lease(Lease { ttl_s: 60, ..whole }, &key()).unwrap();
    assert_eq!(ends.content(&NETWORK), Err(RecordError::Malformed), "a pause of the admin frees no name");
    let labelled = confirmation().sign_lease(lease(0), &key()).unwrap();
    assert_eq!(labelled.content(&NETWORK), Err(RecordError::Malformed));
}

#[test]
fn a_guest_stands_until_it_is_withdrawn() {
    let (host, name, guest_key) = (owner(), "phone".parse().unwrap(), GuestKey([3; 32]));
    for ipv4 in [None, Some(Ipv4Addr::new(10, 7, 0, 9))] {
        let guest = Content::Guest { host, name: Name::clone(&name), key: guest_key, ipv4 };
        let whole = Lease { labels: BTreeMap::new(), ..lease(0) };
        let record = guest.sign_lease(whole.clone(), &key()).unwrap();
        assert_eq!((record.ttl(), record.content(&NETWORK)), (None, Ok(guest.clone())));
        assert!(record.key().position().is_none(), "its address must be known everywhere");
        let ends = guest.sign_lease(Lease { ttl_s: 60, ..whole }, &key()).unwrap();
        assert_eq!(ends.content(&NETWORK), Err(RecordError::Malformed), "a phone is away for weeks");
    }
    for short in [crate::cbor::encode(&(1, 2)), vec![0x82, 0x40, 0xf6]] {
        assert!(judge(Body { ttl_s: 0, ..body(Kind::Guest, "phone", short) }).is_err());
    }
    let gone = Content::Withdrawn { key: key_of_guest(host, &name) };
    let record = gone.sign_lease(Lease { labels: BTreeMap::new(), ..lease(TTL_S_MAX) }, &key());
    assert_eq!(record.unwrap().content(&NETWORK), Ok(gone));
}

#[test]
fn names_of_leases_have_one_spelling() {
    let payload =
        || crate::cbor::encode(&ServicePayload { protocol: Protocol::Udp, port: 5, is_healthy: false });
    for (name, fits) in [
        ("web", true),
        ("web/2", true),
        ("", false),
        ("Web", false),
        ("web/A", false),
        ("web/", false),
        ("web/2/3", false),
        ("wpad", false),
        ("../x", false),
    ] {
        assert_eq!(judge(body(Kind::Service, name, payload())).is_ok(), fits, "{name:?}");
    }
    let payload = crate::cbor::encode(&ClaimPayload::of(&Sharing::Owner));
    assert!(judge(body(Kind::Claim, "web", payload.clone())).is_ok());
    assert!(judge(body(Kind::Claim, "web/2", payload)).is_err(), "a name is claimed for all versions");
    let payload = crate::cbor::encode(&ConfirmationPayload { node: owner() });
    for (name, fits) in [("web", true), ("web/2", false), ("Web", false), ("", false)] {
        let body = Body { ttl_s: 0, ..body(Kind::Confirmation, name, payload.clone()) };
        assert_eq!(judge(body).is_ok(), fits, "{name:?}");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let refused = |kind, payload| {
        assert_eq!(judge(body(kind, "web", payload)), Err(RecordError::Malformed));
    };
    refused(
        Kind::Service,
        crate::cbor::encode(&ServicePayload { protocol: Protocol::Tcp, port: 0, is_healthy: true }),
    );
    let nodes = |ids: &[u8]| ids.iter().map(|n| NodeId([*n; 32])).collect::<Vec<_>>();
    for (members, nodes) in [(true, nodes(&[1])), (false, nodes(&[2, 1])), (false, nodes(&[1, 1]))] {
        refused(Kind::Claim, crate::cbor::encode(&ClaimPayload { members, nodes }));
    }
    let many = (0..=SHARED_NODES_MAX).map(|n| NodeId([n as u8; 32])).collect();
    refused(Kind::Claim, crate::cbor::encode(&ClaimPayload { members: false, nodes: many }));
}
