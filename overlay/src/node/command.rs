//! What people want of a Node: invite, assign, revoke, ping, leave, close.

use super::{Event, Node, Output, PendingPing};
use crate::limits::{
    CREDENTIAL_LIFE_S, DELEGATED_LENGTH_MAX, INVITE_LIFE_MAX, INVITE_MEMORY_S, INVITES_MAX, PINGS_MAX,
};
use crate::membership::serial;
use crate::state::IssuedInvite;
use ipnet::{IpNet, Ipv4Net};
use routing::Taken;
use routing::range::{AddressError, allocate_ipv4};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use wire::control::Message;
use wire::credential::{CHAIN_LENGTH_MAX, Claims, Roles, SERVICES_MAX};
use wire::invite::InviteRole;
use wire::record::{Content, GUESTS_MAX, Key};
use wire::{Chain, CredentialError, Invite, InviteId, Kind, Name, NodeId, NoisePublicKey};

/// Fewest characters of an id by which a node may be named.
const ID_PREFIX_MIN: usize = 4;

/// Why a wish cannot be fulfilled; the text says what to do instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Only admins may.
    #[error(
        "only an admin of the network may do this: do it on a machine whose `hopmesh status` shows the role admin"
    )]
    NotAdmin,
    /// Only the root key may.
    #[error("only the machine that founded the network holds its root key, which this needs: do it there")]
    NotRoot,
    /// This node was revoked.
    #[error("this machine was revoked from the network: `hopmesh leave`, then join again by a new invite")]
    Revoked,
    /// No node of this name, address or id.
    #[error("no node {0:?} in this network: `hopmesh peers` lists them")]
    NoSuchNode(String),
    /// Several ids begin so.
    #[error("several nodes have an id that begins with {0:?}: give more of it")]
    Ambiguous(String),
    /// The name is another node's or promised by an invite.
    #[error("the name {0} is taken in this network: choose another")]
    NameTaken(Name),
    /// The address is not free or not in the range.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// IPv6 mesh addresses follow from node ids.
    #[error(
        "{0} cannot be assigned: a node's IPv6 address follows from its id; assign an IPv4 address of {1}"
    )]
    Ipv6(IpAddr, Ipv4Net),
    /// Validity of an invite out of bounds.
    #[error("an invite is valid for a second at least and 30 days at most")]
    Expiry,
    /// Names that a credential has no room for.
    #[error(
        "a machine is given at most {SERVICES_MAX} service names, together at most {DELEGATED_LENGTH_MAX} characters long"
    )]
    TooManyServices,
    /// A prefix that nobody can be a router for.
    #[error(
        "{0} cannot be routed: give a prefix of an IPv4 or IPv6 subnet without host bits, of length 8 (IPv6: 16) at least, such as 192.168.1.0/24"
    )]
    Prefix(IpNet),
    /// A prefix that the mesh has itself.
    #[error("{0} overlaps with this network's own addresses, {1}: it cannot be routed")]
    PrefixOfNetwork(IpNet, IpNet),
    /// A prefix that a credential has no room for.
    #[error("{0} has as many routes as its credential has room for: reject one first")]
    TooManyRoutes(Name),
    /// Nothing to reject.
    #[error("{0} is not approved as a router for {1}: `hopmesh route list` shows who is")]
    NoSuchRoute(Name, IpNet),
    /// The node is no exit.
    #[error(
        "{0} does not offer to be an exit: `hopmesh exit offer` on it has it do so; `hopmesh exit list` shows who does"
    )]
    NoExit(Name),
    /// Too many open invites.
    #[error("there are {INVITES_MAX} open invites: wait until some are used or expire")]
    TooManyInvites,
    /// Too many guests.
    #[error("this machine has {GUESTS_MAX} guests: remove some, or add the guest on another machine")]
    TooManyGuests,
    /// Two guests cannot have one key.
    #[error("the guest {0} has this key already: every device needs a key of its own")]
    GuestKeyTaken(Name),
    /// No guest of ours has the name; the node whose guest has it.
    #[error("{}", no_such_guest(.0, .1.as_ref()))]
    NoSuchGuest(Name, Option<Name>),
    /// A credential longer than a record has room for.
    #[error(
        "the machine's credential has no room for more: take service names, tags or prefixes from it first"
    )]
    TooLong,
    /// What would be signed now would be dated wrongly.
    #[error(
        "by this machine's clock its own credentials are out of date, so what it signed now would be refused: set the clock, or see `hopmesh status`"
    )]
    Clock,
    /// The node is ourselves.
    #[error("{0} is this machine itself")]
    Oneself(Name),
    /// Nobody could be an admin any more.
    #[error(
        "this machine holds the network's root key: when it leaves, nobody can make admins any more; `hopmesh leave --force` if you mean it"
    )]
    LastRoot,
    /// Too many overlay pings at the same time.
    #[error("{PINGS_MAX} pings are under way: wait for their end")]
    TooManyPings,
    /// A policy that is none.
    #[error(
        "this cannot be a policy: its document must fit into a record of 1180 bytes with our credentials, its type must be a media type such as application/rego, and there is room for 64 of one admin"
    )]
    Policy,
    /// A credential could not be made.
    #[error("the credential cannot be signed: {0}")]
    Credential(#[from] CredentialError),
}

fn no_such_guest(name: &Name, host: Option<&Name>) -> String {
    host.map_or_else(
        || format!("this machine has no guest {name}: `hopmesh guest list` lists them"),
        |host| format!("{name} is a guest of {host}: remove it there"),
    )
}

/// What an invite is to give.
#[derive(Debug, Clone)]
pub struct InviteRequest {
    /// The joiner's name; its own choice when absent.
    pub name: Option<Name>,
    /// The joiner's mesh address; a free one when absent.
    pub address: Option<IpAddr>,
    /// The joiner's role.
    pub role: InviteRole,
    /// How long it can be used.
    pub life: Duration,
    /// Service names that the credential is to delegate to the joiner.
    pub services: Vec<Name>,
}

/// A node that somebody has named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: Name,
}

impl Node {
    /// Makes an invite. Its journal is queued as [`Output::Persist`] and must be written before the line is shown.
    ///
    /// # Errors
    /// [`CommandError`]; nothing has changed then.
    pub fn invite(&mut self, request: &InviteRequest, now: Instant) -> Result<Invite, CommandError> {
        self.must_be_admin()?;
        self.must_know_the_time(now)?;
        if request.role == InviteRole::Admin && self.members.network.root.is_none() {
            return Err(CommandError::NotRoot);
        }
        if request.life < Duration::from_secs(1) || request.life > INVITE_LIFE_MAX {
            return Err(CommandError::Expiry);
        }
        if let Some(name) = &request.name {
            let promised = self.invites.iter().any(|i| i.used_by.is_none() && i.name.as_ref() == Some(name));
            if promised || self.members.holder_of_name(name).is_some() {
                return Err(CommandError::NameTaken(name.clone()));
            }
        }
        self.check_delegation(&request.services)?;
        let wish = request.address.map(|address| self.ipv4_wish(address)).transpose()?;
        let address = wish.map(|wish| self.free_address(Some(wish), None)).transpose()?;
        let unix_s = self.unix_s(now);
        self.invites.retain(|i| i.expires_s + INVITE_MEMORY_S > unix_s);
        if self.invites.len() >= INVITES_MAX {
            return Err(CommandError::TooManyInvites);
        }
        let issued = IssuedInvite {
            id: InviteId(self.random.bytes()),
            secret: self.random.bytes().into(),
            expires_s: unix_s + request.life.as_secs(),
            role: request.role,
            name: request.name.clone(),
            ipv4: address.map(u32::from),
            used_by: None,
            chain: None,
            services: (!request.services.is_empty()).then(|| request.services.clone()),
        };
        self.invites.push(issued.clone());
        self.persist_invites();
        Ok(Invite {
            network: self.members.id(),
            network_name: self.members.network.name.clone(),
            issuer: self.identity.node(),
            id: issued.id,
            secret: issued.secret,
            expires_s: issued.expires_s,
            role: issued.role,
            addresses: self.invite_addresses(),
        })
    }

    /// Takes back an invite whose journal could not be written.
    pub fn forget_invite(&mut self, id: &InviteId) {
        self.invites.retain(|invite| invite.id != *id);
        self.tables_are_old = true;
    }

    fn check_delegation(&self, services: &[Name]) -> Result<(), CommandError> {
        let length: usize = services.iter().map(|name| name.as_str().len()).sum();
        if services.len() > SERVICES_MAX || length > DELEGATED_LENGTH_MAX {
            return Err(CommandError::TooManyServices);
        }
        let of_node = services.iter().find(|name| self.members.holder_of_name(name).is_some());
        of_node.map_or(Ok(()), |name| Err(CommandError::NameTaken(name.clone())))
    }

    pub(super) fn must_be_admin(&self) -> Result<(), CommandError> {
        if self.is_revoked {
            return Err(CommandError::Revoked);
        }
        if self.members.own().claims().roles.admin { Ok(()) } else { Err(CommandError::NotAdmin) }
    }

    /// Nothing with a date is signed while our own credentials have the wrong one: whoever got it would be locked out.
    pub(super) fn must_know_the_time(&self, now: Instant) -> Result<(), CommandError> {
        self.members.own().check_dates(self.unix_s(now)).map_err(|_| CommandError::Clock)
    }

    pub(super) fn ipv4_wish(&self, address: IpAddr) -> Result<Ipv4Addr, CommandError> {
        match address {
            IpAddr::V4(address) => Ok(address),
            IpAddr::V6(_) => Err(CommandError::Ipv6(address, self.members.range())),
        }
    }

    /// A free address of the range: the wished one, or the lowest. `own` is the invite that may use what it reserves.
    pub(super) fn free_address(
        &self,
        wish: Option<Ipv4Addr>,
        own: Option<&InviteId>,
    ) -> Result<Ipv4Addr, AddressError> {
        allocate_ipv4(self.members.range(), &self.taken(own), wish)
    }

    /// What is given away of the range, or promised by other invites than this one.
    pub(super) fn taken(&self, own: Option<&InviteId>) -> Taken {
        let mut taken = self.members.taken();
        let open = self.invites.iter().filter(|i| i.used_by.is_none() && Some(&i.id) != own);
        taken.addresses.extend(open.filter_map(IssuedInvite::address));
        taken
    }

    pub(super) fn new_claims(
        &mut self,
        node: NodeId,
        noise_key: NoisePublicKey,
        name: Name,
        address: Ipv4Addr,
        admin: bool,
        now: Instant,
    ) -> Claims {
        let unix_s = self.unix_s(now);
        let length = self.members.range().prefix_len();
        Claims {
            network: self.members.id(),
            node,
            noise_key,
            name,
            ipv4: Ipv4Net::new(address, length).expect("the range's own length"),
            prefixes: vec![],
            tags: vec![],
            services: vec![],
            roles: Roles { admin, hop: false },
            serial: serial(unix_s, &mut self.random),
            not_before_s: unix_s,
            expires_s: unix_s + CREDENTIAL_LIFE_S,
        }
    }

    /// Signs claims with the root key for admins, with our own for members.
    pub(super) fn sign_claims(&self, claims: Claims) -> Result<Chain, CommandError> {
        self.must_be_admin()?;
        let chain = if claims.roles.admin {
            let root = self.members.network.root.as_ref().ok_or(CommandError::NotRoot)?;
            Chain::of_root(claims, root)
        } else {
            self.members.own().extend(claims, &self.identity.signing)?
        };
        // An admin's own stands in those that it signs.
        let length_max = if chain.claims().roles.admin { CHAIN_LENGTH_MAX / 2 } else { CHAIN_LENGTH_MAX };
        if chain.encode().len() > length_max { Err(CommandError::TooLong) } else { Ok(chain) }
    }

    /// Gives a node an IPv4 mesh address.
    ///
    /// # Errors
    /// [`CommandError`]; nothing has changed then.
    pub fn assign(
        &mut self,
        selector: &str,
        address: IpAddr,
        now: Instant,
    ) -> Result<Selected, CommandError> {
        self.must_be_admin()?;
        self.must_know_the_time(now)?;
        let selected = self.select(selector)?;
        let wish = self.ipv4_wish(address)?;
        let no_such = || CommandError::NoSuchNode(selector.to_owned());
        let old = self.members.chain(&selected.node).ok_or_else(no_such)?.claims().clone();
        if old.ipv4.addr() == wish {
            return Ok(selected);
        }
        let address = self.free_address(Some(wish), None)?;
        self.reissue(&old, old.name.clone(), address, now)?;
        Ok(selected)
    }

    /// Delegates service names to a node, instead of those that it has: nobody else can own them then.
    ///
    /// # Errors
    /// [`CommandError`]; nothing has changed then.
    pub fn delegate(
        &mut self,
        selector: &str,
        services: Vec<Name>,
        now: Instant,
    ) -> Result<Selected, CommandError> {
        self.must_be_admin()?;
        self.must_know_the_time(now)?;
        self.check_delegation(&services)?;
        let (selected, mut claims) = self.select_claims(selector)?;
        if claims.services != services {
            claims.services = services;
            self.reissue(&claims, claims.name.clone(), claims.ipv4.addr(), now)?;
        }
        Ok(selected)
    }

    /// The node that a person means, and what its credential says.
    pub(super) fn select_claims(&self, selector: &str) -> Result<(Selected, Claims), CommandError> {
        let selected = self.select(selector)?;
        let no_such = || CommandError::NoSuchNode(selector.to_owned());
        let claims = self.members.chain(&selected.node).ok_or_else(no_such)?.claims().clone();
        Ok((selected, claims))
    }

    /// Issues new credentials for a member and sends them on their way; to ourselves at once.
    pub(super) fn reissue(
        &mut self,
        old: &Claims,
        name: Name,
        address: Ipv4Addr,
        now: Instant,
    ) -> Result<(), CommandError> {
        let mut claims = self.new_claims(old.node, old.noise_key, name, address, old.roles.admin, now);
        claims.serial = claims.serial.max(old.serial + 1);
        // With a clock that runs ahead, everybody would be locked out once it is set right.
        claims.not_before_s = claims.not_before_s.min(old.not_before_s);
        // With one that is behind, they would be at once.
        claims.expires_s = claims.expires_s.max(old.expires_s);
        claims.prefixes.clone_from(&old.prefixes);
        claims.tags.clone_from(&old.tags);
        claims.services.clone_from(&old.services);
        claims.roles = old.roles;
        let chain = self.sign_claims(claims)?;
        let event = Event::Reissued(old.node, chain.claims().name.clone(), IpAddr::V4(address));
        self.publish_chain(chain, now);
        self.outputs.push_back(Output::Event(event));
        Ok(())
    }

    /// Sends credentials that we have signed on their way: to their node, and to all who must know whose the address is.
    pub(super) fn publish_chain(&mut self, chain: Chain, now: Instant) {
        let signer = chain.admin().map_or(NodeId(*chain.root()), |admin| admin.node);
        let key = Key { kind: Kind::Reissue, owner: signer, name: chain.claims().node.to_string() };
        let root = self.members.network.root.clone();
        self.publish_record(&Content::Reissue { chain }, &key, root.as_ref(), now);
    }

    /// Removes a node from the network, for good.
    ///
    /// # Errors
    /// [`CommandError`]; nothing has changed then.
    pub fn revoke(&mut self, selector: &str, now: Instant) -> Result<Selected, CommandError> {
        self.must_be_admin()?;
        let selected = self.select(selector)?;
        if selected.node == self.identity.node() {
            return Err(CommandError::Oneself(selected.name));
        }
        let is_admin = self.members.chain(&selected.node).is_some_and(|chain| chain.claims().roles.admin);
        let root = self.members.network.root.clone();
        if is_admin && root.is_none() {
            return Err(CommandError::NotRoot);
        }
        if is_admin {
            // What a revoked admin has signed is worth nothing: sign it anew before.
            for chain in self.members.chains_signed_by(selected.node) {
                let claims = chain.claims().clone();
                self.reissue(&claims, claims.name.clone(), claims.ipv4.addr(), now)?;
            }
        }
        self.publish_revocation(selected.node, is_admin, now);
        self.begin_epoch_soon(now);
        Ok(selected)
    }

    fn publish_revocation(&mut self, node: NodeId, by_root: bool, now: Instant) {
        let root = self.members.network.root.clone().filter(|_| by_root);
        let by = Box::new(self.members.own().clone());
        let content = Content::Revocation { node, by, by_root: root.is_some() };
        let key = Key { kind: Kind::Revocation, owner: self.identity.node(), name: node.to_string() };
        self.publish_record(&content, &key, root.as_ref(), now);
    }

    /// Gives up our membership: everybody is told, and afterwards nobody talks to us.
    ///
    /// # Errors
    /// [`CommandError::LastRoot`] on the founder's machine unless forced.
    pub fn leave(&mut self, force: bool, now: Instant) -> Result<(), CommandError> {
        let others = self.members.members().count() > 1;
        if self.members.network.root.is_some() && others && !force {
            return Err(CommandError::LastRoot);
        }
        if !self.is_revoked {
            self.publish_revocation(self.identity.node(), false, now);
        }
        Ok(())
    }

    /// Withdraws what we publish, for the time being, and tells every peer that we go down.
    pub fn close(&mut self, now: Instant) {
        self.spread_to_all();
        self.withdraw_instances(now);
        // Before the sessions end, by which it goes.
        self.run_news(now);
        self.persist_leases(now);
        let nodes: Vec<NodeId> = self.peers.keys().copied().collect();
        for node in nodes {
            self.send(&node, &Message::Close, None);
        }
    }

    /// Sends an overlay ping; its end comes as [`Output::PingDone`] with this ticket, at most `timeout` from now.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn ping(
        &mut self,
        selector: &str,
        timeout: Duration,
        now: Instant,
    ) -> Result<(u64, Selected), CommandError> {
        if self.is_revoked {
            return Err(CommandError::Revoked);
        }
        let selected = self.select(selector)?;
        if selected.node == self.identity.node() {
            return Err(CommandError::Oneself(selected.name));
        }
        if self.pings.len() >= PINGS_MAX {
            return Err(CommandError::TooManyPings);
        }
        let ticket = self.ticket();
        let ping = PendingPing {
            ticket,
            token: self.random.u64(),
            peer: selected.node,
            sent: None,
            until: now + timeout,
        };
        self.pings.push(ping);
        if let Some(peer) = self.peers.get_mut(&selected.node)
            && !peer.is_connected()
        {
            peer.use_it(now);
            peer.hurry(now);
        }
        Ok((ticket, selected))
    }

    /// The node that a person means by a name, a mesh address or the beginning of an id.
    ///
    /// # Errors
    /// [`CommandError::NoSuchNode`] and [`CommandError::Ambiguous`].
    pub fn select(&self, selector: &str) -> Result<Selected, CommandError> {
        let selected = |claims: &Claims| Selected { node: claims.node, name: claims.name.clone() };
        let address: Option<IpAddr> = selector.parse().ok();
        let name: Option<Name> = selector.parse().ok();
        if let Some(node) = name.and_then(|name| self.members.holder_of_name(&name)) {
            return Ok(Selected { node, name: self.name_of(&node) });
        }
        if let Some(address) = address {
            let owns = |c: &&Claims| IpAddr::V4(c.ipv4.addr()) == address || IpAddr::V6(c.ipv6()) == address;
            let found = self.members.members().find(owns).map(selected);
            return found.ok_or_else(|| CommandError::NoSuchNode(selector.to_owned()));
        }
        let prefix = selector.to_ascii_lowercase();
        let begins = |c: &&Claims| prefix.len() >= ID_PREFIX_MIN && c.node.to_string().starts_with(&prefix);
        let mut matching = self.members.members().filter(begins);
        match (matching.next(), matching.next()) {
            (Some(claims), None) => Ok(selected(claims)),
            (Some(_), Some(_)) => Err(CommandError::Ambiguous(selector.to_owned())),
            (None, _) => Err(CommandError::NoSuchNode(selector.to_owned())),
        }
    }
}
