//! Invites that are no good, and invites that are asked too much of.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netns_tests::{DEADLINE, Done, Lab, Machine, refused, wait_until};

#[test]
fn what_is_no_invite_is_refused() {
    let lab = Lab::new();
    let b = lab.machine("b");
    let long = "a".repeat(100_000);
    for text in
        ["", " ", "garbage", "hopmesh1", "hopmesh1!", "hopmesh9abc", "münchen", "../../etc/passwd", &long]
    {
        b.refused(&["join", text], &["invite"]);
    }
    for input in [&b""[..], b"\n", b"nothing\n", &[0xff; 64], &[0; 5000]] {
        refused(b.launch(&[], &["join", "-"], Some(input)).done(DEADLINE), &["invite"]);
    }
}

#[test]
fn a_damaged_invite_is_refused_and_the_whole_one_still_works() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    let founder = a.up();
    let invite = a.invite(&[]);
    for end in 0..invite.len() {
        b.refused(&["join", &invite[..end]], &["invite"]);
    }
    for at in 0..invite.len() {
        let mut letters = invite.clone().into_bytes();
        letters[at] = if letters[at] == b'a' { b'b' } else { b'a' };
        b.refused(&["join", std::str::from_utf8(&letters).expect("ASCII")], &["invite"]);
    }
    b.refused(&["join", &format!("{invite}{invite}")], &["invite"]);
    // From standard input, with the line's end that `echo` and editors add.
    let joined = b.adopt(b.launch(&[], &["join", "-"], Some(format!("{invite}\n").as_bytes())));
    assert_eq!(joined.network, founder.network);
    b.must_ping(founder.v4.into());
}

#[test]
fn an_invite_works_once() {
    let lab = Lab::new();
    let (a, b, c) = (lab.machine("a"), lab.machine("b"), lab.machine("c"));
    let founder = a.up();
    let invite = a.invite(&[]);
    let joiner = b.join(&invite);
    c.refused(&["join", &invite], &["used", "hopmesh invite|new invite|new one"]);
    // The issuer remembers also after a crash.
    a.kill();
    a.up();
    c.refused(&["join", &invite], &["used"]);
    b.must_ping(founder.v4.into());
    // Who is in already is told so, and stays.
    b.stop();
    b.refused(&["join", &a.invite(&[])], &["already", "member"]);
    assert_eq!(b.up().id, joiner.id);
}

#[test]
fn an_expired_invite_is_refused() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    a.up();
    let made = a.json(&["invite", "--expires", "1s"]);
    let expires = UNIX_EPOCH + Duration::from_secs(made["expires_unix"].as_u64().expect("a number"));
    wait_until("the invite is over", Duration::from_secs(5), || {
        (SystemTime::now() > expires + Duration::from_secs(1)).then_some(())
    });
    b.refused(&["join", made["invite"].as_str().expect("text")], &["expired"]);
    for span in ["0s", "-1h", "soon", "1", "99999999999999999999h"] {
        a.refused(&["invite", &format!("--expires={span}")], &["expires|duration|time"]);
    }
}

#[test]
fn an_invite_of_another_network_is_refused() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    let first = a.up();
    let old = a.invite(&[]);
    a.stop();
    a.wipe();
    // The same machine, address and port, but it founds another network now.
    let second = a.up();
    assert_ne!(first.network, second.network);
    b.refused(&["join", &old], &["invite|network"]);
    // And a member of one network does not become one of another.
    let other = lab.machine("other");
    let founded = other.up();
    b.join(&a.invite(&[]));
    b.stop();
    b.refused(&["join", &other.invite(&[])], &["member|network"]);
    assert_eq!(b.up().network, second.network);
    assert_ne!(founded.network, second.network);
}

#[test]
fn an_issuer_that_is_away_is_named() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    a.up();
    let invite = a.invite(&[]);
    a.stop();
    b.refused(&["join", &invite], &["answer|reach", "192.0.2.1|2001:db8::1|run|up"]);
    // It was not used, so it is still good.
    a.up();
    b.join(&invite);
}

#[test]
fn of_two_joiners_at_the_same_instant_one_gets_in() {
    let lab = Lab::new();
    let (a, b, c) = (lab.machine("a"), lab.machine("b"), lab.machine("c"));
    let founder = a.up();
    for round in 0..5 {
        let invite = a.invite(&[]);
        let names = ["b", "c"].map(|name| format!("{name}{round}"));
        let start = |machine: &Machine, name: &str| {
            machine.launch(&[], &["join", &invite, "--node-name", name], None)
        };
        let runs = [start(&b, &names[0]), start(&c, &names[1])];
        let is_up = |text: &str| text.contains("\"addresses\"").then_some(());
        let up = [0, 1].map(|i| runs[i].wait_stdout(DEADLINE, is_up).is_some());
        assert!(up[0] != up[1], "round {round}: {up:?} got in: {} {}", runs[0].stderr(), runs[1].stderr());
        for (i, run) in runs.into_iter().enumerate() {
            if !up[i] {
                refused(run.done(DEADLINE), &["used"]);
            }
        }
        let status = a.status();
        let known =
            |name: &str| status["peers"].as_array().expect("a list").iter().any(|peer| peer["name"] == name);
        assert_eq!([known(&names[0]), known(&names[1])], up, "round {round}");
        // The loser has lost nothing but the race.
        let (loser, name) = if up[0] { (&c, &names[1]) } else { (&b, &names[0]) };
        let again = loser.run_node(&["join", &a.invite(&[]), "--node-name", name]);
        loser.must_ping(founder.v4.into());
        assert_eq!(again.network, founder.network);
        loser.kill();
        b.wipe();
        c.wipe();
    }
}

#[test]
fn a_name_must_be_a_free_dns_label() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    let long = "a".repeat(64);
    let bad =
        ["", "-a", "a-", "a b", "a_b", "a.b", "é", "a/b", "..", "localhost", &long, "a\n", "\u{1b}[31m"];
    for name in bad {
        printable(&a.refused(&["up", &format!("--node-name={name}")], &["name"]));
    }
    a.up();
    for name in bad {
        printable(&a.refused(&["invite", &format!("--node-name={name}")], &["name"]));
    }
    let invite = a.invite(&[]);
    b.refused(&["join", &invite, "--node-name", "not a name"], &["name"]);
    // Asked for outright, a name that is taken is refused; case makes no other name.
    b.refused(&["join", &invite, "--node-name", "a"], &["name", "taken|already|use"]);
    b.refused(&["join", &invite, "--node-name", "A"], &["name", "taken|already|use"]);
    a.refused(&["invite", "--node-name", "a"], &["name", "taken|already|use"]);
    // The invite was not used up by that.
    assert_eq!(b.join(&invite).name, "b");
}

/// What came in on the command line goes out without control characters.
fn printable(done: &Done) {
    let bad = done.stderr.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(bad, None, "{:?}", done.stderr);
}

#[test]
fn an_invite_gives_the_name_address_and_role_it_says() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    let founder = a.up();
    let mut wanted = founder.v4.octets();
    wanted[3] = if wanted[3] == 77 { 78 } else { 77 };
    let wanted = std::net::Ipv4Addr::from(wanted);
    let text = wanted.to_string();
    let invite = a.invite(&["--node-name", "guest-room", "--address", &text, "--role", "admin"]);
    let joined = b.run_node(&["join", &invite]);
    assert_eq!((joined.name.as_str(), joined.v4), ("guest-room", wanted));
    assert!(b.status()["node"]["roles"].as_array().expect("a list").contains(&"admin".into()));
    a.must_ping(wanted.into());
    // An admin made by invite does what an admin does.
    let c = lab.machine("c");
    let third = c.join(&b.invite(&[]));
    c.must_ping(founder.v4.into());
    a.must_ping(third.v6.into());
    a.refused(&["invite", "--role", "king"], &["role|king"]);
}
