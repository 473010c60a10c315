//! Control messages: what two nodes tell each other inside a session, one message a datagram.

use crate::Candidate;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// Most entries of one [`Message::Have`], so that it fits in a datagram.
pub const HAVE_ENTRIES_MAX: usize = 60;
/// Most keys of one [`Message::Want`].
pub const WANT_KEYS_MAX: usize = 120;

/// One record as a summary names it: hash of its key, and its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct HaveEntry {
    /// [`crate::record::Record::key_hash`].
    #[n(0)]
    pub key: u64,
    /// Its sequence.
    #[n(1)]
    pub sequence: u64,
}

/// A control message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Message {
    /// "Are you there, by this path?" Goes to the address that is probed.
    #[n(0)]
    Ping {
        /// Comes back in the answer.
        #[n(0)]
        token: u64,
        /// Digest of all records of the sender; when it differs, summaries are exchanged.
        #[n(1)]
        digest: u64,
    },
    /// Answer to a ping, to the address that it came from.
    #[n(1)]
    Pong {
        /// From the ping.
        #[n(0)]
        token: u64,
        /// Digest of all records of the sender.
        #[n(1)]
        digest: u64,
        /// Where the sender saw the ping come from.
        #[n(2)]
        observed: Option<Candidate>,
    },
    /// Summary of all records whose key hashes lie between two bounds.
    #[n(2)]
    Have {
        /// Lowest hash that the summary speaks of.
        #[n(0)]
        from: u64,
        /// Highest hash that it speaks of.
        #[n(1)]
        to: u64,
        /// What is there, in ascending order.
        #[n(2)]
        entries: Vec<HaveEntry>,
    },
    /// Asks for records by the hashes of their keys.
    #[n(3)]
    Want {
        /// The hashes.
        #[n(0)]
        keys: Vec<u64>,
    },
    /// One signed record ([`crate::Record`]).
    #[n(4)]
    Record {
        /// Its encoding.
        #[n(0)]
        bytes: ByteVec,
    },
    /// "I go down": the session ends now, not when it is missed.
    #[n(5)]
    Close,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cbor, datagram};

    #[test]
    fn messages_read_back() {
        for message in [
            Message::Ping { token: 1, digest: u64::MAX },
            Message::Pong {
                token: 1,
                digest: 2,
                observed: Candidate::new("[2001:db8::1]:5".parse().unwrap()),
            },
            Message::Have { from: 0, to: 9, entries: vec![HaveEntry { key: 3, sequence: 4 }] },
            Message::Want { keys: vec![1, 2] },
            Message::Record { bytes: vec![1].into() },
            Message::Close,
        ] {
            assert_eq!(cbor::decode(&cbor::encode(&message)), Ok(message));
        }
    }

    #[test]
    fn the_longest_summaries_fit_in_a_datagram() {
        let entry = HaveEntry { key: u64::MAX, sequence: u64::MAX };
        let have = Message::Have { from: u64::MAX, to: u64::MAX, entries: vec![entry; HAVE_ENTRIES_MAX] };
        let want = Message::Want { keys: vec![u64::MAX; WANT_KEYS_MAX] };
        let record = Message::Record { bytes: vec![0; crate::record::RECORD_LENGTH_MAX].into() };
        for message in [have, want, record] {
            let length = cbor::encode(&message).len() + datagram::OVERHEAD;
            assert!(length <= datagram::SLOW_LENGTH_MAX, "{length}");
        }
    }
}
