//! The DNS server at real sockets on loopback, judged by `dig`, and by bytes that no honest client sends.

#![expect(clippy::unwrap_used, reason = "in a test, a panic that names the line is what is wanted")]

mod asking;
mod browsing;
mod evil;
mod serving;
mod shapes;
#[path = "../../src/dns/world.rs"]
mod world;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hopmesh::dns::{Dns, Domain};
use overlay::Zone;

/// How long an answer may take before a test says that there is none.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server at a free port of loopback.
struct Served {
    zone: Arc<ArcSwap<Zone>>,
    dns: Dns,
    address: SocketAddr,
}

impl Served {
    fn new() -> Self {
        let (v4, v6) = world::RANGES;
        let zone = world::home();
        let domain =
            Domain::new(&zone.network, "internal", v4.parse().unwrap(), v6.parse().unwrap()).unwrap();
        let zone = Arc::new(ArcSwap::from_pointee(zone));
        let dns = Dns::start(zone.clone(), domain, ["127.0.0.1:0".parse().unwrap()]).unwrap();
        assert!(dns.problems().is_empty());
        let address = dns.addresses()[0];
        Self { zone, dns, address }
    }

    /// What `dig` prints.
    fn dig(&self, arguments: &str) -> String {
        let mut dig = Command::new("dig");
        dig.args(["@127.0.0.1", "-p", &self.address.port().to_string(), "+tries=1", "+time=30", "+nocookie"]);
        let output =
            dig.args(arguments.split(' ')).output().expect("the Debian package bind9-dnsutils is installed");
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && !printed.contains(";; Warning"), "dig {arguments}: {printed}");
        printed
    }

    /// The records that `dig` finds, a line each.
    fn found(&self, arguments: &str) -> Vec<String> {
        self.dig(&format!("+short {arguments}")).lines().map(str::to_owned).collect()
    }

    /// A client's UDP socket.
    fn udp(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// A client's connection.
    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// A question of these labels, type A.
fn question(id: u16, labels: &[&[u8]]) -> Vec<u8> {
    let mut bytes = [id, 0x0100, 1, 0, 0, 0].into_iter().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    for label in labels {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(*label);
    }
    bytes.extend(b"\0\0\x01\0\x01");
    bytes
}

/// The response code of an answer, and how many records it has.
fn outcome(answer: &[u8]) -> (u8, u16) {
    (answer[3] & 15, u16::from_be_bytes([answer[6], answer[7]]))
}

/// Asks over UDP.
fn ask(socket: &UdpSocket, question: &[u8]) -> Vec<u8> {
    socket.send(question).unwrap();
    let mut answer = vec![0; 65_535];
    let length = socket.recv(&mut answer).unwrap();
    answer.truncate(length);
    answer
}

fn say(stream: &mut TcpStream, question: &[u8]) {
    let length = u16::try_from(question.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, question].concat()).unwrap();
}

fn hear(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer).unwrap();
    answer
}

/// A question that has an answer.
fn laptop(id: u16) -> Vec<u8> {
    question(id, &[b"laptop", b"home", b"internal"])
}
