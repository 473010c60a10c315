//! What an admin looks after: credentials that end soon, names and addresses that two nodes claim.

use super::Node;
use crate::limits::{CREDENTIAL_LIFE_S, REVIEW_INTERVAL};
use std::time::Instant;
use wire::NodeId;
use wire::credential::Claims;

impl Node {
    /// Issues anew what this node has signed and what needs it.
    pub(super) fn review(&mut self, now: Instant) {
        self.next_review = now + REVIEW_INTERVAL;
        let is_admin = self.members.own().claims().roles.admin && !self.is_revoked;
        if !is_admin {
            return;
        }
        // We may have become an admin since.
        self.review_epoch(now);
        self.look_at_hosts(now);
        for node in self.members.losers() {
            if let Some(claims) = self.claims_signed_here(&node) {
                self.settle(&claims, now);
            }
        }
        let ends_soon = |claims: &Claims| claims.expires_s < self.unix_s(now) + CREDENTIAL_LIFE_S / 3;
        let ending: Vec<NodeId> = self.members.members().filter(|c| ends_soon(c)).map(|c| c.node).collect();
        for node in ending {
            if let Some(claims) = self.claims_signed_here(&node) {
                // Without the root key an admin's renewal has to wait for the founder: status shows the expiry.
                let _ = self.reissue(&claims, claims.name.clone(), claims.ipv4.addr(), now);
            }
        }
    }

    /// A node's claims, when it is up to us to sign them.
    pub(super) fn claims_signed_here(&self, node: &NodeId) -> Option<Claims> {
        let chain = self.members.chain(node)?;
        let ours = match chain.admin() {
            Some(admin) => admin.node == self.identity.node(),
            None => self.members.network.root.is_some(),
        };
        ours.then(|| chain.claims().clone())
    }

    /// Gives a node that has lost its name or address another one.
    fn settle(&mut self, claims: &Claims, now: Instant) {
        let holds_name = self.members.holder_of_name(&claims.name) == Some(claims.node);
        let free = |n: &u32| self.members.holder_of_name(&claims.name.numbered(*n)).is_none();
        let name = match (2..10_000).find(free) {
            Some(n) if !holds_name => claims.name.numbered(n),
            Some(_) | None => claims.name.clone(),
        };
        let is_shared =
            self.members.members().any(|c| c.node != claims.node && c.ipv4.addr() == claims.ipv4.addr());
        let address = if is_shared { self.free_address(None, None) } else { Ok(claims.ipv4.addr()) };
        if let Ok(address) = address {
            let _ = self.reissue(claims, name, address, now);
        }
    }
}
