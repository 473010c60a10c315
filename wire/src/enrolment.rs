//! Payloads of an enrolment: how a joiner becomes a member by an invite.
//!
//! ```text
//! 1  joiner → issuer   e                      padded, MAC under the invite's secret
//! 2  issuer → joiner   e, ee, s, es
//! 3  joiner → issuer   s, se, psk   Request   the psk is the invite's secret
//! 4  issuer → joiner   Answer                 sealed under the keys that follow
//! ```

use crate::datagram::{ENROLMENT_HEADER, LABEL_LENGTH, OVERHEAD, SLOW_LENGTH_MAX, TAG_LENGTH};
use crate::gate::MAC_LENGTH;
use crate::{Candidate, InviteId, Name, NetworkId, NodeId, NoisePublicKey};
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

/// Longest datagram of an enrolment: with what a [`Message::Enrolment`](crate::control::Message::Enrolment), a session
/// and a circuit put around it, it still is one datagram.
pub const LENGTH_MAX: usize = SLOW_LENGTH_MAX - OVERHEAD - LABEL_LENGTH - MESSAGE_OVERHEAD;
/// Three heads of CBOR and the number of the message, the longest number of a joiner, the longest head of the bytes.
const MESSAGE_OVERHEAD: usize = 3 + 9 + 3;
/// Longest encoding of an [`Answer`], before it is sealed.
pub const ANSWER_LENGTH_MAX: usize = LENGTH_MAX - ENROLMENT_HEADER - MAC_LENGTH - TAG_LENGTH;
/// Most contacts of an answer.
pub const CONTACTS_MAX: usize = 4;
/// Most candidates of a contact.
pub const CONTACT_CANDIDATES_MAX: usize = 3;

/// Noise protocol of enrolments.
pub const NOISE: &str = "Noise_XXpsk3_25519_ChaChaPoly_BLAKE2s";

/// Prologue of enrolments: the protocol, its version, the network and the invite.
#[must_use]
pub fn prologue(network: &NetworkId, invite: &InviteId) -> Vec<u8> {
    [b"hopmesh enrolment 1 ", &network.0[..], &invite.0[..]].concat()
}

/// What the joiner signs with its node key: it owns the id, in this very handshake, with this Noise key.
#[must_use]
pub fn proof_message(handshake_hash: &[u8], noise_key: &NoisePublicKey) -> Vec<u8> {
    [b"hopmesh enrolment proof ", handshake_hash, &noise_key.0[..]].concat()
}

/// Payload of the third message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Request {
    /// The joiner's id.
    #[n(0)]
    pub node: NodeId,
    /// Signature over [`proof_message`].
    #[n(1)]
    pub proof: ByteArray<64>,
    /// The name that the joiner wants.
    #[n(2)]
    pub name: Name,
    /// Whether only that name will do, or a numbered one as well.
    #[n(3)]
    pub name_is_firm: bool,
}

/// A member that the joiner may turn to first.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Contact {
    /// Its id.
    #[n(0)]
    pub node: NodeId,
    /// Its Noise key.
    #[n(1)]
    pub noise_key: NoisePublicKey,
    /// Where it may be dialled, at most [`CONTACT_CANDIDATES_MAX`].
    #[n(2)]
    pub candidates: Vec<Candidate>,
}

/// The fourth message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// The joiner is a member.
    #[n(0)]
    Accepted {
        /// The network's name.
        #[n(0)]
        network_name: Name,
        /// The joiner's credentials.
        #[n(1)]
        chain: ByteVec,
        /// Number of the network secret.
        #[n(2)]
        epoch: u32,
        /// The network secret.
        #[n(3)]
        secret: ByteArray<32>,
        /// Members that vouch for the issuer, at most [`CONTACTS_MAX`]: who cannot reach the issuer gets in by them.
        #[n(4)]
        contacts: Vec<Contact>,
    },
    /// The joiner is no member, and this invite will not make it one.
    #[n(1)]
    Refused {
        /// Why.
        #[n(0)]
        refusal: Refusal,
    },
}

/// Why an enrolment is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[cbor(index_only)]
pub enum Refusal {
    /// Another machine was enrolled by it.
    #[n(0)]
    #[error("this invite was used already: an invite is for one machine; make another with `hopmesh invite`")]
    Used,
    /// Its time is over, by the issuer's clock.
    #[n(1)]
    #[error("this invite has expired: make another with `hopmesh invite`")]
    Expired,
    /// The name is another node's.
    #[n(2)]
    #[error("the name is taken in this network: choose another with --node-name")]
    NameTaken,
    /// The address that the invite promised, or every address of the range, is taken.
    #[n(3)]
    #[error(
        "the address is taken, or the network's range is full: make another invite, with another --address"
    )]
    AddressTaken,
    /// The node was revoked from this network.
    #[n(4)]
    #[error(
        "this machine was revoked from the network: remove its old identity with `hopmesh leave`, then join again"
    )]
    Revoked,
    /// The issuer could not write its journal, or is no admin any more.
    #[n(5)]
    #[error("the machine that made the invite cannot enrol anyone now: look at `hopmesh status` there")]
    Unable,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor;

    #[test]
    fn payloads_read_back() {
        let request = Request {
            node: NodeId([1; 32]),
            proof: [2; 64].into(),
            name: "b".parse().unwrap(),
            name_is_firm: true,
        };
        assert_eq!(cbor::decode(&cbor::encode(&request)), Ok(request));
        let accepted = Answer::Accepted {
            network_name: "home".parse().unwrap(),
            chain: vec![1].into(),
            epoch: 3,
            secret: [4; 32].into(),
            contacts: vec![Contact {
                node: NodeId([5; 32]),
                noise_key: NoisePublicKey([6; 32]),
                candidates: vec![Candidate::new("192.0.2.1:5".parse().unwrap()).unwrap()],
            }],
        };
        for answer in [accepted, Answer::Refused { refusal: Refusal::NameTaken }] {
            assert_eq!(cbor::decode(&cbor::encode(&answer)), Ok(answer));
        }
    }

    #[test]
    fn the_longest_datagram_goes_through_a_member_and_a_circuit() {
        let length = |bytes| {
            let message =
                crate::control::Message::Enrolment { joiner: u64::MAX, bytes: vec![0; bytes].into() };
            cbor::encode(&message).len() + OVERHEAD + LABEL_LENGTH
        };
        assert_eq!(length(LENGTH_MAX), SLOW_LENGTH_MAX);
        assert!(length(crate::datagram::ENROLMENT_FIRST_LENGTH) < SLOW_LENGTH_MAX);
    }

    #[test]
    fn the_longest_answer_has_room_for_a_contact() {
        let contact = Contact {
            node: NodeId([5; 32]),
            noise_key: NoisePublicKey([6; 32]),
            candidates: vec![Candidate::new("192.0.2.1:5".parse().unwrap()).unwrap(); CONTACT_CANDIDATES_MAX],
        };
        let answer = Answer::Accepted {
            network_name: "x".repeat(63).parse().unwrap(),
            chain: vec![0; crate::credential::CHAIN_LENGTH_MAX].into(),
            epoch: u32::MAX,
            secret: [4; 32].into(),
            contacts: vec![contact],
        };
        assert!(cbor::encode(&answer).len() <= ANSWER_LENGTH_MAX);
        let sealed = vec![0; ANSWER_LENGTH_MAX + TAG_LENGTH];
        let bytes = crate::datagram::write_enrolment(4, &InviteId([1; 16]), 1, &sealed, &[2; 32]);
        assert_eq!(bytes.len(), LENGTH_MAX);
    }
}
