//! Changes of state, as lines of the log.

use overlay::Event;

/// Logs one change of state.
pub(super) fn log(event: &Event) {
    match event {
        Event::Connected(_, peer, path) => tracing::info!(%peer, %path, "connected"),
        Event::Moved(_, peer, path) => tracing::info!(%peer, %path, "path changed"),
        Event::Lost(_, peer) => tracing::info!(%peer, "does not answer any more"),
        Event::Closed(_, peer) => tracing::info!(%peer, "went down"),
        Event::Enrolled(id, node) => tracing::info!(%node, id = %id.short(), "enrolled"),
        Event::Revoked(id, node) => tracing::info!(%node, id = %id.short(), "revoked"),
        Event::Reissued(_, node, address) => tracing::info!(%node, %address, "new credentials issued"),
        Event::NameLost(name, _, holder) => tracing::warn!(
            %name, %holder, "the service name is another machine's, and what is published here under it does not count: publish it under another name, or have it shared or delegated"
        ),
        Event::Routed(prefix, _, router) => {
            tracing::info!(%prefix, %router, "packets for a subnet go to this router")
        }
        Event::NameWon(name) => tracing::info!(%name, "the service name has become ours"),
        Event::RefusedBy(peer, why) => tracing::warn!(%peer, ?why, "refuses us: see `hopmesh status`"),
        Event::Epoch(number) => tracing::info!(number, "the network has a new secret"),
        Event::SelfRevoked => tracing::warn!(
            "this machine was revoked from the network: `hopmesh leave`, then `hopmesh join` with a new invite"
        ),
    }
}
