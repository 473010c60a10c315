//! Deterministic CBOR: one value has one encoding, and any other is refused.
//!
//! Messages of our own are `minicbor` arrays in the order of their field numbers. Whatever is read is
//! encoded again and compared, so that nobody can make two byte strings that mean the same
//! (the lesson of signature malleability, CVE-2026-25793).

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
