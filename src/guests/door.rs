//! The door: which handshake messages are looked at. Workers stand at it, so it takes no lock and keeps nothing.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use boringtun::noise::TunnResult;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::x25519::{PublicKey, StaticSecret};
use overlay::Remote;

use super::budgets::Budgets;
use super::limits::WITHOUT_COOKIE_PER_SECOND;

/// Length of `WireGuard`'s cookie reply.
const COOKIE_REPLY_LENGTH: usize = 64;

/// For the thread.
pub(crate) enum Knock {
    /// A handshake message that has passed the door, and where it came from.
    Message(Vec<u8>, Remote),
    /// The guests are others.
    Changed,
    /// The node ends.
    Stop,
}

/// A host's key, and who may knock.
pub(super) struct Door {
    secret: StaticSecret,
    public: PublicKey,
    limiter: Arc<RateLimiter>,
    budgets: Budgets,
    queue: SyncSender<Knock>,
}

impl Door {
    pub(super) fn new(secret: StaticSecret, queue: SyncSender<Knock>) -> Self {
        let public = PublicKey::from(&secret);
        let limiter = Arc::new(RateLimiter::new(&public, WITHOUT_COOKIE_PER_SECOND));
        Self { secret, public, limiter, budgets: Budgets::default(), queue }
    }

    pub(super) fn secret(&self) -> &StaticSecret {
        &self.secret
    }

    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// What tunnels count their handshakes by.
    pub(super) fn limiter(&self) -> &Arc<RateLimiter> {
        &self.limiter
    }

    /// A second has passed.
    pub(super) fn renew(&self) {
        self.limiter.reset_count();
        self.budgets.renew();
    }

    /// Tells the thread that the guests are others. When its queue is full it looks soon anyhow.
    pub(super) fn wake(&self) {
        let _full = self.queue.try_send(Knock::Changed);
    }

    /// Tells the thread to end.
    pub(super) fn stop(&self) {
        let _has_ended = self.queue.send(Knock::Stop);
    }

    /// Takes a handshake message; whether it is looked at, or was answered with a cookie: its prefix must have a budget left. Its first
    /// MAC shows that its sender knows our key, the second one, under load, that it receives at its address.
    pub(super) fn knock(&self, message: &[u8], remote: Remote, send: &mut dyn FnMut(Remote, &[u8])) -> bool {
        let address = remote.address().map(|address| address.ip());
        if address.is_some_and(|ip| !self.budgets.permits(ip)) {
            return false;
        }
        let mut cookie = [0; COOKIE_REPLY_LENGTH];
        match self.limiter.verify_packet(address, message, &mut cookie) {
            Ok(_) => self.queue.try_send(Knock::Message(message.to_vec(), remote)).is_ok(),
            Err(TunnResult::WriteToNetwork(reply)) => {
                send(remote, reply);
                true
            }
            Err(_) => false,
        }
    }
}
