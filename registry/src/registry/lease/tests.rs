use super::*;
use crate::limits::{OWNER_SERVICES_MAX, SEQUENCE_LIFE};
use crate::registry::RefusalReason;
use ed25519_dalek::SigningKey;
use wire::record::{Body, TTL_S_MAX};
use wire::{Kind, NodeId};

const NEWEST: wire::Revision = wire::Revision::CURRENT;
const SECOND: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
fn start() -> Instant {
    Instant::now()
}

fn lease(owner: u8, name: &str, sequence: u64, ttl_s: u32, payload: &[u8]) -> Record {
    let key = SigningKey::from_bytes(&[owner; 32]);
    let body = Body {
        kind: Kind::Service,
        owner: NodeId(key.verifying_key().to_bytes()),
        name: name.to_owned(),
        sequence,
        not_before_s: 0,
        ttl_s,
        labels: std::collections::BTreeMap::new(),
        payload: payload.to_vec().into(),
    };
    Record::sign(body, &key).unwrap()
}

#[test]
fn leases_end_by_themselves_and_do_not_come_back() {
    let (now, record) = (start(), lease(1, "web", 5, 60, b"x"));
    let mut registry = Registry::new();
    assert_eq!(registry.insert(record.clone(), 20 * SECOND, now), Merge::New);
    assert_eq!(registry.age(&record, now + 5 * SECOND), Some(25 * SECOND));
    assert_eq!(registry.deadline(), Some(now + 40 * SECOND));
    assert_eq!(registry.end_leases(now + 39 * SECOND), []);
    let end = now + 40 * SECOND;
    assert_eq!(registry.end_leases(end), [record.key()]);
    assert_eq!((registry.len(), registry.digest(), registry.get(&record.key())), (0, 0, None));
    assert_eq!(registry.insert(record.clone(), Duration::ZERO, end), Merge::Old);
    assert!(registry.is_old(&record.key(), 5, record.bytes()));
    let (hash, other) = (record.key_hash(), lease(1, "web", 6, 60, b"x"));
    let entry = |sequence| [wire::control::HaveEntry { key: hash, sequence }];
    assert_eq!(
        registry.compare((0, u64::MAX), &entry(5), NEWEST).wanted,
        [],
        "who still has it is not asked for it"
    );
    assert_eq!(registry.compare((0, u64::MAX), &entry(6), NEWEST).wanted, [hash]);
    assert_eq!(registry.next_sequence(&record.key()), 6);
    assert_eq!(registry.insert(other, Duration::ZERO, end), Merge::Replaced, "what is new counts");
}

#[test]
fn what_has_ended_is_forgotten_when_nobody_can_have_it_any_more() {
    let (now, record) = (start(), lease(1, "web", 5, 60, b"x"));
    let mut registry = Registry::new();
    let _ = registry.insert(record.clone(), Duration::ZERO, now);
    let end = now + 60 * SECOND;
    let _ = registry.end_leases(end);
    let _ = registry.end_leases(end + SEQUENCE_LIFE - SECOND);
    assert_eq!(registry.insert(record.clone(), Duration::ZERO, end), Merge::Old);
    assert_eq!(registry.end_leases(end + SEQUENCE_LIFE), [], "it ended before");
    assert_eq!(registry.deadline(), None);
    assert_eq!(registry.next_sequence(&record.key()), 1);
}

#[test]
fn who_says_that_a_lease_is_over_ends_none() {
    let (now, record) = (start(), lease(1, "web", 5, 60, b"x"));
    let mut registry = Registry::new();
    assert_eq!(registry.insert(record.clone(), 60 * SECOND, now), Merge::Over);
    assert_eq!(registry.insert(record.clone(), SECOND, now), Merge::New);
    assert_eq!(registry.insert(record.clone(), 60 * SECOND, now), Merge::Over);
    assert_eq!(registry.insert(record.clone(), Duration::ZERO, now), Merge::Same);
    assert_eq!(registry.age(&record, now), Some(SECOND), "nor does it live longer for being told again");
}

#[test]
fn sequences_are_remembered_over_a_restart() {
    let (now, held, ended) = (start(), lease(1, "held", 5, 600, b"x"), lease(1, "ended", 7, 60, b"x"));
    let mut registry = Registry::new();
    for record in [&held, &ended] {
        let _ = registry.insert(record.clone(), Duration::ZERO, now);
    }
    let _ = registry.end_leases(now + 60 * SECOND);
    let mut again = Registry::new();
    for sequence in registry.sequences() {
        again.remember(sequence, now);
    }
    assert_eq!((again.len(), again.digest()), (0, 0));
    assert_eq!(again.insert(lease(1, "held", 4, 600, b"x"), Duration::ZERO, now), Merge::Old);
    assert_eq!(again.insert(held, Duration::ZERO, now), Merge::Replaced, "it may still be true");
    assert_eq!(again.insert(ended, Duration::ZERO, now), Merge::Old);
    assert_eq!(again.insert(lease(1, "ended", 8, 60, b"x"), Duration::ZERO, now), Merge::Replaced);
}

/// Deadlines differ by what it took to pass a lease on: in between there is a difference, but nothing to exchange for ever.
#[test]
fn two_that_end_a_lease_apart_exchange_nothing_but_summaries() {
    let (now, record) = (start(), lease(1, "web", 5, 60, b"x"));
    let (mut early, mut late) = (Registry::new(), Registry::new());
    let _ = early.insert(record.clone(), 2 * SECOND, now);
    let _ = late.insert(record.clone(), Duration::ZERO, now);
    assert_eq!(early.digest(), late.digest());
    let between = now + 59 * SECOND;
    assert_eq!((early.end_leases(between).len(), late.end_leases(between).len()), (1, 0));
    assert_ne!(early.digest(), late.digest());
    let wire::control::Message::Have { from, to, entries } =
        late.summary(wire::Part::WHOLE, NEWEST).remove(0)
    else {
        panic!("few have one summary")
    };
    assert_eq!(early.compare((from, to), &entries, NEWEST), crate::Difference::default());
    let _ = late.end_leases(now + 60 * SECOND);
    assert_eq!(early.digest(), late.digest());
}

#[test]
fn the_order_of_arrival_counts_for_leases_as_little_as_for_other_records() {
    let now = start();
    let records: Vec<Record> = (1..=3)
        .flat_map(|owner| ["a", "b"].map(|name| (owner, name)))
        .flat_map(|(owner, name)| {
            [
                lease(owner, name, 1, 60, b"x"),
                lease(owner, name, 2, TTL_S_MAX, b""),
                lease(owner, name, 3, 30, b"y"),
            ]
        })
        .collect();
    let filled = |order: &[Record]| {
        let mut registry = Registry::new();
        order.iter().for_each(|record| {
            let _ = registry.insert(record.clone(), SECOND, now);
        });
        registry
    };
    let set = |registry: &Registry| registry.iter().cloned().collect::<Vec<_>>();
    let first = filled(&records);
    for turn in 1..records.len() {
        let mut turned = records.clone();
        turned.rotate_left(turn);
        let mut other = filled(&turned);
        assert_eq!((set(&other), other.digest()), (set(&first), first.digest()));
        assert_eq!(other.deadline(), first.deadline());
        assert_eq!(other.end_leases(now + 30 * SECOND).len(), 6);
    }
}

#[test]
fn a_member_that_publishes_a_million_costs_its_own_quota() {
    let now = start();
    let mut registry = Registry::new();
    let theirs: Vec<Record> =
        (2..=9).flat_map(|owner| (0..8).map(move |n| lease(owner, &n.to_string(), 1, 60, b"x"))).collect();
    theirs.iter().for_each(|record| {
        let _ = registry.insert(record.clone(), Duration::ZERO, now);
    });
    let before = registry.len();
    // Signing a million takes minutes: so many names, and ends of them in between, show the same.
    let mut refused = 0;
    for n in 0..10 * OWNER_SERVICES_MAX {
        let at = now + SECOND * (n as u32 / 500);
        let _ = registry.end_leases(at);
        let merge = registry.insert(lease(1, &n.to_string(), 1, 5, b"x"), Duration::ZERO, at);
        refused += usize::from(merge == Merge::Refused(RefusalReason::OwnerQuota));
        assert!(registry.places.len() <= before + OWNER_SERVICES_MAX);
    }
    assert!(refused > 5 * OWNER_SERVICES_MAX);
    assert!(
        theirs.iter().all(|record| registry.get(&record.key()) == Some(record)),
        "nobody else is concerned"
    );
    let owner = |n: u8| NodeId(SigningKey::from_bytes(&[n; 32]).verifying_key().to_bytes());
    assert!(!registry.has_room(Kind::Service, owner(1)) && registry.has_room(Kind::Service, owner(2)));
    // What it may not have is remembered no longer than what it may.
    let _ = registry.end_leases(now + 3 * SEQUENCE_LIFE);
    assert_eq!((registry.len(), registry.places.len(), registry.agenda.len()), (0, 0, 0));
}
