//! Which revision of the protocol is spoken with whom: what a peer does not know it is not told, and with whom there is none.

use super::Node;
use crate::peer::Peer;
use std::collections::BTreeMap;
use std::time::Instant;
use wire::control::Message;
use wire::handshake::{InitiationPayload, Refusal};
use wire::news::NewsMessage;
use wire::{Chain, Kind, Name, NodeId, Record, Revision, Revisions};

impl Node {
    /// Whether records of a kind mean anything here.
    pub(super) fn speaks_of(&self, kind: Kind) -> bool {
        kind.revision() <= self.revisions.highest()
    }

    /// The revision of the session with a peer; without one, what everybody knows.
    pub(super) fn revision_with(&self, node: &NodeId) -> Revision {
        self.peers.get(node).and_then(Peer::revision).unwrap_or(Revision::FIRST)
    }

    /// Sends a record to a peer, if it knows such records.
    pub(super) fn tell(&mut self, node: &NodeId, record: &Record, age_s: Option<u32>) {
        if record.body().kind.revision() <= self.revision_with(node) {
            self.send(node, &Message::Record { bytes: record.bytes().to_vec().into(), age_s }, None);
        }
    }

    /// What of a message of news a peer knows anything about; none when there is nothing left.
    pub(super) fn known_news(&self, node: &NodeId, message: NewsMessage) -> Option<NewsMessage> {
        let NewsMessage::Offer { mut news } = message else { return Some(message) };
        let revision = self.revision_with(node);
        news.retain(|news| self.kind_of_news(news.key).is_some_and(|kind| kind.revision() <= revision));
        (!news.is_empty()).then_some(NewsMessage::Offer { news })
    }

    /// The revision to speak with who asks for a session; why there is to be none.
    pub(super) fn agree(
        &mut self,
        asked: &InitiationPayload,
        shown: &Chain,
        now: Instant,
    ) -> Result<Revision, Refusal> {
        if let Some(refusal) = self.refusal(shown, now) {
            return Err(refusal);
        }
        if let Some(revision) = self.revisions.common(asked.revisions) {
            return Ok(revision);
        }
        let node = shown.claims().node;
        if let Some(peer) = self.peers.get_mut(&node) {
            // Else an initiation that is sent again would tell people what was so once.
            peer.highest_timestamp = asked.timestamp;
        }
        self.note_apart(node, asked.revisions);
        Err(Refusal::Revision)
    }

    /// There is no revision that a peer and we both speak.
    pub(super) fn note_apart(&mut self, node: NodeId, theirs: Revisions) {
        if let Some(peer) = self.peers.get_mut(&node) {
            (peer.refusal, peer.revisions) = (Some(Refusal::Revision), Some(theirs));
        }
    }

    /// Why there is no session with a peer, and who is to be upgraded, if it is that.
    pub(super) fn apart(&self, peer: &Peer, now: Instant) -> Option<(String, String)> {
        let theirs = peer.revisions.filter(|_| peer.state(now) != crate::PeerState::Connected)?;
        (peer.refusal == Some(Refusal::Revision))
            .then(|| self.words_apart(&[self.name_of(&peer.node)], theirs))
    }

    /// A sentence for each range of revisions that is not ours.
    pub(super) fn revisions_apart(&self) -> Vec<String> {
        let mut apart: BTreeMap<Revisions, Vec<Name>> = BTreeMap::new();
        for peer in self.peers.values().filter(|peer| peer.refusal == Some(Refusal::Revision)) {
            if let Some(theirs) = peer.revisions {
                apart.entry(theirs).or_default().push(self.name_of(&peer.node));
            }
        }
        let words = |(theirs, names): (&Revisions, &Vec<Name>)| {
            let (why, what) = self.words_apart(names, *theirs);
            format!("{why}, so there is no session. {what}")
        };
        apart.iter().map(words).collect()
    }

    /// What is so, and what is to be done.
    fn words_apart(&self, names: &[Name], theirs: Revisions) -> (String, String) {
        let (all, ours) = (super::problem::listed(names), self.revisions);
        let speaks = if names.len() == 1 { "speaks" } else { "speak" };
        let noun = if theirs.lowest() == theirs.highest() { "revision" } else { "revisions" };
        let is_ours_old = ours.is_outdated_by(theirs);
        let old = if is_ours_old { "this machine" } else { &all };
        (
            format!("{all} {speaks} {noun} {theirs} of the protocol, this machine {ours}"),
            format!("Upgrade Hopmesh on {old}."),
        )
    }
}
