//! Invites: one line of text that makes one machine a member.

use crate::id::{base32, unbase32};
use crate::{Candidate, InviteId, Name, NetworkId, NodeId, cbor, secret};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use std::fmt;
use std::str::FromStr;

/// Begins every invite; the digit is the version of the format.
const PREFIX: &str = "hopmesh1";
/// The part of the prefix that all versions share.
const FAMILY: &str = "hopmesh";
/// Bytes of SHA-256 behind the content, so that a cut or mistyped line is told from a wrong one.
const CHECKSUM_LENGTH: usize = 4;
/// Longest line, in characters; a longer one is no invite.
const LINE_LENGTH_MAX: usize = 1024;
/// Most addresses in an invite.
pub const ADDRESSES_MAX: usize = 8;

/// What role an invite gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum InviteRole {
    /// A member.
    #[n(0)]
    Member,
    /// A member that may invite, assign and revoke.
    #[n(1)]
    Admin,
}

/// An invite as the joiner holds it. Whoever reads it can join, once.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Invite {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The network's name.
    #[n(1)]
    pub network_name: Name,
    /// The admin that made it.
    #[n(2)]
    pub issuer: NodeId,
    /// Its name in the clear.
    #[n(3)]
    pub id: InviteId,
    /// What only its holder and the issuer know.
    #[n(4)]
    pub secret: ByteArray<16>,
    /// End of validity, seconds since 1970.
    #[n(5)]
    pub expires_s: u64,
    /// The role that it gives.
    #[n(6)]
    pub role: InviteRole,
    /// Where the issuer may be dialled, or members that put joiners through to it.
    #[n(7)]
    pub addresses: Vec<Candidate>,
}

/// Why a text is no invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// Something else altogether.
    #[error(
        "this is no invite: an invite is one line that begins with `{PREFIX}`, printed by `hopmesh invite`"
    )]
    NotAnInvite,
    /// Begins well, but is cut, mistyped or altered.
    #[error("this invite is damaged: copy the whole line again, from `{PREFIX}` to its end")]
    Damaged,
    /// Made by another version.
    #[error("this invite was made by another version of Hopmesh: use the same version on both machines")]
    Version,
}

impl Invite {
    /// The key of the MACs of the enrolment.
    #[must_use]
    pub fn mac_key(&self) -> [u8; 32] {
        mac_key(&self.secret)
    }

    /// The pre-shared key of the enrolment's Noise handshake.
    #[must_use]
    pub fn psk(&self) -> [u8; 32] {
        psk(&self.secret)
    }
}

/// The key of the MACs of an enrolment, from the invite's secret.
#[must_use]
pub fn mac_key(secret: &[u8; 16]) -> [u8; 32] {
    secret::derive(secret, b"hopmesh invite mac")
}

/// The pre-shared key of an enrolment, from the invite's secret.
#[must_use]
pub fn psk(secret: &[u8; 16]) -> [u8; 32] {
    secret::derive(secret, b"hopmesh invite psk")
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    digest.as_ref()[..CHECKSUM_LENGTH].try_into().expect("SHA-256 has 32 bytes")
}

/// Prints the line. The secret is in it: never into a log.
impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut content = cbor::encode(self);
        content.extend(checksum(&content));
        write!(f, "{PREFIX}{}", base32(&content))
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invite({:?} to {})", self.id, self.network_name)
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let text = text.trim().to_ascii_lowercase();
        if !text.starts_with(FAMILY) || text.len() > LINE_LENGTH_MAX {
            return Err(InviteError::NotAnInvite);
        }
        let Some(body) = text.strip_prefix(PREFIX) else {
            let other_version = text[FAMILY.len()..].starts_with(|c: char| c.is_ascii_digit());
            return Err(if other_version { InviteError::Version } else { InviteError::NotAnInvite });
        };
        let bytes = unbase32(body).ok_or(InviteError::Damaged)?;
        let (content, sum) = bytes.split_last_chunk::<CHECKSUM_LENGTH>().ok_or(InviteError::Damaged)?;
        if checksum(content) != *sum {
            return Err(InviteError::Damaged);
        }
        let invite: Self = cbor::decode(content).map_err(|_| InviteError::Damaged)?;
        if invite.addresses.len() > ADDRESSES_MAX { Err(InviteError::Damaged) } else { Ok(invite) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Invite {
        Invite {
            network: NetworkId([1; 16]),
            network_name: "home".parse().unwrap(),
            issuer: NodeId([2; 32]),
            id: InviteId([3; 16]),
            secret: [4; 16].into(),
            expires_s: 1_800_000_000,
            role: InviteRole::Member,
            addresses: vec![Candidate::new("192.0.2.1:41820".parse().unwrap()).unwrap()],
        }
    }

    #[test]
    fn one_word_that_reads_back_in_either_case() {
        let line = invite().to_string();
        assert!(line.chars().all(|c| c.is_ascii_alphanumeric()), "a double click selects all of {line}");
        assert_eq!(line.parse(), Ok(invite()));
        assert_eq!(format!("  {}\n", line.to_uppercase()).parse(), Ok(invite()));
    }

    #[test]
    fn every_truncation_and_every_changed_character_is_told() {
        let line = invite().to_string();
        for length in 0..line.len() {
            assert!(line[..length].parse::<Invite>().is_err(), "{length}");
        }
        for at in PREFIX.len()..line.len() {
            for c in ["a", "b", "7", "0", "-"] {
                let mut changed = line.clone();
                changed.replace_range(at..=at, c);
                assert!(
                    changed == line || changed.parse::<Invite>() == Err(InviteError::Damaged),
                    "{at} {c}"
                );
            }
        }
    }

    #[test]
    fn other_texts_are_no_invites() {
        assert_eq!("".parse::<Invite>(), Err(InviteError::NotAnInvite));
        assert_eq!("ssh-ed25519 AAAA".parse::<Invite>(), Err(InviteError::NotAnInvite));
        assert_eq!("hopmesh2abc".parse::<Invite>(), Err(InviteError::Version));
        assert_eq!("hopmesh".parse::<Invite>(), Err(InviteError::NotAnInvite));
        assert_eq!(format!("hopmesh1{}", "a".repeat(5000)).parse::<Invite>(), Err(InviteError::NotAnInvite));
    }
}
