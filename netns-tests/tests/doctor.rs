//! `doctor` names each fault that is made for real, and none on a healthy pair; `bug-report` gives no secret away.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use netns_tests::{DEADLINE, Done, Lab, Machine, Up, wait_until, with_mount};
use serde_json::Value;

/// A network without what a lab lacks: no DHT, and the host's resolver left alone.
const CONFIGURATION: &str = "[dht]\nenabled = false\n\n[dns]\n";

/// Two nodes that reach each other, with names and no DHT.
fn pair(lab: &Lab) -> (Machine, Up, Machine, Up) {
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    a.configure(CONFIGURATION);
    b.configure(CONFIGURATION);
    let up = a.up();
    let joined = b.join(&a.invite(&[]));
    a.must_ping(joined.v4.into());
    b.must_ping(up.v6.into());
    (a, up, b, joined)
}

/// What `doctor` says, and with which code. The host's resolver is one that is not there: it refuses, where the lab's own host
/// would be waited for.
fn examined(machine: &Machine) -> (Value, Done) {
    let resolv_conf = machine.folder().join("resolv.conf");
    fs::write(&resolv_conf, "nameserver 127.0.0.1\n").expect("the folder is ours");
    let wrap = with_mount(&format!("mount --bind {} /etc/resolv.conf", resolv_conf.display()));
    let done = machine.launch(&wrap.each_ref().map(String::as_str), &["doctor"], None).done(DEADLINE);
    let said = serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    (said, done)
}

/// Checks that did not end as they should, but for the clock and the iptables of the machine that the lab is on.
fn faults(said: &Value) -> Vec<(String, String)> {
    let checks = said["checks"].as_array().expect("`doctor --json` has `checks`");
    let is_fault = |check: &&Value| {
        matches!(check["outcome"].as_str(), Some("failed" | "warning")) && check["check"] != "clock"
    };
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    checks.iter().filter(is_fault).map(|check| (text(&check["check"]), text(&check["reason"]))).collect()
}

/// `doctor` fails, and this check is what failed, for a reason with these words.
fn names(machine: &Machine, check: &str, words: &[&str]) {
    let (said, done) = examined(machine);
    assert_eq!(done.code, Some(1), "{said:#}");
    let faults = faults(&said);
    let found =
        faults.iter().find(|(name, reason)| name == check && words.iter().all(|word| reason.contains(word)));
    assert!(found.is_some(), "no {check} with {words:?} in {said:#}");
}

/// `doctor` finds nothing.
fn is_healthy(machine: &Machine) {
    let (said, done) = examined(machine);
    assert_eq!((faults(&said), done.code), (vec![], Some(0)), "{said:#}");
}

#[test]
fn each_fault_is_named_and_a_healthy_pair_has_none() {
    let lab = Lab::new();
    let (a, up, b, _) = pair(&lab);
    // The interface grows once the path is measured.
    wait_until("both are healthy", DEADLINE, || {
        let all = [&a, &b].map(|machine| faults(&examined(machine).0));
        all.iter().all(Vec::is_empty).then_some(())
    });
    is_healthy(&a);
    is_healthy(&b);

    let port = up.port.to_string();
    let nft = |words: &str| drop(a.run(&[&["nft"][..], &words.split(' ').collect::<Vec<_>>()].concat()).ok());
    nft("add table inet mine");
    nft("add chain inet mine in { type filter hook input priority 0 ; policy accept ; }");
    nft(&format!("add rule inet mine in udp dport {port} drop"));
    names(&a, "firewall", &["chain in", "table inet mine", &port]);
    nft("delete table inet mine");
    is_healthy(&a);

    let range = a.status()["network"]["ipv4_range"].as_str().expect("text").to_owned();
    let part = range.split('/').next().expect("a prefix").to_owned() + "/24";
    a.ip(&format!("link add lan0 type bridge\nlink set lan0 up\nroute add {part} dev lan0"));
    names(&a, "routes", &[&part, "lan0"]);
    a.ip("link del lan0");
    is_healthy(&a);

    a.ip(&format!("link set {} mtu 1300", up.interface));
    names(&a, "MTU", &["1300", &up.interface]);
    let mtu = a.status()["interface"]["mtu"].as_u64().expect("a number");
    a.ip(&format!("link set {} mtu {mtu}", up.interface));

    let mode = |mode| fs::set_permissions(a.state_dir(), Permissions::from_mode(mode)).expect("it is ours");
    mode(0o755);
    names(&a, "state", &["0755"]);
    mode(0o700);
    is_healthy(&a);

    a.kill();
    names(&a, "daemon", &["no daemon is running"]);
}

#[test]
fn a_bug_report_holds_no_key_and_no_invite() {
    let lab = Lab::new();
    let (a, up, _b, _) = pair(&lab);
    let invite = a.invite(&[]);
    let path = a.folder().join("report.txt");
    let target = path.to_str().expect("plain text");
    let _said = a.hopmesh(&["bug-report", "--output", target]).ok();
    let report = fs::read_to_string(&path).expect("it was written");
    assert_eq!(fs::metadata(&path).expect("it was written").permissions().mode() & 0o777, 0o600);
    a.refused(&["bug-report", "--output", target], &["there already"]);
    assert_eq!(fs::read_to_string(&path).expect("it is as it was"), report);

    for heading in
        ["version", "doctor", "status and peers", "netcheck", "configuration", "addresses", "routes"]
    {
        assert!(report.contains(&format!("== {heading} ==")), "no {heading} in {report}");
    }
    assert!(report.contains(&up.v4.to_string()), "mesh addresses stay");
    assert!(!report.contains(&invite) && !report.contains("hopmesh1"), "{report}");
    let lower = report.to_ascii_lowercase();
    for file in ["identity.state", "network.state", "invites.state"] {
        let bytes = fs::read(a.state_dir().join(file)).expect("a founder has it");
        // Every key in it is 16 bytes at least, so it holds one of these windows whole.
        for window in bytes.windows(12) {
            let hex: String = window.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(!lower.contains(&hex), "{file}: {hex}");
            let base64 = base64(window);
            assert!(!report.contains(&base64), "{file}: {base64}");
            let other = base64.replace('+', "-").replace('/', "_");
            assert!(!report.contains(&other), "{file}: {other}");
        }
    }
}

/// Base64 of whole groups of three bytes.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8]| {
        let all = group.iter().fold(0_usize, |all, byte| all << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[all >> shift & 63]))
    };
    bytes.chunks_exact(3).flat_map(group).collect()
}
