use super::*;
use crate::Zone;
use crate::claim::Title;
use crate::guests::Guests;
use ed25519_dalek::SigningKey;
use std::time::Duration;
use wire::record::{Lease, key_of_claim, key_of_confirmation, key_of_service};
use wire::{NetworkId, NoisePublicKey, Roles};

/// Members, what they say, and how far they are.
struct Stage {
    members: BTreeMap<NodeId, Claims>,
    round_trips: BTreeMap<NodeId, Duration>,
    services: Services,
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn node(n: u8) -> NodeId {
    NodeId(key(n).verifying_key().to_bytes())
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

impl Stage {
    /// Members 1 to 4, called `m1` to `m4`, who came in this order; 1 is where we look from.
    fn new() -> Self {
        let claims = |n: u8| Claims {
            network: NetworkId([7; 16]),
            node: node(n),
            noise_key: NoisePublicKey([n; 32]),
            name: name(&format!("m{n}")),
            ipv4: format!("10.7.0.{n}/24").parse().unwrap(),
            prefixes: vec![],
            tags: vec![],
            services: vec![],
            roles: Roles::default(),
            serial: n.into(),
            not_before_s: n.into(),
            expires_s: 1000,
        };
        let members = (1..=4).map(|n| (node(n), claims(n))).collect();
        Self { members, round_trips: BTreeMap::new(), services: Services::default() }
    }

    fn say(&mut self, n: u8, content: &Content) -> bool {
        let lease = Lease { sequence: 1, not_before_s: 1, ttl_s: 60, labels: BTreeMap::new() };
        let record = content.sign_lease(lease, &key(n)).unwrap();
        self.services.handle_record(&record, content)
    }

    fn claim(&mut self, n: u8, sharing: Sharing) -> bool {
        self.say(n, &Content::Claim { node: node(n), name: name("web"), sharing })
    }

    /// Admin `n` confirms the claim of `of`.
    fn confirm(&mut self, n: u8, of: u8) -> bool {
        let content = Content::Confirmation { by: node(n), node: node(of), name: name("web") };
        let lease = Lease { sequence: 1, not_before_s: 1, ttl_s: 0, labels: BTreeMap::new() };
        let record = content.sign_lease(lease, &key(n)).unwrap();
        self.services.handle_record(&record, &content)
    }

    fn title(&mut self) -> Option<Title> {
        self.zone().services.get(&name("web")).map(|service| service.title)
    }

    fn make_admin(&mut self, n: u8) {
        self.members.get_mut(&node(n)).unwrap().roles.admin = true;
    }

    fn offer(&mut self, n: u8, version: Option<&str>, is_healthy: bool) -> bool {
        let version = version.map(|version| version.parse().unwrap());
        let (node, protocol) = (node(n), Protocol::Tcp);
        self.say(n, &Content::Service { node, name: name("web"), version, protocol, port: 80, is_healthy })
    }

    fn is_at(&mut self, n: u8, ms: u64) {
        self.round_trips.insert(node(n), Duration::from_millis(ms));
    }

    fn zone(&mut self) -> Zone {
        let members = self.members.iter().map(|(node, claims)| (*node, claims)).collect();
        let (network, round_trips) = (name("home"), &self.round_trips);
        let guests = Guests::default();
        let around =
            Surroundings { network: &network, own: node(1), members: &members, guests: &guests, round_trips };
        self.services.zone(around)
    }

    /// Owner of `web`, and who publishes it, the first one first.
    fn web(&mut self) -> Option<(u8, Vec<u8>)> {
        let zone = self.zone();
        let number = |of: NodeId| (1..=4).find(|n| node(*n) == of).unwrap();
        let service = zone.services.get(&name("web"))?;
        Some((number(service.owner), service.instances.iter().map(|i| number(i.node)).collect()))
    }
}

#[test]
fn whoever_holds_the_name_says_whose_instances_count() {
    let mut stage = Stage::new();
    (2..=4).for_each(|n| assert!(stage.offer(n, None, true)));
    assert_eq!(stage.services.len(), 3);
    assert_eq!(stage.web(), None, "nobody claims the name");
    assert!(stage.claim(3, Sharing::Owner));
    assert!(!stage.claim(3, Sharing::Owner), "a renewal changes nothing");
    assert_eq!(stage.web(), Some((3, vec![3])));
    assert!(stage.claim(3, Sharing::Nodes(vec![node(4)])));
    assert_eq!(stage.web().map(|(_, all)| all.len()), Some(2));
    assert!(stage.claim(2, Sharing::Owner));
    assert_eq!(stage.web(), Some((2, vec![2])), "the older member holds it");
    if let Some(claims) = stage.members.get_mut(&node(4)) {
        claims.services = vec![name("web")];
    }
    assert_eq!(stage.web().map(|(owner, all)| (owner, all.len())), Some((2, 2)), "delegated, it may publish");
    assert!(stage.claim(4, Sharing::Owner));
    assert_eq!(stage.web(), Some((4, vec![4])), "and own the name");
    stage.members.remove(&node(4));
    assert_eq!(stage.web(), Some((2, vec![2])), "while it is a member");
    assert!(stage.services.handle_end(&key_of_claim(node(2), &name("web"))));
    assert!(!stage.services.handle_end(&key_of_claim(node(2), &name("web"))));
    assert_eq!(stage.web().map(|(owner, _)| owner), Some(3));
    stage.services.forget_owner(node(3));
    stage.services.forget_owner(node(4));
    assert_eq!(stage.web(), None);
    stage.services.forget_owner(node(2));
    assert!(stage.services.is_empty());
}

#[test]
fn a_confirmed_name_is_not_taken_over_by_an_older_member() {
    let mut stage = Stage::new();
    stage.make_admin(4);
    stage.claim(3, Sharing::Owner);
    assert_eq!(stage.title(), Some(Title::Claimed));
    assert!(stage.confirm(4, 3) && !stage.confirm(4, 3), "said again it changes nothing");
    stage.claim(1, Sharing::Owner);
    assert_eq!((stage.web().map(|(owner, _)| owner), stage.title()), (Some(3), Some(Title::Confirmed)));
    assert!(stage.confirm(2, 1), "who is no admin may say it");
    assert_eq!(stage.web().map(|(owner, _)| owner), Some(3), "and it counts for nothing");
    stage.make_admin(2);
    assert_eq!(stage.web().map(|(owner, _)| owner), Some(1), "an older admin has confirmed the other");
    assert!(stage.services.handle_end(&key_of_confirmation(node(2), &name("web"))));
    assert_eq!(stage.web().map(|(owner, _)| owner), Some(3));
    assert!(stage.services.handle_end(&key_of_claim(node(3), &name("web"))));
    assert_eq!((stage.web().map(|(owner, _)| owner), stage.title()), (Some(1), Some(Title::Claimed)), "free");
    stage.claim(3, Sharing::Owner);
    stage.services.forget_owner(node(4));
    assert_eq!(stage.web().map(|(owner, _)| owner), Some(1), "nothing of who is no member any more counts");
}

#[test]
fn names_of_nodes_are_no_names_of_services() {
    let mut stage = Stage::new();
    stage.claim(2, Sharing::Owner);
    stage.offer(2, None, true);
    assert!(stage.web().is_some());
    let mut twin = stage.members[&node(4)].clone();
    (twin.name, twin.serial) = (name("web"), 9);
    stage.members.insert(node(4), twin);
    assert_eq!(stage.web(), None);
    assert_eq!(stage.zone().nodes[&name("web")].node, node(4));
    let mut twin = stage.members[&node(3)].clone();
    (twin.name, twin.serial) = (name("web"), 5);
    stage.members.insert(node(3), twin);
    assert_eq!(stage.zone().nodes[&name("web")].node, node(3), "of two the lower serial");
    assert_eq!(stage.zone().addresses.len(), 8);
}

#[test]
fn the_nearest_healthy_instance_comes_first_and_the_one_in_use_before_it() {
    let mut stage = Stage::new();
    stage.claim(2, Sharing::Members);
    (2..=4).for_each(|n| assert!(stage.offer(n, None, true)));
    stage.is_at(4, 10);
    assert_eq!(stage.web().unwrap().1[0], 4, "a known way before an unknown one");
    stage.is_at(3, 5);
    stage.is_at(2, 20);
    assert_eq!(stage.web().unwrap().1, [4, 3, 2], "in use, it stays, the others by distance");
    assert!(stage.offer(4, None, false));
    assert_eq!(stage.web().unwrap().1, [3, 2, 4]);
    assert!(stage.offer(4, None, true));
    assert_eq!(stage.web().unwrap().1, [3, 4, 2], "there is no reason to go back");
    assert!(stage.offer(1, None, true));
    assert_eq!(stage.web().unwrap().1, [3, 1, 4, 2]);
    assert!(stage.services.handle_end(&key_of_service(node(3), &name("web"), None)));
    assert_eq!(stage.web().unwrap().1, [1, 4, 2], "our own is nearest");
    stage.round_trips.clear();
    assert_eq!(stage.web().unwrap().1[0], 1);
}

#[test]
fn of_each_version_one_is_in_use() {
    let mut stage = Stage::new();
    stage.claim(2, Sharing::Members);
    for (n, ms) in [(2, 5), (3, 10), (4, 20)] {
        stage.is_at(n, ms);
        stage.offer(n, Some("1"), true);
    }
    stage.offer(4, Some("2"), true);
    assert_eq!(stage.web().unwrap().1, [2, 4, 3, 4]);
    stage.is_at(4, 1);
    let zone = stage.zone();
    let of = |version: &str| {
        let instances = &zone.services[&name("web")].instances;
        instances.iter().find(|i| i.version.as_ref().map(Version::as_str) == Some(version)).unwrap().node
    };
    assert_eq!((of("1"), of("2")), (node(2), node(4)));
}
