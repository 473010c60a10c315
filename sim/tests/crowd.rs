//! Many nodes with nothing but their views and their broadcast: one whole, whatever dies.

use sim::crowd::{Crowd, Surroundings};
use std::time::Duration;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn is_whole(crowd: &Crowd) -> bool {
    crowd.largest_component() == crowd.alive()
}

/// A crowd of so many that has come to rest.
fn crowd(count: u32, surroundings: Surroundings, seed: u64) -> Crowd {
    let mut crowd = Crowd::new(surroundings, seed);
    crowd.join(count, s(60));
    crowd.run(s(300));
    assert!(is_whole(&crowd), "{} of {count}", crowd.largest_component());
    crowd
}

fn assert_news_reaches_all(crowd: &mut Crowd) {
    let news = crowd.publish();
    crowd.run(s(10));
    assert_eq!(crowd.reached(news), crowd.alive());
}

#[test]
fn a_thousand_are_one_whole_and_hear_everything() {
    let mut crowd = crowd(1000, Surroundings::default(), 1);
    for _ in 0..20 {
        assert_news_reaches_all(&mut crowd);
    }
    crowd.take_traffic();
    assert_news_reaches_all(&mut crowd);
    let traffic = crowd.take_traffic();
    assert!(traffic.record_count < 2 * 1000, "a tree, not a flood: {traffic:?}");
    assert_eq!(traffic.without_session, 0, "{traffic:?}");
}

#[test]
fn whoever_survives_is_one_whole() {
    for (killed_per_mille, seed) in [(500, 1), (800, 2), (800, 3)] {
        let mut crowd = crowd(1000, Surroundings::default(), seed);
        crowd.kill(killed_per_mille);
        let took = crowd.run_until(s(300), is_whole);
        assert!(took.is_some(), "{} of {}", crowd.largest_component(), crowd.alive());
        crowd.run(s(120));
        assert!(is_whole(&crowd));
        assert_news_reaches_all(&mut crowd);
    }
}

#[test]
fn pairs_that_cannot_reach_each_other_do_not_matter() {
    let surroundings = Surroundings { blocked_per_mille: 300, loss_per_mille: 50, ..Surroundings::default() };
    let mut crowd = crowd(500, surroundings, 4);
    for _ in 0..5 {
        assert_news_reaches_all(&mut crowd);
    }
}

#[test]
fn halves_that_were_apart_for_long_grow_together() {
    let mut crowd = crowd(200, Surroundings::default(), 5);
    crowd.cut(true);
    crowd.run(s(3600));
    assert!(crowd.largest_component() <= 100, "each half is on its own");
    crowd.cut(false);
    assert!(crowd.run_until(s(600), is_whole).is_some(), "{}", crowd.largest_component());
    assert_news_reaches_all(&mut crowd);
}

#[test]
fn newcomers_are_taken_in_and_the_old_are_known() {
    let mut crowd = crowd(300, Surroundings::default(), 6);
    crowd.run(s(3600));
    crowd.join(300, s(30));
    crowd.run(s(600));
    assert!(is_whole(&crowd));
    assert_eq!(crowd.one_sided(), 0);
    let degrees = crowd.degrees();
    assert_eq!(degrees[..3], [0, 0, 0], "everybody has enough neighbours: {degrees:?}");
    let known_by = crowd.known_by();
    let mean = |counts: &[usize]| counts.iter().sum::<usize>() as f64 / counts.len() as f64;
    let (old, new) = (mean(&known_by[..300]), mean(&known_by[300..]));
    assert!(old > new && new > 5.0, "the old are known better, the new well enough: {old} {new}");
}

#[test]
fn the_same_seed_does_the_same() {
    let run = |seed| {
        let mut crowd = crowd(100, Surroundings::default(), seed);
        crowd.publish();
        crowd.run(s(100));
        (crowd.take_traffic().bytes(), crowd.known_by(), crowd.sessions())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
