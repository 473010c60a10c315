//! The address book: which node owns which prefix, when credentials disagree.
//!
//! Two admins that cannot hear each other may assign one address twice. Once both claims are known, every node
//! settles them by the same rule: the lower serial keeps the prefix, at equal serials the lower node.
//! Of one node's own claims the newest counts. Neither depends on the order of arrival, nor on a clock.

use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};

/// Claims of nodes to prefixes, and who wins each prefix.
///
/// Only equal prefixes conflict: a longer prefix inside another's is a more specific route, which an admin signed.
#[derive(Debug, Clone)]
pub struct AddressBook<N> {
    claims: BTreeMap<N, Claim>,
    /// Who claims a prefix, the owner first. No set is empty.
    claimants: BTreeMap<IpNet, BTreeSet<Claimant<N>>>,
}

/// What one node claims. Of two, the greater is the newer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    serial: u64,
    /// Host bits are zero. Compared only so that two claims with one serial settle alike everywhere.
    prefixes: BTreeSet<IpNet>,
}

/// One of those who claim a prefix. The least owns it: serial before node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Claimant<N> {
    serial: u64,
    node: N,
}

/// A prefix that more than one node claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict<N> {
    /// What they claim.
    pub prefix: IpNet,
    /// Who keeps it.
    pub owner: N,
    /// Who has to be given another.
    pub loser: N,
}

impl<N: Ord + Copy> AddressBook<N> {
    /// A book without claims.
    #[must_use]
    pub fn new() -> Self {
        Self { claims: BTreeMap::new(), claimants: BTreeMap::new() }
    }

    /// Enters what a node's credential with this serial claims, in place of what the node claimed before.
    ///
    /// Returns whether the claim is new. An older one than the node's present claim (a lower serial; at equal
    /// serials the one whose prefixes come first in order) changes nothing.
    pub fn claim(&mut self, node: N, serial: u64, prefixes: &[IpNet]) -> bool {
        let claim = Claim { serial, prefixes: prefixes.iter().map(IpNet::trunc).collect() };
        if self.claims.get(&node).is_some_and(|present| *present >= claim) {
            return false;
        }
        self.remove(node);
        for prefix in &claim.prefixes {
            self.claimants.entry(*prefix).or_default().insert(Claimant { serial, node });
        }
        self.claims.insert(node, claim);
        true
    }

    /// Strikes out all that a node claims (it left or was revoked); returns whether it claimed anything.
    ///
    /// The book forgets the serial too: to keep an old claim from coming back is for the caller.
    pub fn remove(&mut self, node: N) -> bool {
        let Some(Claim { serial, prefixes }) = self.claims.remove(&node) else {
            return false;
        };
        for prefix in &prefixes {
            let claimants = self.claimants.get_mut(prefix).expect("each prefix of a claim has claimants");
            claimants.remove(&Claimant { serial, node });
            if claimants.is_empty() {
                self.claimants.remove(prefix);
            }
        }
        true
    }

    /// Who owns exactly this prefix.
    #[must_use]
    pub fn owner(&self, prefix: IpNet) -> Option<N> {
        self.claimants.get(&prefix.trunc()).map(|claimants| owner_of(claimants))
    }

    /// Every prefix with its owner, in order of prefixes.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, N)> + '_ {
        self.claimants.iter().map(|(prefix, claimants)| (*prefix, owner_of(claimants)))
    }

    /// Every beaten claim, in order of prefixes, for those who issue credentials to give the loser another.
    pub fn conflicts(&self) -> impl Iterator<Item = Conflict<N>> + '_ {
        self.claimants.iter().flat_map(|(prefix, claimants)| {
            let owner = owner_of(claimants);
            claimants.iter().skip(1).map(move |loser| Conflict { prefix: *prefix, owner, loser: loser.node })
        })
    }
}

fn owner_of<N: Ord + Copy>(claimants: &BTreeSet<Claimant<N>>) -> N {
    claimants.first().expect("no set of claimants is empty").node
}

impl<N: Ord + Copy> Default for AddressBook<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn prefixes(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn the_lower_serial_keeps_a_prefix_and_ties_go_to_the_lower_node() {
        let mut book = AddressBook::new();
        assert!(book.claim('b', 7, &prefixes(&["10.0.0.5/32", "fd00::b/128"])));
        assert!(book.claim('a', 9, &prefixes(&["10.0.0.5/32", "fd00::a/128"])));
        assert_eq!(book.owner(net("10.0.0.5/32")), Some('b'), "the lower serial");
        let conflict = Conflict { prefix: net("10.0.0.5/32"), owner: 'b', loser: 'a' };
        assert_eq!(book.conflicts().collect::<Vec<_>>(), [conflict]);
        assert!(book.claim('0', 7, &prefixes(&["10.0.0.5/32"])));
        assert_eq!(book.owner(net("10.0.0.5/32")), Some('0'), "equal serials: the lower node");
        assert_eq!(book.conflicts().map(|conflict| conflict.loser).collect::<String>(), "ba");
        let all: Vec<_> = book.iter().collect();
        assert_eq!(all, [(net("10.0.0.5/32"), '0'), (net("fd00::a/128"), 'a'), (net("fd00::b/128"), 'b')]);
    }

    #[test]
    fn a_newer_claim_replaces_and_an_older_one_changes_nothing() {
        let mut book = AddressBook::new();
        assert!(book.claim('a', 2, &prefixes(&["10.0.0.1/32", "10.0.0.2/32"])));
        assert!(!book.claim('a', 1, &prefixes(&["10.0.0.9/32"])));
        assert!(!book.claim('a', 2, &prefixes(&["10.0.0.2/32", "10.0.0.1/32"])), "the same again");
        assert!(book.claim('a', 3, &prefixes(&["10.0.0.2/32"])));
        assert_eq!(book.iter().collect::<Vec<_>>(), [(net("10.0.0.2/32"), 'a')]);
    }

    #[test]
    fn the_loser_inherits_when_the_owner_goes() {
        let mut book = AddressBook::new();
        book.claim('a', 1, &prefixes(&["10.0.0.1/32"]));
        book.claim('b', 2, &prefixes(&["10.0.0.1/32"]));
        assert!(book.remove('a'));
        assert!(!book.remove('a'));
        assert_eq!(book.owner(net("10.0.0.1/32")), Some('b'));
        assert_eq!(book.conflicts().count(), 0);
        assert!(book.remove('b'));
        assert_eq!((book.owner(net("10.0.0.1/32")), book.iter().count()), (None, 0));
    }

    #[test]
    fn host_bits_and_repetitions_make_no_second_prefix() {
        let mut book = AddressBook::new();
        book.claim('a', 1, &prefixes(&["10.1.2.3/16", "10.1.0.0/16"]));
        book.claim('b', 2, &prefixes(&["10.1.9.9/16", "10.1.9.9/32"]));
        assert_eq!(book.owner(net("10.1.7.7/16")), Some('a'));
        assert_eq!(book.owner(net("10.1.9.9/32")), Some('b'), "a longer prefix is no conflict");
        assert_eq!(book.conflicts().count(), 1);
    }

    type Event = (u32, u64, Vec<IpNet>);

    /// Owners and losers as the rule says them: newest claim of each node, then the least of a prefix.
    fn naive(events: &[Event]) -> (BTreeMap<IpNet, u32>, BTreeSet<(IpNet, u32)>) {
        let mut newest: BTreeMap<u32, (u64, BTreeSet<IpNet>)> = BTreeMap::new();
        for (node, serial, prefixes) in events {
            let claim = (*serial, prefixes.iter().map(IpNet::trunc).collect());
            if newest.get(node).is_none_or(|present| *present < claim) {
                newest.insert(*node, claim);
            }
        }
        let mut claims: Vec<_> = newest
            .iter()
            .flat_map(|(node, (serial, prefixes))| {
                prefixes.iter().map(move |prefix| (*serial, *node, *prefix))
            })
            .collect();
        claims.sort_by_key(|(serial, node, _)| (*serial, *node));
        let (mut owners, mut losers) = (BTreeMap::new(), BTreeSet::new());
        for (_, node, prefix) in claims {
            if *owners.entry(prefix).or_insert(node) != node {
                losers.insert((prefix, node));
            }
        }
        (owners, losers)
    }

    #[test]
    fn every_order_of_arrival_ends_in_the_naive_answer() {
        let mut random = Random::new(11);
        let mut conflicts = 0;
        for _ in 0..300 {
            let mut events: Vec<Event> = (0..random.below(30))
                .map(|_| {
                    let prefixes = (0..random.below(9)).map(|_| random.prefix()).collect();
                    (random.below(12), u64::from(random.below(8)), prefixes)
                })
                .collect();
            let (owners, losers) = naive(&events);
            conflicts += losers.len();
            for _ in 0..4 {
                random.shuffle(&mut events);
                let mut book = AddressBook::new();
                for (node, serial, prefixes) in &events {
                    book.claim(*node, *serial, prefixes);
                }
                assert!(book.iter().eq(owners.iter().map(|(prefix, node)| (*prefix, *node))), "{events:?}");
                let found: BTreeSet<_> = book.conflicts().map(|c| (c.prefix, c.loser)).collect();
                assert_eq!(found, losers, "{events:?}");
                assert!(book.conflicts().all(|c| owners[&c.prefix] == c.owner && c.owner != c.loser));
                for (prefix, node) in &owners {
                    assert_eq!(book.owner(*prefix), Some(*node));
                }
            }
        }
        assert!(conflicts > 1000, "only {conflicts} conflicts were tried");
    }

    #[test]
    fn removal_leaves_what_a_book_without_the_node_has() {
        let mut random = Random::new(12);
        for _ in 0..200 {
            let (mut book, mut without) = (AddressBook::new(), AddressBook::new());
            for serial in 0..20 {
                let node = random.below(5);
                let prefixes: Vec<IpNet> = (0..random.below(4)).map(|_| random.prefix()).collect();
                book.claim(node, serial, &prefixes);
                if node != 3 {
                    without.claim(node, serial, &prefixes);
                }
            }
            book.remove(3);
            assert!(book.iter().eq(without.iter()));
            assert!(book.conflicts().eq(without.conflicts()));
        }
    }
}
