//! The node's state in its directory: read at the start, with a clear word on what is damaged.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result, anyhow};
use overlay::state::{self, Contact, IssuedInvite, Leases, Network, StateError};
use overlay::{Identity, Publication};
use wire::Record;

use crate::store::{StateDirectory, StateFile, StoreError};

/// The UDP port that was chosen at the first start.
const LISTEN: StateFile = StateFile::rebuildable("listen");

/// Nodes of the DHT, to enter it by again.
const DHT: StateFile = StateFile::rebuildable("dht");
/// Bytes of one of them: IPv4 address and port, as BEP 5 writes them.
const DHT_CONTACT_LENGTH: usize = 6;
/// Most that are read: the client takes no more.
const DHT_CONTACTS_MAX: usize = 8;

/// All that survives a restart.
pub(super) struct Loaded {
    pub(super) identity: Identity,
    pub(super) network: Network,
    pub(super) invites: Vec<IssuedInvite>,
    pub(super) records: Vec<Record>,
    pub(super) contacts: Vec<Contact>,
    pub(super) publications: Vec<Publication>,
    pub(super) leases: Leases,
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
    let leases = load_rebuildable(directory, state::StateFile::Leases, state::decode_leases)?;
    let records = load_rebuildable(directory, state::StateFile::Records, state::decode_records)?;
    let contacts = load_rebuildable(directory, state::StateFile::Contacts, state::decode_contacts)?;
    Ok(Some(Loaded { identity, network, invites, records, contacts, publications, leases, by_tcp: false }))
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
