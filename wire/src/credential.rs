//! Credentials: what a network says of a node, signed (COSE_Sign1, RFC 9052; CWT, RFC 8392).
//!
//! The root key signs admins, admins sign members, so a [`Chain`] has one credential or two. A chain that
//! exists as a value is verified: there is no other way to make one. Encodings that are not the one
//! that we would write are refused, and revocation goes by node id and serial, never by a hash of bytes.

mod claims;

pub use claims::{Claims, PREFIXES_MAX, Roles, SERVICES_MAX, is_routable};
pub(crate) use claims::{parse_prefix, prefix_bytes};

use crate::cbor::CborError;
use crate::{NetworkId, NodeId};
use coset::{CborSerializable, CoseSign1, CoseSign1Builder, HeaderBuilder, iana};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use minicbor::bytes::ByteVec;

/// How far clocks may be apart before a credential counts as not yet valid or expired, in seconds.
pub const CLOCK_SKEW_S: u64 = 3600;

/// Longest chain in bytes: with a member's addresses it must fit in one record, and a record in one datagram.
pub const CHAIN_LENGTH_MAX: usize = 860;

/// Why a credential or a chain is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Not COSE_Sign1 with the claims of a credential, or claims that contradict each other.
    #[error("malformed credential")]
    Malformed,
    /// Another encoding of the same claims.
    #[error("credential is not canonically encoded")]
    NotCanonical,
    /// Not signed by the key that should have signed it.
    #[error("signature of a credential does not verify")]
    Signature,
    /// Of another network.
    #[error("credential belongs to another network")]
    WrongNetwork,
    /// Signed by a node that is no admin, or names itself admin without the root's signature.
    #[error("credential is not signed by an admin of the network")]
    Authority,
    /// Begins more than an hour from now.
    #[error("credential is not valid yet: compare the clocks of both machines")]
    NotYetValid,
    /// Ended more than an hour ago.
    #[error("credential has expired: an admin must renew it, or a clock is wrong")]
    Expired,
}

/// Claims under a signature that has been verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    claims: Claims,
    bytes: Vec<u8>,
}

impl Credential {
    /// Signs claims.
    ///
    /// # Panics
    /// Never for claims made by [`Claims`]' own constructors: their encoding cannot fail.
    #[must_use]
    pub fn sign(claims: Claims, key: &SigningKey) -> Self {
        let sign1 = CoseSign1Builder::new()
            .protected(HeaderBuilder::new().algorithm(iana::Algorithm::EdDSA).build())
            .payload(claims.encode())
            .create_signature(&[], |message| key.sign(message).to_bytes().to_vec())
            .build();
        let bytes = sign1.to_vec().expect("plain claims always encode");
        Self { claims, bytes }
    }

    fn verify(bytes: &[u8], signer: &[u8; 32]) -> Result<Self, CredentialError> {
        let sign1 = CoseSign1::from_slice(bytes).map_err(|_| CredentialError::Malformed)?;
        let payload = sign1.payload.as_deref().ok_or(CredentialError::Malformed)?;
        let claims = Claims::decode(payload)?;
        let canonical = CoseSign1Builder::new()
            .protected(HeaderBuilder::new().algorithm(iana::Algorithm::EdDSA).build())
            .payload(claims.encode())
            .signature(sign1.signature.clone())
            .build();
        if canonical.to_vec().map_err(|_| CredentialError::Malformed)? != bytes {
            return Err(CredentialError::NotCanonical);
        }
        sign1.verify_signature(&[], |signature, message| verify_signature(signer, message, signature))?;
        Ok(Self { claims, bytes: bytes.to_vec() })
    }

    /// What is claimed.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.claims.fmt(f)
    }
}

/// Checks an Ed25519 signature strictly: no weak keys, no malleable encodings.
///
/// # Errors
/// [`CredentialError::Signature`].
pub fn verify_signature(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), CredentialError> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| CredentialError::Signature)?;
    let signature = Signature::from_slice(signature).map_err(|_| CredentialError::Signature)?;
    key.verify_strict(message, &signature).map_err(|_| CredentialError::Signature)
}

/// A node's credential and, unless the root signed it, the credential of the admin that did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    root: [u8; 32],
    admin: Option<Credential>,
    leaf: Credential,
}

impl Chain {
    /// The chain of an admin, signed by the root key itself.
    #[must_use]
    pub fn of_root(claims: Claims, root: &SigningKey) -> Self {
        Self { root: root.verifying_key().to_bytes(), admin: None, leaf: Credential::sign(claims, root) }
    }

    /// The chain of a member, signed by the admin whose chain this is.
    ///
    /// # Errors
    /// [`CredentialError::Authority`] when the signer's chain is not an admin's or the claims make the member an admin,
    /// [`CredentialError::Malformed`] when they contradict the signer's network.
    pub fn extend(&self, claims: Claims, admin: &SigningKey) -> Result<Self, CredentialError> {
        let chain =
            Self { root: self.root, admin: Some(self.leaf.clone()), leaf: Credential::sign(claims, admin) };
        chain.check()?;
        Ok(chain)
    }

    /// Reads and verifies a chain of a given network. Dates are checked by [`Chain::check_dates`].
    ///
    /// # Errors
    /// [`CredentialError`]; nothing of the bytes is believed then.
    pub fn verify(bytes: &[u8], network: &NetworkId) -> Result<Self, CredentialError> {
        let parts = split(bytes)?;
        let (root, credentials) = parts.split_first().ok_or(CredentialError::Malformed)?;
        let root: [u8; 32] = root.as_slice().try_into().map_err(|_| CredentialError::Malformed)?;
        if NetworkId::of_root(&root) != *network {
            return Err(CredentialError::WrongNetwork);
        }
        Self::verify_credentials(root, credentials)
    }

    /// Reads and verifies what [`Chain::encode_without_root`] wrote, for readers that know the network's root key.
    ///
    /// # Errors
    /// As [`Chain::verify`].
    pub fn verify_under(bytes: &[u8], root: &[u8; 32]) -> Result<Self, CredentialError> {
        Self::verify_credentials(*root, &split(bytes)?)
    }

    fn verify_credentials(root: [u8; 32], credentials: &[ByteVec]) -> Result<Self, CredentialError> {
        let (admin, leaf) = match credentials {
            [leaf] => (None, leaf),
            [admin, leaf] => (Some(admin), leaf),
            _ => return Err(CredentialError::Malformed),
        };
        let admin = admin.map(|bytes| Credential::verify(bytes, &root)).transpose()?;
        let signer = admin.as_ref().map_or(root, |admin| admin.claims.node.0);
        let chain = Self { root, admin, leaf: Credential::verify(leaf, &signer)? };
        chain.check()?;
        Ok(chain)
    }

    /// The rules between the credentials of a chain.
    fn check(&self) -> Result<(), CredentialError> {
        let network = NetworkId::of_root(&self.root);
        for credential in self.admin.iter().chain([&self.leaf]) {
            if credential.claims.network != network {
                return Err(CredentialError::WrongNetwork);
            }
        }
        match &self.admin {
            None if !self.leaf.claims.roles.admin => Err(CredentialError::Authority),
            Some(admin) if !admin.claims.roles.admin || self.leaf.claims.roles.admin => {
                Err(CredentialError::Authority)
            }
            Some(admin) if admin.claims.ipv4.trunc() != self.leaf.claims.ipv4.trunc() => {
                Err(CredentialError::Malformed)
            }
            _ => Ok(()),
        }
    }

    /// Whether every credential of the chain is valid at a given time, give or take [`CLOCK_SKEW_S`].
    ///
    /// # Errors
    /// [`CredentialError::NotYetValid`] or [`CredentialError::Expired`].
    pub fn check_dates(&self, unix_s: u64) -> Result<(), CredentialError> {
        for claims in self.admin.iter().chain([&self.leaf]).map(Credential::claims) {
            if unix_s.saturating_add(CLOCK_SKEW_S) < claims.not_before_s {
                return Err(CredentialError::NotYetValid);
            }
            if unix_s > claims.expires_s.saturating_add(CLOCK_SKEW_S) {
                return Err(CredentialError::Expired);
            }
        }
        Ok(())
    }

    /// What the network says of the node itself.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.leaf.claims
    }

    /// The admin that signed the node's credential; `None` when the root key did.
    #[must_use]
    pub fn admin(&self) -> Option<&Claims> {
        self.admin.as_ref().map(Credential::claims)
    }

    /// The network's root public key.
    #[must_use]
    pub fn root(&self) -> &[u8; 32] {
        &self.root
    }

    /// The chain's one encoding: a CBOR array of root key, admin's credential if any, own credential.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let root = ByteVec::from(self.root.to_vec());
        crate::cbor::encode(&std::iter::once(root).chain(self.credentials()).collect::<Vec<_>>())
    }

    /// The same without the root key, 34 bytes shorter, for readers that know it.
    #[must_use]
    pub fn encode_without_root(&self) -> Vec<u8> {
        crate::cbor::encode(&self.credentials().collect::<Vec<_>>())
    }

    fn credentials(&self) -> impl Iterator<Item = ByteVec> + '_ {
        self.admin.iter().chain([&self.leaf]).map(|credential| credential.bytes.clone().into())
    }

    /// Whether a node id stands anywhere in the chain, for revocation.
    #[must_use]
    pub fn names(&self, node: &NodeId) -> bool {
        self.leaf.claims.node == *node || self.admin().is_some_and(|admin| admin.node == *node)
    }
}

/// The byte strings of an encoded chain.
fn split(bytes: &[u8]) -> Result<Vec<ByteVec>, CredentialError> {
    if bytes.len() > CHAIN_LENGTH_MAX {
        return Err(CredentialError::Malformed);
    }
    crate::cbor::decode(bytes).map_err(|error| match error {
        CborError::Malformed => CredentialError::Malformed,
        CborError::NotCanonical => CredentialError::NotCanonical,
    })
}

#[cfg(test)]
mod tests;
