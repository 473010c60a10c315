//! Which way a node's packets take to a peer, as `peers --json` says it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::{Machine, wait_for};

/// The way to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathKind {
    /// There is none, or the peer is not known.
    None,
    /// From host to host.
    Direct(SocketAddr),
    /// Over these nodes, the nearest first.
    Via(Vec<String>),
}

impl PathKind {
    /// Does it lead from host to host?
    #[must_use]
    pub fn is_direct(&self) -> bool {
        matches!(self, Self::Direct(_))
    }

    /// Does it lead over other nodes?
    #[must_use]
    pub fn is_via(&self) -> bool {
        matches!(self, Self::Via(_))
    }
}

/// The present way from the node on `machine` to the peer named `peer`.
///
/// # Panics
/// When the node does not answer, or says of a path what nobody promised.
#[must_use]
pub fn path_kind(machine: &Machine, peer: &str) -> PathKind {
    let told = machine.json(&["peers"]);
    let peers = told["peers"].as_array().expect("`peers --json` has peers");
    peers.iter().find(|one| one["name"] == peer).map_or(PathKind::None, |one| read(&one["path"]))
}

/// Waits until the way from the node on `machine` to `peer` is one that `fits`, and gives it.
///
/// # Panics
/// When it is not in time.
pub fn await_path(
    machine: &Machine,
    peer: &str,
    patience: Duration,
    fits: impl Fn(&PathKind) -> bool,
) -> PathKind {
    let what = format!("{} has the path to {peer} that was expected", machine.name());
    let mut last = PathKind::None;
    let found = wait_for(patience, || {
        last = path_kind(machine, peer);
        fits(&last).then(|| last.clone())
    });
    found.unwrap_or_else(|| panic!("waited {patience:?} in vain until {what}, but it is {last:?}"))
}

fn read(path: &Value) -> PathKind {
    if path.is_null() {
        return PathKind::None;
    }
    let kind = match path["kind"].as_str() {
        Some("none") => Some(PathKind::None),
        Some("direct") => path["remote"].as_str().and_then(|text| text.parse().ok()).map(PathKind::Direct),
        Some("via") => path["hops"]
            .as_array()
            .map(|hops| PathKind::Via(hops.iter().filter_map(Value::as_str).map(str::to_owned).collect())),
        _ => None,
    };
    kind.unwrap_or_else(|| panic!("this is no path: {path}"))
}

#[cfg(test)]
mod tests {
    use super::{PathKind, read};

    #[test]
    fn reads_what_nodes_say_of_paths() {
        let direct = serde_json::json!({"kind": "direct", "remote": "192.0.2.1:5", "rtt_ms": 1.5});
        assert_eq!(read(&direct), PathKind::Direct("192.0.2.1:5".parse().unwrap()));
        let via = serde_json::json!({"kind": "via", "hops": ["b", "c"]});
        assert_eq!(read(&via), PathKind::Via(vec!["b".into(), "c".into()]));
        assert_eq!(read(&serde_json::json!({"kind": "none", "rtt_ms": null})), PathKind::None);
        assert_eq!(read(&serde_json::Value::Null), PathKind::None);
    }
}
