//! The figures of `docs/registry.md`: what a node holds and sends when there are a thousand, ten thousand, a hundred thousand.
//!
//! `cargo run --release -p hopmesh-sim --example crowd [COUNT…]`

#![expect(clippy::disallowed_methods, reason = "sizes come from the command line, memory from the kernel")]

use sim::crowd::{Crowd, Surroundings};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// Nodes that join in a second.
const JOINS_PER_S: u32 = 1000;
/// Before anything is measured: shuffles have become as rare as they get.
const SETTLING: Duration = Duration::from_secs(480);
/// Over which idle traffic is measured: twice the longest interval of anything that is done often.
const IDLING: Duration = Duration::from_secs(240);
/// More are not killed: it takes an hour.
const KILLED_MAX: u32 = 10_000;
/// News over which an average is taken, after as many that make the tree.
const NEWS: u64 = 10;

fn main() {
    let counts: Vec<u32> = std::env::args().skip(1).filter_map(|count| count.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![1000, 10_000, 100_000] } else { counts };
    println!(
        "| nodes | entries of the views, most | known by, least / median / most | neighbours, mean | memory a node, KiB \
         | idle, B/s a node | handshakes a node and hour | records a node and news | bytes a node and news \
         | slowest news, s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    counts.iter().for_each(|count| rest(*count));
    println!("\n| nodes | killed | alive | largest part, at once | one whole after, s | news reaches |");
    println!("|---|---|---|---|---|---|");
    for count in counts.into_iter().filter(|count| *count <= KILLED_MAX) {
        [500, 800].into_iter().for_each(|per_mille| kill(count, per_mille));
    }
}

fn crowd(count: u32) -> Crowd {
    let mut crowd = Crowd::new(Surroundings::default(), 1);
    crowd.join(count, Duration::from_secs(count.div_ceil(JOINS_PER_S).into()));
    crowd.run(SETTLING);
    crowd
}

fn is_whole(crowd: &Crowd) -> bool {
    crowd.largest_component() == crowd.alive()
}

fn rest(count: u32) {
    let before = resident_kib();
    let mut crowd = crowd(count);
    let memory = resident_kib().saturating_sub(before) as f64 / f64::from(count);
    assert!(is_whole(&crowd), "{} of {count}", crowd.largest_component());
    crowd.take_traffic();
    crowd.run(IDLING);
    let idle = crowd.take_traffic();
    assert_eq!(idle.without_session, 0);
    let mut longest = Duration::ZERO;
    for news in 0..NEWS * 2 {
        if news == NEWS {
            crowd.take_traffic();
        }
        let news = crowd.publish();
        let took = crowd.run_until(MINUTE, |crowd| crowd.reached(news) == crowd.alive());
        assert!(took.is_some(), "{} of {count}", crowd.reached(news));
        longest = longest.max(crowd.spread_time());
    }
    let costs = crowd.take_traffic();
    let of_each = |total: u64| total as f64 / f64::from(count);
    let mut known_by = crowd.known_by();
    known_by.sort_unstable();
    let degrees = crowd.degrees();
    let links: usize = degrees.iter().enumerate().map(|(degree, nodes)| degree * nodes).sum();
    println!(
        "| {count} | {} | {} / {} / {} | {:.2} | {memory:.1} | {:.1} | {:.1} | {:.2} | {:.0} | {:.1} |",
        crowd.largest_views(),
        known_by[0],
        known_by[known_by.len() / 2],
        known_by[known_by.len() - 1],
        of_each(links as u64),
        of_each(idle.bytes()) / IDLING.as_secs_f64(),
        of_each(idle.handshake_count) * 3600.0 / IDLING.as_secs_f64(),
        of_each(costs.record_count) / NEWS as f64,
        of_each(costs.records + costs.news) / NEWS as f64,
        longest.as_secs_f64(),
    );
}

fn kill(count: u32, per_mille: u32) {
    let mut crowd = crowd(count);
    crowd.kill(per_mille);
    let part = crowd.largest_component();
    let took = crowd.run_until(MINUTE * 10, is_whole);
    let took = took.map_or("never".to_owned(), |took| took.as_secs().to_string());
    crowd.run(MINUTE);
    let news = crowd.publish();
    crowd.run(MINUTE);
    let share = per_mille / 10;
    let (alive, reached) = (crowd.alive(), crowd.reached(news));
    println!("| {count} | {share} % | {alive} | {part} | {took} | {reached} |");
}

/// Memory of this process, the simulator's own share included.
fn resident_kib() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4
}
