//! What services are made of: a version, a protocol, and who may publish under a name.

use crate::NodeId;
use minicbor::{Decode, Encode};
use std::fmt;
use std::str::FromStr;

/// Longest version in bytes.
const VERSION_LENGTH_MAX: usize = 16;

/// Version of a service, such as `2` or `1.4-rc1`: letters, digits, dots and hyphens. A name and a version make a service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(String);

/// Why a text is no [`Version`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Nothing, or longer than 16 bytes.
    #[error("a version has 1 to {VERSION_LENGTH_MAX} characters")]
    Length,
    /// Something other than a letter, a digit, a dot or a hyphen.
    #[error("a version has only letters, digits, dots and hyphens, not {0:?}")]
    Character(char),
}

impl Version {
    /// The version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        if let Some(c) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "-.".contains(*c))) {
            return Err(VersionError::Character(c));
        }
        if text.is_empty() || text.len() > VERSION_LENGTH_MAX {
            return Err(VersionError::Length);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<C> Encode<C> for Version {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Version {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.str()?.parse().map_err(|_| minicbor::decode::Error::message("not a version"))
    }
}

/// What an instance listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Protocol {
    /// Connections.
    #[n(0)]
    Tcp,
    /// Datagrams.
    #[n(1)]
    Udp,
}

impl Protocol {
    /// As DNS and people write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Who may publish instances under a name besides its owner.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub enum Sharing {
    /// Nobody.
    #[n(0)]
    #[default]
    Owner,
    /// These nodes; at most [`crate::record::SHARED_NODES_MAX`].
    #[n(1)]
    Nodes(#[n(0)] Vec<NodeId>),
    /// Every member.
    #[n(2)]
    Members,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_short_words() {
        for good in ["1", "2.0", "1.4-RC1", &"9".repeat(16)] {
            assert_eq!(good.parse::<Version>().unwrap().as_str(), good.to_lowercase());
        }
        for (bad, why) in [
            ("", VersionError::Length),
            (&"9".repeat(17), VersionError::Length),
            ("1 0", VersionError::Character(' ')),
            ("1/0", VersionError::Character('/')),
        ] {
            assert_eq!(bad.parse::<Version>(), Err(why), "{bad:?}");
        }
    }
}
