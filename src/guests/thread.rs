//! The thread behind the door: finds whose a handshake is, and lets time pass for all tunnels.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::{Packet, Tunn};
use overlay::{DropReason, Remote};
use wire::{Candidate, GuestKey};

use super::Guests;
use super::door::Knock;
use super::guest::Guest;
use super::limits::{HANDSHAKES_PER_SECOND, QUEUED_LENGTH_MAX, TICK};
use crate::io::clock;

/// The thread.
pub(crate) struct GuestThread {
    guests: Arc<Guests>,
    thread: JoinHandle<()>,
}

impl GuestThread {
    /// Starts it, with how to send, and where guests were heard before.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        guests: Arc<Guests>,
        (knocks, places): (Receiver<Knock>, Vec<(GuestKey, Candidate)>),
        send: impl FnMut(Remote, &[u8]) + Send + 'static,
    ) -> std::io::Result<Self> {
        let mut keeper = Keeper { guests: guests.clone(), send, room: [0; QUEUED_LENGTH_MAX], budget: 0 };
        let thread = Builder::new().name("guests".into()).spawn(move || {
            keeper.begin(&places);
            keeper.run(&knocks);
        })?;
        Ok(Self { guests, thread })
    }

    /// Ends it, and waits until it has.
    pub(crate) fn stop(self) {
        self.guests.door.stop();
        // What it failed for has been printed: nobody else depends on it.
        let _failed = self.thread.join();
    }
}

struct Keeper<S> {
    guests: Arc<Guests>,
    send: S,
    room: [u8; QUEUED_LENGTH_MAX],
    /// Handshakes that may be worked on before the next second.
    budget: u32,
}

impl<S: FnMut(Remote, &[u8])> Keeper<S> {
    fn run(mut self, knocks: &Receiver<Knock>) {
        let (mut next_tick, mut next_second) = (clock::now(), clock::now());
        loop {
            let now = clock::now();
            if now >= next_second {
                self.budget = HANDSHAKES_PER_SECOND;
                self.guests.door.renew();
                next_second = now + 2 * TICK;
            }
            if now >= next_tick {
                self.tick();
                next_tick = now + TICK;
            }
            match self.wait(knocks, next_tick) {
                Ok(Knock::Message(message, remote)) => self.take(&message, remote),
                Ok(Knock::Changed) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Knock::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn begin(&mut self, places: &[(GuestKey, Candidate)]) {
        for (key, place) in places {
            if let Some(guest) = self.guests.by_key(&key.0) {
                guest.begin(Remote::udp(place.socket_address()), &mut self.room, &mut self.send);
            }
        }
    }

    /// Without guests there is nothing to be done in time.
    fn wait(&self, knocks: &Receiver<Knock>, until: Instant) -> Result<Knock, RecvTimeoutError> {
        if self.guests.table.load().is_empty() {
            return knocks.recv().map_err(|_| RecvTimeoutError::Disconnected);
        }
        knocks.recv_timeout(until.saturating_duration_since(clock::now()))
    }

    fn tick(&mut self) {
        for guest in self.guests.table.load().iter().flatten() {
            guest.tick(&mut self.room, &mut self.send);
        }
    }

    fn take(&mut self, message: &[u8], remote: Remote) {
        let is_within = self.budget > 0;
        self.budget = self.budget.saturating_sub(1);
        let guest = if is_within { self.whose(message) } else { None };
        let ip = remote.address().map(|address| address.ip());
        let is_taken =
            guest.is_some_and(|g| g.shake_hands(message, (remote, ip), &mut self.room, &mut self.send));
        if !is_taken {
            self.guests.drops.count(DropReason::Guest);
        }
    }

    /// Who has sent it, or whose handshake it goes on with.
    fn whose(&self, message: &[u8]) -> Option<Arc<Guest>> {
        let door = &self.guests.door;
        match Tunn::parse_incoming_packet(message).ok()? {
            Packet::HandshakeInit(initiation) => {
                let half = parse_handshake_anon(door.secret(), door.public(), &initiation).ok()?;
                self.guests.by_key(&half.peer_static_public)
            }
            Packet::HandshakeResponse(response) => self.guests.at(response.receiver_idx >> 8),
            Packet::PacketCookieReply(reply) => self.guests.at(reply.receiver_idx >> 8),
            Packet::PacketData(_) => None,
        }
    }
}
