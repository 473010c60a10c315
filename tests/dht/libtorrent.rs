//! libtorrent, the most common implementation of that DHT, as one of its nodes: it takes what we store, finds it by the
//! key that we say, and tells our data socket where it is.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use hopmesh::discovery::dht::{Ended, Event};
use wire::mailbox::{Slot, rendezvous};
use wire::{NetworkSecret, NodeId};

use crate::network::{client, get, network, ping, put, until};

/// A node of libtorrent's, in a Python of the system.
struct Libtorrent {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    address: String,
}

impl Libtorrent {
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dht/other_node.py");
        // The Python of Debian, for which the package is; there may be another one before it in the PATH.
        let mut python = Command::new("/usr/bin/python3");
        python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = python.spawn().expect("python3 is installed");
        let (commands, answers) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        let mut node = Self { process, commands, answers, address: String::new() };
        let port = node.answer("listening ");
        node.address = format!("127.0.0.1:{port}");
        node
    }

    fn command(&mut self, line: &str) {
        let commands = self.commands.as_mut().unwrap();
        writeln!(commands, "{line}").unwrap();
    }

    /// What stands behind these words in the next line.
    fn answer(&mut self, words: &str) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let rest = line.trim_end().strip_prefix(words);
        rest.unwrap_or_else(|| panic!("{line:?}: is the Debian package python3-libtorrent installed?"))
            .to_owned()
    }

    /// The sequence and the value of a key, as libtorrent finds them.
    fn get(&mut self, public_key: &[u8; 32]) -> (u64, Vec<u8>) {
        self.command(&format!("get {}", hex(public_key)));
        let answer = self.answer("value ");
        let (sequence, value) = answer.split_once(' ').unwrap();
        let bytes =
            (0..value.len() / 2).map(|at| u8::from_str_radix(&value[2 * at..2 * at + 2], 16).unwrap());
        (sequence.parse().unwrap(), bytes.collect())
    }
}

impl Drop for Libtorrent {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn slot() -> Slot {
    Slot::of_hint(&NetworkSecret::new(1, [7; 32]), 1, &NodeId([1; 32]))
}

/// In one DHT with the twenty, as far as they go together: the crate's nodes do not answer libtorrent's questions (its
/// transaction ids have two bytes, and the crate takes only four), so that libtorrent needs one of its own to ask.
#[tokio::test]
async fn libtorrent_finds_what_we_store_among_all_nodes() {
    let network = network();
    let first = Libtorrent::start();
    let mut second = Libtorrent::start();
    second.command(&format!("node {}", first.address.replace(':', " ")));
    second.command("knows 1");
    second.answer("knows 1");
    let mut a = client(&[first.address.clone(), network.bootstrap[0].clone()]);
    // Binary, as sealed hints are.
    let value: Vec<u8> = (0..=255).collect();
    assert!(
        put(&mut a, *slot().seed(), &value, 1_800_000_000).await > 10,
        "the crate's nodes take it as well"
    );
    assert_eq!(second.get(&slot().public_key()), (1_800_000_000, value));
}

#[tokio::test]
async fn through_one_libtorrent_we_come_to_the_next() {
    let first = Libtorrent::start();
    let mut second = Libtorrent::start();
    second.command(&format!("node {}", first.address.replace(':', " ")));
    second.command("knows 1");
    second.answer("knows 1");
    let mut a = client(std::slice::from_ref(&second.address));
    assert_eq!(put(&mut a, *slot().seed(), b"x", 1).await, 2);
    assert_eq!(second.get(&slot().public_key()), (1, b"x".to_vec()));
}

#[tokio::test]
async fn libtorrent_keeps_what_we_store_and_announce() {
    let libtorrent = Libtorrent::start();
    let entry = [libtorrent.address.clone()];
    let (mut a, mut b) = (client(&entry), client(&entry));
    let seed = *slot().seed();
    assert_eq!(put(&mut a, seed, b"one", 1).await, 1, "it is the only node");
    assert_eq!(put(&mut b, seed, b"two", 2).await, 1);
    assert_eq!(get(&mut a, seed).await, [(2, b"two".to_vec())]);
    assert_eq!(put(&mut a, seed, b"one", 1).await, 0, "it refuses what is older");

    let info_hash = rendezvous(&NetworkSecret::new(1, [7; 32]), 1);
    a.command(overlay::DhtRequest::Announce { info_hash, port: 41_820 }).unwrap();
    let announced = |event: &Event| match event {
        Event::Ended(Ended::Announce { announced, .. }) => Some(*announced),
        _ => None,
    };
    assert!(until(&mut a, announced).await);
    b.command(overlay::DhtRequest::Lookup { info_hash }).unwrap();
    let addresses = until(&mut b, |event| match event {
        Event::Peers { addresses, .. } => Some(addresses.clone()),
        _ => None,
    });
    assert_eq!(addresses.await[0].to_string(), "127.0.0.1:41820");
}

#[tokio::test]
async fn libtorrent_tells_a_socket_where_it_is() {
    let libtorrent = Libtorrent::start();
    let (ours, seen) = ping(&libtorrent.address);
    assert_eq!(seen, ours);
}
