//! `hopmesh dht-node`, the program itself.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::network::{client, get, ping, put};

/// A running `hopmesh dht-node` on a free port of loopback.
struct DhtNode {
    process: Child,
    address: String,
}

impl DhtNode {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hopmesh"));
        command.args(["dht-node", "--listen", "127.0.0.1:0"]).args(arguments).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim_end().strip_prefix("DHT node listens on ").unwrap_or_else(|| panic!("{line:?}"));
        Self { address: address.to_owned(), process }
    }

    /// Ends it by a signal, and gives its exit code.
    fn end(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
        self.process.wait().unwrap().code()
    }
}

impl Drop for DhtNode {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn one_node_makes_a_dht_and_a_second_keeps_it_alive() {
    let first = DhtNode::start(&[]);
    let (ours, seen) = ping(&first.address);
    assert_eq!(seen, ours);
    let mut a = client(std::slice::from_ref(&first.address));
    assert_eq!(put(&mut a, [1; 32], b"x", 1).await, 1);
    assert_eq!(get(&mut a, [1; 32]).await, [(1, b"x".to_vec())]);

    let second = DhtNode::start(&["--bootstrap", &first.address]);
    let mut b = client(std::slice::from_ref(&second.address));
    assert_eq!(get(&mut b, [1; 32]).await, [(1, b"x".to_vec())], "the second knows of the first");
    assert_eq!(put(&mut b, [1; 32], b"y", 2).await, 2);
    assert_eq!(first.end(Signal::TERM), Some(0));
    assert_eq!(get(&mut b, [1; 32]).await, [(2, b"y".to_vec())]);
    assert_eq!(second.end(Signal::INT), Some(0));
}

#[test]
fn a_taken_port_is_a_failure_with_a_sentence() {
    let first = DhtNode::start(&[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopmesh"));
    command.args(["dht-node", "--listen", &first.address]).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut said = String::new();
    process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(1));
    assert!(said.contains(&format!("cannot serve the DHT at {}: ", first.address)), "{said}");
}
