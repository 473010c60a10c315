//! `netns-tests/bench paths`: what paths between machines behind NATs cost, as the tables of `docs/paths.md`.
//!
//! Figures differ from machine to machine and from hour to hour. Each run has a lab of its own where anything could be
//! remembered, and what is compared takes turns.

mod event;
mod join;
mod keepalive;
mod switch;
mod throughput;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use netns_tests::{Conduct, Internet, Machine, NatKind, Plan, Router, quantile};

const HELP: &str = "\
Usage: bench paths [--runs N] [WHAT...]

  --runs N  how often each is measured (10 joins, 5 of all else; keepalive once)
  WHAT      join, switch, event, throughput, keepalive; all of them unless said
";
/// What can be measured: its name, the number of runs unless told otherwise, and how.
type What = (&'static str, usize, fn(usize));
const ALL: [What; 5] = [
    ("join", 10, join::measure),
    ("switch", 5, switch::measure),
    ("event", 5, event::measure),
    ("throughput", 5, throughput::measure),
    ("keepalive", 1, keepalive::measure),
];
/// How long the way of a home to the internet takes.
const WIRE_MS: u64 = 10;
/// For whatever has to come before a measurement.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((runs, chosen)) = read(&arguments) else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    for (name, usual, measure) in ALL {
        if chosen.is_empty() || chosen.iter().any(|one| one == name) {
            measure(runs.unwrap_or(usual));
        }
    }
    ExitCode::SUCCESS
}

fn read(arguments: &[String]) -> Option<(Option<usize>, Vec<String>)> {
    let (runs, chosen) = match arguments {
        [name, runs, chosen @ ..] if name == "--runs" => {
            (Some(runs.parse().ok().filter(|n| *n > 0)?), chosen)
        }
        chosen => (None, chosen),
    };
    let known = |one: &String| ALL.iter().any(|(name, ..)| name == one);
    chosen.iter().all(known).then(|| (runs, chosen.to_vec()))
}

/// A home of that kind, as far from the internet as all homes here.
fn home(internet: &Internet, kind: NatKind) -> Router {
    internet.home(Plan::new(kind).wire(Conduct::delay_ms(WIRE_MS)))
}

/// The first mesh address of the node on a machine.
fn address(machine: &Machine) -> std::net::IpAddr {
    let status = machine.status();
    status["node"]["addresses"][0].as_str().and_then(|text| text.parse().ok()).expect("a node has addresses")
}

/// What a run gives; `None` when it failed, which its machines have told on standard error.
fn attempt<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

/// The middle and the 95th of a hundred, for a table.
fn p50_p95(values: &[f64], decimals: usize) -> String {
    if values.is_empty() {
        return "– | –".to_owned();
    }
    format!("{:.decimals$} | {:.decimals$}", quantile(values, 0.5), quantile(values, 0.95))
}
