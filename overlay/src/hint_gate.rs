//! The hint gate: what a worker needs to tell members' hints, and the answers of DHT nodes, from strangers' datagrams.
//!
//! What passes is looked at by the Node; how much of it, is bounded here, so that handshakes find their place beside a flood
//! of replayed hints.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use wire::datagram::{HintMessage, HintStage};
use wire::hint::SealKey;

use crate::drops::DropReason;
use crate::limits::EARLIER_HANDED_OVER_MAX;
use crate::secrets::Secrets;

/// Hints that workers hand over between two looks of the Node: a share of what fits in their channel.
const HANDED_OVER_MAX: u32 = 16;

/// The keys of this moment, and the count of what was handed over.
#[derive(Debug, Clone)]
pub(crate) struct HintGate {
    /// Of asks, under the network secret of now and under earlier ones, in their order.
    pub(crate) who: Vec<SealKey>,
    /// Of answers to our latest asks.
    pub(crate) answers: Vec<SealKey>,
    /// DHT nodes that were asked where they see us.
    pub(crate) servers: Vec<SocketAddr>,
    handed_over: Arc<AtomicU32>,
}

impl HintGate {
    pub(crate) fn new(secrets: &Secrets) -> Self {
        let who = secrets.all().map(SealKey::who).collect();
        Self { who, answers: vec![], servers: vec![], handed_over: Arc::default() }
    }

    /// Whether a member made this, and there is room for it.
    pub(crate) fn admit(&self, message: &HintMessage<'_>) -> Result<(), DropReason> {
        let keys = match message.stage {
            HintStage::Ask => &self.who[..],
            HintStage::Answer => &self.answers,
            // Beacons come to the group.
            HintStage::Beacon => &[],
        };
        let opens = |key: &SealKey| key.mark() == message.mark && key.opens(message.sealed);
        match keys.iter().position(opens) {
            None => Err(DropReason::Gate),
            Some(place) if place > 0 && message.stage == HintStage::Ask => {
                self.take_room(EARLIER_HANDED_OVER_MAX)
            }
            Some(_) => self.take_room(HANDED_OVER_MAX),
        }
    }

    /// Whether this may be the answer of a DHT node that was asked.
    pub(crate) fn admit_server(&self, from: Option<SocketAddr>, bytes: &[u8]) -> Result<(), DropReason> {
        let is_bencoded = bytes.first() == Some(&b'd') && bytes.len() <= wire::bep5::ANSWER_LENGTH_MAX;
        if is_bencoded && from.is_some_and(|from| self.servers.contains(&from)) {
            self.take_room(HANDED_OVER_MAX)
        } else {
            Err(DropReason::Unknown)
        }
    }

    /// The Node has looked.
    pub(crate) fn make_room(&self) {
        self.handed_over.store(0, Relaxed);
    }

    fn take_room(&self, most: u32) -> Result<(), DropReason> {
        let is_free = self.handed_over.fetch_add(1, Relaxed) < most;
        if is_free { Ok(()) } else { Err(DropReason::HintFlood) }
    }
}
