//! The network that all bodies are about: fixed keys, an admin, a member. Without it nothing that is signed would pass.

use ed25519_dalek::SigningKey;
use wire::{Chain, Claims, NetworkId, NodeId, NoisePublicKey, Roles};

/// Begin of the validity of all credentials, seconds since 1970.
pub const NOT_BEFORE_S: u64 = 1_800_000_000;

/// The root key of the network.
#[must_use]
pub fn root() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// The node key of its admin.
#[must_use]
pub fn admin() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

/// The node key of its member.
#[must_use]
pub fn member() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

/// The node of a key.
#[must_use]
pub fn node(key: &SigningKey) -> NodeId {
    NodeId(key.verifying_key().to_bytes())
}

/// The network.
#[must_use]
pub fn network() -> NetworkId {
    NetworkId::of_root(&root().verifying_key().to_bytes())
}

/// Plain claims of a node of the network.
#[must_use]
pub fn claims(key: &SigningKey, host: u8, is_admin: bool) -> Claims {
    Claims {
        network: network(),
        node: node(key),
        noise_key: NoisePublicKey([9; 32]),
        name: "laptop".parse().expect("a literal"),
        ipv4: format!("10.7.0.{host}/16").parse().expect("an address with its length"),
        prefixes: vec![],
        tags: vec![],
        services: vec![],
        roles: Roles { admin: is_admin, hop: false },
        serial: u64::from(host),
        not_before_s: NOT_BEFORE_S,
        expires_s: NOT_BEFORE_S + 1000,
    }
}

/// The admin's credentials.
#[must_use]
pub fn admin_chain() -> Chain {
    Chain::of_root(claims(&admin(), 1, true), &root())
}

/// The member's credentials.
///
/// # Panics
/// Never: the admin may sign them.
#[must_use]
pub fn member_chain() -> Chain {
    admin_chain().extend(claims(&member(), 2, false), &admin()).expect("the admin may sign a member")
}
