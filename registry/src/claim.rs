//! Whose a service name is. Every node computes the same from the same claims: no clock and no order of arrival counts.
//!
//! Of the claims to one name that members make:
//!
//! 1. one of a node to which the network has delegated the name in its credential beats all others;
//! 2. else the one whose owner has been a member for longest, by what its admin has signed;
//! 3. and of two that became members in the same second the lower id.
//!
//! How long a node is a member follows from the beginning of its credential, which stays when credentials are issued anew:
//! were it the serial, a new address would cost a node its names. Honest nodes never claim what somebody holds, so 2 and
//! 3 decide only between nodes that were apart.

use wire::service::Sharing;
use wire::{Claims, Name, NodeId};

/// A member that claims a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimant {
    /// The member.
    pub node: NodeId,
    /// Since when it is one, seconds since 1970.
    since_s: u64,
    /// Whether the name is delegated to it.
    pub is_delegated: bool,
}

impl Claimant {
    /// The claim of the member with these credentials to a name.
    #[must_use]
    pub fn new(claims: &Claims, name: &Name) -> Self {
        Self { node: claims.node, since_s: claims.not_before_s, is_delegated: claims.services.contains(name) }
    }

    fn rank(&self) -> (bool, u64, NodeId) {
        (!self.is_delegated, self.since_s, self.node)
    }
}

/// The one of those who claim a name that holds it.
#[must_use]
pub fn holder(claimants: impl Iterator<Item = Claimant>) -> Option<Claimant> {
    claimants.min_by_key(Claimant::rank)
}

/// Whether a node's instances count under a name that another may hold.
#[must_use]
pub fn may_publish(node: &Claimant, holder: NodeId, sharing: &Sharing) -> bool {
    let is_let = match sharing {
        Sharing::Owner => false,
        Sharing::Nodes(nodes) => nodes.contains(&node.node),
        Sharing::Members => true,
    };
    node.node == holder || node.is_delegated || is_let
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn claimant(id: u8, since_s: u64, is_delegated: bool) -> Claimant {
        Claimant { node: NodeId([id; 32]), since_s, is_delegated }
    }

    #[test]
    fn delegation_beats_age_and_age_beats_ids() {
        let (old, young, same, named) =
            (claimant(9, 1, false), claimant(1, 2, false), claimant(8, 1, false), claimant(5, 9, true));
        let of = |all: &[Claimant]| holder(all.iter().copied()).map(|one| one.node.0[0]);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[young, old]), Some(9));
        assert_eq!(of(&[young, old, same]), Some(8));
        assert_eq!(of(&[young, old, same, named]), Some(5));
        assert_eq!(of(&[claimant(7, 9, true), named]), Some(5));
    }

    #[test]
    fn any_order_gives_the_same_holder() {
        let all: Vec<Claimant> = (0..5).map(|n| claimant(n, u64::from(n * 3 % 5), n == 4)).collect();
        for turn in 0..5 {
            let mut turned = all.clone();
            turned.rotate_left(turn);
            let holders: BTreeSet<_> = (1..=5)
                .map(|_| {
                    turned.reverse();
                    holder(turned.iter().copied()).unwrap().node
                })
                .collect();
            assert_eq!(holders, BTreeSet::from([NodeId([4; 32])]));
        }
    }

    #[test]
    fn others_publish_as_the_holder_says_or_the_network() {
        let (holder, node, delegated) = (NodeId([1; 32]), claimant(2, 5, false), claimant(3, 5, true));
        assert!(may_publish(&claimant(1, 1, false), holder, &Sharing::Owner));
        assert!(!may_publish(&node, holder, &Sharing::Owner));
        assert!(may_publish(&delegated, holder, &Sharing::Owner));
        assert!(may_publish(&node, holder, &Sharing::Members));
        assert!(may_publish(&node, holder, &Sharing::Nodes(vec![NodeId([2; 32])])));
        assert!(!may_publish(&node, holder, &Sharing::Nodes(vec![NodeId([3; 32])])));
    }
}
