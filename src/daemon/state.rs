//! The node's state in its directory: read at the start, with a clear word on what is damaged.

use anyhow::{Context, Result, anyhow};
use overlay::Identity;
use overlay::state::{self, Contact, IssuedInvite, Network, StateError};
use wire::Record;

use crate::store::{StateDirectory, StateFile, StoreError};

/// The UDP port that was chosen at the first start.
const LISTEN: StateFile = StateFile::rebuildable("listen");

/// All that survives a restart.
pub(super) struct Loaded {
    pub(super) identity: Identity,
    pub(super) network: Network,
    pub(super) invites: Vec<IssuedInvite>,
    pub(super) records: Vec<Record>,
    pub(super) contacts: Vec<Contact>,
}

/// The store's name for a file of the overlay.
pub(super) fn store_file(file: state::StateFile) -> StateFile {
    match file {
        state::StateFile::Identity => const { StateFile::precious("identity") },
        state::StateFile::Network => const { StateFile::precious("network") },
        state::StateFile::Invites => const { StateFile::precious("invites") },
        state::StateFile::Records => const { StateFile::rebuildable("records") },
        state::StateFile::Contacts => const { StateFile::rebuildable("contacts") },
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
    let records = load_rebuildable(directory, state::StateFile::Records, state::decode_records)?;
    let contacts = load_rebuildable(directory, state::StateFile::Contacts, state::decode_contacts)?;
    Ok(Some(Loaded { identity, network, invites, records, contacts }))
}

/// Reads the keys; `None` when none were made yet.
pub(super) fn load_identity(directory: &StateDirectory) -> Result<Option<Identity>> {
    let Some(bytes) = directory.read(store_file(state::StateFile::Identity))? else { return Ok(None) };
    Identity::decode(&bytes).map(Some).map_err(|e| unreadable(directory, "identity", e))
}

fn unreadable(directory: &StateDirectory, file: &str, error: StateError) -> anyhow::Error {
    anyhow!(
        "{}/{file}.state cannot be used: {error}; restore it from a backup, or `hopmesh leave --force` and join again",
        directory.path().display()
    )
}

/// A file that other nodes can tell us again is set aside when it is damaged, and the start goes on.
fn load_rebuildable<T>(
    directory: &StateDirectory,
    file: state::StateFile,
    decode: impl Fn(&[u8]) -> Result<Vec<T>, StateError>,
) -> Result<Vec<T>> {
    let stored = store_file(file);
    let why = match directory.read(stored) {
        Ok(None) => return Ok(vec![]),
        Ok(Some(bytes)) => match decode(&bytes) {
            Ok(list) => return Ok(list),
            Err(error) => error.to_string(),
        },
        Err(error @ StoreError::Corrupt { .. }) => error.to_string(),
        Err(error) => return Err(error.into()),
    };
    let aside = directory.set_aside(stored)?;
    tracing::warn!("{why}; it is kept as {} and learnt again from other nodes", aside.display());
    Ok(vec![])
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
