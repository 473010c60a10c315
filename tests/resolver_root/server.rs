//! DNS servers of a few lines, which remember what they were asked.

use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// The address that the host's own network gives every name.
pub(crate) const THEIR_ANSWER: &str = "192.0.2.99";
/// The address of every name of the mesh.
pub(crate) const OUR_ANSWER: &str = "10.77.0.9";

const HEADER_LENGTH: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_PTR: u16 = 12;
const REFUSED: u8 = 5;

/// A server, until it is dropped.
pub(crate) struct Server {
    socket: UdpSocket,
    asked: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Ours: answers for the mesh, and refuses the rest.
    pub(crate) fn ours(address: &str) -> Self {
        let zones = ["home.internal", "77.10.in-addr.arpa"];
        Self::start(address, move |name| zones.iter().any(|zone| name.ends_with(zone)).then_some(OUR_ANSWER))
    }

    /// Ours, while all names are asked of it.
    pub(crate) fn of_all_names(address: &str) -> Self {
        Self::start(address, |_| Some(OUR_ANSWER))
    }

    /// That of the host's own network: answers everything.
    pub(crate) fn theirs(address: &str) -> Self {
        Self::start(address, |_| Some(THEIR_ANSWER))
    }

    fn start(address: &str, answer: impl Fn(&str) -> Option<&'static str> + Send + 'static) -> Self {
        let socket = UdpSocket::bind((address, 53)).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (ears, memory) = (socket.try_clone().unwrap(), asked.clone());
        let serve = move || {
            let mut buffer = [0; 1500];
            loop {
                let (length, client) = ears.recv_from(&mut buffer).unwrap();
                if length < HEADER_LENGTH {
                    break;
                }
                let name = question(&buffer[..length]);
                memory.lock().unwrap().push(name.clone());
                ears.send_to(&reply(&buffer[..length], answer(&name)), client).unwrap();
            }
        };
        Self { socket, asked, thread: Some(thread::spawn(serve)) }
    }

    /// The names asked for since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.socket.send_to(&[], self.socket.local_addr().unwrap()).unwrap();
        let _ = self.thread.take().unwrap().join();
    }
}

fn question(query: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut rest = &query[HEADER_LENGTH..];
    while let Some((length, behind)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, behind) = behind.split_at(usize::from(*length));
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        rest = behind;
    }
    labels.join(".")
}

/// Address or name, `None`: refused. For other types than those there is no data.
fn reply(query: &[u8], answer: Option<&str>) -> Vec<u8> {
    let name_length = query[HEADER_LENGTH..].iter().position(|b| *b == 0).unwrap() + 1;
    let asked = &query[HEADER_LENGTH..HEADER_LENGTH + name_length + 4];
    let kind = u16::from_be_bytes([asked[name_length], asked[name_length + 1]]);
    let data = match (kind, answer) {
        (TYPE_A, Some(address)) => address.parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec(),
        (TYPE_PTR, Some(address)) if address == OUR_ANSWER => b"\x01a\x04home\x08internal\0".to_vec(),
        (TYPE_PTR, Some(_)) => b"\x04host\x03lan\0".to_vec(),
        _ => vec![],
    };
    let code = if answer.is_some() { 0 } else { REFUSED };
    let mut reply = query[..2].to_vec();
    // An authoritative answer; recursion was asked for and is available.
    reply.extend([0x85, 0x80 | code, 0, 1, 0, u8::from(!data.is_empty()), 0, 0, 0, 0]);
    reply.extend(asked);
    if !data.is_empty() {
        reply.extend([0xc0, 0x0c]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 60]);
        reply.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        reply.extend(data);
    }
    reply
}
