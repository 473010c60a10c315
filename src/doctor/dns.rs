//! Does this machine find its own mesh name, and if not, which link of the chain is broken?

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use config::DnsHost;

use super::{Outcome, Surroundings};
use crate::dns;

/// Longest that the host's resolver may take.
const HOST_TIME_MAX: Duration = Duration::from_secs(6);

/// What each link of the chain said.
#[derive(Debug)]
struct Facts {
    name: String,
    /// The node's own addresses.
    own: BTreeSet<IpAddr>,
    /// What the daemon's server answers, or why it does not.
    server: Result<BTreeSet<IpAddr>, String>,
    /// Whether the configuration leaves the host's resolver alone; `None`: it is not readable.
    is_host_off: Option<bool>,
    /// The `hosts` line of nsswitch.conf; `None`: there is no such file or line.
    nsswitch: Option<String>,
    /// What programs are told, or why they are told nothing.
    host: Result<BTreeSet<IpAddr>, String>,
    /// How the daemon describes the host's resolver.
    described: String,
}

pub(super) fn check(around: &Surroundings) -> Outcome {
    let status = match around.answers() {
        Ok(answers) => &answers.status,
        Err(outcome) => return outcome,
    };
    let Some(names) = &status.names else {
        return Outcome::ok("names are not answered: so the configuration wants it");
    };
    let node = status.node.clone().unwrap_or_default();
    let name = format!("{}.{}", node.name, names.domain);
    judge(&Facts {
        own: node.addresses.iter().filter_map(|address| address.parse().ok()).collect(),
        server: ask_server(&names.listen, &name),
        is_host_off: around.settings.as_ref().ok().map(|settings| settings.dns.host == DnsHost::Off),
        nsswitch: fs::read_to_string("/etc/nsswitch.conf").ok().and_then(|text| hosts_line(&text)),
        host: ask_host(&name),
        described: names.host.clone(),
        name,
    })
}

fn hosts_line(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("hosts:"))?;
    Some(line.split('#').next().unwrap_or_default().trim().to_owned())
}

fn ask_server(listen: &[String], name: &str) -> Result<BTreeSet<IpAddr>, String> {
    let address: SocketAddr =
        listen.iter().find_map(|text| text.parse().ok()).ok_or("it listens nowhere".to_owned())?;
    dns::ask(address, name).map_err(|error| format!("{address}: {error}"))
}

/// As any program would: by the C library, in a thread of its own, since it may take as long as it likes.
fn ask_host(name: &str) -> Result<BTreeSet<IpAddr>, String> {
    let (sender, answer) = mpsc::channel();
    let asked = (name.to_owned(), 0);
    thread::spawn(move || {
        let found = asked.to_socket_addrs().map(|all| all.map(|address| address.ip()).collect());
        let _nobody_waits = sender.send(found.map_err(|error| error.to_string()));
    });
    answer
        .recv_timeout(HOST_TIME_MAX)
        .unwrap_or(Err(format!("no answer within {} s", HOST_TIME_MAX.as_secs())))
}

fn judge(facts: &Facts) -> Outcome {
    let Facts { name, own, server, is_host_off, nsswitch, host, described } = facts;
    match server {
        Err(why) => {
            return Outcome::failed(
                format!("the daemon's DNS server does not answer ({why})"),
                "see whether a firewall drops port 53 on this machine, or another program has it; the daemon's log says which",
            );
        }
        Ok(answered) if answered != own => {
            return Outcome::failed(
                format!(
                    "the daemon's DNS server says {} for {name}, and the node has {}",
                    listed(answered),
                    listed(own)
                ),
                "restart the daemon; when it lasts, tell us with `hopmesh bug-report`",
            );
        }
        Ok(_) => {}
    }
    let ways = nsswitch.as_deref().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let asks_dns = ways.is_none_or(|ways| ways.iter().any(|way| matches!(*way, "dns" | "resolve")));
    match host {
        // The C library leaves out a family that this machine has no other address of.
        Ok(found) if !found.is_empty() && found.is_subset(own) => {
            Outcome::ok(format!("{name} is found as programs find it"))
        }
        _ if *is_host_off == Some(true) => Outcome::skipped(
            "`[dns] host` is off: names are answered, and this machine's resolver is left alone",
        ),
        Ok(found) => Outcome::failed(
            format!("programs are told {} for {name}, and the node has {}", listed(found), listed(own)),
            "remove that name from /etc/hosts, or from the other DNS server that has it",
        ),
        Err(why) if !asks_dns => Outcome::failed(
            format!("{name} is not found ({why}): /etc/nsswitch.conf asks no DNS for hosts"),
            "add `dns` (or `resolve`, with systemd-resolved) to its line `hosts:`",
        ),
        Err(why) => Outcome::failed(
            format!("{name} is not found ({why}), although the daemon's server knows it; {described}"),
            "install systemd-resolved, or see docs/dns.md for what else the daemon can set up",
        ),
    }
}

fn listed(addresses: &BTreeSet<IpAddr>) -> String {
    if addresses.is_empty() {
        return "nothing".to_owned();
    }
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(addresses: &[&str]) -> BTreeSet<IpAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    fn healthy() -> Facts {
        let own = set(&["10.77.0.1", "fd12::1"]);
        Facts {
            name: "a.home.internal".to_owned(),
            server: Ok(own.clone()),
            is_host_off: Some(false),
            nsswitch: Some("files resolve [!UNAVAIL=return] dns".to_owned()),
            host: Ok(own.clone()),
            described: "names under home.internal are resolved by systemd-resolved".to_owned(),
            own,
        }
    }

    #[test]
    fn the_broken_link_is_named() {
        let unknown = || Err("Name or service not known".to_owned());
        assert_eq!(judge(&healthy()).word(), "ok");
        assert_eq!(judge(&Facts { host: Ok(set(&["10.77.0.1"])), ..healthy() }).word(), "ok");
        for (facts, word) in [
            (Facts { server: Err("10.77.0.1:53: no answer".to_owned()), ..healthy() }, "no answer"),
            (Facts { server: Ok(set(&[])), ..healthy() }, "says nothing"),
            (
                Facts { host: unknown(), nsswitch: Some("files myhostname".to_owned()), ..healthy() },
                "nsswitch",
            ),
            (Facts { host: unknown(), ..healthy() }, "systemd-resolved"),
            (Facts { host: Ok(set(&["192.0.2.1"])), ..healthy() }, "192.0.2.1"),
        ] {
            let outcome = judge(&facts);
            assert!(outcome.word() == "failed" && outcome.reason().contains(word), "{word}: {outcome:?}");
        }
        assert_eq!(judge(&Facts { host: unknown(), is_host_off: Some(true), ..healthy() }).word(), "skipped");
    }

    #[test]
    fn the_line_of_nsswitch_is_read() {
        let text = "passwd: files\n hosts:  files dns # as usual\n";
        assert_eq!(hosts_line(text).as_deref(), Some("files dns"));
        assert_eq!(hosts_line("passwd: files\n"), None);
    }
}
