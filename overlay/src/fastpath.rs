//! The fast path: what a worker does with what it reads, over one snapshot.
//!
//! ```text
//! outbound   packet → parse → own source? → route → session → fit, split, seal in place → train of datagrams
//! inbound    datagram → index → open in place, replay window → parse → source check → packet → merge
//! ```
//!
//! Pure functions: no clock, no lock, no allocation for a packet, but for one that comes in halves ([`Inbound::Half`]). What they
//! cannot decide becomes a [`SlowInput`] for the Node; only there bytes are copied. Strangers' datagrams end here, with a counter.

mod fit;
mod fragment;
mod guest;
mod header;
mod inbound;
mod merge;
mod outbound;
mod split;
mod train;

pub use guest::{FromGuest, GUEST_MTU, for_guest, from_guest, sum};
pub use inbound::inbound;
pub use merge::{Joins, Merger, RUN_MAX, Written};
pub use outbound::{complete, outbound, whole_packets};
pub use split::Split;
pub use train::{Train, Trains};

use crate::drops::DropReason;
use nat::Remote;
use std::ops::Range;
use wire::icmp::Unreachable;
use wire::packet::Packet;
use wire::transport::Transport;

/// What becomes of a packet from the TUN.
#[derive(Debug, PartialEq, Eq)]
pub enum Outbound {
    /// Sealed, in a train or sent with one.
    Sealed,
    /// The peer at this position owns the destination, but there is no session, or its budget at this exit was used up while
    /// nobody looked: hand the packet to the Node, see [`whole_packets`].
    Stage(usize),
    /// For the tunnel of our guest at this position: see [`for_guest`].
    Guest(u32),
    /// Tell the sender.
    Unreachable(Unreachable, DropReason),
    /// Tell the sender how long its packets may be, in bytes.
    TooBig(u16),
    /// Forget it.
    Drop(DropReason),
}

/// A packet that came from a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Where in the buffer it stands; what is behind its length is padding.
    pub range: Range<usize>,
    /// Its addresses and length.
    pub packet: Packet,
    /// Where TCP or UDP stands in it, if it does.
    pub transport: Option<Transport>,
    /// Whether its checksum was left out, see [`Transport::complete`].
    pub is_unsummed: bool,
    /// The guest that it is for, by its position; this machine otherwise.
    pub guest: Option<u32>,
}

/// What becomes of a datagram from the network.
#[derive(Debug, PartialEq, Eq)]
pub enum Inbound {
    /// A packet for the TUN, and something may be news to the Node.
    Packet(Opened, Option<(SlowInput, Remote)>),
    /// One half of a packet; for the TUN the packet itself, in a buffer of its own, when the other half was there.
    Half(Option<(Opened, Vec<u8>)>, Option<(SlowInput, Remote)>),
    /// For the Node, and where it came from: the circuit, if one ends here.
    Slow(SlowInput, Remote),
    /// The whole buffer, with another label now, is for this remote; and whether the Node is to be told that a budget is
    /// used up.
    Forward(Remote, Option<SlowInput>),
    /// For the tunnels of guests.
    WireGuard,
    /// Forget it.
    Drop(DropReason),
}

/// What only the Node can decide. Everything in it has shown that a member, or the holder of an invite, made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlowInput {
    /// A handshake or enrolment message that passed the gate.
    Datagram(Vec<u8>),
    /// A control message, opened.
    Control {
        /// Index of the session that it came by.
        session: u32,
        /// The plaintext.
        message: Vec<u8>,
    },
    /// Members have datagrams carried: their budgets want to be refilled.
    Carrying,
    /// The peer at this position sends to the internet by us: its budget wants to be refilled.
    Exiting {
        /// Position in the tables.
        peer: usize,
    },
    /// A session was used for the first time, or its peer sends from a new address.
    Notice {
        /// Index of the session.
        session: u32,
    },
}

#[cfg(test)]
mod tests;
