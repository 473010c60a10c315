use super::*;
use std::net::Ipv4Addr;
use wire::NoisePublicKey;

const NOW: u64 = 1_800_000_000;

struct Fixture {
    founder: Identity,
    network: Network,
}

fn fixture() -> Fixture {
    let founder = Identity::generate([1; 32]);
    let (name, node) = ("home".parse().unwrap(), "a".parse().unwrap());
    let network = found(name, node, "10.7.0.0/24".parse().unwrap(), &founder, NOW, [2; 32]);
    Fixture { founder, network }
}

impl Fixture {
    fn member(&self, seed: u8, name: &str, host: u8, serial: u64) -> Chain {
        let identity = Identity::generate([seed; 32]);
        let own = self.network.chain.claims();
        let claims = Claims {
            node: identity.node(),
            noise_key: NoisePublicKey([seed; 32]),
            name: name.parse().unwrap(),
            ipv4: format!("10.7.0.{host}/24").parse().unwrap(),
            roles: Roles::default(),
            serial,
            ..own.clone()
        };
        self.network.chain.extend(claims, &self.founder.signing).unwrap()
    }
}

#[test]
fn a_founder_is_admin_and_owns_the_first_address() {
    let f = fixture();
    let claims = f.network.chain.claims();
    assert!(claims.roles.admin);
    assert_eq!(claims.ipv4.to_string(), "10.7.0.1/24");
    assert_eq!(Chain::verify(&f.network.chain.encode(), &f.network.id()), Ok(f.network.chain.clone()));
}

#[test]
fn the_lower_serial_keeps_address_and_name_in_any_order() {
    let f = fixture();
    let (b, c) = (f.member(3, "b", 9, 5), f.member(4, "b", 9, 6));
    for order in [[&b, &c], [&c, &b]] {
        let mut membership = Membership::new(f.network.clone());
        order.into_iter().for_each(|chain| assert!(membership.note_chain(chain.clone())));
        assert_eq!(membership.losers(), [c.claims().node]);
        assert_eq!(membership.holder_of_name(&"b".parse().unwrap()), Some(b.claims().node));
        let owner = membership.owners().find(|(prefix, _)| prefix.to_string() == "10.7.0.9/32").unwrap().1;
        assert_eq!(owner, b.claims().node);
    }
}

#[test]
fn of_one_node_the_highest_serial_counts() {
    let f = fixture();
    let mut membership = Membership::new(f.network.clone());
    assert!(membership.note_chain(f.member(3, "b", 9, 5)));
    assert!(membership.note_chain(f.member(3, "b", 10, 7)));
    assert!(!membership.note_chain(f.member(3, "b", 11, 6)));
    assert_eq!(membership.taken().addresses.len(), 2);
    assert!(membership.taken().holds(&Ipv4Addr::new(10, 7, 0, 10)));
}

#[test]
fn a_revoked_node_owns_nothing_and_an_admin_falls_only_by_the_root() {
    let f = fixture();
    let mut membership = Membership::new(f.network.clone());
    let b = f.member(3, "b", 9, 5);
    membership.note_chain(b.clone());
    let (founder, node) = (f.founder.node(), b.claims().node);
    membership.note_revocation(founder, node, false);
    assert!(!membership.is_revoked(&f.network.chain), "a member has no power over an admin");
    membership.note_revocation(node, founder, false);
    assert!(membership.is_revoked(&b));
    assert!(membership.owners().all(|(_, owner)| owner == founder));
    assert_eq!(membership.revoked().map(|c| c.node).collect::<Vec<_>>(), [node]);
    assert!(!membership.note_chain(f.member(3, "b", 9, 5)), "the same credential again changes nothing");
    membership.note_revocation(founder, founder, true);
    assert!(membership.is_revoked(&f.network.chain));
    assert!(membership.is_revoked(&f.member(5, "c", 10, 9)), "what a revoked admin signed is worth nothing");
}

#[test]
fn addresses_inside_the_mesh_are_no_candidates() {
    let f = fixture();
    let membership = Membership::new(f.network.clone());
    let own = f.network.chain.claims();
    let candidate = |ip: IpAddr| Candidate::new((ip, 7).into()).unwrap();
    assert!(membership.is_inside(&candidate(own.ipv4.addr().into())));
    assert!(membership.is_inside(&candidate(own.ipv6().into())));
    assert!(!membership.is_inside(&candidate("192.0.2.1".parse().unwrap())));
    assert!(!membership.is_inside(&candidate("2001:db8::1".parse().unwrap())));
}

#[test]
fn of_two_credentials_with_one_serial_everybody_keeps_the_same() {
    let f = fixture();
    let (one, other) = (f.member(7, "b", 7, 5), f.member(7, "b", 8, 5));
    let known = |chains: [&Chain; 2]| {
        let mut members = Membership::new(f.network.clone());
        for chain in chains {
            members.note_chain(chain.clone());
        }
        members.chain(&one.claims().node).cloned().unwrap()
    };
    assert_eq!(known([&one, &other]), known([&other, &one]));
}

#[test]
fn what_a_revoked_admin_has_signed_counts_least_and_the_node_itself_is_not_revoked() {
    let f = fixture();
    let admin = Identity::generate([8; 32]);
    let claims = Claims {
        roles: Roles { admin: true, hop: false },
        node: admin.node(),
        ..f.member(8, "admin", 8, 2).claims().clone()
    };
    let admins = Chain::of_root(claims, f.network.root.as_ref().unwrap());
    let by_admin = Claims { serial: 100, ..f.member(7, "b", 7, 3).claims().clone() };
    let by_admin = admins.extend(by_admin, &admin.signing).unwrap();
    let by_founder = f.member(7, "b", 9, 50);
    let mut members = Membership::new(f.network.clone());
    assert!(members.note_chain(by_admin.clone()));
    assert!(!members.note_chain(by_founder.clone()), "older");
    members.note_revocation(admin.node(), f.founder.node(), true);
    assert!(members.is_revoked(&by_admin) && !members.is_revoked_itself(by_admin.claims()));
    assert!(members.note_chain(by_founder.clone()), "the other's signer is revoked");
    assert!(!members.note_chain(by_admin.clone()), "and it does not come back");
    assert_eq!(members.best(&by_admin), &by_founder);
    assert!(!members.is_revoked(members.best(&by_admin)));
}
