//! Changes of state, counted as they are told.

use overlay::{Event, Remote};

/// Counts of one thing by the kind of path that it is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ByPath {
    pub(super) direct: u64,
    pub(super) stream: u64,
    pub(super) hop: u64,
}

impl ByPath {
    fn count(&mut self, remote: Remote) {
        *match remote {
            Remote::Udp { .. } => &mut self.direct,
            Remote::Stream(_) => &mut self.stream,
            Remote::Circuit(_) => &mut self.hop,
        } += 1;
    }

    /// Each with the label of its kind.
    pub(super) fn each(&self) -> [(&'static str, u64); 3] {
        [("direct", self.direct), ("stream", self.stream), ("hop", self.hop)]
    }
}

/// What has happened since the node came up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Peers that were connected, by their first path.
    pub(super) connected: ByPath,
    /// Primary paths that became others, by what they became.
    pub(super) moved: ByPath,
    /// Peers that did not answer any more.
    pub(super) lost: u64,
    /// Peers that said that they go down.
    pub(super) closed: u64,
    /// Nodes enrolled by invites of ours.
    pub(super) enrolled: u64,
    /// Nodes that were revoked.
    pub(super) revoked: u64,
    /// Peers that refused us.
    pub(super) refused: u64,
}

impl Tally {
    /// Counts one change of state.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::Connected(_, _, remote) => self.connected.count(*remote),
            Event::Moved(_, _, remote) => self.moved.count(*remote),
            Event::Lost(..) => self.lost += 1,
            Event::Closed(..) => self.closed += 1,
            Event::Enrolled(..) => self.enrolled += 1,
            Event::Revoked(..) => self.revoked += 1,
            Event::RefusedBy(..) => self.refused += 1,
            Event::Epoch(_)
            | Event::SelfRevoked
            | Event::Reissued(..)
            | Event::NameLost(..)
            | Event::Routed(..)
            | Event::NameWon(_) => {}
        }
    }
}
