//! Paths over other nodes: where nothing else leads there, when a hop dies, and when it is evil.

use std::time::Duration;

use netns_tests::{
    Conduct, Internet, Machine, Mischief, NatKind, PathKind, Plan, Router, Up, await_path, hashed_transfer,
    ping, stop_ping,
};

/// A path over hops is found within this where no direct one is.
const FOUND: Duration = Duration::from_secs(20);
/// When a path dies silently another is in use after so long, in seconds.
const REPLACED_S: f64 = 3.0;
/// First bytes of the datagrams that a hop forwards.
const FORWARDED: [u8; 1] = [0xa7];

fn via(names: &[&str]) -> PathKind {
    PathKind::Via(names.iter().map(|name| (*name).to_owned()).collect())
}

fn hop(path: &PathKind) -> String {
    match path {
        PathKind::Via(hops) if hops.len() == 1 => hops[0].clone(),
        PathKind::Via(_) | PathKind::Direct(_) | PathKind::None => panic!("not over one hop: {path:?}"),
    }
}

/// Two machines that can never be direct, each behind a router of its own.
fn strangers(internet: &Internet, anchor: &Machine) -> ([Router; 2], [Machine; 2], [Up; 2]) {
    let plan = Plan::new(NatKind::SymRandom).wire(Conduct::delay_ms(10));
    let routers = [internet.home(plan.clone()), internet.home(plan)];
    let machines = [routers[0].machine("a"), routers[1].machine("b")];
    let ups = machines.each_ref().map(|machine| machine.join(&anchor.invite(&[])));
    (routers, machines, ups)
}

#[test]
fn a_line_of_four_in_which_only_neighbours_reach_each_other() {
    let internet = Internet::new();
    let line = internet.anchors(["a", "b", "c", "d"]);
    let addresses = line.each_ref().map(|machine| {
        let status = machine.status();
        status["node"]["addresses"][0].as_str().expect("an address").parse().expect("an address")
    });
    // The last one has only just joined: all know each other before cables are cut.
    for from in &line {
        for address in addresses {
            from.await_ping(address, FOUND);
        }
    }
    for (i, j) in [(0, 2), (0, 3), (1, 3)] {
        internet.cut(&line[i], &line[j]);
    }
    for again in [false, true] {
        if again {
            // What they know of before the cut must not be needed.
            for machine in &line {
                machine.kill();
            }
            for machine in &line {
                machine.up();
            }
        }
        let [a, b, c, d] = &line;
        for (from, to, address, hops) in [
            (a, "d", addresses[3], &["b", "c"][..]),
            (d, "a", addresses[0], &["c", "b"]),
            (a, "c", addresses[2], &["b"]),
            (d, "b", addresses[1], &["c"]),
        ] {
            from.await_ping(address, FOUND);
            await_path(from, to, FOUND, |path| *path == via(hops));
        }
        assert!(await_path(b, "c", FOUND, PathKind::is_direct).is_direct());
        hashed_transfer(a, d, addresses[3], 5_000_000);
        hashed_transfer(c, a, addresses[0], 5_000_000);
    }
}

#[test]
fn a_hop_that_dies_is_replaced() {
    // Killed, its cable pulled, and cut off from one of the two only: nobody is told in any of these.
    let ways: [fn(&Internet, &Machine, &Router); 3] =
        [|_, hop, _| hop.kill(), |_, hop, _| hop.unplug(), |internet, hop, router| internet.cut(hop, router)];
    for way in ways {
        let internet = Internet::new();
        let anchors = internet.anchors(["x", "y", "z"]);
        let (routers, [a, _b], [_, joined]) = strangers(&internet, &anchors[0]);
        a.await_ping(joined.v4.into(), FOUND);
        let used = hop(&await_path(&a, "b", FOUND, PathKind::is_via));
        let running = a.ping_on(joined.v4.into(), 20);
        let answers = |count| {
            let enough = |text: &str| (text.matches("bytes from").count() >= count).then_some(());
            let found = running.wait_stdout(Duration::from_secs(30), enough);
            assert!(found.is_some(), "no answers: {}", running.stdout());
        };
        answers(50);
        let dead = anchors.iter().find(|anchor| anchor.name() == used).expect("one of them");
        way(&internet, dead, &routers[1]);
        answers(150);
        await_path(&a, "b", FOUND, |path| path.is_via() && *path != via(&[&used]));
        let told = stop_ping(running);
        assert!(told.longest_gap_s() <= REPLACED_S, "stood still for {} s", told.longest_gap_s());
    }
}

#[test]
fn an_evil_hop_is_noticed_or_harmless() {
    let internet = Internet::new();
    let evil = internet.public_on("evil", netns_tests::Underlay::V4, Some(&Conduct::default()));
    evil.up();
    let (_routers, [a, b], [_, joined]) = strangers(&internet, &evil);
    a.await_ping(joined.v4.into(), FOUND);
    assert_eq!(hop(&await_path(&a, "b", FOUND, PathKind::is_via)), "evil");
    let meant = Mischief { kinds: FORWARDED.to_vec(), ..Mischief::default() };
    let with = |mischief| {
        evil.on_wire(|wire| wire.behave(Conduct { mischief: Some(mischief), ..Conduct::default() }));
    };
    let late = Duration::from_millis(20);
    for mischief in [
        Mischief { altered: 0.05, ..meant.clone() },
        Mischief { duplicated: 0.5, ..meant.clone() },
        Mischief { reordered: 0.2, late, ..meant.clone() },
        Mischief { dropped: 0.05, ..meant.clone() },
    ] {
        with(mischief);
        // Two megabytes: TCP is slow where one of twenty datagrams is lost.
        hashed_transfer(&a, &b, joined.v4.into(), 2_000_000);
    }
    let tally = evil.on_wire(netns_tests::Wire::tally);
    assert!(tally.altered > 0 && tally.duplicated > 0 && tally.reordered > 0, "{tally:?}");
    // It swallows everything that is not its own: an honest one takes over.
    with(Mischief::default());
    let honest = internet.public("honest");
    honest.join(&evil.invite(&[]));
    let running = a.ping_on(joined.v4.into(), 20);
    with(Mischief { dropped: 1.0, ..meant });
    await_path(&a, "b", FOUND, |path| *path == via(&["honest"]));
    let told = stop_ping(running);
    assert!(told.longest_gap_s() <= REPLACED_S, "stood still for {} s", told.longest_gap_s());
}

#[test]
fn a_greedy_pair_starves_nobody() {
    let internet = Internet::new();
    let [hop] = internet.anchors(["hop"]);
    let (_routers, [a, b], [_, joined]) = strangers(&internet, &hop);
    let plan = || Plan::new(NatKind::SymRandom);
    let greedy = [internet.home(plan()).machine("greedy1"), internet.home(plan()).machine("greedy2")];
    let ups = greedy.each_ref().map(|machine| machine.join(&hop.invite(&[])));
    a.await_ping(joined.v4.into(), FOUND);
    greedy[0].await_ping(ups[1].v4.into(), FOUND);
    for (from, to) in [(&a, "b"), (&greedy[0], "greedy2")] {
        await_path(from, to, FOUND, PathKind::is_via);
    }
    let target = ups[1].v4.to_string();
    let server = greedy[1].start(&["iperf3", "-s", "-1", "-B", &target, "--forceflush"]);
    let ready = |text: &str| text.contains("Server listening").then_some(());
    assert!(server.wait_stdout(FOUND, ready).is_some(), "{}", server.stderr());
    // A gigabit and a half, which no hop on a test machine forwards, until the test has seen enough.
    let flood = ["iperf3", "-c", &target, "-u", "-b", "1500M", "-l", "1200", "-t", "120", "--forceflush"];
    let flood = greedy[0].start(&flood);
    let flowing = |text: &str| text.contains("sec").then_some(());
    assert!(flood.wait_stdout(FOUND, flowing).is_some(), "{}{}", flood.stdout(), flood.stderr());
    let calm = ping(&a, joined.v4.into(), 40);
    assert!(calm.received >= 36, "a and b lose what they say: {}", calm.text);
    hashed_transfer(&a, &b, joined.v4.into(), 1_000_000);
}

#[test]
fn a_machine_without_udp_talks_over_an_anchor() {
    let internet = Internet::new();
    let anchors = internet.anchors(["x", "y", "z"]);
    let (a, b) = {
        let plan = |kind| Plan::new(kind).wire(Conduct::delay_ms(10));
        let blocked = internet.home(plan(NatKind::UdpBlocked));
        (blocked.machine("a"), internet.home(plan(NatKind::PortRestricted)).machine("b"))
    };
    let joined = b.join(&anchors[0].invite(&[]));
    let up = a.join(&anchors[0].invite(&[]));
    a.await_ping(joined.v4.into(), FOUND);
    b.await_ping(up.v4.into(), FOUND);
    await_path(&a, "b", FOUND, PathKind::is_via);
    hashed_transfer(&a, &b, joined.v4.into(), 5_000_000);
}
