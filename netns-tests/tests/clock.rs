//! Wall clocks that jump: sessions, leases and what is on the disk do not depend on them, and a wrong one is named.

use netns_tests::{DEADLINE, Done, Lab, Machine, OwnClock, Up, peer, stop_ping, wait_until};
use serde_json::Value;

/// Keys change soon, so that handshakes are made while the clock is wrong.
const CONFIGURATION: &str = "[session]\nrekey_after_s = 2\n\n[dht]\nenabled = false\n";

/// A machine with a clock of its own, that founded the network, and one whose clock is right.
fn pair(lab: &Lab) -> (Machine, OwnClock, Up, Machine, Up) {
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    [&a, &b].into_iter().for_each(|machine| machine.configure(CONFIGURATION));
    let clock = OwnClock::new(&a);
    let up = starts(&a, &clock);
    let joined = b.join(&a.invite(&[]));
    a.must_ping(joined.v4.into());
    b.must_ping(up.v6.into());
    (a, clock, up, b, joined)
}

/// `hopmesh` with the machine's own clock.
fn hopmesh(machine: &Machine, clock: &OwnClock, args: &[&str]) -> Done {
    machine.launch(&clock.wrap().each_ref().map(String::as_str), args, None).done(DEADLINE)
}

fn starts(machine: &Machine, clock: &OwnClock) -> Up {
    let args = ["up", "--node-name", machine.name()];
    machine.adopt(machine.launch(&clock.wrap().each_ref().map(String::as_str), &args, None))
}

fn problems(machine: &Machine) -> String {
    machine.status()["problems"].to_string()
}

/// What the check called `clock` says at a machine.
fn judged(machine: &Machine, clock: &OwnClock) -> Value {
    let done = hopmesh(machine, clock, &["doctor"]);
    let said: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    let checks = said["checks"].as_array().expect("`doctor --json` has `checks`");
    checks.iter().find(|check| check["check"] == "clock").expect("it is always made").clone()
}

/// Waits until both ends have changed keys so many times.
fn rekeys(a: &Machine, times: u32) {
    let (mut seen, mut age) = (0, f64::MAX);
    wait_until("keys have changed", DEADLINE, || {
        let now = peer(&a.status(), "b")["last_handshake_s"].as_f64().expect("a session is there");
        seen += u32::from(now < age && age < f64::MAX);
        age = now;
        (seen >= times).then_some(())
    });
}

#[test]
fn an_hour_to_and_fro_loses_no_packet() {
    let lab = Lab::new();
    let (a, clock, up, b, joined) = pair(&lab);
    let running = [(&a, &joined), (&b, &up)].map(|(from, to)| from.ping_on(to.v4.into(), 20));
    // The second is one of two hours.
    for offset in ["+1h", "-1h", "+0"] {
        clock.set(offset);
        rekeys(&a, 1);
    }
    for ping in running.map(stop_ping) {
        assert!(ping.sent > 100, "only {} pings", ping.sent);
        assert_eq!(ping.lost(), [0; 0], "{:?} {:?}", a.status()["drops"], b.status()["drops"]);
    }
    assert_eq!([problems(&a), problems(&b)], ["[]", "[]"]);
    assert_eq!(a.status()["node"]["id"], up.id);
}

#[test]
fn a_clock_50_years_back_is_named_and_ends_nothing() {
    let lab = Lab::new();
    let (a, clock, up, b, joined) = pair(&lab);
    let running = a.ping_on(joined.v4.into(), 20);
    clock.set("-50y");
    wait_until("a says that its clock is wrong", DEADLINE, || {
        problems(&a).contains("before the date of its own credentials").then_some(())
    });
    let said = judged(&a, &clock);
    assert!(
        said["outcome"] == "failed" && said["reason"].as_str().is_some_and(|text| text.contains("years")),
        "{said}"
    );
    let refused = hopmesh(&a, &clock, &["invite"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("set the clock"), "{refused:?}");
    // A handshake has been refused by now, and b tells why.
    wait_until("b says whose clock it is", DEADLINE, || {
        problems(&b).contains("50 years behind this machine").then_some(())
    });
    clock.set("+0");
    rekeys(&a, 1);
    let ping = stop_ping(running);
    assert!(ping.sent > 100 && ping.lost().is_empty(), "{:?} of {}", ping.lost(), ping.sent);
    wait_until("all is well again", DEADLINE, || {
        (problems(&a) == "[]" && problems(&b) == "[]").then_some(())
    });
    assert_eq!(a.status()["node"]["id"], up.id);
    let c = lab.machine("c");
    c.configure(CONFIGURATION);
    let third = c.join(&a.invite(&[]));
    a.must_ping(third.v4.into());
}

#[test]
fn a_start_with_a_clock_50_years_back_loses_nothing() {
    let lab = Lab::new();
    let (a, clock, up, b, joined) = pair(&lab);
    let _ = a.json(&["publish", "web", "--port", "80"]);
    let port = |port: u16| {
        wait_until("b finds web", DEADLINE, || {
            let found = b.hopmesh(&["resolve", "web"]);
            (found.code == Some(0) && found.stdout.contains(&format!("\"port\":{port}"))).then_some(())
        });
    };
    port(80);
    a.stop();
    clock.set("-50y");
    let again = starts(&a, &clock);
    assert_eq!((&again.id, again.addresses()), (&up.id, up.addresses()));
    wait_until("a says that its clock is wrong", DEADLINE, || {
        problems(&a).contains("before the date of its own credentials").then_some(())
    });
    // Signed while the clock is wrong, and later than what b knows all the same.
    let _ = a.json(&["publish", "web", "--port", "81"]);
    let said = judged(&a, &clock);
    assert_eq!(said["outcome"], "failed", "{said}");
    clock.set("+0");
    a.await_ping(joined.v4.into(), DEADLINE);
    b.await_ping(up.v6.into(), DEADLINE);
    port(81);
    wait_until("all is well again", DEADLINE, || {
        (problems(&a) == "[]" && problems(&b) == "[]").then_some(())
    });
}
