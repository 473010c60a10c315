//! Bulk traffic between two machines: iperf3 for quantity, a hashed stream for content, single datagrams.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use ring::digest::{Context, Digest, SHA256};
use serde_json::Value;

use crate::{Dice, Machine, Process};

/// A stream that stands still this long has failed.
const STALL: Duration = Duration::from_secs(20);
/// How long an iperf3 may take until it listens.
const LISTENS: Duration = Duration::from_secs(10);

/// iperf3 over TCP with extra `args`; gives its JSON.
///
/// # Panics
/// When iperf3 fails.
#[must_use]
pub fn iperf_tcp(from: &Machine, to: &Machine, address: IpAddr, args: &[&str]) -> Value {
    iperf(from, to, address, args)
}

/// iperf3 over UDP with extra `args`; gives its JSON.
///
/// # Panics
/// When iperf3 fails.
#[must_use]
pub fn iperf_udp(from: &Machine, to: &Machine, address: IpAddr, args: &[&str]) -> Value {
    iperf(from, to, address, &[&["-u"], args].concat())
}

fn iperf(from: &Machine, to: &Machine, address: IpAddr, args: &[&str]) -> Value {
    let _server = iperf_server(to, address);
    let address = address.to_string();
    let text = from.run(&[&["iperf3", "-J", "-c", &address], args].concat()).ok();
    serde_json::from_str(&text).expect("iperf3 -J prints JSON")
}

/// An iperf3 that listens, for one run.
///
/// # Panics
/// When it does not.
#[must_use]
pub fn iperf_server(on: &Machine, address: IpAddr) -> Process {
    let server = on.start(&["iperf3", "-s", "-1", "-B", &address.to_string(), "--forceflush"]);
    let listening = |said: &str| said.contains("Server listening").then_some(());
    let ready = server.wait_stdout(LISTENS, listening);
    assert!(ready.is_some(), "iperf3 does not listen on {address}: {}{}", server.stdout(), server.stderr());
    server
}

/// Sends `size` random bytes in pieces of random sizes over TCP and asserts that both ends compute the same SHA-256.
///
/// # Panics
/// When the stream breaks, stands still, or the hashes differ.
pub fn hashed_transfer(from: &Machine, to: &Machine, address: IpAddr, size: usize) {
    let listener = to.enter(|| TcpListener::bind((address, 0)).expect("a mesh address can be listened on"));
    let target = listener.local_addr().expect("bound");
    let receiver = std::thread::spawn(move || receive(&listener));
    let sent = from.enter(|| send(target, size));
    let (received, count) = receiver.join().expect("the receiver panics only on a broken stream");
    assert_eq!(count, size, "bytes arrived");
    assert_eq!(sent.as_ref(), received.as_ref(), "SHA-256 of {size} bytes");
}

fn send(target: SocketAddr, size: usize) -> Digest {
    let mut stream = TcpStream::connect_timeout(&target, STALL).expect("the mesh carries TCP");
    stream.set_write_timeout(Some(STALL)).expect("not zero");
    let mut dice = Dice::new(size as u64);
    let mut hash = Context::new(&SHA256);
    let mut block = vec![0; 1 << 18];
    let mut left = size;
    while left > 0 {
        // Of any size, so that some of it leaves in superpackets, some by itself.
        let most = if dice.below(4) == 0 { 2000 } else { block.len() };
        let part = &mut block[..left.min(dice.below(most) + 1)];
        dice.fill(part);
        hash.update(part);
        stream.write_all(part).expect("the stream goes on");
        left -= part.len();
    }
    hash.finish()
}

fn receive(listener: &TcpListener) -> (Digest, usize) {
    let (mut stream, _) = listener.accept().expect("the sender connects");
    stream.set_read_timeout(Some(STALL)).expect("not zero");
    let mut hash = Context::new(&SHA256);
    let mut block = vec![0; 1 << 18];
    let mut count = 0;
    loop {
        let size = stream.read(&mut block).expect("the stream goes on");
        if size == 0 {
            return (hash.finish(), count);
        }
        hash.update(&block[..size]);
        count += size;
    }
}

/// Sends `payloads` from `source` to `target`, each in a datagram of its own, and tells which of them arrived before
/// `last`, which is sent from `honest` until it does.
///
/// # Panics
/// When `last` never arrives.
#[must_use]
pub fn receives(
    from: &Machine,
    to: &Machine,
    source: IpAddr,
    honest: IpAddr,
    target: IpAddr,
) -> Vec<Vec<u8>> {
    let inbox = to.enter(|| UdpSocket::bind((target, 0)).expect("a mesh address can be bound"));
    inbox.set_read_timeout(Some(Duration::from_millis(100))).expect("not zero");
    let address = inbox.local_addr().expect("bound");
    let (alien, known) = from.enter(|| {
        let bind = |ip| UdpSocket::bind((ip, 0)).unwrap_or_else(|error| panic!("cannot bind {ip}: {error}"));
        (bind(source), bind(honest))
    });
    for _ in 0..10 {
        // The kernel may refuse at once what the node answered with an ICMP error before.
        let _refused = alien.send_to(b"alien", address);
    }
    let mut arrived = Vec::new();
    let mut buffer = [0; 64];
    for _ in 0..100 {
        let _refused = known.send_to(b"last", address);
        while let Ok(size) = inbox.recv(&mut buffer) {
            if &buffer[..size] == b"last" {
                return arrived;
            }
            arrived.push(buffer[..size].to_vec());
        }
    }
    panic!("not even an honest datagram gets from {honest} to {target}")
}
