//! Choices are checked against the rules, over many seeds, not against one expected answer.

use super::*;
use crate::testing::Random;
use std::collections::BTreeSet;

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn net(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

fn address(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

#[test]
fn a_free_machine_gets_a_range_that_nobody_likes_and_seeds_differ() {
    let mut chosen = BTreeSet::new();
    for seed in 0..2000 {
        let range = choose_ipv4_range(&[], seed).unwrap();
        assert_eq!(choose_ipv4_range(&[], seed), Ok(range), "one seed, one answer");
        assert!(net("10.0.0.0/8").contains(&range) && range.prefix_len() == 16, "{range}");
        for liked in ["10.0.0.0/16", "10.1.0.0/16", "10.8.0.0/16", "10.96.0.0/16", "10.244.0.0/16"] {
            assert_ne!(range, net(liked));
        }
        chosen.insert(range);
    }
    assert_eq!(chosen.len(), 256 - POPULAR_10.len(), "every other range is chosen by some seed");
}

#[test]
fn routes_are_avoided_tier_by_tier() {
    let typical = nets(&["0.0.0.0/0", "192.168.1.0/24", "172.17.0.0/16", "fe80::/64", "::/0"]);
    assert!(net("10.0.0.0/8").contains(&choose_ipv4_range(&typical, 3).unwrap()));
    let vpn = nets(&["0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8"]);
    let middle = net("172.16.0.0/12");
    for seed in 0..200 {
        let range = choose_ipv4_range(&vpn, seed).unwrap();
        assert!(middle.contains(&range) && !is_popular(range), "{range}");
    }
    let both = nets(&["10.0.0.0/8", "172.16.0.0/12"]);
    for seed in 0..200 {
        let range = choose_ipv4_range(&both, seed).unwrap();
        assert!(net("192.168.0.0/16").contains(&range) && range.prefix_len() == 24, "{range}");
        assert!(!is_popular(range), "{range}");
    }
    let all = nets(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]);
    assert_eq!(choose_ipv4_range(&all, 1), Err(RangeError::Exhausted));
}

#[test]
fn popular_ranges_are_the_last_resort() {
    let mut routes = nets(&["172.16.0.0/12", "192.168.0.0/16"]);
    let rare = (0..=255).filter(|x| !POPULAR_10.contains(x));
    routes.extend(rare.map(|x| IpNet::from(Ipv4Net::new(Ipv4Addr::new(10, x, 3, 0), 24).unwrap())));
    let range = choose_ipv4_range(&routes, 9).unwrap();
    assert!(net("10.0.0.0/8").contains(&range) && is_popular(range), "{range}");
}

#[test]
fn no_choice_overlaps_a_route_or_100_64() {
    let mut random = Random::new(21);
    let carrier = net("100.64.0.0/10");
    for seed in 0..300 {
        let routes: Vec<IpNet> = (0..random.below(300))
            .map(|_| {
                let block = [[10, 0], [172, 16], [192, 168]][random.below(3) as usize];
                let address =
                    Ipv4Addr::new(block[0], block[1] + random.below(16) as u8, random.below(256) as u8, 7);
                Ipv4Net::new(address, 9 + random.below(24) as u8).unwrap().into()
            })
            .collect();
        if let Ok(range) = choose_ipv4_range(&routes, seed) {
            assert!(!carrier.contains(&range));
            for route in &routes {
                let (low, high) = match route {
                    IpNet::V4(route) => (route.network(), route.broadcast()),
                    IpNet::V6(_) => unreachable!("only IPv4 routes were made"),
                };
                assert!(high < range.network() || low > range.broadcast(), "{range} overlaps {route}");
            }
        }
    }
}

#[test]
fn candidates_are_all_there_once() {
    let all = candidates(4);
    assert_eq!(all.len(), 256 + 16 + 256);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn the_lowest_free_address_is_given() {
    let mut taken = Taken::default();
    for last in 1..=6 {
        let given = allocate_ipv4(net("10.5.0.8/29"), &taken, None).unwrap();
        assert_eq!(given, Ipv4Addr::new(10, 5, 0, 8 + last));
        taken.addresses.insert(given);
    }
    let full = allocate_ipv4(net("10.5.0.8/29"), &taken, None).unwrap_err();
    assert_eq!(full, AddressError::Full { range: net("10.5.0.8/29") });
    taken.addresses.remove(&address("10.5.0.11"));
    assert_eq!(allocate_ipv4(net("10.5.0.8/29"), &taken, None), Ok(address("10.5.0.11")));
}

#[test]
fn a_wish_is_granted_or_refused_with_the_range_named() {
    let range = net("10.5.0.0/16");
    let taken = Taken { addresses: BTreeSet::from([address("10.5.0.9")]), blocks: vec![] };
    assert_eq!(allocate_ipv4(range, &taken, Some(address("10.5.7.7"))), Ok(address("10.5.7.7")));
    for (wish, words) in [
        ("10.6.0.1", "10.6.0.1 is not in this network's range 10.5.0.0/16: choose an address inside it"),
        ("10.5.0.0", "10.5.0.0 is the network or broadcast address of 10.5.0.0/16: choose one between them"),
        (
            "10.5.255.255",
            "10.5.255.255 is the network or broadcast address of 10.5.0.0/16: choose one between them",
        ),
        (
            "10.5.0.9",
            "10.5.0.9 is taken: choose another address in 10.5.0.0/16, or name none to get a free one",
        ),
    ] {
        let error = allocate_ipv4(range, &taken, Some(address(wish))).unwrap_err();
        assert_eq!(error.to_string(), words);
    }
}

#[test]
fn tiny_ranges_have_no_reserved_addresses() {
    let taken = Taken { addresses: BTreeSet::from([address("10.5.0.0")]), blocks: vec![] };
    assert_eq!(allocate_ipv4(net("10.5.0.0/31"), &taken, None), Ok(address("10.5.0.1")));
    assert_eq!(allocate_ipv4(net("10.5.0.0/31"), &taken, Some(address("10.5.0.1"))), Ok(address("10.5.0.1")));
    assert_eq!(allocate_ipv4(net("10.5.0.7/32"), &taken, None), Ok(address("10.5.0.7")));
}

#[test]
fn host_bits_of_the_range_mean_nothing() {
    let range = net("10.5.0.77/24");
    assert_eq!(allocate_ipv4(range, &Taken::default(), None), Ok(address("10.5.0.1")));
    let outside = allocate_ipv4(range, &Taken::default(), Some(address("10.6.0.1")));
    assert_eq!(
        outside,
        Err(AddressError::OutsideRange { address: address("10.6.0.1"), range: net("10.5.0.0/24") })
    );
}
