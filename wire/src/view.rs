//! Messages by which nodes find neighbours: HyParView (Leitão, Pereira, Rodrigues, DSN 2007).
//!
//! Each node has a few neighbours, its active view, and knows some more members, its passive view. These messages keep both,
//! so that all nodes form one whole although none knows more than a few.

use crate::NodeId;
use minicbor::{Decode, Encode};

/// Most members of one sample: the origin itself, three of its neighbours and four of its passive view, as in the paper.
pub const SAMPLE_MAX: usize = 8;

/// A member as a sample names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Sampled {
    /// Who.
    #[n(0)]
    pub node: NodeId,
    /// For how long it has been up: the number of binary digits of its minutes. Hearsay, good for a preference and no more.
    #[n(1)]
    pub age: u8,
}

/// A message about views. All but [`ViewMessage::Join`] and the answer to it go between nodes of which at least one has, or
/// wants, the other as a neighbour.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ViewMessage {
    /// "I am new": the receiver becomes a neighbour and lets others hear of it.
    #[n(0)]
    Join,
    /// A node is new; at the end of a random walk somebody becomes its neighbour.
    #[n(1)]
    ForwardJoin {
        /// The new one.
        #[n(0)]
        node: NodeId,
        /// Steps that are left.
        #[n(1)]
        ttl: u8,
    },
    /// "Be my neighbour", and between neighbours: "are we still?"
    #[n(2)]
    Neighbour {
        /// Whether the receiver is to make room: the sender has nobody, or looks beyond its own neighbours.
        #[n(0)]
        is_high_priority: bool,
    },
    /// Answer to a join and to the question above.
    #[n(3)]
    NeighbourAnswer {
        /// Whether the sender has the receiver as its neighbour.
        #[n(0)]
        is_accepted: bool,
    },
    /// "We are no neighbours any more."
    #[n(4)]
    Disconnect,
    /// Members that the origin knows, on a random walk; whoever it ends at answers with as many.
    #[n(5)]
    Shuffle {
        /// Who began it.
        #[n(0)]
        origin: NodeId,
        /// Steps that are left.
        #[n(1)]
        ttl: u8,
        /// At most [`SAMPLE_MAX`].
        #[n(2)]
        sample: Vec<Sampled>,
    },
    /// Answer to a shuffle, on the way back by which it came: whoever answers need not have a session with the origin.
    #[n(6)]
    ShuffleAnswer {
        /// Who began it.
        #[n(0)]
        origin: NodeId,
        /// At most [`SAMPLE_MAX`].
        #[n(1)]
        sample: Vec<Sampled>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Message;
    use crate::{cbor, datagram};

    #[test]
    fn messages_read_back_and_the_longest_fits_in_a_datagram() {
        let (node, sample) = (NodeId([7; 32]), vec![Sampled { node: NodeId([9; 32]), age: 255 }; SAMPLE_MAX]);
        for message in [
            ViewMessage::Join,
            ViewMessage::ForwardJoin { node, ttl: 6 },
            ViewMessage::Neighbour { is_high_priority: true },
            ViewMessage::NeighbourAnswer { is_accepted: false },
            ViewMessage::Disconnect,
            ViewMessage::Shuffle { origin: node, ttl: u8::MAX, sample: sample.clone() },
            ViewMessage::ShuffleAnswer { origin: node, sample },
        ] {
            let message = Message::View(message);
            let bytes = cbor::encode(&message);
            assert!(bytes.len() + datagram::OVERHEAD <= datagram::SLOW_LENGTH_MAX);
            assert_eq!(cbor::decode(&bytes), Ok(message));
        }
    }
}
