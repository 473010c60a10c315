use super::*;
use crate::NoisePublicKey;

const NOW: u64 = 1_800_000_000;

struct Network {
    root: SigningKey,
    admin: SigningKey,
    chain: Chain,
}

fn claims(network: NetworkId, node: &SigningKey, name: &str, ipv4: &str, admin: bool) -> Claims {
    Claims {
        network,
        node: NodeId(node.verifying_key().to_bytes()),
        noise_key: NoisePublicKey([9; 32]),
        name: name.parse().unwrap(),
        ipv4: ipv4.parse().unwrap(),
        prefixes: vec![],
        tags: vec![],
        services: vec![],
        roles: Roles { admin, hop: true },
        serial: 7,
        not_before_s: NOW,
        expires_s: NOW + 1000,
    }
}

fn network() -> Network {
    let (root, admin) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
    let id = NetworkId::of_root(&root.verifying_key().to_bytes());
    let chain = Chain::of_root(claims(id, &admin, "a", "10.7.0.1/16", true), &root);
    Network { root, admin, chain }
}

impl Network {
    fn id(&self) -> NetworkId {
        self.chain.claims().network
    }

    fn member(&self) -> Chain {
        let node = SigningKey::from_bytes(&[3; 32]);
        self.chain.extend(claims(self.id(), &node, "b", "10.7.0.2/16", false), &self.admin).unwrap()
    }
}

#[test]
fn chains_of_one_and_two_verify() {
    let network = network();
    for chain in [network.chain.clone(), network.member()] {
        let bytes = chain.encode();
        let short = chain.encode_without_root();
        assert_eq!(short.len() + 34, bytes.len());
        assert_eq!(Chain::verify_under(&short, chain.root()).as_ref(), Ok(&chain));
        assert_eq!(Chain::verify_under(&short, &[9; 32]), Err(CredentialError::Signature), "another root");
        assert!(Chain::verify_under(&bytes, chain.root()).is_err());
        assert_eq!(Chain::verify(&bytes, &network.id()), Ok(chain));
    }
    let mut rich = claims(network.id(), &SigningKey::from_bytes(&[3; 32]), "b", "10.7.0.2/16", false);
    rich.prefixes = vec!["192.168.1.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    rich.tags = vec!["web".parse().unwrap()];
    rich.services = vec!["db".parse().unwrap(), "web".parse().unwrap()];
    let chain = network.chain.extend(rich.clone(), &network.admin).unwrap();
    assert_eq!(Chain::verify(&chain.encode(), &network.id()).unwrap().claims(), &rich);
}

#[test]
fn an_ordinary_chain_leaves_room_in_a_record() {
    assert!(network().member().encode().len() < 600, "{}", network().member().encode().len());
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() {
    let network = network();
    let bytes = network.member().encode();
    for length in 0..bytes.len() {
        assert!(Chain::verify(&bytes[..length], &network.id()).is_err(), "truncated to {length}");
    }
    for i in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[i / 8] ^= 1 << (i % 8);
        assert!(Chain::verify(&flipped, &network.id()).is_err(), "bit {i}");
    }
}

#[test]
fn authority_comes_from_the_root_alone() {
    let network = network();
    let mallory = SigningKey::from_bytes(&[66; 32]);
    let own_admin = claims(network.id(), &mallory, "m", "10.7.0.9/16", true);
    assert_eq!(network.chain.extend(own_admin.clone(), &network.admin), Err(CredentialError::Authority));
    let member = network.member();
    assert_eq!(
        member.extend(claims(network.id(), &mallory, "m", "10.7.0.9/16", false), &mallory),
        Err(CredentialError::Authority)
    );
    let own_root = Chain::of_root(own_admin, &mallory);
    assert_eq!(Chain::verify(&own_root.encode(), &network.id()), Err(CredentialError::WrongNetwork));
    let no_admin = Chain::of_root(claims(network.id(), &mallory, "m", "10.7.0.9/16", false), &network.root);
    assert_eq!(Chain::verify(&no_admin.encode(), &network.id()), Err(CredentialError::Authority));
    let forged =
        network.chain.extend(claims(network.id(), &mallory, "m", "10.7.0.9/16", false), &mallory).unwrap();
    assert_eq!(Chain::verify(&forged.encode(), &network.id()), Err(CredentialError::Signature));
}

#[test]
fn a_member_cannot_leave_the_range_or_choose_its_ipv6_address() {
    let network = network();
    let node = SigningKey::from_bytes(&[3; 32]);
    let outside = claims(network.id(), &node, "b", "10.8.0.2/16", false);
    assert_eq!(network.chain.extend(outside, &network.admin), Err(CredentialError::Malformed));
    let other_network = claims(NetworkId([1; 16]), &node, "b", "10.7.0.2/16", false);
    assert_eq!(network.chain.extend(other_network, &network.admin), Err(CredentialError::WrongNetwork));
}

#[test]
fn dates_tolerate_an_hour_of_skew() {
    let chain = network().member();
    assert_eq!(chain.check_dates(NOW - CLOCK_SKEW_S), Ok(()));
    assert_eq!(chain.check_dates(NOW - CLOCK_SKEW_S - 1), Err(CredentialError::NotYetValid));
    assert_eq!(chain.check_dates(NOW + 1000 + CLOCK_SKEW_S), Ok(()));
    assert_eq!(chain.check_dates(NOW + 1001 + CLOCK_SKEW_S), Err(CredentialError::Expired));
}

#[test]
fn addresses_and_prefixes_that_lead_nowhere_or_everywhere_are_refused() {
    let network = network();
    let node = SigningKey::from_bytes(&[3; 32]);
    let verdict = |claims: Claims| {
        let chain = network.chain.extend(claims, &network.admin).unwrap();
        Chain::verify(&chain.encode(), &network.id()).map(|_| ())
    };
    let good = claims(network.id(), &node, "b", "10.7.0.2/16", false);
    assert_eq!(verdict(good.clone()), Ok(()));
    for address in ["10.7.0.0/16", "10.7.255.255/16"] {
        let claims = Claims { ipv4: address.parse().unwrap(), ..good.clone() };
        assert_eq!(verdict(claims), Err(CredentialError::Malformed), "{address}");
    }
    for prefix in [
        "0.0.0.0/0",
        "128.0.0.0/1",
        "127.0.0.0/8",
        "224.0.0.0/8",
        "::/0",
        "8000::/1",
        "::ffff:0:0/96",
        "10.1.2.3/24",
    ] {
        let claims = Claims { prefixes: vec![prefix.parse().unwrap()], ..good.clone() };
        assert_eq!(verdict(claims), Err(CredentialError::Malformed), "{prefix}");
    }
}
