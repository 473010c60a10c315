//! Asks a server for the addresses of a name, as a program would that asks it alone.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};

/// Longest that the server may take; ours has the answer in memory.
const TIME_MAX: Duration = Duration::from_secs(2);
/// Longest answer that is read, in bytes.
const ANSWER_LENGTH_MAX: usize = 4096;

/// All addresses of `name` that the server at `address` knows; none when it says that there is no such name.
///
/// # Errors
/// The system's own, or that no answer came within 2 s, or none that is understood.
pub fn ask(address: SocketAddr, name: &str) -> io::Result<BTreeSet<IpAddr>> {
    let mut found = BTreeSet::new();
    for kind in [RecordType::A, RecordType::AAAA] {
        found.extend(ask_for(address, name, kind)?);
    }
    Ok(found)
}

fn ask_for(address: SocketAddr, name: &str, kind: RecordType) -> io::Result<Vec<IpAddr>> {
    let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(TIME_MAX))?;
    // The server is on this machine and nobody else can answer a connected socket, so the number need not be random.
    let mut message = Message::new(1, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(format!("{name}.")).map_err(io::Error::other)?, kind));
    socket.send(&message.to_vec().map_err(io::Error::other)?)?;
    let mut answer = [0; ANSWER_LENGTH_MAX];
    let length = socket.recv(&mut answer).map_err(|error| {
        let is_late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        if is_late { io::Error::other("no answer") } else { error }
    })?;
    let answer = Message::from_vec(&answer[..length]).map_err(io::Error::other)?;
    let addresses = answer.answers.iter().filter_map(|record| {
        if let RData::A(address) = &record.data {
            Some(IpAddr::V4(address.0))
        } else if let RData::AAAA(address) = &record.data {
            Some(IpAddr::V6(address.0))
        } else {
            None
        }
    });
    Ok(addresses.collect())
}
