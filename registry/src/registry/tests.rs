use super::place::version;
use super::*;
use crate::Difference;
use crate::limits::{DIGESTS_ANSWERS_MAX, NEWER_RECORDS_MAX};
use ed25519_dalek::SigningKey;
use wire::control::{DIGESTS_MAX, HAVE_ENTRIES_MAX, Message, RangeDigest, WANT_KEYS_MAX};
use wire::datagram::{OVERHEAD, SLOW_LENGTH_MAX};
use wire::record::Body;

const NEWEST: Revision = Revision::CURRENT;

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

/// What one registry does with a message of another: what goes back.
fn consume(registry: &mut Registry, message: Message) -> Vec<Message> {
    let send = |record: &Record| Message::Record { bytes: record.bytes().to_vec().into(), age_s: None };
    if let Message::Digests { bits, ranges } = &message {
        let answers = registry.compare_digests(*bits, ranges, NEWEST);
        assert!(answers.len() <= DIGESTS_ANSWERS_MAX);
        return answers;
    }
    if let Message::Have { from, to, entries } = &message {
        let Difference { newer, wanted } = registry.compare((*from, *to), entries, NEWEST);
        assert!(newer.len() <= NEWER_RECORDS_MAX && wanted.len() <= WANT_KEYS_MAX);
        let want = (!wanted.is_empty()).then_some(Message::Want { keys: wanted });
        return newer.iter().map(send).chain(want).collect();
    }
    if let Message::Want { keys } = &message {
        return registry.by_hashes(keys).into_iter().map(send).collect();
    }
    let Message::Record { bytes, .. } = &message else { panic!("{message:?}") };
    let _ = insert(registry, Record::verify(bytes).unwrap());
    vec![]
}

/// A round: A tells B what it has, and so on until nobody has anything to say. How many datagrams that takes.
fn tell(a: &mut Registry, b: &mut Registry) -> usize {
    let mut sent = 0;
    let mut to_b = a.summary(Part::WHOLE, NEWEST);
    while !to_b.is_empty() {
        let to_a: Vec<Message> = to_b.iter().flat_map(|message| consume(b, message.clone())).collect();
        sent += to_b.len() + to_a.len();
        for message in to_b.iter().chain(&to_a) {
            assert!(wire::cbor::encode(message).len() + OVERHEAD <= SLOW_LENGTH_MAX);
        }
        to_b = to_a.into_iter().flat_map(|message| consume(a, message)).collect();
    }
    sent
}

/// Rounds, begun by either in turn, until both have the same.
fn rounds(mut a: Registry, mut b: Registry) -> (usize, Registry) {
    let mut rounds = 0;
    while a.digest() != b.digest() {
        tell(&mut a, &mut b);
        std::mem::swap(&mut a, &mut b);
        rounds += 1;
        assert!(rounds < 100, "it must end");
    }
    assert_eq!(set(&a), set(&b));
    (rounds, a)
}

fn many(_: Kind) -> Quota {
    Quota { per_owner: 200_000, total: 200_000 }
}

/// So many records of one owner.
fn crowd(count: u32) -> Vec<Record> {
    (0..count).map(|n| record(Kind::Revocation, 1, &n.to_string(), 1, b"")).collect()
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
            let (rounds, both) = rounds(filled(quota, mine), filled(quota, theirs));
            assert!(rounds <= 4, "seed {seed}");
            assert_eq!(set(&both), all, "seed {seed}");
        }
    }
}

#[test]
fn large_registries_converge_whatever_each_has_missed() {
    let records = crowd(3000);
    for seed in 0..3 {
        let mut dice = Dice(seed);
        let (mine, theirs) = (dice.some_of(&records), dice.some_of(&records));
        let all = expected(many, &[mine.clone(), theirs.clone()].concat());
        let (rounds, both) = rounds(filled(many, mine), filled(many, theirs));
        assert_eq!(set(&both), all, "seed {seed}");
        assert!(rounds <= 8, "{rounds}");
    }
}

#[test]
fn an_empty_registry_catches_up_in_bounded_steps() {
    let records = crowd(3000);
    let (rounds, both) = rounds(Registry::with_quota(many), filled(many, records.clone()));
    assert_eq!(both.len(), records.len());
    assert!(rounds <= 12, "{rounds}");
}

#[test]
fn one_difference_among_many_is_found_in_a_few_datagrams() {
    // So many that three steps are needed, as they are for a hundred thousand.
    let mut a = filled(many, crowd(20_000));
    let mut b = a.clone();
    let newer = record(Kind::Revocation, 1, "77", 2, b"");
    let _ = insert(&mut b, newer.clone());
    let sent = tell(&mut a, &mut b);
    assert_eq!((a.get(&newer.key()), a.digest()), (Some(&newer), b.digest()));
    assert!(sent <= 6, "{sent}");
    let _ = insert(&mut a, record(Kind::Revocation, 1, "new", 1, b""));
    assert!(tell(&mut a, &mut b) <= 6);
    assert_eq!(a.digest(), b.digest());
}

#[test]
fn whoever_holds_few_says_all_of_it_and_others_say_where_they_differ() {
    for count in [0, 1, HAVE_ENTRIES_MAX] {
        let registry = filled(many, crowd(count as u32));
        let Message::Have { from: 0, to: u64::MAX, entries } =
            registry.summary(Part::WHOLE, NEWEST).remove(0)
        else {
            panic!("{count}")
        };
        assert_eq!(entries.len(), count);
        assert!(entries.is_sorted_by(|a, b| a.key < b.key));
        assert_eq!(
            registry.compare((0, u64::MAX), &entries, NEWEST),
            Difference::default(),
            "nothing differs"
        );
    }
    let registry = filled(many, crowd(2000));
    let Message::Digests { bits: 4, ranges } = registry.summary(Part::WHOLE, NEWEST).remove(0) else {
        panic!("too many for one summary")
    };
    assert_eq!(ranges.iter().fold(0, |digest, range| digest ^ range.digest), registry.digest());
    assert_eq!(registry.compare_digests(4, &ranges, NEWEST), [], "nothing differs");
    let mut other = ranges.clone();
    other[3].digest ^= 1;
    let answers = registry.compare_digests(4, &other, NEWEST);
    let [Message::Digests { bits: 8, ranges: parts }] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(parts.iter().fold(0, |digest, part| digest ^ part.digest), ranges[3].digest);
    assert!(parts.iter().all(|part| part.prefix >> 4 == 3));
    // As many as are kept, and then below them, where they are computed.
    for bits in [12, 16, 20] {
        let hash = registry.in_range(0, u64::MAX).next().unwrap().0;
        let wrong = RangeDigest { prefix: hash >> (64 - bits), digest: 5 };
        let answers = registry.compare_digests(bits, &[wrong], NEWEST);
        assert!(matches!(&answers[..], [Message::Have { entries, .. }] if entries[0].key == hash));
    }
}

#[test]
fn malformed_digests_are_harmless() {
    let registry = filled(many, crowd(100));
    let wrong = |prefix| RangeDigest { prefix, digest: 5 };
    assert_eq!(registry.compare_digests(4, &[wrong(16), wrong(u64::MAX)], NEWEST), [], "no such ranges");
    assert_eq!(registry.compare_digests(255, &[wrong(0)], NEWEST), []);
    assert_eq!(registry.compare_digests(5, &[wrong(0)], NEWEST), []);
    assert_eq!(registry.compare_digests(4, &vec![wrong(1); DIGESTS_MAX + 1], NEWEST), [], "too many");
    let answers = registry.compare_digests(4, &vec![wrong(1); DIGESTS_MAX], NEWEST);
    assert_eq!(answers.len(), DIGESTS_ANSWERS_MAX);
    assert_eq!(registry.compare_digests(0, &[wrong(0)], NEWEST).len(), 1, "of everything");
    assert!(matches!(
        registry.compare_digests(64, &[wrong(7)], NEWEST)[..],
        [Message::Have { from: 7, to: 7, .. }]
    ));
}

#[test]
fn malformed_summaries_are_harmless() {
    let held = record(Kind::Member, 1, "", 5, b"");
    let (hash, registry) = (held.key_hash(), filled(quota, [held.clone()]));
    let entry = |key, sequence| HaveEntry { key, sequence };
    let nothing = Difference::default();
    assert_eq!(registry.compare((u64::MAX, 0), &[entry(hash, 9)], NEWEST), nothing, "upside down");
    let many = vec![entry(1, 1); HAVE_ENTRIES_MAX + 1];
    assert_eq!(registry.compare((0, u64::MAX), &many, NEWEST), nothing, "too many entries");
    assert_eq!(
        registry.compare((hash, hash), &[entry(hash, 5), entry(hash.wrapping_add(1), 9)], NEWEST),
        nothing
    );
    assert_eq!(
        registry.compare((0, u64::MAX), &[entry(hash, 5), entry(hash, 4)], NEWEST),
        nothing,
        "twice, unsorted"
    );
    let unsorted = [entry(hash, 4), entry(3, 1), entry(2, 1), entry(3, 1)];
    let difference = registry.compare((0, u64::MAX), &unsorted, NEWEST);
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
    let _ = tell(&mut a, &mut b);
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
