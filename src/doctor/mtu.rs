//! Do packets fit?

use overlay::MTU_MIN;
use wire::datagram::OVERHEAD;

use super::{Outcome, Surroundings};
use crate::io::{inspect, program};

/// The least that every path must carry for packets of the mesh, in bytes.
const LEAST: u32 = MTU_MIN as u32;
/// Below this an interface to other machines has datagrams cut up: the least, our header and tag, and those of
/// UDP and IPv4.
const UNDERLAY_LEAST: u32 = LEAST + OVERHEAD as u32 + 8 + 20;

/// Lengths in bytes.
#[derive(Debug, Default)]
struct Facts {
    interface: String,
    /// What the daemon has set.
    wanted: u32,
    /// What the interface has; `None`: there is none of that name.
    actual: Option<u32>,
    /// What the widest path to a peer was found to carry.
    widest: Option<u32>,
    /// The interface that packets to elsewhere leave by.
    underlay: Option<(String, u32)>,
}

pub(super) fn check(around: &Surroundings) -> Outcome {
    let status = match around.answers() {
        Ok(answers) => &answers.status,
        Err(outcome) => return outcome,
    };
    let api::Interface { name, mtu } = status.interface.clone().unwrap_or_default();
    let found = status.peers.iter().filter_map(|peer| peer.path.as_ref()?.mtu);
    judge(&Facts {
        actual: inspect::interface_mtu(&name),
        interface: name,
        wanted: mtu,
        widest: found.max(),
        underlay: underlay().and_then(|name| Some((name.clone(), inspect::interface_mtu(&name)?))),
    })
}

/// The interface of the default route, if there is one.
pub(super) fn underlay() -> Option<String> {
    ["-4", "-6"].into_iter().find_map(|family| {
        let text = program::run("ip", &["-j", family, "route", "show", "default"]).ok()?;
        let routes: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(routes.get(0)?.get("dev")?.as_str()?.to_owned())
    })
}

fn judge(facts: &Facts) -> Outcome {
    let Facts { interface, wanted, actual, widest, underlay } = facts;
    let mut found = Vec::new();
    match actual {
        None => found.push(Outcome::failed(
            format!("there is no interface {interface}"),
            "ask in the daemon's own network namespace, or restart the daemon",
        )),
        Some(actual) if actual != wanted => found.push(Outcome::failed(
            format!("{interface} has an MTU of {actual}, and the daemon had set {wanted}"),
            format!("`ip link set {interface} mtu {wanted}`, and keep other programs from changing it"),
        )),
        Some(_) => {}
    }
    if let Some(widest) = widest.filter(|widest| *widest >= LEAST && widest < wanted) {
        found.push(Outcome::warning(
            format!("{interface} has an MTU of {wanted}, and no path carries more than {widest}"),
            "nothing, if it lasts less than ten minutes; else leave `[interface] mtu` out of the configuration",
        ));
    }
    if let Some((name, mtu)) = underlay.as_ref().filter(|(_, mtu)| *mtu < UNDERLAY_LEAST) {
        found.push(Outcome::warning(
            format!("{name} has an MTU of {mtu}: datagrams are cut up on their way, which is slow"),
            format!("raise it to {UNDERLAY_LEAST} at least, if that network carries it"),
        ));
    }
    Outcome::worst(found, || match widest {
        Some(widest) => Outcome::ok(format!("{interface} has {wanted}, the widest path carries {widest}")),
        None => Outcome::ok(format!("{interface} has {wanted}; no path was measured yet")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(wanted: u32, actual: Option<u32>, widest: Option<u32>, underlay: u32) -> Facts {
        let underlay = Some(("eth0".to_owned(), underlay));
        Facts { interface: "hm-home".to_owned(), wanted, actual, widest, underlay }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(judge(&facts(1440, Some(1440), Some(1440), 1500)).word(), "ok");
        assert_eq!(judge(&facts(1420, Some(1420), None, 1500)).word(), "ok");
        let changed = judge(&facts(1440, Some(9000), Some(1440), 1500));
        assert!(changed.word() == "failed" && changed.reason().contains("9000"), "{changed:?}");
        assert_eq!(judge(&facts(1440, None, None, 1500)).word(), "failed");
        assert_eq!(judge(&facts(1440, Some(1440), Some(1280), 1500)).word(), "warning");
        let narrow = judge(&facts(1420, Some(1420), None, 1300));
        assert!(narrow.word() == "warning" && narrow.reason().contains("eth0"), "{narrow:?}");
    }
}
