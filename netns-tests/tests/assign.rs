//! An admin gives a machine a mesh address.

use std::net::{IpAddr, Ipv4Addr};

use netns_tests::{DEADLINE, Lab, Machine, Up, peer, ping, wait_until};

/// Another address of the range, whose host part ends in `last`.
fn near(up: &Up, last: u8) -> Ipv4Addr {
    let [a, b, c, _] = up.v4.octets();
    Ipv4Addr::new(a, b, c, last)
}

/// First and last address of the range.
fn ends(node: &Machine) -> [Ipv4Addr; 2] {
    let status = node.status();
    let text = status["network"]["ipv4_range"].as_str().expect("a range");
    let (base, length) = text.split_once('/').expect("ADDRESS/LENGTH");
    let base = u32::from(base.parse::<Ipv4Addr>().expect("an address"));
    let hosts = u32::MAX.checked_shr(length.parse().expect("a length")).unwrap_or(0);
    [base, base | hosts].map(Ipv4Addr::from)
}

/// Waits until both ends know `b` by `wanted`, and pings it.
fn is_moved(a: &Machine, b: &Machine, wanted: Ipv4Addr, v6: IpAddr) {
    let text = wanted.to_string();
    wait_until("b has its new address", DEADLINE, || {
        (b.status()["node"]["addresses"][0] == text.as_str()).then_some(())
    });
    wait_until("a knows b's new address", DEADLINE, || {
        (peer(&a.status(), "b")["addresses"][0] == text.as_str()).then_some(())
    });
    a.must_ping(wanted.into());
    a.must_ping(v6);
    let kernel = b.run(&["ip", "-o", "-4", "addr", "show", "dev", "hm-home"]).ok();
    assert!(kernel.contains(&text) && kernel.lines().count() == 1, "{kernel}");
}

#[test]
fn an_assigned_address_is_seen_by_all_and_stays() {
    let lab = Lab::new();
    let (a, founder, b, joiner) = lab.pair();
    let c = lab.machine("c");
    c.join(&a.invite(&[]));
    c.must_ping(joiner.v4.into());
    let wanted = near(&founder, 201);
    let told = a.json(&["assign", "b", &wanted.to_string()]);
    assert_eq!((&told["node"], &told["address"]), (&"b".into(), &wanted.to_string().into()));
    is_moved(&a, &b, wanted, joiner.v6.into());
    c.must_ping(wanted.into());
    for from in [&a, &c] {
        assert_eq!(ping(from, joiner.v4.into(), 1).received, 0, "the old address is nobody's");
    }
    for node in [&b, &a] {
        node.kill();
        node.up();
    }
    is_moved(&a, &b, wanted, joiner.v6.into());
    // The address that became free may be given again, also to the admin itself.
    a.json(&["assign", "a", &joiner.v4.to_string()]);
    b.must_ping(joiner.v4.into());
}

#[test]
fn an_address_that_cannot_be_given_is_refused() {
    let lab = Lab::new();
    let (a, founder, b, joiner) = lab.pair();
    let [first, last] = ends(&a).map(|end| end.to_string());
    let next = Ipv4Addr::from(u32::from(ends(&a)[1]) + 1).to_string();
    for outside in ["8.8.8.8", "127.0.0.1", "0.0.0.0", "255.255.255.255", "192.0.2.77", &first, &last, &next]
    {
        a.refused(&["assign", "b", outside], &["range|address"]);
        a.refused(&["invite", "--address", outside], &["range|address"]);
    }
    let taken = founder.v4.to_string();
    let said = a.refused(&["assign", "b", &taken], &["taken|already|use"]);
    assert!(said.stderr.contains('a'), "{}", said.stderr);
    a.refused(&["invite", "--address", &taken], &["taken|already|use"]);
    for no_address in ["", "b", "10.0.0", "10.0.0.0.1", "10.0.0.1/8", "::", "2001:db8::1", "fe80::1"] {
        a.refused(&["assign", "b", no_address], &["address"]);
    }
    a.refused(&["assign", "nobody", &near(&founder, 99).to_string()], &["nobody|no node"]);
    b.refused(&["assign", "b", &near(&founder, 99).to_string()], &["admin"]);
    b.refused(&["invite"], &["admin"]);
    b.refused(&["revoke", "a"], &["admin"]);
    // None of that has changed anything.
    assert_eq!(b.status()["node"]["addresses"][0], joiner.v4.to_string());
    a.must_ping(joiner.v4.into());
}

#[test]
fn an_address_promised_to_an_open_invite_is_kept_for_it() {
    let lab = Lab::new();
    let (a, founder, _b, _joiner) = lab.pair();
    let wanted = near(&founder, 211).to_string();
    let invite = a.invite(&["--address", &wanted]);
    let c = lab.machine("c");
    let third = c.join(&invite);
    assert_eq!(third.v4.to_string(), wanted);
    a.refused(&["assign", "b", &wanted], &["taken|already|use"]);
    a.must_ping(third.v4.into());
}
