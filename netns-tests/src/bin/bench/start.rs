//! `bench start`: how long a node that is a member already takes until it is up, and how long wireguard-go takes until its interface
//! is there. A line for `true` shows what of each figure is the way into the namespace.

use std::ffi::OsString;
use std::fs;
use std::time::{Duration, Instant};

use netns_tests::{Lab, Machine, Process, median, quantile};
use rustix::process::Signal;

use crate::needs::is_on_path;
use crate::{host, page};

/// Nothing that is measured takes so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether an interface is there: the error of the figures.
const LOOK_AGAIN: Duration = Duration::from_micros(500);
/// What a node asks nobody outside by.
const CONFIGURATION: &str = "[dht]\nenabled = false\n[port_mapping]\nenabled = false\n";

/// What is started, and how long each time took, in milliseconds.
type Row = (&'static str, Vec<f64>);

/// Measures everything so many times in turn.
pub(crate) fn measure(rounds: usize, writes: bool) -> Result<(), String> {
    let lab = Lab::new();
    let (node, empty) = (member(&lab), lab.machine("empty"));
    let hopmesh = netns_tests::hopmesh().into_os_string();
    let mut rows: Vec<Row> = [
        "`true`",
        "`hopmesh --version`",
        "`hopmesh up`: the node is up",
        "`wireguard-go`: its interface is there",
    ]
    .map(|what| (what, vec![]))
    .into();
    for _ in 0..rounds {
        rows[0].1.push(run(&empty, &["true".into()]));
        rows[1].1.push(run(&empty, &[hopmesh.clone(), "--version".into()]));
        rows[2].1.push(up(&node));
        if is_on_path("wireguard-go") {
            let words = ["env", "LOG_LEVEL=error", "wireguard-go", "-f", "hmbench0"];
            rows[3].1.push(interface(&empty, &words, "hmbench0"));
        }
    }
    let text = format!("{}\n{rounds} rounds in turn. {}\n", table(&rows), host::machine());
    println!("{text}");
    if writes { page::write("start", &text) } else { Ok(()) }
}

/// A node with state: keys, a peer, records, a service.
fn member(lab: &Lab) -> Machine {
    let (node, other) = (lab.machine("node"), lab.machine("other"));
    [&node, &other].into_iter().for_each(|machine| machine.configure(CONFIGURATION));
    let up = node.up();
    other.join(&node.invite(&[]));
    other.must_ping(up.v4.into());
    let _published = node.json(&["publish", "web", "--port", "80"]);
    node.stop();
    node
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// A command, from start to end.
fn run(machine: &Machine, words: &[OsString]) -> f64 {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let begun = Instant::now();
    let _said = machine.run(&words).ok();
    milliseconds(begun)
}

/// A node, from its start until it says that it is up, which is when a service manager is told.
fn up(machine: &Machine) -> f64 {
    let begun = Instant::now();
    machine.up();
    let took = milliseconds(begun);
    machine.stop();
    took
}

/// A daemon, from its start until its interface is there.
fn interface(machine: &Machine, words: &[&str], name: &str) -> f64 {
    let begun = Instant::now();
    let mut process = machine.start(words);
    let took = machine.enter(|| {
        while !has_interface(name) {
            assert!(begun.elapsed() < PATIENCE, "{name} does not come");
            std::thread::sleep(LOOK_AGAIN);
        }
        milliseconds(begun)
    });
    end(&mut process);
    let _ended = process.done(PATIENCE);
    took
}

fn end(process: &mut Process) {
    process.signal(Signal::TERM);
}

/// Whether the namespace of this thread has it.
fn has_interface(name: &str) -> bool {
    let interfaces = fs::read_to_string("/proc/thread-self/net/dev").expect("every thread has such a file");
    interfaces
        .lines()
        .any(|line| line.trim_start().strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))
}

fn table(rows: &[Row]) -> String {
    let mut text = "| from exec until | p50, ms | least | p90 |\n|---|---|---|---|\n".to_owned();
    for (what, times) in rows.iter().filter(|(_, times)| !times.is_empty()) {
        let [least, p90] = [0.0, 0.9].map(|share| quantile(times, share));
        text += &format!("| {what} | {:.0} | {least:.0} | {p90:.0} |\n", median(times));
    }
    text
}
