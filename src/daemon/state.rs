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
        "{}/{file}.state cannot be used: {error}; restore it from a backup, or `hopmesh leave --force` and join again",
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
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use super::*;

    /// A directory with every file in it.
    fn member(directory: &StateDirectory) {
        let identity = Identity::generate([1; 32]);
        let (range, name) = ("10.7.0.0/24".parse().unwrap(), |name: &str| name.parse().unwrap());
        let network = overlay::found(name("home"), name("a"), range, &identity, 1_700_000_000, [2; 32]);
        let put = |file, bytes: &[u8]| write(directory, file, bytes).unwrap();
        put(state::StateFile::Identity, &identity.encode());
        put(state::StateFile::Network, &network.encode());
        put(state::StateFile::Invites, &state::encode_invites(&vec![]));
        put(state::StateFile::Records, &state::encode_records([].iter()));
        put(state::StateFile::Contacts, &state::encode_contacts(&vec![]));
        put(state::StateFile::Services, &state::encode_services(&vec![]));
        put(state::StateFile::Guests, &state::encode_guests(&vec![]));
        put(state::StateFile::Leases, &state::encode_leases(&Leases::default()));
        let (prefix, behind) = ("10.50.1.0/24".parse().unwrap(), "192.168.1.0/24".parse().ok());
        save_offers(directory, &vec![RouteOffer { prefix, behind, is_masqueraded: true }]).unwrap();
        save_port(directory, 41_820).unwrap();
        let place = Candidate::new("192.0.2.9:51820".parse().unwrap()).unwrap();
        save_places(directory, &vec![(GuestKey([1; 32]), place)]).unwrap();
        save_dht(directory, &["192.0.2.1:6881".parse().unwrap()]).unwrap();
    }

    /// As a disk may have left it, with the rights that it had.
    fn put(path: &Path, bytes: &[u8]) {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
        file.write_all(bytes).unwrap();
    }

    #[test]
    fn a_file_cut_at_any_length_is_done_without_or_named() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(&folder.path().join("state")).unwrap();
        member(&directory);
        assert!(load(&directory).unwrap().is_some());
        let all = [
            state::StateFile::Identity,
            state::StateFile::Network,
            state::StateFile::Invites,
            state::StateFile::Records,
            state::StateFile::Contacts,
            state::StateFile::Services,
            state::StateFile::Guests,
            state::StateFile::Leases,
        ];
        for stored in all.map(store_file).into_iter().chain([OFFERS, LISTEN, DHT]) {
            let path = stored.path_in(directory.path());
            let whole = std::fs::read(&path).unwrap();
            for length in 0..whole.len() {
                put(&path, &whole[..length]);
                let (port, dht) = (load_port(&directory), load_dht(&directory));
                match load(&directory) {
                    Ok(loaded) => assert!(loaded.is_some(), "{} of {length} bytes", path.display()),
                    Err(error) => {
                        let said = error.to_string();
                        assert!(said.contains(&path.display().to_string()), "{length}: {said}");
                        assert!(said.contains("backup"), "it says what to do: {said}");
                        assert_eq!(std::fs::read(&path).unwrap(), whole[..length], "nothing is lost");
                    }
                }
                assert!(path != LISTEN.path_in(directory.path()) || port.is_none());
                assert!(path != DHT.path_in(directory.path()) || dht.is_empty());
            }
            put(&path, &whole);
        }
        assert!(load(&directory).unwrap().is_some());
    }

    #[test]
    fn a_few_nodes_of_the_dht_are_there_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(&folder.path().join("state")).unwrap();
        assert_eq!(load_dht(&directory), []);
        let all: Vec<SocketAddrV4> =
            (1..=9).map(|n| SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, n), 6880 + u16::from(n))).collect();
        save_dht(&directory, &all).unwrap();
        assert_eq!(load_dht(&directory), all[..DHT_CONTACTS_MAX]);
        directory.write(DHT, &[1, 2, 3, 4, 0, 0, 192, 0, 2, 1, 1, 1, 7]).unwrap();
        assert_eq!(load_dht(&directory), ["192.0.2.1:257".parse().unwrap()]);
    }
}
