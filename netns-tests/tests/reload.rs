//! Another configuration for a node that runs: nothing is lost, what is wrong is refused, what cannot be taken waits.

use netns_tests::{DEADLINE, Lab, Machine, stop_ping, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

const PORT: u16 = 9469;

/// What the page of metrics says at the port, if anything.
fn scraped(machine: &Machine) -> Option<String> {
    let url = format!("http://127.0.0.1:{PORT}/metrics");
    let done = machine.run(&["curl", "--silent", "--max-time", "2", &url]);
    (done.code == Some(0)).then_some(done.stdout)
}

fn reload(machine: &Machine) -> Value {
    machine.json(&["reload"])
}

fn services(machine: &Machine) -> Vec<String> {
    let services = machine.json(&["services"])["services"].clone();
    let names = services.as_array().expect("a list").iter();
    names.filter_map(|service| Some(service["name"].as_str()?.to_owned())).collect()
}

#[test]
fn a_running_node_takes_another_configuration_and_loses_nothing() {
    let lab = Lab::new();
    let (a, up, b, joined) = lab.pair();
    let pid = a.pid();
    let pings = b.ping_on(up.v4.into(), 20);
    assert_eq!(reload(&a), json!({ "applied": [], "at_start": [], "at_joining": [] }));
    assert_eq!(scraped(&a), None);
    a.configure(&format!(
        "[listen]\nport = 4242\n[node]\nname = 'other'\n[log]\nlevel = 'debug'\n[metrics]\nlisten = '127.0.0.1:{PORT}'\n\
         [[service]]\nname = 'web'\nport = 80\n"
    ));
    let told = reload(&a);
    assert_eq!(told["applied"], json!(["log.level", "metrics.listen", "service"]));
    assert_eq!((&told["at_start"], &told["at_joining"]), (&json!(["listen.port"]), &json!(["node.name"])));
    let text = scraped(&a).expect("it is given now");
    assert!(text.contains("hopmesh_peer_sent_bytes_total{peer=\"b\"}"), "{text}");
    let printed = a.json(&["metrics"])["text"].clone();
    assert_eq!(printed.as_str().expect("a text").lines().count(), text.lines().count());
    wait_until("b hears of the service", DEADLINE, || services(&b).contains(&"web".to_owned()).then_some(()));
    let problems = a.status()["problems"].to_string();
    assert!(problems.contains("listen.port"), "{problems}");

    // What is wrong is said, and changes nothing.
    a.configure("[log]\nlevel = 'loud'\n");
    let refused = a.hopmesh(&["reload"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("stays as it was") && said.contains("line 2"), "{said}");
    assert!(scraped(&a).is_some() && services(&a).contains(&"web".to_owned()));

    // By the signal, back to nothing.
    a.configure("");
    a.signal(Signal::HUP);
    wait_until("the port is closed again", DEADLINE, || scraped(&a).is_none().then_some(()));
    wait_until("the service is gone", DEADLINE, || (!services(&b).contains(&"web".to_owned())).then_some(()));
    assert!(!a.status()["problems"].to_string().contains("listen.port"));

    a.must_ping(joined.v4.into());
    let pings = stop_ping(pings);
    assert_eq!((a.pid(), pings.lost().len()), (pid, 0));
}
