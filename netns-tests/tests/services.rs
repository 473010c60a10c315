//! Services by the command line: published on one machine, found on all, watched, checked, and gone when they should be.

use std::time::{Duration, Instant};

use netns_tests::{DEADLINE, Lab, Machine, Process, Up, wait_until};
use serde_json::Value;

/// From the moment when a service dies to its leaving the answers: what is promised, and this machine's slowness.
const UNHEALTHY: Duration = Duration::from_secs(15 + 15);

/// Machines a, b and c, one network.
fn three(lab: &Lab) -> [(Machine, Up); 3] {
    let a = lab.machine("a");
    let up = a.up();
    let [b, c] = ["b", "c"].map(|name| {
        let machine = lab.machine(name);
        let up = machine.join(&a.invite(&[]));
        (machine, up)
    });
    [(a, up), b, c]
}

/// The lines of `resolve NAME`, as JSON; `None` when it fails.
fn resolve(machine: &Machine, arguments: &[&str]) -> Option<Vec<Value>> {
    let done = machine.hopmesh(&[&["resolve"], arguments].concat());
    let answer: Value = serde_json::from_str(&done.stdout).expect("JSON, whatever the end");
    (done.code == Some(0)).then(|| answer["instances"].as_array().expect("a list").clone())
}

/// Waits until `machine` finds so many instances.
fn await_instances(machine: &Machine, arguments: &[&str], count: usize, patience: Duration) -> Vec<Value> {
    let what = format!("{} finds {count} of {arguments:?}", machine.name());
    wait_until(&what, patience, || {
        Some(resolve(machine, arguments).unwrap_or_default()).filter(|found| found.len() == count)
    })
}

fn error_of(machine: &Machine, arguments: &[&str]) -> String {
    let done = machine.hopmesh(arguments);
    assert_eq!(done.code, Some(1), "{done:?}");
    done.stderr
}

/// A web server at every address of a machine; it answers as soon as this returns.
fn serve(machine: &Machine, port: &str) -> Process {
    let server = machine.start(&["python3", "-u", "-m", "http.server", port, "--bind", "0.0.0.0"]);
    server.wait_stdout(DEADLINE, |text| text.contains("Serving HTTP").then_some(())).expect("it serves");
    server
}

/// A line of `watch --json`.
fn changes(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits until `watch` has told a change of this kind on a node, with this health.
fn told(watch: &Process, change: &str, node: &str, healthy: bool, patience: Duration) {
    let wanted = |value: &Value| {
        let instance = &value["instance"];
        value["change"] == change && instance["node"] == node && instance["healthy"] == healthy
    };
    let found = watch.wait_stdout(patience, |text| changes(text).iter().any(wanted).then_some(()));
    assert!(found.is_some(), "no {change} of {node}, healthy {healthy}, in\n{}", watch.stdout());
}

#[test]
fn published_on_one_machine_and_found_on_all() {
    let lab = Lab::new();
    let [(a, at_a), (b, at_b), (c, _)] = three(&lab);
    let watch = c.launch(&[], &["watch", "web"], None);
    let present = |text: &str| text.contains("\"present\"").then_some(());
    watch.wait_stdout(DEADLINE, present).expect("an empty network is told at once");

    let said = a.json(&["publish", "web", "--port", "8080", "--label", "zone=eu", "--with", "b"]);
    assert_eq!(said["addresses"][0], format!("{}:8080", at_a.v4));
    told(&watch, "added", "a", true, DEADLINE);
    wait_until("b may publish under the name", DEADLINE, || {
        let done = b.hopmesh(&["publish", "web", "--port", "8081", "--version", "2"]);
        (done.code == Some(0)).then_some(())
    });
    told(&watch, "added", "b", true, DEADLINE);
    let found = await_instances(&c, &["web"], 2, DEADLINE);
    let nodes: Vec<_> = found.iter().map(|instance| instance["node"].as_str().expect("a name")).collect();
    assert!(nodes.contains(&"a") && nodes.contains(&"b"), "{nodes:?}");
    let [only] = &await_instances(&c, &["web", "--label", "zone=eu"], 1, DEADLINE)[..] else {
        unreachable!()
    };
    assert_eq!((&only["node"], &only["port"], &only["version"]), (&"a".into(), &8080.into(), &Value::Null));
    assert_eq!(only["addresses"][0], at_a.v4.to_string());
    let [only] = &await_instances(&c, &["web", "--version", "2"], 1, DEADLINE)[..] else { unreachable!() };
    assert_eq!(only["addresses"][1], at_b.v6.to_string());
    let [nearest, _] = &await_instances(&b, &["web", "--nearest"], 2, DEADLINE)[..] else { unreachable!() };
    assert_eq!((&nearest["node"], &nearest["rtt_ms"]), (&"b".into(), &0.0.into()), "oneself is nearest");

    let services = c.json(&["services"]);
    assert_eq!(services["services"][0]["owner"], "a");
    let delegated = a.json(&["delegate", "c", "mail"]);
    assert_eq!(delegated["services"][0], "mail");
    // Not before c knows what others hold: it has just started. Until then b could claim the name, and would wait for it.
    wait_until("c publishes what is delegated to it", DEADLINE, || {
        let done = c.hopmesh(&["publish", "mail", "--port", "25"]);
        (done.code == Some(0)).then_some(())
    });
    await_instances(&b, &["mail"], 1, DEADLINE);
    let refusal = error_of(&b, &["publish", "mail", "--port", "25"]);
    assert!(refusal.contains("mail belongs to c: "), "what is delegated is nobody else's: {refusal}");
    let _ = c.json(&["unpublish", "mail"]);
    let refusal = error_of(&c, &["publish", "web", "--port", "1"]);
    assert!(refusal.contains("web belongs to a: "), "{refusal}");
    assert!(error_of(&c, &["resolve", "nothing"]).contains("no service is called nothing"));
    let none = error_of(&c, &["resolve", "web", "--label", "zone=mars"]);
    assert!(none.contains("none of the 2 instances of web"), "{none}");
    assert!(error_of(&c, &["unpublish", "web"]).contains("this machine publishes no web"));

    assert_eq!(a.json(&["unpublish", "web"])["withdrawn"], 1);
    told(&watch, "removed", "a", true, DEADLINE);
    let [left] = &await_instances(&c, &["web"], 1, DEADLINE)[..] else { unreachable!() };
    assert_eq!(left["node"], "b", "who shares a name stays");
}

#[test]
fn who_fails_its_check_leaves_the_answers_and_comes_back() {
    let lab = Lab::new();
    let [(a, _), (b, _), (c, _)] = three(&lab);
    let watch = c.launch(&[], &["watch"], None);
    let _ = b.json(&["publish", "plain", "--port", "9"]);
    let server = serve(&a, "8080");
    let _ = a.json(&["publish", "web", "--port", "8080", "--health", "http:/"]);
    let _ = a.json(&["publish", "lost", "--port", "8080", "--health", "http:/not-there"]);
    await_instances(&b, &["web"], 1, DEADLINE);
    assert!(
        server.stderr().contains("GET / HTTP/1.1\" 200"),
        "a name leads to what was seen well: {}",
        server.stderr()
    );
    wait_until("404 is no health", DEADLINE, || {
        error_of(&b, &["resolve", "lost"]).contains("lost has no healthy instance").then_some(())
    });

    let stopped = Instant::now();
    drop(server);
    told(&watch, "changed", "a", false, UNHEALTHY);
    let took = stopped.elapsed();
    wait_until("b is told as well", DEADLINE, || resolve(&b, &["web"]).is_none().then_some(()));
    eprintln!("unhealthy everywhere after {took:?}");
    assert_eq!(resolve(&b, &["plain"]).map(|found| found.len()), Some(1), "another's health is its own");

    let _again = serve(&a, "8080");
    await_instances(&c, &["web"], 1, UNHEALTHY);
}

#[test]
fn a_crash_is_forgotten_and_a_restart_is_not() {
    let lab = Lab::new();
    let [(a, _), (b, _), (c, _)] = three(&lab);
    let _ = a.json(&["publish", "web", "--port", "8080", "--ttl", "10s"]);
    await_instances(&b, &["web"], 1, DEADLINE);
    await_instances(&c, &["web"], 1, DEADLINE);

    a.kill();
    let killed = Instant::now();
    let patience = Duration::from_secs(10) + DEADLINE;
    wait_until("the instance is forgotten", patience, || resolve(&b, &["web"]).is_none().then_some(()));
    eprintln!("forgotten after {:?} with a time to live of 10 s", killed.elapsed());
    assert!(error_of(&b, &["resolve", "web"]).contains("web has no instance now"), "its name stays");

    let _ = a.up();
    await_instances(&b, &["web"], 1, DEADLINE);
    await_instances(&c, &["web"], 1, DEADLINE);
    let owner = || a.json(&["services"])["services"][0]["owner"].as_str().map(str::to_owned);
    assert_eq!(wait_until("a has its name again", DEADLINE, owner), "a");
}

#[test]
fn the_configuration_declares_services_for_as_long_as_it_does() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    a.configure(
        "[[service]]\nname = 'web'\nport = 8080\nversion = '2'\nlabels = { zone = 'eu' }\nwith = ['b']\n",
    );
    let up = a.up();
    let problem = &a.status()["problems"][0];
    assert!(
        problem.as_str().is_some_and(|text| text.contains("Service web of the configuration")),
        "{problem}"
    );
    b.join(&a.invite(&[]));
    a.stop();
    // By now a knows whom b is.
    a.up();
    let [web] = &await_instances(&b, &["web", "--version", "2", "--label", "zone=eu"], 1, DEADLINE)[..]
    else {
        unreachable!()
    };
    assert_eq!(web["addresses"][0], up.v4.to_string());
    assert_eq!(a.status()["problems"], serde_json::json!([]));
    let _ = a.json(&["publish", "run-time", "--port", "9"]);
    await_instances(&b, &["run-time"], 1, DEADLINE);

    a.stop();
    a.configure("");
    a.up();
    await_instances(&b, &["run-time"], 1, DEADLINE);
    wait_until("what is declared no more is gone", DEADLINE, || {
        resolve(&b, &["web"]).is_none().then_some(())
    });

    a.stop();
    a.configure("[[service]]\nname = 'run-time'\nport = 10\n");
    a.up();
    wait_until("the configuration has the last word", DEADLINE, || {
        resolve(&b, &["run-time"])?.first().filter(|found| found["port"] == 10).map(|_| ())
    });
    let gone = a.json(&["unpublish", "run-time"]);
    assert_eq!((&gone["withdrawn"], &gone["declared"]), (&1.into(), &true.into()));
}
