//! What a hop adds: Hopmesh's own forwarding beside a plain forwarder of datagrams with the same sockets and the same loop.
//!
//! ```text
//! a ── internet ── hop ── internet ── b      nothing gets from a to b, or back, by another way
//! ```
//!
//! Both ends are nodes. Either the hop is a node too, and carries a circuit; or it runs `examples/forwarder.rs`, which passes
//! on what one end sends to the other, and each end takes it for the address of the other.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use netns_tests::{Internet, Machine, Process, await_path, cpu_seconds};

use crate::arguments::Arguments;
use crate::iperf::{Iperf, Stream};
use crate::meter::Meter;
use crate::peers::CLEAN;
use crate::peers::hopmesh::node;
use crate::{page, pair};

/// How long nodes may take until they reach each other by the way that is measured.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the plain forwarder listens, and the founder.
const PORT: u16 = 41_000;

/// One way to be measured.
struct Line {
    name: &'static str,
    a: Machine,
    b: Machine,
    target: IpAddr,
    /// The program in the middle.
    middle: u32,
    daemons: Vec<u32>,
    _kept: (Internet, Machine, Option<Process>),
}

/// One stream over a line.
#[derive(Debug, Clone, Copy)]
struct Sample {
    gbit_s: f64,
    middle_s_gb: f64,
    all_s_gb: f64,
    foreign: f64,
}

/// Measures both in turn and shows the table.
///
/// # Errors
/// A sentence, when the forwarder is not built or the page cannot be written.
pub(crate) fn measure(arguments: &Arguments) -> Result<(), String> {
    let lines = [plain(&forwarder()?), circuit()];
    let names = lines.each_ref().map(|line| line.name);
    let samples = pair::in_turn(arguments.rounds, names, |which| lines[which].stream(arguments.seconds));
    let text = table(names, &samples, arguments);
    println!("{text}");
    if arguments.writes { page::write("hop", &text) } else { Ok(()) }
}

/// The program that `examples/forwarder.rs` became.
fn forwarder() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = own.with_file_name("examples").join("forwarder");
    let needed = "cargo build --release --package hopmesh-netns-tests --example forwarder";
    if path.is_file() { Ok(path) } else { Err(format!("the forwarder is not built: {needed}")) }
}

/// Three machines of which the outer two do not hear each other.
fn machines() -> (Internet, [Machine; 3]) {
    let internet = Internet::new();
    let line = internet.line(["a", "hop", "b"]);
    (internet, line)
}

/// The hop is a node.
fn circuit() -> Line {
    let (internet, [a, hop, b]) = machines();
    node(&hop, "", &["up"]);
    node(&a, "", &["join", &hop.invite(&[])]);
    let joined = node(&b, "", &["join", &hop.invite(&[])]);
    for (from, to) in [(&a, "b"), (&b, "a")] {
        await_path(from, to, PATIENCE, |path| path.is_via());
    }
    let target = joined.v4.into();
    a.await_ping(target, PATIENCE);
    let (middle, daemons) = (hop.pid(), vec![a.pid(), hop.pid(), b.pid()]);
    Line { name: "Hopmesh hop", a, b, target, middle, daemons, _kept: (internet, hop, None) }
}

/// The hop forwards datagrams and knows nothing of nodes.
fn plain(forwarder: &std::path::Path) -> Line {
    let (internet, [a, hop, b]) = machines();
    let address = |machine: &Machine| -> Ipv4Addr { machine.underlay4().expect("public machines have IPv4") };
    let (port, founder) = (PORT.to_string(), format!("{}:{PORT}", address(&a)));
    let program = forwarder.display().to_string();
    let process = hop.start(&[&CLEAN[..], &[&program, &port, &founder]].concat());
    let ready = process.wait_stdout(PATIENCE, |said| said.contains("forwards").then_some(()));
    assert!(ready.is_some(), "the forwarder does not start: {}", process.stderr());
    let advertised =
        format!("[listen]\nport = {PORT}\n[addresses]\nadvertise = [\"{}:{PORT}\"]\n", address(&hop));
    node(&a, &advertised, &["up"]);
    let joined = node(&b, "", &["join", &a.invite(&[])]);
    let target = joined.v4.into();
    a.await_ping(target, PATIENCE);
    for (from, to) in [(&a, "b"), (&b, "a")] {
        await_path(from, to, PATIENCE, |path| path.is_direct());
    }
    let (middle, daemons) = (process.pid(), vec![a.pid(), process.pid(), b.pid()]);
    Line { name: "plain forwarder", a, b, target, middle, daemons, _kept: (internet, hop, Some(process)) }
}

impl Line {
    fn stream(&self, seconds: u32) -> Sample {
        let used =
            || (cpu_seconds(self.middle), self.daemons.iter().map(|pid| cpu_seconds(*pid)).sum::<f64>());
        let meter = Meter::begin(&self.daemons);
        let before = used();
        let end = Iperf::start(&self.a, &self.b, self.target, seconds, &["-C", "cubic"]).end();
        let now = used();
        let foreign = meter.foreign();
        let Stream { gbit_s, bytes } = Stream::read(&end).expect("iperf3 tells what arrived");
        let gb = bytes / 1e9;
        Sample { gbit_s, middle_s_gb: (now.0 - before.0) / gb, all_s_gb: (now.1 - before.1) / gb, foreign }
    }
}

/// All ratios are of the second line to the first, and medians of those within a round.
fn table(names: [&str; 2], samples: &[Vec<Sample>; 2], arguments: &Arguments) -> String {
    let mut text = "| one TCP stream over | Gbit/s | CPU in the middle, s/GB | CPU of all three, s/GB |\n|---|---|---|---|\n".to_owned();
    let columns: [fn(&Sample) -> f64; 3] = [|s| s.gbit_s, |s| s.middle_s_gb, |s| s.all_s_gb];
    let mut row = |name: &str, [rate, own, all]: [f64; 3]| {
        text += &format!("| {name} | {rate:.2} | {own:.2} | {all:.2} |\n");
    };
    for (name, samples) in names.iter().zip(samples) {
        row(name, columns.map(|of| pair::middle(samples, of)));
    }
    row("ratio", columns.map(|of| pair::ratio(samples, of)));
    text += &pair::foot(arguments, "", samples, |sample| sample.foreign);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_hop_to_the_plain_forwarder() {
        let sample = |gbit_s, middle_s_gb| Sample { gbit_s, middle_s_gb, all_s_gb: 4.0, foreign: 0.02 };
        let samples = [vec![sample(2.0, 1.0), sample(4.0, 1.0)], vec![sample(1.0, 1.5), sample(4.0, 0.5)]];
        let arguments = Arguments::parse(&[]).unwrap();
        let text = table(["plain", "hop"], &samples, &arguments);
        assert!(text.contains("| plain | 3.00 | 1.00 | 4.00 |\n"), "{text}");
        assert!(text.contains("| ratio | 0.75 | 1.00 | 1.00 |\n"), "{text}");
        assert!(text.contains("at most 2.0 % of the machine"), "{text}");
    }
}
