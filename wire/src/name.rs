//! Names of nodes and networks: one DNS label each (RFC 1035 section 2.3.1, RFC 1123 section 2.1).

use std::fmt;
use std::str::FromStr;

/// Longest DNS label, in bytes (RFC 1035 section 2.3.4).
const LABEL_LENGTH_MAX: usize = 63;

/// A valid DNS label in lower case: letters, digits and inner hyphens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Why a text is no [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing between the dots.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than 63 bytes.
    #[error("a name has at most {LABEL_LENGTH_MAX} characters")]
    TooLong,
    /// Something other than a letter, a digit or a hyphen.
    #[error("a name has only letters, digits and hyphens (one DNS label), not {0:?}")]
    Character(char),
    /// A hyphen at the beginning or the end.
    #[error("a name cannot begin or end with a hyphen")]
    Hyphen,
    /// `localhost` and `wpad` mean something else to every machine.
    #[error("this name is reserved: choose another")]
    Reserved,
}

/// Names that resolvers and browsers treat in a way of their own (RFC 6761; WPAD).
const RESERVED: [&str; 3] = ["localhost", "wpad", "isatap"];

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with `-N` behind it, shortened so that it stays a label.
    #[must_use]
    pub fn numbered(&self, n: u32) -> Self {
        let suffix = format!("-{n}");
        let keep = self.0.len().min(LABEL_LENGTH_MAX - suffix.len());
        Self(format!("{}{suffix}", self.0[..keep].trim_end_matches('-')))
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if let Some(c) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '-')) {
            return Err(NameError::Character(c));
        }
        if text.len() > LABEL_LENGTH_MAX {
            return Err(NameError::TooLong);
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(NameError::Hyphen);
        }
        let lower = text.to_ascii_lowercase();
        if RESERVED.contains(&lower.as_str()) {
            return Err(NameError::Reserved);
        }
        Ok(Self(lower))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<C> minicbor::Encode<C> for Name {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Name {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.str()?.parse().map_err(|_| minicbor::decode::Error::message("not a DNS label"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_only() {
        for good in ["a", "Laptop", "web-1", "0", &"x".repeat(63)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good.to_lowercase());
        }
        for (bad, why) in [
            ("", NameError::Empty),
            ("-a", NameError::Hyphen),
            ("a-", NameError::Hyphen),
            ("a.b", NameError::Character('.')),
            ("../etc", NameError::Character('.')),
            ("a\0", NameError::Character('\0')),
            ("é", NameError::Character('é')),
            ("a b", NameError::Character(' ')),
            ("localhost", NameError::Reserved),
            ("WPAD", NameError::Reserved),
        ] {
            assert_eq!(bad.parse::<Name>(), Err(why), "{bad:?}");
        }
        assert_eq!("x".repeat(64).parse::<Name>(), Err(NameError::TooLong));
    }

    #[test]
    fn numbered_names_stay_labels() {
        let long: Name = "x".repeat(63).parse().unwrap();
        assert_eq!(long.numbered(12).as_str().len(), 63);
        let name: Name = "web".parse().unwrap();
        assert_eq!(name.numbered(2).as_str(), "web-2");
    }
}
