//! What the registry costs when it is full: 80,000 instances of services.

use divan::Bencher;
use divan::counter::ItemsCount;
use ed25519_dalek::SigningKey;
use registry::limits::{FULL_REPLICATION_MAX, OWNER_SERVICES_MAX};
use registry::{Registry, Services, Surroundings};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use wire::record::{Content, Lease};
use wire::service::{Protocol, Sharing};
use wire::{Claims, Name, NetworkId, NodeId, NoisePublicKey, Record, Roles};

/// How many records are held already.
const SIZES: [usize; 3] = [1_000, 10_000, FULL_REPLICATION_MAX / 5 * 4];

fn main() {
    divan::main();
}

#[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
fn beginning() -> Instant {
    Instant::now()
}

fn key(owner: usize) -> SigningKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&owner.to_le_bytes());
    SigningKey::from_bytes(&seed)
}

fn name(text: &str) -> Name {
    text.parse().expect("a label")
}

fn sign(content: &Content, sequence: u64, key: &SigningKey) -> Record {
    let labels = [("tier".to_owned(), "a".to_owned())].into();
    content.sign_lease(Lease { sequence, not_before_s: 1, ttl_s: 60, labels }, key).expect("short enough")
}

/// Instances of owners that use their quota, and claims to their names, with what they say.
fn leases(count: usize, sequence: u64) -> Vec<(Record, Content)> {
    let mut leases = vec![];
    for n in 0..count {
        let key = key(n / OWNER_SERVICES_MAX);
        let (node, name) = (NodeId(key.verifying_key().to_bytes()), name(&format!("service-{n}")));
        let (version, protocol) = (None, Protocol::Tcp);
        let service =
            Content::Service { node, name: name.clone(), version, protocol, port: 80, is_healthy: true };
        leases.push((sign(&service, sequence, &key), service));
        if n % OWNER_SERVICES_MAX < OWNER_SERVICES_MAX / 4 {
            let claim = Content::Claim { node, name, sharing: Sharing::Owner };
            leases.push((sign(&claim, sequence, &key), claim));
        }
    }
    leases
}

fn filled(leases: &[(Record, Content)], now: Instant) -> Registry {
    let mut registry = Registry::new();
    for (record, _) in leases {
        let _ = registry.insert(record.clone(), Duration::ZERO, now);
    }
    registry
}

/// A lease is renewed.
#[divan::bench(args = SIZES, sample_count = 20)]
fn renew(bencher: Bencher, size: usize) {
    let now = beginning();
    let mut registry = filled(&leases(size, 1), now);
    let renewals = leases(1000, 2);
    let mut next = renewals.iter().cycle();
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| {
        let (record, _) = next.next().expect("a cycle has no end");
        registry.insert(divan::black_box(record.clone()), Duration::ZERO, now)
    });
}

/// A member that has its quota publishes one more.
#[divan::bench(args = SIZES, sample_count = 20)]
fn refuse(bencher: Bencher, size: usize) {
    let now = beginning();
    let mut registry = filled(&leases(size, 1), now);
    let (node, protocol) = (NodeId(key(0).verifying_key().to_bytes()), Protocol::Tcp);
    let (name, version) = (name("zzz"), None);
    let content = Content::Service { node, name, version, protocol, port: 80, is_healthy: true };
    let record = sign(&content, 1, &key(0));
    bencher
        .counter(ItemsCount::new(1usize))
        .bench_local(|| registry.insert(divan::black_box(record.clone()), Duration::ZERO, now));
}

/// The zone is made of all of them.
#[divan::bench(args = SIZES, sample_count = 10)]
fn zone(bencher: Bencher, size: usize) {
    let mut services = Services::default();
    for (record, content) in leases(size, 1) {
        services.handle_record(&record, &content);
    }
    let claims: Vec<Claims> = (0..size.div_ceil(OWNER_SERVICES_MAX)).map(claims).collect();
    let members = claims.iter().map(|claims| (claims.node, claims)).collect();
    let (network, round_trips) = (name("home"), BTreeMap::new());
    let around = Surroundings {
        network: &network,
        own: claims[0].node,
        members: &members,
        guests: &registry::Guests::default(),
        round_trips: &round_trips,
    };
    bencher.counter(ItemsCount::new(size)).bench_local(|| services.zone(around));
}

fn claims(owner: usize) -> Claims {
    Claims {
        network: NetworkId([7; 16]),
        node: NodeId(key(owner).verifying_key().to_bytes()),
        noise_key: NoisePublicKey([1; 32]),
        name: name(&format!("m{owner}")),
        ipv4: format!("10.7.{}.{}/16", owner / 250, owner % 250 + 1).parse().expect("an address"),
        prefixes: vec![],
        tags: vec![],
        services: vec![],
        roles: Roles::default(),
        serial: owner as u64,
        not_before_s: 1,
        expires_s: 1000,
    }
}
