//! Many seeds: random networks, random disturbances, then healing; and histories of names. A seed that fails is printed and reproduces.

use sim::scenario::Failure;
use sim::{names, scenario};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Seeds of an ordinary run of networks.
const SEEDS: u64 = 1000;
/// Seeds of an ordinary run of histories of names.
const HISTORIES: u64 = 300;
/// Threads that share them.
const THREADS: usize = 2;

/// One seed instead of all, with its trace: `HOPMESH_SIM_SEED=7`; or how many: `HOPMESH_SIM_SEEDS=100`.
fn wish(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a person who looks for a failing seed says which one")]
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// Plays a seed, with or without a trace.
type Play = fn(u64, bool) -> Result<(), Failure>;

fn play(run: Play, seed: u64, keep_lines: bool) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(|| run(seed, keep_lines))) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failure)) => Err(format!("{}{}", failure.lines.join("\n"), failure.violation)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Err(text.or(panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
        }
    }
}

fn complaint(test: &str, seed: u64, why: &str) -> String {
    format!(
        "seed {seed} failed: {why}\nreproduce: HOPMESH_SIM_SEED={seed} cargo test -p hopmesh-sim --test seeds {test}"
    )
}

#[test]
fn networks_come_together_again() {
    play_all("networks", SEEDS, |seed, keep_lines| scenario::run(seed, keep_lines).map(drop));
}

#[test]
fn names_mean_the_same_to_all_and_never_what_they_meant_before() {
    play_all("names", HISTORIES, names::run);
}

fn play_all(test: &str, seeds: u64, run: Play) {
    if let Some(seed) = wish("HOPMESH_SIM_SEED") {
        return play(run, seed, true).unwrap_or_else(|why| panic!("{}", complaint(test, seed, &why)));
    }
    let (seeds, next) = (wish("HOPMESH_SIM_SEEDS").unwrap_or(seeds), AtomicU64::new(0));
    let work = || {
        let mut failed = vec![];
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds {
                return failed;
            }
            if let Err(why) = play(run, seed, false) {
                failed.push(complaint(test, seed, &why));
            }
        }
    };
    #[expect(clippy::disallowed_methods, reason = "seeds have nothing to do with each other")]
    let failed: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("panics are caught where a seed is played"))
            .collect()
    });
    assert!(failed.is_empty(), "{} of {seeds} seeds failed:\n{}", failed.len(), failed.join("\n"));
}
