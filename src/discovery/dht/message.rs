//! What the DHT's client is asked, and what it tells.

use std::fmt;
use std::net::SocketAddrV4;

use wire::Candidate;

/// Something to do.
#[derive(Clone, PartialEq, Eq)]
pub enum Command {
    /// Stores a value under the Ed25519 key of a seed (BEP 44, mutable). DHT nodes forget it after some two hours: put it
    /// again before.
    Put {
        /// Of [`wire::mailbox::Slot::seed`].
        seed: [u8; 32],
        /// At most [`wire::mailbox::VALUE_LENGTH_MAX`] bytes.
        value: Vec<u8>,
        /// Grows with every other value: the time in seconds.
        sequence: u64,
    },
    /// Looks for the values under the key of a seed.
    Get {
        /// Of [`wire::mailbox::Slot::seed`].
        seed: [u8; 32],
    },
    /// Says under an info hash (BEP 5) that this machine is to be found at a UDP port.
    Announce {
        /// Of [`wire::mailbox::rendezvous`].
        info_hash: [u8; 20],
        /// The port as it is seen from outside.
        port: u16,
    },
    /// Looks who is to be found under an info hash.
    Lookup {
        /// Of [`wire::mailbox::rendezvous`].
        info_hash: [u8; 20],
    },
    /// The machine's network is another: names are resolved anew and a new socket is taken.
    Refresh,
}

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

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put { .. } => "Put",
            Self::Get { .. } => "Get",
            Self::Announce { .. } => "Announce",
            Self::Lookup { .. } => "Lookup",
            Self::Refresh => "Refresh",
        })
    }
}

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
