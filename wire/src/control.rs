//! Control messages: what two nodes tell each other inside a session, one message a datagram.

use crate::epoch::EpochMessage;
use crate::news::NewsMessage;
use crate::view::ViewMessage;
use crate::{Candidate, InviteId, Name, NatProfile, NodeId, Part, cbor};
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

/// Most entries of one [`Message::Have`], so that it fits in a datagram.
pub const HAVE_ENTRIES_MAX: usize = 60;
/// Most keys of one [`Message::Want`].
pub const WANT_KEYS_MAX: usize = 120;

/// Most ranges of one [`Message::Digests`], so that it fits in a datagram.
pub const DIGESTS_MAX: usize = 60;

/// Most records that answer one [`Message::Find`]: more claims than count and more instances than anybody tries.
pub const FOUND_MAX: u8 = 64;

/// What a node holds of the records that are shared out, and what its digest speaks of. A node that holds all of them, and
/// knows that it does, need not say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Share {
    /// What it holds.
    #[n(0)]
    pub part: Part,
    /// Of which part its digest is, besides what everybody holds: what both ends have in common, as far as the sender knows.
    #[n(1)]
    pub scope: Part,
    /// Of which part it knows that it holds all there is: others that knew it had the same. What it has just begun to hold is not in
    /// there.
    #[n(2)]
    pub known: Part,
}

impl Share {
    /// What a node means that says nothing.
    pub const ALL: Self = Self { part: Part::WHOLE, scope: Part::WHOLE, known: Part::WHOLE };

    /// As it goes into a message.
    #[must_use]
    pub fn said(self) -> Option<Self> {
        (self != Self::ALL).then_some(self)
    }
}

/// Digest of the records whose key hashes begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct RangeDigest {
    /// The bits with which they begin, as a number.
    #[n(0)]
    pub prefix: u64,
    /// XOR of their [`crate::record::Record::version_hash`].
    #[n(1)]
    pub digest: u64,
}

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
        /// What it holds; [`Share::ALL`] when absent.
        #[n(2)]
        share: Option<Share>,
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
        /// As in the ping.
        #[n(3)]
        share: Option<Share>,
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
        /// Of a lease: how many seconds ago it was signed, as far as the sender knows, so that it does not live longer
        /// for being passed on.
        #[n(1)]
        age_s: Option<u32>,
    },
    /// "I go down": the session ends now, not when it is missed.
    #[n(5)]
    Close,
    /// Asks for a circuit: to the node at the end of `route`, or to the receiver when that is empty.
    #[n(6)]
    CircuitOpen {
        /// By which the sender knows the circuit: it stands before what comes back.
        #[n(0)]
        label: u64,
        /// Hops after the receiver, in order, and the node at the end; at most [`ROUTE_MAX`].
        #[n(1)]
        route: Vec<NodeId>,
        /// Who wants it.
        #[n(2)]
        origin: NodeId,
        /// Hops that it has passed, the first one first; each adds itself. At most [`ROUTE_MAX`].
        #[n(3)]
        passed: Vec<NodeId>,
    },
    /// The circuit is there.
    #[n(7)]
    CircuitOpened {
        /// As it was asked for.
        #[n(0)]
        label: u64,
        /// By which the sender of this message knows it.
        #[n(1)]
        forward: u64,
    },
    /// The circuit is not there, or not any more.
    #[n(8)]
    CircuitClosed {
        /// By which the receiver knows it.
        #[n(0)]
        label: u64,
        /// Why.
        #[n(1)]
        reason: CircuitEnd,
    },
    /// Both are to send to each other's candidates now, so that NATs let the datagrams in.
    #[n(9)]
    Call {
        /// Names the attempt.
        #[n(0)]
        nonce: u64,
        /// Whether this answers a call.
        #[n(1)]
        is_answer: bool,
        /// How far up the ladder of strategies the attempt is.
        #[n(2)]
        rung: u8,
        /// The NAT before the sender.
        #[n(3)]
        profile: NatProfile,
        /// Where the sender may be reached; at most [`crate::record::CANDIDATES_MAX`].
        #[n(4)]
        candidates: Vec<Candidate>,
        /// Its address as seen from outside, with the port that was seen last.
        #[n(5)]
        public: Option<Candidate>,
        /// The port that its NAT gave last, when it counts.
        #[n(6)]
        last_port: Option<u16>,
    },
    /// Asks for a [`Datagram`](crate::datagram::Datagram) from another port to an address of the sender's that
    /// the receiver sees: who gets it knows that the address can be dialled.
    #[n(10)]
    DialBack {
        /// Comes back in the answer.
        #[n(0)]
        token: u64,
        /// Port at the address that the receiver sees the sender at.
        #[n(1)]
        port: u16,
        /// Whether it is to come from the receiver's own port instead: to learn whether a mapping still lives.
        #[n(2)]
        is_same_port: bool,
    },
    /// An admin's open invite: who shows that it holds it is put through to the admin.
    #[n(11)]
    Vouch {
        /// The invite.
        #[n(0)]
        invite: InviteId,
        /// Key of the enrolment's MACs; it opens nothing.
        #[n(1)]
        mac_key: ByteArray<32>,
        /// Seconds that it is open yet; 0 takes it back.
        #[n(2)]
        open_s: u64,
    },
    /// A datagram of an enrolment, from a joiner to the admin or back, through a member that both reach.
    #[n(12)]
    Enrolment {
        /// By which the member knows the joiner.
        #[n(0)]
        joiner: u64,
        /// The datagram.
        #[n(1)]
        bytes: ByteVec,
    },
    /// About who is whose neighbour.
    #[n(13)]
    View(#[n(0)] ViewMessage),
    /// About records that are new.
    #[n(14)]
    News(#[n(0)] NewsMessage),
    /// Digests of ranges of key hashes, all of one width: the first step of finding out where two nodes differ.
    #[n(15)]
    Digests {
        /// How many of the highest bits of a hash name a range, at most 64.
        #[n(0)]
        bits: u8,
        /// The ranges, in ascending order; at most [`DIGESTS_MAX`].
        #[n(1)]
        ranges: Vec<RangeDigest>,
    },
    /// "I do not need this session": whoever needs it keeps it by saying nothing.
    #[n(16)]
    Rest {
        /// Answers one that does not need it either: the session ends now, and may be made again at any time.
        #[n(0)]
        is_agreed: bool,
    },
    /// About the network secret.
    #[n(17)]
    Epoch(#[n(0)] EpochMessage),
    /// Asks for all that is held about a service name.
    #[n(18)]
    Find {
        /// Comes back in the answer.
        #[n(0)]
        nonce: u16,
        /// The name.
        #[n(1)]
        name: Name,
    },
    /// Answers [`Message::Find`], with one record in each message.
    #[n(19)]
    Found {
        /// As it was asked with.
        #[n(0)]
        nonce: u16,
        /// How many records the answer has, at most [`FOUND_MAX`]; nothing when the sender does not hold the name's part.
        #[n(1)]
        count: Option<u8>,
        /// One of them.
        #[n(2)]
        record: Option<ByteVec>,
        /// As in [`Message::Record`].
        #[n(3)]
        age_s: Option<u32>,
    },
    /// "Does a datagram of this length come through, in one piece?" Made by [`Message::measure`].
    #[n(20)]
    Measure {
        /// Comes back in the answer.
        #[n(0)]
        token: u64,
        /// Zeros, which make it as long as it is to be.
        #[n(1)]
        padding: ByteVec,
    },
    /// Answers it, to where it came from.
    #[n(21)]
    Measured {
        /// As it was asked with.
        #[n(0)]
        token: u64,
    },
}

impl Message {
    /// The encoding, `length` bytes long, of a message that finds out whether a packet of that length comes through: sealed
    /// it is as long as the packet is. Longer than `length` below [`MEASURE_LENGTH_MIN`].
    #[must_use]
    pub fn measure(token: u64, length: usize) -> Vec<u8> {
        let with = |padding: usize| cbor::encode(&Self::Measure { token, padding: vec![0; padding].into() });
        let bare = with(MEASURE_LENGTH_MIN).len() - MEASURE_LENGTH_MIN;
        with(length.saturating_sub(bare).max(MEASURE_LENGTH_MIN - bare))
    }
}

/// The shortest [`Message::measure`]; from here on the length of the padding takes the same two bytes.
pub const MEASURE_LENGTH_MIN: usize = 512;

/// Most nodes of a circuit besides the one that wants it and the receiver of the message: three more hops and the end, or
/// what of them was passed.
pub const ROUTE_MAX: usize = 4;

/// Why a circuit is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum CircuitEnd {
    /// It is not wanted any more.
    #[n(0)]
    Done,
    /// The node is no hop, or not for that many.
    #[n(1)]
    Refused,
    /// The next node is not there.
    #[n(2)]
    Unreachable,
    /// The label means nothing.
    #[n(3)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram;

    #[test]
    fn messages_read_back() {
        for message in [
            Message::Ping { token: 1, digest: u64::MAX, share: None },
            Message::Ping {
                token: 1,
                digest: 2,
                share: Some(Share { part: Part::WHOLE, scope: Part::NOTHING, known: Part::NOTHING }),
            },
            Message::Pong {
                token: 1,
                digest: 2,
                observed: Candidate::new("[2001:db8::1]:5".parse().unwrap()),
                share: Some(Share::ALL),
            },
            Message::Have { from: 0, to: 9, entries: vec![HaveEntry { key: 3, sequence: 4 }] },
            Message::Want { keys: vec![1, 2] },
            Message::Record { bytes: vec![1].into(), age_s: None },
            Message::Record { bytes: vec![1].into(), age_s: Some(7) },
            Message::Close,
            Message::CircuitOpen {
                label: 1,
                route: vec![NodeId([2; 32]); ROUTE_MAX],
                origin: NodeId([3; 32]),
                passed: vec![],
            },
            Message::CircuitOpened { label: 1, forward: u64::MAX },
            Message::CircuitClosed { label: 1, reason: CircuitEnd::Unreachable },
            Message::Call {
                nonce: 1,
                is_answer: true,
                rung: 2,
                profile: NatProfile::default(),
                candidates: vec![],
                public: None,
                last_port: Some(5),
            },
            Message::DialBack { token: 1, port: 2, is_same_port: true },
            Message::Vouch { invite: InviteId([1; 16]), mac_key: [2; 32].into(), open_s: 3 },
            Message::Enrolment { joiner: 4, bytes: vec![1].into() },
            Message::Digests { bits: 4, ranges: vec![RangeDigest { prefix: 15, digest: 3 }] },
            Message::Rest { is_agreed: true },
            Message::Find { nonce: 1, name: "web".parse().unwrap() },
            Message::Found { nonce: 1, count: None, record: None, age_s: None },
            Message::Found { nonce: 1, count: Some(2), record: Some(vec![1].into()), age_s: Some(7) },
            Message::Measure { token: 1, padding: vec![0; 300].into() },
            Message::Measured { token: u64::MAX },
        ] {
            assert_eq!(cbor::decode(&cbor::encode(&message)), Ok(message));
        }
    }

    #[test]
    fn a_measure_is_as_long_as_it_is_to_be() {
        for token in [0, 23, 24, 255, 256, 1 << 16, 1 << 32, u64::MAX] {
            for length in [MEASURE_LENGTH_MIN, 1280, 1420, 8940, 65_475, 65_495] {
                let bytes = Message::measure(token, length);
                assert_eq!(bytes.len(), length, "{token}");
                let read = cbor::decode::<Message>(&bytes);
                assert!(matches!(read, Ok(Message::Measure { token: read, .. }) if read == token));
            }
            assert_eq!(Message::measure(token, 0).len(), MEASURE_LENGTH_MIN);
        }
    }

    #[test]
    fn the_longest_summaries_fit_in_a_datagram() {
        let entry = HaveEntry { key: u64::MAX, sequence: u64::MAX };
        let have = Message::Have { from: u64::MAX, to: u64::MAX, entries: vec![entry; HAVE_ENTRIES_MAX] };
        let want = Message::Want { keys: vec![u64::MAX; WANT_KEYS_MAX] };
        let record = Message::Record {
            bytes: vec![0; crate::record::RECORD_LENGTH_MAX].into(),
            age_s: Some(u32::MAX),
        };
        let found = Message::Found {
            nonce: u16::MAX,
            count: Some(FOUND_MAX),
            record: Some(vec![0; crate::record::RECORD_LENGTH_MAX].into()),
            age_s: Some(u32::MAX),
        };
        let range = RangeDigest { prefix: u64::MAX, digest: u64::MAX };
        let digests = Message::Digests { bits: 64, ranges: vec![range; DIGESTS_MAX] };
        for message in [have, want, record, found, digests] {
            let length = cbor::encode(&message).len() + datagram::OVERHEAD;
            assert!(length <= datagram::SLOW_LENGTH_MAX, "{length}");
        }
    }
}
