//! What a run has changed on the host, on disk before it is changed, so that whoever comes after a kill -9 can undo it.
//!
//! The file is never removed but emptied: a removal erases first, and a kill in between would leave damage behind.

use std::net::IpAddr;

use minicbor::{Decode, Encode};

use super::error::ResolverError;
use crate::store::{StateDirectory, StateFile, StoreError};

const JOURNAL: StateFile = StateFile::rebuildable("resolver");

/// What is to be undone. What systemd-resolved is told is not here: it forgets that with the link, which ends with us.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) enum Undo {
    /// Our lines in /etc/resolv.conf.
    #[n(0)]
    Lines(#[n(0)] Lines),
    /// Our file for NetworkManager's dnsmasq.
    #[n(1)]
    Dnsmasq {
        /// The interface that the file is named after.
        #[n(0)]
        interface: String,
    },
    /// Our record with resolvconf.
    #[n(2)]
    Record {
        /// Its name.
        #[n(0)]
        name: String,
    },
}

/// Lines of ours in /etc/resolv.conf, and the file before and after.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Lines {
    /// The interface that marks them.
    #[n(0)]
    pub(super) interface: String,
    /// The server that they name.
    #[cbor(n(1), with = "address")]
    pub(super) server: IpAddr,
    /// The file as it was found.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(super) before: Vec<u8>,
    /// The file as we write it.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(super) after: Vec<u8>,
}

/// What a run before this one has left to undo.
pub(super) fn read(state: &StateDirectory) -> Result<Option<Undo>, ResolverError> {
    let content = match state.read(JOURNAL) {
        Ok(content) => content,
        Err(StoreError::Corrupt { .. }) => return Err(damaged(state)?),
        Err(error) => return Err(error.into()),
    };
    match content {
        Some(content) if !content.is_empty() => match minicbor::decode(&content) {
            Ok(undo) => Ok(Some(undo)),
            Err(_) => Err(damaged(state)?),
        },
        Some(_) | None => Ok(None),
    }
}

/// Says what is about to be done, before it is.
pub(super) fn write(state: &StateDirectory, undo: &Undo) -> Result<(), ResolverError> {
    let content = minicbor::to_vec(undo).expect("writing to memory does not fail");
    Ok(state.write(JOURNAL, &content)?)
}

/// Says that everything is undone.
pub(super) fn clear(state: &StateDirectory) -> Result<(), ResolverError> {
    Ok(state.write(JOURNAL, &[])?)
}

/// Sets the journal aside, so that the next start is not held up by it.
fn damaged(state: &StateDirectory) -> Result<ResolverError, ResolverError> {
    Ok(ResolverError::JournalDamaged { aside: state.set_aside(JOURNAL)? })
}

/// Addresses as text.
mod address {
    use std::net::IpAddr;

    use minicbor::decode::{self, Decoder};
    use minicbor::encode::{self, Encoder, Write};

    pub(super) fn encode<C, W: Write>(
        address: &IpAddr,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        encoder.str(&address.to_string())?.ok()
    }

    pub(super) fn decode<C>(decoder: &mut Decoder<'_>, _: &mut C) -> Result<IpAddr, decode::Error> {
        decoder.str()?.parse().map_err(|_| decode::Error::message("no IP address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_until_it_is_cleared() {
        let parent = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(&parent.path().join("state")).unwrap();
        assert_eq!(read(&state).unwrap(), None);
        clear(&state).unwrap();
        assert_eq!(read(&state).unwrap(), None);
        let lines = Lines {
            interface: "hm0".into(),
            server: "fd77::1".parse().unwrap(),
            before: b"nameserver 192.0.2.1".into(),
            after: vec![0xff],
        };
        for undo in [
            Undo::Lines(lines),
            Undo::Dnsmasq { interface: "hm0".into() },
            Undo::Record { name: "vpn.hm0".into() },
        ] {
            write(&state, &undo).unwrap();
            assert_eq!(read(&state).unwrap(), Some(undo));
        }
        clear(&state).unwrap();
        assert_eq!(read(&state).unwrap(), None);
    }

    #[test]
    fn a_damaged_journal_is_named_once() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let state = StateDirectory::open(&path).unwrap();
        for damage in [b"HOPMESH1".as_slice(), b"\0\0\0\0"] {
            write(&state, &Undo::Record { name: "vpn.hm0".into() }).unwrap();
            std::fs::write(path.join("resolver.state"), damage).unwrap();
            let error = read(&state).unwrap_err();
            assert!(matches!(error, ResolverError::JournalDamaged { .. }), "{error}");
            assert!(error.to_string().contains("resolver.state.corrupt-"), "{error}");
            assert_eq!(read(&state).unwrap(), None);
        }
    }
}
