//! `netns-tests/bench`: Hopmesh beside a bare cable and the tunnels of others that are installed, two machines and one cable, in the
//! same run; the table of `docs/performance.md`.
//!
//! Figures differ from machine to machine and from hour to hour; the ratios less so. The peers take turns within each
//! round, and another one is first in each, so that whatever else the machine does hits all of them.

mod arguments;
mod figure;
mod guest;
mod hop;
mod host;
mod iperf;
mod json;
mod measures;
mod meter;
mod needs;
mod page;
mod pair;
mod peers;
mod round;
mod start;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use arguments::{Arguments, HELP};
use figure::Samples;
use json::Lines;
use peers::Peer;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (what, words) = match words.split_first() {
        Some((first, rest)) if ["guest", "hop", "start"].contains(&first.as_str()) => {
            (first.clone(), rest.to_vec())
        }
        _ => (String::new(), words),
    };
    let Some(arguments) = Arguments::parse(&words) else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    let missing = needs::missing(needs::is_on_path);
    if !missing.is_empty() {
        eprintln!("{}", missing.join("\n"));
        return ExitCode::FAILURE;
    }
    let done = match what.as_str() {
        "guest" => guest::measure(&arguments),
        "hop" => hop::measure(&arguments),
        "start" => start::measure(arguments.rounds, arguments.writes),
        _ => compare(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Measures the peers in turn and shows the table.
fn compare(arguments: &Arguments) -> Result<(), String> {
    let peers = present(arguments);
    if peers.is_empty() {
        return Err("nothing to measure: no peer is installed".to_owned());
    }
    let reference = reference(arguments, &peers);
    let mut lines = Lines::open(arguments.json.as_deref())?;
    let mut samples: Vec<Samples> = peers.iter().map(|_| Samples::default()).collect();
    for round in 0..arguments.rounds {
        for turn in 0..peers.len() {
            let which = (round + turn) % peers.len();
            eprintln!("round {} of {}: {}", round + 1, arguments.rounds, peers[which].name);
            for (measure, figures) in round::run(peers[which], arguments) {
                lines.add(round, peers[which].name, measure, &figures)?;
                samples[which].add(round, &figures);
            }
        }
    }
    let columns: Vec<(&Peer, &Samples)> = peers.iter().copied().zip(&samples).collect();
    let text = format!("{}\n{}", table::table(&columns, reference), host::describe(arguments, &columns));
    println!("{text}");
    if arguments.writes { page::write("bench", &text) } else { Ok(()) }
}

/// Those that are asked for, or all, as far as they are installed; of the others it is said where to get them.
fn present(arguments: &Arguments) -> Vec<&'static Peer> {
    let wanted: Vec<&'static Peer> = arguments.peers.clone().unwrap_or_else(|| peers::ALL.iter().collect());
    let is_present = |peer: &&Peer| {
        let lacks = peer.lacks();
        if let Some(lacks) = &lacks {
            eprintln!("{} is left out: {lacks}", peer.name);
        }
        lacks.is_none()
    };
    wanted.into_iter().filter(is_present).collect()
}

fn reference(arguments: &Arguments, peers: &[&'static Peer]) -> &'static Peer {
    let usual = || peers.iter().find(|peer| peer.name == "wireguard-go");
    let other = || peers.iter().find(|peer| peer.name != "veth");
    let found = arguments.reference.or_else(|| usual().or_else(other).copied());
    found.unwrap_or(peers[0])
}

/// What something gives; `None` when it failed, which has been told on standard error.
fn attempt<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
