//! STUN (RFC 8489): answers to Binding requests that reach the node's own port, and the bytes of our own questions.
//!
//! Whoever asks is a stranger whose address may be forged, so:
//!
//! * only Binding requests are answered, only from a possible address, and only within a [`Budget`]; everything else
//!   costs a few comparisons and no allocation;
//! * the answer is the least there is: XOR-MAPPED-ADDRESS and nothing else, 32 bytes to IPv4 and 44 to IPv6. The least
//!   request has 20, so a plain request is answered by 1.6 or 2.2 times its payload (1.25 or 1.35 with the headers
//!   of IP and UDP). STUN allows no less; what bounds the damage is the budget;
//! * a request with attributes that must be understood and are not gets error 420, as the RFC wants, without a phrase,
//!   within the same budget and at most 16 bytes longer than itself.
//!
//! It must never believe a request, nor keep anything of it but a count.

mod budget;

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use stun_rs::attributes::stun::{ErrorCode, UnknownAttributes, XorMappedAddress};
use stun_rs::methods::BINDING;
use stun_rs::{
    MessageClass, MessageDecoder, MessageEncoder, StunAttribute, StunMessage, StunMessageBuilder,
    TransactionId,
};

pub use budget::Budget;

use super::limits::{STUN_REQUEST_LENGTH_MAX, STUN_UNKNOWN_MAX};

/// Length of the header, and of the shortest message, in bytes.
const HEADER_LENGTH: usize = 20;
/// Bytes 4 to 8 of every message.
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// The first two bytes of a Binding request.
const BINDING_REQUEST: [u8; 2] = [0, 1];
/// Types of attributes below this must be understood (RFC 8489 section 14).
const OPTIONAL_FROM: u16 = 0x8000;
/// Longest message that is made here: an error with all it may list, or an IPv6 address.
const ANSWER_LENGTH_MAX: usize = 64;

/// Whether a datagram is STUN's rather than ours: cheap enough for every datagram of the worker.
#[must_use]
pub fn looks_like_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER_LENGTH && datagram[0] <= 1 && datagram[4..8] == MAGIC_COOKIE
}

/// The answer to a Binding request from `from`, to be sent there from the socket that it came to; `None` for whatever
/// is no such request, and when the budget is spent.
#[must_use]
pub fn answer(datagram: &[u8], from: SocketAddr, budget: &mut Budget, now: Instant) -> Option<Vec<u8>> {
    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
    if !is_whole_request(datagram) || !is_possible(from) || !budget.take(from.ip(), now) {
        return None;
    }
    let (request, _) = MessageDecoder::default().decode(datagram).ok()?;
    let unknown = request.attributes().iter().filter_map(not_understood).take(STUN_UNKNOWN_MAX);
    let unknown = unknown.fold(UnknownAttributes::default(), |mut list, attribute| {
        list.add(attribute);
        list
    });
    let transaction = *request.transaction_id();
    if unknown.is_empty() {
        let answer = StunMessageBuilder::new(BINDING, MessageClass::SuccessResponse)
            .with_transaction_id(transaction)
            .with_attribute(XorMappedAddress::from(from));
        return encode(&answer.build());
    }
    let error = stun_rs::ErrorCode::new(420, "").expect("420 is a code");
    let answer = StunMessageBuilder::new(BINDING, MessageClass::ErrorResponse)
        .with_transaction_id(transaction)
        .with_attribute(ErrorCode::new(error))
        .with_attribute(unknown);
    encode(&answer.build())
}

/// A Binding request without attributes. `transaction` is random and new for each question: it alone proves that an
/// answer is to it.
#[must_use]
pub fn request(transaction: [u8; 12]) -> Vec<u8> {
    let request = StunMessageBuilder::new(BINDING, MessageClass::Request)
        .with_transaction_id(TransactionId::from(transaction))
        .build();
    encode(&request).expect("a header fits")
}

/// The transaction of a Binding response, to find the question by; `None` for anything else.
#[must_use]
pub fn response_transaction(datagram: &[u8]) -> Option<[u8; 12]> {
    let is_response = looks_like_stun(datagram) && datagram[0] == 1 && is_length_right(datagram);
    if is_response { datagram[8..HEADER_LENGTH].try_into().ok() } else { None }
}

/// The address that a server saw us at; `None` unless this is its success response to `transaction`.
#[must_use]
pub fn parse_response(datagram: &[u8], transaction: [u8; 12]) -> Option<SocketAddr> {
    if response_transaction(datagram)? != transaction {
        return None;
    }
    let (response, _) = MessageDecoder::default().decode(datagram).ok()?;
    if response.method() != BINDING || response.class() != MessageClass::SuccessResponse {
        return None;
    }
    let address = response.get::<XorMappedAddress>()?.as_xor_mapped_address().ok()?;
    let address = *address.socket_address();
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    is_possible(address).then_some(address)
}

/// What can be told of a request without decoding it.
fn is_whole_request(datagram: &[u8]) -> bool {
    looks_like_stun(datagram)
        && datagram[..2] == BINDING_REQUEST
        && datagram.len() <= STUN_REQUEST_LENGTH_MAX
        && is_length_right(datagram)
}

fn is_length_right(datagram: &[u8]) -> bool {
    let told = usize::from(u16::from_be_bytes([datagram[2], datagram[3]]));
    told.is_multiple_of(4) && told + HEADER_LENGTH == datagram.len()
}

/// Whether one machine can have this address and port.
fn is_possible(address: SocketAddr) -> bool {
    let broadcast = matches!(address.ip(), IpAddr::V4(ip) if ip.is_broadcast());
    address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast() && !broadcast
}

fn not_understood(attribute: &StunAttribute) -> Option<u16> {
    let kind = attribute.attribute_type().as_u16();
    (matches!(attribute, StunAttribute::Unknown(_)) && kind < OPTIONAL_FROM).then_some(kind)
}

fn encode(message: &StunMessage) -> Option<Vec<u8>> {
    let mut bytes = vec![0; ANSWER_LENGTH_MAX];
    let length = MessageEncoder::default().encode(&mut bytes, message).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests;
