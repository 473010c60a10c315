//! Credentials: one chain has one encoding, and says what its rules allow.

use crate::world;
use ed25519_dalek::{Signer, SigningKey};
use minicbor::bytes::ByteVec;
use wire::credential::CHAIN_LENGTH_MAX;
use wire::{Chain, CredentialError, cbor};

pub(crate) fn chain(bytes: &[u8]) -> bool {
    let Ok(chain) = Chain::verify(bytes, &world::network()) else { return false };
    check(&chain, bytes);
    true
}

/// Signs the bytes as a claim set, once with the root key and once with the admin's, so that what stands behind
/// the signature is reached.
pub(crate) fn claims(payload: &[u8]) -> bool {
    let mut parts: Vec<ByteVec> = cbor::decode(&world::admin_chain().encode()).expect("a chain is a list");
    parts.push(sign(payload, &world::admin()).into());
    let as_member = cbor::encode(&parts);
    let as_admin = cbor::encode(&vec![parts.swap_remove(0), sign(payload, &world::root()).into()]);
    let accepted = [as_member, as_admin].map(|bytes| match Chain::verify(&bytes, &world::network()) {
        Ok(chain) => {
            check(&chain, &bytes);
            true
        }
        Err(error) => {
            assert_ne!(error, CredentialError::Signature, "we have signed it ourselves");
            false
        }
    });
    assert_ne!(accepted, [true, true], "a member is no admin");
    accepted.contains(&true)
}

fn sign(payload: &[u8], key: &SigningKey) -> Vec<u8> {
    let [protected, nothing, payload] =
        [&[0xa1, 0x01, 0x27][..], &[], payload].map(|bytes| ByteVec::from(bytes.to_vec()));
    let to_sign = cbor::encode(&("Signature1", &protected, &nothing, &payload));
    let signature = ByteVec::from(key.sign(&to_sign).to_bytes().to_vec());
    // An array of four: the protected header, an empty map, payload and signature.
    let parts = [&[0x84][..], &cbor::encode(&protected), &[0xa0], &cbor::encode(&payload)];
    [&parts.concat()[..], &cbor::encode(&signature)].concat()
}

fn check(chain: &Chain, bytes: &[u8]) {
    assert_eq!(chain.encode(), bytes);
    assert!(bytes.len() <= CHAIN_LENGTH_MAX);
    let claims = chain.claims();
    assert_eq!(claims.network, world::network());
    assert!(chain.names(&claims.node));
    assert!(chain.admin().is_some() || claims.roles.admin, "the root signs admins alone");
    assert!(chain.admin().is_none_or(|admin| admin.roles.admin && !claims.roles.admin));
    assert!(claims.not_before_s < claims.expires_s);
    assert!(claims.owned_prefixes().iter().all(|prefix| prefix.prefix_len() > 0), "never the default route");
    assert!(
        chain.check_dates(claims.not_before_s.max(chain.admin().map_or(0, |a| a.not_before_s))).is_ok()
            || chain.admin().is_some_and(|admin| admin.expires_s < claims.not_before_s)
    );
}
