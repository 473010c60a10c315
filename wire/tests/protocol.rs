//! `PROTOCOL.md` and the code say the same: every row of its tables is computed here, and every value here has its row.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

use ed25519_dalek::SigningKey;
use minicbor::bytes::ByteVec;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use wire::control::{
    CircuitEnd, DIGESTS_MAX, FOUND_MAX, HAVE_ENTRIES_MAX, HaveEntry, MEASURE_LENGTH_MIN, Message, ROUTE_MAX,
    RangeDigest, Share, WANT_KEYS_MAX,
};
use wire::datagram::{self, CookieReply, Datagram, Half, HintStage, Sealed};
use wire::epoch::EpochMessage;
use wire::gate::{self, GateKeys};
use wire::handshake::{InitiationPayload, ResponsePayload, Suite};
use wire::hint::{self, Hint, HintBody, SealKey};
use wire::invite::InviteRole;
use wire::mailbox::{self, Slot};
use wire::news::{NewsMessage, OFFER_MAX};
use wire::record::{self, Content, Lease, Link, LinkState, RouteOffer};
use wire::service::{Protocol, Sharing};
use wire::view::{SAMPLE_MAX, Sampled, ViewMessage};
use wire::{
    Candidate, Chain, Claims, Commitment, Dependence, GuestKey, Invite, InviteId, Kind, NatProfile,
    NetworkId, NetworkSecret, NodeId, NoisePublicKey, POSITION_BITS, Part, Ports, Position, Record, Revision,
    Revisions, Roles, address, cbor, credential, enrolment, handshake, invite, secret,
};

const DOCUMENT: &str = include_str!("../PROTOCOL.md");
const NOISE_KEY: NoisePublicKey = NoisePublicKey([2; 32]);
const SECRET: [u8; 32] = [3; 32];
const INVITE: InviteId = InviteId([4; 16]);
const INVITE_SECRET: [u8; 16] = [5; 16];

fn root() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn network() -> NetworkId {
    NetworkId::of_root(&root().verifying_key().to_bytes())
}

fn chain() -> Chain {
    let claims = Claims {
        network: network(),
        node: NodeId(root().verifying_key().to_bytes()),
        noise_key: NOISE_KEY,
        name: "a".parse().unwrap(),
        ipv4: "10.7.0.1/16".parse().unwrap(),
        prefixes: vec!["192.168.1.0/24".parse().unwrap()],
        tags: vec!["t".parse().unwrap()],
        services: vec![],
        roles: Roles { admin: true, hop: false },
        serial: 7,
        not_before_s: 100,
        expires_s: 1000,
    };
    Chain::of_root(claims, &root())
}

fn member_record() -> Record {
    let candidates = vec![candidate("192.0.2.1:5")];
    Content::Member { chain: chain(), candidates }.sign(1, 100, &root(), None).unwrap()
}

fn hint(stream: Option<u16>) -> Hint {
    let node = NodeId(root().verifying_key().to_bytes());
    let candidates = vec![candidate("192.0.2.1:5")];
    let body = HintBody { node, noise_key: NOISE_KEY, candidates, unix_s: 100, stream };
    Hint::sign(&body, &network(), &root()).unwrap()
}

fn candidate(address: &str) -> Candidate {
    Candidate::new(address.parse().unwrap()).unwrap()
}

fn gate_keys() -> GateKeys {
    GateKeys::of_receiver(&NetworkSecret::new(1, SECRET), &NOISE_KEY)
}

/// The rows of the table under a heading: name to the other cells, without the back-ticks.
fn table(heading: &str) -> BTreeMap<&'static str, Vec<&'static str>> {
    let section = DOCUMENT.split_once(&format!("# {heading}\n")).expect("the heading is there").1;
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let mut rows = BTreeMap::new();
    for line in lines.take_while(|line| line.starts_with('|')).skip(2) {
        let mut cells = line.trim_matches('|').split('|').map(cell);
        let name = cells.next().unwrap();
        assert!(rows.insert(name, cells.collect()).is_none(), "{heading}: {name} stands there twice");
    }
    rows
}

/// What stands between back-ticks, spaces and all, or the trimmed cell.
fn cell(text: &'static str) -> &'static str {
    let text = text.trim();
    text.strip_prefix('`').and_then(|text| text.strip_suffix('`')).unwrap_or(text)
}

/// What is carried is told by its first byte; whether it is whole is for the end of the circuit to see.
fn labelled(label: u64) -> Vec<u8> {
    let mut header = [0; datagram::LABEL_LENGTH];
    datagram::write_label(&mut header, label);
    let response = datagram::write_response(1, 2, b"", &gate_keys());
    [&header, &response[..1]].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn constants_are_those_of_the_code() {
    let code = BTreeMap::from([
        ("VERSION", datagram::VERSION as usize),
        ("REVISION_LOWEST", Revision::LOWEST.number().into()),
        ("REVISION_CURRENT", Revision::CURRENT.number().into()),
        ("HEADER_LENGTH", datagram::HEADER_LENGTH),
        ("TAG_LENGTH", datagram::TAG_LENGTH),
        ("OVERHEAD", datagram::OVERHEAD),
        ("INITIATION_LENGTH", datagram::INITIATION_LENGTH),
        ("INITIATION_NOISE_LENGTH_MAX", datagram::INITIATION_NOISE_LENGTH_MAX),
        ("UNPROVED_REPLY_LENGTH_MAX", datagram::UNPROVED_REPLY_LENGTH_MAX),
        ("SLOW_LENGTH_MAX", datagram::SLOW_LENGTH_MAX),
        ("WHOLE_LENGTH_MIN", datagram::WHOLE_LENGTH_MIN),
        ("ENROLMENT_FIRST_LENGTH", datagram::ENROLMENT_FIRST_LENGTH),
        ("ASK_LENGTH", datagram::ASK_LENGTH),
        ("HINT_LENGTH", datagram::HINT_LENGTH),
        ("SEALED_HINT_LENGTH", hint::SEALED_HINT_LENGTH),
        ("SEALED_ASK_LENGTH", hint::SEALED_ASK_LENGTH),
        ("HINT_CANDIDATES_MAX", hint::HINT_CANDIDATES_MAX),
        ("VALUE_LENGTH_MAX", mailbox::VALUE_LENGTH_MAX),
        ("MAC_LENGTH", gate::MAC_LENGTH),
        ("COOKIE_NONCE_LENGTH", gate::COOKIE_NONCE_LENGTH),
        ("SEALED_COOKIE_LENGTH", gate::SEALED_COOKIE_LENGTH),
        ("CHAIN_LENGTH_MAX", credential::CHAIN_LENGTH_MAX),
        ("CLOCK_SKEW_S", credential::CLOCK_SKEW_S as usize),
        ("RECORD_LENGTH_MAX", record::RECORD_LENGTH_MAX),
        ("NAME_LENGTH_MAX", record::NAME_LENGTH_MAX),
        ("LABELS_MAX", record::LABELS_MAX),
        ("LABEL_KEY_LENGTH_MAX", record::LABEL_KEY_LENGTH_MAX),
        ("LABEL_VALUE_LENGTH_MAX", record::LABEL_VALUE_LENGTH_MAX),
        ("TTL_S_MIN", record::TTL_S_MIN as usize),
        ("TTL_S_MAX", record::TTL_S_MAX as usize),
        ("GUESTS_MAX", record::GUESTS_MAX),
        ("GRANT_DELAY_S", record::GRANT_DELAY_S as usize),
        ("SHARED_NODES_MAX", record::SHARED_NODES_MAX),
        ("SERVICES_MAX", credential::SERVICES_MAX),
        ("PREFIXES_MAX", credential::PREFIXES_MAX),
        ("ROUTE_OFFERS_MAX", record::ROUTE_OFFERS_MAX),
        ("CANDIDATES_MAX", record::CANDIDATES_MAX),
        ("ADDRESSES_MAX", invite::ADDRESSES_MAX),
        ("HAVE_ENTRIES_MAX", HAVE_ENTRIES_MAX),
        ("WANT_KEYS_MAX", WANT_KEYS_MAX),
        ("DIGESTS_MAX", DIGESTS_MAX),
        ("FOUND_MAX", FOUND_MAX.into()),
        ("MEASURE_LENGTH_MIN", MEASURE_LENGTH_MIN),
        ("POSITION_BITS", POSITION_BITS as usize),
        ("SAMPLE_MAX", SAMPLE_MAX),
        ("OFFER_MAX", OFFER_MAX),
        ("LINKS_MAX", record::LINKS_MAX),
        ("EPOCH_NODES_MAX", record::EPOCH_NODES_MAX),
        ("MEDIA_TYPE_LENGTH_MAX", record::MEDIA_TYPE_LENGTH_MAX),
        ("LABEL_LENGTH", datagram::LABEL_LENGTH),
        ("ROUTE_MAX", ROUTE_MAX),
        ("ENROLMENT_LENGTH_MAX", enrolment::LENGTH_MAX),
        ("CONTACTS_MAX", enrolment::CONTACTS_MAX),
        ("CONTACT_CANDIDATES_MAX", enrolment::CONTACT_CANDIDATES_MAX),
    ]);
    let document: BTreeMap<&str, usize> =
        table("Constants").into_iter().map(|(name, cells)| (name, cells[0].parse().unwrap())).collect();
    assert_eq!(document, code);
}

#[test]
fn first_bytes_and_least_lengths_are_those_of_the_code() {
    let sealed = Sealed { receiver: 1, counter: 2 };
    let with_tag = |header: [u8; 16]| [&header[..], &[0; datagram::TAG_LENGTH]].concat();
    let reply = CookieReply { mark: 1, receiver: 1, nonce: [0; 16], sealed: [0; 32], mac: [0; 16] };
    let enrolment = |stage| datagram::write_enrolment(stage, &INVITE, 1, b"", &[0; 32]);
    let of_wireguard = |word: u8| [&[word][..], &[0; datagram::OVERHEAD - 1]].concat();
    let hint = |stage: HintStage| datagram::write_hint(stage, 1, &vec![0; stage.length() - 4]);
    let code = BTreeMap::from([
        ("ask", hint(HintStage::Ask)),
        ("answer", hint(HintStage::Answer)),
        ("beacon", hint(HintStage::Beacon)),
        ("initiation", datagram::write_initiation(1, b"", &gate_keys(), None)),
        ("response", datagram::write_response(1, 2, b"", &gate_keys())),
        ("cookie reply", datagram::write_cookie_reply(&reply)),
        ("data", with_tag(sealed.data_header())),
        ("unsummed", with_tag(sealed.unsummed_header())),
        ("first half", with_tag(sealed.half_header(Half::First))),
        ("second half", with_tag(sealed.half_header(Half::Second))),
        ("control", with_tag(sealed.control_header())),
        ("labelled", labelled(2)),
        ("enrolment 1", enrolment(1)),
        ("enrolment 2", enrolment(2)),
        ("enrolment 3", enrolment(3)),
        ("enrolment 4", enrolment(4)),
        ("WireGuard initiation", of_wireguard(1)),
        ("WireGuard response", of_wireguard(2)),
        ("WireGuard cookie reply", of_wireguard(3)),
        ("WireGuard data", of_wireguard(4)),
    ]);
    for (name, bytes) in &code {
        assert!(Datagram::parse(bytes).is_some(), "{name}");
        assert!(Datagram::parse(&bytes[..bytes.len() - 1]).is_none() || *name == "enrolment 1", "{name}");
    }
    let code: BTreeMap<&str, (String, usize)> =
        code.into_iter().map(|(name, bytes)| (name, (hex(&bytes[..4]), bytes.len()))).collect();
    let document: BTreeMap<&str, (String, usize)> = table("First bytes")
        .into_iter()
        .map(|(name, cells)| (name, (cells[0].replace(' ', ""), cells[1].parse().unwrap())))
        .collect();
    assert_eq!(document, code);
}

/// Each label of the document is put to its use; the outcome must be what the code makes.
#[test]
fn labels_are_those_of_the_code() {
    let network_secret = NetworkSecret::new(1, SECRET);
    let (gate_key, node) = (network_secret.gate_key(), NodeId(root().verifying_key().to_bytes()));
    let concat = |label: &str, parts: &[&[u8]]| [label.as_bytes(), &parts.concat()].concat();
    let sha256 = |bytes: &[u8]| ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().to_vec();
    let derived = |secret: &[u8], label: &str| secret::derive(secret, label.as_bytes()).to_vec();
    let (record, hash) = (member_record(), [7; 32]);

    let table = table("Labels");
    assert_eq!(table.len(), 34, "each is put to its use below");
    let label = |name: &str| table[name][1];
    assert_eq!(derived(&SECRET, label("session psk")), network_secret.psk());
    assert_eq!(derived(&SECRET, label("gate key")), gate_key);
    let commitment = Commitment::of(&network(), &network_secret);
    assert_eq!(
        sha256(&concat(label("epoch commitment"), &[&network().0, &[1, 0, 0, 0], &SECRET])),
        commitment.0
    );
    assert_eq!(derived(&INVITE_SECRET, label("invite mac key")), invite::mac_key(&INVITE_SECRET));
    assert_eq!(derived(&INVITE_SECRET, label("invite psk")), invite::psk(&INVITE_SECRET));
    assert_eq!(label("session noise"), handshake::NOISE);
    assert_eq!(label("enrolment noise"), enrolment::NOISE);
    assert_eq!(concat(label("session prologue"), &[&network().0]), handshake::prologue(&network()));
    assert_eq!(
        concat(label("enrolment prologue"), &[&network().0, &INVITE.0]),
        enrolment::prologue(&network(), &INVITE)
    );
    assert_eq!(
        concat(label("enrolment proof"), &[&hash, &NOISE_KEY.0]),
        enrolment::proof_message(&hash, &NOISE_KEY)
    );
    assert_eq!(
        concat(label("revocation of admin"), &[&network().0, &node.0]),
        record::revocation_of_admin_message(&network(), &node)
    );
    let guest = sha256(&concat(label("guest ipv6 address"), &[&network().0, &node.0, &[6; 32]]));
    assert_eq!(guest[..10], address::guest_ipv6_address(&network(), &node, &GuestKey([6; 32])).octets()[6..]);
    assert_eq!(derived(&SECRET, label("guest door key")), secret::guest_door_key(&SECRET)[..]);
    let address = sha256(&concat(label("ipv6 address"), &[&network().0, &node.0]));
    assert_eq!(address[..10], address::ipv6_address(&network(), &node).octets()[6..]);
    let key_hash = sha256(&[&[1], &node.0[..]].concat());
    assert_eq!(u64::from_be_bytes(key_hash[..8].try_into().unwrap()) >> 1, record.key_hash());
    let version =
        sha256(&concat(label("record version"), &[&record.key_hash().to_le_bytes(), &1u64.to_le_bytes()]));
    assert_eq!(u64::from_be_bytes(version[..8].try_into().unwrap()), record.version_hash());
    let parts: Vec<ByteVec> = cbor::decode(record.bytes()).unwrap();
    let signed = concat(label("record signature"), &[&parts[0]]);
    assert_eq!(credential::verify_signature(&node.0, &signed, &parts[1]), Ok(()));
    assert_eq!(label("suite 0"), Suite::ChaCha20Poly1305.name());
    assert_eq!(label("suite 1"), Suite::Aes256Gcm.name());
    gate_labels(label("mac1 key"), label("cookie key"), &gate_key);
    let reply_key = gate::mac(&gate_key, &[label("cookie reply key").as_bytes()]);
    assert_eq!(gate::mac(&reply_key, &[b"message"]), gate_keys().reply_mac(b"message"));
    hint_labels(&label);
    slot_labels(&label);
    position_labels(&label);
}

fn position_labels(label: &dyn Fn(&str) -> &'static str) {
    let sha256 = |parts: &[&[u8]]| ring::digest::digest(&ring::digest::SHA256, &parts.concat());
    let first_bits = |parts: &[&[u8]]| {
        let hash = sha256(parts);
        u16::from_be_bytes([hash.as_ref()[0], hash.as_ref()[1]]) >> (16 - POSITION_BITS)
    };
    let (node, position) = (NodeId([6; 32]), first_bits(&[label("position of name").as_bytes(), b"web"]));
    assert_eq!(position, Position::of_name("web").number());
    let of_node = first_bits(&[label("position of node").as_bytes(), &node.0]);
    assert_eq!(of_node, Position::of_node(&node).number());
    let key = record::key_of_service(node, &"web".parse().unwrap(), Some(&"2".parse().unwrap()));
    let hash = sha256(&[&[5], &node.0, b"web/2"]);
    let hash = u64::from_be_bytes(hash.as_ref()[..8].try_into().unwrap());
    let rest = hash << (1 + POSITION_BITS) >> (1 + POSITION_BITS);
    assert_eq!(key.hash(), 1 << 63 | u64::from(position) << (63 - POSITION_BITS) | rest);
}

/// Opens what was sealed, with a key that was derived by the document.
fn open(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let key = ring::aead::UnboundKey::new(&ring::aead::CHACHA20_POLY1305, key).unwrap();
    let nonce = ring::aead::Nonce::assume_unique_for_key(bytes[..12].try_into().unwrap());
    let mut text = bytes[12..].to_vec();
    ring::aead::LessSafeKey::new(key)
        .open_in_place(nonce, ring::aead::Aad::empty(), &mut text)
        .unwrap()
        .to_vec()
}

fn hint_labels(label: &dyn Fn(&str) -> &'static str) {
    let (secret, hint) = (NetworkSecret::new(1, SECRET), hint(None));
    let derived = |name| secret::derive(&SECRET, label(name).as_bytes());
    let text = open(&derived("hint lan key"), &hint.seal(&SealKey::lan(&secret), [7; 12]));
    let length = usize::from(u16::from_le_bytes([text[0], text[1]]));
    assert!(text[2 + length..].iter().all(|byte| *byte == 0), "only zeros behind a hint");
    let parts: Vec<ByteVec> = cbor::decode(&text[2..2 + length]).unwrap();
    let signed = [label("hint signature").as_bytes(), &network().0, &parts[0]].concat();
    assert_eq!(credential::verify_signature(&hint.body().node.0, &signed, &parts[1]), Ok(()));

    let (who_key, nonce) = (derived("hint who key"), [8; 12]);
    let who = SealKey::who(&secret);
    assert_eq!(open(&who_key, &hint.seal(&who, [7; 12])), text);
    let answer_key = secret::derive(&who_key, &[label("hint answer key").as_bytes(), &nonce].concat());
    assert_eq!(open(&answer_key, &hint.seal(&who.answer_to(&nonce), [7; 12])), text);
}

fn slot_labels(label: &dyn Fn(&str) -> &'static str) {
    let (secret, a) = (NetworkSecret::new(1, SECRET), NodeId([1; 32]));
    let day = [0x39, 0x30, 0, 0, 0, 0, 0, 0];
    let derived = |secret: &[u8], name: &str, parts: &[&[u8]]| {
        secret::derive(secret, &[label(name).as_bytes(), &parts.concat()].concat())
    };
    for (expected, slot) in [
        (derived(&SECRET, "slot of hint", &[&day, &a.0]), Slot::of_hint(&secret, 12_345, &a)),
        (derived(&INVITE_SECRET, "slot to issuer", &[]), Slot::to_issuer(&INVITE_SECRET)),
        (derived(&INVITE_SECRET, "slot to joiner", &[]), Slot::to_joiner(&INVITE_SECRET)),
    ] {
        assert_eq!(&derived(&expected, "slot seed", &[]), slot.seed());
        let sealed = slot.seal_key().seal([7; 12], b"text");
        let seal_key = derived(&expected, "slot seal key", &[]);
        assert_eq!(open(&seal_key, &sealed), b"text");
        let answer = slot.seal_key().answer_to(&[8; 12]).seal([7; 12], b"text");
        assert_eq!(open(&derived(&seal_key, "slot answer key", &[&[8; 12]]), &answer), b"text");
    }
    assert_eq!(derived(&SECRET, "rendezvous", &[&day])[..20], mailbox::rendezvous(&secret, 12_345));
}

fn gate_labels(mac1_label: &str, cookie_label: &str, gate_key: &[u8; 32]) {
    let keys = gate_keys();
    let mac1_key = gate::mac(gate_key, &[mac1_label.as_bytes(), &NOISE_KEY.0]);
    assert_eq!(gate::mac(&mac1_key, &[b"message"]), keys.mac1(b"message"));
    let (cookie, nonce, mac1) = ([8; 16], [9; 16], [10; 16]);
    let key = secret::derive(gate_key, &[cookie_label.as_bytes(), &NOISE_KEY.0].concat());
    let key = secret::derive(&key, &nonce);
    let key = ring::aead::UnboundKey::new(&ring::aead::CHACHA20_POLY1305, &key).unwrap();
    let mut sealed = keys.seal_cookie(&cookie, &nonce, &mac1);
    let opened = ring::aead::LessSafeKey::new(key)
        .open_in_place(
            ring::aead::Nonce::assume_unique_for_key([0; 12]),
            ring::aead::Aad::from(mac1),
            &mut sealed,
        )
        .unwrap();
    assert_eq!(opened, cookie);
}

fn example_payloads() -> Vec<(&'static str, Vec<u8>)> {
    let initiation = InitiationPayload {
        timestamp: (1 << 42) + 5,
        unix_s: 100,
        suites: vec![Suite::Aes256Gcm],
        chain: vec![1].into(),
        revisions: Revisions::OURS,
    };
    let accepted = |observed| ResponsePayload::Accepted {
        suite: Suite::ChaCha20Poly1305,
        observed,
        chain: vec![1].into(),
        unix_s: 100,
        revisions: Revisions::OURS,
    };
    let revisions = Revisions::OURS;
    let refused = |refusal| ResponsePayload::Refused { refusal, unix_s: 100, revisions };
    // Of a later revision, with a field more than are known.
    let mut later = cbor::encode(&initiation);
    later[0] += 1;
    later.push(0xf6);
    assert_eq!(InitiationPayload::decode(&later).as_ref(), Ok(&initiation));
    let request = enrolment::Request {
        node: NodeId([6; 32]),
        proof: [7; 64].into(),
        name: "b".parse().unwrap(),
        name_is_firm: true,
    };
    let answer = enrolment::Answer::Accepted {
        network_name: "home".parse().unwrap(),
        chain: vec![1].into(),
        epoch: 1,
        secret: SECRET.into(),
        contacts: vec![enrolment::Contact {
            node: NodeId([6; 32]),
            noise_key: NOISE_KEY,
            candidates: vec![candidate("192.0.2.1:5")],
        }],
    };
    let no = enrolment::Answer::Refused { refusal: enrolment::Refusal::NameTaken };
    vec![
        ("initiation payload", cbor::encode(&initiation)),
        ("response payload, observed", cbor::encode(&accepted(Some(candidate("[2001:db8::1]:5"))))),
        ("response payload, not observed", cbor::encode(&accepted(None))),
        ("initiation payload of a later revision", later),
        ("response payload, refused", cbor::encode(&refused(handshake::Refusal::Expired))),
        ("response payload, no revision", cbor::encode(&refused(handshake::Refusal::Revision))),
        ("enrolment request", cbor::encode(&request)),
        ("enrolment answer, accepted", cbor::encode(&answer)),
        ("enrolment answer, refused", cbor::encode(&no)),
    ]
}

fn example_messages() -> Vec<(&'static str, Vec<u8>)> {
    let pong = |observed| Message::Pong { token: 1, digest: u64::MAX, observed, share: None };
    let entries = vec![HaveEntry { key: 3, sequence: 4 }, HaveEntry { key: 5, sequence: 300 }];
    vec![
        ("ping", cbor::encode(&Message::Ping { token: 1, digest: 2, share: None })),
        ("pong, observed", cbor::encode(&pong(Some(candidate("192.0.2.1:5"))))),
        ("pong, not observed", cbor::encode(&pong(None))),
        ("have", cbor::encode(&Message::Have { from: 0, to: 9, entries })),
        ("want", cbor::encode(&Message::Want { keys: vec![1, 2] })),
        ("record message", cbor::encode(&Message::Record { bytes: vec![1].into(), age_s: None })),
        ("lease message", cbor::encode(&Message::Record { bytes: vec![1].into(), age_s: Some(7) })),
        ("close", cbor::encode(&Message::Close)),
    ]
}

fn example_messages_about_paths() -> Vec<(&'static str, Vec<u8>)> {
    let profile = NatProfile {
        translates: true,
        mapping: Dependence::AddressDependent,
        filtering: Dependence::AddressAndPortDependent,
        ports: Ports::Sequential { step: 2 },
    };
    let call = |public, last_port| Message::Call {
        nonce: 1,
        is_answer: false,
        rung: 2,
        profile,
        candidates: vec![candidate("192.0.2.1:5")],
        public,
        last_port,
    };
    let (label, route, origin) = (1, vec![NodeId([6; 32])], NodeId([7; 32]));
    [
        ("circuit open", Message::CircuitOpen { label, route, origin, passed: vec![] }),
        ("circuit opened", Message::CircuitOpened { label, forward: 2 }),
        ("circuit closed", Message::CircuitClosed { label, reason: CircuitEnd::Unreachable }),
        ("call", call(Some(candidate("198.51.100.1:6")), Some(6))),
        ("call, not seen from outside", call(None, None)),
        ("dial back", Message::DialBack { token: 1, port: 2, is_same_port: false }),
        ("vouch", Message::Vouch { invite: INVITE, mac_key: [8; 32].into(), open_s: 60 }),
        ("vouch, taken back", Message::Vouch { invite: INVITE, mac_key: [0; 32].into(), open_s: 0 }),
        ("enrolment message", Message::Enrolment { joiner: 1, bytes: vec![2].into() }),
        ("measure (too short)", Message::Measure { token: 1, padding: vec![0; 2].into() }),
        ("measured", Message::Measured { token: 1 }),
    ]
    .map(|(name, message)| (name, cbor::encode(&message)))
    .to_vec()
}

fn example_messages_about_spread() -> Vec<(&'static str, Vec<u8>)> {
    let (node, origin) = (NodeId([6; 32]), NodeId([7; 32]));
    let sample = vec![Sampled { node, age: 3 }];
    let news = vec![HaveEntry { key: 3, sequence: 4 }];
    let part = Part::around(Position::of_name("web"), 1);
    let share = Share { part, scope: Part::NOTHING, known: part };
    let ranges = vec![RangeDigest { prefix: 3, digest: 4 }, RangeDigest { prefix: 15, digest: 300 }];
    [
        ("view: join", Message::View(ViewMessage::Join)),
        ("view: forward join", Message::View(ViewMessage::ForwardJoin { node, ttl: 6 })),
        ("view: neighbour", Message::View(ViewMessage::Neighbour { is_high_priority: true })),
        ("view: neighbour answer", Message::View(ViewMessage::NeighbourAnswer { is_accepted: false })),
        ("view: disconnect", Message::View(ViewMessage::Disconnect)),
        ("view: shuffle", Message::View(ViewMessage::Shuffle { origin, ttl: 6, sample: sample.clone() })),
        ("view: shuffle answer", Message::View(ViewMessage::ShuffleAnswer { origin, sample })),
        ("news: offer", Message::News(NewsMessage::Offer { news: news.clone() })),
        ("news: graft", Message::News(NewsMessage::Graft { news })),
        ("news: prune", Message::News(NewsMessage::Prune)),
        ("digests", Message::Digests { bits: 4, ranges }),
        ("epoch: ask", Message::Epoch(EpochMessage::Ask { commitment: Commitment([6; 32]) })),
        ("epoch: secret", Message::Epoch(EpochMessage::Secret { epoch: 2, secret: SECRET.into() })),
        ("ping of a node that holds a half", Message::Ping { token: 1, digest: 2, share: Some(share) }),
        ("find", Message::Find { nonce: 1, name: "web".parse().unwrap() }),
        ("found", Message::Found { nonce: 1, count: Some(1), record: Some(vec![2].into()), age_s: Some(3) }),
        ("found none", Message::Found { nonce: 1, count: Some(0), record: None, age_s: None }),
        ("not held", Message::Found { nonce: 1, count: None, record: None, age_s: None }),
    ]
    .map(|(name, message)| (name, cbor::encode(&message)))
    .to_vec()
}

fn link_state_record() -> Record {
    let state = LinkState {
        is_hop: true,
        is_anchor: false,
        profile: NatProfile::default(),
        stream_port: Some(443),
        links: vec![Link { node: 9, round_trip_ms: 20 }],
    };
    let node = NodeId(root().verifying_key().to_bytes());
    Content::LinkState { node, state }.sign(1, 100, &root(), None).unwrap()
}

fn routes_record() -> Record {
    let prefix = |text: &str| text.parse().unwrap();
    let offers = vec![
        RouteOffer {
            prefix: prefix("10.50.1.0/24"),
            behind: Some(prefix("192.168.1.0/24")),
            is_masqueraded: true,
        },
        RouteOffer { prefix: prefix("2001:db8::/32"), behind: None, is_masqueraded: false },
    ];
    let node = NodeId(root().verifying_key().to_bytes());
    Content::Routes { node, offers }.sign(1, 100, &root(), None).unwrap()
}

/// An epoch and a policy.
fn decrees() -> [(&'static str, Record); 2] {
    let secret = NetworkSecret::new(2, SECRET);
    let epoch = record::Epoch {
        number: 2,
        commitment: Commitment::of(&network(), &secret),
        nodes: vec![NodeId([6; 32])],
        revocations: 1,
    };
    let policy = record::Policy {
        name: "access".parse().unwrap(),
        media_type: "application/rego".to_owned(),
        document: b"package access".to_vec(),
    };
    let by = || Box::new(chain());
    [
        ("epoch record", Content::Epoch { epoch, by: by() }),
        ("policy record", Content::Policy { policy, by: by() }),
    ]
    .map(|(name, content)| (name, content.sign(2, 100, &root(), None).unwrap()))
}

/// A service with a label, a claim to its name, a confirmation of the claim, a guest, and a tombstone of the service.
fn leases() -> [(&'static str, Record); 5] {
    let (node, name) = (NodeId(root().verifying_key().to_bytes()), || "web".parse().unwrap());
    let version = Some("2".parse().unwrap());
    let key = record::key_of_service(node, &name(), version.as_ref());
    let service =
        Content::Service { node, name: name(), version, protocol: Protocol::Tcp, port: 80, is_healthy: true };
    let claim = Content::Claim { node, name: name(), sharing: Sharing::Nodes(vec![NodeId([6; 32])]) };
    let label = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    let (phone, ipv4) = ("phone".parse().unwrap(), Some(Ipv4Addr::new(10, 7, 0, 9)));
    let guest = Content::Guest { host: node, name: phone, key: GuestKey([6; 32]), ipv4 };
    [
        ("service record", service, 60, label),
        ("claim record", claim, record::TTL_S_MAX, BTreeMap::new()),
        ("confirmation record", Content::Confirmation { by: node, node, name: name() }, 0, BTreeMap::new()),
        ("guest record", guest, 0, BTreeMap::new()),
        ("tombstone", Content::Withdrawn { key }, record::TTL_S_MAX, BTreeMap::new()),
    ]
    .map(|(name, content, ttl_s, labels)| {
        let lease = Lease { sequence: 1, not_before_s: 100, ttl_s, labels };
        (name, content.sign_lease(lease, &root()).unwrap())
    })
}

#[test]
fn kinds_of_records_came_with_the_revisions_of_the_code() {
    let heading = "| kind | revision | name of the record |";
    let lines = DOCUMENT.lines().skip_while(|line| !line.starts_with(heading)).skip(2);
    let rows: Vec<(u8, u16)> = lines
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let number = cells.next().unwrap().split_once(' ').unwrap().0.parse().unwrap();
            (number, cells.next().unwrap().parse().unwrap())
        })
        .collect();
    // Numbers up to 23 are one byte of CBOR.
    let known = (0..24u8).filter_map(|number| Some((number, cbor::decode::<Kind>(&[number]).ok()?)));
    let code: Vec<(u8, u16)> = known.map(|(number, kind)| (number, kind.revision().number())).collect();
    assert_eq!(rows, code);
    assert!(code.iter().all(|(_, revision)| *revision <= Revision::CURRENT.number()));
}

#[test]
fn examples_are_what_the_code_writes() {
    let invite = Invite {
        network: network(),
        network_name: "home".parse().unwrap(),
        issuer: chain().claims().node,
        id: INVITE,
        secret: INVITE_SECRET.into(),
        expires_s: 1000,
        role: InviteRole::Member,
        addresses: vec![candidate("192.0.2.1:5")],
    };
    let node = chain().claims().node;
    let response = datagram::write_response(1, 2, b"noise", &gate_keys());
    let data = Sealed { receiver: 0x0102_0304, counter: 5 };
    let mut code: BTreeMap<&str, String> = [
        example_payloads(),
        example_messages(),
        example_messages_about_paths(),
        example_messages_about_spread(),
    ]
    .concat()
    .iter()
    .map(|(name, b)| (*name, hex(b)))
    .collect();
    let revocation = Content::Revocation { node, by: Box::new(chain()), by_root: true };
    let lan = SealKey::lan(&NetworkSecret::new(1, SECRET));
    let guest_ipv6 = address::guest_ipv6_address(&network(), &node, &GuestKey([6; 32]));
    code.extend([
        ("network id", hex(&network().0)),
        ("printed node id", node.to_string()),
        ("IPv6 mesh address", address::ipv6_address(&network(), &node).to_string()),
        ("IPv6 address of guest", guest_ipv6.to_string()),
        ("session psk", hex(&NetworkSecret::new(1, SECRET).psk())),
        ("response with `noise`, to the Noise key", hex(&response)),
        ("data header", hex(&data.data_header())),
        ("chain", hex(&chain().encode())),
        ("labelled header", hex(&labelled(2)[..datagram::LABEL_LENGTH])),
        ("link state record", hex(link_state_record().bytes())),
        ("routes record", hex(routes_record().bytes())),
        ("member record", hex(member_record().bytes())),
        ("revocation by the root", hex(revocation.sign(2, 100, &root(), Some(&root())).unwrap().bytes())),
        ("invite", invite.to_string()),
        ("hint, sealed for the LAN", hex(&hint(None).seal(&lan, [6; 12]))),
        ("hint with stream port 443", hex(&hint(Some(443)).seal(&lan, [6; 12]))),
    ]);
    code.extend(decrees().iter().map(|(name, record)| (*name, hex(record.bytes()))));
    code.extend(leases().iter().map(|(name, record)| (*name, hex(record.bytes()))));
    let document = table("Examples");
    for (name, value) in &code {
        let row = document.get(name).map_or("nothing", |cells| cells[0]);
        assert_eq!(row, value, "the row of {name} must be\n| {name} | `{value}` |\n");
    }
    assert_eq!(document.len(), code.len(), "a row of nothing");
}
