//! Mailboxes: where in a public store two parties that share a secret leave each other a few bytes.
//!
//! The store is a DHT: BEP 44 keeps a value under an Ed25519 key, BEP 5 keeps addresses under 20 bytes. Keys follow
//! from a secret and the day, so that a stranger sees new random ones each day and can tie them to nobody. Only
//! derivations: no value is judged here, and whoever has the secret can write to a slot, so that what it holds must be
//! signed by whom it is from.

use crate::hint::SealKey;
use crate::secret::derive;
use crate::{NetworkSecret, NodeId};
use ed25519_dalek::SigningKey;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Seconds after which all slots of a network have moved.
pub const DAY_S: u64 = 86_400;
/// How long what was left under yesterday's keys is looked for, in seconds: publishers move at the day's turn, but one
/// that sleeps, or whose clock is late by what credentials tolerate, comes later.
pub const YESTERDAY_S: u64 = 2 * 3600;
/// How long before its beginning tomorrow is looked for, in seconds: clocks may be early by what credentials tolerate.
pub const TOMORROW_S: u64 = 3600;
/// Most bytes of a value in the DHT, counted before BEP 44's own encoding of it.
pub const VALUE_LENGTH_MAX: usize = 990;

/// The day of a time in seconds since 1970.
#[must_use]
pub fn day(unix_s: u64) -> u64 {
    unix_s / DAY_S
}

/// The days under whose keys to look at a time, today first: one, or two around the turn of a day.
#[must_use]
pub fn days(unix_s: u64) -> Vec<u64> {
    let today = day(unix_s);
    let mut days = vec![today];
    for other in [day(unix_s.saturating_sub(YESTERDAY_S)), day(unix_s.saturating_add(TOMORROW_S))] {
        if other != today {
            days.push(other);
        }
    }
    days
}

/// One place for one value: the key that it is stored under, and the key that it is sealed with.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Slot {
    seed: [u8; 32],
    seal: SealKey,
}

impl Slot {
    /// Where a member leaves its hint on a day.
    #[must_use]
    pub fn of_hint(secret: &NetworkSecret, day: u64, node: &NodeId) -> Self {
        Self::derived(secret.bytes(), &[b"hopmesh slot of hint ", &day.to_le_bytes(), &node.0])
    }

    /// Where the holder of an invite leaves its hint for the issuer.
    #[must_use]
    pub fn to_issuer(invite_secret: &[u8; 16]) -> Self {
        Self::derived(invite_secret, &[b"hopmesh slot to issuer"])
    }

    /// Where the issuer of an invite leaves its hint for the holder, sealed as the answer to the holder's: with
    /// [`SealKey::answer_to`] its nonce.
    #[must_use]
    pub fn to_joiner(invite_secret: &[u8; 16]) -> Self {
        Self::derived(invite_secret, &[b"hopmesh slot to joiner"])
    }

    fn derived(secret: &[u8], label: &[&[u8]]) -> Self {
        let mut slot = derive(secret, &label.concat());
        let derived = Self {
            seed: derive(&slot, b"hopmesh slot seed"),
            seal: SealKey::derived(&slot, b"hopmesh slot seal"),
        };
        slot.zeroize();
        derived
    }

    /// Seed of the Ed25519 key that BEP 44 stores the value under. Who has it can write.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The Ed25519 public key that strangers see.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        SigningKey::from_bytes(&self.seed).verifying_key().to_bytes()
    }

    /// The key that the value is sealed with.
    #[must_use]
    pub fn seal_key(&self) -> &SealKey {
        &self.seal
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slot")
    }
}

/// The BEP 5 info hash under which members announce on a day where they are.
#[must_use]
pub fn rendezvous(secret: &NetworkSecret, day: u64) -> [u8; 20] {
    let derived = derive(secret.bytes(), &[b"hopmesh rendezvous ", &day.to_le_bytes()[..]].concat());
    *derived.first_chunk().expect("32 bytes hold 20")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn secret(byte: u8) -> NetworkSecret {
        NetworkSecret::new(1, [byte; 32])
    }

    #[test]
    fn every_slot_has_keys_of_its_own() {
        let (a, b) = (NodeId([1; 32]), NodeId([2; 32]));
        let slots = [
            Slot::of_hint(&secret(3), 5, &a),
            Slot::of_hint(&secret(3), 5, &b),
            Slot::of_hint(&secret(3), 6, &a),
            Slot::of_hint(&secret(4), 5, &a),
            Slot::to_issuer(&[3; 16]),
            Slot::to_joiner(&[3; 16]),
            Slot::to_joiner(&[4; 16]),
        ];
        let keys: BTreeSet<_> = slots.iter().flat_map(|slot| [*slot.seed(), slot.public_key()]).collect();
        assert_eq!(keys.len(), 2 * slots.len());
        for (i, sealer) in slots.iter().enumerate() {
            let sealed = sealer.seal_key().seal([5; 12], b"text");
            for (j, opener) in slots.iter().enumerate() {
                let opened = opener.seal_key().open(&sealed);
                assert_eq!(opened, (i == j).then(|| b"text".to_vec()), "{i} {j}");
            }
        }
        assert_eq!(Slot::of_hint(&secret(3), 5, &a).seed(), slots[0].seed(), "both sides derive the same");
        assert_eq!(format!("{:?}", slots[0]), "Slot");
    }

    #[test]
    fn the_rendezvous_moves_with_the_day_and_the_secret() {
        let all = [rendezvous(&secret(3), 5), rendezvous(&secret(3), 6), rendezvous(&secret(4), 5)];
        assert_eq!(BTreeSet::from(all).len(), 3);
        assert_eq!(rendezvous(&secret(3), 5), all[0]);
    }

    #[test]
    fn around_the_turn_of_a_day_both_days_are_looked_up() {
        let turn = 20_000 * DAY_S;
        assert_eq!(days(turn), [20_000, 19_999]);
        assert_eq!(days(turn + YESTERDAY_S - 1), [20_000, 19_999]);
        assert_eq!(days(turn + YESTERDAY_S), [20_000]);
        assert_eq!(days(turn + DAY_S / 2), [20_000]);
        assert_eq!(days(turn - TOMORROW_S - 1), [19_999]);
        assert_eq!(days(turn - TOMORROW_S), [19_999, 20_000]);
        assert_eq!(days(turn - 1), [19_999, 20_000]);
        assert_eq!((days(0), days(u64::MAX)), (vec![0], vec![u64::MAX / DAY_S]));
    }

    #[test]
    fn sealed_hints_fit_into_a_slot() {
        const { assert!(crate::hint::SEALED_HINT_LENGTH < VALUE_LENGTH_MAX) };
    }
}
