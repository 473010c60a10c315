//! Does another interface take packets that are the network's?

use ipnet::IpNet;
use serde::Deserialize;

use super::{Outcome, Surroundings};
use crate::io::program;

/// A route as `ip -j route` shows it; what else is there does not matter here.
#[derive(Debug, Deserialize)]
struct Route {
    dst: String,
    dev: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

pub(super) fn check(around: &Surroundings) -> Outcome {
    let answers = match around.answers() {
        Ok(answers) => answers,
        Err(outcome) => return outcome,
    };
    let network = answers.status.network.clone().unwrap_or_default();
    let ours: Vec<IpNet> =
        [network.ipv4_range, network.ipv6_prefix].iter().filter_map(|text| text.parse().ok()).collect();
    let interface = answers.status.interface.clone().unwrap_or_default().name;
    let mut routes = Vec::new();
    for family in ["-4", "-6"] {
        match program::run("ip", &["-j", family, "route", "show", "table", "all"])
            .and_then(|text| parse(&text))
        {
            Ok(part) => routes.extend(part),
            Err(why) => return Outcome::skipped(format!("routes cannot be read: {why}")),
        }
    }
    judge(&routes, &ours, &interface)
}

fn parse(text: &str) -> Result<Vec<Route>, String> {
    // Without a route `ip` says nothing at all.
    if text.trim().is_empty() {
        return Ok(vec![]);
    }
    serde_json::from_str(text).map_err(|error| format!("ip says what is not understood: {error}"))
}

fn judge(routes: &[Route], ours: &[IpNet], interface: &str) -> Outcome {
    let mut found = Vec::new();
    for prefix in ours {
        let own = |route: &&Route| {
            route.dev.as_deref() == Some(interface)
                && destination(&route.dst).is_some_and(|to| to.contains(prefix))
        };
        if !routes.iter().any(|route| own(&route)) {
            found.push(Outcome::failed(
                format!("no route leads {prefix} into {interface}"),
                "restart the daemon, which sets it; keep other programs from taking it away",
            ));
        }
        found.extend(routes.iter().filter_map(|route| clash(route, *prefix, interface)));
    }
    Outcome::worst(found, || {
        let ours = ours.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        Outcome::ok(format!("{ours} lead into {interface}, and no other route is in their way"))
    })
}

fn clash(route: &Route, prefix: IpNet, interface: &str) -> Option<Outcome> {
    let to = destination(&route.dst)?;
    let dev = route.dev.as_deref().unwrap_or("nowhere");
    let is_local = matches!(route.kind.as_deref(), Some("local" | "broadcast" | "multicast" | "anycast"));
    if dev == interface || to.prefix_len() == 0 || (is_local && dev == "lo") {
        return None;
    }
    if prefix.contains(&to) {
        // The kernel takes the most specific route, and of equals the one of the lower metric.
        return Some(Outcome::failed(
            format!("{to} goes to {dev}, although it is part of the network's {prefix}"),
            format!(
                "remove it (`ip route del {to} dev {dev}`) or renumber that network: the mesh range cannot change later"
            ),
        ));
    }
    to.contains(&prefix).then(|| {
        Outcome::warning(
            format!("the network's {prefix} lies in {to}, which goes to {dev}: machines there with such addresses are hidden"),
            "renumber one of the two, if any such machine is needed",
        )
    })
}

/// A prefix, or an address that stands for one.
fn destination(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse().ok().map(|address: std::net::IpAddr| address.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTHY: &str = r#"[{"dst":"default","gateway":"192.168.1.1","dev":"eth0","flags":[]},
        {"dst":"10.77.0.0/16","dev":"hm-home","scope":"link","prefsrc":"10.77.0.1","flags":[]},
        {"dst":"192.168.1.0/24","dev":"eth0","protocol":"kernel","flags":[]},
        {"type":"local","dst":"10.77.0.1","dev":"hm-home","table":"local","flags":[]},
        {"type":"broadcast","dst":"10.77.255.255","dev":"hm-home","table":"local","flags":[]}"#;

    fn judged(more: &str) -> Outcome {
        let routes = parse(&format!("{HEALTHY}{more}]")).unwrap();
        judge(&routes, &["10.77.0.0/16".parse().unwrap()], "hm-home")
    }

    #[test]
    fn a_route_in_the_networks_range_is_named() {
        assert_eq!(judged("").word(), "ok");
        for dst in ["10.77.0.0/16", "10.77.4.0/24", "10.77.0.9"] {
            let outcome = judged(&format!(r#",{{"dst":"{dst}","dev":"wlan0","flags":[]}}"#));
            assert_eq!(outcome.word(), "failed", "{dst}");
            assert!(outcome.reason().contains(dst) && outcome.reason().contains("wlan0"), "{outcome:?}");
        }
        let wide = judged(r#",{"dst":"10.0.0.0/8","dev":"tun0","flags":[]}"#);
        assert_eq!(wide.word(), "warning", "{wide:?}");
        assert_eq!(judged(r#",{"dst":"10.78.0.0/16","dev":"tun0","flags":[]}"#).word(), "ok");
    }

    #[test]
    fn a_route_that_is_gone_is_missed() {
        let outcome = judge(&parse("").unwrap(), &["fd12::/48".parse().unwrap()], "hm-home");
        assert!(outcome.word() == "failed" && outcome.reason().contains("fd12::/48"), "{outcome:?}");
        assert!(parse("no JSON").is_err());
    }
}
