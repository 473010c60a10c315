//! What the DHT's client tells. What it is asked is [`overlay::DhtRequest`].

use std::fmt;
use std::net::SocketAddrV4;

use wire::Candidate;

/// Something that happened. All of it is strangers' word.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// A value, as soon as one DHT node gave it. There may be several of one seed, in any order; the one with the highest
    /// sequence that opens and verifies counts.
    Value {
        /// As commanded.
        seed: [u8; 32],
        /// The publisher's.
        sequence: u64,
        /// What was put; whoever has the seed can have put it.
        bytes: Vec<u8>,
    },
    /// Who announced themselves, as soon as one DHT node told. There may be several events of one lookup.
    Peers {
        /// As commanded.
        info_hash: [u8; 20],
        /// Each once in a lookup.
        addresses: Vec<Candidate>,
    },
    /// A command is done.
    Ended(Ended),
    /// The state is another one.
    State(State),
}

/// How a command ended.
#[derive(Clone, PartialEq, Eq)]
pub enum Ended {
    /// A value was stored on as many DHT nodes; 0 when it was on none.
    Put {
        /// As commanded.
        seed: [u8; 32],
        /// DHT nodes that have it now.
        nodes: u32,
    },
    /// A search ended, with as many different values.
    Get {
        /// As commanded.
        seed: [u8; 32],
        /// Events before.
        values: usize,
    },
    /// An announcement was made.
    Announce {
        /// As commanded.
        info_hash: [u8; 20],
        /// Whether any DHT node took it.
        announced: bool,
    },
    /// A lookup ended, with as many different addresses.
    Lookup {
        /// As commanded.
        info_hash: [u8; 20],
        /// Addresses in the events before.
        addresses: usize,
    },
}

/// How things are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// DHT nodes that answered lately.
    pub nodes: usize,
    /// Whether the DHT has been entered.
    pub bootstrapped: bool,
    /// A few of the nodes: to remember, and to ping from the data socket (BEP 5, BEP 42).
    pub contacts: Vec<SocketAddrV4>,
    /// Where DHT nodes see the client's own socket: the address is also the data socket's, the port is not.
    pub observed: Option<SocketAddrV4>,
}

/// Too much waits already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the DHT has more to do than it can")]
pub struct Busy;

// Seeds are secret: they stand in no log.

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { sequence, bytes, .. } => write!(f, "Value({} bytes, {sequence})", bytes.len()),
            Self::Peers { addresses, .. } => write!(f, "Peers({addresses:?})"),
            Self::Ended(ended) => ended.fmt(f),
            Self::State(state) => state.fmt(f),
        }
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { nodes, .. } => write!(f, "Put({nodes} nodes)"),
            Self::Get { values, .. } => write!(f, "Get({values} values)"),
            Self::Announce { announced, .. } => write!(f, "Announce({announced})"),
            Self::Lookup { addresses, .. } => write!(f, "Lookup({addresses} addresses)"),
        }
    }
}
