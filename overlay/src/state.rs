//! What survives a restart, as bytes: eight files, each one canonical CBOR value.
//!
//! The caller frames, checks and writes them; what is decoded here has come back whole. Keys and secrets are in
//! `identity`, `network` and `invites`; `records`,
//! `contacts` and `leases` can be learnt again from other nodes; `services` and `guests` are what people have published and whom they have
//! taken in here.

mod lease;

pub use lease::{
    Leases, decode_guests, decode_leases, decode_services, encode_guests, encode_leases, encode_services,
};

use crate::identity::Identity;
use crate::secrets::{Earlier, Secrets};
use ed25519_dalek::SigningKey;
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};
use std::net::Ipv4Addr;
use wire::cbor::{self, CborError};
use wire::invite::InviteRole;
use wire::{Candidate, Chain, InviteId, Name, NetworkId, NetworkSecret, NodeId, NoisePublicKey, Record};
use zeroize::Zeroizing;

/// The files of a node's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateFile {
    /// The node's keys.
    Identity,
    /// The network, its secret and our credentials.
    Network,
    /// Invites that we made.
    Invites,
    /// All records.
    Records,
    /// Where peers were reached.
    Contacts,
    /// What people have published here.
    Services,
    /// Claims to names, guests of all, and what is remembered of leases.
    Leases,
    /// Guests that we answer for.
    Guests,
}

impl StateFile {
    /// Name of the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Network => "network",
            Self::Invites => "invites",
            Self::Records => "records",
            Self::Contacts => "contacts",
            Self::Services => "services",
            Self::Leases => "leases",
            Self::Guests => "guests",
        }
    }

    /// Whether other nodes can tell it again, so that a damaged file may be set aside.
    #[must_use]
    pub fn can_be_learnt_again(self) -> bool {
        matches!(self, Self::Records | Self::Contacts | Self::Leases)
    }
}

/// Why a file that came back whole is no state of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Not the CBOR that this version writes.
    #[error("its contents are not what this version of Hopmesh writes")]
    Malformed,
    /// Credentials that do not verify, or are another node's.
    #[error("the credentials in it do not belong to this node's keys")]
    Credential,
}

impl From<CborError> for StateError {
    fn from(_: CborError) -> Self {
        Self::Malformed
    }
}

#[derive(Encode, Decode)]
struct IdentityForm {
    #[n(0)]
    signing: ByteArray<32>,
    #[n(1)]
    noise: ByteArray<32>,
    #[n(2)]
    starts: u64,
}

impl Identity {
    /// The bytes of [`StateFile::Identity`].
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let form = IdentityForm {
            signing: self.signing.to_bytes().into(),
            noise: self.noise.to_bytes().into(),
            starts: self.starts,
        };
        Zeroizing::new(cbor::encode(&form))
    }

    /// Reads [`StateFile::Identity`].
    ///
    /// # Errors
    /// [`StateError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let form: IdentityForm = cbor::decode(bytes)?;
        let (signing, noise): ([u8; 32], [u8; 32]) = (form.signing.into(), form.noise.into());
        Ok(Self { signing: SigningKey::from_bytes(&signing), noise: noise.into(), starts: form.starts })
    }
}

/// A node's membership of a network.
#[derive(Clone, Debug)]
pub struct Network {
    /// The network's name.
    pub name: Name,
    /// Our credentials.
    pub chain: Chain,
    /// The network secret, and earlier ones.
    pub secrets: Secrets,
    /// The network's root key, on the machine that founded it.
    pub root: Option<SigningKey>,
}

#[derive(Encode, Decode)]
struct NetworkForm {
    #[n(0)]
    name: Name,
    #[n(1)]
    id: NetworkId,
    #[n(2)]
    chain: ByteVec,
    #[n(3)]
    epoch: u32,
    #[n(4)]
    secret: ByteArray<32>,
    #[n(5)]
    root: Option<ByteArray<32>>,
    /// The latest first; none before the first revocation, and in files of versions that knew of none.
    #[n(6)]
    earlier: Option<Vec<EarlierForm>>,
}

#[derive(Encode, Decode)]
struct EarlierForm {
    #[n(0)]
    epoch: u32,
    #[n(1)]
    secret: ByteArray<32>,
    #[n(2)]
    until_s: u64,
}

impl EarlierForm {
    fn of(earlier: &Earlier) -> Self {
        let Earlier { secret, until_s } = earlier;
        Self { epoch: secret.epoch(), secret: (*secret.bytes()).into(), until_s: *until_s }
    }

    fn earlier(self) -> Earlier {
        Earlier { secret: NetworkSecret::new(self.epoch, self.secret.into()), until_s: self.until_s }
    }
}

impl Network {
    /// The network's id.
    #[must_use]
    pub fn id(&self) -> NetworkId {
        self.chain.claims().network
    }

    /// The bytes of [`StateFile::Network`].
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let earlier = self.secrets.earlier();
        let form = NetworkForm {
            name: self.name.clone(),
            id: self.id(),
            chain: self.chain.encode().into(),
            epoch: self.secrets.current().epoch(),
            secret: (*self.secrets.current().bytes()).into(),
            root: self.root.as_ref().map(|root| root.to_bytes().into()),
            earlier: (!earlier.is_empty()).then(|| earlier.iter().map(EarlierForm::of).collect()),
        };
        Zeroizing::new(cbor::encode(&form))
    }

    /// Reads [`StateFile::Network`] of the node with this identity.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn decode(bytes: &[u8], identity: &Identity) -> Result<Self, StateError> {
        let form: NetworkForm = cbor::decode(bytes)?;
        let chain = Chain::verify(&form.chain, &form.id).map_err(|_| StateError::Credential)?;
        let claims = chain.claims();
        if claims.node != identity.node() || claims.noise_key != identity.noise_key() {
            return Err(StateError::Credential);
        }
        let root = form.root.map(|root| SigningKey::from_bytes(&root.into()));
        if root.as_ref().is_some_and(|root| root.verifying_key().to_bytes() != *chain.root()) {
            return Err(StateError::Credential);
        }
        let current = NetworkSecret::new(form.epoch, form.secret.into());
        let earlier = form.earlier.unwrap_or_default().into_iter().map(EarlierForm::earlier).collect();
        Ok(Self { name: form.name, chain, secrets: Secrets::with_earlier(current, earlier), root })
    }
}

/// An invite as its issuer keeps it.
#[derive(Clone, Encode, Decode)]
pub struct IssuedInvite {
    /// Its name in the clear.
    #[n(0)]
    pub id: InviteId,
    /// What its holder must prove.
    #[n(1)]
    pub secret: ByteArray<16>,
    /// End of validity, seconds since 1970.
    #[n(2)]
    pub expires_s: u64,
    /// The role that it gives.
    #[n(3)]
    pub role: InviteRole,
    /// The name that it gives.
    #[n(4)]
    pub name: Option<Name>,
    /// The IPv4 mesh address that it gives.
    #[n(5)]
    pub ipv4: Option<u32>,
    /// The node that used it.
    #[n(6)]
    pub used_by: Option<NodeId>,
    /// The credentials that it was given, so that they count before its first record, also after a restart.
    #[n(7)]
    pub chain: Option<ByteVec>,
    /// The service names that it delegates, when there are any.
    #[n(8)]
    pub services: Option<Vec<Name>>,
}

impl IssuedInvite {
    /// The address that it gives.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.ipv4.map(Ipv4Addr::from)
    }
}

/// The bytes of [`StateFile::Invites`].
#[must_use]
pub fn encode_invites(invites: &Vec<IssuedInvite>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(cbor::encode(invites))
}

/// Reads [`StateFile::Invites`].
///
/// # Errors
/// [`StateError::Malformed`].
pub fn decode_invites(bytes: &[u8]) -> Result<Vec<IssuedInvite>, StateError> {
    Ok(cbor::decode(bytes)?)
}

/// The bytes of [`StateFile::Records`].
#[must_use]
pub fn encode_records<'a>(records: impl Iterator<Item = &'a Record>) -> Zeroizing<Vec<u8>> {
    let list: Vec<ByteVec> = records.map(|record| record.bytes().to_vec().into()).collect();
    Zeroizing::new(cbor::encode(&list))
}

/// Reads [`StateFile::Records`]; records that do not verify are left out.
///
/// # Errors
/// [`StateError::Malformed`].
pub fn decode_records(bytes: &[u8]) -> Result<Vec<Record>, StateError> {
    let list: Vec<ByteVec> = cbor::decode(bytes)?;
    Ok(list.iter().filter_map(|bytes| Record::verify(bytes).ok()).collect())
}

/// A peer and where it was reached.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Contact {
    /// The peer.
    #[n(0)]
    pub node: NodeId,
    /// Its Noise key.
    #[n(1)]
    pub noise_key: NoisePublicKey,
    /// Where it was reached, latest first.
    #[n(2)]
    pub candidates: Vec<Candidate>,
}

/// The bytes of [`StateFile::Contacts`].
#[must_use]
pub fn encode_contacts(contacts: &Vec<Contact>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(cbor::encode(contacts))
}

/// Reads [`StateFile::Contacts`].
///
/// # Errors
/// [`StateError::Malformed`].
pub fn decode_contacts(bytes: &[u8]) -> Result<Vec<Contact>, StateError> {
    Ok(cbor::decode(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::found;

    fn network() -> (Identity, Network) {
        let identity = Identity::generate([1; 32]);
        let range = "10.7.0.0/16".parse().unwrap();
        let (name, node) = ("home".parse().unwrap(), "a".parse().unwrap());
        let network = found(name, node, range, &identity, 1_800_000_000, [2; 32]);
        (identity, network)
    }

    #[test]
    fn keys_and_network_come_back() {
        let (identity, network) = network();
        let read = Identity::decode(&identity.encode()).unwrap();
        assert_eq!((read.node(), read.noise_key()), (identity.node(), identity.noise_key()));
        let read = Network::decode(&network.encode(), &identity).unwrap();
        assert_eq!((read.chain, read.name), (network.chain, network.name));
        assert!(read.root.is_some());
    }

    #[test]
    fn earlier_secrets_come_back_and_a_file_without_any_is_read() {
        let (identity, mut network) = network();
        let epochs = |network: &Network| -> Vec<(u32, [u8; 32])> {
            let read = Network::decode(&network.encode(), &identity).unwrap();
            read.secrets.all().map(|secret| (secret.epoch(), *secret.bytes())).collect()
        };
        let first = *network.secrets.current().bytes();
        // An array of six: what was written before there were epochs.
        assert_eq!(network.encode()[0], 0x86);
        assert_eq!(epochs(&network), [(1, first)]);
        network.secrets.replace(NetworkSecret::new(2, [2; 32]), 5);
        network.secrets.replace(NetworkSecret::new(3, [3; 32]), 6);
        assert_eq!(epochs(&network), [(3, [3; 32]), (2, [2; 32]), (1, first)]);
        assert_eq!(network.secrets.earlier()[0].until_s, 6);
    }

    #[test]
    fn another_nodes_network_is_refused() {
        let (_, network) = network();
        let stranger = Identity::generate([9; 32]);
        assert_eq!(Network::decode(&network.encode(), &stranger).err(), Some(StateError::Credential));
        assert_eq!(Network::decode(b"", &stranger).err(), Some(StateError::Malformed));
    }

    #[test]
    fn lists_come_back() {
        let invite = IssuedInvite {
            id: InviteId([1; 16]),
            secret: [2; 16].into(),
            expires_s: 3,
            role: InviteRole::Admin,
            name: None,
            ipv4: Some(u32::from(Ipv4Addr::new(10, 7, 0, 9))),
            used_by: Some(NodeId([4; 32])),
            chain: None,
            services: None,
        };
        let read = decode_invites(&encode_invites(&vec![invite.clone()])).unwrap();
        assert_eq!(read[0].address(), Some(Ipv4Addr::new(10, 7, 0, 9)));
        assert_eq!(read[0].used_by, invite.used_by);
        let contact =
            Contact { node: NodeId([1; 32]), noise_key: NoisePublicKey([2; 32]), candidates: vec![] };
        assert_eq!(decode_contacts(&encode_contacts(&vec![contact.clone()])), Ok(vec![contact]));
    }
}
