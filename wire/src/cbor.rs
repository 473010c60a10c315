//! Deterministic CBOR: one value has one encoding, and any other is refused.
//!
//! Messages of our own are `minicbor` arrays in the order of their field numbers. Whatever is read is
//! encoded again and compared, so that nobody can make two byte strings that mean the same
//! (the lesson of signature malleability, CVE-2026-25793).
//!
//! Only what is said before two nodes know each other's revision may be longer than is known here: [`decode_longer`].

use minicbor::{Decode, Encode};

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// Not CBOR, or not of this type.
    #[error("malformed CBOR")]
    Malformed,
    /// Means the right thing in a wrong encoding, or something stands behind it.
    #[error("not in canonical encoding")]
    NotCanonical,
}

/// Encodes a value; writing to memory cannot fail.
#[must_use]
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing to a Vec cannot fail")
}

/// Decodes a value that must fill `bytes` to the last one, in the one encoding that [`encode`] makes.
///
/// # Errors
/// [`CborError`] for anything else.
pub fn decode<'b, T: Decode<'b, ()> + Encode<()>>(bytes: &'b [u8]) -> Result<T, CborError> {
    let value: T = minicbor::decode(bytes).map_err(|_| CborError::Malformed)?;
    if encode(&value) == bytes { Ok(value) } else { Err(CborError::NotCanonical) }
}

/// As [`decode`], for a structure that a later revision may have put more fields behind: these are passed over. The array of
/// fields stands behind `head` bytes: 0 of a structure by itself, 2 of a choice. What is known must be there, canonical.
///
/// # Errors
/// [`CborError`] for anything else.
pub fn decode_longer<'b, T: Decode<'b, ()> + Encode<()>>(
    bytes: &'b [u8],
    head: usize,
) -> Result<T, CborError> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let value: T = decoder.decode().map_err(|_| CborError::Malformed)?;
    let known = encode(&value);
    let (Some((before, [count, fields @ ..])), Some((known_before, [known_count, known_fields @ ..]))) =
        (bytes.split_at_checked(head), known.split_at_checked(head))
    else {
        return Err(CborError::Malformed);
    };
    // An array of n fields begins with the byte 80 + n; with 24 it would be two bytes.
    let is_canonical =
        before == known_before && (*known_count..0x98).contains(count) && fields.starts_with(known_fields);
    if is_canonical && decoder.position() == bytes.len() { Ok(value) } else { Err(CborError::NotCanonical) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_encoding() {
        let bytes = encode(&vec![1u64, 300]);
        assert_eq!(decode::<Vec<u64>>(&bytes), Ok(vec![1, 300]));
        assert_eq!(
            decode::<Vec<u64>>(&[&bytes[..], &[0]].concat()),
            Err(CborError::NotCanonical),
            "trailing byte"
        );
        assert_eq!(decode::<Vec<u64>>(&[0x81, 0x18, 0x01]), Err(CborError::NotCanonical), "long form of 1");
        assert_eq!(
            decode::<Vec<u64>>(&[0x9f, 0x01, 0xff]),
            Err(CborError::NotCanonical),
            "indefinite length"
        );
        assert_eq!(decode::<Vec<u64>>(&bytes[..2]), Err(CborError::Malformed));
    }
}
