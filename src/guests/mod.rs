//! `WireGuard` guests: one boringtun tunnel for each, on the node's own UDP port.
//!
//! ```text
//! UDP ─▶ worker ─ data ─▶ index → guest → opened under its lock ─▶ overlay::fastpath::from_guest ─▶ TUN, or another peer
//!           └─ handshake ─▶ door: budget, MAC, cookies ─▶ bounded queue ─▶ thread: whose is it? ─▶ its tunnel answers
//! overlay::fastpath::for_guest ─▶ worker ─▶ sealed under the guest's lock ─▶ UDP
//! ```
//!
//! Which guests there are the Node says. boringtun reads the clock itself, so tunnels live here and not below the sans-IO line; each
//! method of a tunnel wants it alone, hence a lock a guest. **Invariant**: a stranger's message costs a MAC in the worker, and is
//! answered with a cookie at most, and of many from one place most cost a counter; whatever is in a tunnel is the guest's word
//! only, which the fast path checks.

mod budgets;
mod door;
mod guest;
mod limits;
mod thread;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use arc_swap::ArcSwap;
use boringtun::noise::{Packet, Tunn};
use boringtun::x25519::{PublicKey, StaticSecret};
use overlay::{DropReason, Drops, HostedGuests, Remote};
use wire::{Candidate, GuestKey};

use door::Door;
pub(crate) use door::Knock;
use guest::Guest;
use limits::{KNOCKS_MAX, QUEUED_LENGTH_MAX};
pub(crate) use thread::GuestThread;

/// By position.
type Table = Vec<Option<Arc<Guest>>>;

/// The guests of a node, for its workers.
pub(crate) struct Guests {
    table: ArcSwap<Table>,
    door: Door,
    drops: Arc<Drops>,
}

/// A guest as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GuestState {
    /// Where it was heard last.
    pub(crate) remote: Option<Remote>,
    /// Age of its session; none when it has none.
    pub(crate) last_handshake: Option<Duration>,
    /// Bytes of inner packets received.
    pub(crate) rx_bytes: u64,
    /// Bytes of inner packets sent.
    pub(crate) tx_bytes: u64,
}

/// What a worker opens into and seals into: made once.
pub(crate) struct Scratch {
    /// A packet of any length that a datagram can have.
    packet: Box<[u8]>,
    /// A packet that had waited for a session.
    queued: Box<[u8]>,
}

impl Default for Scratch {
    fn default() -> Self {
        let room = |length: usize| vec![0; length].into_boxed_slice();
        // The kernel gives them memory only when they are used.
        Self { packet: room(usize::from(u16::MAX)), queued: room(QUEUED_LENGTH_MAX) }
    }
}

impl Scratch {
    /// The packet that was opened last, of this length.
    pub(crate) fn opened(&mut self, length: usize) -> &mut [u8] {
        &mut self.packet[..length]
    }
}

impl Guests {
    /// Nobody, behind a door of this secret key; and what [`GuestThread::start`] takes.
    pub(crate) fn new(secret: [u8; 32], drops: Arc<Drops>) -> (Arc<Self>, Receiver<Knock>) {
        let (queue, knocks) = sync_channel(KNOCKS_MAX);
        let door = Door::new(StaticSecret::from(secret), queue);
        (Arc::new(Self { table: ArcSwap::default(), door, drops }), knocks)
    }

    /// The key by which guests know us.
    pub(crate) fn public_key(&self) -> GuestKey {
        GuestKey(self.door.public().to_bytes())
    }

    /// Takes who the guests are by now: tunnels of others are gone at once.
    pub(crate) fn set(&self, hosted: &HostedGuests) {
        let before = self.table.load();
        let mut table = Table::new();
        for (position, hosted) in hosted {
            let at = *position as usize;
            let known = before.get(at).cloned().flatten().filter(|guest| *guest.key() == hosted.key);
            table.resize(table.len().max(at + 1), None);
            table[at] = Some(known.unwrap_or_else(|| Arc::new(self.tunnel(*position, hosted.key))));
        }
        self.table.store(Arc::new(table));
        self.door.wake();
    }

    fn tunnel(&self, position: u32, key: GuestKey) -> Guest {
        let tunnel = Tunn::new(
            self.door.secret().clone(),
            PublicKey::from(key.0),
            None,
            None,
            position,
            Some(self.door.limiter().clone()),
        );
        Guest::new(key, tunnel)
    }

    /// Takes a message of `WireGuard`. When it is a packet of a guest: whose, and its length in [`Scratch::opened`].
    pub(crate) fn take(
        &self,
        datagram: &[u8],
        remote: Remote,
        scratch: &mut Scratch,
        send: &mut dyn FnMut(Remote, &[u8]),
    ) -> Option<(u32, usize)> {
        let table = self.table.load();
        let opened = match Tunn::parse_incoming_packet(datagram) {
            // Who has no guests has no door.
            _ if table.is_empty() => None,
            Ok(Packet::PacketData(data)) => {
                let position = data.receiver_idx >> 8;
                let guest = table.get(position as usize).and_then(Option::as_ref);
                let opened = guest.and_then(|guest| guest.open(datagram, remote, scratch, send));
                opened.map(|length| (position, length))
            }
            Ok(Packet::HandshakeInit(_) | Packet::HandshakeResponse(_) | Packet::PacketCookieReply(_)) => {
                self.door.knock(datagram, remote, send).then_some((0, 0))
            }
            Err(_) => None,
        };
        if opened.is_none() {
            self.drops.count(DropReason::Guest);
        }
        opened.filter(|(_, length)| *length > 0)
    }

    /// Seals a packet for the guest at a position, and sends it; one that has no session gets it once it has.
    pub(crate) fn send(
        &self,
        position: u32,
        packet: &[u8],
        scratch: &mut Scratch,
        send: &mut dyn FnMut(Remote, &[u8]),
    ) {
        let table = self.table.load();
        let guest = table.get(position as usize).and_then(Option::as_ref);
        let is_sent = guest.is_some_and(|guest| guest.seal(packet, &mut scratch.queued, send));
        if !is_sent {
            self.drops.count(DropReason::GuestOffline);
        }
    }

    /// How the guest at a position is.
    pub(crate) fn state(&self, position: u32) -> GuestState {
        let table = self.table.load();
        table.get(position as usize).and_then(Option::as_ref).map(|guest| guest.state()).unwrap_or_default()
    }

    /// Where guests were heard last.
    pub(crate) fn places(&self) -> Vec<(GuestKey, Candidate)> {
        let table = self.table.load();
        let place = |guest: &Arc<Guest>| Some((*guest.key(), guest.state().remote?.candidate()?));
        table.iter().flatten().filter_map(place).collect()
    }

    /// The guest that has a key.
    fn by_key(&self, key: &[u8; 32]) -> Option<Arc<Guest>> {
        self.table.load().iter().flatten().find(|guest| guest.key().0 == *key).cloned()
    }

    fn at(&self, position: u32) -> Option<Arc<Guest>> {
        self.table.load().get(position as usize).cloned().flatten()
    }
}

#[cfg(test)]
mod tests;
