//! How many questions the DNS server answers, and how fast, with `dnsperf` as the judge: figures for docs/dns.md.
//!
//! `cargo bench -p hopmesh --bench dns`. The rate counts what one core would answer: answers by the processor time of the
//! server's thread, because dnsperf and the server share the machine.

#[path = "../src/dns/world.rs"]
mod world;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hopmesh::dns::{Dns, Domain};

/// Nodes of the zone, and services with eight instances each.
const NODES: u16 = 1000;
/// See [`NODES`].
const SERVICES: u16 = 200;
/// How long each run takes, in seconds.
const SECONDS: &str = "5";
/// A rate at which latency is measured: what is required of one core.
const RATE: &str = "50000";

fn main() {
    if Command::new("dnsperf").arg("-h").output().is_err() {
        println!("dns: install dnsperf to measure it");
        return;
    }
    let zone = zone();
    let (v4, v6) = world::RANGES;
    let ranges = (v4.parse().expect("a range"), v6.parse().expect("a range"));
    let domain = Domain::new(&zone.network, "internal", ranges.0, ranges.1).expect("a domain");
    let address = "127.0.0.1:0".parse().expect("an address");
    let dns = Dns::start(Arc::new(ArcSwap::from_pointee(zone)), domain, [address]).expect("a server");
    let port = dns.addresses()[0].port().to_string();
    println!(
        "{:<28} {:>10} {:>14} {:>9} {:>9} {:>9}",
        "questions", "answers/s", "/s of a core", "p50 µs", "p99 µs", "lost"
    );
    for (what, questions) in questions() {
        measure(what, &questions, &port);
    }
    println!("{:?}", dns.counted());
    dns.shutdown();
}

/// The world with many more nodes and services.
fn zone() -> overlay::Zone {
    let mut zone = world::home();
    for at in 0..NODES {
        world::add_node(&mut zone, &format!("node-{at}"), 1000 + at);
    }
    for at in 0..SERVICES {
        let instances = (0..8).map(|port| world::instance("server", 8000 + port));
        world::add_service(&mut zone, &format!("service-{at}"), instances);
    }
    zone
}

/// What is asked, a line each.
fn questions() -> [(&'static str, String); 4] {
    let nodes: String = (0..NODES).map(|at| format!("node-{at}.home.internal A\n")).collect();
    let services: String = (0..SERVICES).map(|at| format!("service-{at}.home.internal SRV\n")).collect();
    let nothing: String = (0..NODES).map(|at| format!("nobody-{at}.home.internal AAAA\n")).collect();
    let others: String = (0..NODES).map(|at| format!("host-{at}.example.com A\n")).collect();
    let mixed = [&nodes, &services, &nothing, &others].map(|kind| kind.lines().take(200).collect::<Vec<_>>());
    let mixed = (0..200).flat_map(|at| mixed.iter().map(move |kind| format!("{}\n", kind[at]))).collect();
    [
        ("A of nodes", nodes),
        ("SRV of eight instances", services),
        ("no such name", nothing),
        ("all of these", mixed),
    ]
}

fn measure(what: &str, questions: &str, port: &str) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(questions.as_bytes()).expect("questions");
    let path = file.path().to_str().expect("a plain path");
    let dnsperf = |more: &[&str]| {
        let mut command = Command::new("dnsperf");
        command.args(["-W", "-s", "127.0.0.1", "-p", port, "-d", path, "-l", SECONDS, "-c", "4", "-T", "1"]);
        let output = command.args(more).output().expect("dnsperf");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let before = thread_seconds();
    let full = dnsperf(&["-q", "100"]);
    let spent = thread_seconds() - before;
    let (answers, rate) = (figure(&full, "Queries completed:"), figure(&full, "Queries per second:"));
    let mut latencies = latencies(&dnsperf(&["-q", "100", "-Q", RATE, "-v"]));
    latencies.sort_unstable();
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or(0);
    let (median, p99, lost) = (at(50), at(99), figure(&full, "Queries lost:"));
    println!("{what:<28} {rate:>10.0} {:>14.0} {median:>9} {p99:>9} {lost:>9}", answers / spent);
}

/// The number behind a word of dnsperf's report.
fn figure(report: &str, word: &str) -> f64 {
    let line = report.lines().find_map(|line| line.trim().strip_prefix(word)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
}

/// Latencies in microseconds, out of lines like `> NOERROR node-1.home.internal A 0.000123`.
fn latencies(report: &str) -> Vec<u32> {
    let answers = report.lines().filter(|line| line.starts_with("> "));
    let seconds = answers.filter_map(|line| line.split_whitespace().last()?.parse::<f64>().ok());
    seconds.map(|seconds| (seconds * 1e6) as u32).collect()
}

/// Processor time of the server's thread, in seconds.
fn thread_seconds() -> f64 {
    let find = || {
        let mut threads = fs::read_dir("/proc/self/task").expect("procfs").filter_map(Result::ok);
        let is_server = |path: &Path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name == "dns\n");
        threads.find_map(|thread| Some(thread.path()).filter(|path| is_server(path)))
    };
    // A thread gets its name when it first runs.
    let path = std::iter::repeat_with(find).flatten().next().expect("there is a server");
    let schedule = fs::read_to_string(path.join("schedstat")).expect("schedstat");
    let nanoseconds = schedule.split_whitespace().next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.expect("a number") / 1e9
}
