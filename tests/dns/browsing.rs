//! DNS-SD (RFC 6763), walked as a browser does: kinds, instances, where they are and what they say, addresses.

use super::Served;

#[test]
fn a_browser_finds_every_instance_from_the_domain_alone() {
    let served = Served::new();
    assert_eq!(served.found("b._dns-sd._udp.home.internal PTR"), ["home.internal."]);
    assert_eq!(served.found("lb._dns-sd._udp.home.internal PTR"), ["home.internal."]);
    let mut seen = Vec::new();
    for kind in served.found("_services._dns-sd._udp.home.internal PTR") {
        for instance in served.found(&format!("{kind} PTR")) {
            let [place] = &served.found_raw(&instance, "SRV")[..] else {
                panic!("{instance} is at one place")
            };
            let [text] = &served.found_raw(&instance, "TXT")[..] else { panic!("{instance} has one text") };
            let target = place.rsplit(' ').next().unwrap();
            let address = served.found(&format!("{target} A")).join(",");
            seen.push(format!("{kind} {address} {place} {text}"));
        }
    }
    let expected = [
        "_http._tcp.home.internal. 10.77.0.1 0 0 80 laptop.home.internal. \"version=2\" \"path=/\" \"type=http\"",
        "_http._tcp.home.internal. 10.77.0.2 0 0 8080 server.home.internal. \"version=1.4\" \"type=http\"",
        "_http._tcp.home.internal. 10.77.0.2 0 0 8081 server.home.internal. \"type=HTTP\"",
        "_printer._tcp.home.internal. 10.77.0.3 0 0 631 nas.home.internal. \"\"",
        "_web._tcp.home.internal. 10.77.0.1 0 0 80 laptop.home.internal. \"version=2\" \"path=/\" \"type=http\"",
        "_web._tcp.home.internal. 10.77.0.2 0 0 8080 server.home.internal. \"version=1.4\" \"type=http\"",
        "_wiki._tcp.home.internal. 10.77.0.2 0 0 8081 server.home.internal. \"type=HTTP\"",
        "_syslog._udp.home.internal. 10.77.0.2 0 0 514 server.home.internal. \"\"",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_browser_gets_the_rest_in_the_same_answer() {
    let served = Served::new();
    let printed = served.dig("+noall +additional _http._tcp.home.internal PTR");
    // Three instances on two nodes.
    for (kind, count) in [("SRV", 3), ("TXT", 3), ("A", 2), ("AAAA", 2)] {
        let records = printed.lines().filter(|line| line.split_whitespace().nth(3) == Some(kind));
        assert_eq!(records.count(), count, "{printed}");
    }
}

impl Served {
    /// As [`Served::found`], for a name with spaces as `dig` shows them (`\032`).
    fn found_raw(&self, name: &str, kind: &str) -> Vec<String> {
        assert!(!name.contains(' ') && name.contains("\\032on\\032"), "{name}");
        self.found(&format!("{name} {kind}"))
    }
}
