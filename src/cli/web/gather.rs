//! Asks the daemon for all that the page shows.

use std::time::{Duration, Instant};

use api::{PathKind, Peer, PeerState, StatusReply, WhyReply};
use hyper::body::Bytes;

use super::picture::Picture;
use crate::cli::client::Line;
use crate::io::clock;

/// However many pages are open, the daemon is asked no more often.
const STATE_LIFE: Duration = Duration::from_millis(500);
/// Peers that the daemon is asked the reason of: more are read by nobody, and each costs it a look at all.
pub(super) const WHY_MAX: usize = 16;

/// Asks, and remembers the answer for a moment.
pub(super) struct Gatherer {
    line: Line,
    latest: Option<(Instant, Bytes)>,
}

impl Gatherer {
    pub(super) fn new(line: Line) -> Self {
        Self { line, latest: None }
    }

    /// The state as JSON; a sentence when the daemon does not give it.
    pub(super) async fn state(&mut self) -> Result<Bytes, String> {
        if let Some((at, state)) = &self.latest
            && clock::now() < *at + STATE_LIFE
        {
            return Ok(state.clone());
        }
        self.latest = None;
        let state = Bytes::from(self.gather().await?);
        self.latest = Some((clock::now(), state.clone()));
        Ok(state)
    }

    async fn gather(&mut self) -> Result<Vec<u8>, String> {
        let line = &mut self.line;
        let status = line.ask(|mut client| async move { client.status(api::StatusRequest {}).await }).await?;
        let mesh = line.ask(|mut client| async move { client.mesh(api::MeshRequest {}).await }).await?;
        let services = line.ask(|mut client| async move { client.services(api::ServicesRequest {}).await });
        let services = services.await?;
        let mut whys: Vec<WhyReply> = vec![];
        for node in questionable(&status) {
            let request = api::WhyRequest { node };
            // A peer may have been removed since.
            whys.extend(line.ask(|mut client| async move { client.why(request).await }).await);
        }
        let picture = Picture::new(&status, &mesh, &services, &whys);
        serde_json::to_vec(&picture).map_err(|error| format!("the state cannot be written as JSON: {error}"))
    }
}

/// Ids of peers that are not reached directly, though somebody needs them.
fn questionable(status: &StatusReply) -> Vec<String> {
    let is_direct = |peer: &Peer| peer.path.as_ref().is_some_and(|path| path.kind() == PathKind::Direct);
    let is_wanted = |peer: &&Peer| !matches!(peer.state(), PeerState::Revoked | PeerState::Resting);
    let peers = status.peers.iter().filter(is_wanted).filter(|peer| !is_direct(peer));
    peers.take(WHY_MAX).map(|peer| peer.id.clone()).collect()
}
