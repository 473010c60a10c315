//! Names by DNS, asked of the real daemon: machines and services, at the mesh address and at the loopback one.

use netns_tests::{DEADLINE, Lab, Machine, OwnEtc, wait_until};

/// What `dig` says is there.
fn dig(machine: &Machine, server: &str, name: &str, kind: &str) -> Vec<String> {
    let at = format!("@{server}");
    let done = machine.run(&["dig", "+short", "+time=1", "+tries=1", &at, name, kind]);
    done.stdout.lines().filter(|line| !line.starts_with(';')).map(str::to_owned).collect()
}

#[test]
fn machines_and_services_have_names() {
    let lab = Lab::new();
    let (a, up, b, joined) = lab.pair();
    let own = up.v4.to_string();
    for (name, kind, answer) in [
        ("b.home.internal", "A", joined.v4.to_string()),
        ("b.home.internal", "AAAA", joined.v6.to_string()),
        ("a.home.internal", "A", own.clone()),
    ] {
        wait_until(&format!("a answers {name} {kind}"), DEADLINE, || {
            (dig(&a, &own, name, kind) == std::slice::from_ref(&answer)).then_some(())
        });
    }
    let names = &a.status()["names"];
    assert_eq!(names["domain"], "home.internal");
    let listen: Vec<&str> =
        names["listen"].as_array().expect("a list").iter().filter_map(|text| text.as_str()).collect();
    let loopback = listen.iter().find_map(|text| text.strip_prefix("127.")?.strip_suffix(":53"));
    let loopback = format!("127.{}", loopback.expect("a loopback address of the network's own"));
    assert_eq!(dig(&a, &loopback, "b.home.internal", "A"), [joined.v4.to_string()]);

    let _ = b.json(&["publish", "web", "--port", "8080"]);
    wait_until("a answers web", DEADLINE, || {
        (dig(&a, &own, "web.home.internal", "A") == [joined.v4.to_string()]).then_some(())
    });
    let service = dig(&a, &own, "_web._tcp.home.internal", "SRV");
    assert!(service.iter().any(|line| line.contains(" 8080 ")), "{service:?}");
    let _ = b.json(&["unpublish", "web"]);
    wait_until("web is withdrawn", DEADLINE, || {
        dig(&a, &own, "web.home.internal", "A").is_empty().then_some(())
    });

    a.stop();
    a.configure("[dns]\nsuffix = 'mesh.example'\nlisten = ['127.0.0.1:5353']\n");
    a.up();
    let done = a.run(&["dig", "+short", "@127.0.0.1", "-p", "5353", "b.home.mesh.example", "A"]);
    assert_eq!(done.stdout.trim(), joined.v4.to_string(), "{done:?}");
    a.stop();
    a.configure("[dns]\nenabled = false\n");
    a.up();
    assert_eq!(a.status()["names"], serde_json::Value::Null);
}

#[test]
fn the_host_asks_for_names_and_is_left_as_it_was() {
    const BEFORE: &str = "nameserver 192.0.2.53\n";
    let lab = Lab::new();
    let a = lab.machine("a");
    let etc = OwnEtc::new(&a, BEFORE);
    let (wrap, resolv) = (etc.wrap(), || etc.resolv_conf());

    a.adopt(a.launch(&wrap, &["up", "--node-name", "a"], None));
    assert!(resolv().contains("nameserver 127.77."), "{}", resolv());
    assert!(resolv().ends_with(BEFORE), "who was asked before is asked still: {}", resolv());
    let host = a.status()["names"]["host"].as_str().map(str::to_owned);
    assert!(
        host.as_deref().is_some_and(|host| host.contains("are resolved by /etc/resolv.conf")),
        "{host:?}"
    );
    a.stop();
    assert_eq!(resolv(), BEFORE);

    a.adopt(a.launch(&wrap, &["up", "--node-name", "a"], None));
    a.kill();
    assert_ne!(resolv(), BEFORE, "nobody was there to undo it");
    let _ = a.launch(&wrap, &["restore-host"], None).done(DEADLINE).ok();
    assert_eq!(resolv(), BEFORE);
}
