//! What a node has sent of its own accord, by kind: where its idle traffic goes.
//!
//! Packets of programs and what is carried for others are not in it; workers send them.

use std::collections::BTreeMap;
use wire::control::Message;
use wire::datagram::Datagram;

/// Datagrams of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub datagrams: u64,
    /// Their UDP payload, labels of circuits included.
    pub bytes: u64,
}

/// Datagrams by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent(BTreeMap<&'static str, Tally>);

impl Sent {
    pub(crate) fn note(&mut self, kind: &'static str, length: usize) {
        let tally = self.0.entry(kind).or_default();
        tally.datagrams += 1;
        tally.bytes += length as u64;
    }

    /// Kinds in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Tally)> {
        self.0.iter().map(|(kind, tally)| (*kind, *tally))
    }
}

/// Handshakes that ended with a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Handshakes {
    /// Begun by us, and answered.
    pub initiated: u64,
    /// Begun by a peer, and answered by us; whether the answer arrived only its first datagram shows.
    pub answered: u64,
}

/// How a kind of message is called.
pub(crate) fn kind_of(message: &Message) -> &'static str {
    match message {
        Message::Ping { .. } => "ping",
        Message::Pong { .. } => "pong",
        Message::Have { .. } => "have",
        Message::Want { .. } => "want",
        Message::Record { .. } => "record",
        Message::Close => "close",
        Message::Rest { .. } => "rest",
        Message::CircuitOpen { .. } | Message::CircuitOpened { .. } | Message::CircuitClosed { .. } => {
            "circuit"
        }
        Message::Call { .. } => "call",
        Message::DialBack { .. } => "dial_back",
        Message::Vouch { .. } => "vouch",
        Message::Enrolment { .. } => "enrolment",
        Message::View(_) => "view",
        Message::Epoch(_) => "epoch",
        Message::News(_) => "news",
        Message::Digests { .. } => "digests",
        Message::Find { .. } => "find",
        Message::Found { .. } => "found",
        Message::Measure { .. } => "measure",
        Message::Measured { .. } => "measured",
    }
}

/// How a datagram without such a message is called.
pub(crate) fn kind_of_datagram(bytes: &[u8]) -> &'static str {
    match Datagram::parse(bytes) {
        Some(Datagram::Initiation(_)) => "initiation",
        Some(Datagram::Response(_)) => "response",
        Some(Datagram::CookieReply(_)) => "cookie_reply",
        Some(Datagram::Enrolment(_)) => "enrolment",
        Some(Datagram::Hint(_)) => "hint",
        Some(
            Datagram::Data(_)
            | Datagram::Unsummed(_)
            | Datagram::Half(..)
            | Datagram::Control(_)
            | Datagram::Labelled(_)
            | Datagram::WireGuard,
        )
        | None => "other",
    }
}
