//! `netns-tests/bench names`: how long after `publish` every node of a network answers the name by DNS.
//!
//! All nodes are on one segment. Each is asked by plain UDP at its own mesh address, from its own namespace, again and
//! again until it answers; time begins with the start of the command `publish`, so its own is in the figures.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use netns_tests::{Lab, Machine, quantile, wait_until};

const HELP: &str = "\
Usage: bench names [--nodes N] [--services N]

  --nodes N     so many nodes on one segment (20)
  --services N  so many services are published, one after the other, by the first node (30)
";
/// How often a node that does not answer yet is asked again: the error of the figures.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// For whatever has to come before a measurement, and for a name that does not spread.
const PATIENCE: Duration = Duration::from_secs(120);
/// The header of a question (RFC 1035): an id, recursion not desired, one question.
const HEADER: [u8; 12] = [0x4d, 0x48, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
/// Type A, class IN.
const A_IN: [u8; 4] = [0, 1, 0, 1];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((nodes, services)) = read(&arguments) else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    let lab = Lab::new();
    let (machines, resolvers) = network(&lab, nodes);
    let (mut each, mut all) = (Vec::new(), Vec::new());
    for number in 1..=services {
        let name = format!("service-{number}");
        let seconds = spread(&machines[0], &resolvers, &name);
        let last = quantile(&seconds, 1.0);
        eprintln!("{name}: {last:.2} s");
        all.push(last);
        each.extend(seconds);
    }
    println!("\n| from `publish` until DNS answers, {nodes} nodes | names | p50, s | p99, s | most, s |");
    println!("|---|---|---|---|---|");
    row("at all nodes", services, &all);
    row("at each node", services, &each);
    ExitCode::SUCCESS
}

fn read(arguments: &[String]) -> Option<(usize, usize)> {
    let (mut nodes, mut services) = (20, 30);
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if name == "--nodes" => nodes = value.parse().ok().filter(|n| *n > 0)?,
            [name, value] if name == "--services" => services = value.parse().ok().filter(|n| *n > 0)?,
            _ => return None,
        }
    }
    Some((nodes, services))
}

/// Nodes that know each other, and a socket on each that is connected to its DNS server.
fn network(lab: &Lab, nodes: usize) -> (Vec<Machine>, Vec<UdpSocket>) {
    let mut machines: Vec<Machine> = Vec::new();
    let mut resolvers = Vec::new();
    for number in 1..=nodes {
        let machine = lab.machine(&format!("n{number}"));
        let up = match machines.first() {
            None => machine.up(),
            Some(first) => machine.join(&first.invite(&[])),
        };
        resolvers.push(resolver(&machine, up.v4));
        machines.push(machine);
    }
    for machine in &machines {
        wait_until(&format!("{} knows all others", machine.name()), PATIENCE, || {
            (machine.status()["peers"].as_array()?.len() == nodes - 1).then_some(())
        });
    }
    (machines, resolvers)
}

fn resolver(machine: &Machine, address: Ipv4Addr) -> UdpSocket {
    let socket = machine.enter(|| UdpSocket::bind((address, 0)).expect("a mesh address can be bound"));
    socket.connect(SocketAddr::from((address, 53))).expect("an address of its own is reachable");
    socket.set_read_timeout(Some(ASK_AGAIN)).expect("not zero");
    socket
}

/// Publishes a name, and tells after how many seconds each of the nodes has answered it.
fn spread(publisher: &Machine, resolvers: &[UdpSocket], name: &str) -> Vec<f64> {
    let question = question(name);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let asking: Vec<_> =
            resolvers.iter().map(|resolver| scope.spawn(|| answered(resolver, &question))).collect();
        publisher.json(&["publish", name, "--port", "80"]);
        let ends = asking.into_iter().map(|asks| asks.join().expect("it answers in time"));
        ends.map(|end| end.duration_since(begun).as_secs_f64()).collect()
    })
}

/// Asks until there is an answer with addresses, and tells when it came.
fn answered(resolver: &UdpSocket, question: &[u8]) -> Instant {
    let begun = Instant::now();
    let mut reply = [0; 512];
    loop {
        let asked = Instant::now();
        assert!(asked.duration_since(begun) < PATIENCE, "a node does not answer the name");
        resolver.send(question).expect("DNS is served at a node's own address");
        match resolver.recv(&mut reply) {
            // The number of answers is in the header, the question behind it.
            Ok(size) if reply[12..size].starts_with(&question[12..]) && reply[6..8] != [0, 0] => {
                return Instant::now();
            }
            Ok(_) => std::thread::sleep(ASK_AGAIN.saturating_sub(asked.elapsed())),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("DNS is served at a node's own address: {error}"),
        }
    }
}

/// A question for the addresses of a service.
fn question(name: &str) -> Vec<u8> {
    let labels = [name, "home", "internal", ""];
    let length = |label: &str| u8::try_from(label.len()).expect("a label has at most 63 bytes");
    let name = labels.into_iter().flat_map(|label| [&[length(label)], label.as_bytes()].concat());
    HEADER.into_iter().chain(name).chain(A_IN).collect()
}

fn row(what: &str, names: usize, seconds: &[f64]) {
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| quantile(seconds, share));
    println!("| {what} | {names} | {p50:.2} | {p99:.2} | {most:.2} |");
}
