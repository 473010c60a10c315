//! The internet of the lab and its wires, without Hopmesh.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use netns_tests::{
    Conduct, Internet, Machine, Mischief, NatKind, Outside, Plan, Underlay, hears, mapping, ping, wait_until,
};

fn address(machine: &Machine) -> IpAddr {
    machine.underlay4().expect("all of them have IPv4").into()
}

fn reaches(from: &Machine, to: &Machine) -> bool {
    from.run(&["ping", "-n", "-c", "1", "-W", "0.3", &address(to).to_string()]).code == Some(0)
}

#[test]
fn public_machines_are_on_networks_of_their_own_and_reach_each_other() {
    let internet = Internet::new();
    let machines = ["a", "b", "c", "d"].map(|name| internet.public_on(name, Underlay::Dual, None));
    let mut networks: Vec<[u8; 2]> = Vec::new();
    for machine in &machines {
        let [first, second, ..] = machine.underlay4().unwrap().octets();
        networks.push([first, second]);
        for to in machine.underlay() {
            machines[0].must_ping(to);
        }
    }
    networks.dedup();
    assert_eq!(networks.len(), 4, "{networks:?}");
    let reserved = |address: Ipv4Addr| {
        address.is_private() || address.is_documentation() || address.is_loopback() || address.is_link_local()
    };
    assert!(machines.iter().all(|machine| !reserved(machine.underlay4().unwrap())));
}

#[test]
fn pulled_cables_and_cut_ways_are_silent_until_they_are_mended() {
    let internet = Internet::new();
    let (a, b, c) = (internet.public("a"), internet.public("b"), internet.public("c"));
    let home = internet.home(NatKind::PortRestricted);
    let inside = home.machine("inside");
    internet.cut(&a, &b);
    internet.cut(&home, &b);
    assert!(!reaches(&a, &b) && !reaches(&b, &a) && !reaches(&inside, &b));
    assert!(reaches(&a, &c) && reaches(&c, &b) && reaches(&inside, &a));
    internet.mend(&a, &b);
    internet.mend(&home, &b);
    assert!(reaches(&a, &b) && reaches(&inside, &b));
    home.unplug();
    assert!(!reaches(&inside, &a));
    home.plug();
    b.unplug();
    assert!(reaches(&inside, &a) && !reaches(&a, &b));
    b.plug();
    inside.unplug();
    assert!(reaches(&a, &b) && !reaches(&inside, &a));
    inside.plug();
    assert!(reaches(&inside, &a));
}

#[test]
fn in_a_line_only_neighbours_reach_each_other() {
    let internet = Internet::new();
    let line = internet.line(["a", "b", "c", "d"]);
    for (i, from) in line.iter().enumerate() {
        for (j, to) in line.iter().enumerate().filter(|(j, _)| *j != i) {
            assert_eq!(reaches(from, to), i.abs_diff(j) == 1, "{} to {}", from.name(), to.name());
        }
    }
}

#[test]
fn a_machine_carried_to_another_home_has_its_addresses() {
    let internet = Internet::new();
    let (one, other) = (internet.public("one"), internet.public("other"));
    let outside = Outside::new(&one, &other);
    let homes = [NatKind::FullCone, NatKind::SymRandom].map(|kind| internet.home(kind));
    let machine = homes[0].machine("a");
    assert_eq!(mapping(&machine.udp(), &outside.near).ip(), homes[0].wan4());
    machine.carry_to(&homes[1]);
    assert_eq!(mapping(&machine.udp(), &outside.near).ip(), homes[1].wan4());
}

/// An opener must pass the sender's NATs, and must not arrive at the receiver's.
#[test]
fn a_low_ttl_opens_the_nats_on_this_side_only() {
    let internet = Internet::new();
    let (one, other) = (internet.public("one"), internet.public("other"));
    let outside = Outside::new(&one, &other);
    let carrier = internet.home(Plan::new(NatKind::PortRestricted).carrier());
    let single = internet.home(NatKind::PortRestricted).machine("single");
    let double = carrier.home(NatKind::PortRestricted).machine("double");
    // Each with the TTLs that open all of its NATs, and those that do not.
    for (machine, opens, fails) in [(&single, [2, 4], [1, 1]), (&double, [3, 4], [1, 2])] {
        for (ttl, opened) in opens.map(|ttl| (ttl, true)).into_iter().chain(fails.map(|ttl| (ttl, false))) {
            let inside = machine.udp();
            let mapped = mapping(&inside, &outside.near);
            inside.set_ttl(ttl).unwrap();
            // Where the router answers that the TTL was too low, the next call tells.
            let _told = inside.send_to(b"opener", outside.far.local_addr().unwrap());
            outside.far.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            assert_eq!(hears(&outside.far), None, "an opener with TTL {ttl} arrived");
            let in_by = netns_tests::gets_in(&outside.far, &outside.near, mapped, &inside);
            assert_eq!(in_by, opened, "{} with TTL {ttl}", machine.name());
        }
    }
}

#[test]
fn a_wire_takes_its_time() {
    let internet = Internet::new();
    let far = internet.public_on("far", Underlay::V4, Some(&Conduct::delay_ms(30)));
    let home = internet.home(Plan::new(NatKind::PortRestricted).wire(Conduct::delay_ms(20)));
    let inside = home.machine("inside");
    let slow = ping(&inside, address(&far), 5);
    assert_eq!(slow.received, 5, "{}", slow.text);
    assert!(slow.rtt_ms.iter().all(|rtt| *rtt >= 100.0), "{:?}", slow.rtt_ms);
    home.wire().behave(Conduct::default());
    far.on_wire(|wire| wire.behave(Conduct::default()));
    let fast = ping(&inside, address(&far), 5);
    let least = fast.rtt_ms.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(least < 100.0, "{:?}", fast.rtt_ms);
    // What goes through is whole, also in bulk.
    netns_tests::hashed_transfer(&inside, &far, address(&far), 5_000_000);
}

#[test]
fn a_wire_loses_its_share() {
    let internet = Internet::new();
    let far = internet.public_on("far", Underlay::V4, Some(&Conduct::default()));
    let near = internet.public("near");
    near.must_ping(address(&far));
    far.on_wire(|wire| wire.behave(Conduct { loss: 0.3, ..Conduct::default() }));
    let text = near.run(&["ping", "-n", "-i", "0.002", "-W", "1", "-c", "500", &address(&far).to_string()]);
    // Each way loses three of ten: 245 of 500 come back, give or take five standard deviations.
    let received = netns_tests::Ping::parse(&text.stdout).received;
    assert!((190..=300).contains(&received), "{received}");
    far.on_wire(|wire| wire.behave(Conduct::default()));
    near.must_ping(address(&far));
}

#[test]
fn jitter_keeps_the_order() {
    let internet = Internet::new();
    let jitter = Conduct { jitter: Duration::from_millis(40), ..Conduct::delay_ms(5) };
    let far = internet.public_on("far", Underlay::V4, Some(&jitter));
    let near = internet.public("near");
    let sent: Vec<Vec<u8>> = (0..100_u8).map(|n| vec![n]).collect();
    assert_eq!(received(&near, &far, &sent), sent);
}

#[test]
fn routers_stay_as_long_as_what_is_behind_them() {
    let internet = Internet::new();
    let public = internet.public("public");
    let machine = {
        let carrier = internet.home(Plan::new(NatKind::FullCone).carrier().wire(Conduct::default()));
        carrier.home(Plan::new(NatKind::FullCone).wire(Conduct::default())).machine("a")
    };
    assert!(reaches(&machine, &public));
}

/// What of `sent` arrives at a fresh socket of `to`, in that order, until there is nothing more on the way.
fn received(from: &Machine, to: &Machine, sent: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let (outbox, inbox) = (from.udp(), to.udp());
    for datagram in sent {
        outbox.send_to(datagram, inbox.local_addr().expect("bound")).expect("there is a route");
    }
    inbox.set_read_timeout(Some(Duration::from_millis(500))).expect("not zero");
    std::iter::from_fn(|| hears(&inbox)).collect()
}

#[test]
fn mischief_is_done_to_the_datagrams_meant_and_no_others() {
    let internet = Internet::new();
    let far = internet.public_on("far", Underlay::Dual, Some(&Conduct::default()));
    let near = internet.public_on("near", Underlay::Dual, None);
    let late = Duration::from_millis(50);
    let meant = Mischief { kinds: vec![7], late, ..Mischief::default() };
    let with = |mischief: Mischief| {
        far.on_wire(|wire| wire.behave(Conduct { mischief: Some(mischief), ..Conduct::default() }));
    };
    let spared: Vec<Vec<u8>> = vec![vec![1, 2, 3, 4], vec![2; 33]];
    let mut sent = vec![vec![7; 64], vec![7; 65]];
    sent.extend(spared.clone());
    let others = |heard: &[Vec<u8>]| heard.iter().filter(|one| one[0] != 7).cloned().collect::<Vec<_>>();

    with(Mischief { dropped: 1.0, ..meant.clone() });
    assert_eq!(received(&near, &far, &sent), spared);

    with(Mischief { duplicated: 1.0, ..meant.clone() });
    let twice = [&sent[0], &sent[0], &sent[1], &sent[1], &sent[2], &sent[3]].map(Clone::clone);
    assert_eq!(received(&near, &far, &sent), twice);

    with(Mischief { reordered: 1.0, ..meant.clone() });
    let overtaken = [&sent[2], &sent[3], &sent[0], &sent[1]].map(Clone::clone);
    assert_eq!(received(&near, &far, &sent), overtaken);

    with(Mischief { altered: 1.0, ..meant.clone() });
    let many: Vec<Vec<u8>> = (30..60).map(|size| vec![7; size]).collect();
    let heard = received(&near, &far, &many);
    assert_eq!(heard.len(), many.len(), "the checksum was made right, or these would be dropped");
    for (heard, sent) in heard.iter().zip(&many) {
        assert_eq!(heard.len(), sent.len());
        assert_eq!(heard.iter().zip(sent).filter(|(a, b)| a != b).count(), 1);
    }
    assert_eq!(others(&received(&near, &far, &sent)), spared);
    let tally = far.on_wire(netns_tests::Wire::tally);
    assert_eq!((tally.lost, tally.duplicated, tally.reordered, tally.altered), (2, 2, 2, 32));
    assert_eq!(tally.concerned, 38);
}

#[test]
fn an_altered_datagram_of_ipv6_arrives_too() {
    let internet = Internet::new();
    let mischief = Some(Mischief { altered: 1.0, ..Mischief::default() });
    let conduct = Conduct { mischief, ..Conduct::default() };
    let far = internet.public_on("far", Underlay::Dual, Some(&conduct));
    let near = internet.public_on("near", Underlay::Dual, None);
    let [outbox, inbox] = [&near, &far].map(|machine| {
        let address = machine.underlay6().unwrap();
        machine.enter(|| UdpSocket::bind((address, 0)).unwrap())
    });
    inbox.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    for size in 1..40 {
        outbox.send_to(&vec![9; size], inbox.local_addr().unwrap()).unwrap();
        let heard = hears(&inbox).expect("the checksum was made right");
        assert!(heard.len() == size && heard.iter().filter(|byte| **byte != 9).count() == 1, "{heard:?}");
    }
}

#[test]
fn nothing_of_an_internet_is_left() {
    let folder;
    let names = || std::fs::read_dir("/run/netns").unwrap().map(|entry| entry.unwrap().file_name());
    let own = |lab: &str| names().filter(|name| name.to_str().unwrap().starts_with(lab)).count();
    let lab;
    {
        let internet = Internet::new();
        let home = internet.home(Plan::new(NatKind::FullCone).wire(Conduct::delay_ms(1)));
        let machine = home.machine("a");
        lab = machine.namespace().trim_end_matches('a').to_owned();
        folder = machine.folder().parent().unwrap().to_owned();
        assert_eq!(own(&lab), 3);
        assert!(folder.exists());
    }
    wait_until("the namespaces are gone", Duration::from_secs(5), || (own(&lab) == 0).then_some(()));
    assert!(!folder.exists());
}
