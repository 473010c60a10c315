//! How long packets may be: over cables of every width, and behind a router that loses what is too long without a word.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use netns_tests::{
    DEADLINE, Internet, Lab, Machine, PathKind, Underlay, Up, await_path, hashed_transfer, peer, wait_until,
};

/// A path is measured within this: some lengths are lost thrice.
const FOUND: Duration = Duration::from_secs(40);
/// The least length that a path is made to carry.
const SHORTEST: u64 = 1280;

/// What a node says that the path to a peer carries.
fn mtu(from: &Machine, to: &str) -> Option<u64> {
    peer(&from.status(), to)["path"]["mtu"].as_u64()
}

/// What packets come to in a network of this MTU by the path that a node uses.
fn carried(from: &Machine, to: &str, mtu: u64) -> u64 {
    let remote = peer(&from.status(), to)["path"]["remote"].as_str().unwrap_or("").to_owned();
    (mtu - if remote.starts_with('[') { 80 } else { 60 }).max(SHORTEST)
}

/// Lets packets go until the path from one to the other is measured, as what it carries or a little less.
fn await_mtu(from: &Machine, to: &Up, network: u64) -> u64 {
    let target = to.v4.into();
    wait_until(&format!("{} has measured {network}", from.name()), FOUND, || {
        from.await_ping(target, DEADLINE);
        let carried = carried(from, &to.name, network);
        mtu(from, &to.name).filter(|mtu| *mtu <= carried && mtu + 8 > carried)
    })
}

/// Bulk in both families, both ways.
fn transfers(a: (&Machine, &Up), b: (&Machine, &Up)) {
    for (from, (to, up)) in [(a.0, b), (b.0, a)] {
        for address in up.addresses() {
            hashed_transfer(from, to, address, 3_000_000);
        }
    }
}

/// Datagrams of one program, longer than any path, that its kernel fragments.
fn long_datagrams(from: &Machine, to: &Machine, target: IpAddr) {
    let inbox = to.enter(|| UdpSocket::bind((target, 0)).expect("a mesh address"));
    inbox.set_read_timeout(Some(Duration::from_millis(500))).expect("not zero");
    let address = inbox.local_addr().expect("bound");
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let outbox = from.enter(|| UdpSocket::bind(any).expect("any port"));
    for size in [1000, 1380, 1420, 3000, 9000, 30_000] {
        let sent: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let mut buffer = vec![0; 65_536];
        // The kernel learns from the first how long they may be.
        wait_until(&format!("{size} bytes get to {target}"), DEADLINE, || {
            let _too_long = outbox.send_to(&sent, address);
            let received = inbox.recv(&mut buffer).ok()?;
            (buffer[..received] == sent).then_some(())
        });
    }
}

/// The kernel's own `ping` may not fragment, and is told how long it may be.
fn is_told(from: &Machine, to: IpAddr, mtu: u64) {
    let headers = if to.is_ipv4() { 28 } else { 48 };
    let ping = |length: u64| {
        let (size, to) = ((length - headers).to_string(), to.to_string());
        from.run(&["ping", "-n", "-M", "do", "-c", "2", "-i", "0.2", "-W", "1", "-s", &size, &to])
    };
    let fits = ping(mtu);
    assert_eq!(fits.code, Some(0), "{}", fits.stdout);
    let longer = ping(mtu + 1);
    let said = format!("{}{}", longer.stdout, longer.stderr);
    assert!(
        longer.code != Some(0) && said.contains(&format!("mtu={mtu}")) || said.contains("mtu: "),
        "{said}"
    );
}

#[test]
fn the_interface_takes_what_a_cable_carries() {
    for network in [1500, 1400, 1300, 9000] {
        let lab = Lab::new();
        let [a, b] = lab.crossover(["a", "b"]);
        for machine in [&a, &b] {
            machine.ip(&format!("link set eth0 mtu {network}"));
        }
        let up = a.up();
        let joined = b.join(&a.invite(&[]));
        let found = await_mtu(&a, &joined, network);
        await_mtu(&b, &up, network);
        transfers((&a, &up), (&b, &joined));
        wait_until("the interface has grown", FOUND, || {
            let taken = a.status()["interface"]["mtu"].as_u64()?;
            (taken == found.max(1420)).then_some(())
        });
        for address in joined.addresses() {
            is_told(&a, address, found);
            long_datagrams(&a, &b, address);
        }
        transfers((&a, &up), (&b, &joined));
    }
}

/// A router between two machines that loses what is longer than this, and tells nobody.
fn swallows(underlay: Underlay, network: u16) {
    let internet = Internet::new();
    let [a, b] = ["a", "b"].map(|name| internet.public_on(name, underlay, None));
    internet.narrow(network);
    let up = a.up();
    let joined = b.join(&a.invite(&[]));
    // Before anybody has measured anything.
    transfers((&a, &up), (&b, &joined));
    let found = await_mtu(&a, &joined, network.into());
    transfers((&a, &up), (&b, &joined));
    for address in joined.addresses() {
        is_told(&a, address, found);
        long_datagrams(&a, &b, address);
    }
}

#[test]
fn a_router_that_swallows_what_is_long_is_found_out() {
    for underlay in [Underlay::V4, Underlay::V6] {
        swallows(underlay, 1400);
    }
}

/// Less than 1280 is left for packets.
#[test]
fn a_router_that_swallows_what_every_path_has_to_carry_is_found_out() {
    for (underlay, network) in [(Underlay::V4, 1300), (Underlay::V6, 1300), (Underlay::V6, 1280)] {
        swallows(underlay, network);
    }
}

#[test]
fn a_path_that_becomes_narrow_is_left_for_what_it_carries() {
    let internet = Internet::new();
    let [a, b] = ["a", "b"].map(|name| internet.public(name));
    let up = a.up();
    let joined = b.join(&a.invite(&[]));
    await_mtu(&a, &joined, 1500);
    await_mtu(&b, &up, 1500);
    internet.narrow(1400);
    transfers((&a, &up), (&b, &joined));
    await_mtu(&a, &joined, 1400);
}

#[test]
fn a_circuit_carries_what_its_narrowest_part_does() {
    for network in [1500, 1400, 1300] {
        let internet = Internet::new();
        let [a, b, c] = internet.anchors(["a", "b", "c"]);
        internet.cut(&a, &c);
        internet.narrow(network);
        let up = |machine: &Machine| {
            let status = machine.status();
            let address = |at: usize| status["node"]["addresses"][at].as_str()?.parse::<IpAddr>().ok();
            [address(0).expect("IPv4"), address(1).expect("IPv6")]
        };
        let (at_a, at_c) = (up(&a), up(&c));
        a.await_ping(at_c[0], FOUND);
        await_path(&a, "c", FOUND, PathKind::is_via);
        wait_until("the circuit is measured", FOUND, || {
            a.await_ping(at_c[0], DEADLINE);
            let carried = (u64::from(network) - 60 - 16).max(SHORTEST);
            mtu(&a, "c").filter(|mtu| *mtu <= carried && mtu + 8 > carried)
        });
        for (from, to, addresses) in [(&a, &c, at_c), (&c, &a, at_a)] {
            for address in addresses {
                hashed_transfer(from, to, address, 3_000_000);
            }
        }
        drop(b);
    }
}
