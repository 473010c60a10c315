//! The hint gate: what a worker needs to tell members' hints, and the answers of DHT nodes, from strangers' datagrams.
//!
//! What passes is looked at by the Node; how much of it, is bounded here, so that handshakes find their place beside a flood
//! of replayed hints.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use wire::NetworkSecret;
use wire::datagram::{HintMessage, HintStage};
use wire::hint::SealKey;

use crate::drops::DropReason;

/// Hints that workers hand over between two looks of the Node: a share of what fits in their channel.
const HANDED_OVER_MAX: u32 = 16;

/// The keys of this moment, and the count of what was handed over.
#[derive(Debug, Clone)]
pub(crate) struct HintGate {
    /// Of asks.
    pub(crate) who: SealKey,
    /// Of answers to our latest asks.
    pub(crate) answers: Vec<SealKey>,
    /// DHT nodes that were asked where they see us.
    pub(crate) servers: Vec<SocketAddr>,
    handed_over: Arc<AtomicU32>,
}

impl HintGate {
    pub(crate) fn new(secret: &NetworkSecret) -> Self {
        Self { who: SealKey::who(secret), answers: vec![], servers: vec![], handed_over: Arc::default() }
    }

    /// Whether a member made this, and there is room for it.
    pub(crate) fn admit(&self, message: &HintMessage<'_>) -> Result<(), DropReason> {
        let opens = match message.stage {
            HintStage::Ask => self.who.opens(message.sealed),
            HintStage::Answer => self.answers.iter().any(|key| key.opens(message.sealed)),
            // Beacons come to the group.
            HintStage::Beacon => false,
        };
        if opens { self.take_room() } else { Err(DropReason::Gate) }
    }

    /// Whether this may be the answer of a DHT node that was asked.
    pub(crate) fn admit_server(&self, from: Option<SocketAddr>, bytes: &[u8]) -> Result<(), DropReason> {
        let is_bencoded = bytes.first() == Some(&b'd') && bytes.len() <= wire::bep5::ANSWER_LENGTH_MAX;
        if is_bencoded && from.is_some_and(|from| self.servers.contains(&from)) {
            self.take_room()
        } else {
            Err(DropReason::Unknown)
        }
    }

    /// The Node has looked.
    pub(crate) fn make_room(&self) {
        self.handed_over.store(0, Relaxed);
    }

    fn take_room(&self) -> Result<(), DropReason> {
        let is_free = self.handed_over.fetch_add(1, Relaxed) < HANDED_OVER_MAX;
        if is_free { Ok(()) } else { Err(DropReason::HintFlood) }
    }
}
