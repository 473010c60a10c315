//! The node's state in its directory: read at the start, with a clear word on what is damaged.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result, anyhow};
use overlay::state::{self, Contact, IssuedInvite, Leases, Network, StateError};
use overlay::{Guest, Identity, Publication};
use wire::record::{ROUTE_OFFERS_MAX, RouteOffer};
use wire::{Candidate, GuestKey, Record};

use crate::store::{StateDirectory, StateFile, StoreError};

/// The UDP port that was chosen at the first start.
const LISTEN: StateFile = StateFile::rebuildable("listen");

/// Subnets that this machine is to be a router for.
const OFFERS: StateFile = StateFile::precious("offers");

/// Nodes of the DHT, to enter it by again.
const DHT: StateFile = StateFile::rebuildable("dht");
/// Bytes of one of them: IPv4 address and port, as BEP 5 writes them.
const DHT_CONTACT_LENGTH: usize = 6;
/// Most that are read: the client takes no more.
const DHT_CONTACTS_MAX: usize = 8;

/// Where guests were heard last.
const PLACES: StateFile = StateFile::rebuildable("places");

/// A guest, and where it was heard last.
pub(super) type Place = (GuestKey, Candidate);

/// All that survives a restart.
pub(super) struct Loaded {
    pub(super) identity: Identity,
    pub(super) network: Network,
    pub(super) invites: Vec<IssuedInvite>,
    pub(super) records: Vec<Record>,
    pub(super) contacts: Vec<Contact>,
    pub(super) publications: Vec<Publication>,
    pub(super) guests: Vec<Guest>,
    pub(super) leases: Leases,
    /// Subnets that this machine is to be a router for.
    pub(super) offers: Vec<RouteOffer>,
    /// Whether a moment ago only TCP led to anybody.
    pub(super) by_tcp: bool,
}

/// The store's name for a file of the overlay.
pub(super) fn store_file(file: state::StateFile) -> StateFile {
    match file {
        state::StateFile::Identity => const { StateFile::precious("identity") },
        state::StateFile::Network => const { StateFile::precious("network") },
        state::StateFile::Invites => const { StateFile::precious("invites") },
        state::StateFile::Records => const { StateFile::rebuildable("records") },
        state::StateFile::Contacts => const { StateFile::rebuildable("contacts") },
        state::StateFile::Services => const { StateFile::precious("services") },
        state::StateFile::Guests => const { StateFile::precious("guests") },
        state::StateFile::Leases => const { StateFile::rebuildable("leases") },
    }
}

/// Reads everything; `None` when this machine is no member.
pub(super) fn load(directory: &StateDirectory) -> Result<Option<Loaded>> {
    let identity = load_identity(directory)?;
    let network = directory.read(store_file(state::StateFile::Network))?;
    let (identity, network) = match (identity, network) {
        (_, None) => return Ok(None),
        (None, Some(_)) => {
            return Err(anyhow!(
                "{} has a membership but no identity: restore identity.state from a backup, or `hopmesh leave --force` and join again",
                directory.path().display()
            ));
        }
        (Some(identity), Some(bytes)) => {
            let network =
                Network::decode(&bytes, &identity).map_err(|e| unreadable(directory, "network", e))?;
            (identity, network)
        }
    };
    let invites = match directory.read(store_file(state::StateFile::Invites))? {
        Some(bytes) => state::decode_invites(&bytes).map_err(|e| unreadable(directory, "invites", e))?,
        None => vec![],
    };
    let publications = match directory.read(store_file(state::StateFile::Services))? {
        Some(bytes) => state::decode_services(&bytes).map_err(|e| unreadable(directory, "services", e))?,
        None => vec![],
    };
    let guests = match directory.read(store_file(state::StateFile::Guests))? {
        Some(bytes) => state::decode_guests(&bytes).map_err(|e| unreadable(directory, "guests", e))?,
        None => vec![],
    };
    let leases = load_rebuildable(directory, state::StateFile::Leases, state::decode_leases)?;
    let records = load_rebuildable(directory, state::StateFile::Records, state::decode_records)?;
    let contacts = load_rebuildable(directory, state::StateFile::Contacts, state::decode_contacts)?;
    let offers = load_offers(directory)?;
    let by_tcp = false;
    Ok(Some(Loaded {
        identity,
        network,
        invites,
        records,
        contacts,
        publications,
        guests,
        leases,
        offers,
        by_tcp,
    }))
}

/// Reads what people have this machine offer.
fn load_offers(directory: &StateDirectory) -> Result<Vec<RouteOffer>> {
    let Some(bytes) = directory.read(OFFERS)? else { return Ok(vec![]) };
    let offers: Vec<RouteOffer> =
        wire::cbor::decode(&bytes).map_err(|error| unreadable(directory, "offers", error.into()))?;
    if offers.len() > ROUTE_OFFERS_MAX || !offers.iter().all(RouteOffer::is_valid) {
        return Err(unreadable(directory, "offers", StateError::Malformed));
    }
    Ok(offers)
}

/// Remembers the subnets that this machine offers to be a router for.
pub(super) fn save_offers(directory: &StateDirectory, offers: &Vec<RouteOffer>) -> Result<(), StoreError> {
    directory.write(OFFERS, &wire::cbor::encode(offers))
}

/// Reads the keys; `None` when none were made yet.
pub(super) fn load_identity(directory: &StateDirectory) -> Result<Option<Identity>> {
    let Some(bytes) = directory.read(store_file(state::StateFile::Identity))? else { return Ok(None) };
    Identity::decode(&bytes).map(Some).map_err(|e| unreadable(directory, "identity", e))
}

fn unreadable(directory: &StateDirectory, file: &str, error: StateError) -> anyhow::Error {
    anyhow!(
        "{}/{file}.state cannot be used: {error}; if a later version of Hopmesh was here, install that one again, else restore it from a backup, or `hopmesh leave --force` and join again",
        directory.path().display()
    )
}

/// A file that other nodes can tell us again is set aside when it is damaged, and the start goes on.
fn load_rebuildable<T: Default>(
    directory: &StateDirectory,
    file: state::StateFile,
    decode: impl Fn(&[u8]) -> Result<T, StateError>,
) -> Result<T> {
    let stored = store_file(file);
    let why = match directory.read(stored) {
        Ok(None) => return Ok(T::default()),
        Ok(Some(bytes)) => match decode(&bytes) {
            Ok(value) => return Ok(value),
            Err(error) => error.to_string(),
        },
        Err(error @ StoreError::Corrupt { .. }) => error.to_string(),
        Err(error) => return Err(error.into()),
    };
    let aside = directory.set_aside(stored)?;
    tracing::warn!("{why}; it is kept as {} and learnt again from other nodes", aside.display());
    Ok(T::default())
}

/// Writes one file.
pub(super) fn write(
    directory: &StateDirectory,
    file: state::StateFile,
    bytes: &[u8],
) -> Result<(), StoreError> {
    directory.write(store_file(file), bytes)
}

/// Counts a start and writes that, before anything is signed or sent: timestamps of handshakes grow with it.
pub(super) fn count_start(directory: &StateDirectory, identity: &mut Identity) -> Result<()> {
    identity.starts += 1;
    write(directory, state::StateFile::Identity, &identity.encode())
        .context("the node's keys cannot be written")
}

/// The port that was chosen at the first start.
pub(super) fn load_port(directory: &StateDirectory) -> Option<u16> {
    let bytes = directory.read(LISTEN).ok()??;
    Some(u16::from_be_bytes(bytes.as_slice().try_into().ok()?))
}

/// Remembers the port.
pub(super) fn save_port(directory: &StateDirectory, port: u16) -> Result<(), StoreError> {
    directory.write(LISTEN, &port.to_be_bytes())
}

/// Where guests were heard before the restart; nowhere when there is no such file, or it is damaged.
pub(super) fn load_places(directory: &StateDirectory) -> Vec<Place> {
    let bytes = directory.read(PLACES).ok().flatten();
    bytes.and_then(|bytes| wire::cbor::decode(&bytes).ok()).unwrap_or_default()
}

/// Remembers where guests were heard.
pub(super) fn save_places(directory: &StateDirectory, places: &Vec<Place>) -> Result<(), StoreError> {
    directory.write(PLACES, &wire::cbor::encode(places))
}

/// Nodes of the DHT that were known before the restart; none when there is no such file, or it is damaged.
pub(super) fn load_dht(directory: &StateDirectory) -> Vec<SocketAddrV4> {
    let bytes = directory.read(DHT).ok().flatten();
    let contact = |bytes: &[u8; DHT_CONTACT_LENGTH]| {
        let [a, b, c, d, high, low] = *bytes;
        SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]))
    };
    let (contacts, _rest) = bytes.as_ref().map_or(&[][..], |bytes| bytes.as_slice()).as_chunks();
    contacts.iter().map(contact).filter(|contact| contact.port() != 0).take(DHT_CONTACTS_MAX).collect()
}

/// Remembers nodes of the DHT, the first few of these.
pub(super) fn save_dht(directory: &StateDirectory, contacts: &[SocketAddrV4]) -> Result<(), StoreError> {
    let contacts = contacts.iter().take(DHT_CONTACTS_MAX);
    let bytes: Vec<u8> =
        contacts.flat_map(|c| c.ip().octets().into_iter().chain(c.port().to_be_bytes())).collect();
    directory.write(DHT, &bytes)
}

#[cfg(test)]
mod tests;
