//! What a run has changed for forwarding, on disk before it is changed, so that whoever comes after a kill -9 can undo it.

use minicbor::{Decode, Encode};

use super::error::ForwardingError;
use super::switch::Switch;
use crate::store::{StateDirectory, StateFile, StoreError};

const JOURNAL: StateFile = StateFile::rebuildable("forwarding");

/// What is to be undone; nothing, in a file that is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Undo {
    /// Our table of rules.
    #[n(0)]
    pub(super) rules: Option<String>,
    /// Files of the kernel's switches with what they held, in the order in which they were set.
    #[n(1)]
    pub(super) switches: Vec<(String, String)>,
    /// The routing table that packets are diverted to.
    #[n(2)]
    pub(super) table: Option<u32>,
}

impl Undo {
    /// Whether we have set a switch ourselves.
    pub(super) fn has(&self, switch: Switch) -> bool {
        self.switches.iter().any(|(path, _)| path == switch.path())
    }
}

/// What a run before this one has left to undo.
pub(super) fn read(state: &StateDirectory) -> Result<Undo, ForwardingError> {
    let content = match state.read(JOURNAL) {
        Ok(content) => content.unwrap_or_default(),
        Err(StoreError::Corrupt { .. }) => return Err(damaged(state)?),
        Err(error) => return Err(error.into()),
    };
    if content.is_empty() {
        return Ok(Undo::default());
    }
    match minicbor::decode(&content) {
        Ok(undo) => Ok(undo),
        Err(_) => Err(damaged(state)?),
    }
}

/// Says what is about to be done, before it is. A machine that nothing was ever changed on gets no file.
pub(super) fn write(state: &StateDirectory, undo: &Undo) -> Result<(), ForwardingError> {
    let is_nothing = *undo == Undo::default();
    if is_nothing && state.read(JOURNAL).is_ok_and(|content| content.is_none()) {
        return Ok(());
    }
    let content =
        if is_nothing { vec![] } else { minicbor::to_vec(undo).expect("writing to memory does not fail") };
    Ok(state.write(JOURNAL, &content)?)
}

/// Sets the journal aside, so that the next start is not held up by it.
fn damaged(state: &StateDirectory) -> Result<ForwardingError, ForwardingError> {
    Ok(ForwardingError::JournalDamaged { aside: state.set_aside(JOURNAL)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_until_it_is_undone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let state = StateDirectory::open(&path).unwrap();
        write(&state, &Undo::default()).unwrap();
        assert!(!path.join("forwarding.state").exists());
        assert_eq!(read(&state).unwrap(), Undo::default());
        let undo = Undo {
            rules: Some("hopmesh-home".to_owned()),
            switches: vec![("/proc/sys/net/ipv4/ip_forward".to_owned(), "0".to_owned())],
            table: Some(7),
        };
        write(&state, &undo).unwrap();
        assert_eq!(read(&state).unwrap(), undo);
        write(&state, &Undo::default()).unwrap();
        assert_eq!(read(&state).unwrap(), Undo::default());
    }

    #[test]
    fn a_damaged_journal_is_named_once() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let state = StateDirectory::open(&path).unwrap();
        for damage in [b"HOPMESH1".as_slice(), b"\0\0\0\0"] {
            write(&state, &Undo { table: Some(1), ..Undo::default() }).unwrap();
            std::fs::write(path.join("forwarding.state"), damage).unwrap();
            let error = read(&state).unwrap_err();
            assert!(error.to_string().contains("forwarding.state.corrupt-"), "{error}");
            assert_eq!(read(&state).unwrap(), Undo::default());
        }
    }
}
