//! `netns-tests/bench`: Hopmesh beside Debian's wireguard-go, two machines and one cable, in the same run.
//!
//! Figures differ from machine to machine and from hour to hour; the ratios less so. The two take turns within each
//! round and swap who is first from round to round, so that whatever else the machine does hits both.

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::Signal;

use netns_tests::{Lab, Machine, Process, cpu_seconds, iperf_tcp, median, wait_until};

const HELP: &str = "\
Usage: bench [--rounds N] [--seconds N]

  --rounds N   how often each of the two is measured (3)
  --seconds N  length of each TCP stream (5)
";
/// Pings of a measurement, 5 ms apart.
const PINGS: &str = "400";
/// How long a tunnel may take until its interface is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was measured in one round.
struct Sample {
    gbit_s: f64,
    cpu_s_gb: f64,
    ping_us: f64,
}

/// A tunnel that is up.
struct Tunnel {
    target: IpAddr,
    daemons: [u32; 2],
    running: Vec<Process>,
}

impl Drop for Tunnel {
    /// Politely, so that wireguard-go removes its socket, which lies outside of the lab.
    fn drop(&mut self) {
        for mut process in self.running.drain(..) {
            process.signal(Signal::TERM);
            let _ended = process.done(PATIENCE);
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((rounds, seconds)) = read(&arguments) else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    let mut samples: [Vec<Sample>; 2] = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let lab = Lab::new();
            let [a, b] = lab.crossover(["a", "b"]);
            let tunnel = if which == 0 { hopmesh(&a, &b) } else { wireguard_go(&a, &b) };
            samples[which].push(measure(&a, &b, &tunnel, seconds));
        }
    }
    print(&samples, rounds, seconds);
    ExitCode::SUCCESS
}

fn read(arguments: &[String]) -> Option<(usize, u32)> {
    let (mut rounds, mut seconds) = (3, 5);
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if name == "--rounds" => rounds = value.parse().ok().filter(|n| *n > 0)?,
            [name, value] if name == "--seconds" => seconds = value.parse().ok().filter(|n| *n > 0)?,
            _ => return None,
        }
    }
    Some((rounds, seconds))
}

fn hopmesh(a: &Machine, b: &Machine) -> Tunnel {
    a.up();
    let joined = b.join(&a.invite(&[]));
    Tunnel { target: joined.v4.into(), daemons: [a.pid(), b.pid()], running: Vec::new() }
}

fn wireguard_go(a: &Machine, b: &Machine) -> Tunnel {
    let sides = [(a, "a", "10.99.0.1"), (b, "b", "10.99.0.2")];
    // The interface's name is also that of a socket in /run/wireguard, which all namespaces share.
    let device = |side: &str| format!("hw{}{side}", std::process::id());
    let keys = sides.map(|(machine, ..)| {
        let path = machine.folder().join("key").display().to_string();
        let _said = machine.run(&["sh", "-c", &format!("umask 077; wg genkey > {path}")]).ok();
        (path.clone(), machine.run(&["sh", "-c", &format!("wg pubkey < {path}")]).ok().trim().to_owned())
    });
    let mut running = Vec::new();
    for (i, (machine, side, address)) in sides.into_iter().enumerate() {
        let (name, other) = (device(side), sides[1 - i]);
        running.push(machine.start(&["wireguard-go", "-f", &name]));
        let socket = format!("/run/wireguard/{name}.sock");
        wait_until("wireguard-go takes orders", PATIENCE, || Path::new(&socket).exists().then_some(()));
        let endpoint = format!("{}:51820", other.0.underlay4().expect("both have IPv4"));
        let peer = ["peer", &keys[1 - i].1, "allowed-ips", other.2, "endpoint", &endpoint];
        let set = ["wg", "set", &name, "listen-port", "51820", "private-key", &keys[i].0];
        let _said = machine.run(&[&set[..], &peer].concat()).ok();
        machine.ip(&format!("addr add {address}/24 dev {name}\nlink set {name} up"));
    }
    let daemons = [running[0].pid(), running[1].pid()];
    Tunnel { target: [10, 99, 0, 2].into(), daemons, running }
}

fn measure(a: &Machine, b: &Machine, tunnel: &Tunnel, seconds: u32) -> Sample {
    a.must_ping(tunnel.target);
    let text = a.run(&["ping", "-n", "-i", "0.005", "-c", PINGS, &tunnel.target.to_string()]).ok();
    let pings = netns_tests::Ping::parse(&text);
    let used = || tunnel.daemons.map(cpu_seconds).iter().sum::<f64>();
    let before = used();
    // The same congestion control whatever the kernel's default is.
    let told = iperf_tcp(a, b, tunnel.target, &["-C", "cubic", "-t", &seconds.to_string()]);
    let cpu_s = used() - before;
    let received = &told["end"]["sum_received"];
    let bytes = received["bytes"].as_f64().expect("iperf3 counts bytes");
    Sample {
        gbit_s: received["bits_per_second"].as_f64().expect("iperf3 computes a rate") / 1e9,
        cpu_s_gb: cpu_s / (bytes / 1e9),
        ping_us: median(&pings.rtt_ms) * 1000.0,
    }
}

fn print(samples: &[Vec<Sample>; 2], rounds: usize, seconds: u32) {
    println!("TCP, one stream of {seconds} s, cubic, veth 1500; medians of {rounds} rounds in turn\n");
    println!("{:<14} {:>8} {:>14} {:>14}", "", "Gbit/s", "CPU s/GB", "ping p50 µs");
    let middle = |which: usize, value: fn(&Sample) -> f64| {
        median(&samples[which].iter().map(value).collect::<Vec<_>>())
    };
    let all: [fn(&Sample) -> f64; 3] = [|s| s.gbit_s, |s| s.cpu_s_gb, |s| s.ping_us];
    let figures = [0, 1].map(|which| all.map(|value| middle(which, value)));
    for (name, [gbit_s, cpu_s_gb, ping_us]) in ["hopmesh", "wireguard-go"].into_iter().zip(figures) {
        println!("{name:<14} {gbit_s:>8.2} {cpu_s_gb:>14.2} {ping_us:>14.0}");
    }
    let [gbit_s, cpu_s_gb, ping_us] = [0, 1, 2].map(|i| figures[0][i] / figures[1][i]);
    println!("{:<14} {gbit_s:>8.2} {cpu_s_gb:>14.2} {ping_us:>14.2}", "ratio");
}
