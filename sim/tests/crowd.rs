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
