//! The choice of an exit on disk, and what is to be undone when it is taken back.

use minicbor::{Decode, Encode};
use wire::NodeId;

use super::error::ExitError;
use crate::forwarding::Mark;
use crate::store::{StateDirectory, StateFile};

/// It cannot be learnt again, and what it says is a matter of safety. Empty, when there is no choice.
const EXIT: StateFile = StateFile::precious("exit");

/// What people have chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Choice {
    /// The exit.
    #[n(0)]
    pub node: NodeId,
    /// Whether local networks may be reached besides.
    #[n(1)]
    pub allow_lan: bool,
}

/// The choice, and what was changed for its sake.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Record {
    #[n(0)]
    pub(super) choice: Choice,
    /// Our table of rules.
    #[n(1)]
    pub(super) table: String,
    /// The switch that we have set.
    #[n(2)]
    pub(super) mark: Option<Mark>,
}

pub(super) fn read(state: &StateDirectory) -> Result<Option<Record>, ExitError> {
    match state.read(EXIT)? {
        None => Ok(None),
        Some(bytes) if bytes.is_empty() => Ok(None),
        Some(bytes) => minicbor::decode(&bytes).map(Some).map_err(|_| ExitError::Malformed),
    }
}

pub(super) fn write(state: &StateDirectory, record: Option<&Record>) -> Result<(), ExitError> {
    let bytes = record
        .map(|record| minicbor::to_vec(record).expect("writing to memory does not fail"))
        .unwrap_or_default();
    Ok(state.write(EXIT, &bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_until_it_is_taken_back_and_damage_is_said() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let state = StateDirectory::open(&path).unwrap();
        assert_eq!(read(&state).unwrap(), None);
        let choice = Choice { node: NodeId([7; 32]), allow_lan: true };
        let record = Record { choice, table: "hopmesh-home-exit".to_owned(), mark: None };
        write(&state, Some(&record)).unwrap();
        assert_eq!(read(&state).unwrap(), Some(record));
        write(&state, None).unwrap();
        assert_eq!(read(&state).unwrap(), None);
        state.write(EXIT, b"nonsense").unwrap();
        assert!(matches!(read(&state), Err(ExitError::Malformed)));
    }
}
