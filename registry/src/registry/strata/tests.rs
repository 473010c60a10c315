use crate::Registry;
use crate::limits::Quota;
use crate::registry::Merge;
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use wire::control::Message;
use wire::record::Body;
use wire::{Kind, NodeId, Part, Record, Revision};

const KINDS: [Kind; 4] = [Kind::Member, Kind::Service, Kind::Guest, Kind::Routes];

fn record(kind: Kind, number: usize) -> Record {
    let key = SigningKey::from_bytes(&[7; 32]);
    let body = Body {
        kind,
        owner: NodeId(key.verifying_key().to_bytes()),
        name: number.to_string(),
        sequence: number as u64 + 1,
        not_before_s: 0,
        ttl_s: 0,
        labels: BTreeMap::new(),
        payload: vec![1].into(),
    };
    Record::sign(body, &key).unwrap()
}

fn roomy() -> Registry {
    Registry::with_quota(|_| Quota { per_owner: 1000, total: 1000 })
}

/// As many of each kind, of those kinds that a revision knows.
fn filled(each: usize, revision: Revision) -> Registry {
    let mut registry = roomy();
    for kind in KINDS.into_iter().filter(|kind| kind.revision() <= revision) {
        (0..each).for_each(|number| assert_eq!(insert(&mut registry, record(kind, number)), Merge::New));
    }
    registry
}

#[expect(clippy::disallowed_methods, reason = "records without an end know no time")]
fn insert(registry: &mut Registry, record: Record) -> Merge {
    registry.insert(record, Duration::ZERO, Instant::now())
}

/// Two nodes whose session has this revision compare what they hold until neither has anything to say; how many messages that takes.
fn compare(a: &mut Registry, b: &mut Registry, revision: Revision) -> usize {
    let (mut sent, mut messages) = (0, a.summary(Part::WHOLE, revision));
    let (mut hearer, mut teller) = (b, a);
    while !messages.is_empty() {
        sent += messages.len();
        messages = messages.iter().flat_map(|message| consume(hearer, message, revision)).collect();
        std::mem::swap(&mut hearer, &mut teller);
    }
    sent
}

fn consume(registry: &mut Registry, message: &Message, revision: Revision) -> Vec<Message> {
    let tell = |record: &Record| {
        assert!(record.body().kind.revision() <= revision, "{:?}", record.body().kind);
        Message::Record { bytes: record.bytes().to_vec().into(), age_s: None }
    };
    if let Message::Digests { bits, ranges } = message {
        return registry.compare_digests(*bits, ranges, revision);
    }
    if let Message::Want { keys } = message {
        return registry.by_hashes(keys).into_iter().map(tell).collect();
    }
    if let Message::Have { from, to, entries } = message {
        let difference = registry.compare((*from, *to), entries, revision);
        let want = Message::Want { keys: difference.wanted.clone() };
        let want = (!difference.wanted.is_empty()).then_some(want);
        return difference.newer.iter().map(tell).chain(want).collect();
    }
    let Message::Record { bytes, .. } = message else { panic!("{message:?}") };
    insert(registry, Record::verify(bytes).unwrap());
    vec![]
}

#[test]
fn a_digest_is_that_of_a_node_that_knows_no_more() {
    for each in [3, 200] {
        let (new, old) = (filled(each, Revision::SECOND), filled(each, Revision::FIRST));
        for part in [Part::WHOLE, Part::NOTHING, Part::around(wire::Position::of_name("x"), 2)] {
            let of = |registry: &Registry, revision| registry.digest_in(part, revision);
            assert_eq!(of(&new, Revision::FIRST), of(&old, Revision::FIRST));
            assert_ne!(of(&new, Revision::SECOND), of(&old, Revision::SECOND));
            assert_eq!(
                of(&new, Revision::new(9).unwrap()),
                of(&new, Revision::SECOND),
                "it knows all of ours"
            );
            assert_eq!(new.summary(part, Revision::FIRST), old.summary(part, Revision::FIRST));
        }
        assert_eq!(new.digest(), new.digest_in(Part::WHOLE, Revision::CURRENT));
    }
}

#[test]
fn what_a_revision_does_not_know_is_neither_told_nor_missed() {
    for each in [3, 200] {
        let (mut new, mut old) = (filled(each, Revision::SECOND), filled(each, Revision::FIRST));
        for revision in [Revision::FIRST, Revision::SECOND] {
            let mut empty = roomy();
            for round in 0.. {
                assert!(round < 50, "it must end");
                if compare(&mut new, &mut empty, revision) == new.summary(Part::WHOLE, revision).len() {
                    break;
                }
            }
            assert_eq!(empty.len(), filled(each, revision).len(), "{revision}");
        }
        // Whoever begins says one thing, and the other has no answer.
        assert_eq!(
            compare(&mut new, &mut old, Revision::FIRST),
            new.summary(Part::WHOLE, Revision::FIRST).len()
        );
        assert_eq!(
            compare(&mut old, &mut new, Revision::FIRST),
            old.summary(Part::WHOLE, Revision::FIRST).len()
        );
        // What came of a kind that only one of them knows is withdrawn from it, and everything else is as it was.
        let gone = record(Kind::Guest, 1);
        let before = new.digest_in(Part::WHOLE, Revision::FIRST);
        assert!(new.forget(&gone.key()) && new.kind_of(gone.key_hash()).is_none());
        assert_eq!(new.digest_in(Part::WHOLE, Revision::FIRST), before);
    }
}
