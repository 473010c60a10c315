//! `publish`, `unpublish`, `services`, `resolve`, `watch`: for programs and for people.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use overlay::{Instance, Publication, Sharing, Title, Zone, ZoneNode, ZoneService};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use wire::NodeId;
use wire::service::Protocol;

use super::FakeDaemon;
use crate::control::{Command, Refusal, RefusalKind, Reply, Targets, Watching};

fn node(number: u8) -> NodeId {
    NodeId([number; NodeId::LENGTH])
}

fn instance(name: &str, number: u8, version: &str, round_trip_ms: Option<u64>) -> Instance {
    Instance {
        node: node(number),
        node_name: name.parse().unwrap(),
        v4: Ipv4Addr::new(10, 7, 0, number),
        v6: Ipv6Addr::new(0xfd12, 0, 0, 0, 0, 0, 0, number.into()),
        version: Some(version.parse().unwrap()),
        protocol: Protocol::Tcp,
        port: 8080,
        labels: BTreeMap::from([("zone".to_owned(), format!("z{number}"))]),
        is_healthy: true,
        round_trip: round_trip_ms.map(Duration::from_millis),
        ttl_s: 60,
    }
}

/// Three instances of `web`, of which one is ill; `db` has a name and no instance, and its owner is no member.
pub(in crate::cli) fn zone() -> Zone {
    let mut zone = Zone::empty("home".parse().unwrap(), node(1));
    zone.nodes.insert(
        "a".parse().unwrap(),
        ZoneNode { node: node(1), v4: Ipv4Addr::new(10, 7, 0, 1), v6: Ipv6Addr::LOCALHOST },
    );
    let ill = Instance { is_healthy: false, ..instance("d", 4, "2", None) };
    let instances = vec![
        instance("c", 3, "2", Some(12)),
        instance("b", 2, "2", Some(1)),
        instance("a", 1, "1", Some(0)),
        ill,
    ];
    let web = ZoneService { owner: node(1), title: Title::Confirmed, instances };
    let db = ZoneService { owner: node(9), title: Title::Claimed, instances: vec![] };
    zone.services.extend([("web".parse().unwrap(), web), ("db".parse().unwrap(), db)]);
    zone
}

/// A daemon that knows nothing but names.
fn daemon(zone: impl Fn() -> Zone + Send + 'static) -> FakeDaemon {
    FakeDaemon::new(move |command| {
        if command == Command::Services {
            return Ok(Reply::Services(Arc::new(zone()), Targets::new()));
        }
        assert_eq!(command, Command::Zone);
        Ok(Reply::Zone(Arc::new(zone())))
    })
}

fn json_of(name: &str, number: u8, version: &str, rtt_ms: Value) -> Value {
    json!({
        "node": name, "id": node(number).to_string(), "version": version, "protocol": "tcp", "port": 8080,
        "addresses": [format!("10.7.0.{number}"), format!("fd12::{number}")],
        "labels": { "zone": format!("z{number}") }, "healthy": true, "rtt_ms": rtt_ms, "ttl_s": 60,
    })
}

#[test]
fn services_is_a_table_of_names_and_versions() {
    let daemon = daemon(zone);
    let golden = "\
NAME  VERSION  HEALTHY  OWNER      NEAREST        ON  RTT
db    -        0/0      no member  -              -   -
web   1        1/1      a          10.7.0.1:8080  a   0.00 ms
web   2        2/3      a          10.7.0.2:8080  b   1.0 ms
";
    let done = daemon.run(&["services"]);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, golden, ""));
    let mut ill = json_of("d", 4, "2", json!(null));
    ill["healthy"] = json!(false);
    assert_eq!(
        daemon.run(&["services", "--json"]).json(),
        json!({ "services": [
            { "name": "db", "owner": null, "owner_id": node(9).to_string(), "title": "claimed", "instances": [] },
            { "name": "web", "owner": "a", "owner_id": node(1).to_string(), "title": "confirmed", "instances": [
                json_of("c", 3, "2", json!(12.0)), json_of("b", 2, "2", json!(1.0)),
                json_of("a", 1, "1", json!(0.0)), ill,
            ] },
        ] })
    );
}

#[test]
fn only_our_own_instance_has_a_target() {
    let daemon = FakeDaemon::new(|_| {
        let version = |text: &str| Some(text.parse().unwrap());
        let web: wire::Name = "web".parse().unwrap();
        // Of version 2 all instances are others'.
        let targets = [((web.clone(), version("1")), "printer:80"), ((web, version("2")), "nas:80")];
        let targets = targets.map(|(ours, target)| (ours, target.parse().unwrap()));
        Ok(Reply::Services(Arc::new(zone()), Targets::from(targets)))
    });
    let out = daemon.run(&["services"]).out;
    assert!(out.ends_with("  1.0 ms\nweb 1 of this machine is passed on to printer:80\n"), "{out}");
    let services = daemon.run(&["services", "--json"]).json();
    let instances = services["services"][1]["instances"].as_array().unwrap();
    let targets: Vec<_> = instances.iter().map(|instance| instance.get("to").cloned()).collect();
    assert_eq!(targets, [None, None, Some(json!("printer:80")), None]);
}

/// A zone that knows a quarter of key space.
fn quarter() -> Zone {
    Zone { known: wire::Part::around(wire::Position::of_name("web"), 2), ..zone() }
}

#[test]
fn services_says_when_it_knows_only_a_part() {
    let done = daemon(quarter).run(&["services"]);
    let last = "this node holds 1/4 of the services, and what was asked for lately: `hopmesh resolve NAME` asks others for one of them\n";
    assert!(done.out.ends_with(last) && done.out.contains("db "), "{}", done.out);
    assert_eq!(daemon(quarter).run(&["services", "--json"]).json()["parts"], json!(4));
    let out = daemon(|| Zone { known: wire::Part::NOTHING, ..zone() }).run(&["services"]).out;
    assert!(out.contains("this node does not know yet which services there are"), "{out}");
}

#[test]
fn resolve_asks_for_a_name_that_the_zone_does_not_know() {
    let unknown =
        (0..).map(|n| format!("service-{n}").parse().unwrap()).find(|name| !quarter().knows(name)).unwrap();
    let asked: wire::Name = unknown;
    let name = asked.clone();
    let daemon = FakeDaemon::new(move |command| {
        if command == Command::Zone {
            return Ok(Reply::Zone(Arc::new(quarter())));
        }
        assert_eq!(command, Command::Find { name: asked.clone() });
        let mut found = Zone::empty("home".parse().unwrap(), node(1));
        found.services.insert(asked.clone(), zone().services[&"web".parse::<wire::Name>().unwrap()].clone());
        Ok(Reply::Zone(Arc::new(found)))
    });
    let done = daemon.run(&["resolve", name.as_str()]);
    assert_eq!(done.out, "10.7.0.3:8080\n10.7.0.2:8080\n10.7.0.1:8080\n");
    assert_eq!(daemon.run(&["resolve", "web"]).code, 0, "this one it knows");
}

#[test]
fn an_owner_that_nobody_has_confirmed_has_a_question_mark() {
    let claimed = || {
        let mut zone = zone();
        zone.services.values_mut().for_each(|service| service.title = Title::Claimed);
        zone
    };
    let out = daemon(claimed).run(&["services"]).out;
    assert!(out.contains("  a?  ") && out.contains("  no member  "), "{out}");
}

#[test]
fn no_services_is_an_invitation_to_publish_one() {
    let out = daemon(|| Zone::empty("home".parse().unwrap(), node(1))).run(&["services"]).out;
    assert!(out.starts_with("no services yet: `hopmesh --state-dir "), "{out}");
    assert!(out.ends_with(" publish NAME --port P` makes one\n"), "{out}");
}

#[test]
fn resolve_prints_addresses_that_a_script_can_use() {
    let daemon = daemon(zone);
    for (arguments, golden) in [
        (&["resolve", "web"][..], "10.7.0.3:8080\n10.7.0.2:8080\n10.7.0.1:8080\n"),
        (&["resolve", "web", "--nearest"], "10.7.0.1:8080\n10.7.0.2:8080\n10.7.0.3:8080\n"),
        (&["resolve", "WEB", "--version", "2"], "10.7.0.3:8080\n10.7.0.2:8080\n"),
        (&["resolve", "web", "--label", "zone=z2"], "10.7.0.2:8080\n"),
    ] {
        let done = daemon.run(arguments);
        assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, golden, ""), "{arguments:?}");
    }
    assert_eq!(
        daemon.run(&["resolve", "web", "--label", "zone=z3", "--json"]).json(),
        json!({ "name": "web", "instances": [json_of("c", 3, "2", json!(12.0))] })
    );
}

#[test]
fn resolve_says_which_kind_of_nothing_there_is() {
    let mut sick = zone();
    let web = sick.services.get_mut(&"web".parse::<wire::Name>().unwrap()).unwrap();
    web.instances.iter_mut().for_each(|instance| instance.is_healthy = false);
    let daemon = daemon(move || sick.clone());
    for (arguments, sentence) in [
        (
            &["resolve", "mail"][..],
            "no service is called mail: `hopmesh services` lists those there are, `hopmesh publish` makes one",
        ),
        (&["resolve", "db"], "db has no instance now: its name is only kept by its owner"),
        (&["resolve", "web"], "web has no healthy instance: 4 of those asked for fail their health check"),
        (
            &["resolve", "web", "--label", "zone=mars"],
            "none of the 4 instances of web has this version and these labels: `hopmesh services` shows what they have",
        ),
    ] {
        let done = daemon.run(arguments);
        let golden = format!("hopmesh: {sentence}\n");
        assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (1, "", golden.as_str()));
        let done = daemon.run(&[arguments, &["--json"]].concat());
        assert_eq!(done.json(), json!({ "error": sentence }));
    }
}

/// A daemon whose zone changes once, and then ends.
fn changing() -> FakeDaemon {
    FakeDaemon::new(|_| {
        let mut later = zone();
        later.services.remove(&"db".parse::<wire::Name>().unwrap());
        let web = later.services.get_mut(&"web".parse::<wire::Name>().unwrap()).unwrap();
        web.owner = node(3);
        web.instances.retain(|instance| instance.node != node(1));
        web.instances[0].is_healthy = false;
        let (sender, zones) = broadcast::channel(4);
        sender.send(Arc::new(later)).unwrap();
        Ok(Reply::Watching(Watching { zone: Arc::new(zone()), zones }))
    })
}

#[test]
fn watch_prints_what_there_is_and_then_each_change() {
    let done = changing().run(&["watch"]);
    let golden = "\
= db belongs to no member
= web belongs to a
+ web 1 on a at 10.7.0.1:8080 tcp, healthy, zone=z1
+ web 2 on b at 10.7.0.2:8080 tcp, healthy, zone=z2
+ web 2 on c at 10.7.0.3:8080 tcp, healthy, zone=z3
+ web 2 on d at 10.7.0.4:8080 tcp, unhealthy, zone=z4
-- that is what there is; changes follow --
= db belongs to nobody any more
= web belongs to no member
- web 1 on a at 10.7.0.1:8080 tcp, healthy, zone=z1
~ web 2 on c at 10.7.0.3:8080 tcp, unhealthy, zone=z3
";
    assert_eq!(done.out, golden);
    assert_eq!((done.code, done.err.as_str()), (1, "hopmesh: the daemon is going down\n"));
}

#[test]
fn watch_for_programs_is_a_line_of_json_for_each_change_of_one_name() {
    let done = changing().run(&["watch", "db", "--json"]);
    let lines: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines,
        [
            json!({ "change": "owned", "service": "db", "owner_id": node(9).to_string() }),
            json!({ "change": "present" }),
            json!({ "change": "released", "service": "db" }),
            json!({ "error": "the daemon is going down" }),
        ]
    );
    let first = changing().run(&["watch", "web", "--json"]).out;
    let second: Value = serde_json::from_str(first.lines().nth(1).unwrap()).unwrap();
    let golden = json!({ "change": "added", "service": "web", "instance": json_of("a", 1, "1", json!(0.0)) });
    assert_eq!(second, golden);
}

#[test]
fn who_reads_too_slowly_is_told() {
    let daemon = FakeDaemon::new(|_| {
        let (sender, zones) = broadcast::channel(1);
        for _ in 0..2 {
            sender.send(Arc::new(zone())).unwrap();
        }
        Ok(Reply::Watching(Watching { zone: Arc::new(zone()), zones }))
    });
    let done = daemon.run(&["watch", "db"]);
    assert_eq!(
        (done.code, done.err.as_str()),
        (1, "hopmesh: changes came faster than they were read, and some are lost: watch again\n")
    );
    assert!(done.out.ends_with("changes follow --\n"), "{done:?}");
}

#[test]
fn publish_says_where_and_unpublish_that_it_is_gone() {
    let daemon = FakeDaemon::new(|command| {
        if let Command::Publish { publication, .. } = command {
            return Ok(Reply::Published(api::PublishReply {
                name: publication.name.to_string(),
                version: publication.version.map(|version| version.to_string()),
                addresses: vec!["10.7.0.1:80".to_owned(), "[fd12::1]:80".to_owned()],
                to: publication.target.map(|target| target.to_string()),
            }));
        }
        let Command::Unpublish { name, version } = command else { panic!("{command:?} was not asked for") };
        Ok(Reply::Unpublished(api::UnpublishReply {
            name: name.to_string(),
            withdrawn: if version.is_some() { 1 } else { 2 },
            is_declared: version.is_none(),
        }))
    });
    let publish = ["publish", "web", "--port", "80", "--version", "2"];
    assert_eq!(daemon.run(&publish).out, "web version 2 is published at 10.7.0.1:80 and [fd12::1]:80\n");
    assert_eq!(
        daemon.run(&[&publish[..], &["--json"]].concat()).json(),
        json!({ "name": "web", "version": "2", "addresses": ["10.7.0.1:80", "[fd12::1]:80"] })
    );
    let to = ["publish", "web", "--port", "80", "--to", "[fd00::9]:631"];
    let said = "web is published at 10.7.0.1:80 and [fd12::1]:80 and passed on to [fd00::9]:631\n";
    assert_eq!(daemon.run(&to).out, said);
    let said = daemon.run(&[&to[..], &["--json"]].concat()).json();
    assert_eq!(said["to"], json!("[fd00::9]:631"));
    for bad in ["printer", "printer:0", "0.0.0.0:1", "[fe80::1]:1", ":1"] {
        assert_eq!(daemon.run(&["publish", "web", "--port", "80", "--to", bad]).code, 2, "{bad}");
    }
    assert_eq!(daemon.run(&["unpublish", "web", "--version", "2"]).out, "web is withdrawn\n");
    assert_eq!(
        daemon.run(&["unpublish", "web"]).out,
        "web is withdrawn, 2 versions of it\n\
         the configuration declares it: take it out there, or the next start publishes it again\n"
    );
    assert_eq!(
        daemon.run(&["unpublish", "web", "--json"]).json(),
        json!({ "name": "web", "withdrawn": 2, "declared": true })
    );
}

#[test]
fn arguments_of_publish_reach_the_daemon() {
    let (sender, asked) = std::sync::mpsc::channel();
    let daemon = FakeDaemon::new(move |command| {
        sender.send(command).unwrap();
        Err(Refusal::new(RefusalKind::Precondition, "the service name web belongs to b"))
    });
    let plain = Publication {
        name: "web".parse().unwrap(),
        version: None,
        protocol: Protocol::Tcp,
        port: 80,
        labels: BTreeMap::new(),
        ttl_s: 60,
        sharing: Sharing::Owner,
        health: overlay::HealthCheck::None,
        target: None,
    };
    let full = Publication {
        version: Some("2".parse().unwrap()),
        protocol: Protocol::Udp,
        labels: BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x=y".to_owned())]),
        ttl_s: 300,
        sharing: Sharing::Nodes(vec![]),
        health: "http:/up".parse().unwrap(),
        ..plain.clone()
    };
    let full_words: Vec<_> = "publish Web --port 80 --protocol udp --version 2 --label a=1 --label b=x=y \
        --health http:/up --ttl 5m --with b --with 10.7.0.3"
        .split_whitespace()
        .collect();
    let any = Publication { sharing: Sharing::Members, ..plain.clone() };
    let target = Some("printer.office:80".parse().unwrap());
    let passed_on = Publication { target, health: overlay::HealthCheck::Tcp, ..plain.clone() };
    let unchecked = Publication { health: overlay::HealthCheck::None, ..passed_on.clone() };
    let to = ["publish", "web", "--port", "80", "--to", "Printer.office:80"];
    let to_unchecked = [&to[..], &["--health", "none"]].concat();
    for (words, publication, nodes) in [
        (&["publish", "web", "--port", "80"][..], plain, &[][..]),
        (&full_words, full, &["b", "10.7.0.3"]),
        (&to, passed_on, &[]),
        (&to_unchecked, unchecked, &[]),
        (&["publish", "web", "--port", "80", "--with", "b", "--with", "any"], any, &[]),
    ] {
        let done = daemon.run(words);
        assert_eq!((done.code, done.err.as_str()), (1, "hopmesh: the service name web belongs to b\n"));
        let sharing_nodes = nodes.iter().map(ToString::to_string).collect();
        assert_eq!(
            asked.recv().unwrap(),
            Command::Publish { publication: Box::new(publication), sharing_nodes }
        );
    }
    daemon.run(&["unpublish", "web", "--version", "2"]);
    let version = Some("2".parse().unwrap());
    assert_eq!(asked.recv().unwrap(), Command::Unpublish { name: "web".parse().unwrap(), version });
}
