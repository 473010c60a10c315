//! `bench guest`: what a device with WireGuard gets through a node that it is a guest of, beside what it gets through boringtun-cli on
//! the same machine, alone and under a flood of initiations with a right MAC.
//!
//! ```text
//! device (wireguard-go) ── lab ── host: Hopmesh, or boringtun-cli
//!                           └──── stranger, who sends again and again what the device began with
//! ```

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use netns_tests::{Guest, Lab, Machine, Process, captured_udp, cpu_seconds};

use crate::arguments::Arguments;
use crate::iperf::{Iperf, Stream};
use crate::meter::Meter;
use crate::needs::is_on_path;
use crate::peers::{CLEAN, hopmesh::node};
use crate::{page, pair};

/// How long a tunnel may take until the first packet comes through.
const PATIENCE: Duration = Duration::from_secs(40);
/// Datagrams of a flood, a second.
const FLOODS: [u32; 2] = [10_000, 50_000];
/// A flood sleeps so long between bursts.
const PAUSE: Duration = Duration::from_millis(2);
/// Where boringtun-cli listens, and its addresses in the tunnel.
const PORT: u16 = 51_820;
const INSIDE: [&str; 2] = ["10.99.0.1", "10.99.0.2"];
/// What a guest of a node has.
const MTU: u16 = 1280;
const COLUMNS: [&str; 5] =
    ["to the host, Gbit/s", "from it, Gbit/s", "host's CPU, s/GB", "left at 10 kpps", "left at 50 kpps"];

/// One host and what is around it.
struct Line<'a> {
    name: &'static str,
    device: &'a Machine,
    host: &'a Machine,
    stranger: &'a Machine,
    /// The host's address in the tunnel.
    target: IpAddr,
    daemon: u32,
    /// Where the stranger sends to, and what.
    door: SocketAddr,
    initiation: Vec<u8>,
    _kept: (Guest<'a>, Option<Process>),
}

/// What one turn gives, in the order of [`COLUMNS`], and the share of others.
type Sample = ([f64; COLUMNS.len()], f64);

/// Measures both in turn and shows the table.
///
/// # Errors
/// A sentence, when a program is missing or the page cannot be written.
pub(crate) fn measure(arguments: &Arguments) -> Result<(), String> {
    for (program, from) in
        [("boringtun-cli", "`cargo install boringtun-cli`"), ("wireguard-go", "Debian package wireguard-go")]
    {
        if !is_on_path(program) {
            return Err(format!("{program} is missing: {from}"));
        }
    }
    let labs = [Lab::new(), Lab::new()];
    let machines = labs.each_ref().map(|lab| ["device", "host", "stranger"].map(|name| lab.machine(name)));
    let lines = [theirs(&machines[0]), ours(&machines[1])];
    let names = lines.each_ref().map(|line| line.name);
    let samples = pair::in_turn(arguments.rounds, names, |which| lines[which].turn(arguments.seconds));
    let text = table(names, &samples, arguments);
    println!("{text}");
    if arguments.writes { page::write("guest", &text) } else { Ok(()) }
}

/// A node, and the device as its guest.
fn ours(machines: &[Machine; 3]) -> Line<'_> {
    let [_, host, _] = machines;
    let up = node(host, "", &["up"]);
    let added = host.json(&["guest", "add", "device"]);
    let configuration = added["configuration"].as_str().expect("`guest add` prints one");
    line("guest of Hopmesh", machines, (configuration, up.v4.into(), up.port), (host.pid(), None))
}

/// boringtun-cli, and the device as its peer.
fn theirs(machines: &[Machine; 3]) -> Line<'_> {
    let [_, host, _] = machines;
    let key = || host.run(&["wg", "genkey"]).ok().trim().to_owned();
    let public =
        |key: &str| host.run(&["sh", "-c", &format!("echo {key} | wg pubkey")]).ok().trim().to_owned();
    let (own, other) = (key(), key());
    let device = format!("bt{}", std::process::id());
    let words = ["env", "WG_SUDO=1", "boringtun-cli", "-f", "--disable-drop-privileges", &device];
    let process = host.start(&[&CLEAN[..], &words].concat());
    netns_tests::wait_until("boringtun-cli has its interface", PATIENCE, || {
        (host.run(&["wg", "show", &device]).code == Some(0)).then_some(())
    });
    let peer = public(&other);
    let setting = format!(
        "echo {own} | wg set {device} listen-port {PORT} private-key /dev/stdin peer {peer} allowed-ips {}/32",
        INSIDE[1]
    );
    let _set = host.run(&["sh", "-c", &setting]).ok();
    host.ip(&format!("addr add {}/24 dev {device}\nlink set {device} mtu {MTU} up", INSIDE[0]));
    let configuration = format!(
        "[Interface]\nPrivateKey = {other}\nAddress = {}/32\nMTU = {MTU}\n\n[Peer]\nPublicKey = {}\nEndpoint = {}:{PORT}\n\
        AllowedIPs = 10.99.0.0/24\nPersistentKeepalive = 25\n",
        INSIDE[1],
        public(&own),
        host.underlay4().expect("a lab has IPv4"),
    );
    let target = INSIDE[0].parse().expect("a literal");
    line("boringtun-cli", machines, (&configuration, target, PORT), (process.pid(), Some(process)))
}

/// Has the device begin, and keeps what it began with.
fn line<'a>(
    name: &'static str,
    [device, host, stranger]: &'a [Machine; 3],
    (configuration, target, port): (&str, IpAddr, u16),
    (daemon, process): (u32, Option<Process>),
) -> Line<'a> {
    let capture = device.capture("udp");
    let guest = Guest::up(device, configuration);
    device.await_ping(target, PATIENCE);
    let sent = captured_udp(&capture.stop());
    let initiation = sent.into_iter().find(|datagram| datagram.starts_with(&[1, 0, 0, 0])).expect("it began");
    let door = SocketAddr::new(host.underlay4().expect("a lab has IPv4").into(), port);
    Line { name, device, host, stranger, target, daemon, door, initiation, _kept: (guest, process) }
}

impl Line<'_> {
    fn turn(&self, seconds: u32) -> Sample {
        let daemons = [self.daemon];
        let meter = Meter::begin(&daemons);
        let before = cpu_seconds(self.daemon);
        let there = self.stream(seconds, &[]);
        let cpu_s = cpu_seconds(self.daemon) - before;
        let back = self.stream(seconds, &["-R"]);
        let foreign = meter.foreign();
        let left = FLOODS.map(|rate| self.flooded(rate, seconds).gbit_s / there.gbit_s);
        ([there.gbit_s, back.gbit_s, cpu_s / (there.bytes / 1e9), left[0], left[1]], foreign)
    }

    fn stream(&self, seconds: u32, words: &[&str]) -> Stream {
        let words = [&["-C", "cubic"], words].concat();
        let end = Iperf::start(self.device, self.host, self.target, seconds, &words).end();
        Stream::read(&end).expect("iperf3 tells what arrived")
    }

    /// A stream to the host while the stranger sends so many initiations a second.
    fn flooded(&self, rate: u32, seconds: u32) -> Stream {
        let is_over = AtomicBool::new(false);
        // A socket stays where it was opened.
        let socket = self.stranger.enter(|| UdpSocket::bind("0.0.0.0:0").expect("any port"));
        let (door, initiation) = (self.door, &self.initiation);
        std::thread::scope(|scope| {
            let flood = scope.spawn(|| flood(&socket, door, (initiation, rate), &is_over));
            let stream = self.stream(seconds, &[]);
            is_over.store(true, Ordering::Relaxed);
            flood.join().expect("sending does not fail");
            stream
        })
    }
}

/// Sends until it is over, never behind by more than a burst.
fn flood(socket: &UdpSocket, door: SocketAddr, (datagram, rate): (&[u8], u32), is_over: &AtomicBool) {
    let (begun, mut sent) = (Instant::now(), 0.0);
    while !is_over.load(Ordering::Relaxed) {
        let due = begun.elapsed().as_secs_f64() * f64::from(rate);
        while sent < due {
            // The echo of what was sent before may come as an error.
            let _refused = socket.send_to(datagram, door);
            sent += 1.0;
        }
        std::thread::sleep(PAUSE);
    }
}

/// All ratios are of the second line to the first, and medians of those within a round.
fn table(names: [&str; 2], samples: &[Vec<Sample>; 2], arguments: &Arguments) -> String {
    let mut text = format!(
        "| one TCP stream of a device | {} |\n|---|{}\n",
        COLUMNS.join(" | "),
        "---|".repeat(COLUMNS.len())
    );
    let mut row = |name: &str, of: &dyn Fn(usize) -> f64| {
        let figures: Vec<String> = (0..COLUMNS.len()).map(|column| format!("{:.2}", of(column))).collect();
        text += &format!("| {name} | {} |\n", figures.join(" | "));
    };
    for (name, samples) in names.iter().zip(samples) {
        row(name, &|column| pair::middle(samples, |(figures, _)| figures[column]));
    }
    row("ratio", &|column| pair::ratio(samples, |(figures, _)| figures[column]));
    let more = format!(", tunnels of {MTU} bytes; *left* is the share of the rate without a flood");
    text += &pair::foot(arguments, &more, samples, |(_, foreign)| *foreign);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_our_guests_to_boringtuns() {
        let sample = |rate| ([rate, 1.0, 1.0, 0.5, 0.5], 0.02);
        let samples = [vec![sample(2.0), sample(4.0)], vec![sample(1.0), sample(4.0)]];
        let text = table(["theirs", "ours"], &samples, &Arguments::parse(&[]).unwrap());
        assert!(text.contains("| theirs | 3.00 | 1.00 | 1.00 | 0.50 | 0.50 |\n"), "{text}");
        assert!(text.contains("| ratio | 0.75 | 1.00 | 1.00 | 1.00 | 1.00 |\n"), "{text}");
        assert!(text.contains("at most 2.0 % of the machine"), "{text}");
    }
}
