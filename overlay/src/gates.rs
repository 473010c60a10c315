//! The gates of our own: what a worker needs to tell members' handshake messages from strangers', under the network secret
//! of now and under earlier ones.
//!
//! A stranger's message costs one HMAC as before: its header names the epoch, and all but one of the keys are of another.
//! Who was revoked has an earlier secret and passes here. What passes under such is bounded, so that handshakes under the
//! latest find their place beside a flood of it.

use crate::drops::DropReason;
use crate::limits::EARLIER_HANDED_OVER_MAX;
use crate::secrets::Secrets;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use wire::NoisePublicKey;
use wire::gate::GateKeys;

/// The keys of this moment, and the count of what was handed over under earlier ones.
#[derive(Clone)]
pub(crate) struct Gates {
    /// In the order of [`Secrets::all`].
    keys: Vec<GateKeys>,
    handed_over: Arc<AtomicU32>,
}

impl Gates {
    pub(crate) fn new(secrets: &Secrets, own: &NoisePublicKey) -> Self {
        let keys = secrets.all().map(|secret| GateKeys::of_receiver(secret, own)).collect();
        Self { keys, handed_over: Arc::default() }
    }

    /// Whether a member made what bears this mark, and there is room for it.
    pub(crate) fn admit(&self, mark: u8, passes: impl Fn(&GateKeys) -> bool) -> Result<(), DropReason> {
        let place = self.keys.iter().position(|keys| keys.mark() == mark && passes(keys));
        match place {
            None => Err(DropReason::Gate),
            Some(0) => Ok(()),
            Some(_) if self.handed_over.fetch_add(1, Relaxed) < EARLIER_HANDED_OVER_MAX => Ok(()),
            Some(_) => Err(DropReason::HandshakeFlood),
        }
    }

    /// Which secret, by its place in [`Secrets::all`], a message is under that has passed. Marks repeat every 256 epochs,
    /// and when two admins begin one epoch apart; only then does it take a look at the MAC.
    pub(crate) fn place(&self, mark: u8, passes: impl Fn(&GateKeys) -> bool) -> Option<usize> {
        let mut bearing = self.keys.iter().enumerate().filter(|(_, keys)| keys.mark() == mark);
        let (first, keys) = bearing.next()?;
        let mut others = bearing.peekable();
        if others.peek().is_none() || passes(keys) {
            return Some(first);
        }
        others.find(|(_, keys)| passes(keys)).map(|(place, _)| place)
    }

    /// The keys at a place.
    pub(crate) fn keys(&self, place: usize) -> Option<&GateKeys> {
        self.keys.get(place)
    }

    /// The Node has looked.
    pub(crate) fn make_room(&self) {
        self.handed_over.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::NetworkSecret;
    use wire::datagram::{Datagram, write_initiation};

    const OWN: NoisePublicKey = NoisePublicKey([1; 32]);

    fn secret(epoch: u32, byte: u8) -> NetworkSecret {
        NetworkSecret::new(epoch, [byte; 32])
    }

    /// With the secret of now, and one before it of the same epoch that another admin has made, and the first.
    fn gates() -> Gates {
        let mut secrets = Secrets::new(secret(1, 1));
        secrets.replace(secret(2, 2), 0);
        secrets.replace(secret(2, 3), 0);
        Gates::new(&secrets, &OWN)
    }

    fn judge(gates: &Gates, secret: &NetworkSecret) -> (Result<(), DropReason>, Option<usize>) {
        let bytes = write_initiation(1, b"", &GateKeys::of_receiver(secret, &OWN), None);
        let Some(Datagram::Initiation(initiation)) = Datagram::parse(&bytes) else { panic!() };
        let gate = initiation.gate;
        let passes = |keys: &GateKeys| gate.passes(keys);
        (gates.admit(gate.mark, passes), gates.place(gate.mark, passes))
    }

    #[test]
    fn each_secret_has_its_place_and_others_have_none() {
        let gates = gates();
        assert_eq!(judge(&gates, &secret(2, 3)), (Ok(()), Some(0)));
        assert_eq!(judge(&gates, &secret(2, 2)), (Ok(()), Some(1)));
        assert_eq!(judge(&gates, &secret(1, 1)), (Ok(()), Some(2)));
        assert_eq!(judge(&gates, &secret(2, 9)), (Err(DropReason::Gate), None));
        assert_eq!(judge(&gates, &secret(3, 3)), (Err(DropReason::Gate), None));
    }

    #[test]
    fn a_stranger_has_one_key_tried_at_most() {
        let mut secrets = Secrets::new(secret(1, 1));
        (2..=17).for_each(|epoch| secrets.replace(secret(epoch, epoch as u8), 0));
        let gates = Gates::new(&secrets, &OWN);
        for mark in 0..=255 {
            let tried = std::cell::Cell::new(0);
            let refuse = |_: &GateKeys| {
                tried.set(tried.get() + 1);
                false
            };
            assert_eq!(gates.admit(mark, refuse), Err(DropReason::Gate));
            assert_eq!(tried.get(), usize::from((1..=17).contains(&mark)), "{mark}");
        }
    }

    #[test]
    fn a_flood_under_an_earlier_secret_leaves_the_latest_its_place() {
        let gates = gates();
        for _ in 0..EARLIER_HANDED_OVER_MAX {
            assert_eq!(judge(&gates, &secret(1, 1)).0, Ok(()));
        }
        assert_eq!(judge(&gates, &secret(1, 1)).0, Err(DropReason::HandshakeFlood));
        assert_eq!(judge(&gates, &secret(2, 3)).0, Ok(()));
        gates.make_room();
        assert_eq!(judge(&gates, &secret(1, 1)).0, Ok(()));
    }
}
