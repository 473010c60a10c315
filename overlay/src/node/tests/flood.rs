//! A member that signs its records anew without a pause keeps its neighbours busy, and nobody else.

use super::lab::{Lab, UNIX_S};
use registry::limits::{NEWS_AT_ONCE, NEWS_INTERVAL};
use std::collections::BTreeMap;
use std::time::Duration;
use wire::control::Message;
use wire::record::{Content, Lease, TTL_S_MAX, key_of_claim};
use wire::service::Sharing;

const SECOND: Duration = Duration::from_secs(1);
const TURN: Duration = Duration::from_millis(1);
/// Ten thousand in ten seconds.
const TURNS: u32 = 10_000;

#[test]
fn others_pass_on_a_part_of_what_is_signed_without_a_pause_and_end_with_the_latest() {
    let mut lab = Lab::with(&["b", "c", "d"]);
    lab.run(10 * SECOND);
    let before = lab.sent.len();
    let evil = lab.id(1);
    let name = "web".parse().unwrap();
    let key = key_of_claim(evil, &name);
    let content = Content::Claim { node: evil, name, sharing: Sharing::Owner };
    let signing = lab.machines[1].identity().signing.clone();
    // To one only, so that all the others have it from that one, if they have it.
    let neighbour = lab.id(0);
    let mut sequence = 1 << 40;
    for _ in 0..TURNS {
        lab.command(1, |node, _| {
            // Above what its own Node says, which is honest and withdraws what it hears.
            sequence += 1000;
            let lease = Lease { sequence, not_before_s: UNIX_S, ttl_s: TTL_S_MAX, labels: BTreeMap::new() };
            let bytes = content.sign_lease(lease, &signing).unwrap().bytes().to_vec();
            node.send(&neighbour, &Message::Record { bytes: bytes.into(), age_s: Some(0) }, None);
        });
        lab.run(TURN);
    }
    let from = lab.machines[1].remote;
    let others = lab.sent[before..].iter().filter(|flight| flight.from != from).count();
    let evils = lab.sent[before..].len() - others;
    // Each once to two others at most; twice as much and more were it all.
    let passed_on = NEWS_AT_ONCE + (TURN * TURNS).as_millis() as u32 / NEWS_INTERVAL.as_millis() as u32;
    assert!(evils >= 10_000, "{evils}");
    assert!(others < 2 * passed_on as usize, "{others} of others, {evils} of the evil one");
    lab.run(10 * SECOND);
    let held = |at: usize| lab.machines[at].node.registry.get(&key).unwrap().body().sequence;
    // Told what it has said, its Node withdraws it: the very last word.
    assert!(held(0) >= sequence && (1..4).all(|at| held(at) == held(0)));
    assert_eq!(lab.machines[0].node.registry.digest(), lab.machines[2].node.registry.digest());
}
