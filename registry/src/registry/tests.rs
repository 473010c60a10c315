use super::place::version;
use super::*;
use crate::Difference;
use crate::limits::NEWER_RECORDS_MAX;
use ed25519_dalek::SigningKey;
use wire::control::{HAVE_ENTRIES_MAX, HaveEntry, Message, WANT_KEYS_MAX};
use wire::record::Body;

/// SplitMix64: all that these tests need of randomness.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as usize % bound
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        (1..items.len()).rev().for_each(|i| items.swap(i, self.below(i + 1)));
    }

    fn some_of(&mut self, pool: &[Record]) -> Vec<Record> {
        let mut some: Vec<Record> = pool.iter().filter(|_| self.below(3) != 0).cloned().collect();
        self.shuffle(&mut some);
        some
    }
}

fn record(kind: Kind, owner: u8, name: &str, sequence: u64, payload: &[u8]) -> Record {
    let key = SigningKey::from_bytes(&[owner; 32]);
    let body = Body {
        kind,
        owner: NodeId(key.verifying_key().to_bytes()),
        name: name.to_owned(),
        sequence,
        not_before_s: 0,
        ttl_s: 0,
        labels: BTreeMap::new(),
        payload: payload.to_vec().into(),
    };
    Record::sign(body, &key).unwrap()
}

/// Records of few owners with many names and versions; some sequences are used twice when `twice`.
fn pool(dice: &mut Dice, twice: bool) -> Vec<Record> {
    let mut pool = Vec::new();
    for owner in 1..=4 {
        for kind in [Kind::Member, Kind::Revocation] {
            for name in ["", "a", "b", "c"] {
                for sequence in 0..dice.below(3) as u64 {
                    pool.push(record(kind, owner, name, sequence, b"x"));
                    if twice && dice.below(2) == 0 {
                        pool.push(record(kind, owner, name, sequence, b"y"));
                    }
                }
            }
        }
    }
    pool
}

fn tight(_: Kind) -> Quota {
    Quota { per_owner: 2, total: 5 }
}

fn filled(quota: fn(Kind) -> Quota, records: impl IntoIterator<Item = Record>) -> Registry {
    let mut registry = Registry::with_quota(quota);
    insert_all(&mut registry, records);
    registry
}

#[expect(clippy::disallowed_methods, reason = "records that are no leases know no time")]
fn insert(registry: &mut Registry, record: Record) -> Merge {
    registry.insert(record, Duration::ZERO, Instant::now())
}

fn insert_all(registry: &mut Registry, records: impl IntoIterator<Item = Record>) {
    for record in records {
        let _ = insert(registry, record);
    }
}

fn set(registry: &Registry) -> Vec<Record> {
    registry.iter().cloned().collect()
}

/// What the set must be, computed from all records at once.
fn expected(quota: fn(Kind) -> Quota, records: &[Record]) -> Vec<Record> {
    let mut newest: BTreeMap<Key, &Record> = BTreeMap::new();
    for record in records {
        let held = newest.entry(record.key()).or_insert(record);
        if version(record) > version(held) {
            *held = record;
        }
    }
    let mut of_owner: BTreeMap<(Kind, NodeId), usize> = BTreeMap::new();
    let mut of_kind: BTreeMap<Kind, usize> = BTreeMap::new();
    newest.retain(|key, _| {
        let own = of_owner.entry((key.kind, key.owner)).or_default();
        *own += 1;
        *own <= quota(key.kind).per_owner
    });
    newest.retain(|key, _| {
        let all = of_kind.entry(key.kind).or_default();
        *all += 1;
        *all <= quota(key.kind).total
    });
    newest.into_values().cloned().collect()
}

/// One exchange: A tells B what it has.
fn tell(a: &mut Registry, b: &mut Registry) {
    for message in a.summaries() {
        let Message::Have { from, to, entries } = message else { panic!("{message:?}") };
        let Difference { newer, wanted } = b.compare(from, to, &entries);
        assert!(newer.len() <= NEWER_RECORDS_MAX && wanted.len() <= WANT_KEYS_MAX);
        let answers: Vec<Record> = a.by_hashes(&wanted).into_iter().cloned().collect();
        insert_all(a, newer);
        insert_all(b, answers);
    }
}

#[test]
fn the_highest_version_of_a_key_stays() {
    let (first, second) =
        (record(Kind::Member, 1, "", 1, b"first"), record(Kind::Member, 1, "", 2, b"second"));
    let key = first.key();
    let mut registry = Registry::new();
    assert_eq!(registry.next_sequence(&key), 1);
    assert_eq!(insert(&mut registry, first.clone()), Merge::New);
    assert_eq!(insert(&mut registry, second.clone()), Merge::Replaced);
    assert_eq!(insert(&mut registry, second.clone()), Merge::Same);
    assert_eq!(insert(&mut registry, first), Merge::Old);
    assert_eq!((registry.len(), registry.get(&key)), (1, Some(&second)));
    assert_eq!(registry.next_sequence(&key), 3);
    let _ = insert(&mut registry, record(Kind::Member, 1, "", u64::MAX, b""));
    assert_eq!(registry.next_sequence(&key), u64::MAX);
}

#[test]
fn any_order_of_arrival_gives_the_same_set_and_digest() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let mut records = pool(&mut dice, true);
        for quota in [quota, tight] {
            let expected = expected(quota, &records);
            for _ in 0..4 {
                dice.shuffle(&mut records);
                let again = dice.some_of(&records);
                let registry = filled(quota, records.iter().cloned().chain(again));
                assert_eq!(set(&registry), expected, "seed {seed}");
                let digest = expected.iter().fold(0, |digest, record| digest ^ record.version_hash());
                assert_eq!((registry.digest(), registry.len()), (digest, expected.len()), "seed {seed}");
            }
        }
    }
}

#[test]
fn two_registries_converge_by_exchanging_summaries() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let records = pool(&mut dice, false);
        for quota in [quota, tight] {
            let mine = dice.some_of(&records);
            let theirs = dice.some_of(&records);
            let all = expected(quota, &[mine.clone(), theirs.clone()].concat());
            let (mut a, mut b) = (filled(quota, mine), filled(quota, theirs));
            let mut exchanges = 0;
            while a.digest() != b.digest() {
                tell(&mut a, &mut b);
                std::mem::swap(&mut a, &mut b);
                exchanges += 1;
                assert!(exchanges <= 4, "seed {seed}");
            }
            assert_eq!(set(&a), all, "seed {seed}");
            assert_eq!(set(&b), all, "seed {seed}");
        }
    }
}

#[test]
fn an_empty_registry_catches_up_in_bounded_steps() {
    let names: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let mut full = filled(quota, names.iter().map(|name| record(Kind::Revocation, 1, name, 1, b"")));
    let mut empty = Registry::new();
    tell(&mut empty, &mut full);
    assert_eq!(empty.len(), NEWER_RECORDS_MAX);
    tell(&mut full, &mut empty);
    assert_eq!(set(&empty), set(&full), "each of its summaries is answered with wishes");
}

#[test]
fn summaries_cover_everything_without_a_gap() {
    for count in [0, 1, HAVE_ENTRIES_MAX, HAVE_ENTRIES_MAX + 1, 3 * HAVE_ENTRIES_MAX] {
        let registry = filled(quota, (0..count).map(|n| record(Kind::Revocation, 1, &n.to_string(), 1, b"")));
        let (mut next, mut entries_seen) = (Some(0), 0);
        for message in registry.summaries() {
            let Message::Have { from, to, entries } = message else { panic!("{message:?}") };
            assert_eq!(Some(from), next, "{count} records");
            assert!(entries.len() <= HAVE_ENTRIES_MAX);
            assert!(entries.iter().all(|entry| (from..=to).contains(&entry.key)));
            assert!(entries.is_sorted_by(|a, b| a.key < b.key));
            assert_eq!(registry.compare(from, to, &entries), Difference::default(), "nothing differs");
            next = to.checked_add(1);
            entries_seen += entries.len();
        }
        assert_eq!((next, entries_seen), (None, count));
        assert_eq!(registry.summaries().len(), count.div_ceil(HAVE_ENTRIES_MAX).max(1));
    }
}

#[test]
fn malformed_summaries_are_harmless() {
    let held = record(Kind::Member, 1, "", 5, b"");
    let (hash, registry) = (held.key_hash(), filled(quota, [held.clone()]));
    let entry = |key, sequence| HaveEntry { key, sequence };
    let nothing = Difference::default();
    assert_eq!(registry.compare(u64::MAX, 0, &[entry(hash, 9)]), nothing, "upside down");
    let many = vec![entry(1, 1); HAVE_ENTRIES_MAX + 1];
    assert_eq!(registry.compare(0, u64::MAX, &many), nothing, "too many entries");
    assert_eq!(registry.compare(hash, hash, &[entry(hash, 5), entry(hash.wrapping_add(1), 9)]), nothing);
    assert_eq!(registry.compare(0, u64::MAX, &[entry(hash, 5), entry(hash, 4)]), nothing, "twice, unsorted");
    let unsorted = [entry(hash, 4), entry(3, 1), entry(2, 1), entry(3, 1)];
    let difference = registry.compare(0, u64::MAX, &unsorted);
    assert_eq!(difference, Difference { newer: vec![held.clone()], wanted: vec![2, 3] });
    assert_eq!(registry.by_hashes(&[hash, 7, hash]), [&held], "each once");
    let behind_too_many = [vec![7; WANT_KEYS_MAX], vec![hash]].concat();
    assert!(registry.by_hashes(&behind_too_many).is_empty());
}

#[test]
fn an_owner_that_signs_twice_makes_nobody_exchange_for_ever() {
    let (x, y) = (record(Kind::Member, 1, "", 1, b"x"), record(Kind::Member, 1, "", 1, b"y"));
    let (low, high) = if x.bytes() < y.bytes() { (x, y) } else { (y, x) };
    let (mut a, mut b) = (filled(quota, [low.clone()]), filled(quota, [high.clone()]));
    assert_eq!(a.digest(), b.digest(), "so no summary is sent");
    tell(&mut a, &mut b);
    assert_eq!((set(&a), set(&b)), (vec![low.clone()], vec![high.clone()]), "and one would change nothing");
    assert_eq!(insert(&mut b, low), Merge::Old);
    assert_eq!(
        insert(&mut a, high),
        Merge::Replaced,
        "whoever is shown both keeps the higher and passes it on"
    );
    assert_eq!(set(&a), set(&b));
}

#[test]
fn what_is_forgotten_leaves_nothing_behind() {
    let (gone, kept) = (record(Kind::Member, 1, "", 1, b"x"), record(Kind::Member, 2, "", 1, b"y"));
    let mut registry = filled(quota, [gone.clone(), kept.clone()]);
    assert!(registry.forget(&gone.key()));
    assert!(!registry.forget(&gone.key()), "there is none any more");
    let without = filled(quota, [kept]);
    assert_eq!((set(&registry), registry.digest()), (set(&without), without.digest()));
    assert_eq!(insert(&mut registry, gone), Merge::New);
}

#[test]
fn a_flood_of_one_kind_leaves_the_others_alone() {
    let revocation = record(Kind::Revocation, 4, "z", 1, b"");
    let mut registry = filled(tight, [revocation.clone()]);
    let mut refusals = Vec::new();
    for owner in 1..=4 {
        for name in ["c", "b", "a", "d"] {
            if let Merge::Refused(reason) = insert(&mut registry, record(Kind::Member, owner, name, 1, b"")) {
                refusals.push(reason);
            }
        }
    }
    assert!(refusals.contains(&RefusalReason::OwnerQuota) && refusals.contains(&RefusalReason::TotalQuota));
    assert_eq!(registry.len(), 5 + 1);
    assert_eq!(registry.get(&revocation.key()), Some(&revocation));
    assert!(quota(Kind::Revocation).per_owner >= 4096, "an admin can revoke every peer");
}
