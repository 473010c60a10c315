//! A DHT of our own: nodes of the `mainline` crate that serve on loopback, and clients of it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use config::HostPort;
use hopmesh::discovery::dht::{Dht, Ended, Event, Settings};
use mainline::Testnet;
use overlay::DhtRequest;
use wire::bep5::{PingAnswer, write_ping};

/// Nodes of the network: as many as its closest set has, so that each value is on most of them.
const NODES: usize = 20;
/// After this nothing comes any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// The nodes; they end when it is dropped.
pub(crate) fn network() -> Testnet {
    Testnet::builder(NODES).build().unwrap()
}

/// A client that enters by these nodes.
pub(crate) fn client(entries: &[String]) -> Dht {
    let bootstrap: Vec<HostPort> = entries.iter().map(|entry| entry.parse().unwrap()).collect();
    Dht::start(Settings { bootstrap: Some(bootstrap), contacts: vec![], bind: Ipv4Addr::LOCALHOST })
}

/// The next event that `wanted` makes something of.
pub(crate) async fn until<T>(dht: &mut Dht, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = wanted(&dht.next().await) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("the event comes")
}

/// Stores a value and gives the number of nodes that took it.
pub(crate) async fn put(dht: &mut Dht, seed: [u8; 32], value: &[u8], sequence: u64) -> u32 {
    dht.command(DhtRequest::Put { seed, value: value.to_vec(), sequence }).unwrap();
    until(dht, |event| match event {
        Event::Ended(Ended::Put { seed: of, nodes }) if *of == seed => Some(*nodes),
        _ => None,
    })
    .await
}

/// All values of a slot, with their sequences, in order.
pub(crate) async fn get(dht: &mut Dht, seed: [u8; 32]) -> Vec<(u64, Vec<u8>)> {
    dht.command(DhtRequest::Get { seed }).unwrap();
    let mut values = Vec::new();
    until(dht, |event| match event {
        Event::Value { seed: of, sequence, bytes } if *of == seed => {
            values.push((*sequence, bytes.clone()));
            None
        }
        Event::Ended(Ended::Get { seed: of, values }) if *of == seed => Some(*values),
        _ => None,
    })
    .await;
    values.sort();
    values
}

/// Pings a DHT node from a socket of ours; says where that socket is, and where the node sees it.
pub(crate) fn ping(node: &str) -> (SocketAddr, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(&write_ping(*b"hop!", b"abcdefghij0123456789"), node).unwrap();
    let mut buffer = [0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(from, node.parse().unwrap());
    let answer = PingAnswer::parse(&buffer[..length]).unwrap();
    assert_eq!(answer.transaction, *b"hop!");
    (socket.local_addr().unwrap(), answer.observed.socket_address())
}
