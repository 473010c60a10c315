//! What the service manager hears of the control thread: each word is said by the driver's own loop, so a loop that is
//! stuck says nothing, and the watchdog ends it.

use overlay::{PeerState, View};
use tokio::time::Interval;

use super::driver::Driver;
use crate::io::clock;
use crate::io::notify::Notifier;

impl Driver {
    /// Tells the state, by `word`; makes no state where nobody listens.
    pub(super) fn tell_supervisor(&mut self, word: fn(&mut Notifier, &str)) {
        if self.notifier.interval().is_some() {
            let state = state(&self.node.view(clock::now()));
            word(&mut self.notifier, &state);
        }
    }
}

/// The next beat; never, where nobody wants one.
pub(super) async fn beat(heart: &mut Option<Interval>) {
    match heart {
        Some(heart) => drop(heart.tick().await),
        None => std::future::pending().await,
    }
}

/// The state in one line: who we are, how many of the others we have, and whether something is wrong.
fn state(view: &View) -> String {
    let is_connected = |peer: &&overlay::PeerView| peer.state == PeerState::Connected;
    let is_member = |peer: &&overlay::PeerView| peer.state != PeerState::Revoked;
    let (connected, known) =
        (view.peers.iter().filter(is_connected).count(), view.peers.iter().filter(is_member).count());
    let (own, network) = (&view.own, &view.network_name);
    let problems = if view.problems.is_empty() { "" } else { "; see `hopmesh status`" };
    format!("{} in {network}, {}, connected to {connected} of {known}{problems}", own.name, own.ipv4.addr())
}
