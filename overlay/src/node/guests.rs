//! Guests: `WireGuard` clients in the network by a member, which signs a record of each. What of the network's range it may give them
//! an admin says, by prefixes in its credential: who has guests without an address is given some.

use super::{CommandError, Node, Output};
use crate::guest::{Guest, GuestRequest, GuestView, HostedGuest, HostedGuests};
use crate::limits::GRANT_PAUSE;
use crate::state::{StateFile, encode_guests};
use ipnet::{IpNet, Ipv4Net};
use routing::allocate_block;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use wire::address::guest_ipv6_address;
use wire::credential::{Claims, PREFIXES_MAX};
use wire::record::{Content, GRANT_DELAY_S, GUESTS_MAX, TTL_S_MAX, key_of_guest};
use wire::{Kind, Name, NodeId};

/// The guests that we answer for, and hosts that want addresses for theirs.
#[derive(Debug, Default)]
pub(super) struct Hosting {
    own: BTreeMap<u32, Guest>,
    /// When an admin next looks at the guests of a host: not before others had their turn, and not for ever again what failed.
    looks: BTreeMap<NodeId, Instant>,
}

impl Hosting {
    /// With the guests that there were before the restart.
    pub(super) fn new(guests: Vec<Guest>) -> Self {
        Self { own: (0..).zip(guests.into_iter().take(GUESTS_MAX)).collect(), looks: BTreeMap::new() }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.looks.values().min().copied()
    }
}

impl Node {
    /// Takes a guest in. It has no IPv4 address before an admin has given us one for it: [`Node::hosted_guests`] tells when.
    ///
    /// # Errors
    /// [`CommandError`]; nothing has changed then.
    pub fn add_guest(&mut self, request: GuestRequest, now: Instant) -> Result<(), CommandError> {
        let GuestRequest { name, key, address } = request;
        if self.is_revoked {
            return Err(CommandError::Revoked);
        }
        let position = (0..GUESTS_MAX as u32).find(|position| !self.hosting.own.contains_key(position));
        let position = position.ok_or(CommandError::TooManyGuests)?;
        let is_of_guest = self.guests.iter().any(|(_, known, _)| *known == name);
        let is_of_service = self.services.holding(&name, |node| self.credentials(node)).is_some();
        if is_of_guest || is_of_service || self.members.holder_of_name(&name).is_some() {
            return Err(CommandError::NameTaken(name));
        }
        if let Some(guest) = self.hosting.own.values().find(|guest| guest.key == key) {
            return Err(CommandError::GuestKeyTaken(guest.name.clone()));
        }
        let wish = address.map(|address| self.guest_wish(address)).transpose()?;
        self.hosting.own.insert(position, Guest { name, key, ipv4: wish.map(u32::from) });
        self.guests_changed(now);
        Ok(())
    }

    /// Sends a guest away, at once and everywhere.
    ///
    /// # Errors
    /// [`CommandError::NoSuchGuest`].
    pub fn remove_guest(&mut self, name: &Name, now: Instant) -> Result<(), CommandError> {
        let guest = self.hosting.own.iter().find(|(_, guest)| guest.name == *name);
        let Some(position) = guest.map(|(position, _)| *position) else {
            let host = self.guests.iter().find(|(_, known, _)| *known == name).map(|(host, ..)| host);
            let host = host.map(|host| self.name_of(&host));
            return Err(CommandError::NoSuchGuest(name.clone(), host));
        };
        self.hosting.own.remove(&position);
        self.guests_changed(now);
        Ok(())
    }

    /// The guests that we answer for.
    #[must_use]
    pub fn hosted_guests(&self) -> HostedGuests {
        if self.is_revoked {
            return HostedGuests::new();
        }
        let claims = self.members.own().claims();
        let hosted = |guest: &Guest| HostedGuest {
            name: guest.name.clone(),
            key: guest.key,
            v4: guest.address().filter(|address| is_given(claims, address)),
            v6: guest_ipv6_address(&claims.network, &claims.node, &guest.key),
        };
        self.hosting.own.iter().map(|(position, guest)| (*position, hosted(guest))).collect()
    }

    /// The guests of all members, by name.
    #[must_use]
    pub fn guests(&self) -> Vec<GuestView> {
        let all = self.guests.by_name(|node| self.credentials(node));
        let view = |guest: registry::ZoneGuest| GuestView {
            addresses: guest.v4.map(IpAddr::V4).into_iter().chain([IpAddr::V6(guest.v6)]).collect(),
            name: guest.name,
            host: guest.host,
            host_name: guest.host_name,
            key: guest.key,
        };
        all.into_values().flatten().map(view).collect()
    }

    /// Ours are others now, or have other addresses: they are written, and told of.
    fn guests_changed(&mut self, now: Instant) {
        self.give_addresses();
        self.persist_guests();
        self.routes_are_old = true;
        self.outputs.push_back(Output::Guests(self.hosted_guests()));
        self.tell_of_guests(now);
    }

    /// Has our records say what holds, and nothing else.
    pub(super) fn tell_of_guests(&mut self, now: Instant) {
        if self.is_revoked {
            return;
        }
        let host = self.identity.node();
        let told: Vec<Name> = self.guests.of_host(&host).map(|(name, _)| name.clone()).collect();
        let gone = told.into_iter().filter(|name| !self.hosting.own.values().any(|own| own.name == *name));
        for key in gone.map(|name| key_of_guest(host, &name)).collect::<Vec<_>>() {
            let content = Content::Withdrawn { key: key.clone() };
            self.publish_lease(&content, &key, (TTL_S_MAX, BTreeMap::new()), now);
        }
        let own: Vec<Guest> = self.hosting.own.values().cloned().collect();
        for Guest { name, key, ipv4 } in own {
            let record = key_of_guest(host, &name);
            let content = Content::Guest { host, name, key, ipv4: ipv4.map(Ipv4Addr::from) };
            let said = self.registry.get(&record).and_then(|said| said.content(&self.members.id()).ok());
            if said.as_ref() != Some(&content) {
                self.publish_lease(&content, &record, (0, BTreeMap::new()), now);
            }
        }
    }

    /// Our credentials are others: there may be addresses for guests in them.
    pub(super) fn house_guests(&mut self, now: Instant) {
        if !self.hosting.own.is_empty() {
            self.guests_changed(now);
        }
    }

    fn give_addresses(&mut self) {
        let claims = self.members.own().claims();
        let mut free = free_in_blocks(claims, self.hosting.own.values().filter_map(Guest::address));
        for guest in self.hosting.own.values_mut().filter(|guest| guest.ipv4.is_none()) {
            guest.ipv4 = free.pop_first().map(u32::from);
        }
    }

    /// An address that a guest of ours may have, if an admin says so.
    fn guest_wish(&self, address: IpAddr) -> Result<Ipv4Addr, CommandError> {
        let wish = self.ipv4_wish(address)?;
        let claims = self.members.own().claims();
        let is_ours = is_given(claims, &wish);
        let is_taken = self.hosting.own.values().any(|guest| guest.address() == Some(wish));
        if is_ours && !is_taken && routing::range::is_host(claims.ipv4, wish) {
            return Ok(wish);
        }
        Ok(self.free_address(Some(wish), None)?)
    }

    fn persist_guests(&mut self) {
        let guests: Vec<Guest> = self.hosting.own.values().cloned().collect();
        self.unwritten.guests = None;
        self.persist(StateFile::Guests, encode_guests(&guests));
    }

    pub(super) fn persist_guests_again(&mut self, now: Instant) {
        if self.unwritten.guests.is_some_and(|at| now >= at) {
            self.persist_guests();
        }
    }

    /// Somebody's guests, or a host's credentials, are others: perhaps an admin has to give addresses.
    pub(super) fn look_at_hosts(&mut self, now: Instant) {
        self.routes_are_old = true;
        if !self.members.own().claims().roles.admin || self.is_revoked {
            self.hosting.looks.clear();
            return;
        }
        let wanting: BTreeSet<NodeId> = self.guests.hosts().filter(|host| self.wants_block(host)).collect();
        self.hosting.looks.retain(|host, _| wanting.contains(host));
        for host in wanting {
            let is_ours = self.claims_signed_here(&host).is_some();
            let wait = Duration::from_secs(if is_ours { 0 } else { GRANT_DELAY_S });
            self.hosting.looks.entry(host).or_insert(now + wait);
        }
    }

    pub(super) fn run_grants(&mut self, now: Instant) {
        let due = self.hosting.looks.iter().filter(|(_, at)| **at <= now).map(|(host, _)| *host);
        for host in due.collect::<Vec<_>>() {
            self.hosting.looks.insert(host, now + GRANT_PAUSE);
            self.grant(host, now);
            self.look_at_hosts(now);
        }
    }

    /// Gives a host addresses for its guests, if we may and there are any.
    fn grant(&mut self, host: NodeId, now: Instant) {
        let Some(mut claims) = self.credentials(&host).cloned() else { return };
        let mut taken = self.taken(None);
        let wishes: Vec<Ipv4Addr> = self.wishes(&claims).collect();
        let mut given: Vec<Ipv4Net> = vec![];
        for wish in wishes {
            if !taken.holds(&wish) && routing::range::is_host(claims.ipv4, wish) {
                given.push(wish.into());
                taken.blocks.push(wish.into());
            }
        }
        let own: Vec<Ipv4Net> = claims.guest_blocks().chain(given.iter().copied()).collect();
        if self.lacks_addresses(&claims) {
            given.extend(allocate_block(self.members.range(), &own, &taken, GUESTS_MAX as u32));
        }
        given.truncate(PREFIXES_MAX - claims.prefixes.len().min(PREFIXES_MAX));
        if !given.is_empty() {
            claims.prefixes.extend(given.into_iter().map(IpNet::V4));
            // An admin's credential only the root key signs: then the founder's turn comes.
            let _ = self.reissue(&claims, claims.name.clone(), claims.ipv4.addr(), now);
        }
    }

    fn wants_block(&self, host: &NodeId) -> bool {
        let Some(claims) = self.credentials(host) else { return false };
        let taken = self.taken(None);
        self.lacks_addresses(claims) || self.wishes(claims).any(|wish| !taken.holds(&wish))
    }

    /// Addresses that a host's guests wish for, and that are not its to give.
    fn wishes<'a>(&'a self, claims: &'a Claims) -> impl Iterator<Item = Ipv4Addr> + 'a {
        let wishes = self.guests.of_host(&claims.node).filter_map(|(_, guest)| guest.ipv4);
        wishes.filter(|wish| claims.ipv4.contains(wish) && !is_given(claims, wish))
    }

    /// Whether more guests have no address than a host has addresses left.
    fn lacks_addresses(&self, claims: &Claims) -> bool {
        let guests = || self.guests.of_host(&claims.node);
        let without = guests().filter(|(_, guest)| guest.ipv4.is_none()).count();
        without > free_in_blocks(claims, guests().filter_map(|(_, guest)| guest.ipv4)).len()
    }

    /// Takes that a host is no member any more.
    pub(super) fn forget_guests(&mut self, host: NodeId, now: Instant) {
        self.registry.forget_owner(Kind::Guest, host);
        if self.guests.forget_host(&host) {
            self.zone.is_old = true;
            self.look_at_hosts(now);
        }
    }
}

/// Whether a node's credentials let it give an address to its guests.
fn is_given(claims: &Claims, address: &Ipv4Addr) -> bool {
    claims.guest_blocks().any(|block| block.contains(address))
}

/// Addresses of a host's blocks that none of its guests has.
fn free_in_blocks(claims: &Claims, used: impl Iterator<Item = Ipv4Addr>) -> BTreeSet<Ipv4Addr> {
    let all = claims
        .guest_blocks()
        .flat_map(|block| (u32::from(block.network())..=u32::from(block.broadcast())).map(Ipv4Addr::from));
    let hosts = all.filter(|address| routing::range::is_host(claims.ipv4, *address));
    // An admin signs no more; a signature over more is not worth much memory either.
    let mut free: BTreeSet<Ipv4Addr> = hosts.take(GUESTS_MAX).collect();
    for address in used {
        free.remove(&address);
    }
    free
}
