//! Whose a service name is. Every node computes the same from the same records: no clock and no order of arrival counts.
//!
//! Of the claims to one name that members make:
//!
//! 1. one of a node to which the network has delegated the name in its credential beats all others;
//! 2. else one that an admin has confirmed, and of those that several admins have confirmed apart the one whose admin has been a
//!    member for longest;
//! 3. else the one whose owner has been a member for longest, by what its admin has signed;
//! 4. and of two that became members in the same second the lower id; so with admins.
//!
//! How long a node is a member follows from the beginning of its credential, which stays when credentials are issued anew:
//! were it the serial, a new address would cost a node its names.
//!
//! Records cannot tell who was first: any member may claim any name at any time, and honest ones only refrain from what
//! somebody holds. So an admin, who could delegate the name as well, says of a claim that has held it for a moment that it came first
//! ([`Title::Confirmed`]). From then on no older member takes the name over; 3 and 4 decide between nodes that were apart, and
//! while no admin has been there. A confirmation counts only together with a claim of the node that it names: so the name is free when
//! that ends, whatever the admin does.

use wire::service::Sharing;
use wire::{Claims, Name, NodeId};

/// Since when a member is one, seconds since 1970, and its id: the lower came first.
type Seniority = (u64, NodeId);

/// Why a claim counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Title {
    /// The network has delegated the name to its owner.
    Delegated,
    /// An admin has confirmed that it came first.
    Confirmed,
    /// It is made.
    Claimed,
}

/// A member that claims a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimant {
    /// The member.
    pub node: NodeId,
    since_s: u64,
    /// Whether the name is delegated to it.
    pub is_delegated: bool,
    /// The first of the admins that confirm its claim.
    confirmed_by: Option<Seniority>,
}

impl Claimant {
    /// The claim of the member with these credentials to a name, which nobody confirms.
    #[must_use]
    pub fn new(claims: &Claims, name: &Name) -> Self {
        let is_delegated = claims.services.contains(name);
        Self { node: claims.node, since_s: claims.not_before_s, is_delegated, confirmed_by: None }
    }

    /// The same, confirmed by the members with these credentials; those count that are admins.
    #[must_use]
    pub fn confirmed_by<'a>(self, members: impl Iterator<Item = &'a Claims>) -> Self {
        let admins = members.filter(|claims| claims.roles.admin);
        Self { confirmed_by: admins.map(|admin| (admin.not_before_s, admin.node)).min(), ..self }
    }

    /// Why the claim counts.
    #[must_use]
    pub fn title(&self) -> Title {
        match self.confirmed_by {
            _ if self.is_delegated => Title::Delegated,
            Some(_) => Title::Confirmed,
            None => Title::Claimed,
        }
    }

    fn rank(&self) -> (Title, Option<Seniority>, Seniority) {
        let confirmed_by = self.confirmed_by.filter(|_| !self.is_delegated);
        (self.title(), confirmed_by, (self.since_s, self.node))
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
        Claimant { node: NodeId([id; 32]), since_s, is_delegated, confirmed_by: None }
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
    fn a_confirmation_beats_age_and_the_older_admins_counts() {
        let by = |one: Claimant, since_s, id: u8| Claimant {
            confirmed_by: Some((since_s, NodeId([id; 32]))),
            ..one
        };
        let (old, young, named) = (claimant(9, 1, false), claimant(1, 2, false), claimant(5, 9, true));
        let of = |all: &[Claimant]| holder(all.iter().copied()).map(|one| (one.node.0[0], one.title()));
        assert_eq!(of(&[old, by(young, 7, 7)]), Some((1, Title::Confirmed)));
        assert_eq!(of(&[by(old, 8, 1), by(young, 7, 7)]), Some((1, Title::Confirmed)), "the older admin's");
        assert_eq!(of(&[by(old, 7, 1), by(young, 7, 7)]), Some((9, Title::Confirmed)), "then the lower id's");
        assert_eq!(of(&[by(old, 7, 7), by(young, 7, 7)]), Some((9, Title::Confirmed)), "one admin said both");
        assert_eq!(of(&[by(old, 1, 1), named]), Some((5, Title::Delegated)));
        assert_eq!(
            of(&[by(claimant(6, 9, true), 1, 1), named]),
            Some((5, Title::Delegated)),
            "delegated is delegated"
        );
        assert_eq!(of(&[old, young]), Some((9, Title::Claimed)));
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
