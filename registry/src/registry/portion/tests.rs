use super::*;
use crate::limits::{FULL_REPLICATION_MAX, SEQUENCE_LIFE};
use crate::registry::Merge;
use ed25519_dalek::SigningKey;
use std::time::{Duration, Instant};
use wire::Record;
use wire::control::Message;
use wire::record::{Content, Lease, TTL_S_MAX, key_of_claim};
use wire::service::{Protocol, Sharing};

const NEWEST: wire::Revision = wire::Revision::CURRENT;

fn key(owner: u8) -> SigningKey {
    SigningKey::from_bytes(&[owner; 32])
}

fn node(owner: u8) -> NodeId {
    NodeId(key(owner).verifying_key().to_bytes())
}

fn name(n: usize) -> Name {
    format!("service-{n}").parse().unwrap()
}

fn sign(content: &Content, owner: u8, sequence: u64) -> Record {
    let lease = Lease { sequence, not_before_s: 0, ttl_s: TTL_S_MAX, labels: BTreeMap::new() };
    content.sign_lease(lease, &key(owner)).unwrap()
}

fn claim(owner: u8, n: usize, sequence: u64) -> Record {
    let content = Content::Claim { node: node(owner), name: name(n), sharing: Sharing::Owner };
    sign(&content, owner, sequence)
}

fn service(owner: u8, n: usize) -> Record {
    let (node, name) = (node(owner), name(n));
    let protocol = Protocol::Tcp;
    let content = Content::Service { node, name, version: None, protocol, port: 80, is_healthy: true };
    sign(&content, owner, 1)
}

/// Claims of nodes that have no other part here.
fn claims(count: usize) -> Vec<Record> {
    (0..count).map(|n| claim(100 + (n % 8) as u8, n, 1)).collect()
}

#[expect(clippy::disallowed_methods, reason = "any moment will do")]
fn now() -> Instant {
    Instant::now()
}

fn of_node(owner: u8, max: usize, records: &[Record]) -> Registry {
    let mut registry = Registry::of_node(node(owner), max);
    registry.allow_depth(DEPTH_MAX);
    records.iter().for_each(|record| drop(take(&mut registry, record)));
    registry
}

fn take(registry: &mut Registry, record: &Record) -> (Merge, Vec<Key>) {
    (registry.insert(record.clone(), Duration::ZERO, now()), registry.narrow())
}

/// What two nodes with the same idea of each other say until nobody has anything to say: how many messages.
fn compare(a: &mut Registry, b: &mut Registry) -> usize {
    let mut count = 0;
    let mut to_b = a.summary(a.part().common(b.part()), NEWEST);
    while !to_b.is_empty() {
        let to_a: Vec<Message> = to_b.drain(..).flat_map(|message| consume(b, message)).collect();
        to_b = to_a.into_iter().flat_map(|message| consume(a, message)).collect();
        count += to_b.len();
        assert!(count < 10_000, "it must end");
    }
    count
}

fn consume(registry: &mut Registry, message: Message) -> Vec<Message> {
    let send = |record: &Record| Message::Record { bytes: record.bytes().to_vec().into(), age_s: None };
    if let Message::Digests { bits, ranges } = &message {
        return registry.compare_digests(*bits, ranges, NEWEST);
    }
    if let Message::Have { from, to, entries } = &message {
        let difference = registry.compare((*from, *to), entries, NEWEST);
        let want = (!difference.wanted.is_empty()).then_some(Message::Want { keys: difference.wanted });
        return difference.newer.iter().map(send).chain(want).collect();
    }
    if let Message::Want { keys } = &message {
        return registry.by_hashes(keys).into_iter().map(send).collect();
    }
    let Message::Record { bytes, .. } = &message else { panic!("{message:?}") };
    let (merge, _) = take(registry, &Record::verify(bytes).unwrap());
    assert!(merge.is_news(), "{merge:?}: nobody sends what is not lacking");
    vec![]
}

/// Compares until both have the same in common.
fn agree(a: &mut Registry, b: &mut Registry) {
    for _ in 0..50 {
        let common = a.part().common(b.part());
        if a.digest_in(common, NEWEST) == b.digest_in(common, NEWEST) {
            return;
        }
        compare(a, b);
        compare(b, a);
    }
    panic!("it must end");
}

fn all_in(registry: &Registry, part: Part) -> Vec<Record> {
    registry.iter().filter(|record| part.covers_hash(record.key_hash())).cloned().collect()
}

#[test]
fn a_node_holds_a_part_as_soon_as_all_is_too_much() {
    let records = claims(400);
    let mut registry = of_node(1, 100, &[]);
    for (n, record) in records.iter().enumerate() {
        let depth = registry.part().depth();
        let (merge, given_up) = take(&mut registry, record);
        assert_eq!(merge == Merge::Beyond, !registry.takes(&name(n)) && given_up.is_empty());
        assert!(registry.in_part() <= 100);
        assert_eq!(given_up.is_empty(), registry.part().depth() == depth);
        assert!(n >= 100 || registry.part() == Part::WHOLE);
    }
    assert!((2..=4).contains(&registry.part().depth()), "{:?}", registry.part());
    let expected: Vec<_> = records.iter().filter(|r| registry.part().covers_hash(r.key_hash())).collect();
    assert_eq!((registry.len(), registry.in_part()), (expected.len(), expected.len()));
    assert!(expected.iter().all(|record| registry.get(&record.key()) == Some(record)));
    assert_eq!(registry.part(), Part::around(registry.position(), registry.part().depth()));
    let total: usize = registry.totals.values().sum();
    assert_eq!((registry.agenda.len(), total), (registry.len(), registry.len()));
}

#[test]
fn at_most_as_many_as_are_allowed_are_held_by_everybody() {
    let registry = of_node(1, 100, &claims(100));
    assert_eq!((registry.part(), registry.len(), registry.overflows()), (Part::WHOLE, 100, false));
    assert_eq!(Registry::new().portion.max, FULL_REPLICATION_MAX);
}

#[test]
fn what_was_given_up_has_not_ended() {
    let records = claims(200);
    let mut registry = of_node(1, 150, &records);
    assert_eq!(registry.part().depth(), 1);
    let beyond = records.iter().find(|record| !registry.is_in_part(record.key_hash())).unwrap();
    assert_eq!(take(&mut registry, beyond).0, Merge::Beyond);
    assert!(!registry.has_seen(beyond.key_hash(), 1) && registry.next_sequence(&beyond.key()) == 1);
    registry.widen();
    assert_eq!(registry.part(), Part::WHOLE);
    assert_eq!(take(&mut registry, beyond).0, Merge::New);
}

#[test]
fn what_is_our_own_or_kept_is_never_given_up() {
    let records = claims(400);
    let own: Vec<Record> = (1000..1020).map(|n| claim(1, n, 1)).collect();
    let kept = name(7);
    let mut registry = of_node(1, 50, &own);
    assert!(registry.keep(&kept));
    records.iter().for_each(|record| drop(take(&mut registry, record)));
    assert!(registry.part().depth() >= 2);
    assert!(own.iter().all(|record| registry.get(&record.key()).is_some()));
    assert!(registry.get(&records[7].key()).is_some() && registry.takes(&kept));
    let (beside, in_part) = (registry.len() - all_in(&registry, registry.part()).len(), registry.in_part());
    assert!(in_part <= 50 && (8..=21).contains(&beside), "{in_part} {beside}");
    // Beside the part it is not compared.
    let common = registry.part();
    let mut other = of_node(1, 50, &records);
    let _ = other.narrow_to(common.depth());
    agree(&mut registry, &mut other);
    assert_eq!(all_in(&registry, common), all_in(&other, common));
    let given_up = registry.release(&kept);
    assert_eq!(given_up.is_empty(), registry.covers(&kept));
    assert_eq!(registry.get(&records[7].key()).is_some(), registry.covers(&kept));
}

#[test]
fn names_that_are_kept_are_bounded() {
    let mut registry = Registry::of_node(node(1), 10);
    assert!((0..NAMES_KEPT_MAX).all(|n| registry.keep(&name(n))));
    assert!(registry.keep(&name(0)) && !registry.keep(&name(NAMES_KEPT_MAX)));
    registry.release(&name(0));
    assert!(registry.keep(&name(NAMES_KEPT_MAX)));
}

#[test]
fn nodes_compare_exactly_what_both_hold() {
    let records = claims(500);
    let (first, second) = records.split_at(250);
    for depths in [(0, 0), (0, 2), (2, 0), (1, 1), (1, 3), (3, 1), (4, 4)] {
        for owners in [(1, 2), (1, 3), (2, 3), (4, 5)] {
            let (mut a, mut b) = (of_node(owners.0, 1000, first), of_node(owners.1, 1000, second));
            let _ = (a.narrow_to(depths.0), b.narrow_to(depths.1));
            let member = |owner| {
                let payload = vec![].into();
                let (kind, name) = (Kind::Member, String::new());
                let labels = BTreeMap::new();
                let owner_id = node(owner);
                let body = wire::record::Body {
                    kind,
                    owner: owner_id,
                    name,
                    sequence: 1,
                    not_before_s: 0,
                    ttl_s: 0,
                    labels,
                    payload,
                };
                Record::sign(body, &key(owner)).unwrap()
            };
            let _ = (take(&mut a, &member(9)), take(&mut b, &member(10)));
            let common = a.part().common(b.part());
            agree(&mut a, &mut b);
            assert_eq!(all_in(&a, common), all_in(&b, common), "{depths:?} {owners:?}");
            assert!([9, 10].iter().all(|owner| a.of_owner(Kind::Member, node(*owner)).count() == 1));
            assert!([&a, &b].iter().all(|one| all_in(one, one.part()).len() == one.in_part()));
            let expected = records.iter().filter(|record| common.covers_hash(record.key_hash())).count();
            assert_eq!(all_in(&a, common).len(), expected);
        }
    }
}

#[test]
fn nobody_answers_or_asks_for_what_is_beyond_its_part() {
    let records = claims(200);
    let (mut narrow, whole) = (of_node(1, 1000, &records[..100]), of_node(2, 1000, &records));
    let _ = narrow.narrow_to(2);
    // Whoever does not know yet how narrow it is says what it has of everything.
    for message in whole.summary(Part::WHOLE, NEWEST) {
        for answer in consume(&mut narrow, message) {
            if let Message::Have { from, to, .. } = &answer {
                assert!(narrow.is_in_part(*from) && narrow.is_in_part(*to));
                continue;
            }
            let Message::Digests { bits, ranges } = &answer else { panic!("{answer:?}") };
            assert!(ranges.iter().all(|range| narrow.is_in_part(range.prefix << (64 - bits))));
        }
    }
    let entry = |record: &Record| wire::control::HaveEntry { key: record.key_hash(), sequence: 1 };
    let entries: Vec<_> = records[100..150].iter().map(entry).collect();
    let wanted = narrow.compare((0, u64::MAX), &entries, NEWEST).wanted;
    assert!(!wanted.is_empty() && wanted.iter().all(|hash| narrow.is_in_part(*hash)));
}

#[test]
fn a_node_alone_with_too_much_keeps_whose_the_names_are() {
    let mut registry = Registry::of_node(node(1), 20);
    for n in 0..10 {
        let _ = take(&mut registry, &claim(2, n, 1));
    }
    for n in 0..40 {
        let _ = take(&mut registry, &service(3, n));
        assert!(registry.in_part() <= 20);
    }
    let count = |kind| registry.of_kind(kind).count();
    assert!(registry.overflows() && registry.part() == Part::WHOLE);
    assert_eq!((count(Kind::Claim), count(Kind::Service)), (6, 14));
    let own = (100..110).map(|n| claim(1, n, 1));
    assert!(own.into_iter().all(|record| take(&mut registry, &record).0 == Merge::New));
}

#[test]
fn the_part_grows_when_halves_are_left_to_too_few() {
    let mut registry = of_node(1, 100, &claims(400));
    assert!(registry.part().depth() >= 2);
    registry.allow_depth(1);
    assert_eq!(registry.part(), Part::around(registry.position(), 1));
    assert!(registry.narrow().is_empty() && !registry.is_roomy());
}

#[test]
fn there_is_room_when_the_other_half_may_well_fit_in() {
    let mut registry = of_node(1, 100, &[]);
    let _ = registry.narrow_to(1);
    let in_part: Vec<Record> =
        claims(200).into_iter().filter(|record| registry.is_in_part(record.key_hash())).collect();
    for (n, record) in in_part.iter().enumerate() {
        assert_eq!(registry.is_roomy(), n < 36, "{n}");
        let _ = take(&mut registry, record);
    }
    let ended = now() + SEQUENCE_LIFE + SEQUENCE_LIFE + SEQUENCE_LIFE;
    let _ = (registry.end_leases(ended), registry.end_leases(ended));
    assert_eq!(registry.in_part(), 0, "memories of ended leases count, until they are forgotten");
}

#[test]
fn memory_of_the_part_of_others_is_no_memory() {
    let mut registry = of_node(1, 1000, &[]);
    let _ = registry.narrow_to(1);
    for n in 0..50 {
        let sequence = crate::Sequence { key: key_of_claim(node(2), &name(n)), floor: 5 };
        let is_beyond = registry.remember(sequence, now()) == Merge::Beyond;
        assert_eq!(is_beyond, !registry.covers(&name(n)));
    }
}
