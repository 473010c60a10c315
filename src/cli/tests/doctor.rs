//! What `doctor` and `bug-report` print: the findings are examples, the program and the files are real.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::super::doctor::{findings_json, lines};
use super::{FakeDaemon, hopmesh, status};
use crate::control::{Command, Reply};
use crate::doctor::{Finding, Outcome, Trouble};

/// The checks in their order, all well.
fn healthy() -> Vec<Finding> {
    let ok = |check, seen: &str| Finding { check, outcome: Outcome::Ok(seen.to_owned()) };
    vec![
        ok("daemon", "answers, version 0.1.0"),
        ok("TUN", "/dev/net/tun can be opened"),
        ok("capabilities", "the daemon has CAP_NET_ADMIN and CAP_NET_BIND_SERVICE"),
        ok("clock", "kept right by a time service; those of 2 peers agree with it"),
        ok("state", "/var/lib/hopmesh/home is ours alone, and its 9 files are whole"),
        ok("port", "the daemon has UDP port 41641"),
        ok("firewall", "no rule of nftables is known to drop our packets"),
        ok("routes", "10.7.0.0/16 and fd12::/48 lead into hm-home, and no other route is in their way"),
        ok("MTU", "hm-home has 1440, the widest path carries 1440"),
        ok("names", "a.home.internal is found as programs find it"),
        ok("DHT", "answers, 120 nodes known"),
        ok("version", "daemon and command are both 0.1.0; what peers run is not known"),
    ]
}

/// The same with other outcomes.
fn with(changes: Vec<(&str, Outcome)>) -> Vec<Finding> {
    let mut findings = healthy();
    for (check, outcome) in changes {
        findings.iter_mut().find(|finding| finding.check == check).unwrap().outcome = outcome;
    }
    findings
}

fn trouble(reason: &str, to_do: &str) -> Trouble {
    Trouble { reason: reason.to_owned(), to_do: to_do.to_owned() }
}

/// What is wrong on a machine whose daemon runs.
fn faulty() -> Vec<Finding> {
    let firewall = trouble(
        "chain in of table inet mine drops what arrives at UDP port 41641 (IPv4 and IPv6)",
        "remove it, or accept before it: `udp dport 41641 accept`",
    );
    let clock = trouble("the clock of b is 2 hours ahead of this one", "set the clock that is wrong");
    with(vec![
        ("clock", Outcome::Warning(clock)),
        ("firewall", Outcome::Failed(firewall)),
        ("MTU", Outcome::Skipped("the daemon says nothing of it".to_owned())),
    ])
}

fn said(findings: Vec<Finding>) -> String {
    lines(findings).join("\n") + "\n"
}

#[test]
fn a_healthy_machine_is_a_list_that_fits_a_screen() {
    let golden = "\
Nothing is known to be wrong.

ok  daemon        answers, version 0.1.0
ok  TUN           /dev/net/tun can be opened
ok  capabilities  the daemon has CAP_NET_ADMIN and CAP_NET_BIND_SERVICE
ok  clock         kept right by a time service; those of 2 peers agree with it
ok  state         /var/lib/hopmesh/home is ours alone, and its 9 files are whole
ok  port          the daemon has UDP port 41641
ok  firewall      no rule of nftables is known to drop our packets
ok  routes        10.7.0.0/16 and fd12::/48 lead into hm-home, and no other
                  route is in their way
ok  MTU           hm-home has 1440, the widest path carries 1440
ok  names         a.home.internal is found as programs find it
ok  DHT           answers, 120 nodes known
ok  version       daemon and command are both 0.1.0; what peers run is not known
";
    assert_eq!(said(healthy()), golden);
}

#[test]
fn the_worst_stands_first_with_what_to_do() {
    let golden = "\
1 failed, 1 warning; 1 of 12 could not be judged.

failed   firewall      chain in of table inet mine drops what arrives at UDP
                       port 41641 (IPv4 and IPv6)
         to do         remove it, or accept before it: `udp dport 41641 accept`
warning  clock         the clock of b is 2 hours ahead of this one
         to do         set the clock that is wrong
skipped  MTU           the daemon says nothing of it
ok       daemon        answers, version 0.1.0
";
    let said = said(faulty());
    assert!(said.starts_with(golden), "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
}

#[test]
fn checks_that_wait_for_the_daemon_share_a_line() {
    let skipped = || Outcome::Skipped("the daemon is not running".to_owned());
    let waiting =
        ["capabilities", "firewall", "routes", "MTU", "names", "DHT"].map(|check| (check, skipped()));
    let down = trouble(
        "no daemon is running for network home",
        "start it with `hopmesh up`; on a machine that is no member yet, `hopmesh join INVITE`",
    );
    let changes = [("daemon", Outcome::Failed(down))].into_iter().chain(waiting).collect();
    let golden = "\
1 failed; 6 of 12 could not be judged.

failed   daemon    no daemon is running for network home
         to do     start it with `hopmesh up`; on a machine that is no member
                   yet, `hopmesh join INVITE`
skipped  6 checks  capabilities, firewall, routes, MTU, names, DHT: the daemon
                   is not running
ok       TUN       /dev/net/tun can be opened
";
    let said = said(with(changes));
    assert!(said.starts_with(golden), "{said}");
}

#[test]
fn headlines_count() {
    let two = || Outcome::Warning(trouble("a", "b"));
    let three = || Outcome::Failed(trouble("a", "b"));
    for (changes, golden) in [
        (vec![], "Nothing is known to be wrong."),
        (
            vec![("DHT", Outcome::Skipped(String::new()))],
            "Nothing is known to be wrong; 1 of 12 could not be judged.",
        ),
        (vec![("DHT", two())], "1 warning."),
        (vec![("DHT", two()), ("port", two())], "2 warnings."),
        (vec![("DHT", three())], "1 failed."),
        (vec![("DHT", three()), ("port", two()), ("TUN", two())], "1 failed, 2 warnings."),
    ] {
        assert_eq!(lines(with(changes))[0], golden);
    }
}

#[test]
fn programs_read_counts_and_checks_in_their_order() {
    let json = findings_json(&faulty());
    let ok =
        |check: &str, seen: &str| json!({ "check": check, "outcome": "ok", "reason": seen, "to_do": null });
    let golden = json!({
        "failed": 1,
        "warnings": 1,
        "skipped": 1,
        "checks": [
            ok("daemon", "answers, version 0.1.0"),
            ok("TUN", "/dev/net/tun can be opened"),
            ok("capabilities", "the daemon has CAP_NET_ADMIN and CAP_NET_BIND_SERVICE"),
            { "check": "clock", "outcome": "warning", "reason": "the clock of b is 2 hours ahead of this one",
              "to_do": "set the clock that is wrong" },
            ok("state", "/var/lib/hopmesh/home is ours alone, and its 9 files are whole"),
            ok("port", "the daemon has UDP port 41641"),
            { "check": "firewall", "outcome": "failed",
              "reason": "chain in of table inet mine drops what arrives at UDP port 41641 (IPv4 and IPv6)",
              "to_do": "remove it, or accept before it: `udp dport 41641 accept`" },
            ok("routes", "10.7.0.0/16 and fd12::/48 lead into hm-home, and no other route is in their way"),
            { "check": "MTU", "outcome": "skipped", "reason": "the daemon says nothing of it", "to_do": null },
            ok("names", "a.home.internal is found as programs find it"),
            ok("DHT", "answers, 120 nodes known"),
            ok("version", "daemon and command are both 0.1.0; what peers run is not known"),
        ],
    });
    assert_eq!(json, golden);
}

#[test]
fn the_command_looks_at_a_real_machine_and_fails_with_what_failed() {
    let nobody = tempfile::tempdir().unwrap();
    let state = nobody.path().join("state");
    let done = hopmesh(&["--network", "lab", "--state-dir", state.to_str().unwrap(), "doctor", "--json"]);
    assert_eq!((done.code, done.err.as_str()), (1, ""), "without a daemon something failed");
    let said = done.json();
    let checks: Vec<&str> =
        said["checks"].as_array().unwrap().iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(checks, healthy().iter().map(|finding| finding.check).collect::<Vec<_>>());
    let daemon = json!({
        "check": "daemon",
        "outcome": "failed",
        "reason": "no daemon is running for network lab",
        "to_do": format!(
            "start it with `hopmesh --network lab --state-dir {0} up`; on a machine that is no member yet, `hopmesh --network lab --state-dir {0} join INVITE`",
            state.display()
        ),
    });
    assert_eq!(said["checks"][0], daemon);
}

/// A daemon that is well but for what it says itself.
fn complaining() -> FakeDaemon {
    FakeDaemon::new(|command| {
        let is_status = command == Command::Status;
        Ok(if is_status { Reply::Status(Box::new(status())) } else { Reply::Netcheck(<_>::default()) })
    })
}

#[test]
fn what_the_daemon_complains_of_is_among_it() {
    let said = complaining().run(&["doctor", "--json"]).json();
    assert_eq!(said["checks"][0]["reason"], "the daemon says: UDP is blocked: open port 41641");
}

#[test]
fn a_bug_report_is_sections_without_public_addresses() {
    let daemon = complaining();
    let (path, config) = (daemon.directory().join("report.txt"), daemon.directory().join("hopmesh.toml"));
    fs::write(&config, "[addresses]\nseeds = [\"seed.example.org:41820\", \"198.51.100.7:41820\"]\n")
        .unwrap();
    let (target, config) = (path.to_str().unwrap(), config.to_str().unwrap());
    let done = daemon.run(&["--config", config, "bug-report", "--output", target]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert_eq!(done.out, format!("wrote {target}: read it before you send it\n"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let report = fs::read_to_string(&path).unwrap();
    let headings: Vec<&str> = report.lines().filter(|line| line.starts_with("== ")).collect();
    let golden = [
        "version",
        "doctor",
        "status and peers",
        "netcheck",
        "configuration",
        "system",
        "unit",
        "addresses",
        "routes",
        "rules",
        "firewall",
        "journal",
    ];
    assert_eq!(headings, golden.map(|heading| format!("== {heading} ==")));
    let section = |heading: &str| {
        let (_, after) = report.split_once(&format!("== {heading} ==\n")).unwrap();
        after.split_once("\n\n==").map_or(after, |(section, _)| section).to_owned()
    };
    assert_eq!(section("version"), format!("hopmesh {}", env!("CARGO_PKG_VERSION")));
    assert!(section("doctor").lines().next().unwrap().ends_with('.'), "{}", section("doctor"));
    // One peer is at 203.0.113.5, which is numbered first; the other address comes after it.
    let said: Value = serde_json::from_str(&section("status and peers")).unwrap();
    assert_eq!(said["peers"][1]["path"]["remote"], "public-v4-1:41641");
    assert_eq!(said["peers"][1]["addresses"], json!(["10.7.0.2", "fd12::2"]));
    assert_eq!(section("configuration"), "[addresses]\nseeds = [\"host-1:41820\", \"public-v4-2:41820\"]");

    let again = daemon.run(&["bug-report", "--output", target]);
    let words =
        format!("hopmesh: cannot write {target}: it is there already: name another file with --output\n");
    assert_eq!((again.code, again.out.as_str(), again.err), (1, "", words));
    let other = daemon.directory().join("other.txt");
    let other = other.to_str().unwrap();
    let bytes = daemon.run(&["bug-report", "--output", other, "--json"]).json();
    assert_eq!(bytes, json!({ "path": other, "bytes": fs::metadata(other).unwrap().len() }));
}

#[test]
fn a_bug_report_says_what_is_missing() {
    let nobody = tempfile::tempdir().unwrap();
    let (state, path) = (nobody.path().join("state"), nobody.path().join("report.txt"));
    let done =
        hopmesh(&["--state-dir", state.to_str().unwrap(), "bug-report", "--output", path.to_str().unwrap()]);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "nothing of it needs a daemon");
    let report = fs::read_to_string(&path).unwrap();
    assert!(report.contains("== status and peers ==\nthe daemon is not running\n"), "{report}");
    assert!(!report.contains("== netcheck =="), "{report}");
}
