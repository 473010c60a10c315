//! What happens when a session comes into use, and when it goes out of it.

use super::reach::is_for_tests;
use super::{Event, Node, Output};
use crate::drops::DropReason;
use crate::limits::GREETED_LIFE;
use crate::peer::Seeking;
use nat::Remote;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use wire::{Chain, Name, NodeId};

impl Node {
    /// We have a session that seals, and the address of the handshake is a path.
    pub(super) fn established(&mut self, node: NodeId, remote: Remote, now: Instant) {
        let name = self.name_of(&node);
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let was_connected = peer.is_connected() && peer.last_handshake.is_some();
        let is_rekey = was_connected && peer.paths.primary() == Some(remote);
        peer.seeking = Seeking::Content;
        // Whoever asked for it, somebody wants it.
        peer.need.note(GREETED_LIFE, now);
        peer.last_handshake = Some(now);
        peer.refusal = None;
        peer.told = None;
        self.sync.handle_doubt(now);
        peer.paths.handle_handshake(remote, now);
        self.unwritten.contacts.get_or_insert(now + crate::limits::PERSIST_DELAY);
        if !is_rekey {
            self.links_changed(now);
            self.outputs.push_back(Output::Event(Event::Connected(node, name, remote)));
        }
        if !was_connected {
            self.router_changed(&node);
            self.path_changed(remote);
            self.neighbour_connected(node, now);
        }
        self.release(node);
        self.bring_up_to_date(node, now);
    }

    /// Lets go what has waited for a session; the workers get the tables first.
    pub(super) fn release(&mut self, node: NodeId) {
        self.publish_tables();
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let packets: Vec<_> = peer.staged.drain(..).map(|staged| staged.packet).collect();
        self.staged -= packets.len();
        if !packets.is_empty() {
            self.outputs.push_back(Output::Release(packets));
        }
    }

    /// An authenticated datagram came by a session; the peer that it belongs to.
    pub(super) fn session_used(&mut self, index: u32, remote: Remote, now: Instant) -> Option<NodeId> {
        let session = self.indices.session(index).cloned();
        let node = session.as_ref().and_then(|session| self.positions.get(session.peer).copied().flatten());
        let (Some(session), Some(node)) = (session, node) else {
            self.drops.count(DropReason::NoSession);
            return None;
        };
        if !self.is_end_of(&node, remote) {
            // Another member made this circuit: where it comes from says nothing of the peer.
            self.drops.count(DropReason::NoCircuit);
            return None;
        }
        session.confirm();
        let peer = self.peers.get_mut(&node)?;
        peer.shared.roam_told.store(false, Relaxed);
        if let Some(gone) = peer.sessions.confirm(index, self.identity.node() < node) {
            gone.iter().for_each(|held| self.indices.free(held.session.local_index));
            peer.attempts.drain(..).for_each(|attempt| self.indices.free(attempt.local_index));
            self.established(node, remote, now);
        } else if !is_for_tests(remote) {
            peer.paths.handle_datagram(remote, now);
        }
        Some(node)
    }

    /// Ends all sessions with a peer, and asks for a new one after a while.
    pub(super) fn disconnect(&mut self, node: NodeId, now: Instant) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        for held in peer.sessions.take_all() {
            self.indices.free(held.session.local_index);
        }
        peer.paths.handle_close();
        peer.told = None;
        peer.seek(now);
        self.tables_are_old = true;
        self.close_circuits_by(node, now);
        self.neighbour_unreachable(&node, now);
        self.router_changed(&node);
        self.links_changed(now);
    }

    /// Takes note of credentials that came by a handshake or record.
    pub(super) fn learn_chain(&mut self, chain: Chain) {
        if self.members.note_chain(chain) {
            self.routes_are_old = true;
        }
    }

    /// How a node is called; its short id when it has told nobody yet.
    pub(super) fn name_of(&self, node: &NodeId) -> Name {
        let short = || node.short().parse().expect("base32 digits make a label");
        self.members.chain(node).map_or_else(short, |chain| chain.claims().name.clone())
    }
}
