//! Packets that came in two halves, by a path too narrow for one datagram (`nat::Mtu::whole`).

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use wire::datagram::Half;

/// Halves of one session that wait for their other half; the oldest is forgotten first. The two are sent one behind the other, so
/// that only what was overtaken or lost on the way waits: some 20 KB at most, for a member.
const WAITING_MAX: usize = 16;

/// A half whose other half has not come.
struct Waiting {
    /// The counter of the first half of the two.
    first: u64,
    half: Half,
    bytes: Vec<u8>,
}

/// What waits in one session. Locked for halves only: who needs them pays for it.
#[derive(Default)]
pub(crate) struct Halves(Mutex<VecDeque<Waiting>>);

impl Halves {
    /// Takes a half that was opened under this counter, which comes once; gives the packet when the other was there.
    pub(crate) fn join(&self, half: Half, counter: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        let first = match half {
            Half::First => counter,
            Half::Second => counter.checked_sub(1)?,
        };
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let other = waiting.iter().position(|other| other.first == first && other.half != half);
        if let Some(other) = other.and_then(|position| waiting.remove(position)) {
            return Some(match half {
                Half::First => [bytes, &other.bytes].concat(),
                Half::Second => [&other.bytes, bytes].concat(),
            });
        }
        if waiting.len() == WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back(Waiting { first, half, bytes: bytes.to_vec() });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_in_whatever_order_they_come() {
        let halves = Halves::default();
        assert_eq!(halves.join(Half::First, 7, b"ab"), None);
        assert_eq!(halves.join(Half::Second, 20, b"z"), None);
        assert_eq!(halves.join(Half::Second, 8, b"c"), Some(b"abc".to_vec()));
        assert_eq!(halves.join(Half::First, 19, b"xy"), Some(b"xyz".to_vec()));
        assert!(halves.0.lock().unwrap().is_empty());
    }

    #[test]
    fn parts_of_different_packets_stay_apart() {
        let halves = Halves::default();
        assert_eq!(halves.join(Half::First, 7, b"a"), None);
        for (half, counter) in [(Half::Second, 7), (Half::First, 8), (Half::Second, 9 + 1), (Half::Second, 0)]
        {
            assert_eq!(halves.join(half, counter, b"b"), None, "{half:?} {counter}");
        }
    }

    #[test]
    fn few_wait() {
        let halves = Halves::default();
        for number in 0..=WAITING_MAX as u64 {
            assert_eq!(halves.join(Half::First, number * 2, b"a"), None);
        }
        assert_eq!(halves.0.lock().unwrap().len(), WAITING_MAX);
        assert_eq!(halves.join(Half::Second, 1, b"b"), None, "the oldest is gone");
        let last = WAITING_MAX as u64 * 2 + 1;
        assert_eq!(halves.join(Half::Second, last, b"b"), Some(b"ab".to_vec()));
    }
}
