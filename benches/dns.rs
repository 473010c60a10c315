//! How many questions the DNS server answers, and how fast, with `dnsperf` as the judge: figures for docs/dns.md.
//!
//! `cargo bench -p hopmesh --bench dns`. The rate counts what one core would answer: answers by the processor time of the
//! server's thread, because dnsperf and the server share the machine. The server has one core, dnsperf's two threads another. What
//! a loop does that turns every question around without a look at it is measured as well: that much is dnsperf and the kernel.

#[path = "../src/dns/world.rs"]
mod world;

use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
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
/// Name of the thread that turns questions around.
const MIRROR: &str = "mirror";
/// Cores of the server and of dnsperf.
const CORES: [&str; 2] = ["0", "1"];
/// Where dnsperf runs while latency is measured: its two threads would wait for each other on one core.
const ALL_CORES: &str = "0,1";
/// A rate at which latency is measured: what is required of one core.
const RATE: &str = "50000";

/// Questions that may be under way then. With the usual 100 dnsperf makes up for its own pauses by bursts that wait for each
/// other, which the 99th percentile shows, also of the loop that turns questions around.
const OUTSTANDING: &str = "20";

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
    let port = dns.addresses()[0].port();
    println!(
        "{:<28} {:>10} {:>14} {:>9} {:>9} {:>9}",
        "questions", "answers/s", "/s of a core", "p50 µs", "p99 µs", "lost"
    );
    let turned_around = mirror();
    let questions = questions();
    measure(("turned around", &questions[0].1), turned_around, MIRROR);
    for (what, questions) in &questions {
        measure((what, questions), port, "dns");
    }
    println!("{:?}", dns.counted());
    dns.shutdown();
}

/// A thread that answers every question with itself; its port.
fn mirror() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let port = socket.local_addr().expect("an address").port();
    let turn_around = move || {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            bytes[2] |= 0x80;
            let _unsent = socket.send_to(&bytes[..length], from);
        }
    };
    std::thread::Builder::new().name(MIRROR.to_owned()).spawn(turn_around).expect("a thread");
    port
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

fn measure((what, questions): (&str, &str), port: u16, thread: &str) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(questions.as_bytes()).expect("questions");
    let (path, port) = (file.path().to_str().expect("a plain path"), port.to_string());
    // Into a file: nobody competes for a core to read along.
    let dnsperf = |cores: &str, more: &[&str]| {
        let report = tempfile::NamedTempFile::new().expect("a file");
        let mut command = Command::new("taskset");
        command.args(["-c", cores, "dnsperf", "-W", "-s", "127.0.0.1", "-p", &port]);
        command.args(["-d", path, "-l", SECONDS, "-c", "4", "-T", "1"]).args(more);
        let output = command.stdout(report.reopen().expect("a file"));
        assert!(output.status().expect("dnsperf").success(), "dnsperf has failed");
        fs::read_to_string(report.path()).expect("a report")
    };
    let task = task(thread);
    let number = task.file_name().and_then(|name| name.to_str()).expect("a number");
    let pinned = Command::new("taskset").args(["-p", "-c", CORES[0], number]).output();
    assert!(pinned.expect("taskset").status.success(), "the server has no core of its own");
    let before = seconds_of(&task);
    let full = dnsperf(CORES[1], &["-q", "100"]);
    let spent = seconds_of(&task) - before;
    let (answers, rate) = (figure(&full, "Queries completed:"), figure(&full, "Queries per second:"));
    let mut latencies = latencies(&dnsperf(ALL_CORES, &["-q", OUTSTANDING, "-Q", RATE, "-v"]));
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

/// The folder of a thread of ours.
fn task(name: &str) -> PathBuf {
    let find = || {
        let mut threads = fs::read_dir("/proc/self/task").expect("procfs").filter_map(Result::ok);
        let has_name =
            |path: &Path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
        threads.find_map(|thread| Some(thread.path()).filter(|path| has_name(path)))
    };
    // A thread gets its name when it first runs.
    std::iter::repeat_with(find).flatten().next().expect("it runs")
}

/// Processor time of a thread, in seconds.
fn seconds_of(task: &Path) -> f64 {
    let schedule = fs::read_to_string(task.join("schedstat")).expect("schedstat");
    let nanoseconds = schedule.split_whitespace().next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.expect("a number") / 1e9
}
