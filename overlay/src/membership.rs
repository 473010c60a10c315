//! Membership: who belongs to the network, by what credentials, and who does not any more.
//!
//! Every node computes the same from the same records, whatever their order: of one node the credential with
//! the highest serial counts; of two nodes that claim one address or name the lower serial keeps it.

use crate::identity::Identity;
use crate::limits::CREDENTIAL_LIFE_S;
use crate::random::Random;
use crate::secrets::Secrets;
use crate::state::Network;
use ed25519_dalek::SigningKey;
use ipnet::{IpNet, Ipv4Net};
use routing::{AddressBook, Taken};
use std::collections::BTreeMap;
use std::net::IpAddr;
use wire::address::ipv6_prefix;
use wire::credential::{Chain, Claims, Roles};
use wire::{Candidate, Name, NetworkId, NetworkSecret, NodeId};

/// Makes a network whose founder is this node: root key, secret, and the founder's credential.
///
/// # Panics
/// When `range` has no host address; the configuration allows lengths up to /30.
#[must_use]
pub fn found(
    network_name: Name,
    node_name: Name,
    range: Ipv4Net,
    identity: &Identity,
    unix_s: u64,
    seed: [u8; 32],
) -> Network {
    let mut random = Random::new(seed);
    let root = SigningKey::from_bytes(&random.bytes());
    let secret = NetworkSecret::new(1, random.bytes());
    let first = range.hosts().next().expect("a range has host addresses");
    let claims = Claims {
        network: NetworkId::of_root(&root.verifying_key().to_bytes()),
        node: identity.node(),
        noise_key: identity.noise_key(),
        name: node_name,
        ipv4: Ipv4Net::new(first, range.prefix_len()).expect("the range's own length"),
        prefixes: vec![],
        tags: vec![],
        services: vec![],
        roles: Roles { admin: true, hop: false },
        serial: serial(unix_s, &mut random),
        not_before_s: unix_s,
        expires_s: unix_s + CREDENTIAL_LIFE_S,
    };
    let chain = Chain::of_root(claims, &root);
    Network { name: network_name, chain, secrets: Secrets::new(secret), root: Some(root) }
}

/// Serials grow with the time of issue; the lower 20 bits tell apart what two admins issue in one second.
pub(crate) fn serial(unix_s: u64, random: &mut Random) -> u64 {
    unix_s << 20 | u64::from(random.u32() >> 12)
}

#[derive(Debug, Clone, Copy, Default)]
struct Revocation {
    by_itself: bool,
    by_admin: bool,
    by_root: bool,
}

/// What is known of the network's nodes, ourselves included.
pub(crate) struct Membership {
    pub(crate) network: Network,
    chains: BTreeMap<NodeId, Chain>,
    revocations: BTreeMap<NodeId, Revocation>,
    book: AddressBook<NodeId>,
}

impl Membership {
    pub(crate) fn new(network: Network) -> Self {
        let chain = network.chain.clone();
        let mut membership = Self {
            network,
            chains: BTreeMap::new(),
            revocations: BTreeMap::new(),
            book: AddressBook::default(),
        };
        membership.note_chain(chain);
        membership
    }

    pub(crate) fn own(&self) -> &Chain {
        &self.network.chain
    }

    pub(crate) fn id(&self) -> NetworkId {
        self.network.id()
    }

    pub(crate) fn range(&self) -> Ipv4Net {
        self.own().claims().ipv4.trunc()
    }

    /// Whether an address lies inside the mesh: a datagram to it would run through the very tunnel that it is to carry.
    pub(crate) fn is_inside(&self, candidate: &Candidate) -> bool {
        self.is_inside_ip(candidate.socket_address().ip())
    }

    /// Whether an address is one of the mesh.
    pub(crate) fn is_inside_ip(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.range().contains(&ip),
            IpAddr::V6(ip) => ipv6_prefix(&self.id()).contains(&ip),
        }
    }

    /// Takes note of verified credentials; true when they count more than what was known of the node.
    pub(crate) fn note_chain(&mut self, chain: Chain) -> bool {
        let node = chain.claims().node;
        let better = self.chains.get(&node).is_none_or(|known| self.outranks(&chain, known));
        if better {
            self.chains.insert(node, chain);
            self.rebuild_book();
        }
        better
    }

    /// Whether of two credentials of one node the first count: what a revoked admin has signed counts least, then what
    /// is older.
    pub(crate) fn outranks(&self, first: &Chain, second: &Chain) -> bool {
        let rank = |chain: &Chain| (!self.signer_is_revoked(chain), chain.claims().serial);
        // Two admins may use one serial for one node; then any order will do that everybody computes alike.
        rank(first).cmp(&rank(second)).then_with(|| first.encode().cmp(&second.encode())).is_gt()
    }

    /// The credentials of a node that count: those that it shows, or others that we know.
    pub(crate) fn best<'a>(&'a self, shown: &'a Chain) -> &'a Chain {
        let known = self.chains.get(&shown.claims().node);
        known.filter(|known| self.outranks(known, shown)).unwrap_or(shown)
    }

    /// Takes our own new credentials.
    pub(crate) fn adopt(&mut self, chain: Chain) {
        self.network.chain = chain.clone();
        self.note_chain(chain);
    }

    /// Takes note of a revocation that a record has brought.
    pub(crate) fn note_revocation(&mut self, node: NodeId, by: NodeId, by_root: bool) {
        let revocation = self.revocations.entry(node).or_default();
        revocation.by_itself |= by == node;
        revocation.by_admin |= by != node;
        revocation.by_root |= by_root;
        self.rebuild_book();
    }

    /// How many revocations are known: of each node one by itself, by an admin, and by the root. It only grows, and who knows
    /// of the same revocations has the same.
    pub(crate) fn revocation_count(&self) -> u32 {
        let count = |revocation: &Revocation| {
            let Revocation { by_itself, by_admin, by_root } = *revocation;
            u32::from(by_itself) + u32::from(by_admin) + u32::from(by_root)
        };
        self.revocations.values().map(count).fold(0, u32::saturating_add)
    }

    /// Whether these credentials are worth nothing: the node has left or was revoked, or the admin that signed them was.
    /// Only the root can take an admin's rights.
    pub(crate) fn is_revoked(&self, chain: &Chain) -> bool {
        self.is_revoked_itself(chain.claims()) || self.signer_is_revoked(chain)
    }

    /// Whether the node itself has left or was revoked: no credentials can bring it back.
    pub(crate) fn is_revoked_itself(&self, claims: &Claims) -> bool {
        let own = self.revocation(&claims.node);
        own.by_root || own.by_itself || (own.by_admin && !claims.roles.admin)
    }

    fn signer_is_revoked(&self, chain: &Chain) -> bool {
        chain.admin().is_some_and(|admin| self.revocation(&admin.node).by_root)
    }

    fn revocation(&self, node: &NodeId) -> Revocation {
        self.revocations.get(node).copied().unwrap_or_default()
    }

    pub(crate) fn chain(&self, node: &NodeId) -> Option<&Chain> {
        self.chains.get(node)
    }

    /// All nodes whose credentials count, ourselves included, in order of id.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Claims> {
        self.chains.values().filter(|chain| !self.is_revoked(chain)).map(Chain::claims)
    }

    /// Nodes that were members and are not any more.
    pub(crate) fn revoked(&self) -> impl Iterator<Item = &Claims> {
        self.chains.values().filter(|chain| self.is_revoked(chain)).map(Chain::claims)
    }

    /// Credentials that an admin has signed.
    pub(crate) fn chains_signed_by(&self, admin: NodeId) -> Vec<Chain> {
        self.chains.values().filter(|chain| chain.admin().is_some_and(|a| a.node == admin)).cloned().collect()
    }

    fn rebuild_book(&mut self) {
        let mut book = AddressBook::default();
        for claims in self.members() {
            book.claim(claims.node, claims.serial, &claims.exclusive_prefixes());
        }
        self.book = book;
    }

    /// Prefixes outside the network's own, and the nodes whose credentials make them routers of those, in order.
    pub(crate) fn routers(&self) -> BTreeMap<IpNet, Vec<NodeId>> {
        let mut routers = BTreeMap::<IpNet, Vec<NodeId>>::new();
        for claims in self.members() {
            for prefix in claims.routed_prefixes() {
                routers.entry(prefix).or_default().push(claims.node);
            }
        }
        routers
    }

    /// Which of the network's own prefixes a prefix has any address in common with.
    pub(crate) fn network_met_by(&self, prefix: &IpNet) -> Option<IpNet> {
        self.own()
            .claims()
            .network_prefixes()
            .into_iter()
            .find(|own| own.contains(prefix) || prefix.contains(own))
    }

    /// Prefixes and the nodes that own them.
    pub(crate) fn owners(&self) -> impl Iterator<Item = (IpNet, NodeId)> + '_ {
        self.book.iter()
    }

    /// What of the range is taken.
    pub(crate) fn taken(&self) -> Taken {
        Taken {
            addresses: self.members().map(|claims| claims.ipv4.addr()).collect(),
            blocks: self.members().flat_map(Claims::guest_blocks).collect(),
        }
    }

    /// The node that a name means: the one with the lowest serial.
    pub(crate) fn holder_of_name(&self, name: &Name) -> Option<NodeId> {
        self.members().filter(|c| c.name == *name).min_by_key(|c| (c.serial, c.node)).map(|c| c.node)
    }

    /// Nodes that claim a name or an address which another keeps.
    pub(crate) fn losers(&self) -> Vec<NodeId> {
        let lost = |claims: &&Claims| {
            self.holder_of_name(&claims.name) != Some(claims.node)
                || claims
                    .exclusive_prefixes()
                    .iter()
                    .any(|prefix| self.book.owner(*prefix) != Some(claims.node))
        };
        self.members().filter(lost).map(|claims| claims.node).collect()
    }
}

#[cfg(test)]
mod tests;
