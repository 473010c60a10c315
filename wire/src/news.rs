//! Messages by which news is spread along a tree: Plumtree (Leitão, Pereira, Rodrigues, "Epidemic Broadcast Trees", SRDS 2007).
//!
//! A record itself goes to some neighbours, the others are only told that it exists. Who gets a record twice has the second
//! sender tell only; who is told of a record that does not come asks for it. What is left is a tree, and it mends itself.

use crate::control::HaveEntry;
use minicbor::{Decode, Encode};

/// Most records that one message names, so that it fits in a datagram.
pub const OFFER_MAX: usize = 60;

/// A message about news.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum NewsMessage {
    /// "I have these", the paper's IHave; at most [`OFFER_MAX`].
    #[n(0)]
    Offer {
        /// Hashes of keys, and sequences.
        #[n(0)]
        news: Vec<HaveEntry>,
    },
    /// "Send me these, and from now on whatever is new"; at most [`OFFER_MAX`].
    #[n(1)]
    Graft {
        /// What was offered and has not come.
        #[n(0)]
        news: Vec<HaveEntry>,
    },
    /// "I get it from others: only tell me."
    #[n(2)]
    Prune,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Message;
    use crate::{cbor, datagram};

    #[test]
    fn messages_read_back_and_the_longest_fits_in_a_datagram() {
        let news = HaveEntry { key: u64::MAX, sequence: u64::MAX };
        let news = vec![news; OFFER_MAX];
        let offer = NewsMessage::Offer { news: news.clone() };
        for message in [offer, NewsMessage::Graft { news }, NewsMessage::Prune] {
            let message = Message::News(message);
            let bytes = cbor::encode(&message);
            assert!(bytes.len() + datagram::OVERHEAD <= datagram::SLOW_LENGTH_MAX);
            assert_eq!(cbor::decode(&bytes), Ok(message));
        }
    }
}
