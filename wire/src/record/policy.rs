//! Records of policies: documents that an admin signs for all. What they mean is for their readers.

use super::{Content, Record, RecordError};
use crate::{Chain, Name, NetworkId, cbor};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// Longest media type of a policy in bytes, longer than all that are registered.
pub const MEDIA_TYPE_LENGTH_MAX: usize = 100;

/// A document for all members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which policy it is. Of all that admins have signed under one name the highest sequence counts.
    pub name: Name,
    /// What the document is, such as `application/rego`: two words of letters, digits and `!#$&-^_.+`, with a slash between.
    pub media_type: String,
    /// The document, as long as a record has room. An empty one withdraws the policy.
    pub document: Vec<u8>,
}

#[derive(Encode, Decode)]
pub(super) struct PolicyPayload {
    #[n(0)]
    media_type: String,
    #[n(1)]
    document: ByteVec,
    #[n(2)]
    by: ByteVec,
}

impl PolicyPayload {
    pub(super) fn of(policy: &Policy, by: &Chain) -> Self {
        let Policy { media_type, document, .. } = policy.clone();
        Self { media_type, document: document.into(), by: by.encode().into() }
    }
}

/// Whether a text is a media type (RFC 6838, section 4.2), in lower case, so that one type has one spelling.
fn is_media_type(text: &str) -> bool {
    let is_word = |word: &str| {
        let fits =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$&-^_.+".contains(&byte);
        word.bytes().all(fits) && word.starts_with(|first: char| first.is_ascii_alphanumeric())
    };
    text.len() <= MEDIA_TYPE_LENGTH_MAX
        && text.split_once('/').is_some_and(|(kind, subtype)| is_word(kind) && is_word(subtype))
}

impl Record {
    /// The policy that the record holds, whether its owner may, and the proper name of the record.
    pub(super) fn policy(&self, network: &NetworkId) -> Result<(Content, bool, String), RecordError> {
        let PolicyPayload { media_type, document, by } = cbor::decode(&self.body.payload)?;
        let name: Name = self.body.name.parse().map_err(|_| RecordError::Malformed)?;
        if !is_media_type(&media_type) {
            return Err(RecordError::Malformed);
        }
        let by = Box::new(Chain::verify(&by, network).map_err(|_| RecordError::Malformed)?);
        let may = by.claims().node == self.body.owner && by.claims().roles.admin;
        let proper_name = name.to_string();
        let policy = Policy { name, media_type, document: document.into() };
        Ok((Content::Policy { policy, by }, may, proper_name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_those_that_can_be_registered_in_one_spelling() {
        for good in ["application/rego", "text/plain", "application/vnd.cncf.rego+json"] {
            assert!(is_media_type(good), "{good}");
        }
        let long = format!("a/{}", "b".repeat(MEDIA_TYPE_LENGTH_MAX - 1));
        for bad in ["", "rego", "/", "a/", "/b", "a/b/c", "a/b;c=d", "A/b", "a/b\0", "a/ b", "a/-b", &long] {
            assert!(!is_media_type(bad), "{bad:?}");
        }
    }
}
