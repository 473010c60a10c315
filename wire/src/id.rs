//! Ids: fixed-length byte strings that name a node, a network, an invite, a Noise key.

use data_encoding::{BASE32_NOPAD, Specification};
use std::fmt;
use std::sync::LazyLock;

/// Lower-case base32 (RFC 4648 alphabet, no padding): fits in a DNS label, survives case folding.
static BASE32_LOWER: LazyLock<data_encoding::Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    spec.translate.from.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    spec.translate.to.push_str("abcdefghijklmnopqrstuvwxyz");
    spec.encoding().expect("the alphabet above has 32 distinct symbols")
});

/// Encodes bytes as ids are printed: lower-case base32 without padding.
#[must_use]
pub(crate) fn base32(bytes: &[u8]) -> String {
    debug_assert_eq!(BASE32_NOPAD.encode_len(bytes.len()), BASE32_LOWER.encode_len(bytes.len()));
    BASE32_LOWER.encode(bytes)
}

/// Decodes what [`base32`] printed, in either case; `None` when it is not base32.
#[must_use]
pub(crate) fn unbase32(text: &str) -> Option<Vec<u8>> {
    BASE32_LOWER.decode(text.as_bytes()).ok()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// Length in bytes.
            pub const LENGTH: usize = $length;

            /// The bytes of the id.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = std::array::TryFromSliceError;

            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                Ok(Self(bytes.try_into()?))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&base32(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:.8})"), base32(&self.0))
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Self::try_from(d.bytes()?)
                    .map_err(|_| minicbor::decode::Error::message(concat!("wrong length of ", stringify!($name))))
            }
        }
    };
}

id! {
    /// A node's Ed25519 public key: who it is, and the key that signs its records.
    NodeId, 32
}
id! {
    /// The first 16 bytes of SHA-256 over the network's Ed25519 root public key.
    NetworkId, 16
}
id! {
    /// A node's X25519 static public key, the one that Noise authenticates.
    NoisePublicKey, 32
}
id! {
    /// The X25519 static public key of a guest, a `WireGuard` client that a member answers for.
    GuestKey, 32
}
id! {
    /// Names one invite in the clear; knowing it proves nothing.
    InviteId, 16
}

id! {
    /// Stands for a network secret and its epoch without telling it (see [`crate::epoch`]).
    Commitment, 32
}

impl NodeId {
    /// The first characters of the printed id: enough for people, not for machines.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(10);
        text
    }
}

impl NetworkId {
    /// The id of the network whose root public key this is.
    #[must_use]
    pub fn of_root(root: &[u8; 32]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, root);
        let mut id = [0; 16];
        id.copy_from_slice(&digest.as_ref()[..16]);
        Self(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_back_in_either_case() {
        let id = NodeId([0xa7; 32]);
        let text = id.to_string();
        assert_eq!(text.len(), 52, "an id fits in a DNS label");
        assert_eq!(unbase32(&text).unwrap(), id.0);
        assert_eq!(unbase32(&text.to_uppercase()).unwrap(), id.0);
        assert_eq!(unbase32("not base32!"), None);
    }

    #[test]
    fn a_wrong_length_is_refused() {
        assert!(NodeId::try_from(&[0u8; 31][..]).is_err());
        let bytes = minicbor::to_vec(NetworkId([1; 16])).unwrap();
        assert!(minicbor::decode::<NodeId>(&bytes).is_err());
        assert_eq!(minicbor::decode::<NetworkId>(&bytes).unwrap(), NetworkId([1; 16]));
    }
}
