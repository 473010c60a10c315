//! Real messages to begin with: what the corpus of each target is made of, always the same.

mod superpacket;

use crate::{hint, state, world};
use overlay::Publication;
use overlay::state::{
    Contact, IssuedInvite, Leases, encode_contacts, encode_invites, encode_leases, encode_records,
    encode_services,
};
use std::collections::BTreeMap;
use std::time::Duration;
use wire::control::{CircuitEnd, HaveEntry, Message, RangeDigest, Share};
use wire::datagram::{self, CookieReply, Half, HintStage, Sealed};
use wire::epoch::EpochMessage;
use wire::gate::GateKeys;
use wire::handshake::{InitiationPayload, ResponsePayload, Suite};
use wire::hint::{Hint, HintBody};
use wire::icmp::{Unreachable, unreachable};
use wire::invite::InviteRole;
use wire::news::NewsMessage;
use wire::record::{Content, Epoch, Lease, Link, LinkState, Policy, RouteOffer, TTL_S_MAX};
use wire::service::{Protocol, Sharing};
use wire::view::{Sampled, ViewMessage};
use wire::{
    Candidate, Chain, Commitment, Dependence, GuestKey, Invite, InviteId, NatProfile, NetworkSecret, NodeId,
    NoisePublicKey, Part, Ports, Position, Record, Revisions, cbor, enrolment, handshake,
};

/// A configuration with a value of every type; not the example file, which changes for reasons of its own.
const CONFIGURATION: &str = r#"
[node]
name = "laptop" # a comment

[interface]
mtu = 1_400

[network]
ipv4_range = '10.77.0.0/16'

[addresses]
advertise = [
    "192.0.2.1:41820",
]

[log]
level = """info"""

[dht]
enabled = false

[[service]]
name = "web"
port = 8080
labels = { zone = "eu" }
health = "http:/healthz"
"#;

/// One input: its target, its name, its bytes. What is to be refused has a name that says so.
pub type Seed = (&'static str, &'static str, Vec<u8>);

/// The whole corpus.
#[must_use]
pub fn corpus() -> Vec<Seed> {
    let superpackets = superpacket::seeds();
    [datagrams(), hints(), credentials(), records(), messages(), texts(), packets(), superpackets, states()]
        .concat()
}

fn candidates() -> Vec<Candidate> {
    let literals = ["192.0.2.1:41820", "[2001:db8::1]:41820"];
    literals.iter().filter_map(|text| Candidate::new(text.parse().expect("a literal"))).collect()
}

fn datagrams() -> Vec<Seed> {
    let keys = GateKeys::of_receiver(&NetworkSecret::new(0, [1; 32]), &NoisePublicKey([2; 32]));
    let sealed = Sealed { receiver: 0x0102_0304, counter: 5 };
    let behind = |header: [u8; 16], length| [&header[..], &vec![7; length]].concat();
    let reply = CookieReply { mark: 0, receiver: 3, nonce: [4; 16], sealed: [5; 32], mac: [6; 16] };
    let enrolment = |stage, length: usize| {
        datagram::write_enrolment(stage, &InviteId([6; 16]), 8, &vec![9; length], &[3; 32])
    };
    [
        ("initiation", datagram::write_initiation(1, &[8; 200], &keys, None)),
        ("initiation-with-cookie", datagram::write_initiation(1, &[8; 1190], &keys, Some(&[9; 16]))),
        ("response", datagram::write_response(1, 2, &[8; 100], &keys)),
        ("cookie-reply", datagram::write_cookie_reply(&reply)),
        ("wireguard", behind([4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0], 32)),
        ("data", behind(sealed.data_header(), 84)),
        ("data-keepalive", behind(sealed.data_header(), 16)),
        ("unsummed", behind(sealed.unsummed_header(), 84)),
        ("first-half", behind(sealed.half_header(Half::First), 84)),
        ("second-half", behind(sealed.half_header(Half::Second), 84)),
        ("control", behind(sealed.control_header(), 40)),
        ("enrolment-1", enrolment(1, 48)),
        ("enrolment-2", enrolment(2, 96)),
        ("enrolment-3", enrolment(3, 300)),
        ("enrolment-4", enrolment(4, 600)),
        ("ask", datagram::write_hint(HintStage::Ask, 0, &[7; 708])),
        ("answer", datagram::write_hint(HintStage::Answer, 0, &[7; 352])),
        ("beacon", datagram::write_hint(HintStage::Beacon, 0, &[7; 352])),
        ("labelled", labelled(sealed, 40)),
        ("refused-labelled-twice", [&labelled(sealed, 40)[..16], &labelled(sealed, 40)].concat()),
        ("refused-stun", [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[1; 12]].concat()),
    ]
    .map(|(name, bytes)| ("datagram", name, bytes))
    .to_vec()
}

/// The texts inside of sealed hints, and answers of DHT nodes.
fn hints() -> Vec<Seed> {
    let text = |candidates: Vec<Candidate>, stream| {
        let node = world::node(&world::member());
        let noise_key = NoisePublicKey([9; 32]);
        let body = HintBody { node, noise_key, candidates, unix_s: world::NOT_BEFORE_S, stream };
        let hint = Hint::sign(&body, &world::network(), &world::member()).expect("within its limits");
        let text = hint::key().open(&hint.seal(&hint::key(), [0; 12])).expect("just sealed");
        let length = 2 + usize::from(u16::from_le_bytes([text[0], text[1]]));
        text[..length].to_vec()
    };
    let ping = wire::bep5::write_ping(*b"abcd", b"abcdefghij0123456789");
    let answer = |ip: &[u8]| [b"d2:ip", ip, b"1:rd2:id20:abcdefghij0123456789e1:t4:abcd1:y1:re"].concat();
    vec![
        ("hint", "member", text(candidates(), None)),
        ("hint", "with-stream", text(vec![], Some(443))),
        ("bep5", "ipv4", answer(b"6:\xc0\x00\x02\x01\xa3\x5c")),
        ("bep5", "ipv6", answer(b"18:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xa3\x5c")),
        ("bep5", "refused-without-address", answer(b"0:")),
        ("bep5", "refused-ping", ping),
    ]
}

/// A sealed control message of that length on its way through a hop.
fn labelled(sealed: Sealed, length: usize) -> Vec<u8> {
    let mut header = [0; datagram::LABEL_LENGTH];
    datagram::write_label(&mut header, 11);
    [&header, &sealed.control_header()[..], &vec![7; length]].concat()
}

fn rich_chain() -> Chain {
    let mut claims = world::claims(&world::member(), 3, false);
    claims.prefixes = ["192.168.1.0/24", "2001:db8::/32"].map(|p| p.parse().expect("a literal")).to_vec();
    claims.tags = vec!["web".parse().expect("a literal")];
    claims.roles.hop = true;
    world::admin_chain().extend(claims, &world::admin()).expect("the admin may sign a member")
}

/// The claim set inside of a chain's own credential: behind the last protected header and the byte of an empty map.
fn claim_set(chain: &Chain) -> Vec<u8> {
    let bytes = chain.encode();
    let start = bytes.windows(5).rposition(|window| window == [0x43, 0xa1, 0x01, 0x27, 0xa0]);
    let start = start.expect("every credential has that header") + 5;
    minicbor::decode::<minicbor::bytes::ByteVec>(&bytes[start..]).expect("the payload follows").to_vec()
}

fn credentials() -> Vec<Seed> {
    let mut rich_admin = world::claims(&world::admin(), 1, true);
    rich_admin.prefixes = vec!["10.9.0.0/16".parse().expect("a literal")];
    rich_admin.tags = vec!["web".parse().expect("a literal"), "db".parse().expect("a literal")];
    let chains = [
        ("admin", world::admin_chain()),
        ("member", world::member_chain()),
        ("member-with-prefixes", rich_chain()),
        ("admin-with-prefixes", Chain::of_root(rich_admin, &world::root())),
    ];
    let whole = chains.iter().map(|(name, chain)| ("chain", *name, chain.encode()));
    whole.chain(chains.iter().map(|(name, chain)| ("claims", *name, claim_set(chain)))).collect()
}

fn signed_records() -> Vec<(&'static str, u8, Record)> {
    let (root, admin, member) = (world::root(), world::admin(), world::member());
    let revocation = |node, chain: Chain, by_root| Content::Revocation { node, by: Box::new(chain), by_root };
    let of_member = Content::Member { chain: world::member_chain(), candidates: candidates() };
    let of_admin = Content::Member { chain: world::admin_chain(), candidates: vec![] };
    let by_admin = revocation(world::node(&member), world::admin_chain(), false);
    let by_root = revocation(world::node(&admin), world::admin_chain(), true);
    let leaving = revocation(world::node(&member), world::member_chain(), false);
    let reissue = Content::Reissue { chain: rich_chain() };
    let link_state = Content::LinkState { node: world::node(&member), state: link_state() };
    let (by_the_admin, policy_by) = (Box::new(world::admin_chain()), Box::new(world::admin_chain()));
    let epoch = Epoch { number: 1, commitment: Commitment([1; 32]), nodes: vec![], revocations: 2 };
    let epoch = Content::Epoch { epoch, by: by_the_admin };
    let policy = Policy {
        name: "web".parse().expect("a literal"),
        media_type: "application/rego".to_owned(),
        document: b"package web".to_vec(),
    };
    let policy = Content::Policy { policy, by: policy_by };
    let offer = |prefix: &str, behind: Option<&str>| RouteOffer {
        prefix: prefix.parse().expect("a literal"),
        behind: behind.map(|behind| behind.parse().expect("a literal")),
        is_masqueraded: true,
    };
    let offers = vec![offer("10.50.1.0/24", Some("192.168.1.0/24")), offer("2001:db8::/32", None)];
    let routes = Content::Routes { node: world::node(&member), offers };
    // The numbers are what the body of `content` picks kind, owner and name by.
    [
        ("member", 4, of_member, &member, None),
        ("member-admin", 0, of_admin, &admin, None),
        ("revocation", 1 + 16, by_admin, &admin, None),
        ("revocation-by-root", 1 + 8, by_root, &admin, Some(&root)),
        ("revocation-of-itself", 1 + 4 + 16, leaving, &member, None),
        ("reissue", 2 + 16, reissue, &admin, None),
        ("link-state", 3 + 4, link_state, &member, None),
        ("epoch", 34 + 8, epoch, &admin, None),
        ("policy", 35 + 24, policy, &admin, None),
        ("routes", 98 + 4, routes, &member, None),
    ]
    .map(|(name, choice, content, key, root)| {
        (name, choice, content.sign(1, world::NOT_BEFORE_S, key, root).expect("short enough"))
    })
    .into_iter()
    .chain(leases())
    .collect()
}

fn leases() -> Vec<(&'static str, u8, Record)> {
    let member = world::member();
    let (node, name) = (world::node(&member), || "web".parse().expect("a literal"));
    let service = Content::Service {
        node,
        name: name(),
        version: None,
        protocol: Protocol::Udp,
        port: 53,
        is_healthy: true,
    };
    let claim = |sharing| Content::Claim { node, name: name(), sharing };
    let nodes = vec![NodeId([1; 32]), NodeId([2; 32])];
    let confirmation = Content::Confirmation { by: node, node: NodeId([1; 32]), name: name() };
    let withdrawn = Content::Withdrawn { key: wire::record::key_of_claim(node, &name()) };
    let guest = |ipv4| Content::Guest { host: node, name: name(), key: GuestKey([5; 32]), ipv4 };
    [
        ("service", 32 + 4 + 24, service),
        ("claim", 33 + 4 + 24, claim(Sharing::Nodes(nodes))),
        ("claim-for-all", 33 + 4 + 24, claim(Sharing::Members)),
        ("withdrawn", 33 + 4 + 24, withdrawn),
        ("confirmation", 64 + 4 + 24, confirmation),
        ("guest", 96 + 4 + 24, guest(Some([10, 7, 0, 9].into()))),
        ("guest-without-address", 96 + 4 + 24, guest(None)),
    ]
    .map(|(name, choice, content)| {
        let (not_before_s, labels) = (world::NOT_BEFORE_S, BTreeMap::new());
        let ttl_s = if matches!(content, Content::Confirmation { .. } | Content::Guest { .. }) {
            0
        } else {
            TTL_S_MAX
        };
        let lease = Lease { sequence: 1, not_before_s, ttl_s, labels };
        (name, choice, content.sign_lease(lease, &member).expect("short enough"))
    })
    .to_vec()
}

fn link_state() -> LinkState {
    let links = vec![Link { node: 1, round_trip_ms: 20 }, Link { node: u64::MAX, round_trip_ms: 300 }];
    let profile = NatProfile { ports: Ports::Sequential { step: -1 }, ..NatProfile::default() };
    LinkState { is_hop: true, is_anchor: true, profile, stream_port: Some(443), links }
}

fn records() -> Vec<Seed> {
    let records = signed_records();
    let whole = records.iter().map(|(name, _, record)| ("record", *name, record.bytes().to_vec()));
    let payloads = records.iter().map(|(name, choice, record)| {
        ("content", *name, [&[*choice], record.body().payload.as_slice()].concat())
    });
    whole.chain(payloads).collect()
}

fn messages() -> Vec<Seed> {
    let record = signed_records().swap_remove(0).2;
    let hash = record.key_hash();
    let entries = vec![HaveEntry { key: hash, sequence: 3 }];
    let (observed, found) = (candidates().pop(), record.bytes().to_vec().into());
    let part = Part::around(Position::of_name("web"), 3);
    let share = Share { part, scope: Part::NOTHING, known: part };
    let control = [
        ("ping", Message::Ping { token: 1, digest: u64::MAX, share: None }),
        ("ping-part", Message::Ping { token: 1, digest: 2, share: Some(share) }),
        ("pong", Message::Pong { token: 1, digest: 2, observed, share: Some(share) }),
        ("pong-unobserved", Message::Pong { token: 1, digest: 2, observed: None, share: None }),
        ("have", Message::Have { from: 0, to: u64::MAX, entries }),
        ("have-nothing", Message::Have { from: 0, to: u64::MAX, entries: vec![] }),
        ("want", Message::Want { keys: vec![hash, 2] }),
        ("record", Message::Record { bytes: record.bytes().to_vec().into(), age_s: Some(5) }),
        ("close", Message::Close),
        ("find", Message::Find { nonce: 1, name: "web".parse().expect("a label") }),
        ("found", Message::Found { nonce: 1, count: Some(1), record: Some(found), age_s: Some(5) }),
        ("found-none", Message::Found { nonce: 1, count: None, record: None, age_s: None }),
    ]
    .map(|(name, message)| ("control", name, cbor::encode(&message)));
    [control.to_vec(), messages_about_paths(), messages_about_spread(), handshakes(observed), enrolments()]
        .concat()
}

fn messages_about_spread() -> Vec<Seed> {
    let (node, origin) = (world::node(&world::member()), world::node(&world::admin()));
    let sample = vec![Sampled { node, age: 255 }];
    let news = vec![HaveEntry { key: u64::MAX, sequence: 3 }];
    let ranges = vec![RangeDigest { prefix: 0, digest: 1 }, RangeDigest { prefix: 15, digest: u64::MAX }];
    let view = |message| Message::View(message);
    [
        ("view-join", view(ViewMessage::Join)),
        ("view-forward-join", view(ViewMessage::ForwardJoin { node, ttl: 6 })),
        ("view-neighbour", view(ViewMessage::Neighbour { is_high_priority: true })),
        ("view-neighbour-answer", view(ViewMessage::NeighbourAnswer { is_accepted: true })),
        ("view-disconnect", view(ViewMessage::Disconnect)),
        ("view-shuffle", view(ViewMessage::Shuffle { origin, ttl: 0, sample: sample.clone() })),
        ("view-shuffle-answer", view(ViewMessage::ShuffleAnswer { origin, sample })),
        ("news-offer", Message::News(NewsMessage::Offer { news: news.clone() })),
        ("news-graft", Message::News(NewsMessage::Graft { news })),
        ("news-prune", Message::News(NewsMessage::Prune)),
        ("epoch-ask", Message::Epoch(EpochMessage::Ask { commitment: Commitment([1; 32]) })),
        ("epoch-secret", Message::Epoch(EpochMessage::Secret { epoch: 2, secret: [3; 32].into() })),
        ("digests", Message::Digests { bits: 4, ranges: ranges.clone() }),
        ("digests-of-no-range", Message::Digests { bits: 255, ranges }),
    ]
    .map(|(name, message)| ("control", name, cbor::encode(&message)))
    .to_vec()
}

fn messages_about_paths() -> Vec<Seed> {
    let profile = NatProfile {
        translates: true,
        mapping: Dependence::AddressAndPortDependent,
        filtering: Dependence::EndpointIndependent,
        ports: Ports::Block { first: 1024, last: 2047 },
    };
    let (nonce, last_port) = (7, Some(1025));
    let call = |is_answer, public| Message::Call {
        nonce,
        is_answer,
        rung: 3,
        profile,
        candidates: candidates(),
        public,
        last_port,
    };
    let invite = InviteId([6; 16]);
    let route = [world::member(), world::admin()].map(|key| world::node(&key)).to_vec();
    let first = datagram::write_enrolment(1, &invite, 8, &[9; 48], &[3; 32]);
    [
        (
            "circuit-open",
            Message::CircuitOpen { label: 1, route, origin: world::node(&world::admin()), passed: vec![] },
        ),
        ("circuit-opened", Message::CircuitOpened { label: 1, forward: u64::MAX }),
        ("circuit-closed", Message::CircuitClosed { label: 1, reason: CircuitEnd::Refused }),
        ("call", call(false, candidates().pop())),
        ("call-answer", call(true, None)),
        ("dial-back", Message::DialBack { token: 1, port: 41820, is_same_port: true }),
        ("vouch", Message::Vouch { invite, mac_key: [3; 32].into(), open_s: 3600 }),
        ("enrolment", Message::Enrolment { joiner: 5, bytes: first.into() }),
        ("measure", Message::Measure { token: 1, padding: vec![0; 2].into() }),
        ("measured", Message::Measured { token: 1 }),
    ]
    .map(|(name, message)| ("control", name, cbor::encode(&message)))
    .to_vec()
}

fn handshakes(observed: Option<Candidate>) -> Vec<Seed> {
    let initiation = InitiationPayload {
        timestamp: (1 << 42) + 5,
        unix_s: world::NOT_BEFORE_S,
        suites: vec![Suite::Aes256Gcm, Suite::ChaCha20Poly1305],
        chain: world::member_chain().encode().into(),
        revisions: Revisions::OURS,
    };
    let mut later = cbor::encode(&initiation);
    later[0] += 2;
    later.extend([0x81, 0, 0xf6]);
    let revisions = Revisions::OURS;
    let chain = world::admin_chain().encode().into();
    let accepted =
        ResponsePayload::Accepted { suite: Suite::Aes256Gcm, observed, chain, unix_s: 9, revisions };
    let refused = ResponsePayload::Refused { refusal: handshake::Refusal::Revision, unix_s: 9, revisions };
    vec![
        ("handshake", "initiation", cbor::encode(&initiation)),
        ("handshake", "initiation-later", later),
        ("handshake", "accepted", cbor::encode(&accepted)),
        ("handshake", "refused", cbor::encode(&refused)),
    ]
}

fn enrolments() -> Vec<Seed> {
    let request = enrolment::Request {
        node: world::node(&world::member()),
        proof: [2; 64].into(),
        name: "laptop".parse().expect("a literal"),
        name_is_firm: true,
    };
    let accepted = enrolment::Answer::Accepted {
        network_name: "home".parse().expect("a literal"),
        chain: world::member_chain().encode().into(),
        epoch: 1,
        secret: [4; 32].into(),
        contacts: vec![enrolment::Contact {
            node: world::node(&world::admin()),
            noise_key: NoisePublicKey([5; 32]),
            candidates: candidates(),
        }],
    };
    let refused = enrolment::Answer::Refused { refusal: enrolment::Refusal::NameTaken };
    vec![
        ("enrolment", "request", cbor::encode(&request)),
        ("enrolment", "accepted", cbor::encode(&accepted)),
        ("enrolment", "refused", cbor::encode(&refused)),
    ]
}

fn texts() -> Vec<Seed> {
    let invite = |role, addresses| Invite {
        network: world::network(),
        network_name: "home".parse().expect("a literal"),
        issuer: world::node(&world::admin()),
        id: InviteId([3; 16]),
        secret: [4; 16].into(),
        expires_s: world::NOT_BEFORE_S,
        role,
        addresses,
    };
    let shouted = format!("  {}\n", invite(InviteRole::Admin, vec![])).to_uppercase();
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("invite", "member", text(&invite(InviteRole::Member, candidates()).to_string())),
        ("invite", "admin-shouted", text(&shouted)),
        ("invite", "refused-version", text("hopmesh2abc")),
        ("name", "plain", text("Web-1")),
        ("name", "longest", text(&"x".repeat(63))),
        ("name", "refused-reserved", text("localhost")),
        ("configuration", "full", text(CONFIGURATION)),
        ("configuration", "byte-order-mark", text("\u{feff}")),
        ("configuration", "refused-key", text("[listen]\nprot = 1\n")),
        ("configuration", "refused-value", text("[interface]\nmtu = \"a\"\n")),
        ("configuration", "refused-syntax", text("[[[")),
    ]
}

/// An IPv4 packet with these options and payload.
fn ipv4(protocol: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = 5 + options.len() as u8 / 4;
    let length = (20 + options.len() + payload.len()) as u16;
    let [high, low] = length.to_be_bytes();
    let header = [0x40 | words, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 7, 0, 2, 10, 7, 0, 3];
    [&header, options, payload].concat()
}

/// An IPv6 packet with this payload.
fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    let address = |last| [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    [&[0x60, 0, 0, 0, high, low, next, 64][..], &address(2), &address(3), payload].concat()
}

fn packets() -> Vec<Seed> {
    let fragment = [17, 0, 0, 9, 0, 0, 0, 1];
    let options_then_udp = [17, 0, 1, 4, 0, 0, 0, 0];
    let reporter = "10.7.0.1".parse().expect("a literal");
    let error =
        unreachable(&ipv4(17, &[], &[1; 20]), reporter, Unreachable::NoRoute).expect("UDP is answered");
    [
        ("ipv4-udp", ipv4(17, &[], &[1; 20])),
        ("ipv4-options", ipv4(6, &[1, 1, 1, 0], &[1; 20])),
        ("refused-ipv4-source-route", ipv4(6, &[131, 3, 4, 0], &[1; 20])),
        ("ipv4-echo", ipv4(1, &[], &[8, 0, 0, 0, 0, 1, 0, 1])),
        ("ipv4-error", error),
        ("ipv4-long", ipv4(17, &[], &[1; 900])),
        ("ipv6-udp", ipv6(17, &[1; 20])),
        ("ipv6-fragment", ipv6(44, &[&fragment[..], &[1; 8]].concat())),
        ("ipv6-options", ipv6(0, &[&options_then_udp[..], &[1; 8]].concat())),
        ("refused-ipv6-routing", ipv6(43, &[17, 0, 0, 1, 0, 0, 0, 0])),
        ("ipv6-echo", ipv6(58, &[128, 0, 0, 0, 0, 1, 0, 1])),
        ("ipv6-nothing", ipv6(59, &[])),
    ]
    .map(|(name, bytes)| ("packet", name, bytes))
    .to_vec()
}

fn states() -> Vec<Seed> {
    let identity = state::identity();
    let name = |text: &str| text.parse().expect("a literal");
    let range = "10.7.0.0/16".parse().expect("a literal");
    let network = overlay::found(name("home"), name("a"), range, &identity, world::NOT_BEFORE_S, [5; 32]);
    let invite = IssuedInvite {
        id: InviteId([1; 16]),
        secret: [2; 16].into(),
        expires_s: 3,
        role: InviteRole::Admin,
        name: Some(name("laptop")),
        ipv4: Some(0x0a07_0009),
        used_by: None,
        chain: None,
        services: Some(vec![name("web")]),
    };
    let publication = Publication {
        name: name("web"),
        version: Some("2".parse().expect("a literal")),
        protocol: Protocol::Tcp,
        port: 80,
        labels: BTreeMap::from([("tier".to_owned(), "a".to_owned())]),
        ttl_s: 60,
        sharing: Sharing::Nodes(vec![identity.node()]),
        health: "http:/healthz".parse().expect("a check"),
        target: None,
    };
    let claim = leases().swap_remove(1).2;
    let sequence = overlay::Sequence { key: claim.key(), floor: 1 };
    let leases =
        Leases { written_s: 9, claims: vec![(claim, Duration::from_secs(3))], sequences: vec![sequence] };
    let contact =
        Contact { node: identity.node(), noise_key: identity.noise_key(), candidates: candidates() };
    let records: Vec<Record> = signed_records().into_iter().map(|(_, _, record)| record).take(2).collect();
    vec![
        ("state", "identity", identity.encode().to_vec()),
        ("state", "network", network.encode().to_vec()),
        ("state", "invites", encode_invites(&vec![invite]).to_vec()),
        ("state", "contacts", encode_contacts(&vec![contact]).to_vec()),
        ("state", "records", encode_records(records.iter()).to_vec()),
        ("state", "services", encode_services(&vec![publication]).to_vec()),
        ("state", "leases", encode_leases(&leases).to_vec()),
    ]
}
