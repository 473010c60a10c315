//! A node that is removed is out everywhere, at once, for good, and is told.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use netns_tests::{DEADLINE, Lab, Machine, Up, peer, ping, stop_ping, wait_until};

/// The last packet of a revoked node passes within this.
const OUT: Duration = Duration::from_secs(5);

fn three(lab: &Lab) -> [(Machine, Up); 3] {
    let (a, b, c) = (lab.machine("a"), lab.machine("b"), lab.machine("c"));
    let founder = a.up();
    let second = b.join(&a.invite(&[]));
    let third = c.join(&a.invite(&[]));
    for address in [second.v4, founder.v4] {
        c.must_ping(address.into());
    }
    [(a, founder), (b, second), (c, third)]
}

/// Does the daemon of a revoked node say what happened: in its status, or in its last words if it has ended?
fn is_told(b: &Machine) {
    let told = wait_until("b says that it was revoked", OUT, || {
        if b.runs() {
            let problems = b.status()["problems"].to_string();
            problems.contains("revoked").then_some(problems)
        } else {
            Some(b.ended(DEADLINE).stderr)
        }
    });
    assert!(told.contains("revoked"), "{told}");
}

#[test]
fn a_revoked_node_is_out_within_seconds_and_cannot_return() {
    let lab = Lab::new();
    let [(a, founder), (b, second), (c, third)] = three(&lab);
    let flows = [b.ping_on(founder.v4.into(), 50), b.ping_on(third.v6.into(), 50)];
    for flow in &flows {
        let flowing = |text: &str| text.contains("icmp_seq=5").then_some(());
        assert!(flow.wait_stdout(OUT, flowing).is_some(), "no traffic: {}", flow.stdout());
    }
    let (start, since) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH));
    let revoked_s = since.expect("after 1970").as_secs_f64();
    assert_eq!(a.json(&["revoke", "b"])["ok"], true);
    for other in [&a, &c] {
        let what = format!("{} has b as revoked", other.name());
        wait_until(&what, OUT.saturating_sub(start.elapsed()), || {
            (peer(&other.status(), "b")["state"] == "revoked").then_some(())
        });
    }
    for from in [&a, &c] {
        assert_eq!(ping(from, second.v4.into(), 1).received, 0, "{} still reaches b", from.name());
    }
    is_told(&b);
    // For twice as long as it may take, nothing comes back; `ping` counts no packet that its own kernel refused.
    wait_until("enough silence to tell", OUT * 3, || (start.elapsed() > OUT * 2).then_some(()));
    for flow in flows {
        let last = stop_ping(flow).at_s.last().copied().expect("there was traffic");
        assert!(last < revoked_s + OUT.as_secs_f64(), "b was answered {} s after", last - revoked_s);
    }
    a.must_ping(third.v4.into());
    cannot_return(&a, &b, &c, founder.v4.into());
}

fn cannot_return(a: &Machine, b: &Machine, c: &Machine, to: IpAddr) {
    b.kill();
    // It may refuse to start, or start and say what is wrong; it never gets in.
    let mut again = b.launch(&[], &["up"], None);
    let up = again.wait_stdout(DEADLINE, |text| text.contains("\"addresses\"").then_some(()));
    if up.is_some() {
        assert_eq!(ping(b, to, 8).received, 0, "a revoked node returned");
        assert!(again.runs());
        let problems = b.status()["problems"].to_string();
        assert!(problems.contains("revoked"), "{problems}");
    } else {
        netns_tests::refused(again.done(DEADLINE), &["revoked", "leave|invite"]);
    }
    for other in [a, c] {
        assert_eq!(peer(&other.status(), "b")["state"], "revoked");
    }
}

#[test]
fn who_was_away_hears_of_it() {
    let lab = Lab::new();
    let [(a, _founder), (b, second), (c, third)] = three(&lab);
    c.stop();
    a.json(&["revoke", "b"]);
    c.up();
    a.must_ping(third.v4.into());
    wait_until("c has b as revoked", OUT, || (peer(&c.status(), "b")["state"] == "revoked").then_some(()));
    assert_eq!(ping(&c, second.v4.into(), 1).received, 0);
    // And remembers.
    c.kill();
    a.stop();
    c.up();
    assert_eq!(peer(&c.status(), "b")["state"], "revoked");
    assert_eq!(ping(&b, third.v4.into(), 4).received, 0);
}

fn epoch(machine: &Machine) -> Option<u64> {
    machine.status()["network"]["epoch"].as_u64()
}

#[test]
fn all_others_get_a_new_secret_and_who_was_down_gets_it_when_it_is_back() {
    let lab = Lab::new();
    let [(a, _), (b, _), (c, third)] = three(&lab);
    let d = lab.machine("d");
    let fourth = d.join(&a.invite(&[]));
    for to in [third.v4, fourth.v4] {
        a.must_ping(to.into());
    }
    assert_eq!([&a, &b, &c, &d].map(epoch), [Some(1); 4]);
    d.kill();
    b.kill();
    let start = Instant::now();
    assert_eq!(a.json(&["revoke", "b"])["ok"], true);
    for other in [&a, &c] {
        let what = format!("{} is in the second epoch", other.name());
        wait_until(&what, OUT.saturating_sub(start.elapsed()), || (epoch(other) == Some(2)).then_some(()));
    }
    // Who was revoked has not heard of it yet. It is told that it was, and gets no secret.
    b.up();
    is_told(&b);
    d.up();
    wait_until("d is in the second epoch", OUT, || (epoch(&d) == Some(2)).then_some(()));
    d.must_ping(third.v4.into());
    // What d says on the LAN opens to b no more.
    wait_until("b hears what it cannot read", DEADLINE, || {
        b.status()["drops"]["gate"].as_u64().filter(|count| *count > 0)
    });
    assert_eq!(epoch(&b), Some(1));
    // After a kill of all, all is as it was.
    for machine in [&a, &c, &d] {
        machine.kill();
    }
    for machine in [&a, &c, &d] {
        machine.up();
        assert_eq!(epoch(machine), Some(2), "{}", machine.name());
    }
    a.must_ping(fourth.v4.into());
}

#[test]
fn a_revoked_machine_joins_anew_as_another_node() {
    let lab = Lab::new();
    let [(a, founder), (b, second), _c] = three(&lab);
    a.json(&["revoke", "b"]);
    is_told(&b);
    b.kill();
    let left = b.hopmesh(&["leave", "--force"]);
    assert!(matches!(left.code, Some(0 | 1)), "{left:?}");
    b.wipe();
    let again = b.run_node(&["join", &a.invite(&[]), "--node-name", "b-again"]);
    assert_ne!(again.id, second.id);
    b.must_ping(founder.v4.into());
    a.must_ping(again.v4.into());
}

#[test]
fn what_cannot_be_revoked_is_refused() {
    let lab = Lab::new();
    let [(a, founder), ..] = three(&lab);
    a.refused(&["revoke", "nobody"], &["nobody|no node"]);
    a.refused(&["revoke", ""], &["node|name"]);
    // The only admin would lock everybody out for good.
    a.refused(&["revoke", "a"], &["admin|itself|leave"]);
    a.refused(&["leave"], &["admin", "--force"]);
    assert_eq!(a.status()["node"]["id"], founder.id);
    assert_eq!(a.json(&["leave", "--force"])["ok"], true);
    assert_eq!(a.ended(DEADLINE).code, Some(0));
}
