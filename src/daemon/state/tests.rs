//! State that a disk has damaged, and state that other versions have written.

use std::fs::{self, OpenOptions};
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
    let place = Candidate::new("192.0.2.9:51820".parse().unwrap()).unwrap();
    save_places(directory, &vec![(GuestKey([1; 32]), place)]).unwrap();
    save_port(directory, 41_820).unwrap();
    save_dht(directory, &["192.0.2.1:6881".parse().unwrap()]).unwrap();
}

/// As a disk may have left it, with the rights that it had.
fn put(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
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
    for stored in all.map(store_file).into_iter().chain([OFFERS, LISTEN, DHT, PLACES]) {
        let path = stored.path_in(directory.path());
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            put(&path, &whole[..length]);
            let (port, dht) = (load_port(&directory), load_dht(&directory));
            match load(&directory) {
                Ok(loaded) => assert!(loaded.is_some(), "{} of {length} bytes", path.display()),
                Err(error) => {
                    let said = error.to_string();
                    assert!(said.contains(&path.display().to_string()), "{length}: {said}");
                    assert!(said.contains("backup"), "it says what to do: {said}");
                    assert_eq!(fs::read(&path).unwrap(), whole[..length], "nothing is lost");
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

/// What version 0.1 has written, as it is to be read for ever: never written anew, another version has files of its own.
const VERSION_0_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/daemon/state/tests/0.1");

#[test]
fn the_state_of_version_0_1_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let directory = StateDirectory::open(&folder.path().join("state")).unwrap();
    for entry in fs::read_dir(VERSION_0_1).unwrap() {
        let entry = entry.unwrap();
        put(&directory.path().join(entry.file_name()), &fs::read(entry.path()).unwrap());
    }
    directory.refuse_later().unwrap();
    let loaded = load(&directory).unwrap().unwrap();
    let claims = loaded.network.chain.claims();
    assert_eq!((loaded.network.name.as_str(), claims.name.as_str()), ("home", "a"));
    assert_eq!(claims.node, loaded.identity.node());
    assert!(loaded.network.root.is_some(), "a founder's");
    let counts = [loaded.invites.len(), loaded.records.len(), loaded.contacts.len()];
    assert_eq!(counts, [1, 2, 1], "invites, records, contacts");
    assert_eq!((loaded.publications.len(), loaded.leases.claims.len()), (1, 1));
    assert_eq!(load_port(&directory), Some(41_820));
    assert_eq!(load_dht(&directory), ["192.0.2.1:6881".parse().unwrap()]);
    let left = fs::read_dir(directory.path()).unwrap().filter_map(Result::ok).map(|entry| entry.file_name());
    let aside: Vec<_> = left.filter(|name| name.to_string_lossy().contains("corrupt")).collect();
    assert!(aside.is_empty(), "nothing was set aside: {aside:?}");
}
