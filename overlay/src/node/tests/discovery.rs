//! Discovery: who finds whom by hints alone, and what hints must not do.

use super::lab::{Flight, GROUP, Lab, Store, enter_dht, entered, ping_answer, tell};
use crate::limits::{
    BEACON_INTERVAL, BEACON_INTERVAL_CONTENT, DHT_LOOKUPS_MAX, HINT_URGENT_TIME, HINTED_STRANGER_LIFE,
    HINTED_STRANGERS_MAX, HINTS_PER_PREFIX,
};
use crate::{Carriers, DhtEvent, DhtRequest, DropReason, HintSource, Identity};
use nat::Remote;
use std::net::SocketAddr;
use std::time::Duration;
use wire::datagram::{ASK_LENGTH, Datagram, HINT_LENGTH, HintStage, write_hint};
use wire::hint::{Hint, HintBody, SealKey};
use wire::mailbox::{self, Slot};
use wire::{Candidate, NoisePublicKey};

const SECOND: Duration = Duration::from_secs(1);
const LAN: Carriers = Carriers { lan: true, dht: false };

fn stage(flight: &Flight) -> Option<HintStage> {
    match Datagram::parse(&flight.bytes) {
        Some(Datagram::Hint(message)) => Some(message.stage),
        _ => None,
    }
}

fn count(lab: &Lab, wanted: HintStage) -> usize {
    lab.sent.iter().filter(|flight| stage(flight) == Some(wanted)).count()
}

fn initiations_to(lab: &Lab, to: SocketAddr) -> usize {
    let is_one = |f: &&Flight| {
        f.to == Remote::udp(to) && matches!(Datagram::parse(&f.bytes), Some(Datagram::Initiation(_)))
    };
    lab.sent.iter().filter(is_one).count()
}

fn carriers(lab: &mut Lab, carriers: Carriers) {
    for at in 0..lab.machines.len() {
        lab.command(at, |node, now| node.handle_carriers(carriers, now));
    }
}

/// Machines that knew each other, all of them started again at addresses that nobody knows.
fn scattered(names: &[&str]) -> Lab {
    let mut lab = Lab::with(names);
    lab.run(SECOND);
    for at in 0..lab.machines.len() {
        lab.machines[at].is_up = false;
    }
    for at in 0..lab.machines.len() {
        lab.carry(at, 100 + at);
        lab.restart(at);
    }
    lab.sent.clear();
    lab
}

fn body(lab: &Lab, of: usize, addresses: &[&str], unix_s: u64) -> HintBody {
    let candidate = |text: &&str| Candidate::new(text.parse().unwrap()).unwrap();
    HintBody {
        node: lab.id(of),
        noise_key: lab.machines[of].noise_key(),
        candidates: addresses.iter().map(candidate).collect(),
        unix_s,
        stream: None,
    }
}

/// A hint that machine `of` signs.
fn hint(lab: &Lab, of: usize, addresses: &[&str], unix_s: u64) -> Hint {
    signed(lab, &body(lab, of, addresses, unix_s), &lab.machines[of].identity())
}

fn signed(lab: &Lab, body: &HintBody, identity: &Identity) -> Hint {
    Hint::sign(body, &lab.machines[0].network().id(), &identity.signing).unwrap()
}

fn take(lab: &mut Lab, at: usize, hint: &Hint, source: HintSource) {
    lab.command(at, |node, now| node.take_hint(hint, source, None, now));
}

/// Lets a machine take a hint of another one with this address, made at this time.
fn told(lab: &mut Lab, at: usize, (of, address, unix_s): (usize, &str, u64), source: HintSource) {
    let hint = hint(lab, of, &[address], unix_s);
    take(lab, at, &hint, source);
}

fn beacon(lab: &Lab, hint: &Hint) -> Vec<u8> {
    let key = SealKey::lan(lab.machines[0].network().secrets.current());
    write_hint(HintStage::Beacon, 1, &hint.seal(&key, [7; 12]))
}

fn hear(lab: &mut Lab, at: usize, bytes: &[u8], from: &str) {
    lab.command(at, |node, now| node.handle_group(bytes, from.parse().unwrap(), now));
}

#[test]
fn who_has_only_stale_addresses_is_found_by_beacons_alone() {
    let mut lab = scattered(&["b", "c"]);
    lab.run(20 * SECOND);
    assert!(!lab.connected(0, 1), "nothing else tells them");
    carriers(&mut lab, LAN);
    lab.run(2 * SECOND);
    for (a, b) in [(0, 1), (1, 2), (2, 0)] {
        assert!(lab.connected(a, b) && lab.connected(b, a), "{a} {b}");
    }
}

#[test]
fn without_carriers_nothing_is_said() {
    let mut lab = scattered(&["b"]);
    lab.command(0, |node, now| {
        node.handle_dht(DhtEvent::State(entered()), now);
    });
    lab.run(600 * SECOND);
    assert!(lab.sent.iter().all(|flight| stage(flight).is_none() && flight.bytes[0] != b'd'));
    assert!(lab.machines.iter().all(|machine| machine.dht.is_empty()));
}

#[test]
fn beacons_are_rare_while_nobody_is_missing() {
    let mut lab = Lab::with(&["b"]);
    carriers(&mut lab, LAN);
    lab.run(12 * SECOND);
    assert_eq!(count(&lab, HintStage::Beacon), 6, "three each, for interfaces that are not ready");
    lab.sent.clear();
    lab.run(4 * BEACON_INTERVAL_CONTENT);
    let few = count(&lab, HintStage::Beacon);
    assert!((6..=8).contains(&few), "{few}");
    lab.machines[1].is_up = false;
    lab.run(40 * SECOND);
    lab.sent.clear();
    lab.run(10 * BEACON_INTERVAL);
    let many = count(&lab, HintStage::Beacon);
    assert!((8..=10).contains(&many), "{many}");
    lab.sent.clear();
    lab.carry(0, 77);
    lab.run(SECOND);
    assert_eq!(count(&lab, HintStage::Beacon), 1, "at once after a change");
}

#[test]
fn strangers_beacons_are_counted_and_forgotten() {
    let mut lab = scattered(&["b"]);
    let hint = hint(&lab, 1, &["192.0.2.101:7000"], 1);
    let other = SealKey::lan(&wire::NetworkSecret::new(1, [9; 32]));
    let strange = write_hint(HintStage::Beacon, 1, &hint.seal(&other, [7; 12]));
    for bytes in [&strange[..], b"", b"d1:ad2:id", &strange[..100]] {
        hear(&mut lab, 0, bytes, "192.0.2.99:41819");
    }
    assert_eq!(lab.drops(0, DropReason::Gate), 1);
    assert_eq!(lab.drops(0, DropReason::Unknown), 3);
    lab.run(5 * SECOND);
    assert_eq!(initiations_to(&lab, "192.0.2.101:7000".parse().unwrap()), 0);
    let bytes = beacon(&lab, &hint);
    hear(&mut lab, 0, &bytes, "192.0.2.99:41819");
    lab.run(5 * SECOND);
    assert!(lab.connected(0, 1), "and a member's is not");
}

#[test]
fn a_flood_of_a_members_beacons_is_bounded() {
    let mut lab = scattered(&["b"]);
    let bytes = beacon(&lab, &hint(&lab, 1, &["192.0.2.55:7000"], 1));
    for _ in 0..1000 {
        hear(&mut lab, 0, &bytes, "192.0.2.99:41819");
    }
    assert_eq!(lab.drops(0, DropReason::HintFlood), 1000 - u64::from(HINTS_PER_PREFIX));
    lab.run(HINT_URGENT_TIME);
    assert!(initiations_to(&lab, "192.0.2.55:7000".parse().unwrap()) <= 16);
}

#[test]
fn a_stale_hint_does_not_win() {
    let mut lab = scattered(&["b"]);
    told(&mut lab, 0, (1, "192.0.2.50:7000", 100), HintSource::Dht);
    told(&mut lab, 0, (1, "192.0.2.51:7000", 99), HintSource::Dht);
    assert_eq!(lab.drops(0, DropReason::Hint), 1);
    lab.run(5 * SECOND);
    assert!(initiations_to(&lab, "192.0.2.50:7000".parse().unwrap()) > 0);
    assert_eq!(initiations_to(&lab, "192.0.2.51:7000".parse().unwrap()), 0);
    // Made by a clock far in the future, it does not count for ever.
    told(&mut lab, 0, (1, "192.0.2.52:7000", u64::MAX), HintSource::Dht);
    told(&mut lab, 0, (1, "192.0.2.101:7000", 101), HintSource::Dht);
    lab.run(10 * SECOND);
    assert!(lab.connected(0, 1));
}

#[test]
fn hints_of_the_revoked_of_ourselves_and_with_another_key_do_nothing() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.command(0, |node, now| node.revoke("b", now)).unwrap();
    lab.run(SECOND);
    lab.sent.clear();
    told(&mut lab, 0, (1, "192.0.2.50:7000", 1), HintSource::Lan);
    assert!(lab.drops(0, DropReason::Revoked) > 0);
    told(&mut lab, 0, (0, "192.0.2.51:7000", 1), HintSource::Lan);
    lab.machines[2].is_up = false;
    lab.run(40 * SECOND);
    let wrong = HintBody { noise_key: NoisePublicKey([9; 32]), ..body(&lab, 2, &["192.0.2.52:7000"], 1) };
    let wrong = signed(&lab, &wrong, &lab.machines[2].identity());
    take(&mut lab, 0, &wrong, HintSource::Dht);
    lab.run(20 * SECOND);
    for host in [50, 51, 52] {
        assert_eq!(initiations_to(&lab, SocketAddr::from(([192, 0, 2, host], 7000))), 0, "{host}");
    }
}

/// Any member can make up nodes.
#[test]
fn made_up_nodes_are_few_and_forgotten() {
    let mut lab = Lab::new();
    let made_up = |n: u8| {
        let identity = Identity::generate([n; 32]);
        let (node, noise_key) = (identity.node(), identity.noise_key());
        (HintBody { node, noise_key, ..body(&Lab::new(), 0, &["192.0.2.50:7000"], 1) }, identity)
    };
    for n in 100..200 {
        let (body, identity) = made_up(n);
        let hint = signed(&lab, &body, &identity);
        take(&mut lab, 0, &hint, HintSource::Lan);
    }
    let there = "192.0.2.50:7000".parse().unwrap();
    lab.run(SECOND / 2);
    assert_eq!(initiations_to(&lab, there), HINTED_STRANGERS_MAX);
    lab.run(HINTED_STRANGER_LIFE);
    lab.sent.clear();
    lab.run(HINTED_STRANGER_LIFE);
    assert_eq!(initiations_to(&lab, there), 0);
}

#[test]
fn a_hint_makes_a_node_ask_for_half_a_minute_and_moves_no_path() {
    let mut lab = scattered(&["b"]);
    lab.run(60 * SECOND);
    let there: SocketAddr = "192.0.2.50:7000".parse().unwrap();
    told(&mut lab, 0, (1, "192.0.2.50:7000", 1), HintSource::Dht);
    lab.sent.clear();
    lab.run(HINT_URGENT_TIME);
    let asked = initiations_to(&lab, there);
    assert!((13..=17).contains(&asked), "{asked}");
    lab.sent.clear();
    lab.run(HINT_URGENT_TIME);
    assert!(initiations_to(&lab, there) <= 6, "as before");
    let mut lab = Lab::with(&["b"]);
    let before = lab.peer(0, 1).unwrap().remote;
    told(&mut lab, 0, (1, "192.0.2.50:7000", 1), HintSource::Lan);
    lab.run(60 * SECOND);
    assert_eq!(lab.peer(0, 1).unwrap().remote, before);
}

#[test]
fn a_seed_tells_who_it_is_and_the_answer_is_half_as_long() {
    let mut lab = scattered(&["b"]);
    let seeds: Vec<SocketAddr> = vec![([192, 0, 2, 101], 7000).into(), ([192, 0, 2, 60], 7000).into()];
    lab.command(0, |node, now| node.handle_seed(&seeds, now));
    lab.run(3 * SECOND);
    assert!(lab.connected(0, 1));
    let of = |wanted| lab.sent.iter().filter(move |f| stage(f) == Some(wanted)).map(|f| f.bytes.len());
    assert_eq!(of(HintStage::Ask).collect::<Vec<_>>(), [ASK_LENGTH; 2]);
    assert_eq!(of(HintStage::Answer).collect::<Vec<_>>(), [HINT_LENGTH]);
    const { assert!(HINT_LENGTH * 2 <= ASK_LENGTH) };
    lab.sent.clear();
    lab.run(600 * SECOND);
    assert_eq!(count(&lab, HintStage::Ask), 0, "until somebody is connected");
}

#[test]
fn seeds_that_do_not_answer_are_asked_ever_more_rarely() {
    let mut lab = scattered(&["b"]);
    lab.command(0, |node, now| node.handle_seed(&[([192, 0, 2, 60], 7000).into()], now));
    lab.run(60 * SECOND);
    let first = count(&lab, HintStage::Ask);
    assert!((3..=5).contains(&first), "{first}");
    lab.run(3600 * SECOND);
    let all = count(&lab, HintStage::Ask);
    assert!((first + 9..=first + 14).contains(&all), "{all}");
}

#[test]
fn asks_are_answered_within_an_allowance_and_not_to_the_revoked() {
    let mut lab = scattered(&["b"]);
    lab.command(0, |node, now| node.handle_seed(&[([192, 0, 2, 101], 7000).into()], now));
    let ask = lab.sent.iter().find(|flight| stage(flight) == Some(HintStage::Ask)).unwrap().clone();
    lab.lose = Box::new(|_| true);
    lab.sent.clear();
    // A stranger has caught it, and lets it come from elsewhere.
    let copy = Flight { from: Remote::udp("198.51.100.7:9".parse().unwrap()), ..ask };
    for _ in 0..1000 {
        lab.arrive(&copy);
    }
    assert_eq!(count(&lab, HintStage::Answer), HINTS_PER_PREFIX as usize);
    assert_eq!(lab.drops(1, DropReason::HintFlood), 1000 - u64::from(HINTS_PER_PREFIX));

    let mut lab = Lab::with(&["b", "c"]);
    lab.command(0, |node, now| node.revoke("b", now)).unwrap();
    lab.run(SECOND);
    let key = SealKey::who(lab.machines[0].network().secrets.current());
    let ask = hint(&lab, 1, &["192.0.2.50:7000"], 1).seal_ask(&key, [7; 12]);
    let bytes = write_hint(HintStage::Ask, 1, &ask);
    lab.sent.clear();
    lab.arrive(&Flight { from: lab.machines[1].remote, to: lab.machines[0].remote, bytes });
    assert_eq!(count(&lab, HintStage::Answer), 0);
    assert_eq!(lab.drops(0, DropReason::Hint), 1);
}

#[test]
fn answers_that_nobody_asked_for_end_at_the_gate() {
    let mut lab = Lab::with(&["b"]);
    let key = SealKey::who(lab.machines[0].network().secrets.current());
    let hint = hint(&lab, 1, &["192.0.2.50:7000"], 1);
    let beaconed = beacon(&lab, &hint);
    let answer = write_hint(HintStage::Answer, 1, &hint.seal(&key.answer_to(&[1; 12]), [7; 12]));
    for bytes in [answer, beaconed] {
        lab.arrive(&Flight { from: lab.machines[1].remote, to: lab.machines[0].remote, bytes });
    }
    assert_eq!(lab.drops(0, DropReason::Gate), 2);
}

#[test]
fn who_has_only_stale_addresses_is_found_by_the_dht_alone() {
    let mut lab = scattered(&["b", "c"]);
    enter_dht(&mut lab);
    Store::default().run(&mut lab, 20);
    for (a, b) in [(0, 1), (1, 2), (2, 0)] {
        assert!(lab.connected(a, b) && lab.connected(b, a), "{a} {b}");
    }
}

#[test]
fn who_lost_all_records_meets_the_others_at_the_rendezvous() {
    let mut lab = scattered(&["b", "c"]);
    // The founder alone is known to them, and is gone for good.
    for at in [1, 2] {
        lab.machines[at].is_up = false;
        lab.machines[at].files.remove(&crate::state::StateFile::Records);
        lab.machines[at].files.remove(&crate::state::StateFile::Contacts);
        lab.restart(at);
    }
    lab.machines[0].is_up = false;
    enter_dht(&mut lab);
    assert_eq!(lab.view(1).peers.len(), 0);
    Store::default().run(&mut lab, 30);
    assert!(lab.connected(1, 2) && lab.connected(2, 1));
}

#[test]
fn our_hint_is_left_when_it_changes_and_every_half_hour() {
    let mut lab = Lab::with(&["b"]);
    let puts = |lab: &mut Lab, seconds: u32| {
        lab.machines[0].dht.clear();
        lab.run(seconds * SECOND);
        let is_put = |request: &&DhtRequest| matches!(request, DhtRequest::Put { .. });
        lab.machines[0].dht.iter().filter(is_put).count()
    };
    enter_dht(&mut lab);
    let own = Slot::of_hint(
        lab.machines[0].network().secrets.current(),
        mailbox::day(super::lab::UNIX_S),
        &lab.id(0),
    );
    let first = lab.machines[0].dht.iter().find_map(|request| {
        let DhtRequest::Put { seed, value, .. } = request else { return None };
        (seed == own.seed()).then(|| value.clone())
    });
    let network = lab.machines[0].network().id();
    let hint = Hint::open(own.seal_key(), &network, &first.unwrap()).unwrap();
    assert_eq!(hint.body().node, lab.id(0));
    assert_eq!(puts(&mut lab, 1700), 0);
    assert_eq!(puts(&mut lab, 200), 1);
    lab.carry(0, 70);
    assert_eq!(puts(&mut lab, 30), 0, "not twice in a minute");
    lab.carry(0, 71);
    lab.carry(0, 72);
    assert_eq!(puts(&mut lab, 60), 1);
    tell(&mut lab, 0, DhtEvent::Put { seed: *own.seed(), nodes: 0 });
    assert_eq!(puts(&mut lab, 70), 1, "nobody took it");
}

#[test]
fn the_missing_are_looked_up_ever_more_rarely_and_few_at_a_time() {
    let mut lab = Lab::with(&["b"]);
    lab.machines[1].is_up = false;
    lab.run(40 * SECOND);
    assert!(!lab.connected(0, 1));
    enter_dht(&mut lab);
    let mut store = Store::default();
    store.run(&mut lab, 4);
    assert_eq!(store.gets.len(), 0, "perhaps it is there in a moment");
    store.run(&mut lab, 56);
    assert!((2..=4).contains(&store.gets.len()), "{}", store.gets.len());
    store.gets.clear();
    store.run(&mut lab, 3600);
    assert!((10..=14).contains(&store.gets.len()), "{}", store.gets.len());

    let mut lab = Lab::with(&["b", "c", "d", "e", "f", "g"]);
    (1..7).for_each(|at| lab.machines[at].is_up = false);
    lab.run(40 * SECOND);
    enter_dht(&mut lab);
    lab.run(20 * SECOND);
    let gets = lab.machines[0].dht.iter().filter(|r| matches!(r, DhtRequest::Get { .. })).count();
    assert_eq!(gets, DHT_LOOKUPS_MAX, "nobody has answered");
}

#[test]
fn what_others_write_into_a_slot_is_not_believed() {
    let mut lab = scattered(&["b", "c"]);
    enter_dht(&mut lab);
    lab.run(8 * SECOND);
    let secret = lab.machines[0].network().secrets.current();
    let slot = Slot::of_hint(secret, mailbox::day(super::lab::UNIX_S), &lab.id(1));
    // Any member could write there: its own hint, or nonsense.
    let foreign = hint(&lab, 2, &["192.0.2.50:7000"], 1).seal(slot.seal_key(), [1; 12]);
    for bytes in [foreign, vec![], vec![7; 352]] {
        tell(&mut lab, 0, DhtEvent::Value { seed: *slot.seed(), bytes });
    }
    assert_eq!(lab.drops(0, DropReason::Hint), 3);
    lab.run(10 * SECOND);
    assert_eq!(initiations_to(&lab, "192.0.2.50:7000".parse().unwrap()), 0);
}

#[test]
fn dht_nodes_are_asked_where_they_see_us_and_nobody_else_may_answer() {
    let mut lab = Lab::new();
    enter_dht(&mut lab);
    lab.run(SECOND);
    let pings: Vec<Flight> = lab.sent.iter().filter(|f| f.bytes[0] == b'd').cloned().collect();
    assert_eq!(pings.len(), 3);
    let answer =
        |ping: &Flight, from: Remote| Flight { from, ..ping_answer(ping, "55.1.2.3:7000".parse().unwrap()) };
    let stranger = Remote::udp("15.0.0.1:6881".parse().unwrap());
    lab.arrive(&answer(&pings[0], stranger));
    assert_eq!(lab.drops(0, DropReason::Unknown), 1);
    lab.arrive(&answer(&pings[0], pings[1].to));
    assert_eq!(lab.drops(0, DropReason::Unknown), 2, "another server's transaction");
    lab.arrive(&answer(&pings[0], pings[0].to));
    lab.arrive(&answer(&pings[0], pings[0].to));
    assert_eq!(lab.drops(0, DropReason::Unknown), 3, "each once");
    lab.arrive(&answer(&pings[1], pings[1].to));
    let seen = lab.view(0).candidates;
    assert!(seen.iter().any(|c| c.to_string() == "55.1.2.3:7000"), "{seen:?}");
}

#[test]
fn a_joiner_is_heard_on_the_lan() {
    let mut lab = Lab::new();
    let invite = lab.invite(0, &super::lab::any_member());
    // All addresses of the invite are dead.
    lab.carry(0, 100);
    let applicant = lab.apply(&invite, "b");
    lab.run(5 * SECOND);
    assert!(lab.applicants[applicant].outcome.is_none());
    lab.is_lan = true;
    lab.run(SECOND);
    lab.move_in(applicant);
    lab.run(SECOND);
    assert!(lab.connected(0, 1));
    let first = lab.sent.iter().find(|flight| flight.to == Remote::udp(GROUP)).unwrap();
    let mut bytes = first.bytes.clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let gate = lab.drops(0, DropReason::Gate);
    hear(&mut lab, 0, &bytes, "192.0.2.10:7000");
    assert_eq!(lab.drops(0, DropReason::Gate), gate + 1, "without the invite's secret");
}
